"""Puts a model on devices: what ``device=``, ``n_gpu_layers=`` and related arguments mean for one file.

Reads the file's header and asks the devices for their memory; the arithmetic is ``_offload``'s, the
choice of devices ``_devices``'.
"""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from llmlocal._budget import choose_context
from llmlocal._checks import check_choice, check_type, listed
from llmlocal._devices import _runtime
from llmlocal._devices._choice import (
    Device,
    DeviceChoice,
    find_devices,
    select,
    shortage,
    wants_gpus,
)
from llmlocal._devices._offload import Layers, Plan, divide, fit, layers_of, plan_for
from llmlocal._quote import quote
from llmlocal._regex_cost import most_steps
from llmlocal._tokens import check_text
from llmlocal.errors import DeviceError, ParameterError
from llmlocal.models._inspect import ModelInfo, inspect

__all__ = ["Placement", "PlacementOptions", "place"]

_SPLIT_MODES = ("layer", "row")
_LONGEST_NAME = 63  # Of a tensor, in bytes; ggml's limit.
_MOST_STEPS = 64**4  # Of a search in such a name.
_MOST_DEVICES = 16  # llama.cpp's limit.


@dataclass(frozen=True)
class PlacementOptions:
    """The arguments of ``LLM`` that say where a model goes; checked when they are set."""

    device: str | Sequence[str]
    rpc_servers: Sequence[str] = ()
    n_gpu_layers: int | Literal["auto"] = "auto"
    split_mode: str = "layer"
    tensor_split: Sequence[float] | None = None
    tensor_placement: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        layers: object = self.n_gpu_layers
        is_auto = isinstance(layers, str) and layers == "auto"
        is_whole = isinstance(layers, int) and not isinstance(layers, bool)
        if not is_auto and not (is_whole and 0 <= cast("int", layers) < 2**31):
            raise ParameterError(f"n_gpu_layers must be >= 0 or 'auto', got {quote(layers)}")
        check_choice("split_mode", self.split_mode, _SPLIT_MODES)
        shares = None if self.tensor_split is None else listed("tensor_split", self.tensor_split)
        if shares is not None and not (
            all(isinstance(each, numbers.Real) and 0 <= float(each) < math.inf for each in shares)
            and sum(shares) > 0
        ):
            raise ParameterError(
                f"tensor_split must be shares >= 0, not all 0; got {quote(shares)}"
            )
        check_type("tensor_placement", self.tensor_placement, Mapping)
        for pattern, device in self.tensor_placement.items():
            check_text(pattern, "tensor_placement: a pattern")
            check_text(device, "tensor_placement: a device")
            _check_pattern(pattern)


def _check_pattern(pattern: str) -> None:
    """Raise a ParameterError for what llmlocal or llama.cpp could search for without end."""
    try:
        steps = most_steps(pattern, _LONGEST_NAME)
    except (re.error, OverflowError, RecursionError) as exc:
        raise ParameterError(
            f"tensor_placement: {quote(pattern)} is not a regular expression: {exc}"
        ) from exc
    if steps is None or steps > _MOST_STEPS:
        raise ParameterError(
            f"tensor_placement: {quote(pattern)} could take too long to search for; use at most"
            " three repeats such as .*, none inside another, few x? and (x|y) beside them, and"
            " 200 characters"
        )


@dataclass(frozen=True)
class Placement:
    """Where a model goes.

    Attributes:
        choice: The devices that take layers, none for the CPU alone.
        layers: How many they take, the output layer included.
        counts: How many of those each takes.
        tensors: Patterns of tensor names and the devices for them.
        context_limit: Bytes that keys and values of all requests may take, None = no limit of these
            devices'.
    """

    choice: DeviceChoice
    layers: int = 0
    counts: tuple[int, ...] = ()
    tensors: list[tuple[str, str]] = field(default_factory=list)
    context_limit: int | None = None


_CPU_ALONE = DeviceChoice(())


def place(
    path: Path, options: PlacementOptions, *, n_ctx: int | None, n_batch: int, kv_type: str
) -> Placement:
    """Decide where the model in a file goes.

    Raises:
        DeviceError: A device that was asked for is absent or too small.
        ParameterError: ``tensor_split`` has not one share for each device.
    """
    problems = _runtime.start_gpus() if wants_gpus(options.device) else ()
    _runtime.start()
    servers = listed("rpc_servers", options.rpc_servers)
    if isinstance(options.device, str) and options.device == "cpu" and not servers:
        available: list[Device] = []
    else:
        available = find_devices(servers)
    choice = select(options.device, available, problems)
    if len(choice.offload) > _MOST_DEVICES:
        raise DeviceError(
            f"a model can be split over at most {_MOST_DEVICES} devices, got {len(choice.offload)}"
        )
    shares = options.tensor_split or ()
    if shares and len(shares) != len(choice.offload):
        raise ParameterError(
            f"tensor_split has {len(shares)} shares for {len(choice.offload)} devices "
            f"({choice.device})"
        )
    tensors = [
        (pattern, _placement_name(device, available))
        for pattern, device in options.tensor_placement.items()
    ]
    if not choice.offload or options.n_gpu_layers == 0:
        return Placement(_CPU_ALONE, tensors=tensors)
    info = inspect(path, allow_download=False)
    layers = _layers(info, options, n_ctx=n_ctx, n_batch=n_batch, kv_type=kv_type)
    plan = _plan(layers, options, choice)
    if plan.total == 0:
        return Placement(_CPU_ALONE, tensors=tensors)
    return Placement(choice, plan.total, plan.counts, tensors, plan.context_limit)


def _layers(
    info: ModelInfo, options: PlacementOptions, *, n_ctx: int | None, n_batch: int, kv_type: str
) -> Layers:
    context = choose_context(n_ctx, info.context_length or 0)
    memory = info.memory(context, n_batch=n_batch, kv_type=kv_type, flash_attention=True)
    count = info.metadata.get(f"{info.architecture}.block_count")
    return layers_of(
        info.tensors,
        count if isinstance(count, int) else 0,
        context_bytes=memory.kv + memory.recurrent,
        work_bytes=memory.compute,
        placements=options.tensor_placement,
    )


def _plan(layers: Layers, options: PlacementOptions, choice: DeviceChoice) -> Plan:
    free = [device.memory_free for device in choice.offload]
    shares = options.tensor_split or ()
    best = fit(layers, free, shares)
    if options.n_gpu_layers == "auto":
        if best.total == 0 and choice.is_named:
            least = plan_for(layers, [1, *[0] * (len(free) - 1)], free)
            raise DeviceError(
                shortage(sum(least.needed), "the smallest part of the model", choice.offload)
                + "; device='auto' would use the CPU"
            )
        return best
    count = min(options.n_gpu_layers, len(layers))
    if count == best.total:
        return best
    counts = divide(count, shares or [room or max(free) or 1 for room in free])
    plan = plan_for(layers, counts, free)
    if not plan.fits:
        plan = fit(
            Layers(layers.weights[-count:], layers.context[-count:], layers.work), free, shares
        )
    if plan.total < count:
        raise DeviceError(
            shortage(
                sum(plan_for(layers, counts, free).needed), f"n_gpu_layers={count}", choice.offload
            )
            + f"; there is room for {best.total}, as with n_gpu_layers='auto'"
        )
    return plan


def _placement_name(device: str, available: Sequence[Device]) -> str:
    chosen = select(device, available).offload
    return chosen[0].name if chosen else "CPU"

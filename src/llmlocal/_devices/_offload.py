"""Which layers of a model fit on which devices: arithmetic only, nothing is loaded or asked.

llama.cpp counts layers from the end: of ``n`` layers on devices one is the output layer, the others
are the last ``n - 1`` of the rest, and each device takes a run of them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from llmlocal.models import Tensor

__all__ = ["Layers", "Plan", "divide", "fit", "layers_of", "plan_for"]

_MARGIN = 0.05  # Of a device's free memory: for its driver, and for what shares it.


@dataclass(frozen=True)
class Layers:
    """The bytes of each layer, from the first to the output layer, which comes last.

    Attributes:
        weights: Of each layer.
        context: Keys, values and states of each layer, for one sequence.
        work: Work space of a step, needed on each device.
    """

    weights: tuple[int, ...]
    context: tuple[int, ...]
    work: int

    def __len__(self) -> int:
        return len(self.weights)


@dataclass(frozen=True)
class Plan:
    """How many layers each device takes, and what that needs.

    Attributes:
        counts: Layers of each device; the output layer is the last of the last one.
        needed: Bytes on each device, for one sequence.
        fits: Whether the free memory suffices.
        context_limit: Bytes that the context of the whole model may take before a device is full;
            None where no device limits it.
    """

    counts: tuple[int, ...]
    needed: tuple[int, ...]
    fits: bool
    context_limit: int | None

    @property
    def total(self) -> int:
        return sum(self.counts)


def layers_of(
    tensors: Sequence[Tensor],
    n_layers: int,
    *,
    context_bytes: int,
    work_bytes: int,
    placements: Mapping[str, str] | None = None,
) -> Layers:
    """Sort a model's tensors by layer.

    Args:
        tensors: Of the file.
        n_layers: Without the output layer.
        context_bytes: Keys, values and states of one sequence.
        work_bytes: Work space of a step.
        placements: Patterns of names, with the device that such tensors are put on by name.
    """
    weights = [0] * (n_layers + 1)
    for tensor in tensors:
        if any(re.search(pattern, tensor.name) for pattern in placements or ()):
            continue
        layer = _layer_of(tensor.name, n_layers)
        if layer is not None:
            weights[layer] += tensor.size_bytes
    names = {tensor.name for tensor in tensors}
    if "output.weight" not in names:
        # The embeddings serve twice: a copy of them becomes the output layer.
        weights[-1] += sum(t.size_bytes for t in tensors if t.name == "token_embd.weight")
    each = -(-context_bytes // n_layers) if n_layers else 0
    return Layers(tuple(weights), (*[each] * n_layers, 0), work_bytes)


def _layer_of(name: str, n_layers: int) -> int | None:
    """None: the tensor stays in the main memory."""
    if name.startswith(("token_embd", "per_layer_token_embd")):
        return None
    number = re.match(r"blk\.(\d+)\.", name)
    return min(int(number[1]), n_layers) if number else n_layers


def divide(count: int, shares: Sequence[float]) -> tuple[int, ...]:
    """So many layers by these shares, as llama.cpp divides them."""
    total = sum(shares)
    borders = [border / total for border in accumulate(shares)]
    devices = [bisect_right(borders, layer / count) for layer in range(count)]
    # What rounding puts behind the last border belongs to the last device.
    return tuple(
        sum(min(device, len(shares) - 1) == index for device in devices)
        for index in range(len(shares))
    )


def plan_for(layers: Layers, counts: Sequence[int], free: Sequence[int]) -> Plan:
    """What it means to give each device so many layers.

    Args:
        layers: Of the model.
        counts: Layers of each device.
        free: Bytes on each device; 0 = it does not tell.
    """
    start = len(layers) - sum(counts)
    needed, limits = [], []
    whole_context = sum(layers.context)
    for count, room in zip(counts, free, strict=True):
        own = slice(start, start + count)
        weights, context = sum(layers.weights[own]), sum(layers.context[own])
        needed.append(weights + context + layers.work if count else 0)
        if room and context:
            left = max(_usable(room) - weights - layers.work, 0)
            limits.append(left * whole_context // context)
        start += count
    fits = all(
        not room or bytes_ <= _usable(room) for bytes_, room in zip(needed, free, strict=True)
    )
    return Plan(tuple(counts), tuple(needed), fits, min(limits, default=None))


def fit(layers: Layers, free: Sequence[int], shares: Sequence[float] = ()) -> Plan:
    """The plan with the most layers on the devices; a plan of no layers if not one fits.

    Args:
        layers: Of the model.
        free: Bytes on each device; 0 = it does not tell.
        shares: Of each device; by default by free memory or, if more fits that way, filled one
            after the other.
    """
    ways: list[Callable[[int], Sequence[int] | None]] = [
        lambda count: divide(count, shares or [room or max(free) or 1 for room in free])
    ]
    if not shares:
        ways.append(lambda count: _pack(layers, count, free))
    for count in range(len(layers), 0, -1):
        for way in ways:
            counts = way(count)
            plan = plan_for(layers, counts, free) if counts else None
            if plan is not None and plan.fits:
                return plan
    return plan_for(layers, [0] * len(free), free)


def _pack(layers: Layers, count: int, free: Sequence[int]) -> Sequence[int] | None:
    """Fill one device after the other; None if some layers are left."""
    sizes = [w + c for w, c in zip(layers.weights, layers.context, strict=True)][-count:]
    counts = []
    for room in free:
        left = _usable(room) - layers.work if room else sum(sizes)
        taken = bisect_right(list(accumulate(sizes)), left)
        counts.append(taken)
        sizes = sizes[taken:]
    return counts if not sizes else None


def _usable(free: int) -> int:
    return int(free * (1 - _MARGIN))

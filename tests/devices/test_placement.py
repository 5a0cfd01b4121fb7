"""Where a file's model goes on devices of a given size; the devices are made up, the file is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmlocal import Device, DeviceError, ParameterError
from llmlocal._devices import _placement
from llmlocal._devices._placement import Placement, PlacementOptions, place
from llmlocal.models import inspect

from ..conftest import TinyPath
from .machines import CPU, GTX, L4, machine

DEFAULTS: dict[str, Any] = {
    "device": "auto",
    "rpc_servers": (),
    "n_gpu_layers": "auto",
    "split_mode": "layer",
    "tensor_split": None,
    "tensor_placement": {},
}


@pytest.fixture
def path(tiny_path: TinyPath) -> Path:
    return tiny_path("llama")


class Bench:
    """Places a model on one or two GPUs with this much free memory."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self._monkeypatch = monkeypatch
        memory = inspect(path).memory(512, flash_attention=True)
        self.context, self.work = memory.kv, memory.compute
        self.layers = 2  # And the output layer.

    def place(self, *free: int, **options: Any) -> Placement:
        gpus = [replace(gpu, memory_free=room) for gpu, room in zip((GTX, L4), free, strict=False)]
        devices: list[Device] = machine(*gpus, CPU)
        self._monkeypatch.setattr(_placement, "find_devices", lambda _: devices)
        return place(
            self.path,
            PlacementOptions(**{**DEFAULTS, **options}),
            n_ctx=512,
            n_batch=512,
            kv_type="f16",
        )


@pytest.fixture
def bench(path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(path, monkeypatch)


ROOMY = 10**10


def test_everything_goes_where_there_is_room(bench: Bench) -> None:
    placement = bench.place(ROOMY)
    assert placement.choice.device == "CUDA0"
    assert (placement.layers, placement.counts) == (3, (3,))
    assert placement.context_limit is not None
    assert placement.context_limit > 10**9


def test_a_small_device_takes_a_part(bench: Bench) -> None:
    whole = bench.place(ROOMY)
    sizes = {t.name: t.size_bytes for t in inspect(bench.path).tensors}
    output = sum(size for name, size in sizes.items() if name.startswith("output"))
    last = sum(size for name, size in sizes.items() if name.startswith("blk.1."))
    room = int((output + last + bench.context / 2 + bench.work) / 0.95) + 1000
    placement = bench.place(room)
    assert placement.layers == 2 < whole.layers
    assert bench.place(room, device="cuda").layers == 2


def test_two_devices_share(bench: Bench) -> None:
    assert bench.place(ROOMY, ROOMY).counts == (2, 1)
    assert bench.place(ROOMY, ROOMY, tensor_split=[1, 2]).counts == (1, 2)


def test_auto_does_without_a_device_that_is_too_small(bench: Bench) -> None:
    placement = bench.place(10_000)
    assert (placement.choice.device, placement.layers) == ("CPU", 0)


def test_a_device_that_was_asked_for_and_is_too_small_is_an_error(bench: Bench) -> None:
    with pytest.raises(
        DeviceError, match=r"needs \d\.\d\d GB, but CUDA0 has 0\.00 GB free; device='auto' would"
    ):
        bench.place(10_000, device="cuda")


def test_so_is_a_number_of_layers_that_does_not_fit(bench: Bench) -> None:
    with pytest.raises(DeviceError, match=r"n_gpu_layers=3 needs .* there is room for 0"):
        bench.place(10_000, n_gpu_layers=3)


def test_a_number_is_taken_at_its_word(bench: Bench) -> None:
    assert bench.place(ROOMY, n_gpu_layers=1).counts == (1,)
    assert bench.place(ROOMY, n_gpu_layers=99).counts == (3,)
    assert bench.place(ROOMY, n_gpu_layers=0).choice.device == "CPU"


def test_what_is_placed_elsewhere_needs_no_room(bench: Bench) -> None:
    room = int((bench.context + bench.work) / 0.95) + 20_000
    assert bench.place(room, n_gpu_layers="auto").layers < 3
    kept = bench.place(room, tensor_placement={"weight$": "cpu"})
    assert kept.layers == 3
    assert kept.tensors == [("weight$", "CPU")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_gpu_layers": -1}, "n_gpu_layers must be >= 0 or 'auto', got -1"),
        ({"n_gpu_layers": True}, "n_gpu_layers must be"),
        ({"n_gpu_layers": "all"}, "n_gpu_layers must be"),
        ({"split_mode": "tensor"}, "split_mode must be 'layer' or 'row'"),
        ({"tensor_split": [1, -1]}, "tensor_split must be shares >= 0"),
        ({"tensor_split": [0, 0]}, "tensor_split must be shares >= 0"),
        ({"tensor_split": [float("inf")]}, "tensor_split must be shares >= 0"),
        ({"tensor_split": [1, 1]}, r"2 shares for 1 devices \(CUDA0\)"),
        ({"tensor_placement": {"(": "cpu"}}, "is not a regular expression"),
    ],
)
def test_what_makes_no_sense(options: dict[str, Any], message: str, bench: Bench) -> None:
    with pytest.raises(ParameterError, match=message):
        bench.place(ROOMY, **options)


def test_tensors_can_not_go_where_there_is_no_device(bench: Bench) -> None:
    with pytest.raises(DeviceError, match="no device 'cuda:7' here"):
        bench.place(ROOMY, tensor_placement={"_exps": "cuda:7"})

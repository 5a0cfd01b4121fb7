"""Which devices a ``device=`` argument means, as a table over made-up machines."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from llmlocal import Device, DeviceError, devices
from llmlocal._devices._choice import select


def device(
    name: str,
    backend: str,
    description: str,
    *,
    index: int = 0,
    kind: Literal["cpu", "gpu", "igpu", "accel"] = "gpu",
) -> Device:
    return Device(name, backend, index, description, kind, 1, 2, None)


CPU = device("CPU", "cpu", "Some Processor", kind="cpu")
CUDA0 = device("CUDA0", "cuda", "NVIDIA GeForce RTX 4090")
CUDA1 = device("CUDA1", "cuda", "NVIDIA RTX A6000", index=1)
ARC = device("Vulkan0", "vulkan", "Intel(R) Arc(TM) A770 Graphics")
RADEON = device("Vulkan1", "vulkan", "AMD Radeon RX 7900 XTX (RADV)", index=1)
ARCTURUS = device("ROCm0", "rocm", "AMD Instinct MI100 (Arcturus)")
IRIS = device("Vulkan0", "vulkan", "Intel Iris Xe Graphics", kind="igpu")
APPLE = device("MTL0", "mtl", "Apple M3")
BLAS = device("BLAS", "blas", "", kind="accel")

PLAIN = [CPU]
LAPTOP = [IRIS, CPU]
NVIDIA_PAIR = [CUDA0, CUDA1, CPU]
MIXED = [CUDA0, ARC, RADEON, IRIS, BLAS, CPU]


@pytest.mark.parametrize(
    ("wanted", "machine", "chosen"),
    [
        ("auto", PLAIN, []),
        ("auto", LAPTOP, [IRIS]),
        ("auto", NVIDIA_PAIR, [CUDA0, CUDA1]),
        # The real GPUs, not the one that shares the main memory.
        ("auto", MIXED, [CUDA0, ARC, RADEON]),
        ("cpu", MIXED, []),
        ("CPU", MIXED, []),
        ("gpu", LAPTOP, [IRIS]),
        ("gpu", NVIDIA_PAIR, [CUDA0]),
        ("nvidia", MIXED, [CUDA0]),
        ("amd", MIXED, [RADEON]),
        ("intel", MIXED, [ARC]),
        ("intel", LAPTOP, [IRIS]),
        ("amd", [ARCTURUS], [ARCTURUS]),
        ("cuda", NVIDIA_PAIR, [CUDA0]),
        ("cuda:0", NVIDIA_PAIR, [CUDA0]),
        ("cuda:1", NVIDIA_PAIR, [CUDA1]),
        ("CUDA:1", NVIDIA_PAIR, [CUDA1]),
        (" cuda:1 ", NVIDIA_PAIR, [CUDA1]),
        ("CUDA1", NVIDIA_PAIR, [CUDA1]),
        ("cuda1", NVIDIA_PAIR, [CUDA1]),
        ("NVIDIA RTX A6000", NVIDIA_PAIR, [CUDA1]),
        ("cuda:nvidia rtx a6000", NVIDIA_PAIR, [CUDA1]),
        ("vulkan:1", MIXED, [RADEON]),
        # GPT4All's word for Vulkan, and what people call the others.
        ("kompute", MIXED, [ARC]),
        ("hip", [ARCTURUS, CPU], [ARCTURUS]),
        ("rocm:0", [ARCTURUS, CPU], [ARCTURUS]),
        ("metal", [APPLE, CPU], [APPLE]),
        (["cuda:1", "cuda:0"], NVIDIA_PAIR, [CUDA1, CUDA0]),
        (("cuda", "vulkan:1"), MIXED, [CUDA0, RADEON]),
        (["cpu"], MIXED, []),
    ],
)
def test_what_is_chosen(
    wanted: str | list[str], machine: list[Device], chosen: list[Device]
) -> None:
    assert list(select(wanted, machine).offload) == chosen


@pytest.mark.parametrize(
    ("vendor", "description"),
    [
        ("nvidia", "NVIDIA A100-SXM4-80GB"),
        ("nvidia", "GeForce GTX 1080"),
        ("nvidia", "Quadro RTX 5000"),
        ("nvidia", "Tesla T4"),
        ("amd", "AMD Instinct MI300X"),
        ("amd", "Radeon RX 570 Series"),
        ("intel", "Intel(R) UHD Graphics 770"),
        ("intel", "Arc B580"),
    ],
)
def test_makers_by_the_words_that_drivers_use(vendor: str, description: str) -> None:
    card = device("GPU0", "some", description)
    assert select(vendor, [card, CPU]).offload == (card,)


@pytest.mark.parametrize(
    ("wanted", "machine", "message"),
    [
        ("gpu", PLAIN, r"no device 'gpu' here; available: CPU \(Some Processor\)"),
        (
            "cuda",
            LAPTOP,
            r"no device 'cuda' here; available: Vulkan0 \(Intel Iris Xe Graphics\), CPU",
        ),
        ("cuda:2", NVIDIA_PAIR, "no device 'cuda:2'.*CUDA0.*CUDA1"),
        ("nvidia", LAPTOP, "no device 'nvidia'"),
        # "Arcturus" is not Intel's Arc.
        ("intel", [ARCTURUS, CPU], "no device 'intel'"),
        ("", MIXED, "no device ''"),
        ("gpu:0", MIXED, "no device 'gpu:0'"),
        ("gpu", [], "available: none"),
        (["cuda:0", "cuda:7"], NVIDIA_PAIR, "no device 'cuda:7'"),
        (["cuda:0", "CUDA0"], NVIDIA_PAIR, r"\['cuda:0', 'CUDA0'\] names the same device twice"),
        (["auto", "gpu"], NVIDIA_PAIR, "names the same device twice"),
        ([], MIXED, r"must be a name or a list of names, got \[\]"),
        (None, MIXED, "must be a name or a list of names, got None"),
        (3, MIXED, "must be a name or a list of names, got 3"),
        ([0], MIXED, r"must be a name or a list of names, got \[0\]"),
    ],
)
def test_what_there_is_not(wanted: Any, machine: list[Device], message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        select(wanted, machine)


@pytest.mark.parametrize(
    ("wanted", "name", "backend"),
    [
        ("cpu", "CPU", "cpu"),
        ("cuda:1", "CUDA1", "cuda"),
        ("auto", "CUDA0+CUDA1", "cuda"),
        (["cuda:1", "cuda:0"], "CUDA1+CUDA0", "cuda"),
    ],
)
def test_what_the_model_says_of_it(wanted: str | list[str], name: str, backend: str) -> None:
    choice = select(wanted, NVIDIA_PAIR)
    assert (choice.device, choice.backend) == (name, backend)


def test_the_devices_of_this_machine() -> None:
    found = devices()
    cpu = next(each for each in found if each.type == "cpu")
    assert (cpu.name, cpu.backend, cpu.index) == ("CPU", "cpu", 0)
    assert 0 < cpu.memory_free <= cpu.memory_total
    for each in found:
        # Whatever is listed can be asked for, by its name and by its backend's number.
        if each.type != "cpu":
            assert select(each.name, found).offload == (each,)
            assert select(f"{each.backend}:{each.index}", found).offload == (each,)

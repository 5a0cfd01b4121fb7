"""Machines as ``devices()`` would list them; none of their hardware is needed."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from llmlocal import Device

GB = 10**9


def device(
    name: str,
    backend: str,
    description: str,
    *,
    type: Literal["cpu", "gpu", "igpu", "accel"] = "gpu",
    total: int = 8 * GB,
    free: int | None = None,
    pci_id: str | None = None,
) -> Device:
    return Device(
        name, backend, 0, description, type, total if free is None else free, total, pci_id
    )


def machine(*devices: Device) -> list[Device]:
    """The devices with their places among those of the same backend."""
    return [
        replace(each, index=sum(other.backend == each.backend for other in devices[:place]))
        for place, each in enumerate(devices)
    ]


CPU = device("CPU", "cpu", "AMD EPYC 9B45", type="cpu", total=24 * GB)
GTX = device("CUDA0", "cuda", "NVIDIA GeForce GTX 1060", total=6 * GB, pci_id="0000:01:00.0")
L4 = device("CUDA1", "cuda", "NVIDIA L4", total=24 * GB, pci_id="0000:02:00.0")
GTX_BY_VULKAN = replace(GTX, name="Vulkan0", backend="vulkan")
INTEL = device("Vulkan0", "vulkan", "Intel(R) Iris(R) Xe Graphics", type="igpu", total=16 * GB)
RADEON = device("Vulkan1", "vulkan", "AMD Radeon RX 7600 (RADV NAVI33)", pci_id="0000:03:00.0")
REMOTE = [
    device(f"RPC{place}", "rpc", f"10.0.0.{5 + place}:50052", total=16 * GB) for place in (0, 1)
]

MACHINES = {
    "a CPU alone": machine(CPU),
    "a CPU with BLAS": machine(device("BLAS", "blas", "OpenBLAS", type="accel"), CPU),
    "one NVIDIA card": machine(GTX, CPU),
    "one NVIDIA card, two backends for it": machine(GTX, GTX_BY_VULKAN, CPU),
    "two NVIDIA cards": machine(GTX, L4, CPU),
    "a laptop's integrated GPU": machine(INTEL, CPU),
    "an integrated GPU and an AMD card": machine(INTEL, RADEON, CPU),
    "an AMD card with ROCm": machine(device("ROCm0", "hip", "AMD Radeon RX 7600"), CPU),
    "a Mac": machine(device("MTL0", "metal", "Apple M3 Pro"), CPU),
    "two RPC servers": machine(*REMOTE, CPU),
    "an RPC server and an NVIDIA card": machine(REMOTE[0], GTX, CPU),
    "an RPC server and an integrated GPU": machine(REMOTE[0], INTEL, CPU),
}

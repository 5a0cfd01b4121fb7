"""How much memory a loaded model takes on each device, by what llama.cpp says it allocated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["MemoryUse", "memory_by_device"]


@dataclass(frozen=True)
class MemoryUse:
    """Bytes on one device.

    Attributes:
        weights: The model's; in the main memory they may be a mapping of the file.
        context: Keys, values and states of the requests, and the work space of a step.
        prefixes: Evaluated prefixes that are kept for later requests.
    """

    weights: int = 0
    context: int = 0
    prefixes: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.context + self.prefixes


def memory_by_device(
    weights: Mapping[str, int],
    context: Mapping[str, int],
    prefixes: int,
    buffers: Mapping[str, str],
) -> dict[str, MemoryUse]:
    """Add up buffers by device.

    Args:
        weights: Bytes by the name of a kind of buffer.
        context: The same.
        prefixes: Bytes in the main memory.
        buffers: What each device calls its buffers; all others are in the main memory, also those
            that a GPU's driver manages there.

    Returns:
        By the device's name, ``"CPU"`` first.
    """

    def home_of(buffer: str) -> str:
        for device, own in buffers.items():
            if buffer == own or buffer.startswith(f"{own}_"):
                return device
        return "CPU"

    def sum_of(sizes: Mapping[str, int], device: str) -> int:
        return sum(size for buffer, size in sizes.items() if home_of(buffer) == device)

    return {
        device: MemoryUse(
            sum_of(weights, device),
            sum_of(context, device),
            prefixes if device == "CPU" else 0,
        )
        for device in ("CPU", *buffers)
    }

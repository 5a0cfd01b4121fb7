"""The compute devices there are, and which of them a ``device=`` argument means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from llmlocal.errors import DeviceError

__all__ = ["Device", "DeviceChoice", "devices", "select"]


@dataclass(frozen=True)
class Device:
    """A device that a model, or a part of it, can run on.

    Attributes:
        name: What ``device=`` calls it, such as ``"CUDA0"`` or ``"CPU"``.
        backend: The software that drives it: ``"cuda"``, ``"vulkan"``, ``"cpu"``, ...
        index: Its place among the devices of that backend, from 0.
        description: What its maker calls it.
        type: ``"cpu"``, ``"gpu"``, ``"igpu"`` (shares the main memory) or ``"accel"``.
        memory_free: Free memory in bytes, at the time of the call.
        memory_total: Memory in bytes.
        pci_id: Its PCI address, or None.
    """

    name: str
    backend: str
    index: int
    description: str
    type: Literal["cpu", "gpu", "igpu", "accel"]
    memory_free: int
    memory_total: int
    pci_id: str | None


@dataclass(frozen=True)
class DeviceChoice:
    """What a ``device=`` argument came to.

    Attributes:
        offload: The devices that take layers of the model; none means the CPU alone.
    """

    offload: tuple[Device, ...]

    @property
    def device(self) -> str:
        return "+".join(device.name for device in self.offload) or "CPU"

    @property
    def backend(self) -> str:
        return self.offload[0].backend if self.offload else "cpu"


def devices() -> list[Device]:
    """All devices that llmlocal can use here; the CPU is always among them.

    Example:
        >>> from llmlocal import devices
        >>> "cpu" in {device.type for device in devices()}
        True
    """
    from llmlocal import _core, _runtime

    _runtime.start()
    found: list[Device] = []
    for info in _core.list_devices():
        backend = info.backend.lower()
        index = sum(device.backend == backend for device in found)
        found.append(
            Device(
                name=info.name,
                backend=backend,
                index=index,
                description=info.description,
                type=info.type,  # type: ignore[arg-type]  # the extension knows just these four
                memory_free=info.memory_free,
                memory_total=info.memory_total,
                pci_id=info.pci_id or None,
            )
        )
    return found


# Words, as a whole, of a device's description.
_VENDORS = {
    "nvidia": {"nvidia", "geforce", "quadro", "tesla"},
    "amd": {"amd", "radeon"},
    "intel": {"intel", "arc"},
}
# Names of the same thing: what GPT4All called kompute is Vulkan today.
_ALIASES = {"kompute": "vulkan", "rocm": "hip", "mtl": "metal"}


def select(wanted: str | Sequence[str], available: Sequence[Device]) -> DeviceChoice:
    """Decide which devices a ``device=`` argument means.

    Args:
        wanted: ``"auto"``, ``"cpu"``, ``"gpu"``, a vendor, a backend, ``"backend:index"``,
            ``"backend:name"``, a device's name, or a list of these.
        available: What there is.

    Raises:
        DeviceError: Nothing there answers to the name; the message lists what does.
    """
    if not isinstance(wanted, str):
        return _select_several(wanted, available)
    name = wanted.strip().lower()
    if name == "cpu":
        return DeviceChoice(())
    gpus = [device for device in available if device.type == "gpu"]
    gpus = gpus or [device for device in available if device.type == "igpu"]
    if name == "auto":
        return DeviceChoice(tuple(gpus))
    matches = gpus if name == "gpu" else [d for d in available if _answers_to(d, name)]
    if not matches:
        raise DeviceError(f"there is no device {wanted!r}; {_what_there_is(available)}")
    return DeviceChoice(tuple(matches[:1]))


def _select_several(wanted: object, available: Sequence[Device]) -> DeviceChoice:
    if not isinstance(wanted, Sequence) or not wanted:
        raise DeviceError(f"device must be a name or a list of names, got {wanted!r}")
    chosen = [device for each in wanted for device in select(each, available).offload]
    if len(set(chosen)) != len(chosen):
        raise DeviceError(f"device={list(wanted)!r} names a device twice")
    return DeviceChoice(tuple(chosen))


def _answers_to(device: Device, name: str) -> bool:
    if device.type == "cpu" or not name:  # A device may have no description.
        return False
    if name in (device.name.lower(), device.description.lower()):
        return True
    if name in _VENDORS:
        return not _VENDORS[name].isdisjoint(re.findall("[a-z]+", device.description.lower()))
    backend, _, which = name.partition(":")
    if _ALIASES.get(backend, backend) != _ALIASES.get(device.backend, device.backend):
        return False
    return which in ("", str(device.index), device.name.lower(), device.description.lower())


def _what_there_is(available: Sequence[Device]) -> str:
    names = [f"{device.name} ({device.description})" for device in available]
    return "there is " + ", ".join(names) if names else "there are no devices at all"

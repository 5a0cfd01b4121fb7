"""The compute devices there are, and which of them a ``device=`` argument means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from llmlocal._quote import quote
from llmlocal.errors import DeviceError

if TYPE_CHECKING:
    from llmlocal import _core

__all__ = ["Device", "DeviceChoice", "devices", "find_devices", "select", "shortage", "wants_gpus"]


@dataclass(frozen=True)
class Device:
    """A device that a model, or a part of it, can run on.

    Attributes:
        name: What ``device=`` calls it, such as ``"CUDA0"`` or ``"CPU"``.
        backend: The software that drives it: ``"cuda"``, ``"vulkan"``, ``"rpc"``, ``"cpu"``, ...
        index: Its place among the devices of that backend, from 0.
        description: What its maker calls it; of a remote device the address of its server.
        type: ``"cpu"``, ``"gpu"``, ``"igpu"`` (shares the main memory) or ``"accel"`` (helps the CPU
            and can't be chosen).
        memory_free: Free memory in bytes, at the time of the call; 0 if it does not tell.
        memory_total: Memory in bytes; 0 if it does not tell.
        pci_id: Its PCI address, such as ``"0000:c1:00.0"``, or None.
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
        is_named: Whether they were asked for, so that doing without them would be wrong.
    """

    offload: tuple[Device, ...]
    is_named: bool = True

    @property
    def device(self) -> str:
        return "+".join(device.name for device in self.offload) or "CPU"

    @property
    def backend(self) -> str:
        return self.offload[0].backend if self.offload else "cpu"


def devices(rpc_servers: Sequence[str] = ()) -> list[Device]:
    """All devices that llmlocal can use here; the CPU is always among them.

    Where there is no GPU the list has none, which is not an error.

    Args:
        rpc_servers: Servers whose devices to list too, as ``"host:port"``.

    Raises:
        DeviceError: An RPC server does not answer, or is of another version.

    Example:
        >>> from llmlocal import devices
        >>> "cpu" in {device.type for device in devices()}
        True
    """
    from llmlocal._devices import _runtime

    _runtime.start_gpus()
    return find_devices(rpc_servers)


def find_devices(rpc_servers: Sequence[str]) -> list[Device]:
    """The devices of these servers and of the backends that were started, in this order."""
    from llmlocal import _core
    from llmlocal._devices._rpc import CONNECT_S, parse_servers, stall_limit

    infos: list[_core.DeviceInfo] = []
    for server in parse_servers(rpc_servers):
        infos += _core.rpc_devices(
            server.host, server.port, connect_s=CONNECT_S, stall_s=stall_limit()
        )
    return _numbered([*infos, *_core.list_devices()])


def _numbered(infos: Iterable[_core.DeviceInfo]) -> list[Device]:
    found: list[Device] = []
    for info in infos:
        backend = _ALIASES.get(info.backend.lower(), info.backend.lower())
        found.append(
            Device(
                name=info.name,
                backend=backend,
                index=sum(device.backend == backend for device in found),
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
# Names of the same thing: what GPT4All called kompute is Vulkan today, and Metal calls itself MTL.
_ALIASES = {"kompute": "vulkan", "rocm": "hip", "mtl": "metal"}
_PLUGINS = ("cuda", "vulkan", "hip", "sycl", "metal")


def wants_gpus(wanted: object) -> bool:
    """Whether a ``device=`` argument may mean a GPU of this machine, so that drivers must start."""
    if isinstance(wanted, str):
        name = wanted.strip().lower()
        return name != "cpu" and not name.startswith("rpc")
    if not isinstance(wanted, Sequence):
        return True
    return any(isinstance(each, str) and wants_gpus(each) for each in wanted)


def select(
    wanted: object,
    available: Sequence[Device],
    problems: Sequence[object] = (),
) -> DeviceChoice:
    """Decide which devices a ``device=`` argument means.

    Args:
        wanted: ``"auto"`` (all GPUs, or the CPU where there is none), ``"cpu"``, ``"gpu"`` (the one
            with the most memory), a vendor, a backend, ``"backend:index"``, ``"backend:name"``, a
            device's name, or a list of these to split a model over several.
        available: What there is.
        problems: Why some backends are not in use, for the error message.

    Raises:
        DeviceError: Nothing there answers to the name; the message lists what does.
    """
    if isinstance(wanted, str):
        return _select_one(wanted, available, problems)
    names = list(wanted) if isinstance(wanted, Sequence) else []
    if not names or not all(isinstance(each, str) for each in names):
        raise DeviceError(f"device must be a name or a list of names, got {quote(wanted)}")
    wanted = names
    if len(wanted) == 1:
        return select(wanted[0], available, problems)
    chosen: list[Device] = []
    for each in wanted:
        part = select(each, available, problems).offload
        if not part:
            raise DeviceError(
                f"device={quote(list(wanted))}: the CPU takes the layers that the others do not, so it can't be listed "
                "with them; n_gpu_layers says how much that is"
            )
        chosen += part
    if len(set(chosen)) != len(chosen):
        raise DeviceError(f"device={quote(list(wanted))} names the same device twice")
    return DeviceChoice(tuple(chosen))


def _select_one(
    wanted: str, available: Sequence[Device], problems: Sequence[object]
) -> DeviceChoice:
    name = wanted.strip().lower()
    if name == "cpu":
        return DeviceChoice(())
    gpus = _distinct([device for device in available if device.type in {"gpu", "igpu"}])
    if name == "auto":
        return DeviceChoice(tuple(_without_igpus(gpus)), is_named=False)
    if name == "gpu":
        # The first of the largest; shared memory only where there is no other.
        matches = sorted(_without_igpus(gpus), key=_total, reverse=True)
    else:
        matches = [device for device in available if _answers_to(device, name)]
    if not matches:
        raise DeviceError(_nothing_answers(wanted, available, problems))
    if matches[0].type == "accel":
        raise DeviceError(f"{matches[0].name} is used by the CPU on its own and can't be chosen")
    return DeviceChoice(tuple(matches[:1]))


def _total(device: Device) -> int:
    return device.memory_total


def _distinct(gpus: Sequence[Device]) -> list[Device]:
    """Without those that an earlier backend drives too."""
    ids = [device.pci_id for device in gpus]
    return [
        device
        for place, device in enumerate(gpus)
        if device.pci_id is None or device.pci_id not in ids[:place]
    ]


def _without_igpus(gpus: Sequence[Device]) -> list[Device]:
    """Integrated ones only where this machine has no other; remote ones don't count for that."""
    has_other = any(device.type == "gpu" and device.backend != "rpc" for device in gpus)
    integrated = [device for device in gpus if device.type == "igpu"]
    first_backend = integrated[0].backend if integrated and not has_other else None
    return [device for device in gpus if device.type == "gpu" or device.backend == first_backend]


def _answers_to(device: Device, name: str) -> bool:
    if device.type == "cpu" or not name:
        return False
    if name in (device.name.lower(), device.description.lower()):
        return True
    if name in _VENDORS:
        return not _VENDORS[name].isdisjoint(re.findall("[a-z]+", device.description.lower()))
    backend, _, which = name.partition(":")
    if _ALIASES.get(backend, backend) != _ALIASES.get(device.backend, device.backend):
        return False
    return which in ("", str(device.index), device.name.lower(), device.description.lower())


def _nothing_answers(wanted: str, available: Sequence[Device], problems: Sequence[object]) -> str:
    names = [f"{device.name} ({device.description})" for device in available]
    message = f"no device {quote(wanted)} here; available: {', '.join(names) or 'none'}"
    backend = wanted.strip().lower().partition(":")[0]
    backend = _ALIASES.get(backend, backend)
    if backend == "rpc":
        message += "; rpc_servers=['host:port'] adds remote devices"
    elif backend in _PLUGINS and all(device.backend != backend for device in available):
        message += f"; the {backend} backend is not in use: is llmlocal-{backend} installed?"
    return "; not loaded: ".join([message, *map(str, problems)])


def shortage(needed: int, wanted: str, chosen: Sequence[Device]) -> str:
    """What to say where devices that were asked for are too small."""
    rooms = ", ".join(f"{device.name} has {_gigabytes(device.memory_free)}" for device in chosen)
    return f"{wanted} needs {_gigabytes(needed)}, but {rooms} free"


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"

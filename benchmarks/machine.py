"""What the measurements were taken on, and how quiet it was."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["Machine", "describe", "features_of"]

# Of the many flags, those for which llama.cpp has kernels.
_FEATURES: Sequence[str] = str.split(
    "avx avx2 fma f16c avx512f avx512bw avx512vl avx512_vnni avx512_bf16 avx512_vbmi avx_vnni "
    "amx_tile amx_int8 amx_bf16 asimd asimddp i8mm bf16 sve sve2 sme"
)


@dataclass(frozen=True)
class Machine:
    """A machine's facts; what the system does not tell is empty, 0 or None.

    Attributes:
        cpu: Its name.
        cores: CPUs that this process may use.
        features: Instruction sets that matter here.
        memory_bytes: All of it.
        governor: What decides on the clock's rate.
        turbo: Whether the clock may exceed its rated speed.
        load: Processes that wanted a CPU, mean of the last minute: near 0, or timings are noise.
        system: Kernel and distribution.
        python: Version of the interpreter.
    """

    cpu: str
    cores: int
    features: tuple[str, ...]
    memory_bytes: int
    governor: str
    turbo: bool | None
    load: float
    system: str
    python: str

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def describe() -> Machine:
    """This machine, now."""
    cpuinfo = _read(Path("/proc/cpuinfo"))
    return Machine(
        cpu=_field(cpuinfo, "model name") or platform.processor() or platform.machine(),
        cores=_cores(),
        features=features_of(cpuinfo),
        memory_bytes=_memory(),
        governor=_read(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")).strip(),
        turbo=_turbo(),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
        system=platform.platform(),
        python=platform.python_version(),
    )


def features_of(cpuinfo: str) -> tuple[str, ...]:
    """Those of the features that /proc/cpuinfo lists."""
    found = set((_field(cpuinfo, "flags") or _field(cpuinfo, "Features")).split())
    return tuple(feature for feature in _FEATURES if feature in found)


def _field(cpuinfo: str, name: str) -> str:
    found = re.search(rf"^{name}\s*: (.*)$", cpuinfo, re.MULTILINE)
    return found[1].strip() if found else ""


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def _turbo() -> bool | None:
    if no_turbo := _read(Path("/sys/devices/system/cpu/intel_pstate/no_turbo")).strip():
        return no_turbo == "0"
    if boost := _read(Path("/sys/devices/system/cpu/cpufreq/boost")).strip():
        return boost == "1"
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""

"""How much memory this machine has, and how much of it a model could have now."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

__all__ = ["available_bytes", "total_bytes"]

_CGROUP = Path("/sys/fs/cgroup")


def total_bytes() -> int | None:
    """Memory of the machine, or of the container that this runs in; None where unknown."""
    if sys.platform == "win32":  # pragma: no cover - only there
        return _windows_status()[0]
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):  # pragma: no cover - no such name on this system
        return None
    limit = _cgroup_number("memory.max")
    return total if limit is None else min(total, limit)


def available_bytes() -> int | None:
    """Memory that can be taken now without anything being swapped out; None where unknown."""
    if sys.platform == "win32":  # pragma: no cover - only there
        return _windows_status()[1]
    if sys.platform == "darwin":  # pragma: no cover - only there
        return _darwin_available()
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        available = int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError):
        return total_bytes()
    limit, used = _cgroup_number("memory.max"), _cgroup_number("memory.current")
    if limit is not None and used is not None:
        available = min(available, max(limit - used, 0))
    return available


def _cgroup_number(name: str) -> int | None:
    try:
        text = (_CGROUP / name).read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def _darwin_available() -> int | None:  # pragma: no cover - only there
    try:
        output = subprocess.run(
            ["/usr/bin/vm_stat"], capture_output=True, text=True, check=True, timeout=5
        ).stdout
        pages = dict(line.split(":", 1) for line in output.splitlines()[1:] if ":" in line)
        names = ("Pages free", "Pages inactive", "Pages speculative", "Pages purgeable")
        free = sum(int(pages[name].strip(" .")) for name in names)
        return free * os.sysconf("SC_PAGE_SIZE")
    except (OSError, subprocess.SubprocessError, ValueError, KeyError):
        return total_bytes()


def _windows_status() -> tuple[int | None, int | None]:  # pragma: no cover - only there
    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_uint32),
            ("load", ctypes.c_uint32),
            ("total_physical", ctypes.c_uint64),
            ("available_physical", ctypes.c_uint64),
            ("rest", ctypes.c_uint64 * 5),
        )

    status = Status(length=ctypes.sizeof(Status))
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 - absent elsewhere
    if not kernel.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None, None
    return status.total_physical, status.available_physical

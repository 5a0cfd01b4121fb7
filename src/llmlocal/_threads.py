"""How many threads this process should compute with.

The physical cores that it may run on, capped by the CPU quota of its control groups: more threads
than that wait for each other at every step.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

__all__ = ["default_threads"]


def default_threads() -> int:
    """The physical cores available to this process, at least 1."""
    cores = _physical_cores(_allowed_cpus())
    quota = _cgroup_quota()
    return max(1, cores if quota is None else min(cores, math.ceil(quota)))


def _allowed_cpus() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _physical_cores(cpus: list[int], sys_cpu: Path = Path("/sys/devices/system/cpu")) -> int:
    """Cores behind these logical CPUs: those that share a core count once."""
    cores = set()
    for cpu in cpus:
        siblings = sys_cpu / f"cpu{cpu}" / "topology" / "thread_siblings_list"
        try:
            cores.add(siblings.read_text().strip())
        except OSError:
            # Not Linux, or not told: each logical CPU is taken for a core.
            cores.add(str(cpu))
    return len(cores)


def _cgroup_quota(
    membership: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")
) -> float | None:
    """CPUs' worth of time that the control groups grant, or None where there is no limit."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return None
    own = next((line[3:].lstrip("/") for line in lines if line.startswith("0::")), "")
    group = root / own
    limits = [_quota_of(each) for each in (group, *group.parents) if each.is_relative_to(root)]
    return min((limit for limit in limits if limit is not None), default=None)


def _quota_of(group: Path) -> float | None:
    try:
        quota, period = (group / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None

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
    limits = [_quota_of(group) for line in lines for group in _groups(line, root)]
    return min((limit for limit in limits if limit is not None), default=None)


def _groups(line: str, root: Path) -> list[Path]:
    """The folders of a group that can limit the CPU, and of all the groups that it is in.

    Args:
        line: Of /proc/self/cgroup, ``number:controllers:path``; version 2 names no controllers.
        root: Where the groups are mounted.
    """
    _, _, rest = line.partition(":")
    controllers, _, path = rest.partition(":")
    if controllers and "cpu" not in controllers.split(","):
        return []
    top = root / "cpu" if controllers else root
    # Inside a container the path may be the host's; the container's own limit is at the top.
    group = top / path.lstrip("/")
    return [each for each in (group, *group.parents) if each.is_relative_to(top)]


def _quota_of(group: Path) -> float | None:
    # Version 2 has both numbers in one file, version 1 in two.
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            quota, period = " ".join((group / name).read_text() for name in names).split()
            return None if quota in ("max", "-1") else int(quota) / int(period)
        except (OSError, ValueError):
            continue
    return None

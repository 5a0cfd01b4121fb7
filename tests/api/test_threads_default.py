"""The default number of threads, from made-up /sys and control group trees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmlocal import _threads
from llmlocal._threads import _cgroup_quota, _physical_cores, default_threads


def topology(root: Path, siblings: dict[int, str]) -> Path:
    for cpu, text in siblings.items():
        folder = root / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{text}\n")
    return root


def control_groups(root: Path, membership: str, files: dict[str, str]) -> tuple[Path, Path]:
    for name, text in files.items():
        path = root / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    (root / "membership").write_text(membership)
    return root / "membership", root / "cgroup"


@pytest.mark.parametrize(
    ("siblings", "allowed", "cores"),
    [
        ({0: "0", 1: "1"}, [0, 1], 2),
        ({0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}, [0, 1, 2, 3], 2),
        ({0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"}, [0, 1, 2, 3], 2),
        ({0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}, [0, 2], 1),
        ({0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}, [1, 2], 2),
        # Fast cores with two threads, slow ones with one.
        ({0: "0-1", 1: "0-1", 2: "2", 3: "3"}, [0, 1, 2, 3], 3),
        # What is not told is taken for a core.
        ({0: "0-1"}, [0, 1, 2], 3),
        ({}, [0, 1, 2, 3], 4),
    ],
)
def test_threads_of_one_core_count_once(
    siblings: dict[int, str], allowed: list[int], cores: int, tmp_path: Path
) -> None:
    assert _physical_cores(allowed, topology(tmp_path, siblings)) == cores


@pytest.mark.parametrize(
    ("membership", "files", "quota"),
    [
        # Version 2: one tree, one file.
        ("0::/app", {"app/cpu.max": "200000 100000"}, 2.0),
        ("0::/app", {"app/cpu.max": "150000 100000"}, 1.5),
        ("0::/app", {"app/cpu.max": "max 100000"}, None),
        ("0::/", {"cpu.max": "50000 100000"}, 0.5),
        ("0::/", {}, None),
        ("0::/app", {"app/cpu.max": "what is this"}, None),
        # The tightest limit of all the groups that it is in.
        ("0::/pod/app", {"pod/app/cpu.max": "max 100000", "pod/cpu.max": "300000 100000"}, 3.0),
        (
            "0::/pod/app",
            {"pod/app/cpu.max": "400000 100000", "pod/cpu.max": "100000 100000"},
            1.0,
        ),
        # A neighbour's limit is not ours.
        ("0::/app", {"other/cpu.max": "100000 100000"}, None),
        # Outside the group that is mounted here.
        ("0::/../../app", {"cpu.max": "200000 100000"}, 2.0),
        # Version 1: a tree for each controller, two files.
        (
            "5:memory:/app\n4:cpu,cpuacct:/app\n",
            {"cpu/app/cpu.cfs_quota_us": "200000", "cpu/app/cpu.cfs_period_us": "100000"},
            2.0,
        ),
        (
            "4:cpu,cpuacct:/app\n",
            {"cpu/app/cpu.cfs_quota_us": "-1", "cpu/app/cpu.cfs_period_us": "100000"},
            None,
        ),
        (
            "4:cpu,cpuacct:/of/the/host\n",
            {"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"},
            3.0,
        ),
        (
            "4:cpuset:/app\n",
            {"cpu/app/cpu.cfs_quota_us": "200000", "cpu/app/cpu.cfs_period_us": "100000"},
            None,
        ),
        # Both at once, as systemd's hybrid mode has it.
        (
            "4:cpu,cpuacct:/app\n0::/app\n",
            {"cpu/app/cpu.cfs_quota_us": "200000", "cpu/app/cpu.cfs_period_us": "100000"},
            2.0,
        ),
    ],
)
def test_quota_of_the_control_groups(
    membership: str, files: dict[str, str], quota: float | None, tmp_path: Path
) -> None:
    assert _cgroup_quota(*control_groups(tmp_path, membership, files)) == quota


def test_no_control_groups_no_quota(tmp_path: Path) -> None:
    assert _cgroup_quota(tmp_path / "nothing", tmp_path) is None


@pytest.mark.parametrize(
    ("cores", "quota", "threads"),
    [(8, None, 8), (8, 4.0, 4), (8, 2.5, 3), (8, 0.5, 1), (2, 16.0, 2), (0, None, 1)],
)
def test_cores_capped_by_the_quota(
    cores: int, quota: float | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_threads, "_physical_cores", lambda _cpus: cores)
    monkeypatch.setattr(_threads, "_cgroup_quota", lambda: quota)
    assert default_threads() == threads


def test_only_cpus_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    cores_of = {(1, 3): 7}
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {3, 1}, raising=False)
    monkeypatch.setattr(_threads, "_physical_cores", lambda cpus: cores_of[tuple(cpus)])
    monkeypatch.setattr(_threads, "_cgroup_quota", lambda: None)
    assert default_threads() == 7


def test_a_system_without_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    monkeypatch.setattr(_threads, "_physical_cores", len)
    monkeypatch.setattr(_threads, "_cgroup_quota", lambda: None)
    assert default_threads() == 6

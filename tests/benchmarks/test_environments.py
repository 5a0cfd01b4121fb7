from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.environments import PEERS, is_made, miscompiles_amx, peer_python
from benchmarks.machine import describe, features_of
from benchmarks.pin import pinned_commit, pinned_requirement
from benchmarks.systems import ALL, LIMIT, OURS, command

DEBIAN = "c++ (Debian 12.2.0-14+deb12u1) 12.2.0"


@pytest.mark.parametrize(
    ("version", "machine", "expected"),
    [
        (DEBIAN, "x86_64", True),
        ("g++ (GCC) 12.4.0", "x86_64", False),
        ("g++ (GCC) 11.4.0", "x86_64", True),
        ("g++ (GCC) 10.2.1", "x86_64", False),
        ("g++ (GCC) 13.2.0", "AMD64", True),
        ("g++ (GCC) 13.3.0", "x86_64", False),
        ("g++ (GCC) 14.1.0", "x86_64", False),
        (DEBIAN, "aarch64", False),
        ("Debian clang version 12.0.1", "x86_64", False),
        ("", "x86_64", False),
    ],
)
def test_amx_is_left_out_where_the_compiler_breaks_it(
    version: str, machine: str, expected: bool
) -> None:
    assert miscompiles_amx(version, machine) is expected


def test_an_environment_counts_as_made_only_when_it_is_complete(tmp_path: Path) -> None:
    peer = PEERS["gpt4all"]
    python = peer_python(peer, tmp_path)
    python.parent.mkdir(parents=True)
    python.touch()
    assert not is_made(peer, tmp_path)


def test_every_system_has_an_adapter() -> None:
    adapters = Path(__file__).resolve().parents[2] / "benchmarks" / "adapters"
    names = {system.replace("-", "_") for system in ALL}
    assert names <= {path.stem for path in adapters.glob("*.py")}
    assert {OURS, LIMIT} <= set(ALL)


def test_the_peer_that_carries_llama_cpp_is_the_pinned_one() -> None:
    assert PEERS["llama-cpp-python"].requirements == (pinned_requirement(),)
    assert pinned_requirement().startswith("llama-cpp-python==")
    assert len(pinned_commit()) == 40


def test_our_own_system_needs_nothing_made() -> None:
    assert command(OURS)[1:] == ["-m", "benchmarks.adapters.llmlocal"]


def test_only_features_with_kernels_are_listed() -> None:
    cpuinfo = "model name\t: A CPU\nflags\t\t: fpu sse2 avx avx2 avx512_vnni amx_int8 rdtscp\n"
    assert features_of(cpuinfo) == ("avx", "avx2", "avx512_vnni", "amx_int8")
    assert features_of("Features\t: fp asimd i8mm sve\n") == ("asimd", "i8mm", "sve")
    assert features_of("") == ()


def test_this_machine_can_be_described() -> None:
    machine = describe()
    assert machine.cpu
    assert machine.cores >= 1

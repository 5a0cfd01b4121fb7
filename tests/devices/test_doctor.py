"""``llmlocal doctor``, ``devices`` and ``rpc-server``: what they print, and how they end."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import llmlocal
from llmlocal._devices import _runtime
from llmlocal._devices._plugins import Skipped
from llmlocal._doctor import CpuKernels, cpu_features, cpu_kernels
from llmlocal._threads import default_threads
from llmlocal.cli import main
from llmlocal.cli._table import aligned
from llmlocal.cli.devices import device_cells
from llmlocal.cli.doctor import kernel_lines

from ..conftest import TinyPath
from .machines import MACHINES


def test_the_devices_command_lists_what_devices_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in told] == [each.name for each in llmlocal.devices()]
    assert set(told[0]) == set(llmlocal.Device.__dataclass_fields__)


def test_the_devices_command_asks_servers(
    two_servers: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["devices", "--rpc-server", two_servers[0]]) == 0
    assert two_servers[0] in capsys.readouterr().out


def test_a_table_of_devices_has_what_device_takes() -> None:
    header, *rows = aligned(device_cells(MACHINES["two NVIDIA cards"]))
    assert header.split()[:3] == ["NAME", "DEVICE=", "TYPE"]
    assert rows[1].split()[:7] == ["CUDA1", "cuda:1", "gpu", "24.0", "GB", "24.0", "GB"]
    assert (
        len({line.index(word) for line, word in zip(rows, ("gpu", "gpu", "cpu"), strict=True)}) == 2
    )


def test_the_doctor_tells_what_there_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = Skipped("llmlocal-cuda", "libcuda.so.1: cannot open shared object file")
    monkeypatch.setattr(_runtime, "start_gpus", lambda: (problem,))
    assert main(["doctor", "--no-test"]) == 0
    text = capsys.readouterr().out
    assert f"llmlocal  {llmlocal.__version__}" in text
    assert str(problem) in text
    assert f"\nthreads\n  {default_threads()}, of " in text
    assert str(llmlocal.models.models_folder()) in text
    assert "self-test" not in text


def test_the_doctor_runs_a_model(tiny_path: TinyPath, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(tiny_path("llama"))]) == 0
    assert "ok: tiny-llama.gguf on CPU, loaded in" in capsys.readouterr().out


def test_the_doctor_says_when_a_model_does_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    assert main(["doctor", str(broken)]) == 1
    assert "FAILED" in capsys.readouterr().out


def test_features_are_those_of_the_cpu_that_are_on() -> None:
    text = "CUDA : ARCHS = 890 | CPU : AVX = 1 | AVX2 = 0 | FMA = 1 | Metal : EMBED = 1 | "
    assert cpu_features(text) == ("AVX", "FMA")
    assert cpu_features("") == ()


def test_kernels_are_told_with_those_that_were_not_chosen() -> None:
    def library(name: str, *, fits: bool, problem: str = "", is_loaded: bool = False) -> Any:
        path = f"/lib/libggml-cpu-{name}.so"
        return SimpleNamespace(path=path, fits=fits, problem=problem, is_loaded=is_loaded)

    best = library("zen4", fits=True, problem="no library")
    used = library("haswell", fits=True, is_loaded=True)
    rest = [library("x64", fits=True), library("alderlake", fits=False)]
    kernels = cpu_kernels([best, used, *rest])
    assert kernels == CpuKernels(Path("/lib/libggml-cpu-haswell.so"), ("x64",), ("alderlake",))
    assert kernel_lines(kernels) == [
        "libggml-cpu-haswell.so, the best for this CPU of 3 builds",
        "none of them our own",
        "it could also run x64",
        "it lacks instructions for alderlake",
    ]
    assert cpu_kernels([]) == CpuKernels(None)
    assert "linked in" in kernel_lines(CpuKernels(None))[0]
    own = kernel_lines(cpu_kernels([], "AVX2"))[1]
    assert own == "llmlocal's own among them, for AVX2"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "gpu-box"], "--host must be an IPv4 address"),
        (["--port", "0"], "--port must be 1 to 65535"),
        (["--threads", "0"], "--threads must be 1 to 512"),
        (["--device", "tpu"], "no device 'tpu' here"),
        (["--host", "203.0.113.1", "--port", "50052"], "can't listen on 203.0.113.1:50052"),
    ],
)
def test_a_server_that_can_not_start_says_why(
    arguments: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["rpc-server", *arguments]) in {1, 2}
    assert message in capfd.readouterr().err

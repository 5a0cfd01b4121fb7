"""``llmlocal serve``: a process of its own, asked over its socket, ended by signals."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from llmlocal import ModelPool
from llmlocal.cli import main
from llmlocal.cli.serve import first_command, is_loopback
from llmlocal.server._run import listen

from ..conftest import TinyPath
from ..embeddings import tiny_bert
from .conftest import Serve


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize("ending", ["SIGTERM", "SIGINT"])
def test_it_serves_until_it_is_told_to_stop(tiny_path: TinyPath, ending: str) -> None:
    command = [sys.executable, "-m", "llmlocal", "serve", str(tiny_path("llama"))]
    command += ["--port", "0", "--n-ctx", "256", "--device", "cpu", "--alias", "gpt-4o"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            found = re.fullmatch(r"Serving tiny-llama at (http://127\.0\.0\.1:\d+)\n", line)
            assert found, line
            body = {
                "model": "gpt-4o",
                "messages": [{"role": "user", "content": "x"}],
                "max_tokens": 2,
            }
            got = httpx.post(
                f"{found[1]}/v1/chat/completions", json=body, trust_env=False, timeout=60
            )
            assert got.status_code == 200
            process.send_signal(signal.Signals[ending])
            assert process.wait(30) in (0, 130, -signal.Signals[ending])
            assert process.stderr
            errors = process.stderr.read()
            assert f"Chat: {found[1]}/\n" in errors
            assert f"Try: curl {found[1]}/v1/chat/completions" in errors
            assert "Traceback" not in errors
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "lets other machines in: give an --api-key, or say --insecure"),
        (["--api-key", ""], "api_key must not be empty"),
        (["--port", "70000"], "--port must be 0 to 65535, got 70000"),
        (["--alias", "x=nothing"], "the alias 'x'"),
    ],
)
def test_what_it_refuses(
    tiny_path: TinyPath, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", str(tiny_path("llama")), *arguments]) != 0
    assert message in capsys.readouterr().err


def test_an_empty_key_in_the_environment_is_none(
    tiny_path: TinyPath, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A container has it where nobody set one."""
    monkeypatch.setenv("LLMLOCAL_API_KEY", "")
    assert main(["serve", str(tiny_path("llama")), "--host", "0.0.0.0"]) != 0
    assert "lets other machines in" in capsys.readouterr().err
    taken = listen("127.0.0.1", 0)
    port = taken.getsockname()[1]
    assert main(["serve", str(tiny_path("llama")), "--port", str(port)]) == 1
    taken.close()
    assert "can't listen" in capsys.readouterr().err  # and not "must not be empty"


def test_a_port_that_is_taken(tiny_path: TinyPath, capsys: pytest.CaptureFixture[str]) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", str(tiny_path("llama")), "--port", str(port)]) == 1
    assert f"can't listen on 127.0.0.1:{port}" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["soon", "-3", "3 days", ""])
def test_times_that_are_none(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "model", f"--keep-alive={value}"])
    assert "is not a time such as 30s" in capsys.readouterr().err


@pytest.mark.parametrize("api_key", [None, "sesame"])
@pytest.mark.parametrize("kind", ["models", "embedders", "rerankers"])
def test_the_first_command_to_try_works(
    kind: str, api_key: str | None, tiny_path: TinyPath, tmp_path: Path, serve: Serve
) -> None:
    tiny_bert.embedder().write(tmp_path / "embedders.gguf")
    tiny_bert.cross_encoder().write(tmp_path / "rerankers.gguf")
    path = tiny_path("llama") if kind == "models" else tmp_path / f"{kind}.gguf"
    models: dict[str, Any] = {"models": (), kind: [path], "device": "cpu", "n_ctx": 256}
    with ModelPool(**models) as pool:
        served = serve(pool, api_key=api_key)
        command = first_command(served.url, pool, has_key=api_key is not None)
        curl, url, *rest = shlex.split(command.replace("$LLMLOCAL_API_KEY", "sesame"))
        assert (curl, rest[-2]) == ("curl", "-d")
        headers = dict(each.split(": ") for each in rest[1:-2:2])
        got = httpx.post(url, content=rest[-1], headers=headers, trust_env=False, timeout=60)
    assert got.status_code == 200, got.text


def test_which_addresses_stay_on_this_machine() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.9.1", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.2", "example.org", "")))

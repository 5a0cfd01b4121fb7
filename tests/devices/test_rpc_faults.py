"""Servers that are dead, slow, strangers or lost: an error in bounded time, and the process lives."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time

import pytest

from llmlocal import DeviceError, EngineError, devices
from llmlocal._devices._rpc import CONNECT_S, STALL_VARIABLE

from ..conftest import OpenTiny
from .servers import RpcServer, ScriptedServer, free_port, greet, read_request, reply

pytestmark = pytest.mark.timeout(120)


def test_a_dead_server(open_tiny: OpenTiny) -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(DeviceError, match=f"{address} can't be used: connection refused"):
        open_tiny(device="auto", rpc_servers=[address])


def test_a_host_that_does_not_exist() -> None:
    with pytest.raises(DeviceError, match=r"there is no host nowhere\.invalid"):
        devices(["nowhere.invalid:1"])


def test_a_silent_server_is_given_up_after_the_limit() -> None:
    with ScriptedServer(lambda _: None) as silent:
        start = time.monotonic()
        with pytest.raises(DeviceError, match=r"no answer within 5 s .*one client at a time"):
            devices([silent.address])
        assert time.monotonic() - start < 2 * CONNECT_S


def test_a_server_of_another_version() -> None:
    with (
        ScriptedServer(lambda connection: greet(connection, (6, 2, 0))) as other,
        pytest.raises(DeviceError, match=r"version 6\.2 of the protocol, which must be 7\.0"),
    ):
        devices([other.address])


def test_another_kind_of_server() -> None:
    page = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
    with (
        ScriptedServer(lambda connection: connection.sendall(page)) as web,
        pytest.raises(DeviceError, match="no RPC server of ggml's"),
    ):
        devices([web.address])


def test_a_server_that_hangs_up() -> None:
    with (
        ScriptedServer(lambda connection: connection.close()) as rude,
        pytest.raises(DeviceError, match="can't be used"),
    ):
        devices([rude.address])


def test_a_server_without_devices() -> None:
    def answer(connection: socket.socket) -> None:
        greet(connection)
        read_request(connection)
        reply(connection, bytes(4))

    with (
        ScriptedServer(answer) as empty,
        pytest.raises(DeviceError, match="it has no devices"),
    ):
        devices([empty.address])


def test_a_server_that_breaks_off_after_the_first_questions() -> None:
    """It passes the probe and is lost when ggml itself asks, where ggml would abort."""
    answered: list[bool] = []

    def answer(connection: socket.socket) -> None:
        greet(connection)
        if answered:
            connection.close()
            return
        answered.append(True)
        read_request(connection)
        reply(connection, b"\1\0\0\0")

    with (
        ScriptedServer(answer) as fickle,
        pytest.raises(DeviceError, match="can't be used"),
    ):
        devices([fickle.address])


def test_a_busy_server_is_told_from_a_dead_one(server: RpcServer) -> None:
    with (
        socket.create_connection(("127.0.0.1", server.port)),
        pytest.raises(DeviceError, match="is it an RPC server, and free"),
    ):
        devices([server.address])


def test_a_server_that_dies_while_it_answers(server: RpcServer, open_tiny: OpenTiny) -> None:
    llm = open_tiny(device="rpc:0", rpc_servers=[server.address], n_ctx=100_000)
    start = 0.0
    with pytest.raises(EngineError, match=f"{server.address} was lost"):  # noqa: PT012 - a loop
        for count, _ in enumerate(llm.generate("hello", streaming=True, max_tokens=None)):
            if count == 3:
                server.kill()
                start = time.monotonic()
    assert start
    assert time.monotonic() - start < 30
    with pytest.raises(EngineError, match="close this model and load it again"):
        llm.generate("again", max_tokens=1)
    llm.close()


def test_a_server_may_come_back(server: RpcServer, open_tiny: OpenTiny) -> None:
    first = open_tiny(device="rpc:0", rpc_servers=[server.address])
    expected = first.generate("hello", temp=0, max_tokens=10)
    server.kill()
    with pytest.raises(EngineError, match="was lost"):
        first.generate("hello", temp=0, max_tokens=10)
    server.restart()
    with pytest.raises(DeviceError, match="close the models that use it"):
        open_tiny(device="rpc:0", rpc_servers=[server.address])
    first.close()
    second = open_tiny(device="rpc:0", rpc_servers=[server.address])
    assert second.generate("hello", temp=0, max_tokens=10) == expected


def test_a_server_that_is_lost_while_a_model_is_idle(
    server: RpcServer, open_tiny: OpenTiny
) -> None:
    llm = open_tiny(device="rpc:0", rpc_servers=[server.address])
    llm.generate("hello", max_tokens=2)
    server.kill()
    llm.close()  # No error, and no abort.


def test_other_models_go_on(server: RpcServer, two_servers: list[str], open_tiny: OpenTiny) -> None:
    lost = open_tiny(device="rpc:0", rpc_servers=[server.address])
    kept = open_tiny(device="rpc:0", rpc_servers=two_servers)
    expected = kept.generate("hello", temp=0, max_tokens=10)
    server.kill()
    with pytest.raises(EngineError, match="was lost"):
        lost.generate("hello", max_tokens=5)
    assert kept.generate("hello", temp=0, max_tokens=10) == expected


def test_a_server_that_is_lost_while_a_model_is_loaded(
    server: RpcServer, open_tiny: OpenTiny
) -> None:
    def kill(_: object) -> None:
        server.kill()

    # The load notices, or the engine that is made next, when the server takes a while to die.
    with pytest.raises((DeviceError, EngineError), match=f"{server.address} was lost"):
        open_tiny(device="rpc:0", rpc_servers=[server.address], progress=kill)


@pytest.mark.skipif(sys.platform == "win32", reason="stops a process")
def test_a_server_that_stops_answering_is_given_up(server: RpcServer, tiny_path: object) -> None:
    """In a process of its own, as the limit belongs to the environment."""
    program = textwrap.dedent(
        f"""
        import os, signal, sys, time
        from llmlocal import LLM, EngineError
        llm = LLM(sys.argv[1], device="rpc:0", rpc_servers=["{server.address}"], n_ctx=256,
                  progress=False)
        llm.generate("hello", max_tokens=2)
        os.kill({server.process.pid}, signal.SIGSTOP)
        start = time.monotonic()
        try:
            llm.generate("hello", max_tokens=5)
        except EngineError as exc:
            print(exc)
        llm.close()
        print(time.monotonic() - start)
        """
    )
    path = tiny_path("llama")  # type: ignore[operator]  # the fixture's type is a callable
    try:
        done = subprocess.run(
            [sys.executable, "-c", program, str(path)],
            env={**os.environ, STALL_VARIABLE: "1.5"},
            capture_output=True,
            text=True,
            check=True,
            timeout=100,
        )
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    message, seconds = done.stdout.splitlines()
    assert "no answer within 1.5 s" in message
    assert float(seconds) < 20

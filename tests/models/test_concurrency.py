"""Two workers on one file, and a worker that dies: one download, and nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llmlocal.errors import DownloadCancelledError
from llmlocal.models._catalog._card import Checks
from llmlocal.models._names._places import Slot

from .conftest import Fetcher
from .gguf_bytes import small_model
from .hub import Fault, Server, digest

MODEL = small_model(3_000_000)
HALF = len(MODEL) // 2
TIMEOUT_S = 30

# A shell that runs the tests in the background has Ctrl-C ignored.
WORKER = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from llmlocal.models._catalog._card import Checks, HttpsSource
from llmlocal.models._download._fetch import Order, fetch
from llmlocal.models._names._places import Slot

url, folder = sys.argv[1:]
slot = Slot(Path(folder), "model.gguf")

def report(stage, done, total):
    print(stage, done, flush=True)

fetch(Order(slot, [HttpsSource(url)], Checks()), report, slot.target.exists)
print("complete", flush=True)
"""


def start(url: str, slot: Slot) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, url, str(slot.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    """Read the worker's reports up to the line."""
    assert process.stdout is not None
    for each in process.stdout:
        if each.strip() == line:
            return
    message = f"the worker ended without {line!r}"
    raise AssertionError(message)


def test_threads_share_one_download(server: Server, fetch_file: Fetcher) -> None:
    server.files["/model.gguf"] = MODEL

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(fetch_file, f"{server.url}/model.gguf") for _ in range(8)]
        paths = {future.result(TIMEOUT_S) for future in futures}

    assert len(server.requests) == 1
    assert [path.read_bytes() for path in paths] == [MODEL]


def test_processes_share_one_download(server: Server, slot: Slot) -> None:
    server.files["/model.gguf"] = MODEL
    server.faults.append(Fault(stall_after=HALF))
    workers = [start(f"{server.url}/model.gguf", slot) for _ in range(2)]
    # Both report the same bytes: one as it gets them, the other as it waits for the lock.
    for worker in workers:
        wait_for(worker, f"download {HALF}")

    server.silence.set()
    outputs = [worker.communicate(timeout=TIMEOUT_S) for worker in workers]

    assert [
        (worker.returncode, errors) for worker, (_, errors) in zip(workers, outputs, strict=True)
    ] == [(0, "")] * 2
    assert all(output.endswith("complete\n") for output, _ in outputs)
    assert slot.target.read_bytes() == MODEL
    assert server.bytes_sent == len(MODEL)


def test_a_killed_download_is_resumed_at_the_byte(
    server: Server, slot: Slot, fetch_file: Fetcher
) -> None:
    server.files["/model.gguf"] = MODEL
    server.faults.append(Fault(stall_after=HALF))
    worker = start(f"{server.url}/model.gguf", slot)
    wait_for(worker, f"download {HALF}")
    worker.send_signal(signal.SIGKILL)
    worker.communicate(timeout=TIMEOUT_S)
    assert not slot.target.exists()
    assert slot.part.stat().st_size == HALF

    path = fetch_file(f"{server.url}/model.gguf")

    assert path.read_bytes() == MODEL
    assert server.requests[-1].headers["range"] == f"bytes={HALF}-"
    assert server.bytes_sent == len(MODEL)


def test_an_interrupted_download_leaves_no_worker_behind(server: Server, slot: Slot) -> None:
    server.files["/model.gguf"] = MODEL
    server.faults.append(Fault(stall_after=HALF))
    worker = start(f"{server.url}/model.gguf", slot)
    wait_for(worker, f"download {HALF}")

    worker.send_signal(signal.SIGINT)
    _, errors = worker.communicate(timeout=TIMEOUT_S)

    assert worker.returncode in {1, -signal.SIGINT}
    assert "KeyboardInterrupt" in errors
    assert slot.part.stat().st_size == HALF


def test_waiting_for_another_worker_can_be_cancelled(
    server: Server, slot: Slot, fetch_file: Fetcher
) -> None:
    server.files["/model.gguf"] = MODEL
    server.faults.append(Fault(stall_after=HALF))
    worker = start(f"{server.url}/model.gguf", slot)
    wait_for(worker, f"download {HALF}")

    def report(_stage: str, _done: int, _total: int | None) -> None:
        raise DownloadCancelledError("stop")

    with pytest.raises(DownloadCancelledError, match="stop"):
        fetch_file(f"{server.url}/model.gguf", report=report)

    worker.kill()
    worker.communicate(timeout=TIMEOUT_S)
    assert len(server.requests) == 1


def test_a_cancelled_download_frees_its_thread(server: Server, fetch_file: Fetcher) -> None:
    server.files["/model.gguf"] = MODEL
    server.always = Fault(stall_after=HALF)

    def report(_stage: str, done: int, _total: int | None) -> None:
        if done:
            raise DownloadCancelledError("stop")

    for _ in range(3):
        with pytest.raises(DownloadCancelledError, match="stop"):
            fetch_file(f"{server.url}/model.gguf", report=report)

    assert [thread.name for thread in threading.enumerate() if "download" in thread.name] == []


def test_two_spellings_of_a_digest_are_one_file(
    server: Server, fetch_file: Fetcher, tmp_path: Path
) -> None:
    server.files["/model.gguf"] = MODEL

    fetch_file(f"{server.url}/model.gguf", checks=Checks(sha256=digest(MODEL)))

    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == [
        ".llmlocal",
        "model.gguf",
    ]

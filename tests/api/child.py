"""Runs a Python program in a process of its own, for what would end or upset the tests' process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from .waiting import PATIENCE_S

# ggml answers a crash with a debugger's backtrace, which takes seconds and hides the exit code.
_ENVIRONMENT = {"GGML_NO_BACKTRACE": "1", "PYTHONUNBUFFERED": "1"}

OPEN = """
import logging, os, sys, threading
from llmlocal import *
PATIENCE_S = 60
# Long answers need more room than a tiny model was trained for; all other warnings would be seen.
logging.getLogger("llmlocal").addFilter(lambda record: "was trained for" not in record.msg)
def tiny(**options):
    return LLM(sys.argv[1], device="cpu", n_threads=1, progress=False, **options)
def wait_until(fact):
    from time import monotonic
    deadline = monotonic() + PATIENCE_S
    while not fact():
        assert monotonic() < deadline
        threading.Event().wait(0.001)
"""
"""The beginning of most programs: ``tiny()`` opens the model that the first argument names."""


def run_python(
    program: str, *arguments: str | Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env={**os.environ, **_ENVIRONMENT, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
        check=False,
    )


class Child:
    """A program that runs, and says how far it is a line at a time."""

    def __init__(self, program: str, *arguments: str | Path) -> None:
        # Unlike a pipe, it never fills up.
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by __exit__
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, *map(str, arguments)],
            env={**os.environ, **_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout
        # Whoever waits for a program that hangs finds that it has ended.
        self._watchdog = threading.Timer(2 * PATIENCE_S, self._process.kill)

    def __enter__(self) -> Child:
        self._watchdog.start()
        return self

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        self._watchdog.cancel()
        self._watchdog.join()
        self._process.kill()
        self._process.wait()
        self._output.close()
        self._errors.close()

    def read_line(self) -> str:
        return self._output.readline().rstrip("\n")

    def interrupt(self) -> None:
        """What Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, str, str]:
        """Wait for its end: exit code, and the rest of what it wrote."""
        out = self._output.read()
        code = self._process.wait()
        self._errors.seek(0)
        return code, out, self._errors.read()

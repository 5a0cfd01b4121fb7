"""A system's process as the harness sees it: ask for an operation, get its result.

A session that is not asked is stopped as a process, so that nothing that it does by itself (a pool
of threads that spins, a server that tidies up) is in another system's sample.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.folders import LOGS, ROOT

__all__ = ["OperationFailedError", "Session"]


class OperationFailedError(Exception):
    """A system could not do what was asked.

    Attributes:
        is_unsupported: It has no way to do this, as against a failure.
    """

    def __init__(self, text: str, *, is_unsupported: bool = False) -> None:
        super().__init__(text)
        self.is_unsupported = is_unsupported


class Session:
    """One process.  A context manager; leaving it ends the process."""

    def __init__(
        self, name: str, command: Sequence[str], environ: Mapping[str, str] | None = None
    ) -> None:
        LOGS.mkdir(parents=True, exist_ok=True)
        self._name = name
        self.log = LOGS / f"{name}.log"
        self._log_file = self.log.open("a", encoding="utf-8")
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log_file,
            text=True,
            bufsize=1,
            start_new_session=True,  # A group of its own: what it starts is stopped with it.
        )

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How the process ended; None while it has not."""
        return self._process.poll()

    def ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Have an operation done.

        Raises:
            OperationFailedError: It was not possible, or the process ended over it.
        """
        self.resume()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps({"do": operation, "with": arguments}), file=self._process.stdin)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise OperationFailedError(f"its process ended ({self._end()}); see {self.log.name}")
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            is_unsupported = reply["kind"] == "unsupported"
            raise OperationFailedError(reply["error"], is_unsupported=is_unsupported)
        result: dict[str, Any] = reply["result"]
        return result

    def pause(self) -> None:
        """Stop the process and what it started, until it is asked again."""
        self._signal("SIGSTOP")

    def resume(self) -> None:
        """Let it go on."""
        self._signal("SIGCONT")

    def rss_bytes(self) -> int:
        """Its resident memory.

        Raises:
            OperationFailedError: psutil is not installed.
        """
        try:
            psutil: Any = importlib.import_module("psutil")  # Has no types; only this needs it.
        except ImportError:
            raise OperationFailedError("it takes psutil: pip install psutil") from None
        return int(psutil.Process(self.pid).memory_info().rss)

    def close(self) -> None:
        """End it.  May be called twice."""
        self.resume()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._signal("SIGKILL")  # And whatever it has left behind.
        self._process.wait()
        self._log_file.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _signal(self, name: str) -> None:
        if hasattr(signal, name) and hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, getattr(signal, name))

    def _end(self) -> str:
        code = self._process.wait()
        return f"signal {-code}" if code < 0 else f"code {code}"


def clear_logs(folder: Path = LOGS) -> None:
    """Remove the logs of an earlier run."""
    for log in folder.glob("*.log"):
        if not log.name.startswith(("install-", "build-")):
            log.unlink()

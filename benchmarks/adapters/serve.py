"""Answers the harness: JSON lines in, JSON lines out, one operation each.

{"do": "decode", "with": {"prompt": "...", "tokens": 128}}   ->   {"result": {...}}
                                                         or  {"error": "...", "kind": "..."}
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
from typing import IO, Any

from benchmarks.adapters.adapter import Adapter, UnsupportedError

__all__ = ["end_with_parent", "serve"]

_PR_SET_PDEATHSIG = 1


def serve(adapter: Adapter) -> None:
    """Work until the pipe is closed."""
    end_with_parent()
    replies = _claim_stdout()
    try:
        for line in sys.stdin:
            print(json.dumps(_answer(adapter, json.loads(line))), file=replies, flush=True)
    finally:
        with contextlib.suppress(Exception):  # The model may be closed, or was never open.
            adapter.close()


def end_with_parent() -> None:
    """Have the system end this process when the one that started it has gone, however it went.

    A process that is stopped does not see its pipe close. Linux only; elsewhere nothing is done.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _answer(adapter: Adapter, request: dict[str, Any]) -> dict[str, Any]:
    try:
        operation = getattr(adapter, f"measure_{request['do']}", None)
        if operation is None:
            raise UnsupportedError(f"has no operation {request['do']!r}")
        return {"result": operation(**request["with"])}
    except UnsupportedError as error:
        return {"error": str(error), "kind": "unsupported"}
    except Exception as error:  # noqa: BLE001 - whatever a system throws is its row in the table
        text = f"{type(error).__name__}: {error}"
        return {"error": text.partition("\n")[0], "kind": "failed"}


def _claim_stdout() -> IO[str]:
    """The real standard output; what a system prints, from C too, goes to the log instead."""
    claimed = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return claimed

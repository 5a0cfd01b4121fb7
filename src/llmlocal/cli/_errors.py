"""Errors as the command line tells them: one line, with the names of its own options."""

from __future__ import annotations

import logging
import re
import sys

from llmlocal.errors import ParameterError

__all__ = ["in_flags", "report_error", "show_warnings"]

_FLAGS = {
    "allow_download=False": "--offline",
    "kv_type": "--kv-type",
    "max_tokens": "--max-tokens",
    "min_p": "--min-p",
    "model_path": "--model-path",
    "n_ctx": "--n-ctx",
    "n_gpu_layers": "--gpu-layers",
    "n_threads": "--threads",
    "repeat_last_n": "--repeat-last-n",
    "repeat_penalty": "--repeat-penalty",
    "rpc_servers=['host:port']": "--rpc-server HOST:PORT",
    "rpc_servers": "--rpc-server",
    "top_k": "--top-k",
    "top_p": "--top-p",
}
# Words of everyday language: options only where a value is refused.
_WORDS = ("device", "md5", "seed", "sha256", "stop", "temp", "timeout")
_NAMES = re.compile(
    rf"(?<![\w-])(?:({'|'.join(map(re.escape, _FLAGS))})(?!\w)=?|({'|'.join(_WORDS)})(?:=| (?=must\b)))"
)


def in_flags(message: str) -> str:
    """An error's message with options of the command line for arguments of Python.

    Example:
        >>> in_flags("n_threads must be a whole number, 1 to 512; got 0")
        '--threads must be a whole number, 1 to 512; got 0'
    """

    def flag(found: re.Match[str]) -> str:
        name = _FLAGS[found[1]] if found[1] else f"--{found[2]}"
        return name if found[0][-1] not in "= " else f"{name} "

    return _NAMES.sub(flag, message)


def report_error(error: Exception) -> int:
    """Print the error as one line on standard error; return the exit code that it means."""
    message = " ".join(str(error).split())
    print(f"llmlocal: error: {in_flags(message)}", file=sys.stderr)
    return 2 if isinstance(error, ParameterError) else 1


class _Warnings(logging.Handler):
    """Tells the package's own warnings as a line each; llama.cpp's are for ``--verbose``."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "llmlocal" and sys.stderr is not None:
            print(f"llmlocal: warning: {in_flags(record.getMessage())}", file=sys.stderr)


_warnings = _Warnings(logging.WARNING)


def show_warnings() -> None:
    """Print what the package warns of, such as a context beyond the model's training."""
    logging.getLogger("llmlocal").addHandler(_warnings)

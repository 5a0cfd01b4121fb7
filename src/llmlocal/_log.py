"""Carries llama.cpp's log lines into Python's logging, under the name ``llmlocal.native``.

llama.cpp logs from its own threads, which must not wait for the interpreter, so its lines queue up
in the extension and are handed on here, by whichever call into the package comes next.
"""

from __future__ import annotations

import logging

from llmlocal import _core

__all__ = ["follow_log_level", "pass_on_log"]

_logger = logging.getLogger("llmlocal.native")
if _logger.level == logging.NOTSET:  # Otherwise the program has chosen.
    # More than a hundred lines for each load, which no application asks for with basicConfig(INFO).
    _logger.setLevel(logging.WARNING)
_LEVELS = {
    _core.LogLevel.DEBUG: logging.DEBUG,
    _core.LogLevel.INFO: logging.INFO,
    _core.LogLevel.WARNING: logging.WARNING,
    _core.LogLevel.ERROR: logging.ERROR,
}


def follow_log_level(*, verbose: bool) -> None:
    """Have the extension keep the lines that the logger would show, and no others.

    Args:
        verbose: Keep informative lines too, and print them if nobody has set up logging.
    """
    if verbose and not _logger.isEnabledFor(logging.INFO):
        _logger.setLevel(logging.INFO)
    if verbose and not logging.getLogger().handlers and not _logger.handlers:
        _logger.addHandler(logging.StreamHandler())
    kept = [native for native, ours in _LEVELS.items() if _logger.isEnabledFor(ours)]
    _core.set_log_level(min(kept, default=_core.LogLevel.ERROR))


def pass_on_log() -> None:
    """Hand the native lines that have come since the last call to the logger.

    Where nobody has set up logging they are dropped: llama.cpp warns of much that is as it should be.
    The package's own warnings are shown then, as Python does it.
    """
    lines = _core.drain_log()
    if not _logger.hasHandlers():
        return
    for level, text in lines:
        _logger.log(_LEVELS[level], "%s", text)

"""Starts the native side once: llama.cpp with the backends in the package's own folder.

Backends of other packages are found through the entry-point group ``llmlocal.backends``; each
names an attribute that holds the path of one shared library.
"""

from __future__ import annotations

import logging
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

from llmlocal import _core

__all__ = ["start"]

_logger = logging.getLogger("llmlocal")


@cache
def start() -> tuple[str, ...]:
    """Start llama.cpp; return why backends could not be loaded, a line each."""
    library_dir = Path(_core.__file__).parent / "lib"
    plugins, problems = [], []
    for entry in entry_points(group="llmlocal.backends"):
        try:
            plugins.append(str(entry.load()))
        except Exception as exc:  # noqa: BLE001 - somebody else's package: say so and go on
            problems.append(f"{entry.name}: {exc}")
    problems += _core.start_backends(str(library_dir), plugins)
    for problem in problems:
        _logger.warning("a backend was not loaded: %s", problem)
    return tuple(problems)

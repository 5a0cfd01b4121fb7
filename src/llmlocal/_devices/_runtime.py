"""Starts the native side, once for the process and in two steps.

The CPU comes first and alone, so that a model on the CPU wakes no GPU driver; the rest follows when
somebody asks for devices.  GPU backends are files in the package's own ``lib/gpu`` or come as
plugins; see ``_plugins``.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from llmlocal import __version__, _core
from llmlocal._devices._plugins import Plugin, Skipped, find_plugins, installed_entry_points
from llmlocal.errors import LLMLocalError

__all__ = ["cpu_libraries", "load_plugins", "start", "start_gpus"]

_logger = logging.getLogger("llmlocal")
_lock = threading.RLock()  # Guards the two below.
_damaged: tuple[Skipped, ...] | None = None  # Of the package's own libraries.
_skipped: tuple[Skipped, ...] | None = None  # Those, and GPU backends.


def start() -> None:
    """Start llama.cpp with the CPU, if it is not running yet.

    Raises:
        DeviceError: The package's own libraries are damaged.
    """
    global _damaged  # noqa: PLW0603 - the process has one native side
    libraries = _core.start_llama(_library_dir())
    with _lock:
        if _damaged is None:
            # The next best is in use, which can be several times slower: not to be kept quiet.
            _damaged = _told(
                [Skipped(Path(each.path).name, each.problem) for each in libraries if each.problem]
            )


def cpu_libraries() -> list[_core.BackendLibrary]:
    """The files of CPU kernels, the best for this machine first; none where they are linked in."""
    start()
    return [each for each in _core.start_llama(_library_dir()) if each.is_cpu]


def start_gpus() -> tuple[Skipped, ...]:
    """Load all other backends, if they are not loaded yet; return those that could not be."""
    global _skipped  # noqa: PLW0603
    start()
    with _lock:
        if _skipped is None:
            own = [Plugin(path.name, path) for path in sorted(_library_dir().glob("gpu/*ggml-*"))]
            plugins, skipped = find_plugins(installed_entry_points(), __version__, Path.cwd())
            skipped += load_plugins([*own, *plugins])
            _skipped = (*(_damaged or ()), *_told(skipped))
        return _skipped


def load_plugins(plugins: list[Plugin]) -> list[Skipped]:
    """Load these, each by its path; return those that could not be."""
    start()
    skipped = []
    for plugin in plugins:
        try:
            _core.load_backend(plugin.path)
        except LLMLocalError as exc:
            skipped.append(Skipped(plugin.package, str(exc)))
    return skipped


def _told(skipped: list[Skipped]) -> tuple[Skipped, ...]:
    for each in skipped:
        _logger.warning("a backend was not loaded: %s", each)
    return tuple(skipped)


def _library_dir() -> Path:
    # Not beside this file: in an editable install the extension lies elsewhere.
    return Path(_core.__file__).parent / "lib"

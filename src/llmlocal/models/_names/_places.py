"""Where files go: the library's folder, a model's place in it, and the files that belong to it.

The library's folder is ``LLMLOCAL_HOME``, else the platform's folder for application data (not its
cache: models are large, and cleaners empty caches).  Below its models folder, or one given by the
caller:

    <root>/<relative>              the model, complete and verified, or absent
    <root>/<relative>.part         what a download has so far
    <root>/<relative>.part.json    where that came from, so that it can be resumed
    <root>/<relative>.bad          bytes that were not the promised ones
    <root>/.llmlocal/<hash>.json   what was verified, and when
    <root>/.llmlocal/<hash>.lock   held by whoever is working on it

Only names are made here; nothing touches the disk.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..._checks import check_path
from ._safe import safe_relative

__all__ = ["Slot", "home", "models_folder"]

_STATE_FOLDER = ".llmlocal"


def home() -> Path:
    """The library's own folder; it need not exist yet."""
    chosen = os.environ.get("LLMLOCAL_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("llmlocal", appauthor=False)


def models_folder(model_path: str | os.PathLike[str] | None = None) -> Path:
    """The folder that models are kept in; it need not exist yet."""
    check_path("model_path", model_path)
    if model_path is not None:
        return Path(model_path).expanduser().absolute()
    return home() / "models"


@dataclass(frozen=True)
class Slot:
    """A file's place under a models folder.

    Attributes:
        root: The models folder.
        relative: The file's path below it, with ``/`` between its pieces.

    Raises:
        ParameterError: A piece of ``relative`` is not a safe file name.
    """

    root: Path
    relative: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "relative", safe_relative(self.relative))

    @property
    def target(self) -> Path:
        return self.root.joinpath(*self.relative.split("/"))

    @property
    def part(self) -> Path:
        return self._beside(".part")

    @property
    def origin(self) -> Path:
        return self._beside(".part.json")

    @property
    def bad(self) -> Path:
        return self._beside(".bad")

    @property
    def workspace(self) -> Path:
        """A folder for what has to be unpacked first."""
        return self._beside(".unpack")

    @property
    def record(self) -> Path:
        return self._state(self.relative, ".json")

    @property
    def lock(self) -> Path:
        # Two spellings are one file on some systems, so they share a lock on all.
        return self._state(self.relative.casefold(), ".lock")

    def _beside(self, suffix: str) -> Path:
        target = self.target
        return target.with_name(target.name + suffix)

    def _state(self, key: str, suffix: str) -> Path:
        import hashlib  # It loads OpenSSL, and most look-ups need no state.

        digest = hashlib.sha256(key.encode()).hexdigest()[:16]
        return self.root / _STATE_FOLDER / (digest + suffix)

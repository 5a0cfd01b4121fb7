"""Where the library keeps what it fetches.

The order: a folder given by the caller, then ``LLMLOCAL_HOME``, then the platform's folder for
application data (not its cache: models are large, and cleaners empty caches).
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["home", "models_folder"]


def home() -> Path:
    """The library's own folder; it need not exist yet."""
    chosen = os.environ.get("LLMLOCAL_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("llmlocal", appauthor=False)


def models_folder(model_path: str | os.PathLike[str] | None = None) -> Path:
    """The folder that models are kept in; it need not exist yet."""
    if model_path is not None:
        return Path(model_path).expanduser().absolute()
    return home() / "models"

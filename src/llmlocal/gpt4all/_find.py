"""Where a model's file is: gpt4all's own folder first, then wherever it is on disk, then the network."""

from __future__ import annotations

import os
from pathlib import Path

from llmlocal._checks import check_bool, check_path
from llmlocal.errors import DownloadError, ModelNotFoundError

__all__ = ["find_model"]


def find_model(
    name: str,
    filename: str,
    model_path: str | os.PathLike[str] | None,
    default_folder: str | os.PathLike[str],
    *,
    allow_download: bool,
) -> Path:
    """The file of a model.

    Args:
        name: What the caller calls it.
        filename: What the file is called.
        model_path: The folder that the caller gave, which must exist, or None.
        default_folder: The folder to use then; it is made if something is downloaded to it.
        allow_download: Whether the network may be used.

    Raises:
        ModelNotFoundError: There is no such folder or file.
        DownloadError: It could not be downloaded.
    """
    from llmlocal import models

    check_path("model_path", model_path)
    check_bool("allow_download", allow_download)
    check_path("model_name", filename)
    if model_path is not None and not Path(model_path).exists():
        raise ModelNotFoundError(f"Model directory does not exist: {os.fspath(model_path)!r}")
    folder = Path(default_folder if model_path is None else model_path)
    path = folder / filename
    if path.is_file():
        return path
    if model_path is None:
        try:
            return models.resolve(name, allow_download=False)
        except ModelNotFoundError as exc:
            if not allow_download:
                raise ModelNotFoundError(
                    f"Model file does not exist: {str(path)!r}; {exc}"
                ) from exc
        _make(folder)
    try:
        return models.resolve(name, model_path=folder, allow_download=allow_download)
    except ModelNotFoundError as exc:
        raise ModelNotFoundError(f"Model file does not exist: {str(path)!r}; {exc}") from exc


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise DownloadError(f"Failed to create model download directory: {exc}") from exc

"""gpt4all's way to list, find and download models, over :mod:`llmlocal.models`."""

from __future__ import annotations

import os
from pathlib import Path

from llmlocal._checks import check_path
from llmlocal.gpt4all._config import (
    DEFAULT_CONFIG,
    ConfigType,
    default_url,
    matching_card,
    model_config,
    model_filename,
)
from llmlocal.gpt4all._find import find_model

__all__ = ["ModelLibrary"]


class ModelLibrary:
    """The part of :class:`GPT4All` that needs no loaded model."""

    @staticmethod
    def list_gpus() -> list[str]:
        """The GPUs that ``device=`` may name, as ``"backend:name"``; empty if there is none."""
        from llmlocal._devices._choice import devices

        gpus = [device for device in devices() if device.type in ("gpu", "igpu")]
        return [f"{gpu.backend}:{gpu.description or gpu.name}" for gpu in gpus]

    @staticmethod
    def list_models() -> list[ConfigType]:
        """The models that are known by name.  No request is made."""
        from llmlocal import models

        return [model_config(card) for card in models.catalog()]

    @classmethod
    def _default_folder(cls) -> Path | str:
        """Where models are, unless a caller says otherwise."""
        raise NotImplementedError

    @classmethod
    def retrieve_model(
        cls,
        model_name: str,
        model_path: str | os.PathLike[str] | None = None,
        allow_download: bool = True,
        verbose: bool = False,  # noqa: ARG003  # once more than a word
    ) -> ConfigType:
        """Find a model's file; download it if need be.

        Args:
            model_name: As for the constructor.
            model_path: As for the constructor.
            allow_download: As for the constructor.
            verbose: Ignored.

        Returns:
            The model's configuration, ``path`` in it.

        Raises:
            ModelNotFoundError: There is no such folder, or no such file and none to download.
            DownloadError: It could not be downloaded.
        """
        from llmlocal import models

        check_path("model_name", model_name)
        filename = model_filename(model_name)
        card = matching_card(filename, models.catalog())
        config = model_config(card) if card is not None else dict(DEFAULT_CONFIG)
        config.pop("url", None)
        path = find_model(
            model_name,
            filename,
            model_path,
            cls._default_folder(),
            allow_download=allow_download,
        )
        return {**config, "filename": path.name, "path": str(path)}

    @staticmethod
    def download_model(
        model_filename: str,
        model_path: str | os.PathLike[str],
        verbose: bool = True,
        url: str | None = None,
        expected_size: int | None = None,
        expected_md5: str | bytes | None = None,
    ) -> str:
        """Download a model file, resuming what an earlier try has left, and verify it.

        Args:
            model_filename: The file's name, with its ending.
            model_path: The folder to put it in.
            verbose: Show a progress bar on a terminal.
            url: Where it is; None for gpt4all's own server.
            expected_size: Bytes that it must have.
            expected_md5: Its MD5 digest, as hexadecimal digits or bytes.

        Returns:
            The file's path.

        Raises:
            ChecksumError: It is not what was expected; a ``DownloadError``.
            DownloadError: A ``RuntimeError`` and a ``ValueError``.
        """
        from llmlocal import models

        path = models.pull(
            url or default_url(model_filename),
            model_path=model_path,
            size=expected_size,
            md5=expected_md5.hex() if isinstance(expected_md5, bytes) else expected_md5,
            progress=None if verbose else False,
        )
        wanted = Path(model_path, model_filename)
        return str(path if path.name == wanted.name else path.replace(wanted))

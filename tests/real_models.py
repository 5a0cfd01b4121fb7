"""Real models for the tests that need one: fetched once, by the library's own means."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from llmlocal import models
from llmlocal.errors import DownloadError

__all__ = ["real_model"]


@cache
def real_model(name: str) -> Path:
    """The file of a model of the catalog; skips the test where it is absent and can't be fetched."""
    try:
        return models.resolve(name, progress=False)
    except DownloadError as exc:
        pytest.skip(f"{name} could not be fetched: {exc}")

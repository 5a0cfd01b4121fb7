"""gpt4all's ways to say where a model runs, in llmlocal's words.  Pure."""

from __future__ import annotations

import sys
from typing import Literal

from llmlocal._checks import check_whole

__all__ = ["device_of", "layers_of"]

_ALL_LAYERS = 100


def device_of(device: str | None) -> str:
    """What None has meant since 2.8: Metal on macOS, the CPU everywhere else."""
    if device is None:
        return "auto" if sys.platform == "darwin" else "cpu"
    return device


def layers_of(ngl: int) -> int | Literal["auto"]:
    """100 layers or more are all of them."""
    check_whole("ngl", ngl, 0, 2**31 - 1, is_optional=False)
    return "auto" if ngl >= _ALL_LAYERS else ngl

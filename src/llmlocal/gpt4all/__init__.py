"""The API of the ``gpt4all`` package, versions 2.0 to 2.8.2, on llmlocal's engine.

Change ``from gpt4all import GPT4All`` to ``from llmlocal import GPT4All`` and go on.  The modules
have the names that they had there, because programs set ``gpt4all.gpt4all.DEFAULT_MODEL_DIRECTORY``
and configure the logger ``gpt4all.pyllmodel``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

from llmlocal.gpt4all import gpt4all, pyllmodel
from llmlocal.gpt4all._embed import CancellationError, Embed4All
from llmlocal.gpt4all.gpt4all import GPT4All

__all__ = ["CancellationError", "Embed4All", "GPT4All", "gpt4all", "pyllmodel"]

DEFAULT_MODEL_DIRECTORY: Path | str  # for type checkers; the property below has the value


class _Package(ModuleType):
    """This package, such that a folder that is set on it is set where it is read."""

    @property
    def DEFAULT_MODEL_DIRECTORY(self) -> Path | str:  # noqa: N802  # gpt4all's name
        return gpt4all.DEFAULT_MODEL_DIRECTORY

    @DEFAULT_MODEL_DIRECTORY.setter
    def DEFAULT_MODEL_DIRECTORY(self, folder: Path | str) -> None:  # noqa: N802
        gpt4all.DEFAULT_MODEL_DIRECTORY = folder


sys.modules[__name__].__class__ = _Package

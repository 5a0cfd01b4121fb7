"""Models: a catalog, a store of files, and downloads that never lose a byte.

A name becomes a file on disk here; loading it is :class:`llmlocal.LLM`'s work.  What is on disk
wins and costs no request, also what other tools hold.  A download resumes, is verified, and is
either complete or absent.

Each public function has a module of its own here, over rooms that import one way:
``_names`` (what a name means) and ``_gguf`` (what a file says), then ``_catalog`` (what is known),
``_disk`` (what is here), ``_http`` (asking a server), ``_download`` (bringing it here).

Names are looked up when they are first used, so that finding a file on disk stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._catalog._card import Checks as Checks
    from ._catalog._card import EmbeddingFacts as EmbeddingFacts
    from ._catalog._card import HttpsSource as HttpsSource
    from ._catalog._card import ModelCard as ModelCard
    from ._catalog._card import PipPackage as PipPackage
    from ._catalog._card import PipSource as PipSource
    from ._disk._locate import find as find
    from ._disk._store import InstalledModel as InstalledModel
    from ._gguf._header import Tensor as Tensor
    from ._gguf._memory import MemoryEstimate as MemoryEstimate
    from ._inspect import ModelInfo as ModelInfo
    from ._inspect import inspect as inspect
    from ._listing import catalog as catalog
    from ._listing import installed as installed
    from ._names._places import models_folder as models_folder
    from ._refresh import refresh as refresh
    from ._remove import remove as remove
    from ._resolve import pull as pull
    from ._resolve import resolve as resolve
    from ._verify import Verification as Verification
    from ._verify import verify as verify

_HOMES = {
    "Checks": "_catalog._card",
    "EmbeddingFacts": "_catalog._card",
    "HttpsSource": "_catalog._card",
    "InstalledModel": "_disk._store",
    "MemoryEstimate": "_gguf._memory",
    "ModelCard": "_catalog._card",
    "ModelInfo": "_inspect",
    "PipPackage": "_catalog._card",
    "PipSource": "_catalog._card",
    "Tensor": "_gguf._header",
    "Verification": "_verify",
    "catalog": "_listing",
    "find": "_disk._locate",
    "inspect": "_inspect",
    "installed": "_listing",
    "models_folder": "_names._places",
    "pull": "_resolve",
    "refresh": "_refresh",
    "remove": "_remove",
    "resolve": "_resolve",
    "verify": "_verify",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)

"""The lists that a user chooses from: models that are known, and models that are on disk."""

from __future__ import annotations

import os

from llmlocal._checks import check_whole
from llmlocal._tokens import check_text

from ._catalog._card import ModelCard, Task
from ._catalog._lists import load_cards
from ._disk._store import InstalledModel, Store

__all__ = ["catalog", "installed"]


_MOST_BYTES = 2**63 - 1


def catalog(
    *,
    task: Task | None = None,
    architecture: str | None = None,
    licence: str | None = None,
    max_bytes: int | None = None,
    max_ram_bytes: int | None = None,
) -> list[ModelCard]:
    """The models that are known by name: the packaged list, refreshed, and the user's own.

    A model of which the asked-for fact is not known is left out.

    Args:
        task: ``"text"``, ``"code"`` or ``"embedding"``.
        architecture: For instance ``"llama"``.
        licence: For instance ``"Apache-2.0"``; upper and lower case are one.
        max_bytes: The largest file that will do.
        max_ram_bytes: The most memory that running it may take.

    Raises:
        ModelError: The user's own catalog file cannot be read.

    Example:
        >>> from llmlocal import models
        >>> [card.name for card in models.catalog(max_bytes=100_000_000, task="text")]
        ['smollm2-135m-instruct']
    """
    for name, text in (("task", task), ("architecture", architecture), ("licence", licence)):
        if text is not None:
            check_text(text, name)
    check_whole("max_bytes", max_bytes, 0, _MOST_BYTES)
    check_whole("max_ram_bytes", max_ram_bytes, 0, _MOST_BYTES)
    cards = load_cards()
    if task is not None:
        cards = [card for card in cards if card.task == task]
    if architecture is not None:
        cards = [card for card in cards if card.architecture == architecture]
    if licence is not None:
        cards = [card for card in cards if (card.licence or "").lower() == licence.lower()]
    if max_bytes is not None:
        cards = [card for card in cards if _is_at_most(card.size_bytes, max_bytes)]
    if max_ram_bytes is not None:
        cards = [card for card in cards if _is_at_most(card.needed_ram_bytes, max_ram_bytes)]
    return cards


def installed(model_path: str | os.PathLike[str] | None = None) -> list[InstalledModel]:
    """The complete models on disk, the library's own first, then those of other tools.

    Args:
        model_path: A folder to look in, in place of all others.
    """
    store = Store(model_path)
    return [*store.own(), *store.foreign()]


def _is_at_most(value: int | None, limit: int) -> bool:
    return value is not None and value <= limit

"""The list of known models: what ships in the package, refreshed, and extended by the user.

Three files of one form.  A model of the user's own list replaces one of the same name in the
fetched list, and that one replaces the packaged.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from ..._quote import quote
from ...errors import ModelError
from .._names._places import home
from ._card import ModelCard
from ._card_json import CardError, card_from_json

__all__ = ["fetched_file", "find_card", "load_cards", "parse_catalog", "suggestions"]

FORMAT_VERSION = 1

_PACKAGED_FILE = Path(__file__).parents[2] / "data" / "catalog.json"
_MOST_CHARACTERS = 200
"""No name is longer, and comparing two takes as long as their lengths multiplied."""
_NOT_IN_A_WORD = re.compile(r"[\W_]+")
_log = logging.getLogger("llmlocal")


def load_cards() -> list[ModelCard]:
    """All known models, the user's own first, each name once.

    Raises:
        ModelError: The user's own catalog file cannot be read; the message says why.
    """
    merged: dict[str, ModelCard] = {}
    for card in (*_users_cards(), *_fetched_cards(), *_packaged_cards()):
        merged.setdefault(card.name, card)
    return list(merged.values())


def find_card(name: str, cards: Iterable[ModelCard]) -> ModelCard | None:
    """The card that a name, an alias or a file name (with or without ``.gguf``) means."""
    wanted = name.lower()
    for card in cards:
        if wanted in _names(card):
            return card
    return None


def suggestions(name: str, cards: Iterable[ModelCard], others: Iterable[str]) -> list[str]:
    """Up to three names that this one was perhaps meant to be, the closest first.

    The beginning of a name is close to it too: who writes ``"llama3"`` may choose among several.
    """
    from difflib import SequenceMatcher

    if len(name) > _MOST_CHARACTERS:
        return []
    wanted = _NOT_IN_A_WORD.sub("", name.lower())
    if not wanted:
        return []
    spellings = {spelling: card.name for card in cards for spelling in _names(card)}
    spellings |= {other.lower(): other for other in others}
    closeness: dict[str, float] = {}
    for spelling, meant in spellings.items():
        whole = _NOT_IN_A_WORD.sub("", spelling)
        is_like_all = SequenceMatcher(None, wanted, whole).ratio()
        is_like_beginning = SequenceMatcher(None, wanted, whole[: len(wanted)]).ratio()
        ratio = max(is_like_all, is_like_beginning if is_like_beginning > 0.75 else 0)
        closeness[meant] = max(closeness.get(meant, 0), ratio)
    close = sorted(closeness, key=lambda meant: -closeness[meant])
    return [meant for meant in close if closeness[meant] >= 0.6][:3]


def parse_catalog(text: str) -> list[ModelCard]:
    """The cards of a catalog file.

    Raises:
        CardError: It is not JSON, not of the catalog's form, or one name means two models.
    """
    try:
        fields = json.loads(text)
        version, models = fields["version"], fields["models"]
    except (ValueError, TypeError, KeyError, RecursionError) as exc:
        message = f"it is not a catalog: {exc!r}"
        raise CardError(message) from exc
    if version != FORMAT_VERSION or not isinstance(models, list):
        message = (
            f"it is a catalog of version {quote(version)}; this release reads {FORMAT_VERSION}"
        )
        raise CardError(message)
    cards = [card_from_json(model) for model in models]
    _require_distinct(cards)
    return cards


def fetched_file() -> Path:
    """Where a refreshed catalog is kept."""
    return home() / "catalog.fetched.json"


@cache
def _packaged_cards() -> Sequence[ModelCard]:
    return tuple(parse_catalog(_PACKAGED_FILE.read_text("utf-8")))


def _fetched_cards() -> Sequence[ModelCard]:
    """The refreshed list; if it was damaged since, the packaged one still serves."""
    path = fetched_file()
    try:
        return parse_catalog(path.read_text("utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as exc:
        _log.warning("the refreshed catalog %s is ignored: %s", path, exc)
        return ()


def _users_cards() -> Sequence[ModelCard]:
    chosen = os.environ.get("LLMLOCAL_CATALOG")
    path = Path(chosen).expanduser() if chosen else home() / "catalog.json"
    try:
        return parse_catalog(path.read_text("utf-8"))
    except FileNotFoundError:
        if not chosen:
            return ()
        message = f"LLMLOCAL_CATALOG names {path}, which does not exist"
        raise ModelError(message) from None
    except (OSError, ValueError) as exc:
        message = f"the catalog {path} cannot be used: {exc}"
        raise ModelError(message) from exc


def _names(card: ModelCard) -> list[str]:
    filename = card.filename.lower()
    return [card.name, *card.aliases, filename, filename.removesuffix(".gguf")]


def _require_distinct(cards: Iterable[ModelCard]) -> None:
    owners: dict[str, ModelCard] = {}
    for card in cards:
        for name in _names(card):
            owner = owners.setdefault(name, card)
            if owner is not card:
                message = f"{quote(name)} means both {owner.name} and {card.name}"
                raise CardError(message)

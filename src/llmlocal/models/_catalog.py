"""The list of known models: what ships in the package, refreshed, and extended by the user."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from importlib import resources

from ._card import ModelCard
from ._card_json import CardError, card_from_json

__all__ = ["find_card", "load_cards", "parse_catalog"]


def parse_catalog(text: str) -> list[ModelCard]:
    """The cards of a catalog file.

    Raises:
        CardError: It is not JSON, not of the catalog's form, or a name means two models.
    """
    try:
        fields = json.loads(text)
        models = fields["models"]
        version = fields["version"]
    except (ValueError, TypeError, KeyError, RecursionError) as exc:
        message = f"not a catalog: {exc}"
        raise CardError(message) from exc
    if version != 1 or not isinstance(models, list):
        message = f"a catalog of version {version!r} cannot be read; this release reads version 1"
        raise CardError(message)
    return [card_from_json(model) for model in models]


@cache
def _packaged() -> tuple[ModelCard, ...]:
    text = resources.files("llmlocal").joinpath("data/catalog.json").read_text("utf-8")
    return tuple(parse_catalog(text))


def load_cards() -> list[ModelCard]:
    """All known models."""
    return list(_packaged())


def find_card(name: str, cards: Iterable[ModelCard]) -> ModelCard | None:
    """The card that a name, an alias or a file name (with or without ``.gguf``) means."""
    wanted = name.lower()
    for card in cards:
        filename = card.filename.lower()
        if wanted in (card.name, filename, filename.removesuffix(".gguf"), *card.aliases):
            return card
    return None

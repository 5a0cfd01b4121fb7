"""Reads model cards from JSON.  A catalog from the network is input like any other: checked.

The form of one card is the fields of :class:`~._card.ModelCard`, with ``sources`` a list of
``{"https": URL}`` or ``{"pip": [{"requirement", "member", "member_bytes", "wheel_bytes"}, ...]}``,
and ``embedding`` an object with the fields of :class:`~._card.EmbeddingFacts`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args

from ..._quote import quote
from ...errors import ParameterError
from .._names._safe import safe_filename
from ._card import EmbeddingFacts, HttpsSource, ModelCard, PipPackage, PipSource, Source, Task

__all__ = ["CardError", "card_from_json"]

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9._+!-]+")
_TEXT_FIELDS = ("title", "architecture", "quantisation", "licence", "chat_template")
_COUNT_FIELDS = ("parameters", "size_bytes", "ram_bytes", "context_length")


class CardError(ValueError):
    """A card is not of the form that the catalog promises."""


def card_from_json(value: object) -> ModelCard:
    """The card that the JSON value describes.

    Raises:
        CardError: A field is missing, unknown or not of its kind; the message names it.
    """
    fields = dict(_mapping(value, "card"))
    name = _text(fields.pop("name", None), "name", _NAME)
    try:
        return _card(name, fields)
    except (CardError, ParameterError) as exc:
        message = f"model {name}: {exc}"
        raise CardError(message) from exc


def _card(name: str, fields: dict[str, Any]) -> ModelCard:
    known: dict[str, Any] = {
        "filename": safe_filename(_text(fields.pop("filename", None), "filename"))
    }
    for key in _TEXT_FIELDS:
        known[key] = _optional(_text, fields.pop(key, None), key)
    for key in _COUNT_FIELDS:
        known[key] = _optional(_count, fields.pop(key, None), key)
    known["sha256"] = _optional(_hexadecimal(64), fields.pop("sha256", None), "sha256")
    known["md5"] = _optional(_hexadecimal(32), fields.pop("md5", None), "md5")
    known["task"] = fields.pop("task", "text")
    if known["task"] not in get_args(Task):
        message = f"task is {quote(known['task'])}, not one of {', '.join(get_args(Task))}"
        raise CardError(message)
    known["embedding"] = _optional(_embedding, fields.pop("embedding", None), "embedding")
    aliases = _sequence(fields.pop("aliases", []), "aliases")
    known["aliases"] = tuple(_text(alias, "alias", _NAME) for alias in aliases)
    sources = _sequence(fields.pop("sources", []), "sources")
    known["sources"] = tuple(_source(source) for source in sources)
    if fields:
        message = f"unknown field {quote(min(fields))}"
        raise CardError(message)
    card = ModelCard(name=name, **known)
    if card.sha256 is None and any(isinstance(source, PipSource) for source in card.sources):
        message = "a pip source needs the file's sha256"
        raise CardError(message)
    return card


def _embedding(value: object, key: str) -> EmbeddingFacts:
    fields = dict(_mapping(value, key))
    facts = EmbeddingFacts(
        window=_optional(_count, fields.pop("window", None), "window"),
        query_prefix=_prefix(fields.pop("query_prefix", ""), "query_prefix"),
        document_prefix=_prefix(fields.pop("document_prefix", ""), "document_prefix"),
        layer_norm=_flag(fields.pop("layer_norm", False), "layer_norm"),
    )
    if fields:
        message = f"{key} has the unknown field {min(fields)!r}"
        raise CardError(message)
    return facts


def _prefix(value: object, key: str) -> str:
    return "" if value == "" else _text(value, key)


def _flag(value: object, key: str) -> bool:
    if not isinstance(value, bool):
        message = f"{key} is {value!r}, not true or false"
        raise CardError(message)
    return value


def _source(value: object) -> Source:
    fields = _mapping(value, "source")
    if set(fields) == {"https"}:
        return HttpsSource(_text(fields["https"], "https", re.compile(r"https?://\S+")))
    if set(fields) == {"pip"}:
        packages = _sequence(fields["pip"], "pip")
        return PipSource(tuple(_package(package) for package in packages))
    message = 'a source has exactly one of the fields "https" and "pip"'
    raise CardError(message)


def _package(value: object) -> PipPackage:
    fields = _mapping(value, "package")
    return PipPackage(
        requirement=_text(fields.get("requirement"), "requirement", _REQUIREMENT),
        member=_text(fields.get("member"), "member"),
        member_bytes=_count(fields.get("member_bytes"), "member_bytes"),
        wheel_bytes=_count(fields.get("wheel_bytes"), "wheel_bytes"),
    )


def _optional(read: Any, value: object, key: str) -> Any:
    return None if value is None else read(value, key)


def _mapping(value: object, key: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        message = f"{key} is not an object"
        raise CardError(message)
    return value


def _sequence(value: object, key: str) -> list[Any]:
    if not isinstance(value, list):
        message = f"{key} is not a list"
        raise CardError(message)
    return value


def _text(value: object, key: str, pattern: re.Pattern[str] | None = None) -> str:
    if not isinstance(value, str) or not value or (pattern and not pattern.fullmatch(value)):
        message = f"{key} cannot be {quote(value)}"
        raise CardError(message)
    return value


def _count(value: object, key: str) -> int:
    if type(value) is not int or value <= 0:
        message = f"{key} is {quote(value)}, not a positive whole number"
        raise CardError(message)
    return value


def _hexadecimal(length: int) -> Any:
    return lambda value, key: _text(value, key, re.compile(f"[0-9a-f]{{{length}}}"))

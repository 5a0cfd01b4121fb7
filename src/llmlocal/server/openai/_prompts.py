"""Texts as OpenAI's endpoints take them: one or several, each as text or as the ids of its tokens."""

from __future__ import annotations

from llmlocal._quote import quote
from llmlocal.server._http._fields import Fields

__all__ = ["MOST_PROMPTS", "prompts_of"]

_INT32_MAX = 2**31 - 1
MOST_PROMPTS = 2048


def prompts_of(fields: Fields, name: str) -> list[str | list[int]]:
    """The texts of a field, each as it was given.

    Raises:
        ApiError: 400: there are none, or too many, or these are no texts.
    """
    given = fields.any(name)
    if isinstance(given, str):
        return [given]
    if _are_ids(given):
        return [given]
    if not isinstance(given, list) or not 0 < len(given) <= MOST_PROMPTS:
        raise fields.error(
            name, f"must be text, ids of tokens, or an array of 1 to {MOST_PROMPTS} of either"
        )
    for each in given:
        if not isinstance(each, str) and not _are_ids(each):
            raise fields.error(name, f"must hold texts, or ids of tokens; got {quote(each)}")
    return given


def _are_ids(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_id, value))


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _INT32_MAX

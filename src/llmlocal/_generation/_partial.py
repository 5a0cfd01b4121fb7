"""The value of JSON text that is still being written."""

from __future__ import annotations

import json
import re

__all__ = ["partial_json"]

_CLOSERS = {"{": "}", "[": "]"}
# What matters: strings (without their end, perhaps), brackets, and what stands between the rest.
_PIECE = re.compile(
    r'"(?:[^"\\]|\\u[0-9a-fA-F]{4}|\\[^u])*(?:(")|\\u[0-9a-fA-F]{0,3}$|\\$|$)|.', re.DOTALL
)
_WORD_ENDS = frozenset(" \t\r\n,:]}")


def partial_json(text: str) -> object:
    """What the beginning of a JSON text stands for; None while nothing is certain.

    Strings, lists and objects that have begun are there as far as they have come; numbers and words
    such as ``true`` once they are complete, for ``1`` may become ``12``.

    Example:
        >>> partial_json('{"name": "Ali')
        {'name': 'Ali'}
    """
    stack: list[str] = []  # The brackets that are open.
    is_key = in_word = False
    safe, closers = 0, ""  # Up to here, closed with these, it is a value.
    for piece in _PIECE.finditer(text):
        char = piece[0][0]
        if in_word and char in _WORD_ENDS:
            in_word = False
            safe, closers = piece.start(), _closing(stack)
        if char == '"':
            if not is_key and piece[1] is None:
                return _value(_without_escape(text) + '"' + _closing(stack))
            if not is_key:
                safe, closers = piece.end(), _closing(stack)
        elif char in "{[":
            stack.append(char)
            is_key = char == "{"
            safe, closers = piece.end(), _closing(stack)
        elif char in "}]":
            del stack[-1:]
            safe, closers = piece.end(), _closing(stack)
        elif char == ",":
            is_key = stack[-1:] == ["{"]
        elif char == ":":
            is_key = False
        elif not char.isspace():
            in_word = True
    return _value(text[:safe] + closers)


def _closing(stack: list[str]) -> str:
    return "".join(_CLOSERS[each] for each in reversed(stack))


def _without_escape(text: str) -> str:
    """Without the beginning of an escape at the end."""
    found = re.search(r"(?<!\\)(?:\\\\)*(\\(?:u[0-9a-fA-F]{0,3})?)$", text)
    return text[: found.start(1)] if found else text


def _value(text: str) -> object:
    try:
        return json.loads(text) if text else None
    except ValueError:  # It is no JSON.
        return None

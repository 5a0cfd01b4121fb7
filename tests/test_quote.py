"""What error messages quote."""

from __future__ import annotations

import time

import pytest

from llmlocal._quote import quote


class Hostile:
    def __repr__(self) -> str:
        raise SystemError("no text")


def nested(depth: int) -> object:
    value: object = []
    for _ in range(depth):
        value = [value]
    return value


def nested_dict(depth: int) -> object:
    value: object = {}
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"),
        ("it's", '"it\'s"'),
        ("a" * 100, f"'{'a' * 56}..."),
        (b"a" * 100, f"b'{'a' * 55}..."),
        (Hostile(), "<Hostile instance at"),
        (nested(100_000), "[[[["),
        (nested_dict(100_000), "{'a': {'a': "),
        (10**5000, "<int"),
    ],
    ids=["int", "text", "long", "bytes", "hostile", "list", "dict", "digits"],
)
def test_quotes_the_beginning(value: object, text: str) -> None:
    quoted = quote(value)

    assert quoted.startswith(text)
    assert len(quoted) <= 60


def test_what_is_not_shown_is_not_looked_at() -> None:
    text = "a" * 200_000_000
    begin = time.perf_counter()

    quote([text, text])
    quote({"key": text})

    assert time.perf_counter() - begin < 0.1

"""Constraints that are made to do harm end in an error within two seconds, or do none."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

import pytest

from llmlocal import LLM
from llmlocal.errors import ConstraintError, RequestError

BRACKETS = "(" * 20_000 + "a" + ")" * 20_000
QUOTED = BRACKETS.replace("a", '"a"')


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


HOSTILE: list[dict[str, Any]] = [
    {"regex": BRACKETS},
    {"grammar": f"start: {QUOTED}"},
    {"grammar": f"root ::= {QUOTED}"},
    {"schema": {"pattern": BRACKETS}},
    {"schema": nested(20_000)},
    {"schema": '{"items":' * 20_000 + "{}" + "}" * 20_000},
    {"schema": {"const": [[]]} | {"enum": [nested(5_000)]}},
    {"grammar": 'root ::= ("a"|"b")?' + ' ("a"|"b")?' * 23},
    {"regex": "(a|b)?" * 24},
    {"grammar": "root ::= root"},
    {"grammar": 'start: start "a"'},
    {"grammar": 'start: a\na: b\nb: a "x"'},
    {"schema": {"$ref": "#"}},
    {"schema": {"allOf": [{"$ref": "#"}]}},
    {"schema": json.dumps({"enum": ["x" * 100 + str(i) for i in range(50_000)]})},
    {"schema": {"properties": {f"p{i}": {"type": "string"} for i in range(60_000)}}},
    {
        "schema": {
            "allOf": [
                {"anyOf": [{"properties": {f"{i}{j}": {}}} for j in range(4)]} for i in range(9)
            ]
        }
    },
    {"regex": "((a{1000}){1000}){1000}"},
    {"grammar": "start: " + " ".join(f'"{i}x"?' for i in range(20_000))},
    {"regex": "a\0b"},
    {"regex": "(a*)*" * 100 + "b"},
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_constraints(vocabulary_llm: LLM, number: int) -> None:
    vocabulary_llm.generate("warm", regex="a")
    begin = time.monotonic()
    with suppress(RequestError):
        vocabulary_llm.generate("The", max_tokens=2, **HOSTILE[number])
    assert time.monotonic() - begin < 2
    assert vocabulary_llm.generate("The", regex="abc", max_tokens=5) == "abc"


def test_time_is_bounded(vocabulary_llm: LLM) -> None:
    """What nothing else stops: remainders of a large number, which takes minutes."""
    grammar = 'start: %json {"type": "integer", "multipleOf": 9999991}'
    begin = time.monotonic()
    with pytest.raises(ConstraintError, match="too complex"):
        vocabulary_llm.generate("The", grammar=grammar)
    assert time.monotonic() - begin < 2.5

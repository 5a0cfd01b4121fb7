"""Answers that obey a schema: what the constraint takes of the speed, and how fast it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.scenarios.scenario import Context, Metric, Scenario, Task
from benchmarks.session import Session
from benchmarks.systems import OURS, Entrant

__all__ = ["FREE", "SCHEMAS", "STRUCTURED", "TOGETHER"]

FREE = "without a schema"
TOGETHER = 8
_TOKENS = 160
_TOOLS = 30
_SENTENCE = {"type": "string", "minLength": 12, "maxLength": 40, "pattern": "^[A-Za-z ,]+$"}


def record(fields: int, name: str = "field") -> dict[str, Any]:
    """The schema of an object with so many fields of several kinds, all required."""
    kinds: list[dict[str, Any]] = [
        {"type": "string", "minLength": 4, "maxLength": 24},
        {"type": "integer", "minimum": 0, "maximum": 99_999},
        {"enum": ["low", "middle", "high"]},
        {"type": "boolean"},
        {"type": "number", "minimum": 0, "maximum": 1000},
    ]
    properties = {f"{name}_{i}": kinds[i % len(kinds)] for i in range(fields)}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def tool(number: int) -> dict[str, Any]:
    """The schema of a tool's arguments, as catalogues have them."""
    place = {
        "type": "object",
        "properties": {
            "latitude": {"type": "number", "minimum": -90, "maximum": 90},
            "longitude": {"type": "number", "minimum": -180, "maximum": 180},
        },
        "required": ["latitude", "longitude"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {
            f"query_{number}": {"type": "string", "minLength": 1, "maxLength": 10_000},
            "since": {"type": ["string", "null"], "format": "date-time"},
            "code": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"},
            "where": {"anyOf": [{"$ref": "#/$defs/place"}, {"type": "null"}]},
            "filters": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "properties": {
                        "key": {"type": "string"},
                        "value": {"type": ["string", "number"]},
                    },
                    "required": ["key", "value"],
                },
            },
            "mode": {"const": f"mode-{number}"},
        },
        "required": [f"query_{number}", "filters"],
        "additionalProperties": False,
        "$defs": {"place": place},
    }


_SHAPES: Mapping[str, Mapping[str, Any]] = {
    "an object of 20 fields": record(20),
    "an array of 50": {"type": "array", "minItems": 50, "maxItems": 50, "items": _SENTENCE},
}


def _structured(context: Context) -> Sequence[Task]:
    tasks = []
    for entrant in context.entrants():
        for count in (1, TOGETHER):
            at_once = "" if count == 1 else f", {count} at once"
            name = entrant.label
            tasks.append(Task(f"{name}, {FREE}{at_once}", entrant, _free(count)))
            for shape, schema in _SHAPES.items():
                tasks.append(Task(f"{name}, {shape}{at_once}", entrant, _held(schema, count)))
    return tasks


def _prompts(count: int, turn: int) -> list[str]:
    return [f"{i + turn}. A record of the inventory, as JSON:" for i in range(count)]


def _free(count: int) -> Any:
    def work(session: Session, turn: int) -> dict[str, Any]:
        if count == 1:
            return session.ask("decode", prompt=_prompts(1, turn)[0], tokens=_TOKENS)
        return session.ask("free_together", prompts=_prompts(count, turn), tokens=_TOKENS)

    return work


def _held(schema: Mapping[str, Any], count: int) -> Any:
    def work(session: Session, turn: int) -> dict[str, Any]:
        return session.ask(
            "structured", prompts=_prompts(count, turn), schema=schema, tokens=_TOKENS
        )

    return work


def _compile(context: Context) -> Sequence[Task]:
    entrant = Entrant(OURS, OURS, context.settings())

    def tools(session: Session, turn: int) -> dict[str, Any]:
        first = turn * _TOOLS
        return session.ask("schema_compile", schemas=[tool(first + i) for i in range(_TOOLS)])

    def first(is_held: bool) -> Any:
        def work(session: Session, turn: int) -> dict[str, Any]:
            schema = record(20, f"turn_{turn}") if is_held else None
            return session.ask("first_constrained", prompt=_prompts(1, turn)[0], schema=schema)

        return work

    return [
        Task(f"{_TOOLS} tool schemas", entrant, tools),
        Task(f"the first token, {FREE}", entrant, first(False)),
        Task("the first token, with one never seen", entrant, first(True)),
    ]


STRUCTURED = Scenario(
    "structured",
    f"answers of up to {_TOKENS} tokens, greedy, held to a schema and not",
    (Metric("tokens_per_s", "tokens/s", "higher"),),
    _structured,
    rounds=(5, 3),
)
SCHEMAS = Scenario(
    "schemas",
    "making constraints of schemas",
    (Metric("ms", "ms", "lower"),),
    _compile,
    rounds=(9, 5),
)

"""JSON schemas of all kinds, drawn by a seed; and a validator that is not ours."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import numpy as np

Schema = dict[str, Any]

PATTERNS = [
    "^[a-c]{1,4}$",
    "^(ab|c)+d$",
    "b",
    "^x",
    "^[^a-z]{2}$",
    r"^\d{2,3}$",
    r"^\w\s?\w$",
    "^é.$",
]
FORMATS = [
    "date",
    "time",
    "date-time",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "uri",
    "uuid",
]
NAMES = ["a", "b", "name", "x y", 'q"uote', "é", "line\nbreak", "back\\slash", "10"]
CONSTANTS = [0, 1, -7, 2.5, "a", "", 'é\n"\\', True, False, None, [], [1, "a"], {}, {"a": [None]}]


class RandomSchemas:
    """Draws schemas that can be satisfied mostly, and often in few words."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._definitions: list[str] = []

    def draw(self) -> Schema:
        self._definitions = ["one", "two"][: self._below(3)]
        schema = self._schema(4)
        if self._definitions:
            schema["$defs"] = {
                name: self._schema(2) for name in self._definitions
            }  # They may refer to each other, and to themselves.
        if self._chance(0.1):
            schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
        return schema

    def _below(self, end: int) -> int:
        return int(self._random.integers(end))

    def _chance(self, share: float) -> bool:
        return bool(self._random.random() < share)

    def _pick(self, values: list[Any]) -> Any:
        return values[self._below(len(values))]

    def _schema(self, depth: int) -> Schema:
        kinds: list[Callable[[int], Schema]] = [
            self._string, self._number, self._integer, self._constants, self._simple,
        ]  # fmt: skip
        if depth > 0:
            kinds += [self._object, self._object, self._array, self._array, self._joined]
            kinds += [self._reference] if self._definitions else []
        schema: Schema = self._pick(kinds)(depth)
        if self._chance(0.1):
            schema |= {"title": "T", "description": "d", "default": None, "x-own": 1}
        return schema

    def _simple(self, depth: int) -> Schema:
        if depth and self._chance(0.1):
            return {}
        return {
            "type": self._pick(["boolean", "null", ["boolean", "null"], ["integer", "boolean"]])
        }

    def _constants(self, _: int) -> Schema:
        if self._chance(0.5):
            return {"const": self._pick(CONSTANTS)}
        return {"enum": [self._pick(CONSTANTS) for _ in range(1 + self._below(4))]}

    def _string(self, _: int) -> Schema:
        schema: Schema = {"type": "string"} if self._chance(0.9) else {"type": ["string", "null"]}
        draw = self._below(4)
        if draw == 0:
            schema["pattern"] = self._pick(PATTERNS)
        elif draw == 1:
            schema["format"] = self._pick(FORMATS)
        if draw and self._chance(0.8):
            schema["maxLength"] = 1 + self._below(8) if draw > 1 else 40
            if self._chance(0.3):
                schema["minLength"] = self._below(2)
        return schema

    def _number(self, _: int) -> Schema:
        schema: Schema = {"type": "number"}
        least = round(float(self._random.normal() * 10), self._below(4))
        if self._chance(0.6):
            schema[self._pick(["minimum", "exclusiveMinimum"])] = least
        if self._chance(0.6):
            schema[self._pick(["maximum", "exclusiveMaximum"])] = least + 1 + self._below(50)
        if self._chance(0.2):
            schema["multipleOf"] = self._pick([0.5, 0.01, 3, 0.25])
        return schema

    def _integer(self, _: int) -> Schema:
        least = self._below(200) - 100
        schema: Schema = {"type": "integer", "minimum": least, "maximum": least + self._below(3000)}
        if self._chance(0.2):
            schema["exclusiveMaximum"] = least + 7
        if self._chance(0.2):
            schema["multipleOf"] = self._pick([1, 2, 7])
        if self._chance(0.1):
            schema["format"] = "int32"
        return schema

    def _array(self, depth: int) -> Schema:
        schema: Schema = {"type": "array", "maxItems": self._below(5)}
        if self._chance(0.7):
            schema["items"] = self._schema(depth - 1)
        if self._chance(0.3):
            schema["prefixItems"] = [self._schema(depth - 1) for _ in range(1 + self._below(2))]
        if self._chance(0.4):
            schema["minItems"] = self._below(schema["maxItems"] + 1)
        if self._chance(0.1):
            schema["items"] = False
        return schema

    def _object(self, depth: int) -> Schema:
        names = list(self._random.permutation(NAMES)[: self._below(4)])
        schema: Schema = {
            "type": "object",
            "properties": {str(name): self._schema(depth - 1) for name in names},
            "required": [str(name) for name in names if self._chance(0.6)],
        }
        draw = self._below(4)
        if draw < 2:
            schema["additionalProperties"] = False
        elif draw == 2:
            schema["additionalProperties"] = self._schema(depth - 1)
        if self._chance(0.15):
            schema["patternProperties"] = {"^p": self._schema(depth - 1)}
        if self._chance(0.1):
            schema["maxProperties"] = len(names) + self._below(2)
        if self._chance(0.1):
            schema["minProperties"] = 1
        if self._chance(0.1):
            schema["unevaluatedProperties"] = False
        return schema

    def _joined(self, depth: int) -> Schema:
        key = self._pick(["anyOf", "anyOf", "oneOf", "allOf"])
        schema: Schema = {key: [self._schema(depth - 1) for _ in range(1 + self._below(3))]}
        return schema | self._schema(0) if self._chance(0.2) else schema

    def _reference(self, _: int) -> Schema:
        return {"$ref": f"#/$defs/{self._pick(self._definitions)}"}


def _is_multiple(
    validator: Any, factor: Any, value: Any, schema: Any
) -> Iterator[jsonschema.ValidationError]:
    """Exactly: 0.07 is a multiple of 0.01, as it is written."""
    del schema
    if validator.is_type(value, "number") and Fraction(repr(value)) % Fraction(repr(factor)) != 0:
        yield jsonschema.ValidationError(f"{value} is not a multiple of {factor}")


_VALIDATOR = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
    jsonschema.Draft202012Validator, {"multipleOf": _is_multiple}
)


def _checker() -> jsonschema.FormatChecker:
    """What the validator knows of formats, and what Python's library does beyond that."""
    checker = jsonschema.FormatChecker(jsonschema.Draft202012Validator.FORMAT_CHECKER.checkers)
    parsers: dict[str, Callable[[str], object]] = {
        "time": lambda text: dt.time.fromisoformat(_six_digits(text)),
        "date-time": lambda text: dt.datetime.fromisoformat(_six_digits(text)),
        "hostname": lambda text: 1 // (len(text) < 254 and all(text.split("."))),
        "uri": lambda text: 1 // bool(urlsplit(text).scheme),
    }
    for name, parse in parsers.items():
        checker.checks(name, (ValueError, ZeroDivisionError))(
            lambda value, parse=parse: not isinstance(value, str) or parse(value) is not None
        )
    return checker


def _six_digits(text: str) -> str:
    """What Python 3.10 reads: a fraction of six digits, and an offset in digits."""
    return re.sub(r"\.(\d+)", lambda found: f".{found[1]:0<6}", text).replace("Z", "+00:00")


_CHECKER = _checker()


def problems(schema: Schema, text: str) -> list[str]:
    """What an answer breaks, as another validator sees it."""
    try:
        value = json.loads(text)
    except ValueError as exc:
        return [f"no JSON: {exc}"]
    validator = _VALIDATOR(schema, format_checker=_CHECKER)
    return [each.message for each in validator.iter_errors(value)]

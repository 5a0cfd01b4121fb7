"""The arguments of a call in Gemma 4's notation: bare keys, and strings in quotes of their own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llmlocal._chat._output._values import QUOTE
from llmlocal._chat._tools._raw import raw_body
from llmlocal._chat._tools._rules import Rules, quoted
from llmlocal._chat._tools._tool import Tool
from llmlocal._chat._tools._types import allowed_types
from llmlocal._generation._schema import engine_schema
from llmlocal.errors import ParameterError

__all__ = ["Dialect"]

_DEFINITIONS = ("$defs", "definitions")
_ANNOTATIONS = {"title", "description", "default", "examples", "example", "deprecated", "$comment"}


class Dialect:
    """Values in Gemma 4's notation: bare keys, and strings between quotes of their own."""

    def __init__(self, rules: Rules, tool: Tool, prefix: str) -> None:
        self._rules = rules
        self._tool = tool
        self._prefix = prefix
        self._n_rules = 0
        self._by_reference: dict[str, str] = {}

    def value(self, schema: Any, path: str) -> str:
        """A value that a schema allows.

        Raises:
            ParameterError: The schema can't be enforced in this notation.
        """
        where = f"{self._tool.name}: {path}"
        if not isinstance(schema, Mapping):
            raise ParameterError(f"the schema of {where} can't be enforced in this model's format")
        if "$ref" in schema:
            return self._reference(schema["$ref"], path)
        for key in ("anyOf", "oneOf"):
            if key in schema:
                shared = {name: item for name, item in schema.items() if name != key}
                ways = [self.value({**shared, **each}, path) for each in schema[key]]
                return self._rule(" | ".join(ways))
        if "const" in schema or "enum" in schema:
            values = schema.get("enum", [schema.get("const")])
            return self._rule(" | ".join(self._written(value) for value in values))
        types = allowed_types(schema)
        if len(types) > 1:
            kinds = [{**schema, "type": each} for each in types]
            return self._rule(" | ".join(self.value(each, path) for each in kinds))
        return self._typed(types[0], schema, path)

    def _typed(self, kind: str, schema: Mapping[str, Any], path: str) -> str:
        where = f"{self._tool.name}: {path}"
        if kind == "string":
            quote = self._rules.literal(QUOTE)
            body = raw_body(schema, QUOTE, where)
            return self._rule(f"{quote} {self._rules.raw(body, QUOTE)}")
        if kind == "object":
            return self._object(schema, path)
        if kind == "array":
            return self._array(schema, path)
        return self._rule(f"%json {engine_schema({**schema, 'type': kind})[0]}")

    def _object(self, schema: Mapping[str, Any], path: str) -> str:
        self._only(schema, {"type", "properties", "required", "additionalProperties"}, path)
        required = set(schema.get("required", ()))
        ways = [
            (
                self._rule(f"{quoted(key + ':')} {self.value(value, f'{path}.{key}')}"),
                key in required,
            )
            for key, value in schema.get("properties", {}).items()
        ]
        inner = self._rules.sequence(ways, quoted(","))
        return self._rule(f'"{{" {inner} "}}"')

    def _array(self, schema: Mapping[str, Any], path: str) -> str:
        self._only(schema, {"type", "items", "minItems", "maxItems"}, path)
        item = self.value(schema.get("items", {"type": "string"}), f"{path}[]")
        least, most = int(schema.get("minItems", 0)), schema.get("maxItems")
        if most == 0:
            return self._rule('"[" "]"')
        rest = f'("," {item}){{{max(0, least - 1)},{"" if most is None else int(most) - 1}}}'
        full = f"{item} {rest}"
        return self._rule(f'"[" {full if least else f"({full})?"} "]"')

    def _reference(self, name: str, path: str) -> str:
        parts = str(name).removeprefix("#/").split("/")
        target: Any = self._tool.parameters
        for part in parts:
            target = target.get(part) if isinstance(target, Mapping) else None
        if not str(name).startswith("#/") or target is None:
            raise ParameterError(f"{self._tool.name}: {path}.$ref: there is no {name!r}")
        if name not in self._by_reference:
            rule = f"{self._prefix}_ref_{len(self._by_reference)}"
            self._by_reference[name] = rule
            self._rules.rule(rule, self.value(target, path))
        return self._by_reference[name]

    def _only(self, schema: Mapping[str, Any], known: set[str], path: str) -> None:
        strange = sorted(set(schema) - known - _ANNOTATIONS - {"anyOf", "oneOf", *_DEFINITIONS})
        if strange:
            raise ParameterError(
                f"{self._tool.name}: {path}.{strange[0]} can't be enforced in this model's format"
            )

    def _written(self, value: Any) -> str:
        if isinstance(value, str):
            quote = self._rules.literal(QUOTE)
            return f"{quote} {quoted(value)} {quote}"
        return quoted(json.dumps(value))

    def _rule(self, rule: str) -> str:
        self._n_rules += 1
        return self._rules.rule(f"{self._prefix}_v{self._n_rules}", rule)

"""The arguments of a call, as a tool's schema allows them and as a format writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmlocal._chat._output._format import JsonType, Parameters, ToolFormat
from llmlocal._chat._tools._dialect import Dialect
from llmlocal._chat._tools._raw import raw_body
from llmlocal._chat._tools._rules import Rules
from llmlocal._chat._tools._tool import Tool, is_string
from llmlocal._chat._tools._types import allowed_types, of_types
from llmlocal._generation._schema import engine_schema

__all__ = ["Arguments"]

_DEFINITIONS = ("$defs", "definitions")
_MOST_REFERENCES = 20  # from one schema to the next


class Arguments:
    """Writes the rules for the arguments of tools, one for each."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def rule(self, form: ToolFormat, tool: Tool, number: int) -> str:
        """The rule for the arguments of a tool, which is the answer's tool of this number.

        Raises:
            ParameterError: The tool's schema can't be enforced in this format.
        """
        name = f"arguments_{number}"
        if name in self._rules:
            return name
        schema = _closed(tool.parameters)
        self._rules.rule(name, "")
        if form.dialect is not None:
            rule = Dialect(self._rules, tool, name).value(schema, "$")
        elif form.parameters is None:
            rule = f"%json {engine_schema(schema)[0]}"
        else:
            rule = self._parameters(form.parameters, tool, name, schema)
        return self._rules.rule(name, rule)

    def _parameters(
        self, form: Parameters, tool: Tool, name: str, schema: Mapping[str, Any]
    ) -> str:
        """Each argument between its tags, in the order of the schema."""
        properties: Mapping[str, Any] = schema.get("properties", {})
        required = set(schema.get("required", ()))
        ways: list[tuple[str, bool]] = []
        for i, (key, value) in enumerate(properties.items()):
            rule = f"{name}_{i}"
            self._rules.rule(rule, self._parameter(form, key, value, schema, f"{tool.name}.{key}"))
            ways.append((rule, key in required))
        return self._rules.sequence(ways, self._rules.literal(form.between) if form.between else "")

    def _parameter(
        self, form: Parameters, key: str, value: Any, schema: Mapping[str, Any], where: str
    ) -> str:
        value = _followed(value if isinstance(value, Mapping) else {}, schema)
        groups: dict[str, list[JsonType]] = {}  # What stands before the value tells of its type.
        for kind in allowed_types(value):
            groups.setdefault(form.middle[kind], []).append(kind)
        defined = {key: schema[key] for key in _DEFINITIONS if key in schema}
        ways: list[str] = []
        for middle, types in groups.items():
            own = of_types(value, types) if len(groups) > 1 else value
            head = self._rules.literal(f"{form.opening}{key}{middle}")
            if form.is_raw and (is_string(own) or types == ["string"]):
                body = raw_body(own, form.closing, where)
                ways.append(f"{head} {self._rules.raw(body, form.closing)}")
                continue
            text, _ = engine_schema({**defined, **own})
            inner = self._rules.rule(f"value_{len(self._rules)}", f"%json {text}")
            ways.append(f"{head} {inner} {self._rules.literal(form.closing)}")
        return " | ".join(ways)


def _closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A tool's schema, without arguments that it doesn't name."""
    closed: dict[str, Any] = {"type": "object", "properties": {}, **schema}
    closed.setdefault("additionalProperties", False)
    return closed


def _followed(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a schema that only refers to another one stands for."""
    for _ in range(_MOST_REFERENCES):
        name = str(schema.get("$ref", ""))
        found: Any = root
        for part in name.removeprefix("#/").split("/") if name.startswith("#/") else ():
            found = found.get(part) if isinstance(found, Mapping) else None
        if found is root or not isinstance(found, Mapping):
            break
        schema = {**found, **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema

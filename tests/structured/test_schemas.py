"""What of JSON Schema is enforced, letter by letter; and what is refused, with its path."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmlocal._generation._constraint import constraint_of
from llmlocal.errors import SchemaError

from .matching import Matcher

OPEN = {"type": "object", "properties": {"a": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("schema", "fits", "breaks"),
    [
        ({"type": "integer"}, ["0", "-12"], ["1.0", "1e3", '"1"', "01"]),
        ({"type": "array", "items": {"type": "integer"}}, ["[]", "[1, 2]", "[1,2]"], ["[1,  2]"]),
        ({"type": "array", "maxItems": 1}, ["[]", '["x"]'], ["[1,2]", "[ 1]", "[\n]"]),
        (OPEN, ['{"a": 1}', '{"b": "x"}', "{}"], ['{"a": "x"}', '{"\\u0061": "x"}']),
        ({**OPEN, "additionalProperties": False}, ['{"a":1}'], ['{"b":1}']),
        ({**OPEN, "unevaluatedProperties": False}, ['{"a":1}'], ['{"b":1}']),
        ({"type": "string", "format": "date"}, ['"2024-02-29"'], ['"2023-02-29"', '"2024-02-30"']),
        (
            {"type": "string", "format": "hostname"},
            ['"a-1.example"', f'"{".".join(["a" * 63] * 3)}.{"b" * 61}"'],  # 253 characters
            [f'"{".".join(["a" * 63] * 3)}.{"b" * 62}"', '"-a"', '"a..b"', '"a_b"'],
        ),
        ({"type": "string", "format": "date"}, ['"2000-02-29"'], ['"1900-02-29"', '"2024-13-01"']),
        ({"format": "time", "type": "string"}, ['"23:59:59.5Z"'], ['"23:59:60Z"', '"24:00:00Z"']),
        ({"type": "string", "format": "ipv4"}, ['"1.2.3.255"'], ['"1.2.3.256"']),
        ({"type": "string", "pattern": "^a|b$"}, ['"ax"', '"xb"'], ['"xa"']),
        ({"type": "string", "maxLength": 2}, ['"ab"', '"\\n\\n"'], ['"abc"']),
        ({"type": "integer", "format": "int32"}, ["2147483647"], ["2147483648"]),
        ({"multipleOf": 0.01, "type": "number"}, ["0.07"], ["0.071"]),
        ({"exclusiveMinimum": 0, "type": "number"}, ["0.1"], ["0", "0.0", "-0.0"]),
        ({"const": {"a": [1, None]}}, ['{"a": [1, null]}'], ['{"a": [1]}', "{}"]),
        ({"oneOf": [{"type": "integer"}, {"type": "string"}]}, ["1", '"x"'], ["null"]),
        ({"minProperties": 1}, ['{"a": 1}'], ["{}"]),
        (
            {"$ref": "#/$defs/t", "$defs": {"t": {"items": {"$ref": "#/$defs/t"}}}},
            ["[[]]"],
            ["[[}"],
        ),
        ({"uniqueItems": False, "type": "array"}, ["[1,1]"], ["1"]),
    ],
)
def test_enforced(matcher: Matcher, schema: Any, fits: list[str], breaks: list[str]) -> None:
    constraint = constraint_of({"schema": schema})
    assert constraint is not None
    assert [text for text in fits if not matcher.takes(constraint, text)] == []
    assert [text for text in breaks if matcher.takes(constraint, text)] == []


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"items": {"not": {}}}, "$.items.not"),
        ({"items": [{"uniqueItems": True}]}, "$.items[0].uniqueItems"),
        ({"anyOf": [True, {"if": True, "then": False}]}, "$.anyOf[1].if"),
        ({"properties": {"a": {"type": "string", "format": "iri"}}}, "$.properties.a.format"),
        ({"properties": {"a": {"minLenght": 1}}}, "$.properties.a.minLenght"),
        ({"$defs": {"x": {"$ref": "http://example.com"}}}, "$.$defs.x.$ref"),
        ({"minProperties": 2}, "$.minProperties"),
        ({"const": 2**53 + 1}, "$.const"),
        ({"enum": [{"a": 10**30}]}, "$.enum"),
        ({"multipleOf": 9_999_991}, "$.multipleOf"),
        ({"properties": {"a": 3}}, "$.properties.a"),
        ({"x-guidance": {"lenient": True}}, "$.x-guidance"),
        (
            {"allOf": [{"unevaluatedProperties": False, "$ref": "#"}]},
            "$.allOf[0].unevaluatedProperties",
        ),
        ({"disallow": "string"}, "$.disallow"),
    ],
)
def test_refused_before_it_is_compiled(schema: Any, path: str) -> None:
    with pytest.raises(SchemaError) as caught:
        constraint_of({"schema": schema})
    assert caught.value.path == path
    assert path.rpartition(".")[2] in str(caught.value)


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"properties": {"a": {"pattern": "(?=a)b"}}}, "$.properties.a.pattern"),
        ({"items": {"oneOf": [{"minimum": 1}, {"maximum": 3}]}}, "$.items.oneOf"),
        ({"$defs": {"a": {"$ref": "#/$defs/b"}}, "$ref": "#/$defs/a"}, "$.$defs.a.$ref"),
        ({"prefixItems": [True, {"type": "text"}]}, "$.prefixItems[1].type"),
        (
            {
                "properties": {"a": {"type": "integer", "minimum": 3, "maximum": 2}},
                "required": ["a"],
                "type": "object",
            },
            "$",
        ),
        ({"$ref": "#"}, "$"),
    ],
)
def test_refused_by_the_compiler(matcher: Matcher, schema: Any, path: str) -> None:
    constraint = constraint_of({"schema": schema})
    assert constraint is not None
    with pytest.raises(SchemaError) as caught:
        matcher.mask(constraint)
    assert caught.value.path == path


def test_what_is_no_keyword_says_nothing(matcher: Matcher) -> None:
    schema = {"type": "boolean", "x-order": 1, "nullable": True, "deprecated": True, "example": 1}
    constraint = constraint_of({"schema": json.dumps(schema)})
    assert constraint is not None
    assert matcher.takes(constraint, "true")
    assert not matcher.takes(constraint, "null")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
        {
            "type": "array",
            "items": {"oneOf": [{"minimum": 2}, {"multipleOf": 2}], "type": "integer"},
        },
        {
            "type": "array",
            "items": {"pattern": "^(?!2)", "type": ["string", "integer"]},
            "not": {"minItems": 2},
        },
    ],
)
def test_checked_afterwards(matcher: Matcher, schema: Any) -> None:
    """The rest is still enforced, and what breaks the whole is found."""
    constraint = constraint_of({"schema": schema, "unsupported": "validate"})
    assert constraint is not None
    _, kept = matcher.guide.compile(constraint)
    assert kept.checks
    assert matcher.takes(kept, "[2, 2]")
    assert not matcher.takes(kept, "[2.5]")
    assert kept.read("[3]") == [3]
    with pytest.raises(SchemaError, match="could only be checked") as caught:
        kept.read("[2, 2]")
    assert caught.value.answer == "[2, 2]"


def test_what_can_be_neither_enforced_nor_checked() -> None:
    schema = {"type": "string", "format": "made-up"}
    with pytest.raises(SchemaError, match="neither enforced nor checked") as caught:
        constraint_of({"schema": schema, "unsupported": "validate"})
    assert caught.value.path == "$.format"

"""What a tool is made of: functions, classes, dicts, and what MCP clients list."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated, Any, Literal, TypedDict

import pytest

from llmlocal._chat._tools import Tool, as_tools
from llmlocal._chat._tools._signature import typed_arguments
from llmlocal._chat._tools._tool import chosen
from llmlocal._chat._tools._validate import problem_with
from llmlocal.errors import ParameterError


class Unit(enum.Enum):
    CELSIUS = "c"
    FAHRENHEIT = "f"


@dataclass
class Place:
    name: str
    floor: int = 0


class Range(TypedDict):
    low: int
    high: int


def weather(
    city: str,
    days: int = 1,
    *,
    unit: Unit = Unit.CELSIUS,
    exact: bool = False,
    at: Annotated[Place, "where exactly"] | None = None,
    tags: list[str] | None = None,
    mode: Literal["fast", "slow"] = "fast",
    limits: dict[str, float] | None = None,
    span: Range | None = None,
) -> str:
    """Tell the weather.

    It is a forecast.

    Args:
        city: Where it is,
            as people call it.
        days (int): How many.

    Returns:
        A text.
    """
    return f"{city}{days}{unit}{exact}{at}{tags}{mode}{limits}{span}"


def test_a_functions_schema_comes_from_its_signature_and_docstring() -> None:
    (tool,) = as_tools([weather])
    assert tool.name == "weather"
    assert tool.description == "Tell the weather.\n\nIt is a forecast."
    properties = tool.parameters["properties"]
    assert properties["city"] == {
        "type": "string",
        "description": "Where it is, as people call it.",
    }
    assert properties["days"] == {"type": "integer", "description": "How many."}
    assert properties["exact"] == {"type": "boolean"}
    assert properties["unit"]["enum"] == ["c", "f"]
    assert properties["mode"]["enum"] == ["fast", "slow"]
    assert tool.parameters["required"] == ["city"]
    assert tool.parameters["additionalProperties"] is False


def test_arguments_become_what_the_hints_name() -> None:
    typed = typed_arguments(
        weather,
        {
            "city": "Paris",
            "unit": "f",
            "at": {"name": "Louvre", "floor": 2},
            "tags": ["a"],
            "limits": {"a": 1},
            "span": None,
        },
    )
    assert typed["unit"] is Unit.FAHRENHEIT
    assert typed["at"] == Place("Louvre", 2)
    assert typed["tags"] == ["a"]
    assert typed["limits"] == {"a": 1.0}
    assert typed["span"] is None


def test_a_pydantic_model_is_a_tool() -> None:
    pydantic = pytest.importorskip("pydantic")

    class Booking(pydantic.BaseModel):  # type: ignore[name-defined, misc]
        """Book a table."""

        name: str
        seats: int = pydantic.Field(2, ge=1, le=9)

    (tool,) = as_tools([Booking])
    assert (tool.name, tool.description) == ("Booking", "Book a table.")
    assert tool.function is None
    assert problem_with({"name": "x", "seats": 3}, tool.parameters, tool.parameters) is None
    assert "range" in str(problem_with({"name": "x", "seats": 0}, tool.parameters, tool.parameters))


def test_a_dataclass_is_a_tool() -> None:
    (tool,) = as_tools([Place])
    assert tool.name == "Place"
    assert problem_with({"name": "x"}, tool.parameters, tool.parameters) is None
    assert problem_with({"floor": 1}, tool.parameters, tool.parameters) is not None


SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}


@pytest.mark.parametrize(
    "given",
    [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}},
        {"type": "function", "name": "f", "description": "d", "parameters": SCHEMA},
        {"name": "f", "description": "d", "parameters": SCHEMA},
        {"name": "f", "description": "d", "inputSchema": SCHEMA},
        {"name": "f", "description": "d", "input_schema": SCHEMA},
        SimpleNamespace(name="f", description="d", inputSchema=SCHEMA),
    ],
    ids=["OpenAI", "Responses", "bare", "MCP", "Anthropic", "MCP's class"],
)
def test_dicts_of_all_kinds(given: Any) -> None:
    (tool,) = as_tools([given])
    assert (tool.name, tool.description, tool.parameters) == ("f", "d", SCHEMA)
    assert tool.as_dict() == {
        "type": "function",
        "function": {"name": "f", "description": "d", "parameters": SCHEMA},
    }


def positional(a: int, /) -> None: ...
def variadic(*a: int) -> None: ...
def strange(a: range) -> None: ...


@pytest.mark.parametrize(
    ("tools", "complaint"),
    [
        ("f", "must be a list"),
        ([5], r"tools\[0\] must be a function"),
        ([{"name": "a b"}], "has the name 'a b'"),
        ([{"description": "x"}], "has the name None"),
        ([{"type": "web_search"}], "is no function"),
        ([{"name": "f", "parameters": {"type": "array"}}], "schema of an object"),
        ([{"name": "f"}, {"name": "f"}], "two tools have the name 'f'"),
        ([positional], "can't be given by name"),
        ([variadic], "can't be given by name"),
        ([strange], "range"),
        ([lambda x: x], "has the name '<lambda>'"),
    ],
)
def test_what_is_no_tool_is_named(tools: Any, complaint: str) -> None:
    with pytest.raises(ParameterError, match=complaint):
        as_tools(tools)


def named(*names: str) -> tuple[Tool, ...]:
    return as_tools([{"name": name} for name in names])


@pytest.mark.parametrize(
    ("choice", "mode", "allowed"),
    [
        ("auto", "auto", ["f", "g"]),
        ("none", "none", ["f", "g"]),
        ("required", "required", ["f", "g"]),
        ("g", "required", ["g"]),
        ({"type": "function", "function": {"name": "g"}}, "required", ["g"]),
        ({"type": "function", "name": "g"}, "required", ["g"]),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"name": "g"}]}, "auto", ["g"]),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [{"function": {"name": "g"}}]},
            },
            "required",
            ["g"],
        ),
    ],
)
def test_choices(choice: Any, mode: str, allowed: list[str]) -> None:
    found, tools = chosen(choice, named("f", "g"))
    assert (found, [tool.name for tool in tools]) == (mode, allowed)


@pytest.mark.parametrize("choice", ["h", "", None, 5, {"function": 5}])
def test_a_choice_that_there_is_not_is_named(choice: Any) -> None:
    with pytest.raises(ParameterError, match=r"tool_choice must be .*\(f, g\)"):
        chosen(choice, named("f", "g"))


@pytest.mark.parametrize(
    "given",
    [5, {}, {"tools": [{"name": "h"}]}, {"mode": "none", "tools": [{"name": "g"}]}, {"tools": []}],
)
def test_some_of_the_tools_must_be_there(given: Any) -> None:
    with pytest.raises(ParameterError, match=r"allowed_tools.*\(f, g\)"):
        chosen({"type": "allowed_tools", "allowed_tools": given}, named("f", "g"))


def test_nothing_can_be_required_of_no_tools() -> None:
    with pytest.raises(ParameterError, match="there are no tools"):
        chosen("required", ())
    assert chosen("auto", ())[0] == "none"


@pytest.mark.parametrize(
    ("value", "schema", "problem"),
    [
        ({"x": 1}, SCHEMA, None),
        ({"x": 1.0}, SCHEMA, None),
        ({"x": True}, SCHEMA, r"$.x must be integer, got True"),
        ({}, SCHEMA, "$.x is missing"),
        ({"x": 1, "y": 2}, {**SCHEMA, "additionalProperties": False}, "$ has no argument 'y'"),
        ([1, "a"], {"items": {"type": "integer"}}, "$[1] must be integer, got 'a'"),
        ("ab", {"pattern": "^a$"}, "$ must match '^a$', got 'ab'"),
        ("ab", {"maxLength": 1}, "$ has 2 characters, which is out of its range"),
        (3, {"enum": [1, 2]}, "$ must be one of [1, 2], got 3"),
        (True, {"const": 1}, "$ must be 1, got True"),
        ({"a": {"a": {"a": 1}}}, {"$ref": "#"}, None),
        (5, {"anyOf": [{"type": "string"}, {"type": "null"}]}, "$ must be string, got 5"),
    ],
)
def test_validation(value: Any, schema: dict[str, Any], problem: str | None) -> None:
    root = schema if schema != {"$ref": "#"} else {"properties": {"a": {"$ref": "#"}}}
    assert problem_with(value, schema, root) == problem

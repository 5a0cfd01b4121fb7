"""Types as schemas, and values of JSON as instances."""

from __future__ import annotations

import datetime as dt
import enum
import typing
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NewType, TypedDict

import pydantic
import pytest

from llmlocal._generation._constraint import constraint_of
from llmlocal._generation._schema_types import value_type
from llmlocal.errors import ParameterError, SchemaError

from .matching import Matcher


class Color(enum.Enum):
    RED = "red"
    TEN = 10


Name = NewType("Name", str)


@dataclass
class Leaf:
    name: Name
    size: int = 3


@dataclass
class Tree:
    leaves: list[Leaf]
    inner: Tree | None = None
    tags: set[str] = field(default_factory=set)


class Movie(TypedDict):
    title: str
    year: typing.Optional[int]  # noqa: UP045 - the old way to write it


class City(pydantic.BaseModel):
    name: Annotated[str, pydantic.Field(max_length=5)]
    founded: dt.date
    color: Color = Color.RED


class Country(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)
    cities: list[City]
    parent: Country | None = None


@dataclass
class Trip:
    to: City
    by: Literal["train", "bike"]


CASES: list[tuple[Any, str, Any]] = [
    (str, '"a"', "a"),
    (float, "1", 1.0),
    (bool, "true", True),
    (None, "null", None),
    (Color, "10", Color.TEN),
    (Literal["a", 1, True], "1", 1),
    (Literal["a", 1, True], "true", True),
    (list[int], "[1, 2]", [1, 2]),
    (Sequence[int], "[1, 2]", [1, 2]),
    (tuple[int, str], '[1, "a"]', (1, "a")),
    (tuple[int, ...], "[1, 2, 3]", (1, 2, 3)),
    (frozenset[int], "[1, 1]", frozenset({1})),
    (dict[str, int], '{"a": 1}', {"a": 1}),
    (Mapping[str, list[bool]], '{"a": [true]}', {"a": [True]}),
    (int | str, '"1"', "1"),
    (int | None, "null", None),
    (dt.date, '"2024-02-29"', dt.date(2024, 2, 29)),
    (
        dt.datetime,
        '"2024-02-29T01:02:03.5Z"',
        dt.datetime(2024, 2, 29, 1, 2, 3, 500_000, tzinfo=dt.timezone.utc),
    ),
    (
        uuid.UUID,
        '"12345678-1234-5678-1234-567812345678"',
        uuid.UUID(int=0x12345678123456781234567812345678),
    ),
    (Leaf, '{"name": "a"}', Leaf(Name("a"))),
    (
        Tree,
        '{"leaves": [{"name": "a", "size": 1}], "inner": {"leaves": []}, "tags": ["x"]}',
        Tree([Leaf(Name("a"), 1)], Tree([]), {"x"}),
    ),
    (Leaf | Movie, '{"title": "x", "year": null}', {"title": "x", "year": None}),
    (
        City,
        '{"name": "Rome", "founded": "0753-04-21"}',
        City(name="Rome", founded=dt.date(753, 4, 21)),
    ),
    (
        list[Country],
        '[{"cities": [{"name": "Rome", "founded": "0753-04-21", "color": 10}]}]',
        [Country(cities=[City(name="Rome", founded=dt.date(753, 4, 21), color=Color.TEN)])],
    ),
    (
        Trip,
        '{"to": {"name": "Rome", "founded": "0753-04-21"}, "by": "bike"}',
        Trip(City(name="Rome", founded=dt.date(753, 4, 21)), "bike"),
    ),
]


@pytest.mark.parametrize(("kind", "text", "value"), CASES, ids=lambda each: str(each)[:40])
def test_values(matcher: Matcher, kind: Any, text: str, value: Any) -> None:
    # None is no constraint: inside a list it is a type.
    constraint = constraint_of({"schema": kind if kind is not None else list[None]})
    assert constraint is not None
    if kind is None:
        text, value = f"[{text}]", [value]
    assert matcher.takes(constraint, text)
    read = constraint.read(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Leaf, '{"name": "a", "color": 1}'),
        (Leaf, '{"size": 1}'),
        (Movie, '{"title": "x"}'),
        (City, '{"name": "Naples", "founded": "2024-01-01"}'),
        (City, '{"name": "Rome", "founded": "2024-02-30"}'),
        (City, '{"name": "Rome", "founded": "2024-01-01", "more": 1}'),
        (tuple[int, str], "[1]"),
        (Literal["a"], '"b"'),
        (bool, "1"),
    ],
)
def test_what_the_type_does_not_take(matcher: Matcher, kind: Any, text: str) -> None:
    constraint = constraint_of({"schema": kind})
    assert constraint is not None
    assert not matcher.takes(constraint, text)


@pytest.mark.parametrize("kind", [dict[int, str], Color.RED, complex, 3, type("Any", (), {})])
def test_what_has_no_schema(kind: Any) -> None:
    with pytest.raises(ParameterError, match="schema"):
        value_type(kind)


def test_a_type_that_refuses() -> None:
    """What a schema can't say, a type may: its answer is on the exception."""

    @dataclass
    class Even:
        number: int

        def __post_init__(self) -> None:
            if self.number % 2:
                raise ValueError("odd")

    constraint = constraint_of({"schema": Even})
    assert constraint is not None
    assert constraint.read('{"number": 2}') == Even(2)
    with pytest.raises(SchemaError, match="odd") as caught:
        constraint.read('{"number": 3}')
    assert caught.value.answer == '{"number": 3}'

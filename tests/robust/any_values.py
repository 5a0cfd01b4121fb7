"""Values of every kind, for arguments that should be of another, and what may come of them."""

from __future__ import annotations

import datetime as dt
import decimal
import fractions
import math
import re
import traceback
from collections import UserDict, UserList, UserString
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from hypothesis import strategies as st

import llmlocal
from llmlocal import LLMLocalError

__all__ = ["OwnError", "complaint", "values"]


class OwnError(Exception):
    """What a value of the caller's raises when it is used: that may go through."""


class Hostile:
    """Refuses whatever it is asked for."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise OwnError

    __repr__ = __str__ = __bool__ = __len__ = __iter__ = __eq__ = __hash__ = _refuse
    __int__ = __float__ = __index__ = __fspath__ = __getitem__ = __call__ = __lt__ = _refuse


class Silent:
    """Can be shown to nobody."""

    def __repr__(self) -> str:
        raise OwnError


class Longer:
    """A sequence that holds itself, and more than it says."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, place: object) -> object:
        if place == 1000:
            raise IndexError
        return self

    def __repr__(self) -> str:
        return "Longer()"


class Text(str):
    """A str of another class."""

    __slots__ = ()


class Number(int):
    """An int of another class."""


def _nested() -> list[Any]:
    value: list[Any] = []
    for _ in range(20_000):
        value = [value]
    return value


def _circle() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def _circular_dict() -> dict[str, Any]:
    value: dict[str, Any] = {"role": "user", "content": "a"}
    value["tool_calls"] = [value]
    return value


def _generator() -> Iterator[object]:
    yield "a"
    yield 1


async def _coroutine() -> None:
    """Never awaited: not called either."""


def _raises(*_: object, **__: object) -> NoReturn:
    raise OwnError


_ODD: list[Callable[[], Any]] = [
    lambda: None,
    object,
    Hostile,
    Silent,
    Longer,
    _nested,
    _circle,
    _circular_dict,
    _generator,
    lambda: _coroutine,
    lambda: _raises,
    lambda: lambda: None,
    lambda: lambda *_, **__: False,
    lambda: NotImplemented,
    lambda: ...,
    lambda: Text("hello"),
    lambda: Number(2),
    lambda: Path("hello"),
    lambda: Path("/dev/null"),
    lambda: Path("/proc/self/mem"),
    lambda: b"caf\xe9",
    lambda: bytearray(b"a"),
    lambda: memoryview(b"abc"),
    lambda: math.nan,
    lambda: math.inf,
    lambda: -math.inf,
    lambda: -0.0,
    lambda: 1e308,
    lambda: 10**400,
    lambda: -(10**400),
    lambda: 2**31,
    lambda: 2**63,
    lambda: 2**64,
    lambda: -1,
    lambda: 1j,
    lambda: decimal.Decimal("NaN"),
    lambda: decimal.Decimal(1),
    lambda: fractions.Fraction(1, 3),
    lambda: dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc),
    lambda: range(3),
    lambda: range(10**5),
    lambda: {1, "a"},
    frozenset,
    lambda: {1: 2, "a": "b"},
    lambda: {"a": "b"},
    lambda: UserDict({"role": "user"}),
    lambda: UserList([1, 2]),
    lambda: UserString("abc"),
    lambda: np.float32("nan"),
    lambda: np.int64(3),
    lambda: np.bool_(True),
    lambda: np.zeros((0,)),
    lambda: np.zeros((2, 2), dtype=np.int32),
    lambda: np.array(5),
    lambda: np.array(["a", "b"]),
    lambda: np.array([1.5]),
    lambda: np.array([2**40]),
    lambda: np.array([object()]),
    lambda: [None],
    lambda: [[]],
    lambda: [[], "a"],
    lambda: [1, "a", None],
    lambda: [True],
    lambda: [10**30],
    lambda: ["a", b"b"],
    lambda: [["a"], 5],
    lambda: [("a", True), "b"],
    lambda: [("a", "b", "c")],
    lambda: [{"role": "user"}],
    lambda: [{"role": 5, "content": {}}],
    lambda: [{"role": "user", "content": [{"type": 5}, None]}],
    lambda: [{"role": "assistant", "content": None, "tool_calls": [{}]}],
    lambda: [{"type": "function", "function": {"name": 5}}],
    lambda: [{"type": "function", "function": {"name": "a", "parameters": []}}],
    lambda: "",
    lambda: "\0",
    lambda: "\ud800",
    lambda: "a\0b",
    lambda: "<|im_start|><|im_end|></s>",
    lambda: "{{ 1 / 0 }}",
    lambda: "{% for a in",
    lambda: "../nothing",
    lambda: "hf:a/b:c",
    lambda: "https://[",
    lambda: "http://localhost:1/m.gguf",
    lambda: "~nobody/a",
    lambda: "[" * 20_000,
    lambda: "(" * 20_000,
    lambda: "a" * 300_000,
    lambda: "{}" * 1000,
    lambda: '{"type": "object"}',
]

# What has no text that both encodings and people agree on is among them.
_text = st.text(st.characters(), max_size=20)
_leaf = st.one_of(
    st.sampled_from(_ODD).map(lambda make: make()),
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers(),
    _text,
    st.binary(max_size=20),
)

values: st.SearchStrategy[Any] = st.recursive(
    _leaf,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(_text | st.integers(), inner, max_size=4)
        | st.tuples(inner, inner)
    ),
    max_leaves=6,
)
"""Any value of any type."""

odd_values = _ODD

_PACKAGE = str(Path(llmlocal.__file__).parent)
# TypeErrors that are meant: Python's own for a wrong call, and ours for a wrong name of an option.
_MEANT = re.compile(
    r"there is no option|unexpected keyword argument|required positional|positional argument|"
    r"multiple values for|can't be pickled|keywords must be strings|the system text must be|"
    r"which mean the same"
)


def complaint(error: BaseException) -> str:
    """Why this may not come of a call; empty if it may."""
    text = str(error)
    if isinstance(error, (OwnError, LLMLocalError)):
        if re.search(r"incompatible (function|constructor) arguments|\b_core\.", text):
            return f"the words of the bindings: {text[:300]}"
        text.encode()
        return "" if len(text) < 20_000 else f"an error of {len(text)} characters"
    if isinstance(error, TypeError) and _MEANT.search(text):
        return ""
    frames = [
        f"{Path(frame.filename).name}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith(_PACKAGE)
    ]
    return f"{type(error).__name__}: {text[:200]} at {frames[-4:]}"

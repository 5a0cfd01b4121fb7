"""The filters, tests and functions of chat templates.

Jinja's own, each wrapped so that it is metered and its text stays marked; what Hugging Face adds
(``tojson`` that escapes nothing for HTML, ``raise_exception``, ``strftime_now``, ``dict`` and
``namespace`` that show nothing of Python); and what published templates use beyond that:
``from_json``/``fromjson`` (DeepSeek, StepFun) and ``regex_replace`` (the gpt4all catalogue).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from pprint import pformat
from typing import Any, NoReturn, cast

from jinja2 import Environment, pass_environment
from jinja2.filters import FILTERS, make_attrgetter
from jinja2.sandbox import safe_range
from jinja2.tests import TESTS as JINJA_TESTS
from jinja2.utils import Cycler, Joiner, Namespace

from ..errors import TemplateError
from ._operations import (
    binop,
    call_method,
    current_meter,
    current_time,
    printf,
    require_data,
    settle,
    text_of,
)
from ._regex import regex_replace
from ._sizes import FILTER_SIZES

__all__ = ["GLOBALS", "TESTS", "filters"]

_MAX_JSON_INDENT = 100
# Filters that hand over what they are given as it is.
_SELECTING = {
    *("attr", "batch", "d", "default", "dictsort", "first", "groupby", "items", "last", "list"),
    *("map", "max", "min", "random", "reject", "rejectattr", "reverse", "select", "selectattr"),
    *("slice", "sort", "unique"),
}
# Of no use in a prompt, and their results have no bound: HTML links, and filler text.
_LEFT_OUT = {"lipsum", "urlize"}

Function = Callable[..., Any]


def filters(more: Mapping[str, Function]) -> dict[str, Function]:
    """All filters by name, ``more`` among them."""
    plain = {name: function for name, function in FILTERS.items() if name not in _LEFT_OUT}
    plain |= {"from_json": json.loads, "fromjson": json.loads, "regex_replace": regex_replace}
    return {name: _guarded(name, function) for name, function in (plain | dict(more)).items()} | {
        name: function for name, function in _TEXT_FILTERS.items() if name not in more
    }


def _guarded(name: str, function: Function) -> Function:
    """A filter that is charged for, and whose text is marked."""
    size = FILTER_SIZES.get(name)
    # Jinja passes its own context to some filters, before what the template passes.
    skipped = 1 if getattr(function, "jinja_pass_arg", None) is not None else 0

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        given = args[skipped:]
        current_meter().allow(size(*given, **kwargs) if size is not None else 1)
        result = function(*args, **kwargs)
        return settle(result, () if name in _SELECTING else (*given, *kwargs.values()))

    return guarded


def _ticking(function: Function) -> Function:
    @functools.wraps(function)
    def ticking(*args: Any, **kwargs: Any) -> Any:
        current_meter().tick()
        return function(*args, **kwargs)

    return ticking


@pass_environment
def _join(
    environment: Environment, value: Iterable[Any], d: Any = "", attribute: str | int | None = None
) -> str:
    if attribute is not None:
        value = map(make_attrgetter(environment, attribute), value)
    return cast("str", call_method(text_of(d), "join", ([text_of(part) for part in value],), {}))


@pass_environment
def _sum(
    environment: Environment,
    iterable: Iterable[Any],
    attribute: str | int | None = None,
    start: Any = 0,
) -> Any:
    if attribute is not None:
        iterable = map(make_attrgetter(environment, attribute), iterable)
    return functools.reduce(
        lambda total, item: binop("+", lambda a, b: a + b, total, item), iterable, start
    )


def _replace(s: Any, old: Any, new: Any, count: int | None = None) -> str:
    arguments = (text_of(old), text_of(new), -1 if count is None else count)
    return cast("str", call_method(text_of(s), "replace", arguments, {}))


def _trim(value: Any, chars: str | None = None) -> str:
    return cast("str", call_method(text_of(value), "strip", (chars,), {}))


def _recase(method: str) -> Callable[[Any], str]:
    return lambda s: cast("str", call_method(text_of(s), method, (), {}))


def _format(value: Any, *args: Any, **kwargs: Any) -> str:
    return printf(text_of(value), kwargs or args)


def _pprint(value: Any) -> str:
    require_data(value)
    return cast("str", settle(pformat(value), (value,)))


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # Jinja's own filter escapes for HTML and sorts the keys.
    if isinstance(indent, int) and indent > _MAX_JSON_INDENT:
        message = f"the chat template asks for JSON indented by {indent}"
        raise TemplateError(message)
    if separators is not None and sum(map(len, separators)) > _MAX_JSON_INDENT:
        message = "the chat template asks for JSON with very long separators"
        raise TemplateError(message)
    options: dict[str, Any] = {
        "ensure_ascii": ensure_ascii,
        "indent": indent,
        "sort_keys": sort_keys,
    }
    return cast("str", settle(json.dumps(value, separators=separators, **options), (value,)))


_TEXT_FILTERS: dict[str, Function] = {
    "capitalize": _recase("capitalize"),
    "format": _format,
    "join": _join,
    "lower": _recase("lower"),
    "pprint": _pprint,
    "replace": _replace,
    "string": text_of,
    "sum": _sum,
    "tojson": _tojson,
    "trim": _trim,
    "upper": _recase("upper"),
}
# These keep the marks of each character, where the wrapped ones would mark the whole result.

TESTS: dict[str, Function] = {
    name: _ticking(cast("Function", function)) for name, function in JINJA_TESTS.items()
}
"""All tests (``is defined``, ``is mapping``, ...) by name."""


def _raise_exception(message: object = "") -> NoReturn:
    error = f"the model's chat template does not accept these messages: {message}"
    raise TemplateError(error)


def _strftime_now(format: str) -> str:  # the name that templates know
    # Some C libraries pad to any width they are asked for, so a pattern is kept short.
    return current_time().strftime(str.__str__(format)[:200])


class _Dict:
    """``dict`` for templates: makes one, and shows nothing of the class."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, keys: Iterable[Any], value: Any = None) -> dict[Any, Any]:
        return dict.fromkeys(keys, value)


class _Namespace(Namespace):
    """``namespace`` for templates, without the names that Python gives a meaning to."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        # No parameter is called self, because a template may set one of that name.
        attributes = dict(*args[1:], **kwargs)
        for name in attributes:
            _require_plain_name(name)
        Namespace.__init__(args[0], attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _require_plain_name(name)
        super().__setitem__(name, value)


def _require_plain_name(name: object) -> None:
    if str(name).startswith("_"):
        message = f"the chat template gives a namespace an attribute that starts with an underscore: {name}"
        raise TemplateError(message)


GLOBALS: dict[str, Any] = {
    "cycler": Cycler,
    "dict": _Dict(),
    "joiner": Joiner,
    "namespace": _Namespace,
    "raise_exception": _raise_exception,
    "range": safe_range,
    "strftime_now": _strftime_now,
}
"""All functions by name."""

"""What a running template does to text: every operation metered, every result marked.

The functions here stand in for Python's own string operations in compiled templates.  A result
whose make is not known counts as written by the conversation (:func:`settle`), so an operation
that nobody thought of can take power from the template's text but never give it to a person's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from jinja2.runtime import Undefined
from jinja2.sandbox import SandboxedFormatter

from ..errors import TemplateError
from ._marked import MarkedText, marked
from ._meter import Meter
from ._sizes import METHOD_SIZES, binop_size, check_spec, printf_size

if TYPE_CHECKING:
    from jinja2.environment import Environment

__all__ = [
    "FormatMethod",
    "call_method",
    "concat",
    "current_meter",
    "current_time",
    "printf",
    "rendering",
    "require_data",
    "settle",
    "text_of",
]

_meter: ContextVar[Meter] = ContextVar("llmlocal_template_meter")
_now: ContextVar[datetime] = ContextVar("llmlocal_template_now")
current_meter = _meter.get
current_time = _now.get


@contextmanager
def rendering(meter: Meter, now: datetime) -> Iterator[None]:
    """Charge what this thread renders inside the block to ``meter``, at the time ``now``."""
    meter_token, now_token = _meter.set(meter), _now.set(now)
    try:
        yield
    finally:
        _meter.reset(meter_token)
        _now.reset(now_token)


def settle(result: Any, inputs: Iterable[object]) -> Any:
    """A result of unknown make: its size is checked, and text in it is marked.

    Plain strings are the template's only if everything they were made of is.
    """
    meter = _meter.get()
    if isinstance(result, MarkedText):
        meter.allow(len(result))
    elif isinstance(result, str | list | tuple | Mapping):
        meter.allow(meter.inspect(result).weight)
        if not meter.is_own(inputs):
            return marked(result)
    return result


def concat(parts: Sequence[str]) -> str:
    """The parts one after another."""
    _meter.get().allow(sum(map(len, parts)))
    return MarkedText.concat(parts)


def text_of(value: object) -> str:
    """``value`` as it is written into the output."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float | Undefined) or value is None:
        return str(value)
    require_data(value)
    return MarkedText.foreign(str(value))


def require_data(value: object) -> None:
    """Refuse to write out what only Python knows: it is of no use in a prompt, and has no bound."""
    if not _meter.get().inspect(value).is_data:
        message = f"the chat template writes out a {type(value).__name__} that is not plain data"
        raise TemplateError(message)


def call_method(text: str, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """``text.name(*args, **kwargs)`` for a method of ``str``."""
    meter = _meter.get()
    if name == "join" and len(args) == 1:
        parts: list[Any] = list(args[0])
        args = (parts,)
        meter.allow(
            sum(len(part) for part in parts if isinstance(part, str)) + len(text) * len(parts)
        )
    elif name in METHOD_SIZES:
        meter.allow(METHOD_SIZES[name](text, *args, **kwargs))
    inputs = (text, *args, *kwargs.values())
    if not meter.is_own(inputs):
        text = MarkedText.own(text)
    return settle(getattr(text, name)(*args, **kwargs), inputs)


def binop(name: str, function: Any, left: Any, right: Any) -> Any:
    """``left name right``."""
    meter = _meter.get()
    if name == "%" and isinstance(left, str):
        return printf(left, right)
    meter.allow(binop_size(name, left, right))
    result = function(left, right)
    return meter.admit(result) if isinstance(result, list | tuple) else result


def printf(template: str, values: Any) -> str:
    """``template % values``."""
    meter = _meter.get()
    meter.allow(printf_size(template) + meter.inspect(values).weight)
    require_data(values)
    return cast("str", settle(str.__mod__(template, values), (template, values)))


class FormatMethod:
    """``text.format`` for templates: each field is marked as what fills it."""

    def __init__(self, environment: Environment, text: str, *, takes_mapping: bool) -> None:
        self._fields = SandboxedFormatter(environment)
        self._text = text
        self._takes_mapping = takes_mapping

    def __call__(self, *args: Any, **kwargs: Any) -> str:
        result = concat(
            self._pieces((), args[0]) if self._takes_mapping else self._pieces(args, kwargs)
        )
        if isinstance(self._text, MarkedText):
            # The conversation has written the pattern; then it has written all of the result.
            return MarkedText.foreign(result)
        return result

    def _pieces(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[str]:
        pieces: list[str] = []
        automatic = 0
        for literal, name, spec, conversion in self._fields.parse(self._text):
            pieces.append(literal)
            if name is None:
                continue
            is_automatic = not name or name[0] in ".["
            field = f"{automatic}{name}" if is_automatic else name
            automatic += is_automatic
            value, _ = self._fields.get_field(field, args, kwargs)
            pieces.append(self._formatted(value, spec or "", conversion))
        return pieces

    def _formatted(self, value: Any, spec: str, conversion: str | None) -> str:
        check_spec(spec)
        if not spec and conversion in (None, "s"):
            return text_of(value)
        require_data(value)
        result = format(self._fields.convert_field(value, cast("Any", conversion)), spec)
        return cast("str", settle(result, (value,)))

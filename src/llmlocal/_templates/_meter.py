"""What one rendering may spend: processor time, and the size of any value it makes.

A chat template is a program that arrives inside a model file.  Every value it can make is bounded,
so that one operation is short, and the clock is read between operations, so that many are stopped.
The time is the thread's own processor time: a busy machine doesn't make a good template fail.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from jinja2.runtime import Undefined

from ._limits import Limits, TemplateLimitError
from ._marked import MarkedText

__all__ = ["Facts", "Meter"]

_CREDIT = 64  # cheap steps between two looks at the clock
_MAX_DEPTH = 100  # macros inside macros
_MAX_KNOWN = 10_000  # containers remembered at a time
_VALUES_IN_ALL = 256  # how many values of the largest size may be made in one rendering
_ATOMS = (bool, int, float, type(None), Undefined)


class Facts(NamedTuple):
    """What is known of a value.

    Attributes:
        weight: Characters and elements, nested ones included.
        is_own: Made of the template's own text, numbers and nothing else.
        is_data: Made of what JSON has; anything else (macros, namespaces) can't be written out.
    """

    weight: int
    is_own: bool
    is_data: bool


_PLAIN = Facts(1, True, True)
_OPAQUE = Facts(1, False, False)


class Meter:
    """The budget of one rendering; used by one thread."""

    def __init__(self, limits: Limits, inputs: Mapping[str, object]) -> None:
        # Containers seen so far, kept alive so that an id stays theirs.  Templates can change one
        # only through `append`, so what was found out stays true until then.
        self._known: dict[int, tuple[object, Facts]] = {}
        self._depth = 0
        self._made = 0
        self._credit = _CREDIT
        self._limits = limits
        self._deadline = time.thread_time() + limits.seconds
        self._max_size = limits.size
        self._max_size += 8 * self.inspect(inputs).weight

    def tick(self, cost: int = 1) -> None:
        """Charge one step."""
        self._credit -= cost
        if self._credit < 0:
            self._credit = _CREDIT
            if time.thread_time() > self._deadline:
                message = f"the chat template ran for more than {self._limits.seconds:g} s"
                raise TemplateLimitError(message)

    def allow(self, size: int) -> None:
        """Charge a value of ``size`` characters or elements that is about to be made."""
        self._made += size
        if size > self._max_size or self._made > _VALUES_IN_ALL * self._max_size:
            message = (
                f"the chat template makes a value of {size:,} characters or elements,"
                f" {self._made:,} in all; {self._max_size:,} and"
                f" {_VALUES_IN_ALL * self._max_size:,} are allowed here"
            )
            raise TemplateLimitError(message)
        self.tick(1 + size // 1000)

    @contextmanager
    def nested(self) -> Iterator[None]:
        """One macro (or recursive loop) inside another."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            message = f"the chat template calls macros more than {_MAX_DEPTH} deep"
            raise TemplateLimitError(message)
        try:
            yield
        finally:
            self._depth -= 1

    def inspect(self, value: object) -> Facts:
        """What ``value`` is made of.  Each container is walked once, however often it is shared."""
        if isinstance(value, str):
            return Facts(
                1 + len(value), not isinstance(value, MarkedText) or 1 not in value.marks, True
            )
        if isinstance(value, _ATOMS):
            return _PLAIN
        if not isinstance(value, Mapping | list | tuple | set | frozenset):
            return _OPAQUE
        known = self._known.get(id(value))
        if known is not None:
            return known[1]
        facts = self._combine(value)
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[id(value)] = (value, facts)
        return facts

    def is_own(self, values: Iterable[object]) -> bool:
        """Whether all of ``values`` are the template's."""
        return all(self.inspect(value).is_own for value in values)

    def _combine(self, container: Any) -> Facts:
        weight, is_own, is_data = 1, True, True
        children = (
            [*container.keys(), *container.values()]
            if isinstance(container, Mapping)
            else container
        )
        for child in children:
            facts = self.inspect(child)
            weight += facts.weight
            is_own &= facts.is_own
            is_data &= facts.is_data
        self.tick(len(children))
        return Facts(weight, is_own, is_data)

    def append(self, target: list[Any], value: object) -> None:
        """``target.append(value)``; what was known of all that may hold ``target`` is forgotten."""
        if self._holds(value, target):
            message = "the chat template puts a list into itself"
            raise TemplateLimitError(message)
        before, added = self.inspect(target), self.inspect(value)
        facts = Facts(
            before.weight + added.weight,
            before.is_own and added.is_own,
            before.is_data and added.is_data,
        )
        self.allow(facts.weight)
        target.append(value)
        self._known.clear()
        self._known[id(target)] = (target, facts)

    def _holds(self, value: object, target: object) -> bool:
        """Whether ``target`` is ``value`` or lies in it, however deep."""
        waiting, seen = [value], set[int]()
        while waiting:
            each = waiting.pop()
            if each is target:
                return True
            if isinstance(each, Mapping | list | tuple | set | frozenset) and id(each) not in seen:
                seen.add(id(each))
                self.tick(len(each))
                waiting += each.values() if isinstance(each, Mapping) else each
        return False

    def admit(self, value: Any) -> Any:
        """``value``, a container that was just made, if it is small enough."""
        self.allow(self.inspect(value).weight)
        return value

"""What an answer must obey, as it was asked for: from options to a text for the compiler.

A constraint knows nothing of a model: ``_guide`` compiles it for one.  It also knows how to read
the answer: what ``parsed`` and ``partial`` are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from llmlocal._checks import check_choice, listed
from llmlocal._generation._gbnf import gbnf_to_lark, is_gbnf
from llmlocal._generation._partial import partial_json
from llmlocal._generation._schema import engine_schema
from llmlocal._generation._schema_types import ValueType, value_type
from llmlocal._quote import quote
from llmlocal._tokens import has_lone_surrogate
from llmlocal.errors import ParameterError, SchemaError

__all__ = ["CONSTRAINTS", "Constraint", "Unread", "constraint_of"]

CONSTRAINTS = ("schema", "regex", "choices", "grammar")
"""The options that constrain an answer: at most one of them holds."""


@dataclass(frozen=True)
class Constraint:
    """What an answer must obey.

    Attributes:
        option: What it was asked for with, for messages.
        kind: What ``text`` is to the compiler.
        text: A JSON schema, a regular expression or a grammar.
        schema: The JSON schema as it was given; None for the others.
        type: What the value is made into; None for what JSON stands for.
        may_check: Whether what can't be enforced may be checked afterwards instead.
        checks: Whether it has to be.
    """

    option: str
    kind: Literal["json", "regex", "lark"]
    text: str
    schema: Any = field(default=None, compare=False)
    type: ValueType | None = field(default=None, compare=False)
    may_check: bool = False
    checks: bool = False

    @classmethod
    def lark(cls, text: str) -> Constraint:
        """One from a grammar in llguidance's Lark.

        It may hold JSON schemas (``%json {...}``, made by :func:`engine_schema`) and special tokens
        by their id (``<[128010]>``).
        """
        return cls("grammar", "lark", text)

    @property
    def rule(self) -> str | None:
        """The same as the right side of a rule in Lark; None for what can't be part of a grammar."""
        if self.kind == "json":
            return f"%json {self.text}"
        return self.text.removeprefix("start: ") if self.option == "choices" else None

    def read(self, answer: str) -> object:
        """The value that a whole answer stands for.

        Raises:
            SchemaError: It breaks what was left to be checked afterwards, or the type refuses it; has
                the answer.
        """
        if self.kind != "json":
            return str(answer)
        value = json.loads(answer)
        if self.checks:
            from llmlocal._generation._validate import check

            check(self.schema, value, answer)
        if self.type is None:
            return value
        try:
            return self.type.read(value)
        except Exception as exc:
            raise SchemaError(
                f"the type refuses the answer {quote(answer, 200)}: {exc}", answer=answer
            ) from exc

    def read_so_far(self, text: str) -> object:
        """What the beginning of an answer stands for; None while nothing is certain."""
        return partial_json(text) if self.kind == "json" else text


@dataclass(frozen=True)
class Unread:
    """In place of a value: the text of the answer is not known yet, for reasoning comes before it."""

    constraint: Constraint

    def read(self, answer: str) -> object:
        """The value; see :meth:`Constraint.read`."""
        return self.constraint.read(answer)


def constraint_of(options: Mapping[str, Any]) -> Constraint | None:
    """The constraint that the options ask for, if they do.

    Raises:
        ParameterError: There is more than one, or one is not what it has to be.
        SchemaError: The schema has a keyword that can't be enforced, and it may not be checked.
    """
    given = [name for name in CONSTRAINTS if options.get(name) is not None]
    unsupported = options.get("unsupported", "error")
    check_choice("unsupported", unsupported, ("error", "validate"))
    if not given:
        return None
    if len(given) > 1:
        raise ParameterError(
            f"an answer can obey one constraint, got {' and '.join(f'{name}=' for name in given)}"
        )
    name, value = given[0], options[given[0]]
    if isinstance(value, Constraint):  # a chat's, of the tools that may be called
        return value
    if name == "schema":
        return _from_schema(value, may_check=unsupported == "validate")
    if name == "regex":
        return Constraint(name, "regex", _text(name, value))
    if name == "choices":
        return Constraint(name, "lark", _one_of(value))
    text = _text(name, value)
    return Constraint(name, "lark", gbnf_to_lark(text) if is_gbnf(text) else text)


def _from_schema(given: object, *, may_check: bool) -> Constraint:
    kind = None
    schema: object = given
    if isinstance(given, str):
        try:
            schema = json.loads(given)
        except (ValueError, RecursionError) as exc:
            raise SchemaError(f"schema= is no JSON text: {exc}") from None
    elif not isinstance(given, (Mapping, bool)):
        kind = value_type(given)
        schema = kind.schema
    text, skipped = engine_schema(schema, may_skip=may_check)
    if skipped:
        from llmlocal._generation._validate import require_validator

        require_validator(schema, skipped)
    return Constraint(
        "schema", "json", text, schema, kind, may_check=may_check, checks=bool(skipped)
    )


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ParameterError(f"{name} must be text, got {quote(value)}")
    if not value or has_lone_surrogate(value):
        raise ParameterError(f"{name} must be text that is not empty, got {quote(value)}")
    return value


def _one_of(choices: object) -> str:
    """A grammar for them: each is taken as it is, so special tokens spelled in it are text."""
    texts = listed("choices", choices)
    for each in texts:
        if not isinstance(each, str) or not each or has_lone_surrogate(each):
            raise ParameterError(f"choices must hold texts that are not empty, got {quote(each)}")
    if not texts:
        raise ParameterError("choices must hold one text at least")
    return "start: " + " | ".join(_quoted(each) for each in texts)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

"""Checks an answer against its whole schema, where a part of it could not be enforced."""

from __future__ import annotations

from typing import Any

from llmlocal._quote import quote
from llmlocal.errors import SchemaError

__all__ = ["check", "require_validator"]


def require_validator(schema: Any, paths: list[str]) -> None:
    """Raise unless answers can be checked against all of the schema.

    Args:
        schema: The schema.
        paths: What of it is to be checked.

    Raises:
        SchemaError: The package that does it is absent, or can't check one of these.
    """
    try:
        import jsonschema
    except ImportError:
        raise SchemaError(
            'unsupported="validate" needs the package jsonschema; pip install "llmlocal[validate]"',
            path=paths[0],
        ) from None
    known = jsonschema.Draft202012Validator.FORMAT_CHECKER.checkers
    for path in paths:
        if path.endswith(".format") and (name := _at(schema, path)) not in known:
            raise SchemaError(f"{path}: {name!r} can be neither enforced nor checked", path=path)


def check(schema: Any, value: Any, answer: str) -> None:
    """Raise a SchemaError if the value that an answer stands for breaks the schema.

    Args:
        schema: The schema.
        value: The value.
        answer: The answer itself.
    """
    import jsonschema

    kind = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    validator = kind(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    problem = jsonschema.exceptions.best_match(validator.iter_errors(value))
    if problem is not None:
        path = "$" + "".join(
            f"[{each}]" if isinstance(each, int) else f".{each}"
            for each in problem.absolute_schema_path
        )
        raise SchemaError(
            f"the answer breaks {path}, which could only be checked: {problem.message:.200};"
            f" it was {quote(answer, 200)}",
            path=path,
            answer=answer,
        )


def _at(schema: Any, path: str) -> object:
    """What is at a path that ends with a keyword; None where a name in it has a dot."""
    import re

    for name, index in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", path):
        try:
            schema = schema[name or int(index)]
        except (KeyError, IndexError, TypeError):
            return None
    return schema

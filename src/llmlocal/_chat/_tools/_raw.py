"""Strings that are written as they are, without quotes: what a schema says of them, as a pattern."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmlocal.errors import ParameterError

__all__ = ["raw_body"]

_FORMATS = {
    "date": r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])",
    "time": r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](Z|[+-][0-9]{2}:[0-9]{2})",
    "date-time": r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T"
    r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](Z|[+-][0-9]{2}:[0-9]{2})",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "email": r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+",
    "ipv4": r"(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(\.(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])){3}",
}
_ENFORCED = {"type", "enum", "const", "pattern", "format", "minLength", "maxLength"}
_ANNOTATIONS = {"title", "description", "default", "examples", "example", "deprecated", "$comment"}


def raw_body(schema: Mapping[str, Any], closing: str, where: str) -> str | Sequence[str]:
    """The pattern of the text, or the texts that it may be.

    Args:
        schema: A schema that allows strings only.
        closing: What ends the text, which is not in it.
        where: Names the argument in errors.

    Raises:
        ParameterError: The schema can't be enforced in text without quotes.
    """
    if "const" in schema or "enum" in schema:
        texts = [str(text) for text in schema.get("enum", [schema.get("const")])]
        bad = next((text for text in texts if closing.strip() in text), None)
        if bad is not None:
            raise _refused(where, "enum", f"{bad!r} holds what ends the argument")
        return texts
    strange = sorted(set(schema) - _ENFORCED - _ANNOTATIONS)
    if strange:
        raise _refused(where, strange[0])
    given = [key for key in ("pattern", "format") if key in schema]
    lengths = "minLength" in schema or "maxLength" in schema
    if len(given) > 1 or (given and lengths):
        raise _refused(where, given[0], "only one of pattern, format and the length can be")
    if "pattern" in schema:
        return _searched(str(schema["pattern"])).replace("/", r"\/")
    if "format" in schema:
        if schema["format"] not in _FORMATS:
            raise _refused(where, f"format {schema['format']!r}")
        return _FORMATS[schema["format"]]
    least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
    return f"(?s:.{{{least},{'' if most is None else int(most)}}})" if lengths else "(?s:.*)"


def _searched(pattern: str) -> str:
    """The pattern of a whole text in which ``pattern`` is found."""
    head = "" if pattern.startswith("^") else "(?s:.*)"
    tail = "" if pattern.endswith("$") and not pattern.endswith("\\$") else "(?s:.*)"
    inner = pattern.removeprefix("^")
    return f"{head}({inner[:-1] if not tail else inner}){tail}"


def _refused(where: str, keyword: str, why: str = "") -> ParameterError:
    return ParameterError(
        f"{where}: {keyword} can't be enforced in this model's way to write arguments"
        + (f": {why}" if why else "; leave it out of the schema")
    )

"""A JSON schema as the compiler gets it: nothing in it is passed over in silence.

The compiler enforces most of JSON Schema and refuses most of the rest by itself.  This finds first,
with its path, what can't be enforced, and writes what the compiler is lax about more tightly: dates
that do not exist, names of properties that are spelled with escapes, numbers beyond what it counts
with.  Keywords that are none (``x-order``, ``example``) say nothing, as JSON Schema has it, unless
they look like a slip of the pen.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from llmlocal._quote import quote
from llmlocal.errors import SchemaError

__all__ = ["engine_schema"]

# One optional space behind a comma and a colon, and none elsewhere: what may go on for ever, would.
# Without \u in strings no property has two names, and none can be passed off as another.
_LAYOUT = {
    "whitespace_flexible": False,
    "item_separator": ", ?",
    "key_separator": ": ?",
    "json_allowed_escapes": 'nrbtf\\"',
}
_MOST_DEEP = 100
_MOST_KEYWORDS = 50_000
_MOST_EXACT = 2**53  # Whole numbers beyond it are not exact in JSON, nor in the compiler.
_MOST_MULTIPLE = 100_000  # The compiler counts the remainders.

_SCHEMAS = ("additionalItems", "additionalProperties", "items")  # What holds a schema,
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems", "items")  # a list of schemas,
_MAPS = ("$defs", "definitions", "patternProperties", "properties")  # schemas by name.
_VALUES = ("type", "required", "minLength", "maxLength", "pattern", "minItems", "maxItems")
_VALUES_TOO = ("minProperties", "maxProperties", "$ref", "format", "const", "enum")
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_ENFORCED = {*_SCHEMAS, *_LISTS, *_MAPS, *_VALUES, *_VALUES_TOO, *_NUMBERS}
_UNENFORCED = {
    *("$dynamicRef", "$recursiveRef", "contains", "dependencies", "dependentRequired"),
    *("dependentSchemas", "disallow", "divisibleBy", "else", "extends", "if", "maxContains"),
    *("minContains", "not", "propertyNames", "then", "unevaluatedItems"),
    *("unevaluatedProperties", "uniqueItems"),
}
_ANNOTATIONS = {
    *("$anchor", "$comment", "$dynamicAnchor", "$id", "$recursiveAnchor", "$schema", "$vocabulary"),
    *("contentEncoding", "contentMediaType", "contentSchema", "default", "deprecated"),
    *("description", "example", "examples", "id", "readOnly", "title", "writeOnly"),
}
# With these values a keyword says nothing.
_NO_EFFECT: dict[str, Sequence[object]] = {
    "uniqueItems": (False,),
    "unevaluatedItems": (True,),
    "unevaluatedProperties": (True,),
    "propertyNames": (True, {}, {"type": "string"}),
    "dependentRequired": ({},),
    "dependentSchemas": ({},),
    "dependencies": ({},),
    "not": (False,),
}
# Without the other, a keyword says nothing.
_NEEDS = {"then": "if", "else": "if", "minContains": "contains", "maxContains": "contains"}
# Where they stand beside unevaluatedProperties, more than `properties` counts as evaluated.
_APPLICATORS = {"$ref", "allOf", "anyOf", "oneOf", "if", "dependentSchemas", "$dynamicRef"}

_DATE = (
    r"(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    r"|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
)
_TIME = (
    r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
# The compiler's own take the 30th of February, or a minute of 61 seconds.
_OWN_FORMATS = {"date": _DATE, "time": _TIME, "date-time": f"{_DATE}T{_TIME}"}
_FORMATS = {"duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid", *_OWN_FORMATS}
_FORMATS_THAT_SAY_NOTHING = {"binary", "double", "float", "password", "path"}
_INTEGER_FORMATS = {"int32": 2**31 - 1, "int64": _MOST_EXACT - 1}


def engine_schema(schema: object, *, may_skip: bool = False) -> tuple[str, list[str]]:
    """The schema as text for the compiler, and the paths of what was left out of it.

    Args:
        schema: A JSON schema, as ``json`` gives it.
        may_skip: Leave out what can't be enforced.

    Raises:
        SchemaError: It is no schema, or has what can't be enforced; its ``path`` says where.
    """
    writer = _Writer(may_skip=may_skip)
    written = writer.write(schema, "$", 0)
    if written is False:
        raise SchemaError("no answer can obey the schema False", path="$")
    if written is True:
        written = {}
    try:
        text = json.dumps({"x-guidance": _LAYOUT, **written}, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as exc:
        raise SchemaError(f"the schema holds what JSON does not: {exc}", path="$") from None
    return text, writer.skipped


class _Writer:
    def __init__(self, *, may_skip: bool) -> None:
        self._may_skip = may_skip
        self._size = 0
        self.skipped: list[str] = []

    def write(self, schema: object, path: str, depth: int) -> Any:
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, Mapping):
            raise SchemaError(f"{path} must be a schema, an object, not {quote(schema)}", path=path)
        if depth > _MOST_DEEP:
            raise SchemaError(f"{path:.200}: more than {_MOST_DEEP} deep", path=path)
        self._size += len(schema)
        if self._size > _MOST_KEYWORDS:
            raise SchemaError(f"a schema may have {_MOST_KEYWORDS:,} keywords at most", path="$")
        written: dict[str, Any] = {}
        for key, value in schema.items():
            if not isinstance(key, str):
                raise SchemaError(
                    f"{path:.200} has the key {quote(key)}, which is no text", path=path
                )
            self._keyword(key, value, schema, path, depth, written)
        extra = self._formats(schema, path, written)
        if extra:
            written["allOf"] = [*written.get("allOf", []), *extra]
        return written

    def _keyword(
        self,
        key: str,
        value: Any,
        schema: Mapping[str, Any],
        path: str,
        depth: int,
        written: dict[str, Any],
    ) -> None:
        here = f"{path}.{key}"
        if key in _UNENFORCED:
            self._unenforced(key, value, schema, here, written)
        elif key in _LISTS and isinstance(value, (list, tuple)):
            written[key] = [
                self.write(each, f"{here}[{i}]", depth + 1) for i, each in enumerate(value)
            ]
        elif key in _SCHEMAS:
            written[key] = self.write(value, here, depth + 1)
        elif key in _MAPS and isinstance(value, Mapping):
            written[key] = {
                name: self.write(each, f"{here}.{name}", depth + 1) for name, each in value.items()
            }
        elif key in _ENFORCED:
            problem = _problem(key, value, schema)
            if problem:
                self._refuse(problem, here)
            elif key != "format":  # See _formats.
                written[key] = value
        elif key == "x-guidance":
            raise SchemaError(f"{here} is not to be set", path=here)
        elif key not in _ANNOTATIONS:
            near = difflib.get_close_matches(key, _ENFORCED | _UNENFORCED, n=1, cutoff=0.85)
            if near:
                raise SchemaError(f"{here} is no keyword; is it {near[0]!r}?", path=here)
        elif key in ("$id", "$anchor", "id", "$schema"):  # What references are resolved by.
            written[key] = value

    def _unenforced(
        self,
        key: str,
        value: Any,
        schema: Mapping[str, Any],
        here: str,
        written: dict[str, Any],
    ) -> None:
        if any(value is each or value == each != 0 for each in _NO_EFFECT.get(key, ())):
            return
        if key in _NEEDS and _NEEDS[key] not in schema:
            return
        closes = key == "unevaluatedProperties" and value is False
        if closes and not _APPLICATORS & schema.keys():
            written.setdefault("additionalProperties", False)
            return
        self._refuse(f"{here} can't be enforced", here)

    def _formats(
        self, schema: Mapping[str, Any], path: str, written: dict[str, Any]
    ) -> list[dict[str, Any]]:
        name = schema.get("format")
        if name is None or name in _FORMATS_THAT_SAY_NOTHING:
            return []
        here = f"{path}.format"
        kinds = schema.get("type")
        if name in _INTEGER_FORMATS:
            most = _INTEGER_FORMATS[name]
            return [{"type": kinds or "integer", "minimum": -most - 1, "maximum": most}]
        if kinds is not None and kinds != "string" and "string" not in kinds:
            return []  # A format of strings says nothing about what is none.
        if name not in _FORMATS:
            self._refuse(f"{here}: {name!r} can't be enforced", here)
            return []
        if name in _OWN_FORMATS:
            return [{"pattern": f"^{_OWN_FORMATS[name]}$"}]
        written["format"] = name
        return [{"maxLength": 253}] if name == "hostname" else []

    def _refuse(self, problem: str, path: str) -> None:
        if not self._may_skip:
            raise SchemaError(
                f"{problem}. Leave it out, or have the answer checked afterwards with"
                ' unsupported="validate"',
                path=path,
            )
        self.skipped.append(path)


def _problem(key: str, value: Any, schema: Mapping[str, Any]) -> str:
    """Why a keyword that can be enforced can't be with this value; empty if it can."""
    if key in ("const", "enum") and (number := _inexact(value)) is not None:
        return f"{key}: {number} is beyond the whole numbers that are exact in JSON"
    if key in _NUMBERS and not isinstance(value, bool):
        if not isinstance(value, (int, float)):
            raise SchemaError(f"{key} must be a number, not {quote(value)}")
        if _inexact(value) is not None:
            return f"{key}: {value} is beyond the whole numbers that are exact in JSON"
    if key == "multipleOf" and not isinstance(value, bool) and _digits(value) > _MOST_MULTIPLE:
        return f"multipleOf: {value} has too many digits"
    if key == "minProperties" and isinstance(value, int):
        # What comes beyond the required properties may have the same name twice.
        sure = len(set(schema.get("required", ())))
        if value > sure + 1:
            return f"minProperties: {value} with {sure} required properties can't be enforced"
    if key == "$ref" and not (isinstance(value, str) and value.startswith("#")):
        return f"$ref: {value!r} is not in the schema itself"
    return ""


def _inexact(value: Any) -> float | None:
    """A number in it that the compiler would round."""
    todo: list[Any] = [value]
    while todo:
        each = todo.pop()
        if isinstance(each, float) and not math.isfinite(each):
            return each
        if isinstance(each, int) and abs(each) > _MOST_EXACT:
            return each
        if isinstance(each, Mapping):
            todo += each.values()
        elif isinstance(each, (list, tuple)):
            todo += each
    return None


def _digits(number: float) -> int:
    """A number without its power of ten: 1200 and 0.012 are 12."""
    text = str(number) if isinstance(number, int) else f"{number:.15g}"
    mantissa, _, _ = text.lower().partition("e")
    return int(mantissa.replace(".", "").lstrip("-").strip("0") or "0")

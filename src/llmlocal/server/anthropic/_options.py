"""Anthropic's parameters as options of the engine."""

from __future__ import annotations

from typing import Any

from llmlocal.server._http._fields import Fields

__all__ = ["message_options"]

_INT32_MAX = 2**31 - 1
_NUMBERS = {"temperature": "temp", "top_p": "top_p"}
_EFFORTS = ("low", "medium", "high", "xhigh", "max")


def message_options(fields: Fields) -> dict[str, Any]:
    """All but the tools."""
    limit = fields.whole("max_tokens", 0, _INT32_MAX)
    if limit is None:
        raise fields.error("max_tokens", "is missing")
    options: dict[str, Any] = {"max_tokens": limit}
    for theirs, ours in _NUMBERS.items():
        if (number := fields.number(theirs)) is not None:
            options[ours] = number
    if (top_k := fields.whole("top_k", 0, _INT32_MAX)) is not None:
        options["top_k"] = top_k
    if stops := fields.texts("stop_sequences"):
        options["stop"] = stops
    variables: dict[str, Any] = {}
    _take_thinking(fields, options, variables)
    _take_output(fields, options, variables)
    if variables:
        options["variables"] = variables
    return options


def _take_thinking(fields: Fields, options: dict[str, Any], variables: dict[str, Any]) -> None:
    """Whether the model is to reason first, and how much."""
    thinking = Fields(fields.mapping("thinking") or {}, "thinking.")
    kind = thinking.one_of("type", ("enabled", "adaptive", "disabled"), "")
    budget = thinking.whole("budget_tokens", 0, _INT32_MAX)
    if kind == "disabled":
        budget = 0
    if kind:
        variables["enable_thinking"] = kind != "disabled"
    if budget is not None:
        options["reasoning_budget"] = budget


def _take_output(fields: Fields, options: dict[str, Any], variables: dict[str, Any]) -> None:
    """What the answer obeys, and how hard the model is to try."""
    config = Fields(fields.mapping("output_config") or {}, "output_config.")
    if effort := config.one_of("effort", _EFFORTS, ""):
        variables["reasoning_effort"] = effort
    where, form = "output_config.format.", config.mapping("format")
    if form is None:  # As it was called when it was new.
        where, form = "output_format.", fields.mapping("output_format")
    if form is None:
        return
    inner = Fields(form, where)
    inner.one_of("type", ("json_schema",), "json_schema")
    schema = inner.mapping("schema")
    if schema is None:
        raise inner.error("schema", "is missing")
    options["schema"] = schema

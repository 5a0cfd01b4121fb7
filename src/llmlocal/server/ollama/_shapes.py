"""Ollama's options, messages and errors, to and from those of the engine."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from llmlocal._quote import quote
from llmlocal.server._http._errors import ApiError, refused
from llmlocal.server._http._events import as_json, json_line
from llmlocal.server._http._fields import Fields

if TYPE_CHECKING:
    from llmlocal import Completion

__all__ = [
    "calls_of",
    "chat_messages",
    "error_body",
    "error_line",
    "figures",
    "generation_options",
    "keep_alive",
    "now",
    "take_thinking",
]

_NUMBERS = {
    "temperature": "temp",
    "top_p": "top_p",
    "min_p": "min_p",
    "typical_p": "typical_p",
    "repeat_penalty": "repeat_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "mirostat_tau": "mirostat_tau",
    "mirostat_eta": "mirostat_eta",
}
_WHOLE = {"top_k": 0, "repeat_last_n": 2**31 - 1, "mirostat": 0}  # With what -1 means.
# Of the load, which the one who started the server decides, or of other engines.
_HARMLESS = {
    "f16_kv",
    "low_vram",
    "main_gpu",
    "num_batch",
    "num_ctx",
    "num_gpu",
    "num_keep",
    "num_thread",
    "numa",
    "penalize_newline",
    "tfs_z",
    "use_mlock",
    "use_mmap",
    "vocab_only",
}
_INT32_MAX = 2**31 - 1
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def generation_options(fields: Fields) -> dict[str, Any]:
    """What a request says of the generation, as options of the engine."""
    options: dict[str, Any] = {}
    given = Fields(fields.mapping("options") or {}, "options.")
    for theirs, ours in _NUMBERS.items():
        if (number := given.number(theirs)) is not None:
            options[ours] = number
    for name, unlimited in _WHOLE.items():
        if (whole := given.whole(name, -1, _INT32_MAX)) is not None:
            options[name] = unlimited if whole == -1 else whole
    seed = given.whole("seed", -(2**63), 2**64 - 1)
    if seed is not None and seed != -1:  # Which asks for any.
        options["seed"] = seed % 2**64
    if stops := given.texts("stop"):
        options["stop"] = stops
    limit = given.whole("num_predict", -2, _INT32_MAX)
    options["max_tokens"] = limit if limit is not None and limit >= 0 else None
    given.finish(_HARMLESS, {})
    best = fields.whole("top_logprobs", 0, 20, 0)
    if fields.flag("logprobs"):
        options["logprobs"] = best
    _take_format(fields, options)
    return options


def _take_format(fields: Fields, options: dict[str, Any]) -> None:
    form = fields.any("format")
    if form in (None, ""):
        return
    if form == "json":
        options["schema"] = {"type": "object"}
    elif isinstance(form, Mapping):
        options["schema"] = form
    else:
        raise fields.error("format", f"must be 'json' or a JSON schema; got {quote(form)}")


def take_thinking(fields: Fields, options: dict[str, Any]) -> None:
    """Whether the model is to reason first, and how much."""
    think = fields.any("think")
    if isinstance(think, bool):
        options["variables"] = {"enable_thinking": think}
        if not think:
            options["reasoning_budget"] = 0
    elif isinstance(think, str):
        options["variables"] = {"enable_thinking": True, "reasoning_effort": think}
    elif think is not None:
        raise fields.error("think", f"must be true, false or an effort; got {quote(think)}")


def chat_messages(fields: Fields) -> list[dict[str, Any]]:
    """The conversation; arguments of calls are objects here, and texts for the engine."""
    messages = []
    for i, message in enumerate(fields.array("messages") or []):
        if not isinstance(message, Mapping):
            raise fields.error("messages", f"must hold objects; got {quote(message)}")
        if message.get("images"):
            raise refused(f"messages[{i}].images", "this server reads no images")
        plain = {key: value for key, value in message.items() if value is not None}
        if thinking := plain.pop("thinking", None):
            plain["reasoning_content"] = thinking
        if calls := plain.pop("tool_calls", None):
            plain["tool_calls"] = [_call(call, i, k) for k, call in enumerate(calls)]
        if name := plain.pop("tool_name", None):
            plain["name"] = name
        messages.append(plain)
    return messages


def _call(call: Any, i: int, k: int) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        raise ApiError(400, f"messages[{i}].tool_calls[{k}] has no function", param="messages")
    arguments = as_json(function.get("arguments") or {})
    return {
        "id": call.get("id") or f"call_{i}_{k}",
        "type": "function",
        "function": {"name": function.get("name"), "arguments": arguments},
    }


def keep_alive(fields: Fields) -> float | None:
    """Seconds for which the model stays when idle; None: as the server was told."""
    value = fields.any("keep_alive")
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value if value >= 0 else math.inf
    if isinstance(value, str):
        parts = re.findall(r"(-?\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)?", value[:40])
        if parts and "".join(number + unit for number, unit in parts) == value:
            total = sum(float(number) * _UNITS[unit or "s"] for number, unit in parts)
            return total if total >= 0 else math.inf
    raise fields.error("keep_alive", f"must be seconds, or a time such as '5m'; got {quote(value)}")


def now() -> str:
    """The time as Ollama writes it."""
    return datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")


def figures(reply: Completion, started: float, loaded: float) -> dict[str, Any]:
    """The figures at the end of an answer; times in nanoseconds."""
    timings, usage = reply.timings, reply.usage
    generating = timings.per_token * max(usage.completion_tokens - 1, 0)
    return {
        "total_duration": int((time.perf_counter() - started) * 1e9),
        "load_duration": int((loaded - started) * 1e9),
        "prompt_eval_count": usage.prompt_tokens,
        "prompt_eval_duration": int(timings.prompt * 1e9),
        "eval_count": usage.completion_tokens,
        "eval_duration": int(generating * 1e9),
    }


def calls_of(reply: Completion) -> list[dict[str, Any]]:
    """The calls that are whole: one that was cut short has no arguments to show."""
    return [
        {"function": {"name": call.name, "arguments": call.arguments}}
        for call in getattr(reply, "tool_calls", ())
    ]


def error_body(error: ApiError) -> dict[str, Any]:
    """The body of a response that tells of an error."""
    return {"error": error.message}


def error_line(error: ApiError) -> bytes:
    """An error in the middle of a stream."""
    return json_line(error_body(error))

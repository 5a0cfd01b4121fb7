"""OpenAI's parameters as options of the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmlocal._quote import quote
from llmlocal.server._http._errors import ApiError, refused
from llmlocal.server._http._fields import Fields
from llmlocal.server.openai._constraints import constraint_options

__all__ = ["MOST_ANSWERS", "REFUSED", "chat_options", "limit_of", "sampling_options"]

MOST_ANSWERS = 128

_RENAMED = {
    "temperature": "temp",
    "repetition_penalty": "repeat_penalty",
    "typical": "typical_p",
}
_NUMBERS = (
    "temperature",
    "top_p",
    "min_p",
    "typical_p",
    "presence_penalty",
    "frequency_penalty",
    "repeat_penalty",
    "repetition_penalty",
    "xtc_probability",
    "xtc_threshold",
    "dry_multiplier",
    "dry_base",
    "mirostat_tau",
    "mirostat_eta",
    "top_n_sigma",
)
_INT32_MAX = 2**31 - 1
# With what -1 means: no limit, for the clients of several other servers.
_WHOLE = {
    "top_k": 0,
    "repeat_last_n": _INT32_MAX,
    "mirostat": None,
    "dry_allowed_length": None,
    "dry_last_n": None,
}

REFUSED = {
    "allowed_token_ids": "use logit_bias, or a grammar",
    "bad_words": "use logit_bias",
    "dynatemp_range": "a temperature is fixed here",
    "ignore_eos": "use logit_bias with the token that ends texts, and max_tokens",
    "length_penalty": "there is no beam search here",
    "lora": "models are served as they are",
    "min_tokens": "an answer ends where the model ends it; see logit_bias",
    "prompt_logprobs": "use /v1/completions with echo and logprobs",
    "stop_token_ids": "use stop, with their text",
    "use_beam_search": "there is no beam search here",
}
"""What other servers know and would change an answer."""


def sampling_options(fields: Fields) -> dict[str, Any]:
    """What chats and completions have in common."""
    options: dict[str, Any] = {}
    for name in _NUMBERS:
        if (number := fields.number(name)) is not None:
            options[_RENAMED.get(name, name)] = number
    for name, unlimited in _WHOLE.items():
        least = 0 if unlimited is None else -1
        if (whole := fields.whole(name, least, _INT32_MAX)) is not None:
            options[name] = unlimited if whole == -1 else whole
    if stops := fields.texts("stop"):
        options["stop"] = stops
    if (seed := fields.whole("seed", -(2**63), 2**64 - 1)) is not None:
        options["seed"] = seed % 2**64
    if (timeout := fields.number("timeout")) is not None:
        options["timeout"] = timeout
    if biases := fields.mapping("logit_bias"):
        options["logit_bias"] = {
            _token_id(fields, token): _bias(fields, bias) for token, bias in biases.items()
        }
    return options


def _token_id(fields: Fields, token: str) -> int:
    if not token.isascii() or not token.isdigit() or len(token) > 9:
        raise fields.error("logit_bias", f"must map ids of tokens to numbers; got {quote(token)}")
    return int(token)


def _bias(fields: Fields, bias: Any) -> float:
    if isinstance(bias, bool) or not isinstance(bias, int | float) or not -100 <= bias <= 100:
        raise fields.error("logit_bias", f"a bias must be a number, -100 to 100; got {quote(bias)}")
    # -100 bans a token there; here that is an infinite bias.
    return float("-inf") if bias == -100 else float(bias)


def limit_of(fields: Fields, default: int | None = None) -> int | None:
    """``max_tokens``; -1 is none, as for the clients of several other servers."""
    limit = fields.whole("max_tokens", -1, _INT32_MAX, default)
    return None if limit == -1 else limit


def chat_options(fields: Fields) -> dict[str, Any]:
    """What a chat takes beyond that."""
    options = sampling_options(fields)
    limit = fields.whole("max_completion_tokens", 0, _INT32_MAX)
    older = limit_of(fields)
    if (limit := older if limit is None else limit) is not None:
        options["max_tokens"] = limit
    variables = fields.mapping("chat_template_kwargs") or {}
    _take_reasoning(fields, options, variables)
    if variables:
        options["variables"] = variables
    options |= constraint_options(fields)
    _take_tools(fields, options)
    top = fields.whole("top_logprobs", 0, 20)
    if fields.flag("logprobs"):
        options["logprobs"] = top or 0
    elif top:
        raise fields.error("top_logprobs", "needs logprobs: true")
    return options


def _take_reasoning(fields: Fields, options: dict[str, Any], variables: dict[str, Any]) -> None:
    efforts = ("none", "minimal", "low", "medium", "high", "xhigh")
    effort = fields.one_of("reasoning_effort", efforts, "")
    budget = fields.whole("reasoning_budget", 0, _INT32_MAX)
    if effort:
        variables.setdefault("reasoning_effort", effort)
    if effort == "none":
        variables.setdefault("enable_thinking", False)
        budget = 0 if budget is None else budget
    if budget is not None:
        options["reasoning_budget"] = budget


def _take_tools(fields: Fields, options: dict[str, Any]) -> None:
    tools = fields.array("tools") or []
    for i, tool in enumerate(tools):
        if not isinstance(tool, Mapping) or tool.get("type") != "function":
            kind = tool.get("type") if isinstance(tool, Mapping) else tool
            raise refused(f"tools[{i}]", f"only functions can be called here, got {quote(kind)}")
    choice = fields.any("tool_choice")
    parallel = fields.any("parallel_tool_calls")
    if not tools:
        if choice not in (None, "none", "auto"):
            raise ApiError(400, "tool_choice: there are no tools", param="tool_choice")
        return
    options["tools"] = tools
    if choice is not None:
        options["tool_choice"] = _tool_choice(fields, choice)
    if isinstance(parallel, bool):
        options["parallel_tool_calls"] = parallel
    elif parallel is not None:
        raise fields.error("parallel_tool_calls", f"must be true or false; got {quote(parallel)}")


def _tool_choice(fields: Fields, choice: Any) -> str | Mapping[str, Any]:
    if isinstance(choice, Mapping) and choice.get("type") == "allowed_tools":
        return choice
    if choice in ("auto", "none", "required"):
        return str(choice)
    name = None
    if isinstance(choice, Mapping) and choice.get("type") == "function":
        function = choice.get("function")
        name = function.get("name") if isinstance(function, Mapping) else choice.get("name")
    if not isinstance(name, str):
        raise fields.error(
            "tool_choice", f"must be auto, none, required or a function; got {quote(choice)}"
        )
    return name

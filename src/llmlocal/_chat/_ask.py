"""From what one answer is asked for with to the request that the model gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from llmlocal._chat._compose import Setting
from llmlocal._chat._options import AnswerOptions
from llmlocal._chat._tools import as_tools
from llmlocal._chat._turn import Prompt
from llmlocal._checks import mapped
from llmlocal._deadline import seconds_left, within
from llmlocal._generation._constraint import CONSTRAINTS
from llmlocal._generation._options import Options, RequestOptions, merged_options
from llmlocal.errors import ParameterError

__all__ = ["ask"]


def ask(
    compose: Callable[[list[dict[str, Any]], Setting], Prompt],
    messages: list[dict[str, Any]],
    setting: Setting,
    defaults: Options,
    options: AnswerOptions,
    variables: Mapping[str, Any] | None,
) -> tuple[Options, Prompt]:
    """The options of the request, and its prompt.

    Args:
        compose: Makes the prompt.
        messages: The conversation, with what is added to it.
        setting: The session's.
        defaults: The session's options.
        options: Those of this answer.
        variables: Those of this answer.

    Raises:
        ParameterError: There is no message, or an option makes no sense.
    """
    given: dict[str, Any] = {**options}
    tools = given.pop("tools", None)
    setting = replace(
        setting,
        tools=setting.tools if tools is None else as_tools(tools),
        tool_choice=given.pop("tool_choice", setting.tool_choice),
        is_parallel=given.pop("parallel_tool_calls", setting.is_parallel),
        variables={**setting.variables, **mapped("variables", variables)},
    )
    request = merged_options({"max_tokens": None, **defaults}, cast("Options", given))
    checked = RequestOptions({}, **request)
    checked.check()
    if not messages:
        raise ParameterError("there is nothing to answer: the history is empty")
    setting = replace(
        setting,
        max_tokens=request["max_tokens"],
        has_budget=checked.reasoning_budget is not None,
        constraint=checked.constraint,
    )
    with within(checked.timeout):
        sent = compose(messages, setting)
        request = _request(request, sent)
        if checked.timeout is not None:
            request["timeout"] = seconds_left()
    return request, sent


def _request(options: Options, sent: Prompt) -> Options:
    """The options of the request for an answer to a prompt."""
    request = options.copy()
    if sent.calls is not None:  # The grammar of the calls has the constraint in it.
        kept = {name: value for name, value in options.items() if name not in CONSTRAINTS}
        request = cast("Options", {**kept, "grammar": sent.calls})
    if sent.reasoning is None:
        request.pop("reasoning_budget", None)  # There is nothing to end.
    else:
        request["reasoning"] = sent.reasoning
    return request

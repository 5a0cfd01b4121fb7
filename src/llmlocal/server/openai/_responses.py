"""``/v1/responses``: answers that may be stored, and continued by their ids."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from llmlocal.server._answers import ChatJob, Piece
from llmlocal.server._http._body import read_fields
from llmlocal.server._http._errors import ApiError
from llmlocal.server._http._events import event_stream, sse
from llmlocal.server._http._fields import Fields
from llmlocal.server._http._patience import while_connected
from llmlocal.server._service import Service, service_of
from llmlocal.server.openai._options import chat_options
from llmlocal.server.openai._response_events import ResponseEvents
from llmlocal.server.openai._response_items import messages_of, new_id
from llmlocal.server.openai._shapes import HARMLESS

if TYPE_CHECKING:
    from starlette.requests import Request

    from llmlocal import ChatReply

__all__ = ["create_response", "delete_response", "get_response"]

_REFUSED = {
    "background": "this server answers while the client waits",
    "conversation": "use previous_response_id",
    "prompt": "this server stores no prompts",
    "max_tool_calls": "tools are called by the client here",
}
_HARMLESS = HARMLESS | {"stream_options", "context_management"}
_LOGPROBS = "message.output_text.logprobs"


@dataclass(frozen=True)
class _Asked:
    """A request: the job, and what the response repeats of it."""

    name: str
    job: ChatJob
    messages: list[dict[str, Any]]  # Without the instructions, which are for this response only.
    echo: dict[str, Any]
    is_stored: bool


async def create_response(request: Request) -> Response:
    """Answer."""
    service = service_of(request)
    fields = await read_fields(request)
    asked = _asked(service, fields)
    stream = fields.flag("stream")
    fields.finish(_HARMLESS, _REFUSED)
    if stream:
        return await event_stream(request, _events(service, asked, _begun(asked)), _error_event)
    response = await while_connected(request, _whole(service, asked))
    return JSONResponse(response)


async def get_response(request: Request) -> Response:
    """A response that was stored."""
    store = service_of(request).responses
    return JSONResponse(store.get(request.path_params["response"]).response)


async def delete_response(request: Request) -> Response:
    """Forget a response."""
    response_id = request.path_params["response"]
    service_of(request).responses.remove(response_id)
    return JSONResponse({"id": response_id, "object": "response", "deleted": True})


def _asked(service: Service, fields: Fields) -> _Asked:
    name = service.name_of(fields.text("model"))
    before: list[dict[str, Any]] = []
    previous = fields.text("previous_response_id")
    if previous is not None:
        before = service.responses.get(previous, "previous_response_id").messages
    given = fields.any("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list) or not (given or before):
        raise fields.error("input", "must be text, or an array of items")
    messages = [*before, *messages_of(given)]
    instructions = fields.text("instructions")
    truncation = fields.one_of("truncation", ("disabled", "auto"), "disabled")
    store = fields.flag("store", default=True)
    metadata = fields.mapping("metadata") or {}
    options, echo = _options(fields)
    if truncation == "auto":
        options["overflow"] = "drop_oldest"
    head = [{"role": "system", "content": instructions}] if instructions else []
    echo |= {
        "instructions": instructions,
        "previous_response_id": previous,
        "store": store,
        "truncation": truncation,
        "metadata": metadata,
    }
    return _Asked(name, ChatJob([*head, *messages], options), messages, echo, store)


def _options(fields: Fields) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of the chat, and what the response repeats of them."""
    chat: dict[str, Any] = {}
    limit = fields.any("max_output_tokens")
    reasoning = fields.mapping("reasoning") or {}
    text = fields.mapping("text") or {}
    tools = fields.array("tools") or []
    choice = fields.any("tool_choice")
    if limit is not None:
        chat["max_completion_tokens"] = limit
    if reasoning.get("effort"):
        chat["reasoning_effort"] = reasoning["effort"]
    form = text.get("format") or {"type": "text"}
    if isinstance(form, dict) and form.get("type") == "json_schema":
        chat["response_format"] = {"type": "json_schema", "json_schema": form}
    else:
        chat["response_format"] = form
    if tools:
        chat["tools"] = [_tool(tool) for tool in tools]
    chat["tool_choice"] = choice
    chat["parallel_tool_calls"] = fields.any("parallel_tool_calls")
    for name in ("temperature", "top_p", "seed", "stop", "chat_template_kwargs"):
        chat[name] = fields.any(name)
    top, include = fields.any("top_logprobs"), fields.array("include") or []
    if top is not None or _LOGPROBS in include:
        chat |= {"logprobs": True, "top_logprobs": top}
    inner = Fields(chat)
    options = chat_options(inner)
    echo = {
        "max_output_tokens": limit,
        "reasoning": {"effort": reasoning.get("effort"), "summary": None},
        "text": {"format": form},
        "tools": tools,
        "tool_choice": choice or "auto",
        "parallel_tool_calls": chat["parallel_tool_calls"] is not False,
        "temperature": chat["temperature"],
        "top_p": chat["top_p"],
    }
    return options, echo


def _tool(tool: Any) -> Any:
    """A function as chats have it: here its fields stand beside its type."""
    if isinstance(tool, dict) and tool.get("type") == "function" and "function" not in tool:
        function = {name: value for name, value in tool.items() if name not in ("type", "strict")}
        return {"type": "function", "function": function}
    return tool


async def _whole(service: Service, asked: _Asked) -> dict[str, Any]:
    response = _begun(asked)
    async for _ in _events(service, asked, response):
        pass
    return response


def _begun(asked: _Asked) -> dict[str, Any]:
    """A response of which nothing has been written."""
    return {
        "id": new_id("resp"),
        "object": "response",
        "created_at": int(time.time()),
        "model": asked.name,
        "error": None,
        "incomplete_details": None,
        **asked.echo,
        "status": "in_progress",
        "output": [],
        "usage": None,
    }


async def _events(
    service: Service, asked: _Asked, response: dict[str, Any]
) -> AsyncGenerator[bytes, None]:
    """The events of a response, which is whole at their end."""
    written = ResponseEvents()
    begun = written.event("response.created", {"response": response})
    begun += written.event("response.in_progress", {"response": response})
    async with service.model(asked.name) as llm:
        events = asked.job.events(llm)
        try:
            async for event in events:
                if isinstance(event, Piece):
                    yield begun + written.take(event)
                    begun = b""
                else:
                    reply, rest = event.reply, event.logprobs
        finally:
            await events.aclose()
    service.metrics.answered(asked.name, [reply])
    is_whole = reply.finish_reason in ("stop", "tool_calls")
    status = "completed" if is_whole else "incomplete"
    closed = written.close(status, rest)
    response |= {
        "status": status,
        "incomplete_details": None if is_whole else {"reason": "max_output_tokens"},
        "output": written.items,
        "usage": _usage(reply),
    }
    if asked.is_stored:
        service.responses.put([*asked.messages, reply.message], response)
    yield begun + closed + written.event(f"response.{status}", {"response": response})


def _usage(reply: ChatReply) -> dict[str, Any]:
    usage = reply.usage
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def _error_event(error: ApiError) -> bytes:
    fields = {"code": error.code, "message": error.message, "param": error.param}
    return sse({"type": "error", "sequence_number": 0, **fields}, "error")

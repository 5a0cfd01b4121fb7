"""Calls the functions that a model asked for, and makes messages of what they give."""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from llmlocal._chat._output import ToolCall
from llmlocal._chat._tools._signature import typed_arguments
from llmlocal._chat._tools._tool import Tool
from llmlocal._chat._tools._validate import problem_with
from llmlocal._checks import check_choice
from llmlocal.errors import ParameterError

__all__ = ["Caller", "OnCall", "OnError", "OnResult"]

OnCall = Callable[[ToolCall], object]
"""Called before each call; returning False refuses it."""

OnResult = Callable[[ToolCall, str], object]
"""Called after each call, with what the model is told."""

OnError = Literal["tell", "raise"]
"""What becomes of an exception of a function: the model is told, or it is raised."""

_T = TypeVar("_T")
_MOST_SIDE_BY_SIDE = 16


@dataclass(frozen=True)
class Caller:
    """Calls functions.

    Attributes:
        tools: Those that there are.
        execute: Called for a tool that has no function.
        on_call: Told of each call before it is made.
        on_result: Told of each result.
        on_error: What becomes of exceptions.
        is_parallel: Whether several calls are made side by side.
    """

    tools: Sequence[Tool]
    execute: Callable[[ToolCall], Any] | None = None
    on_call: OnCall | None = None
    on_result: OnResult | None = None
    on_error: OnError = "tell"
    is_parallel: bool = False

    def check(self) -> None:
        """Raise a ParameterError for what can't be called."""
        check_choice("on_error", self.on_error, ("tell", "raise"))
        if not self.tools:
            raise ParameterError("there are no tools to call; pass tools=")
        missing = [tool.name for tool in self.tools if tool.function is None]
        if missing and self.execute is None:
            raise ParameterError(
                f"the tool {missing[0]!r} is only described: pass the function, or execute="
            )

    def call_all(self, calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
        """The messages with the results, in the order of the calls."""
        if self.is_parallel and len(calls) > 1:
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(min(len(calls), _MOST_SIDE_BY_SIDE)) as pool:
                return list(pool.map(self._call, calls))
        return [self._call(call) for call in calls]

    async def acall_all(self, calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
        """The same in an event loop; functions that are not async run in threads."""
        import asyncio

        if self.is_parallel:
            return list(await asyncio.gather(*map(self._acall, calls)))
        return [await self._acall(call) for call in calls]

    def _call(self, call: ToolCall) -> dict[str, Any]:
        return _run(self._acall(call, in_thread=False))

    async def _acall(self, call: ToolCall, *, in_thread: bool = True) -> dict[str, Any]:
        try:
            text = self._refused(call)
            if text is None:
                text = as_text(await self._result(call, in_thread=in_thread))
        except Exception as exc:
            if self.on_error == "raise":
                raise
            text = f"error: {type(exc).__name__}: {exc}"
        if self.on_result is not None:
            self.on_result(call, text)
        return {"role": "tool", "tool_call_id": call.id, "name": call.name, "content": text}

    def _refused(self, call: ToolCall) -> str | None:
        """Why the call is not made; None if it is."""
        tool = next((each for each in self.tools if each.name == call.name), None)
        if tool is None:
            return f"error: there is no tool {call.name!r}"
        problem = problem_with(call.arguments, tool.parameters, tool.parameters)
        if problem:
            return f"error: {problem}"
        if self.on_call is not None and self.on_call(call) is False:
            return "error: the user refused this call"
        return None

    async def _result(self, call: ToolCall, *, in_thread: bool) -> Any:
        tool = next(each for each in self.tools if each.name == call.name)
        if tool.function is None:
            assert self.execute is not None
            execute, call_it = self.execute, call
            result = await _in(lambda: execute(call_it), in_thread=in_thread)
        else:
            function = tool.function
            arguments = typed_arguments(function, call.arguments)
            is_async = inspect.iscoroutinefunction(function)
            result = await _in(lambda: function(**arguments), in_thread=in_thread and not is_async)
        return await result if inspect.isawaitable(result) else result


async def _in(function: Callable[[], _T], *, in_thread: bool) -> _T:
    if not in_thread:
        return function()
    import asyncio

    return await asyncio.to_thread(function)


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    """The result of a coroutine, also inside of a running loop."""
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    results: list[_T] = []
    errors: list[BaseException] = []

    def target() -> None:
        try:
            results.append(asyncio.run(work))
        except BaseException as exc:  # noqa: BLE001  # raised again in the thread that waits
            errors.append(exc)

    thread = threading.Thread(target=target, name="llmlocal-tool")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def as_text(result: Any) -> str:
    """A result as the model reads it: text as it is, data as JSON."""
    if isinstance(result, str):
        return result
    if hasattr(result, "model_dump_json") and not hasattr(result, "content"):
        return str(result.model_dump_json())
    parts = getattr(result, "content", None)  # what an MCP client's call gives
    if isinstance(parts, list) and all(hasattr(part, "type") for part in parts):
        return "\n".join(str(getattr(part, "text", part)) for part in parts)
    return json.dumps(result, ensure_ascii=False, default=str)

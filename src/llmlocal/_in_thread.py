"""Work that would block an event loop, in one of the loop's threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_thread"]

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


async def in_thread(
    work: Callable[_Arguments, _Result], /, *args: _Arguments.args, **kwargs: _Arguments.kwargs
) -> _Result:
    """Do it as :func:`asyncio.to_thread` does, or here where no thread can be had any more.

    That is at the end of the program, for tasks of daemon threads: what they would get instead is
    a RuntimeError about executors, printed while the program ends.
    """
    import asyncio
    import contextvars
    import functools

    call = functools.partial(contextvars.copy_context().run, work, *args, **kwargs)
    try:
        result = asyncio.get_running_loop().run_in_executor(None, call)
    except RuntimeError:
        return call()
    return await result

"""An interrupt costs no piece of a stream, whichever step of the program it comes at.

Python looks for signals after calls, at jumps back and where a function begins; here an exception
comes after every instruction of the package that may be one of these, one after the other.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import llmlocal
from llmlocal import LLM, Stream
from llmlocal._generation._reply import Reply

_PACKAGE = str(Path(llmlocal.__file__).parent)
_TEXTS = ["one ", "", "two ", "three ", "", "four"]
# After these, nothing is looked for.
_QUIET = ("STORE_", "DELETE_", "LOAD_FAST", "LOAD_CONST")


class FakeRequest:
    """Has two batches of events, and then an outcome."""

    def __init__(self, texts: list[str]) -> None:
        events = [(token, text, None) for token, text in enumerate(texts)]
        self._batches = [events[:2], events[2:5], events[5:]]

    def read(self, events: list[Any], *_: object, **__: object) -> tuple[Any, int]:
        if self._batches:
            events += self._batches.pop(0)
        return (None if self._batches else _OUTCOME), 1

    def cancel(self) -> None:
        """What it has stays readable."""


_OUTCOME = SimpleNamespace(
    finish_reason=llmlocal._core.FinishReason.CANCELLED,
    stop_match=None,
    usage=SimpleNamespace(prompt_tokens=1, cached_tokens=0, completion_tokens=6),
    timings=SimpleNamespace(queue_s=0, prompt_s=0, first_token_s=0, per_token_s=0, total_s=0),
    raise_error=lambda: None,
)


class Interrupter:
    """Raises a KeyboardInterrupt at one instruction of the package.

    Args:
        nth: Which one.
        within: Count those of this function alone.
    """

    def __init__(self, nth: int, within: Callable[..., object] | None = None) -> None:
        self._left = nth
        self._within = within
        self._last: dict[FrameType, str] = {}
        self.has_raised = False

    def __enter__(self) -> Interrupter:
        self._before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and not self.has_raised:
            before = self._last.get(frame, "")
            self._last[frame] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            if not before.startswith(_QUIET) and self._is_counted(frame):
                self._left -= 1
                if self._left == 0:
                    self.has_raised = True
                    raise KeyboardInterrupt
        return self._trace

    def _is_counted(self, frame: FrameType) -> bool:
        return self._within is None or frame.f_code is self._within.__code__


def read_with_an_interrupt(stream: Stream, interrupter: Interrupter) -> str:
    """What a reader gets who goes on after the interrupt."""
    text = ""
    try:
        with interrupter:
            for piece in stream:
                text += piece
    except KeyboardInterrupt:
        stream.cancel()
    return text + "".join(stream)


def test_at_every_instruction() -> None:
    tried = 0
    while True:
        tried += 1
        request: Any = FakeRequest(_TEXTS)
        stream = Stream(Reply(request, seed=1))
        interrupter = Interrupter(tried)
        assert read_with_an_interrupt(stream, interrupter) == "".join(_TEXTS)
        assert stream.result == "".join(_TEXTS)
        assert stream.result.tokens == tuple(range(len(_TEXTS)))
        if not interrupter.has_raised:
            break
    assert tried > 100


def test_with_a_callback_at_every_instruction() -> None:
    """The callback hears of each token once at most, and the result has what it heard."""
    tried = 0
    while True:
        tried += 1
        heard: list[str] = []
        request: Any = FakeRequest(_TEXTS)

        def hear(_: int, text: str, heard: list[str] = heard) -> None:
            heard.append(text)

        stream = Stream(Reply(request, seed=1, callback=hear))
        interrupter = Interrupter(tried)
        read = read_with_an_interrupt(stream, interrupter)
        assert "".join(_TEXTS).startswith(str(stream.result))
        assert str(stream.result).startswith("".join(heard))
        assert str(stream.result).startswith(read)
        if not interrupter.has_raised:
            break
    assert tried > 100


def test_as_soon_as_the_engine_has_handed_pieces_over(tiny_llm: LLM) -> None:
    expected = tiny_llm.generate("hello", max_tokens=12, temp=0)
    for nth in range(1, 60):
        stream = tiny_llm.generate("hello", max_tokens=12, temp=0, streaming=True)
        read = read_with_an_interrupt(stream, Interrupter(nth, within=Reply.read))
        assert read == str(stream.result)
        assert str(expected).startswith(read)
        outcome = stream._reply._outcome
        assert outcome is not None
        assert len(stream.result.tokens) == outcome.usage.completion_tokens

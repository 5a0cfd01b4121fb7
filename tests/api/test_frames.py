"""Streams that hand over the tokens of a frame as one piece."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from llmlocal import LLM, ParameterError
from llmlocal._generation._frames import Frames

from ..conftest import OpenTiny
from .tasks import ENDLESS, PROMPT, run
from .waiting import PATIENCE_S


def fast_frames() -> Frames:
    """Frames of a second, of a stream that has had a token at 10 s and at 10.4 s."""
    frames = Frames(1.0)
    assert not frames.saw(10.0, has_news=True)  # The first token.
    assert frames.saw(10.4, has_news=True)
    assert frames.is_fast
    return frames


def test_two_tokens_within_a_frame_make_a_stream_fast() -> None:
    assert not fast_frames().saw(11.0, has_news=True)


def test_a_frame_without_a_token_makes_it_slow_again() -> None:
    frames = fast_frames()
    assert frames.saw(11.0, has_news=False)
    assert not frames.is_fast
    assert not frames.saw(12.0, has_news=True)  # 1.6 s after the last one.


def test_a_stream_with_a_token_a_frame_is_never_fast() -> None:
    frames = Frames(1.0)
    assert not any(frames.saw(float(second), has_news=True) for second in range(10))


def test_a_look_that_finds_nothing_does_not_make_a_stream_fast() -> None:
    frames = Frames(1.0)
    frames.saw(10.0, has_news=True)
    assert not frames.saw(10.1, has_news=False)
    assert not frames.saw(11.2, has_news=True)


def test_all_streams_have_their_frames_at_the_same_times() -> None:
    assert [Frames(0.5).end(now) for now in (7.01, 7.3, 7.5, 7.99)] == [7.5, 7.5, 8.0, 8.0]


@pytest.mark.parametrize(
    "seconds", [0, -1, 1e-4, 61, math.nan, math.inf, 1e308, 10**400, True, None, "1"]
)
def test_what_is_no_time_is_refused(tiny_llm: LLM, seconds: Any) -> None:
    with pytest.raises(ParameterError, match=r"seconds must be a number, 0\.001 to 60; got "):
        tiny_llm.astream(PROMPT).in_frames(seconds)


def test_the_pieces_of_a_fast_answer_hold_many_tokens(open_tiny: OpenTiny) -> None:
    expected = open_tiny().generate(PROMPT, max_tokens=500, temp=0)

    async def main() -> list[str]:
        stream = open_tiny().astream(PROMPT, max_tokens=500, temp=0).in_frames(1 / 30)
        pieces = [piece async for piece in stream]
        assert await stream.result() == expected
        return pieces

    pieces = run(main())
    assert "".join(pieces) == expected
    assert len(pieces) < 250


def test_neither_the_first_token_nor_the_end_waits_for_a_frame(
    open_tiny: OpenTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Frames, "end", lambda _, now: now + 3600)

    async def main() -> None:
        endless = open_tiny(n_ctx=100_000).astream(PROMPT, **ENDLESS).in_frames(60)
        await asyncio.wait_for(anext(endless), PATIENCE_S)
        await endless.aclose()
        limited = open_tiny().astream(PROMPT, max_tokens=200).in_frames(60)
        result = await asyncio.wait_for(limited.result(), PATIENCE_S)
        assert result.usage.completion_tokens == 200

    run(main())

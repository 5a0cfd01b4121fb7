"""One request at a time: how fast its answer comes, and how fast its prompt is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.scenarios.scenario import Context, Metric, Scenario, Task
from benchmarks.session import Session
from benchmarks.workloads import counting, text

__all__ = ["DECODE", "PREFILL", "STREAM"]

_RATE = Metric("tokens_per_s", "tokens/s", "higher")
_ANSWER_TOKENS = 128
_PROMPT_WORDS = 900


def decode_work(session: Session, turn: int) -> dict[str, Any]:
    """One answer, as a whole."""
    return session.ask("decode", prompt=counting(10 + turn), tokens=_ANSWER_TOKENS)


def _decode(context: Context) -> Sequence[Task]:
    return [Task(each.label, each, decode_work) for each in context.entrants(without=())]


def _stream(context: Context) -> Sequence[Task]:
    def work(session: Session, turn: int) -> dict[str, Any]:
        return session.ask("stream", prompt=counting(10 + turn), tokens=_ANSWER_TOKENS)

    return [Task(each.label, each, work) for each in context.entrants()]


def _prefill(context: Context) -> Sequence[Task]:
    texts = [text(_PROMPT_WORDS, ("prefill", turn)) for turn in range(16)]
    counts = context.counts(texts)

    def work(session: Session, turn: int) -> dict[str, Any]:
        which = turn % len(texts)
        return session.ask("prefill", text=texts[which], tokens=counts[which])

    return [Task(each.label, each, work) for each in context.entrants(without=())]


DECODE = Scenario(
    "decode",
    f"one answer of {_ANSWER_TOKENS} tokens, greedy, after a short prompt, taken as a whole",
    (_RATE,),
    _decode,
)
STREAM = Scenario(
    "stream",
    f"one answer of {_ANSWER_TOKENS} tokens, greedy, after a short prompt, read piece by piece",
    (_RATE, Metric("longest_gap_s", "s", "lower")),
    _stream,
)
PREFILL = Scenario(
    "prefill",
    f"a prompt of {_PROMPT_WORDS} words that nobody has seen before",
    (_RATE, Metric("first_token_s", "s", "lower")),
    _prefill,
    rounds=(7, 3),
)

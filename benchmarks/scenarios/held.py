"""Finished conversations are kept for reuse: what they cost a request that has no use for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.scenarios.scenario import Context, Metric, Scenario, Task
from benchmarks.scenarios.single import decode_work
from benchmarks.session import Session
from benchmarks.systems import OURS, Entrant
from benchmarks.workloads import text

__all__ = ["FRESH", "HELD", "conversations", "hold"]

FRESH = "a fresh model"
_CONVERSATIONS = 32
_TOKENS = 1000
_OWN_SHARE = 0.1


def conversations(context: Context, count: int) -> list[str]:
    """Texts of 1,000 tokens that each take a place of their own in the store.

    In a quick run they have their first nine tenths in common, so that these are evaluated once:
    what is held is the same, and as many bytes.
    """
    words = context.words_for(_TOKENS)
    own = int(words * _OWN_SHARE) if context.is_quick else words
    shared = text(words - own, "held") + " " if words > own else ""
    return [shared + text(own, ("held", number)) for number in range(count)]


def hold(prompts: Sequence[str]) -> Callable[[Session], object]:
    """Have these evaluated and kept."""
    return lambda session: session.ask("hold", prompts=list(prompts))


def held_work(session: Session, turn: int) -> dict[str, Any]:
    """One answer, and what is held after it."""
    return {**decode_work(session, turn), **session.ask("hold", prompts=[])}


def _held(context: Context) -> Sequence[Task]:
    def entrant() -> Entrant:
        return Entrant(OURS, OURS, context.settings(n_ctx=2048))

    prompts = conversations(context, _CONVERSATIONS)
    return [
        Task(FRESH, entrant(), held_work),
        Task(f"{_CONVERSATIONS} held", entrant(), held_work, hold(prompts)),
    ]


HELD = Scenario(
    "held",
    f"one answer while {_CONVERSATIONS} finished conversations of {_TOKENS} tokens are held for "
    "reuse, against a fresh model",
    (Metric("tokens_per_s", "tokens/s", "higher"), Metric("held_bytes", "bytes", "lower")),
    _held,
    rounds=(7, 4),
)

"""How cost grows: with requests at once, with the context, with what is held, with the vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmarks.scenarios.held import conversations, held_work, hold
from benchmarks.scenarios.scenario import Context, Metric, Scenario, Task
from benchmarks.scenarios.together import own_prompts
from benchmarks.session import Session
from benchmarks.synthetic import SHAPES, ensure_model
from benchmarks.systems import LIMIT, OURS, Entrant
from benchmarks.workloads import text

__all__ = ["GROWTH"]

_RATE = (Metric("tokens_per_s", "tokens/s", "higher"),)
_AT_ONCE = (1, 2, 4, 8, 16, 32, 64)
_DEPTHS = (128, 512, 1024, 2048, 4096, 7936)
_HELD = (0, 8, 32, 100, 200)
_VOCABULARIES = (32_000, 65_536, 131_072, 262_144)
_ANSWER_TOKENS = 64
_SMALL_MODEL_TOKENS = 400  # A small model's steps are so short that waking up would be measured.


def _systems(context: Context) -> list[str]:
    return [name for name in (OURS, LIMIT) if name in context.systems]


def _requests(context: Context) -> Sequence[Task]:
    prompt_tokens = context.counts([own_prompts(1, 1)[0]])[0]

    def work_for(system: str, count: int) -> Any:
        extra = {"prompt_tokens": prompt_tokens, "at_once": count} if system == LIMIT else {}

        def work(session: Session, turn: int) -> dict[str, Any]:
            prompts = own_prompts(count, turn)
            return session.ask("together", prompts=prompts, tokens=_ANSWER_TOKENS, **extra)

        return work

    return [
        Task(
            f"{system}, {count} at once",
            Entrant(system, system, context.settings(n_ctx=256, n_parallel=count)),
            work_for(system, count),
            at=count,
        )
        for count in _AT_ONCE
        for system in _systems(context)
    ]


def _context(context: Context) -> Sequence[Task]:
    words = {depth: context.words_for(depth) for depth in _DEPTHS}

    def work_for(system: str, depth: int) -> Any:
        extra = {"depth": depth} if system == LIMIT else {}

        def work(session: Session, turn: int) -> dict[str, Any]:
            prompt = text(words[depth], (depth, turn)) if system == OURS else ""
            return session.ask("decode", prompt=prompt, tokens=_ANSWER_TOKENS, **extra)

        return work

    return [
        Task(
            f"{system}, {depth} tokens before",
            Entrant(system, system, context.settings(n_ctx=8192, n_parallel=1)),
            work_for(system, depth),
            at=depth,
        )
        for depth in _DEPTHS
        for system in _systems(context)
    ]


def _held(context: Context) -> Sequence[Task]:
    prompts = conversations(replace_quick(context), max(_HELD))
    return [
        Task(
            f"{OURS}, {count} held",
            Entrant(
                OURS,
                OURS,
                context.settings(n_ctx=2048, options={"prefix_cache_bytes": 8_000_000_000}),
            ),
            held_work,
            hold(prompts[:count]) if count else None,
            at=count,
        )
        for count in _HELD
    ]


def replace_quick(context: Context) -> Context:
    """The context with the quick way to fill the store: hundreds of texts would take hours."""
    return replace(context, is_quick=True)


def _vocabulary(context: Context) -> Sequence[Task]:
    tasks = []
    for size in _VOCABULARIES:
        model = ensure_model(replace(SHAPES["small"], vocab=size), context.folder)
        settings = context.settings(model=str(model), n_ctx=512, n_parallel=1)

        def work(session: Session, turn: int) -> dict[str, Any]:
            return session.ask("decode", prompt=text(8, turn), tokens=_SMALL_MODEL_TOKENS)

        tasks += [
            Task(f"{system}, {size:,} tokens", Entrant(system, system, settings), work, at=size)
            for system in _systems(context)
        ]
    return tasks


GROWTH = (
    Scenario(
        "growth-requests",
        f"requests of {_ANSWER_TOKENS} tokens that arrive together, all at a time",
        _RATE,
        _requests,
        rounds=(3, 1),
        axis="requests at once",
    ),
    Scenario(
        "growth-context",
        f"one answer of {_ANSWER_TOKENS} tokens after a long prompt",
        _RATE,
        _context,
        rounds=(3, 1),
        axis="tokens before",
    ),
    Scenario(
        "growth-held",
        "one answer while finished conversations of 1,000 tokens are held for reuse",
        (*_RATE, Metric("held", "held", "higher"), Metric("held_bytes", "bytes", "lower")),
        _held,
        rounds=(5, 1),
        axis="conversations held",
    ),
    Scenario(
        "growth-vocabulary",
        f"one greedy answer of {_SMALL_MODEL_TOKENS} tokens of a small random model",
        _RATE,
        _vocabulary,
        rounds=(5, 1),
        axis="tokens in the vocabulary",
    ),
)

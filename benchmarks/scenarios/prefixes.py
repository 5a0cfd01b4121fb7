"""What was evaluated before: adopted from disk, shared by a shuffled list, asked again in part."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from benchmarks.scenarios.scenario import Context, Metric, Scenario, Task
from benchmarks.session import Session
from benchmarks.systems import OURS, Entrant
from benchmarks.workloads import counting, text

__all__ = ["DISK", "HYBRID", "TREE"]

_KNOWN_TOKENS = (1000, 4000)
_TEXTS = 12
_TREE_PROMPTS = 72
_TREE_WORDS = 150
_HYBRID_TOKENS = 2000


def _disk(context: Context) -> Sequence[Task]:
    """A model that is opened anew each time, with and without the folder, and one that stays open."""
    sizes = _KNOWN_TOKENS[:1] if context.is_quick else _KNOWN_TOKENS
    tasks = []
    for tokens in sizes:
        known = text(context.words_for(tokens), ("known", tokens))
        path = {"prefix_cache_path": str(context.folder / f"prefixes-{tokens}")}
        for label, options, is_reopened in (
            ("evaluated", {"prefix_cache_path": ""}, True),
            ("from disk", path, True),
            ("warm", {"prefix_cache_path": ""}, False),
        ):
            settings = context.settings(n_ctx=tokens + 512, options=options)
            entrant = Entrant(f"{label}, {tokens} tokens", OURS, settings)
            work = _question(known, settings if is_reopened else None)
            prepare = _evaluate(known) if label != "evaluated" else None
            tasks.append(Task(entrant.label, entrant, work, prepare))
    return tasks


def _evaluate(known: str) -> Any:
    return lambda session: session.ask("prefill", text=f"{known} {counting(1)}", tokens=1)


def _question(known: str, reopened: dict[str, Any] | None) -> Any:
    """Ask another question on the known text, of a model that was opened anew if so wished."""

    def work(session: Session, turn: int) -> dict[str, Any]:
        if reopened is not None:
            session.ask("close")
            session.ask("open", settings=reopened)
        return session.ask("prefill", text=f"{known} {counting(10 * turn + 11)}", tokens=1)

    return work


def _tree(context: Context) -> Sequence[Task]:
    """Prompts over a few texts, with a store for none of them."""

    def work_for(is_shuffled: bool) -> Any:
        def work(session: Session, turn: int) -> dict[str, Any]:
            texts = [text(_TREE_WORDS, (turn, is_shuffled, i)) for i in range(_TEXTS)]
            prompts = [f"{texts[i % _TEXTS]} {counting(10 * i + 11)}" for i in range(_TREE_PROMPTS)]
            prompts.sort()
            if is_shuffled:
                random.Random(turn).shuffle(prompts)
            return session.ask("together", prompts=prompts, tokens=8)

        return work

    settings = context.settings(n_ctx=1024, n_parallel=4, options={"prefix_cache_bytes": 0})
    entrant = Entrant(OURS, OURS, settings)
    return [Task("in order", entrant, work_for(False)), Task("shuffled", entrant, work_for(True))]


def _hybrid(context: Context) -> Sequence[Task]:
    """The third question on a text, against the first: the model may be one that can't cut back."""
    known = text(context.words_for(_HYBRID_TOKENS), "hybrid")
    entrant = Entrant(OURS, OURS, context.settings(n_ctx=4096))

    def first(session: Session, turn: int) -> dict[str, Any]:
        words = context.words_for(_HYBRID_TOKENS)
        return session.ask("prefill", text=f"{text(words, turn)} {counting(11)}", tokens=1)

    def prepare(session: Session) -> None:
        for start in (1, 5):
            session.ask("prefill", text=f"{known} {counting(start)}", tokens=1)

    return [
        Task("the first question", entrant, first),
        Task("a later one", entrant, _question(known, None), prepare),
    ]


DISK = Scenario(
    "disk",
    "the first token after a text that another process has evaluated: evaluated anew, adopted from "
    "disk, and by a process that has it in memory",
    (Metric("first_token_s", "s", "lower"),),
    _disk,
    rounds=(7, 3),
)
TREE = Scenario(
    "tree",
    f"a list of {_TREE_PROMPTS} prompts over {_TEXTS} texts, with no store for them: in the order of "
    "the texts, and shuffled",
    (Metric("seconds", "s", "lower"),),
    _tree,
    rounds=(5, 2),
)
HYBRID = Scenario(
    "hybrid",
    f"another question on a text of {_HYBRID_TOKENS} tokens that two prompts had in common, against "
    "the first (with --model, of a hybrid or recurrent model)",
    (Metric("first_token_s", "s", "lower"),),
    _hybrid,
    rounds=(5, 3),
)

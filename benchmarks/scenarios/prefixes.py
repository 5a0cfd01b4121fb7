"""What was evaluated before: adopted from disk, shared by a shuffled list, asked again in part."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import Results
from benchmarks.samples import Summary, ratio, summarize
from benchmarks.scenarios.scenario import Context, Metric, Scenario, Task
from benchmarks.session import Session
from benchmarks.systems import OURS, Entrant
from benchmarks.workloads import counting, text

__all__ = ["DISK", "HYBRID", "KEPT", "KNOWN_TOKENS", "NOT_KEPT", "TREE", "WRITING", "over_reading"]

KNOWN_TOKENS = (1000, 4000, 16_000)
_KEEPERS = (OURS, "llama-cpp-python", "llama-server")
_TEXTS = 12
_TREE_PROMPTS = 72
_TREE_WORDS = 150
_HYBRID_TOKENS = 2000
_WRITTEN_TOKENS = 2000
_ANSWER_TOKENS = 128

KEPT, NOT_KEPT = "with a folder for prompts", "without one"


def _disk(context: Context) -> Sequence[Task]:
    """Models that are opened anew each time, and one that stays open."""
    sizes = KNOWN_TOKENS[:1] if context.is_quick else KNOWN_TOKENS
    return [task for tokens in sizes for task in _disk_of(context, tokens)]


def _disk_of(context: Context, tokens: int) -> list[Task]:
    known = text(context.words_for(tokens), ("known", tokens))
    none = {"prefix_cache_path": ""}
    tasks = []
    for name in context.systems:
        if name not in _KEEPERS:
            continue
        folder = context.folder / f"kept-{tokens}-{name}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        settings = context.settings(
            n_ctx=tokens + 512, n_parallel=1, options=_keeping(name, folder)
        )
        label = _from_disk(tokens, "" if name == OURS else name)
        entrant = Entrant(label, name, settings)
        tasks.append(Task(label, entrant, _resume(known, entrant, folder), _keep(known, folder)))
    settings = context.settings(n_ctx=tokens + 512, options=none)
    anew = Entrant(f"evaluated, {tokens} tokens", OURS, settings)
    warm = Entrant(_warm(tokens), OURS, settings)
    return [
        *tasks,
        Task(anew.label, anew, _question(known, anew)),
        Task(warm.label, warm, _question(known, None), _evaluate(known)),
    ]


def _from_disk(tokens: int, system: str = "") -> str:
    return f"from disk, {tokens} tokens" + (f", {system}" if system else "")


def _warm(tokens: int) -> str:
    return f"warm, {tokens} tokens"


def _keeping(system: str, folder: Path) -> dict[str, Any]:
    """How a system is told of its folder when it is opened."""
    return {OURS: {"prefix_cache_path": str(folder)}, "llama-server": {"slots": str(folder)}}.get(
        system, {}
    )


def _keep(known: str, folder: Path) -> Any:
    return lambda session: session.ask("keep", text=f"{known} {counting(1)}", folder=str(folder))


def _resume(known: str, entrant: Entrant, folder: Path) -> Any:
    def work(session: Session, turn: int) -> dict[str, Any]:
        session.ask("close")
        session.ask("open", settings=entrant.opening())
        question = f"{known} {counting(10 * turn + 11)}"
        return session.ask("resume", text=question, folder=str(folder))

    return work


def over_reading(tokens: int) -> Callable[[Results], Summary | None]:
    """The first token from disk as a multiple of a warm process's and the reading together."""

    def figure(results: Results) -> Summary | None:
        ours = results.values("disk", _from_disk(tokens), "first_token_s")
        reading = results.values("disk", _from_disk(tokens), "read_s")
        warm = results.values("disk", _warm(tokens), "first_token_s")
        if not ours or not reading or not warm:
            return None
        return ratio(ours, [each + summarize(reading).median for each in warm])

    return figure


def _evaluate(known: str) -> Any:
    return lambda session: session.ask("prefill", text=f"{known} {counting(1)}", tokens=1)


def _question(known: str, reopened: Entrant | None) -> Any:
    """Ask another question on the known text, of a model that was opened anew if so wished."""

    def work(session: Session, turn: int) -> dict[str, Any]:
        if reopened is not None:
            session.ask("close")
            session.ask("open", settings=reopened.opening())
        return session.ask("prefill", text=f"{known} {counting(10 * turn + 11)}", tokens=1)

    return work


def _writing(context: Context) -> Sequence[Task]:
    """An answer, while what the prompt before it came to is written to a file."""
    folder = context.folder / "written"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)

    def work(session: Session, turn: int) -> dict[str, Any]:
        words = context.words_for(_WRITTEN_TOKENS)
        session.ask("prefill", text=f"{text(words, turn)} {counting(11)}", tokens=1)
        return session.ask("stream", prompt=counting(10 + turn), tokens=_ANSWER_TOKENS)

    return [
        Task(label, Entrant(label, OURS, context.settings(n_ctx=4096, options=options)), work)
        for label, options in (
            (NOT_KEPT, {"prefix_cache_path": ""}),
            (KEPT, {"prefix_cache_path": str(folder)}),
        )
    ]


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
    (Metric("first_token_s", "s", "lower"), Metric("read_s", "s to read the file", "lower")),
    _disk,
    rounds=(5, 3),
)
WRITING = Scenario(
    "writing",
    f"one answer of {_ANSWER_TOKENS} tokens, while a prompt of {_WRITTEN_TOKENS} is written to a file",
    (Metric("tokens_per_s", "tokens/s", "higher"), Metric("longest_gap_s", "s", "lower")),
    _writing,
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

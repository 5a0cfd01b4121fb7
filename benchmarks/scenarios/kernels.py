"""Our own CPU kernels on and off, in turn, and llama.cpp's measure of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.random_weights import TYPES as TYPES_OF_WEIGHTS
from benchmarks.scenarios.scenario import Context, Metric, Scenario, Task
from benchmarks.session import Session
from benchmarks.synthetic import SHAPES, ensure_model
from benchmarks.systems import LIMIT, OURS, Entrant
from benchmarks.workloads import text

__all__ = ["KERNELS", "OFF", "ON", "PROMPT", "STOCK", "TYPES", "answer_after", "of_type"]

ON, OFF = "on", "off"
STOCK = {f"{LIMIT} (separate)": False, f"{LIMIT} (fused)": True}
"""llama-bench with each of its attentions: whether it is fused."""
PROMPT = "prompt"

_RATE = (Metric("tokens_per_s", "tokens/s", "higher"),)
_PROMPT_TOKENS = 512
_ANSWER_TOKENS = 32
_DEPTHS = (0, 256, 1000, 3000)
_QUICK_DEPTHS = (0, 1000)


def _kernels(context: Context) -> Sequence[Task]:
    return _tasks(context, _QUICK_DEPTHS if context.is_quick else _DEPTHS)


def _types(context: Context) -> Sequence[Task]:
    """The same for files of each type, which hold nothing that was learned."""
    tasks: list[Task] = []
    for shape in ("135m",) if context.is_quick else ("135m", "1b"):
        for kind in TYPES_OF_WEIGHTS:
            model = ensure_model(replace(SHAPES[shape], type=kind), context.folder)
            of = of_type(kind, shape)
            tasks += _tasks(replace(context, model=model), _QUICK_DEPTHS, of)
    return tasks


def of_type(kind: str, shape: str = "135m") -> str:
    """How the rows begin of a file of a type."""
    return f"{shape} {kind}, "


def answer_after(depth: int) -> str:
    """What an answer after so many tokens is called."""
    return f"answer after {depth:,} tokens" if depth else "answer"


def _tasks(context: Context, depths: Sequence[int], of: str = "") -> list[Task]:
    prompts = [text(context.words_for(_PROMPT_TOKENS), ("kernels", turn)) for turn in range(8)]
    counts = context.counts(prompts)

    def prefill(session: Session, turn: int) -> dict[str, Any]:
        which = turn % len(prompts)
        return session.ask("prefill", text=prompts[which], tokens=counts[which])

    def answer(depth: int, system: str) -> Callable[[Session, int], dict[str, Any]]:
        def work(session: Session, turn: int) -> dict[str, Any]:
            del turn  # the same text: after the first time it is only looked up
            before = text(context.words_for(max(depth, 16)), ("kernels", depth))
            extra = {"depth": depth} if system == LIMIT else {}
            return session.ask("decode", prompt=before, tokens=_ANSWER_TOKENS, **extra)

        return work

    tasks: list[Task] = []
    for entrant in _entrants(context):
        tasks.append(Task(f"{of}{PROMPT}, {entrant.label}", entrant, prefill))
        for depth in depths:
            work = answer(depth, entrant.system)
            tasks.append(Task(f"{of}{answer_after(depth)}, {entrant.label}", entrant, work))
    return tasks


def _entrants(context: Context) -> Iterator[Entrant]:
    """Ours with the kernels and without, and llama-bench with each of its attentions."""
    for label, value in ((ON, "1"), (OFF, "0")):
        yield Entrant(label, OURS, context.settings(), {"LLMLOCAL_KERNELS": value})
    if LIMIT in context.systems:
        for label, fused in STOCK.items():
            yield Entrant(label, LIMIT, context.settings(options={"fused_attention": fused}))


KERNELS = Scenario(
    "kernels",
    f"our CPU kernels on and off: a prompt of {_PROMPT_TOKENS} tokens, and answers of "
    f"{_ANSWER_TOKENS} after texts of some lengths",
    _RATE,
    _kernels,
    rounds=(7, 5),
)

TYPES = Scenario(
    "types",
    "our CPU kernels on and off, with weights of each type",
    _RATE,
    _types,
    rounds=(5, 3),
)

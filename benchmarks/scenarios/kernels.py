"""Our own CPU kernels on and off, in turn: prompts, and answers after texts of some lengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.scenarios.scenario import Context, Metric, Scenario, Task
from benchmarks.session import Session
from benchmarks.systems import OURS, Entrant
from benchmarks.workloads import text

__all__ = ["KERNELS"]

_PROMPT_TOKENS = 512
_ANSWER_TOKENS = 32
_DEPTHS = (0, 256, 1000, 3000)
_QUICK_DEPTHS = (0, 1000)


def _kernels(context: Context) -> Sequence[Task]:
    prompts = [text(context.words_for(_PROMPT_TOKENS), ("kernels", turn)) for turn in range(8)]
    counts = context.counts(prompts)

    def prefill(session: Session, turn: int) -> dict[str, Any]:
        which = turn % len(prompts)
        return session.ask("prefill", text=prompts[which], tokens=counts[which])

    def answer(depth: int) -> Callable[[Session, int], dict[str, Any]]:
        def work(session: Session, turn: int) -> dict[str, Any]:
            del turn  # the same text: after the first time it is only looked up
            before = text(context.words_for(max(depth, 16)), ("kernels", depth))
            return session.ask("decode", prompt=before, tokens=_ANSWER_TOKENS)

        return work

    depths = _QUICK_DEPTHS if context.is_quick else _DEPTHS
    tasks: list[Task] = []
    for label, value in (("on", "1"), ("off", "0")):
        entrant = Entrant(label, OURS, context.settings(), {"LLMLOCAL_KERNELS": value})
        tasks += [
            Task(f"prompt, {label}", entrant, prefill),
            *(Task(f"answer, {label}", entrant, answer(depth), at=depth) for depth in depths),
        ]
    return tasks


KERNELS = Scenario(
    "kernels",
    f"our CPU kernels on and off: a prompt of {_PROMPT_TOKENS} tokens, and answers of "
    f"{_ANSWER_TOKENS} after texts of some lengths",
    (Metric("tokens_per_s", "tokens/s", "higher"),),
    _kernels,
    rounds=(7, 5),
    axis="tokens before",
)

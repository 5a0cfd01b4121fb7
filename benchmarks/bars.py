"""The bars that llmlocal sets itself, as data, and the verdict of a run on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.results import Results
from benchmarks.samples import Summary, ratio, summarize
from benchmarks.scenarios.contended import BUSY
from benchmarks.scenarios.held import FRESH
from benchmarks.scenarios.kernels import OFF, ON, PROMPT, STOCK, answer_after, of_type
from benchmarks.scenarios.memory import CYCLES, REQUESTS
from benchmarks.scenarios.overhead import STREAMED, STREAMED_OVER_HTTP, WHOLE
from benchmarks.scenarios.prefixes import KEPT, KNOWN_TOKENS, NOT_KEPT, over_reading
from benchmarks.scenarios.serve import SHARED, at_once
from benchmarks.scenarios.together import BATCHED
from benchmarks.systems import LIMIT, OURS, SERVED

__all__ = ["BARS", "Bar", "Verdict", "judge"]

Figure = Callable[[Results], Summary | None]
"""What is held against the bar; None where it was not measured."""


@dataclass(frozen=True)
class Bar:
    """A promise about speed.

    Attributes:
        work: What is done.
        promise: The bar in words.
        figure: The number that is held against it.
        limit: The bar.
        side: Which side of the limit is good.
        unit: Of figure and limit; empty for a ratio.
    """

    work: str
    promise: str
    figure: Figure
    limit: float
    side: Literal["at least", "at most"]
    unit: str = ""


@dataclass(frozen=True)
class Verdict:
    """A bar, and what a run has to say on it; `figure` is None where it was not measured."""

    bar: Bar
    figure: Summary | None

    @property
    def passed(self) -> bool | None:
        """Whether the bar is met; None: not measured."""
        if self.figure is None:
            return None
        value = self.figure.median
        return value >= self.bar.limit if self.bar.side == "at least" else value <= self.bar.limit


def judge(results: Results, bars: Sequence[Bar] | None = None) -> list[Verdict]:
    """Hold a run against the bars."""
    return [Verdict(bar, bar.figure(results)) for bar in (BARS if bars is None else bars)]


def ratio_to(scenario: str, metric: str, theirs: str, ours: str = OURS) -> Figure:
    """Ours as a multiple of theirs."""

    def figure(results: Results) -> Summary | None:
        own = results.values(scenario, ours, metric)
        other = results.values(scenario, theirs, metric)
        return ratio(own, other) if own and other else None

    return figure


def ratio_to_best_peer(scenario: str, metric: str) -> Figure:
    """Ours as a multiple of the smallest median among the others."""

    def figure(results: Results) -> Summary | None:
        own = results.values(scenario, OURS, metric)
        others = [
            values
            for row in results.rows.get(scenario, ())
            if row.system != OURS and (values := row.values(metric))
        ]
        if not own or not others:
            return None
        return ratio(own, min(others, key=lambda values: summarize(values).median))

    return figure


def ratio_to_best_stock(work: str, kind: str) -> Figure:
    """With our kernels, as a multiple of llama-bench with the better of its attentions.

    Args:
        work: What is done, as the scenario ``types`` names it.
        kind: The type of the weights.
    """

    def figure(results: Results) -> Summary | None:
        row = of_type(kind) + work
        own = results.values("types", f"{row}, {ON}", _TPS)
        others = [results.values("types", f"{row}, {stock}", _TPS) for stock in STOCK]
        if not own or not all(others):
            return None
        return ratio(own, max(others, key=lambda values: summarize(values).median))

    return figure


def difference_to(scenario: str, metric: str, theirs: str, ours: str = OURS) -> Figure:
    """Ours less theirs."""

    def figure(results: Results) -> Summary | None:
        own = results.values(scenario, ours, metric)
        other = results.values(scenario, theirs, metric)
        if not own or not other:
            return None
        middle = summarize(own).median - summarize(other).median
        pairs = summarize([our - their for our, their in zip(own, other, strict=False)])
        return Summary(middle, min(pairs.low, middle), max(pairs.high, middle), pairs.count)

    return figure


def value_of(scenario: str, metric: str, label: str = OURS, scale: float = 1.0) -> Figure:
    """A metric as it is."""

    def figure(results: Results) -> Summary | None:
        own = results.values(scenario, label, metric)
        return summarize([scale * value for value in own]) if own else None

    return figure


def gap_over_allowance(results: Results) -> Summary | None:
    """The longest gap as a part of what is allowed: 4 normal steps or 150 ms, whichever is more."""
    gaps = results.values("arrival", OURS, "longest_gap_s")
    steps = results.values("arrival", OURS, "normal_step_s")
    if not gaps or not steps:
        return None
    allowance = max(4 * summarize(steps).median, 0.150)
    return summarize([gap / allowance for gap in gaps])


def growth_of(scenario: str, metric: str, label: str) -> Figure:
    """The last sample as a multiple of the first."""

    def figure(results: Results) -> Summary | None:
        values = results.values(scenario, label, metric)
        return summarize([values[-1] / values[0]]) if len(values) > 1 else None

    return figure


_LCP = "llama-cpp-python"
_TPS = "tokens_per_s"
_TTFT = "first_token_s"

_AFTER = answer_after(1000)
_FASTER = {
    "Q4_1": {PROMPT: 3.0, answer_after(0): 1.3, _AFTER: 1.4},
    "Q5_0": {PROMPT: 2.5, answer_after(0): 1.2, _AFTER: 1.3},
    "Q5_1": {PROMPT: 2.5, answer_after(0): 1.2, _AFTER: 1.3},
    "Q4_0": {PROMPT: 1.7, answer_after(0): 1.1, _AFTER: 1.3},
    "Q4_K": {PROMPT: 1.3, answer_after(0): 1.1, _AFTER: 1.3},
    "Q5_K": {PROMPT: 1.3, answer_after(0): 1.1, _AFTER: 1.3},
    "Q6_K": {PROMPT: 1.3, answer_after(0): 1.1, _AFTER: 1.3},
    "Q8_0": {PROMPT: 1.3, answer_after(0): 1.0, _AFTER: 1.2},
    "F16": {PROMPT: 1.0, answer_after(0): 1.0, _AFTER: 1.2},
}
"""Of each type of weights: how many times as fast as llama-bench each work is to be."""

BARS: tuple[Bar, ...] = (
    Bar("decode, one request", "0.97 of llama-bench", ratio_to("decode", _TPS, LIMIT), 0.97,
        "at least"),
    Bar("", "1.05 of llama-cpp-python", ratio_to("decode", _TPS, _LCP), 1.05, "at least"),
    Bar("prompt, 900 words", "0.97 of llama-bench", ratio_to("prefill", _TPS, LIMIT), 0.97,
        "at least"),
    Bar("16 requests of 64 tokens, 8 at a time", "1.3 of llama-batched-bench",
        ratio_to("concurrent", _TPS, BATCHED), 1.3, "at least"),
    Bar("", "1.3 of llama-server with 8 slots", ratio_to("concurrent", _TPS, "llama-server"), 1.3,
        "at least"),
    Bar("16 questions after one shared 700-word text", "0.20 of llama-server's time",
        ratio_to("prefix", "seconds", "llama-server"), 0.20, "at most"),
    Bar("", "0.85 of llama-cpp-python's time", ratio_to("prefix", "seconds", _LCP), 0.85,
        "at most"),
    Bar("chat: first token of later turns", "the best peer's", ratio_to_best_peer("chat", _TTFT),
        1.0, "at most"),
    Bar("4 chats in turn: first token of later turns", "the best peer's",
        ratio_to_best_peer("interleave", _TTFT), 1.0, "at most"),
    Bar("longest gap of a running answer while a 2,000-token prompt arrives",
        "4 normal steps or 150 ms, whichever is more", gap_over_allowance, 1.0, "at most"),
    Bar("", "that prompt at 0.8 of its rate alone", value_of("arrival", "prompt_share"), 0.8,
        "at least"),
    Bar("one request while 32 finished conversations are held", "within 3 % of a fresh model",
        ratio_to("held", _TPS, FRESH, "32 held"), 0.97, "at least"),
    Bar("process start to first token", "llama-cpp-python's", ratio_to("cold", _TTFT, _LCP), 1.0,
        "at most"),
    Bar("", "import: 60 ms more than numpy", difference_to("import", "import_s", "numpy"), 0.060,
        "at most", "s"),
    Bar("one busy process beside it", "0.7 of the speed alone",
        ratio_to("contended", _TPS, OURS, OURS + BUSY), 0.7, "at least"),
    Bar("per-token CPU outside llama.cpp", "20 µs, taken as a whole",
        difference_to("overhead", "cpu_us", LIMIT, WHOLE), 20, "at most", "µs"),
    Bar("", "20 µs, read piece by piece", difference_to("overhead", "cpu_us", LIMIT, STREAMED), 20,
        "at most", "µs"),
    *(
        Bar(f"first token after {tokens:,} tokens that another process evaluated",
            "1.3 of a process that has them in memory, and of reading them", over_reading(tokens), 1.3,
            "at most")
        for tokens in KNOWN_TOKENS
    ),
    Bar("an answer while a prompt is written to a file", "0.97 of the speed without",
        ratio_to("writing", _TPS, NOT_KEPT, KEPT), 0.97, "at least"),
    Bar("72 prompts over 12 texts, shuffled", "1.05 of the sorted list's time",
        ratio_to("tree", "seconds", "in order", "shuffled"), 1.05, "at most"),
    *(
        Bar(f"the server: {at_once(count)}", "0.98 of the same in process",
            ratio_to("serve", _TPS, f"{OURS}, {at_once(count)}", f"{SERVED}, {at_once(count)}"),
            0.98, "at least")
        for count in (1, 8)
    ),
    Bar(f"the server: {SHARED}", "1.3 of llama-server",
        ratio_to("serve", _TPS, f"llama-server, {SHARED}", f"{SERVED}, {SHARED}"), 1.3,
        "at least"),
    *(
        Bar(f"the server's thread: CPU, {at_once(count)}", "40 µs a token",
            value_of("serve", "serving_us", f"{SERVED}, {at_once(count)}"), 40, "at most", "µs")
        for count in (1, 8, 64)
    ),
    Bar("the server: CPU of a stream, a tiny model", "40 µs a token more than in process",
        difference_to("overhead", "cpu_us", WHOLE, STREAMED_OVER_HTTP), 40, "at most", "µs"),
    *(
        Bar(f"our kernels: {work}", f"{least:g} of llama-bench with {kind}",
            ratio_to_best_stock(work, kind), least, "at least")
        for kind, work_bars in _FASTER.items()
        for work, least in work_bars.items()
    ),
    *(
        Bar(f"our kernels: {work}", "0.98 of the speed without",
            ratio_to("kernels", _TPS, f"{work}, {OFF}", f"{work}, {ON}"), 0.98, "at least")
        for work in (PROMPT, answer_after(0), _AFTER)
    ),
    Bar("1,000 load/close cycles", "resident memory flat: 1.02 of the start",
        growth_of("memory", "rss_bytes", CYCLES), 1.02, "at most"),
    Bar("10,000 requests", "resident memory flat: 1.02 of the start",
        growth_of("memory", "rss_bytes", REQUESTS), 1.02, "at most"),
)  # fmt: skip
"""In the order of the report; a bar without `work` belongs to the work above it."""

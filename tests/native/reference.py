"""What a request gives when nothing else runs and nothing is reused: the measure of all others."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import ExitStack

from llmlocal import LLM

from ..conftest import TinyPath

# The sums behind a logit come out differently by rounding when a batch is made up differently
# (llama.cpp promises no more), and then the better of two almost equal tokens may change.  Seen on
# the tiny models: up to 0.007, once in a thousand tokens.  The best token leads by 0.7 on average.
NEAR_TIE = 0.02


class Reference:
    """Greedy answers of tiny models that run one request at a time and keep nothing."""

    def __init__(self, path_of: TinyPath) -> None:
        self._path_of = path_of
        self._open = ExitStack()
        self._models: dict[str, LLM] = {}
        self._answers: dict[tuple[str, tuple[int, ...]], tuple[int, ...]] = {}

    def answer(self, name: str, prompt: Sequence[int], count: int) -> tuple[int, ...]:
        """The first ``count`` tokens that follow the prompt."""
        key = (name, tuple(prompt))
        known = self._answers.get(key, ())
        if len(known) < count:
            known = self._evaluate(name, prompt, count)
            self._answers[key] = known
        return known[:count]

    def check(self, name: str, prompt: Sequence[int], answer: Sequence[int]) -> None:
        """Assert that this is the answer, or that it departs from it where two tokens tie."""
        expected = self.answer(name, prompt, len(answer))
        if tuple(answer) == expected:
            return
        place = next(i for i in range(len(answer)) if answer[i] != expected[i])
        before = [*prompt, *expected[:place]]
        rivals = (expected[place], answer[place])
        ties = all(
            self._evaluate(name, before, 1, {rival: NEAR_TIE}) == (rival,) for rival in rivals
        )
        assert ties, f"after {place} tokens of {len(answer)}: {rivals[1]} instead of {rivals[0]}"

    def close(self) -> None:
        self._open.close()

    def _evaluate(
        self, name: str, prompt: Sequence[int], count: int, bias: dict[int, float] | None = None
    ) -> tuple[int, ...]:
        model = self._models.get(name)
        if model is None:
            model = LLM(
                self._path_of(name),
                device="cpu",
                n_ctx=2048,
                n_threads=1,
                n_parallel=1,
                prefix_cache_bytes=0,
                progress=False,
            )
            self._models[name] = self._open.enter_context(model)
        # The one stream is still warm: a token that no test uses makes it cold.
        model.generate([_NEVER_USED], max_tokens=0)
        answer = model.generate(list(prompt), temp=0, max_tokens=count, logit_bias=bias or {})
        assert answer.usage.cached_tokens == 0
        return answer.tokens


_NEVER_USED = 4
_FIRST_WORD, _LAST_WORD = 270, 400  # Ids of plain text in all of the tiny vocabularies.


def tokens(count: int, seed: int) -> list[int]:
    """Token ids of random plain text; the same for the same seed."""
    draw = random.Random(seed)
    return [draw.randint(_FIRST_WORD, _LAST_WORD) for _ in range(count)]

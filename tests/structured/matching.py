"""Whether a constraint lets a text through, without a model: token by token, or byte by byte."""

from __future__ import annotations

import numpy as np

from llmlocal import LLM, _core
from llmlocal._generation._constraint import Constraint
from llmlocal._generation._guide import Guide


class Matcher:
    """Follows texts through constraints with the vocabulary of a model."""

    def __init__(self, llm: LLM) -> None:
        self._llm = llm
        self._tokenizer = llm._open_tokenizer()
        self.guide = Guide(self._tokenizer)
        self.size = self._tokenizer.vocab_size
        self.tokens_of_text = [
            token for token in range(self.size) if not self._tokenizer.is_end(token)
        ]

    def mask(self, constraint: Constraint) -> _core.GrammarMask:
        return self.guide.compile(constraint)[0].mask()

    def takes(self, constraint: Constraint, text: str) -> bool:
        """Whether it can be the whole answer."""
        mask = self.mask(constraint)
        for token in self._llm.tokenize(text, add_special=False, parse_special=False):
            if token not in self.allowed(mask):
                return False
            assert mask.accept(token), mask.error()
        return mask.may_stop()

    def allowed(self, mask: _core.GrammarMask) -> set[int]:
        """The tokens that may come next, those that end a text left out."""
        if mask.must_stop():
            return set()
        words = np.array(mask.fill(self.size), np.uint32)
        bits = np.unpackbits(words.view(np.uint8), bitorder="little")
        tokens = np.flatnonzero(bits[: self.size]).tolist()
        return {token for token in tokens if not self._tokenizer.is_end(token)}

    def random_answer(
        self, constraint: Constraint, seed: int, most_tokens: int, temp: float
    ) -> str | None:
        """What a model without any sense would answer; None if it is cut."""
        random = np.random.default_rng(seed)
        mask = self.mask(constraint)
        weights = np.exp(random.normal(size=self.size) / temp)
        tokens: list[int] = []
        while not mask.must_stop():
            allowed = sorted(self.allowed(mask))
            if mask.may_stop() and (not allowed or random.random() < 0.2):
                break
            if len(tokens) == most_tokens or not allowed:
                return None
            chances = weights[allowed] * random.random(len(allowed))
            token = int(random.choice(allowed, p=chances / chances.sum()))
            tokens.append(token)
            assert mask.accept(token), mask.error()
        return self._tokenizer.decode(tokens, special=False).decode()

"""How likely a model finds a text that it is given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from llmlocal._generation._logprobs import TokenLogprob
from llmlocal._quote import quote
from llmlocal._tokens import Prompt, Prompts, check_prompt, check_text, is_token_ids, token_ids
from llmlocal.errors import ParameterError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ids = npt.NDArray[np.int32]
    Numbers = npt.NDArray[np.float64]
    Flags = npt.NDArray[np.bool_]

    from llmlocal import _core
    from llmlocal._generation._completion import Completion

else:  # numpy is imported by those who score, and not by everybody who loads a model.
    Ids = Numbers = Flags = Any

__all__ = ["Score", "ScoredText", "is_one", "read_score", "scored_texts"]


@dataclass(frozen=True, eq=False)
class Score:
    """How likely a model finds a text, token by token.

    Attributes:
        tokens: The ids of the text's tokens, ``(n,)``, int32.
        logprobs: The natural logarithm of each one's probability after all that comes before it,
            ``(n,)``, float64, <= 0.
        is_greedy: Whether each is the likeliest at its place, ``(n,)``, bool: if all are, the model
            would write this text at temperature 0.
        per_token: The same for each token, with its text, and with as many of the likeliest at its
            place as ``logprobs=`` asked for.
    """

    tokens: Ids
    logprobs: Numbers
    is_greedy: Flags
    per_token: tuple[TokenLogprob, ...] = ()

    @property
    def sum(self) -> float:
        """The logarithm of the whole text's probability."""
        return float(self.logprobs.sum())

    @property
    def perplexity(self) -> float:
        """``exp(-mean(logprobs))``: between how many tokens the model was undecided, on average."""
        return math.exp(-float(self.logprobs.mean()))

    def __repr__(self) -> str:
        return f"<Score {len(self.tokens)} tokens, sum={self.sum:.3f}>"


@dataclass(frozen=True)
class ScoredText:
    """Tokens of which the first are only there for the others to follow.

    Attributes:
        tokens: Ids.
        score_from: The first token that is scored, >= 1.
    """

    tokens: list[int]
    score_from: int


def scored_texts(tokenizer: _core.Tokenizer, text: Prompts, after: Prompts) -> list[ScoredText]:
    """The tokens to evaluate for a text or several, as :meth:`llmlocal.LLM.score` takes them.

    Args:
        tokenizer: The model's.
        text: What is scored: text, or the ids of its tokens; or several.
        after: What comes before it; for several texts, one for all or one for each.

    Raises:
        ParameterError: There is nothing to score, or not one of ``after`` for each text.
    """
    check_prompt(text)
    check_prompt(after)
    texts = [cast("Prompt", text)] if is_one(text) else [*cast("Sequence[Prompt]", text)]
    before = [cast("Prompt", after)] * len(texts) if is_one(after) else None
    befores = before if before is not None else [*cast("Sequence[Prompt]", after)]
    if len(befores) != len(texts):
        raise ParameterError(f"there are {len(texts)} texts, but {len(befores)} of after=")
    return [
        _scored_text(tokenizer, each, before) for each, before in zip(texts, befores, strict=True)
    ]


def is_one(prompt: Prompts) -> bool:
    """Whether it is one text, or the ids of one, and not several."""
    return isinstance(prompt, str) or is_token_ids(prompt)


def _scored_text(tokenizer: _core.Tokenizer, text: Prompt, after: Prompt) -> ScoredText:
    """The tokens to evaluate.

    A token that lies across the border of ``after`` and ``text`` belongs to the text.

    Args:
        tokenizer: The model's.
        text: What is scored: text, or the ids of its tokens.
        after: What comes before it: text, or the ids of its tokens.

    Raises:
        ParameterError: There is nothing to score, or it is no text.
    """

    def encode(given: Prompt) -> list[int]:
        if not isinstance(given, str):
            return token_ids(given)
        check_text(given)
        return tokenizer.encode([(given, True)], add_special=False)

    before = encode(after)
    if isinstance(after, str) and isinstance(text, str):
        tokens = encode(after + text)
        shared = next(
            (i for i, (a, b) in enumerate(zip(before, tokens, strict=False)) if a != b),
            min(len(before), len(tokens)),
        )
    else:
        tokens = [*before, *encode(text)]
        shared = len(before)
    if tokenizer.adds_bos and tokens[:1] != [tokenizer.bos]:
        tokens, shared = [tokenizer.bos, *tokens], shared + 1
    if len(tokens) <= max(shared, 1):
        raise ParameterError(
            f"there is nothing to score in {quote(text)}: a token is scored after another"
            " one; after= may be the token with which the model ends its texts"
        )
    return ScoredText(tokens, max(shared, 1))


def read_score(completion: Completion, logprobs: int) -> Score:
    """What the engine says of the tokens of a text.

    Args:
        completion: What it gave, with the likeliest token at each place at least.
        logprobs: How many of the likeliest were asked for.
    """
    import numpy as np

    given = completion.logprobs or ()
    return Score(
        np.array([each.id for each in given], dtype=np.int32),
        np.array([each.logprob for each in given], dtype=np.float64),
        np.array([each.top[0].id == each.id for each in given], dtype=np.bool_),
        given if logprobs else tuple(each._replace(top=()) for each in given),
    )

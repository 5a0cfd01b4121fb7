"""Log probabilities as OpenAI's objects."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmlocal._generation._logprobs import TokenLogprob

__all__ = ["chat_logprobs", "completion_logprobs", "token_logprobs"]

_LEAST = -9999.0  # JSON has no infinity; OpenAI writes this for "as good as never".


def chat_logprobs(tokens: Sequence[TokenLogprob] | None) -> dict[str, Any] | None:
    """Those of a chat; None where none were asked for."""
    if tokens is None:
        return None
    return {"content": token_logprobs(tokens), "refusal": None}


def token_logprobs(tokens: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
    """Those of some tokens."""
    return [
        {**_token(token), "top_logprobs": [_token(each) for each in token.top]} for token in tokens
    ]


def completion_logprobs(
    tokens: Sequence[TokenLogprob] | None, *, unscored: Sequence[str] = (), offset: int = 0
) -> dict[str, Any] | None:
    """Those of a completion, or of a piece of one; None where none were asked for.

    Args:
        tokens: Those with a logprob.
        unscored: The texts of those before them, which have none.
        offset: Where in the text the first one begins.
    """
    if tokens is None:
        return None
    texts = [*unscored, *(token.text for token in tokens)]
    nothing = [None for _ in unscored]
    top = [{each.text: _finite(each.logprob) for each in reversed(token.top)} for token in tokens]
    return {
        "tokens": texts,
        "token_logprobs": [*nothing, *(_finite(token.logprob) for token in tokens)],
        "top_logprobs": [*nothing, *top],
        "text_offset": [offset + n for n in accumulate(map(len, texts[:-1]), initial=0)][
            : len(texts)
        ],
    }


def _token(token: TokenLogprob) -> dict[str, Any]:
    return {"token": token.text, "logprob": _finite(token.logprob), "bytes": list(token.bytes)}


def _finite(logprob: float) -> float:
    return max(logprob, _LEAST)

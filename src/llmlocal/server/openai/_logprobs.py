"""Log probabilities as OpenAI's objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmlocal._generation._logprobs import TokenLogprob

__all__ = ["chat_logprobs", "completion_logprobs"]

_LEAST = -9999.0  # JSON has no infinity; OpenAI writes this for "as good as never".


def chat_logprobs(tokens: Sequence[TokenLogprob] | None) -> dict[str, Any] | None:
    """Those of a chat; None where none were asked for."""
    if tokens is None:
        return None
    content = [
        {**_token(token), "top_logprobs": [_token(each) for each in token.top]} for token in tokens
    ]
    return {"content": content, "refusal": None}


def completion_logprobs(
    tokens: Sequence[TokenLogprob] | None, offset: int = 0
) -> dict[str, Any] | None:
    """Those of a completion, whose text begins at an offset; None where none were asked for."""
    if tokens is None:
        return None
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.text)
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [_finite(token.logprob) for token in tokens],
        "top_logprobs": [
            {each.text: _finite(each.logprob) for each in reversed(token.top)} for token in tokens
        ],
        "text_offset": offsets,
    }


def _token(token: TokenLogprob) -> dict[str, Any]:
    return {"token": token.text, "logprob": _finite(token.logprob), "bytes": list(token.bytes)}


def _finite(logprob: float) -> float:
    return max(logprob, _LEAST)

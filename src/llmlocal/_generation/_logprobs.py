"""How likely a model found the tokens of its answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    # Of a token: its logprob, whether it is the best, and the ids and logprobs of the best.
    RawLogprobs = tuple[float, bool, npt.NDArray[np.int32], npt.NDArray[np.float32]]
    # What the engine says of a token: its id, its text, and how likely it was.
    TokenEvent = tuple[int, str, RawLogprobs | None]

__all__ = ["TokenLogprob", "read_logprob"]


# A named tuple, since a token has up to 21 of them: a dataclass takes five times as long to make.
class TokenLogprob(NamedTuple):
    """A token, and how likely the model found it at its place.

    That is the logarithm of the probability by the model's own figures, whatever temperature,
    penalties, biases and constraints made of it when the token was chosen.

    Attributes:
        id: The token's id.
        text: What it stands for; U+FFFD for part of a character.
        bytes: The same as bytes, which is exact.
        logprob: The natural logarithm of its probability, <= 0; ``-inf`` for none.
        top: The likeliest tokens at this place, best first: as many as ``logprobs=`` asked for.
            The chosen one is among them only if it is one of these.
    """

    id: int
    text: str
    bytes: bytes
    logprob: float
    top: tuple[TokenLogprob, ...] = ()


def read_logprob(
    token: int, given: RawLogprobs, token_bytes: Callable[[int], bytes]
) -> TokenLogprob:
    """What the engine says of one token, with the texts to the ids."""
    logprob, _, ids, values = given
    top = tuple(map(_of, ids.tolist(), map(token_bytes, ids.tolist()), values.tolist()))
    return _of(token, token_bytes(token), logprob, top)


def _of(token: int, raw: bytes, logprob: float, top: tuple[TokenLogprob, ...] = ()) -> TokenLogprob:
    return TokenLogprob(token, raw.decode(errors="replace"), raw, logprob, top)

"""What ``echo`` puts before an answer: the prompt, and how likely each of its tokens is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmlocal import LLM
    from llmlocal._generation._logprobs import TokenLogprob

__all__ = ["NO_ECHO", "Echo", "echo_of"]


@dataclass(frozen=True)
class Echo:
    """What comes before an answer.

    Attributes:
        text: The prompt.
        unscored: The texts of its first tokens, as far as nothing comes before them.
        scored: Its other tokens.  Both are empty where no logprobs were asked for.
    """

    text: str = ""
    unscored: Sequence[str] = ()
    scored: Sequence[TokenLogprob] = ()


NO_ECHO = Echo()


async def echo_of(llm: LLM, prompt: str | Sequence[int], logprobs: int | None) -> Echo:
    """The echo of a prompt; with logprobs, the prompt is evaluated for them.

    Raises:
        LLMLocalError: The prompt is refused, or the evaluation failed.
    """
    is_text = isinstance(prompt, str)
    text = prompt if isinstance(prompt, str) else llm.detokenize(prompt, special=True)
    if logprobs is None:
        return Echo(text)
    ids = llm.tokenize(prompt, add_special=False) if isinstance(prompt, str) else list(prompt)
    is_begun = llm.add_bos and is_text  # by a token of the model's own, which is not in the text
    if len(ids) + is_begun < 2:
        return Echo(text, [llm.detokenize([token], special=True) for token in ids])
    score = await llm.ascore(prompt, logprobs=logprobs)
    first = ids[: len(ids) - len(score.tokens)]
    texts = [llm.detokenize([token], special=True) for token in first]
    return Echo(text, texts, score.per_token)

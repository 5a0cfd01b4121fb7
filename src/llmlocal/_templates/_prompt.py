"""A rendered prompt: text that knows which of it the template wrote."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ._marked import Segment

__all__ = ["ChatPrompt", "SegmentEncoder", "encode_prompt"]


class ChatPrompt(str):
    """The text that is given to the model.

    Attributes:
        segments: The text in runs, each with whether the template wrote it.  Control tokens are
            recognised in the template's runs only, so nobody can forge one by typing it.
    """

    __slots__ = ("segments",)
    segments: tuple[Segment, ...]

    def __new__(cls, segments: Iterable[Segment]) -> ChatPrompt:
        runs = tuple(segments)
        self = super().__new__(cls, "".join(text for text, _ in runs))
        self.segments = runs
        return self

    def __reduce__(self) -> tuple[type[ChatPrompt], tuple[tuple[Segment, ...]]]:
        return ChatPrompt, (self.segments,)


class SegmentEncoder(Protocol):
    """What encoding a prompt needs of a model."""

    @property
    def add_bos(self) -> bool: ...

    @property
    def bos_token(self) -> str: ...

    def encode_segments(self, segments: Iterable[Segment], /) -> list[int]: ...


def encode_prompt(model: SegmentEncoder, prompt: ChatPrompt) -> list[int]:
    """The tokens of ``prompt``, with exactly one BOS where the model wants one.

    Most templates write the BOS themselves, some leave it to the tokenizer; a second one makes
    answers worse without any sign of why.
    """
    segments = prompt.segments
    bos = model.bos_token
    if model.add_bos and bos:
        head, is_own = segments[0] if segments else ("", True)
        if not (is_own and head.startswith(bos)):
            segments = ((bos, True), *segments)
    return model.encode_segments(segments)

"""Several answers at once: what can't be asked of them, and how they are handed back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from llmlocal._checks import check_whole
from llmlocal._generation._options import MOST_ANSWERS
from llmlocal._progress import ProgressOption, counting
from llmlocal.errors import ParameterError

__all__ = ["check_several", "counting_answers", "in_rows"]

_FEW = 16  # Answers that are done too soon for a bar.

_Item = TypeVar("_Item")


def check_several(
    n: int | None, is_told_of_pieces: bool, progress: ProgressOption, *, is_many: bool
) -> None:
    """Raise a ParameterError for what makes no sense together.

    Args:
        n: How many answers to each prompt are wanted; None = one, that is no list.
        is_told_of_pieces: Whether a stream or a callback is wanted.
        progress: What is told of the number of answers.
        is_many: Whether the prompts are a list.
    """
    check_whole("n", n, 1, MOST_ANSWERS)
    if is_told_of_pieces and is_many:
        raise ParameterError("streaming and callback take one prompt, got a list of them")
    if is_told_of_pieces and n is not None:
        raise ParameterError("streaming and callback take one answer, and n= asks for several")
    if progress is not None and progress is not False and n is None and not is_many:
        raise ParameterError(
            "progress= counts the answers to a list; of one answer, streaming= and on_prompt= tell"
        )


def counting_answers(
    progress: ProgressOption, total: int | None, model: str
) -> AbstractContextManager[Callable[[int], None]]:
    """A context in which somebody can be told how many answers of ``total`` there are."""
    return counting(progress, "generate", total, label=model, few=_FEW)


def in_rows(items: list[_Item], width: int) -> list[list[_Item]]:
    """The items in lists of so many."""
    return [items[i : i + width] for i in range(0, len(items), width)]

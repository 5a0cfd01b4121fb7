"""The two kinds of prompt template that gpt4all has had: ``{0}`` formats, and Jinja.

Which one a text is, is decided here, once.  A :class:`TurnFormat` is the older kind: it formats one
turn, and knows which of the result is the user's text.
"""

from __future__ import annotations

import string
from typing import Literal

from llmlocal._quote import quote
from llmlocal._templates import Segment
from llmlocal.errors import ParameterError

__all__ = ["DEFAULT_FORMAT", "TemplateKind", "TurnFormat", "marked_segments", "template_kind"]

TemplateKind = Literal["format", "jinja"]

DEFAULT_FORMAT = "### Human: \n{0}\n### Assistant:\n"
"""What gpt4all uses for a model about which it knows nothing."""

# After an answer, where the format does not say: good for Alpaca and its relatives.
_AFTER_ANSWER = "\n\n"


def template_kind(text: str) -> TemplateKind:
    """Which kind of template this is.

    Raises:
        ValueError: It is neither.
    """
    if "{%" in text or ("{0}" not in text and ("{{" in text or "messages" in text)):
        return "jinja"
    if "{0}" in text:
        return "format"
    if "%1" in text:
        raise ValueError(
            "Prompt template containing a literal '%1' is not supported. For a prompt placeholder,"
            " please use '{0}' instead."
        )
    raise ValueError(
        f"the prompt template {quote(text, 80)} has no place for the prompt: it must be a format with"
        " '{0}', such as 'USER: {0}\\nASSISTANT: ', or a Jinja template that loops over 'messages'"
    )


class TurnFormat:
    """A format such as ``"### Instruction: {0}"``.

    ``{0}`` stands for what the user says and ``{1}`` for the answer; text after ``{1}`` ends the
    turn.

    Args:
        text: The format.

    Raises:
        ValueError: It has other fields than these, or braces that are not doubled.

    Attributes:
        after_answer: What follows the answer.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._before: list[str | None] = []  # literal text, and None for what the user says
        after: list[str] | None = None
        try:
            runs = list(string.Formatter().parse(text))
        except ValueError as exc:
            raise ParameterError(f"the prompt template {quote(text, 80)}: {exc}") from None
        for literal, field, _, _ in runs:
            if after is not None:
                after.append(literal)
            else:
                self._before.append(literal)
            if field is None:
                continue
            if field == "1" and after is None:
                after = []
            elif field == "0" and after is None:
                self._before.append(None)
            else:
                raise ParameterError(
                    f"the prompt template {quote(text, 80)} has the field {{{quote(field)[1:-1]}}};"
                    " there are {0}, the prompt, and after it {1}, the answer"
                )
        if None not in self._before:
            raise ParameterError(
                f"the prompt template {quote(text, 80)} has no {{0}}, the place for the prompt"
            )
        self.after_answer = _AFTER_ANSWER if after is None else "".join(after)

    def segments(self, content: str) -> list[Segment]:
        """The turn up to the answer, in runs of the format's text and the user's."""
        return [(content, False) if text is None else (text, True) for text in self._before]

    def format(self, content: str) -> str:
        """The turn up to the answer."""
        return "".join(text for text, _ in self.segments(content))


def marked_segments(text: str, content: str) -> list[Segment]:
    """The runs of a text that somebody has formatted, ``content`` in it or not."""
    if not content or content not in text:
        return [(text, False)]
    runs: list[Segment] = []
    for i, own in enumerate(text.split(content)):
        runs += [(content, False), (own, True)] if i else [(own, True)]
    return runs

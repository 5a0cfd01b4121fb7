"""Text that arrives piece by piece, and is taken as far as it is known what it is.

The methods that may need more than has come are generators: each ``yield`` waits for more.  So what
reads the text is straight-line code, and how the text is cut into pieces makes no difference.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

__all__ = ["Incoming", "Steps"]

_MAX_NAME = 200  # characters

Steps = Generator[None, None, bool]
"""Reads, and tells whether what was expected is there."""


class Incoming:
    """The text that has come and was not taken.

    Attributes:
        held: That text.
        is_end: Whether nothing more comes.
        taken: What was taken since somebody emptied this.
    """

    def __init__(self) -> None:
        self.held = ""
        self.is_end = False
        self.taken = ""

    def take(self, count: int) -> str:
        """Take so many characters."""
        text, self.held = self.held[:count], self.held[count:]
        self.taken += text
        return text

    def skip_space(self) -> Steps:
        """Take white space, of which more may come."""
        while not self.held.strip() and not self.is_end:
            yield
        self.take(len(self.held) - len(self.held.lstrip()))
        return True

    def literal(self, text: str) -> Steps:
        """Take fixed text; white space in it may be more or less than is written."""
        at = 0
        while at < len(text):
            if not self.held:
                if self.is_end:
                    return not text[at:].strip()
                yield
                continue
            char = self.held[0]
            if char == text[at]:
                at += 1
                self.take(1)
            elif text[at].isspace():
                at += 1
            elif char.isspace():
                self.take(1)
            else:
                return False
        return True

    def until(
        self, stops: Sequence[str], most: int | None = _MAX_NAME
    ) -> Generator[None, None, str | None]:
        """Take what stands before the first of these, or all that there is.

        None where none of them comes, at all or soon enough.
        """
        while True:
            found = [at for stop in stops if stop and (at := self.held.find(stop)) >= 0]
            if found:
                return self.take(min(found)).strip()
            if most is not None and len(self.held) > most:
                return None
            if self.is_end:
                self.take(len(self.held))
                return None
            yield

    def which(self, texts: Sequence[str]) -> Generator[None, None, int | None]:
        """Which of these comes next, after white space; an empty one never does."""
        while True:
            held = self.held.lstrip()
            for i, text in enumerate(texts):
                if text and held.startswith(text):
                    return i
            may_come = any(text and text.startswith(held) for text in texts)
            if self.is_end or not may_come:
                return None
            yield

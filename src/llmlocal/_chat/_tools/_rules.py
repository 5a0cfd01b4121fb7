"""The rules of a grammar in llguidance's dialect of Lark, and the parts that they are made of.

Where a fixed text has control tokens, these are written by id, and no other text can be taken for
them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence

__all__ = ["SPACE", "Controls", "Rules", "pattern_of", "quoted"]

SPACE = r"/[ \n]{0,4}/"
"""White space where the model may write some."""

Controls = Callable[[str], Mapping[int, str]]
"""The control tokens in a text that a template might write, with their texts."""


class Rules:
    """Rules by name, in the order in which they were begun.

    Args:
        controls: Those of the vocabulary.
        is_end: Whether a token ends the answer.
    """

    def __init__(self, controls: Controls, is_end: Callable[[int], bool]) -> None:
        self._controls = controls
        self._is_end = is_end
        self._rules: dict[str, str] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._rules

    def __len__(self) -> int:
        return len(self._rules)

    def text(self, start: str) -> str:
        """The grammar that begins with ``start``."""
        lines = [f"start: {start}", *(f"{name}: {rule}" for name, rule in self._rules.items())]
        return "\n".join(lines) + "\n"

    def rule(self, name: str, rule: str) -> str:
        """A rule of this name; an empty one keeps its place."""
        self._rules[name] = rule
        return name

    def terminal(self, body: str) -> str:
        """The terminal of this body, under whatever name."""
        known = next((name for name, rule in self._rules.items() if rule == body), None)
        return known or self.rule(f"T_{len(self._rules)}", body)

    def lazy(self, terminal: str) -> str:
        """The shortest text that a terminal allows."""
        self._rules[f"{terminal.lower()}[lazy]"] = terminal
        return terminal.lower()

    def sequence(self, ways: Sequence[tuple[str, bool]], between: str = "") -> str:
        """Rules in this order, of which some may be left out, with something between two."""
        later = ['""']  # What may follow when something stands before, from the last on.
        first = ['""']
        for rule, is_required in reversed(ways):
            then = f"{between} {rule} {later[0]}".strip()
            now = f"{rule} {later[0]}"
            next_later = then if is_required else f"({then} | {later[0]})"
            next_first = now if is_required else f"({now} | {first[0]})"
            later[0] = self.rule(f"later_{len(self._rules)}", next_later)
            first[0] = self.rule(f"first_{len(self._rules)}", next_first)
        return first[0]

    # --- Text ------------------------------------------------------------------------------------

    def literal(self, text: str) -> str:
        """Fixed text, with its control tokens by id; an end of the text ends the answer there."""
        return " ".join(self._items(text)) or '""'

    def free(self, without: Sequence[str], *, besides: str = "") -> str:
        """Any text that has none of these in it; control tokens are in no text.

        Args:
            without: Those.
            besides: What else the text is held to, as an expression.
        """
        return self.terminal("/(?s:.*)/" + self._none_of(without) + besides)

    def at_start(self, mark: str) -> str:
        """A mark at the beginning of the answer; white space before it is part of it."""
        items = self._items(mark)
        if not items or items[0].startswith("<["):
            return " ".join([SPACE, *items])
        return " ".join([rf"/[ \n]{{0,4}}{pattern_of(json.loads(items[0]))}/", *items[1:]])

    def up_to(self, mark: str, marks: Sequence[str]) -> str:
        """Text and, at the first of these marks, that mark."""
        items = self._items(mark)
        if items and items[0].startswith("<["):
            return " ".join([self.free(marks), *items])
        first = json.loads(items[0]) if items else mark
        others = [other for other in marks if other != mark]
        ending = self.terminal(f"/(?s:.*){pattern_of(first)}/" + self._none_of(others))
        return " ".join([self.lazy(ending), *items[1:]])

    def raw(self, body: str | Sequence[str], closing: str) -> str:
        """A string as it is, and what closes it."""
        if not isinstance(body, str):
            texts = " | ".join(self.literal(text) for text in body)
            return f"({texts}) {self.literal(closing)}"
        items = self._items(closing)
        if items and items[0].startswith("<["):
            return " ".join([self.terminal(f"/{body}/"), *items])
        first = json.loads(items[0]) if items else closing
        inner = f" & ~/(?s:.*){pattern_of(first.strip())}(?s:.*){pattern_of(first)}/"
        ending = self.terminal(f"/{body}{pattern_of(first)}/{inner}")
        return " ".join([self.lazy(ending), *items[1:]])

    def _items(self, text: str) -> list[str]:
        """A literal in runs: quoted text, or one control token."""
        found = self._controls(text) if text else {}
        if not found:
            return [quoted(text)] if text else []
        pattern = "|".join(sorted(map(re.escape, found.values()), key=len, reverse=True))
        ids = {text: token for token, text in found.items()}
        items: list[str] = []
        for i, piece in enumerate(re.split(f"({pattern})", text)):
            if i % 2 == 0:
                items += [quoted(piece)] if piece else []
            elif self._is_end(ids[piece]):
                break
            else:
                items.append(f"<[{ids[piece]}]>")
        return items

    def _none_of(self, texts: Sequence[str]) -> str:
        banned = sorted({text for text in texts if text and not self._controls(text)})
        return "".join(f" & ~/(?s:.*){pattern_of(text)}(?s:.*)/" for text in banned)


def quoted(text: str) -> str:
    """A text as a grammar has it."""
    return json.dumps(text, ensure_ascii=False)


def pattern_of(text: str) -> str:
    """A regular expression for exactly this text, as it stands between slashes."""
    return re.sub(r"([\\.^$|?*+()\[\]{}/])", r"\\\1", text).replace("\n", "\\n")

"""Grammars in GBNF, as llama.cpp documents it, in the Lark that llguidance compiles.

llguidance cuts a text into terminals, the longest first, and does not come back: with terminals of
several characters, ``[a-z]* "end"`` would never end.  So that every text of the grammar can be
written, a grammar without recursion becomes a single terminal, and one with recursion has a
terminal for each character.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from llmlocal.errors import ConstraintError

__all__ = ["gbnf_to_lark", "is_gbnf"]

_MOST_DEEP = 100
_MOST_REPEATS = 2000
_RULE = re.compile(r"^[ \t]*[A-Za-z0-9_-]+[ \t]*::=", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_SPACE = re.compile(r"(?:[ \t]+|#[^\r\n]*)*")
_SPACE_AND_LINES = re.compile(r"(?:[ \t\r\n]+|#[^\r\n]*)*")
_REPEATS = re.compile(r"\{\s*(\d+)\s*(?:(,)\s*(\d+)?\s*)?\}")
_TOKEN = re.compile(r"<(?:\[\d+\]|[^<>\[\]\s]+)>")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "[": "[", "]": "]", "-": "-"}
_HEX_DIGITS = {"x": 2, "u": 4, "U": 8}


def is_gbnf(text: str) -> bool:
    """Whether a grammar is in GBNF; else it is in Lark."""
    return _RULE.search(text) is not None


def gbnf_to_lark(text: str) -> str:
    """The same grammar in Lark.

    Raises:
        ConstraintError: It is not GBNF, or has no ``root``; says where.
    """
    rules = _Parser(text).rules()
    if "root" not in rules:
        raise ConstraintError("grammar: there is no rule named root")
    ids = {name: str(i) for i, name in enumerate(rules)}
    for rule in rules.values():
        for name in rule.references:
            if name not in ids:
                raise ConstraintError(f"grammar: there is no rule named {name}")
    is_terminal = not _is_recursive(rules) and not any(rule.has_tokens for rule in rules.values())
    prefix = "T" if is_terminal else "r"
    lines = [f"start: {prefix}{ids['root']}"]
    lines += [
        f"{prefix}{ids[name]}: {rule.write(lambda each: prefix + ids[each])}"
        for name, rule in rules.items()
    ]
    return "\n".join(lines) + "\n"


def _is_recursive(rules: dict[str, _Rule]) -> bool:
    done: set[str] = set()
    open_: set[str] = set()
    todo = [("root", False)]
    while todo:
        name, is_left = todo.pop()
        if is_left:
            open_.discard(name)
            done.add(name)
        elif name in open_:
            return True
        elif name not in done:
            open_.add(name)
            todo.append((name, True))
            for each in rules[name].references:
                if each in open_:
                    return True
                todo.append((each, False))
    return False


@dataclass
class _Rule:
    """A rule's right side: pieces of Lark, and between them the names of rules."""

    pieces: list[tuple[str, str]]  # ("lark", text) or ("rule", name)
    has_tokens: bool

    @property
    def references(self) -> list[str]:
        return [text for kind, text in self.pieces if kind == "rule"]

    def write(self, name_of: Callable[[str], str]) -> str:
        return " ".join(name_of(text) if kind == "rule" else text for kind, text in self.pieces)


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._pieces: list[tuple[str, str]] = []
        self._has_tokens = False

    def rules(self) -> dict[str, _Rule]:
        found: dict[str, _Rule] = {}
        self._skip(_SPACE_AND_LINES)
        while self._at < len(self._text):
            name = self._match(_NAME, "the name of a rule").group()
            self._skip(_SPACE)
            if not self._text.startswith("::=", self._at):
                raise self._error("::=")
            self._at += 3
            self._pieces, self._has_tokens = [], False
            self._skip(_SPACE_AND_LINES)
            self._alternatives(depth=0)
            found[name] = _Rule(self._pieces, self._has_tokens)
            self._skip(_SPACE)
            if self._at < len(self._text) and self._text[self._at] not in "\r\n":
                raise self._error("the end of the rule")
            self._skip(_SPACE_AND_LINES)
        return found

    def _alternatives(self, depth: int) -> None:
        if depth > _MOST_DEEP:
            raise ConstraintError(f"grammar: brackets are nested more than {_MOST_DEEP} deep")
        space = _SPACE_AND_LINES if depth else _SPACE
        self._sequence(depth, space)
        while self._text.startswith("|", self._at):
            self._at += 1
            self._emit("|")
            self._skip(_SPACE_AND_LINES)
            self._sequence(depth, space)

    def _sequence(self, depth: int, space: re.Pattern[str]) -> None:
        is_empty = True
        while self._at < len(self._text) and self._text[self._at] not in "|)\r\n":
            self._item(depth)
            self._skip(space)
            is_empty = False
        if is_empty:
            self._emit('""')

    def _item(self, depth: int) -> None:
        start = self._text[self._at]
        begin = len(self._pieces)
        if start == '"':
            self._literal()
        elif start == "[":
            self._emit(f"/{self._char_class()}/")
        elif start == "(":
            self._at += 1
            self._emit("(")
            self._skip(_SPACE_AND_LINES)
            self._alternatives(depth + 1)
            if not self._text.startswith(")", self._at):
                raise self._error(")")
            self._at += 1
            self._emit(")")
        elif start == ".":
            self._at += 1
            self._emit("/(?s:.)/")
        elif start == "<":
            self._emit(self._match(_TOKEN, "a token such as <[42]>").group())
            self._has_tokens = True
        else:
            name = self._match(_NAME, "a text, a class, a group or the name of a rule").group()
            self._pieces.append(("rule", name))
        self._repeats(begin)

    def _repeats(self, begin: int) -> None:
        """What follows an item that begins at this piece: ``*``, ``+``, ``?`` or ``{m,n}``."""
        self._skip(_SPACE)
        mark = self._text[self._at : self._at + 1]
        if mark not in ("*", "+", "?", "{"):
            return
        if mark == "{":
            found = self._match(_REPEATS, "{m}, {m,} or {m,n}")
            least, comma, most = found.groups()
            if max(int(least), int(most or 0)) > _MOST_REPEATS:
                raise ConstraintError(f"grammar: at most {_MOST_REPEATS} repeats, not {found[0]}")
            mark = f"{{{least},{most or ''}}}" if comma else f"{{{least}}}"
        else:
            self._at += 1
        self._pieces.insert(begin, ("lark", "("))
        self._emit(f"){mark}")
        self._repeats(begin)

    def _literal(self) -> None:
        """Its characters, one by one."""
        self._at += 1
        chars = []
        while not self._text.startswith('"', self._at):
            chars.append(f"/{_escaped(self._char())}/")
        self._at += 1
        self._emit(f"({' '.join(chars)})" if chars else '""')

    def _char_class(self) -> str:
        self._at += 1
        out = "["
        if self._text.startswith("^", self._at):
            self._at += 1
            out = "[^"
        begin = len(out)
        while not self._text.startswith("]", self._at):
            out += _escaped(self._char())
            if self._text.startswith("-", self._at) and self._text[
                self._at + 1 : self._at + 2
            ] not in (
                "]",
                "",
            ):
                self._at += 1
                out += "-" + _escaped(self._char())
        if len(out) == begin:
            raise self._error("a character")
        self._at += 1
        return out + "]"

    def _char(self) -> str:
        if self._at >= len(self._text) or self._text[self._at] in "\r\n":
            raise self._error("a character")
        char = self._text[self._at]
        self._at += 1
        if char != "\\":
            return char
        escape = self._text[self._at : self._at + 1]
        self._at += 1
        if escape in _ESCAPES:
            return _ESCAPES[escape]
        if escape not in _HEX_DIGITS:
            self._at -= 2
            raise self._error("an escape that is known")
        size = _HEX_DIGITS[escape]
        digits = self._text[self._at : self._at + size]
        if re.fullmatch(f"[0-9A-Fa-f]{{{size}}}", digits) is None or int(digits, 16) > 0x10FFFF:
            raise self._error(f"{size} digits of a character's number")
        self._at += size
        return chr(int(digits, 16))

    def _emit(self, text: str) -> None:
        self._pieces.append(("lark", text))

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        if found:
            self._at = found.end()

    def _match(self, pattern: re.Pattern[str], wanted: str) -> re.Match[str]:
        found = pattern.match(self._text, self._at)
        if not found:
            raise self._error(wanted)
        self._at = found.end()
        return found

    def _error(self, wanted: str) -> ConstraintError:
        line = self._text.count("\n", 0, self._at) + 1
        rest = self._text[self._at : self._at + 20]
        return ConstraintError(f"grammar: line {line} wants {wanted} before {rest!r}")


def _escaped(char: str) -> str:
    """As a regular expression between slashes, or a class in one, has it."""
    if 0xD800 <= ord(char) <= 0xDFFF:
        raise ConstraintError(f"grammar: {char!r} is half of a character")
    return char if char.isascii() and char.isalnum() else f"\\x{{{ord(char):x}}}"

"""Reads the arguments of a call out of text while it arrives, and passes them on as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

from llmlocal._chat._output._format import ToolFormat
from llmlocal._chat._output._incoming import Incoming, Steps
from llmlocal._chat._output._values import parse_dialect, parse_value

__all__ = ["ArgumentReader", "IsText"]

IsText = Callable[[str, str], bool]
"""Whether an argument, by the names of its tool and its own, is always a string."""

_JSON_MARK = re.compile(r'["\\{}\[\]]')
_LITERAL_MARK = re.compile(r"""["'\\{}\[\](),]""")


class ArgumentReader:
    """Reads arguments in whatever way a format writes them.

    Args:
        text: Where they stand next.
        is_text: What is known of the tools' arguments.
        emit: Told of each piece of JSON text.
    """

    def __init__(self, text: Incoming, is_text: IsText, emit: Callable[[str], None]) -> None:
        self._text = text
        self._is_string = is_text
        self._emit = emit

    def read(self, form: ToolFormat, tool: str, followers: Sequence[str]) -> Steps:
        """Read all arguments of a call; what follows them is left.

        Args:
            form: How they are written.
            tool: The name of the tool.
            followers: What may stand after them.
        """
        if form.dialect is not None:
            return (yield from self._read_dialect(followers))
        if form.parameters is None:
            return (yield from self._read_json())
        return (yield from self._read_parameters(form, tool, followers))

    def _read_json(self) -> Steps:
        """A JSON object, passed on as it comes."""
        yield from self._text.skip_space()
        if not self._text.held.startswith("{"):
            return False
        read: list[str] = []
        depth, is_text, at = 0, False, 0
        while True:
            mark = _JSON_MARK.search(self._text.held, at)
            if mark is None or (mark[0] == "\\" and mark.end() == len(self._text.held)):
                stop = mark.start() if mark else len(self._text.held)
                read.append(self._text.take(stop))
                self._emit(read[-1])
                at = 0
                if self._text.is_end:
                    return False
                yield
                continue
            at = mark.end()
            if mark[0] == "\\":
                at += 1
            elif mark[0] == '"':
                is_text = not is_text
            elif not is_text:
                depth += 1 if mark[0] in "{[" else -1
                if depth == 0:
                    read.append(self._text.take(at))
                    self._emit(read[-1])
                    return _is_object("".join(read))

    def _read_dialect(self, followers: Sequence[str]) -> Steps:
        text = yield from self._text.until(followers, most=None)
        value = parse_dialect(text) if text is not None else None
        if not isinstance(value, dict):
            return False
        self._emit(json.dumps(value, ensure_ascii=False))
        return True

    def _read_parameters(self, form: ToolFormat, tool: str, followers: Sequence[str]) -> Steps:
        """Arguments between tags, passed on as JSON."""
        parameters = form.parameters
        assert parameters is not None
        end = next((text for text in followers if text), "")
        self._emit("{")
        count = 0
        while True:
            opening = (parameters.between if count else "") + parameters.opening
            number = yield from self._text.which([end, opening.strip()])
            if number == 0 or (number is None and not end):
                break
            if number is None and opening.strip():
                return False
            yield from self._text.literal(opening)
            kinds = {kind: middle.strip() for kind, middle in parameters.middle.items()}
            distinct = sorted(set(kinds.values()), key=len, reverse=True)
            shared = _shared(distinct)
            name = yield from self._text.until([shared])
            if name is None:
                return False
            which = yield from self._text.which(distinct)
            if which is None:
                return False
            kind = next(kind for kind, middle in kinds.items() if middle == distinct[which])
            yield from self._text.literal(parameters.middle[kind])
            self._emit(f"{', ' if count else ''}{json.dumps(name, ensure_ascii=False)}: ")
            is_string = kinds["string"] == distinct[which] and (
                len(distinct) > 1 or self._is_string(tool, name)
            )
            if not parameters.is_raw:
                is_read = yield from self._read_literal()
            elif is_string:
                is_read = yield from self._read_text(parameters.closing)
            else:
                is_read = yield from self._read_other(parameters.closing)
            if not is_read:
                return False
            yield from self._text.literal(parameters.closing)
            count += 1
        self._emit("}")
        return True

    def _read_text(self, closing: str) -> Steps:
        """A string as it is, passed on as a JSON string."""
        mark = closing.strip()
        pad = closing[: len(closing) - len(closing.lstrip())]
        self._emit('"')
        while (at := self._text.held.find(mark)) < 0:
            keep = next(
                (n for n in range(len(mark) - 1, 0, -1) if self._text.held.endswith(mark[:n])), 0
            )
            self._emit(_escaped(self._text.take(max(0, len(self._text.held) - keep - len(pad)))))
            if self._text.is_end:
                return False
            yield
        self._emit(_escaped(self._text.take(at).removesuffix(pad)))
        self._emit('"')
        return True

    def _read_other(self, closing: str) -> Steps:
        """A value that is JSON, or what Python shows; else it is a string."""
        text = yield from self._text.until([closing.strip()], most=None)
        if text is None:
            return False
        self._emit(json.dumps(parse_value(text), ensure_ascii=False))
        return True

    def _read_literal(self) -> Steps:
        """A value in the syntax of Python or JSON, which ends where a comma or bracket follows."""
        depth, quote, at = 0, "", 0
        while True:
            mark = _LITERAL_MARK.search(self._text.held, at)
            if mark is None or mark.end() == len(self._text.held):
                if self._text.is_end and mark is None:
                    return False
                if mark is None or mark[0] == "\\":
                    yield
                    continue
            char, at = mark[0], mark.end()
            if char == "\\":
                at += 1
            elif quote:
                quote = "" if char == quote else quote
            elif char in "\"'":
                quote = char
            elif char in "{[(":
                depth += 1
            elif depth == 0:
                break
            elif char in "}])":
                depth -= 1
        self._emit(json.dumps(parse_value(self._text.take(mark.start())), ensure_ascii=False))
        return True


def _shared(texts: Sequence[str]) -> str:
    shortest = min(texts, key=len)
    return next(
        (shortest[:i] for i in range(len(shortest)) if any(t[i] != shortest[i] for t in texts)),
        shortest,
    )


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False

"""The grammar of an answer that may call tools: reasoning, text, and calls that their schemas allow.

One grammar, in llguidance's dialect of Lark, covers the answer from its first token.  Text runs
free up to the marker of a call; from there on only what is a call can be written.  Where the
marker, or a tag of the reasoning, has control tokens, these are written by id, and no text can be
taken for them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmlocal._chat._output._format import JsonType, Parameters, Slot, ToolFormat
from llmlocal._chat._output._values import QUOTE
from llmlocal._chat._tools._raw import raw_body
from llmlocal._chat._tools._tool import Tool, is_string
from llmlocal._chat._tools._types import allowed_types, of_types
from llmlocal._generation._schema import engine_schema
from llmlocal._templates import ReasoningTags
from llmlocal.errors import ParameterError

__all__ = ["Answer", "tool_grammar"]

_DEFINITIONS = ("$defs", "definitions")
_MOST_CALLS = 32  # in one answer
_MOST_REFERENCES = 20  # from one schema to the next
_SPACE = r"/[ \n]{0,4}/"
_JSON_PIECE = re.compile(r'"[^"]*"|[{}\[\]]|[^"{}\[\]]+')
_ANNOTATIONS = {"title", "description", "default", "examples", "example", "deprecated", "$comment"}


@dataclass(frozen=True)
class Answer:
    """What an answer may be.

    Attributes:
        formats: How calls may be written; the first is the usual one.
        tools: What may be called.
        mode: "auto", "none" or "required".
        is_parallel: Whether there may be several calls.
        reasoning: The tags of reasoning, for a model that reasons.
        is_open: Whether the prompt has opened the reasoning.
        may_reason: Whether the answer may begin with reasoning.
        text: What an answer without calls is held to, as the right side of a rule; None for any text.
    """

    formats: tuple[ToolFormat, ...]
    tools: tuple[Tool, ...]
    mode: str
    is_parallel: bool = True
    reasoning: ReasoningTags | None = None
    is_open: bool = False
    may_reason: bool = True
    text: str | None = None


Controls = Callable[[str], Mapping[int, str]]
"""The control tokens in a text that a template might write, with their texts."""


def tool_grammar(answer: Answer, controls: Controls, is_end: Callable[[int], bool]) -> str:
    """The grammar, for a vocabulary with these control tokens.

    Raises:
        ParameterError: A tool's schema can't be enforced in this format.
    """
    return _Grammar(answer, controls, is_end).text()


class _Grammar:
    def __init__(self, answer: Answer, controls: Controls, is_end: Callable[[int], bool]) -> None:
        self._answer = answer
        self._controls = controls
        self._is_end = is_end
        self._rules: dict[str, str] = {}

    def text(self) -> str:
        answer = self._answer
        if answer.reasoning is None or not (answer.is_open or answer.may_reason):
            self._rules["start"] = self._body()
        else:
            thought = self._thought(answer.reasoning)
            opened = self._literal(answer.reasoning.opening)
            start = thought if answer.is_open else f"({_SPACE} {opened} {thought} | {self._body()})"
            self._rules["start"] = start
        start = self._rules.pop("start")
        return "\n".join([f"start: {start}", *(f"{n}: {r}" for n, r in self._rules.items())]) + "\n"

    # --- Text ------------------------------------------------------------------------------------

    def _body(self) -> str:
        """What follows the reasoning."""
        answer = self._answer
        if answer.mode == "required":
            calls = [self._calls(i, form) for i, form in enumerate(answer.formats)]
            return self._rule("calls", " | ".join(calls))
        direct = answer.reasoning.direct if answer.reasoning else ""
        if answer.text is None:
            text = self._free(self._markers(), first=True)
        else:
            text = self._rule("text", answer.text)
        plain = f"({self._literal(direct)})? {text}" if direct else text
        if answer.mode == "none":
            return self._rule("body", plain)
        ways = [plain]
        for i, form in enumerate(answer.formats):
            if answer.text is not None and not form.is_anywhere:
                ways.append(self._calls_beside_json(i, form))
                continue
            before = (
                self._up_to(form.marker, self._markers())
                if form.is_anywhere and answer.text is None
                else self._at_start(form.marker)
            )
            lead = f"({self._literal(direct)})? " if direct and form.is_anywhere else ""
            ways.append(f"{lead}{before} {self._after_marker(i, form)}")
        return self._rule("body", " | ".join(ways))

    def _thought(self, tags: ReasoningTags) -> str:
        """The reasoning, opened already, and what follows it."""
        marks = [tags.closing, *(self._markers() if self._answer.mode != "none" else [])]
        closed = f"{self._up_to(tags.closing, marks)} {_SPACE} {self._body()}"
        ways = [closed]
        if self._answer.mode != "required" and self._answer.text is None:
            ways.append(self._free(marks))  # the model may be cut, or end, while it reasons
        if self._answer.mode != "none":
            # A call ends the reasoning: it would be lost there.
            ways += [
                f"{self._up_to(form.marker, marks)} {self._after_marker(i, form)}"
                for i, form in enumerate(self._answer.formats)
                if form.is_anywhere
            ]
        return self._rule("thought", " | ".join(ways))

    def _markers(self) -> list[str]:
        return [form.marker for form in self._answer.formats if form.is_anywhere]

    def _free(self, without: Sequence[str], *, first: bool = False) -> str:
        """Any text that has none of these in it; control tokens are in no text.

        Text at the beginning of an answer is also not what is a call there, and only there.
        """
        body = "/(?s:.*)/" + self._none_of(without)
        for form in self._answer.formats:
            if first and not form.is_anywhere:
                body += rf" & ~/\s*{_pattern(form.marker)}(?s:.*)/"
        return self._terminal(body)

    def _at_start(self, mark: str) -> str:
        """A mark at the beginning of the answer; white space before it is part of it."""
        items = self._items(mark)
        if not items or items[0].startswith("<["):
            return " ".join([_SPACE, *items])
        return " ".join([rf"/[ \n]{{0,4}}{_pattern(json.loads(items[0]))}/", *items[1:]])

    def _up_to(self, mark: str, marks: Sequence[str]) -> str:
        """Text and, at the first of these marks, that mark."""
        items = self._items(mark)
        if items and items[0].startswith("<["):
            return " ".join([self._free(marks), *items])
        first = json.loads(items[0]) if items else mark
        others = [other for other in marks if other != mark]
        ending = self._terminal(f"/(?s:.*){_pattern(first)}/" + self._none_of(others))
        return " ".join([self._lazy(ending), *items[1:]])

    def _none_of(self, texts: Sequence[str]) -> str:
        banned = sorted({text for text in texts if text and not self._controls(text)})
        return "".join(f" & ~/(?s:.*){_pattern(text)}(?s:.*)/" for text in banned)

    def _terminal(self, body: str) -> str:
        known = next((name for name, rule in self._rules.items() if rule == body), None)
        return known or self._rule(f"T_{len(self._rules)}", body)

    def _lazy(self, terminal: str) -> str:
        """The shortest text that a terminal allows."""
        self._rules[f"{terminal.lower()}[lazy]"] = terminal
        return terminal.lower()

    # --- Calls -----------------------------------------------------------------------------------

    def _after_marker(self, number: int, form: ToolFormat) -> str:
        """All calls, from where the first marker ends."""
        head = form.head
        rest = head[head.index(form.marker) + len(form.marker) :]
        first = f"head_{number}"
        self._alternatives(first, form, skip_head=True)
        return f"{self._literal(rest)} {first} {self._more(number, form)}"

    def _calls(self, number: int, form: ToolFormat) -> str:
        """All calls, from the beginning."""
        head = form.head.lstrip()  # What white space comes before a call is the model's business.
        opening = self._literal(head)
        if head != form.head and not self._answer.is_open:
            opening = f"{_SPACE} {opening}"
        first = f"head_{number}"
        if first not in self._rules:
            self._alternatives(first, form, skip_head=True)
        return f"{opening} {first} {self._more(number, form)}"

    def _calls_beside_json(self, number: int, form: ToolFormat) -> str:
        """All calls, where the answer may be JSON too: in the same pieces, so that neither hides the other."""
        name = f"whole_{number}"
        self._alternatives(name, form, skip_head=False, as_json=True)
        return f"{self._literal(form.opening)} {name} {self._more(number, form)}"

    def _more(self, number: int, form: ToolFormat) -> str:
        closing = self._literal(form.closing)
        if form.between is None or not self._answer.is_parallel:
            return closing
        name = f"call_{number}"
        if name not in self._rules:
            self._alternatives(name, form, skip_head=False)
        return f"({self._literal(form.between)} {name}){{0,{_MOST_CALLS - 1}}} {closing}"

    def _alternatives(
        self, name: str, form: ToolFormat, *, skip_head: bool, as_json: bool = False
    ) -> None:
        self._rules[name] = ""  # its place
        pieces = form.call[1:] if skip_head and isinstance(form.call[0], str) else form.call
        ways = [
            self._call(form, pieces, tool, i, as_json=as_json)
            for i, tool in enumerate(self._answer.tools)
        ]
        self._rules[name] = " | ".join(ways)

    def _call(
        self,
        form: ToolFormat,
        pieces: Sequence[str | Slot],
        tool: Tool,
        number: int,
        *,
        as_json: bool,
    ) -> str:
        items: list[str] = []
        text = ""  # Neighbouring fixed text is written as one.
        for piece in pieces:
            if isinstance(piece, str):
                text += piece
                continue
            if piece is Slot.NAME:
                text += tool.name
                continue
            parts = _JSON_PIECE.findall(text) if as_json else [text]
            items += map(self._literal, parts)
            text = ""
            if piece is Slot.ARGUMENTS:
                items.append(self._arguments(form, tool, number))
            else:
                items.append("/[0-9]{1,3}/" if piece is Slot.INDEX else "/[A-Za-z0-9]{9}/")
        return " ".join([*items, self._literal(text)])

    # --- Arguments -------------------------------------------------------------------------------

    def _arguments(self, form: ToolFormat, tool: Tool, number: int) -> str:
        name = f"arguments_{number}"
        if name in self._rules:
            return name
        schema = _closed(tool.parameters)
        self._rules[name] = ""
        if form.dialect is not None:
            self._rules[name] = _Dialect(self, tool, name).value(schema, "$")
        elif form.parameters is None:
            self._rules[name] = f"%json {engine_schema(schema)[0]}"
        else:
            self._rules[name] = self._parameters(form.parameters, tool, name, schema)
        return name

    def _parameters(
        self, form: Parameters, tool: Tool, name: str, schema: Mapping[str, Any]
    ) -> str:
        """Each argument between its tags, in the order of the schema."""
        properties: Mapping[str, Any] = schema.get("properties", {})
        required = set(schema.get("required", ()))
        ways: list[tuple[str, bool]] = []
        for i, (key, value) in enumerate(properties.items()):
            rule = f"{name}_{i}"
            self._rules[rule] = self._parameter(form, key, value, schema, f"{tool.name}.{key}")
            ways.append((rule, key in required))
        return self.sequence(ways, self._literal(form.between) if form.between else "")

    def _parameter(
        self, form: Parameters, key: str, value: Any, schema: Mapping[str, Any], where: str
    ) -> str:
        value = _followed(value if isinstance(value, Mapping) else {}, schema)
        groups: dict[str, list[JsonType]] = {}  # What stands before the value tells of its type.
        for kind in allowed_types(value):
            groups.setdefault(form.middle[kind], []).append(kind)
        defined = {key: schema[key] for key in _DEFINITIONS if key in schema}
        ways: list[str] = []
        for middle, types in groups.items():
            own = of_types(value, types) if len(groups) > 1 else value
            head = self._literal(f"{form.opening}{key}{middle}")
            if form.is_raw and (is_string(own) or types == ["string"]):
                body = raw_body(own, form.closing, where)
                ways.append(f"{head} {self._raw(body, form.closing)}")
                continue
            text, _ = engine_schema({**defined, **own})
            inner = self._rule(f"value_{len(self._rules)}", f"%json {text}")
            ways.append(f"{head} {inner} {self._literal(form.closing)}")
        return " | ".join(ways)

    def _raw(self, body: str | Sequence[str], closing: str) -> str:
        """A string as it is, and what closes it."""
        if not isinstance(body, str):
            texts = " | ".join(self._literal(text) for text in body)
            return f"({texts}) {self._literal(closing)}"
        items = self._items(closing)
        if items and items[0].startswith("<["):
            return " ".join([self._terminal(f"/{body}/"), *items])
        first = json.loads(items[0]) if items else closing
        inner = f" & ~/(?s:.*){_pattern(first.strip())}(?s:.*){_pattern(first)}/"
        ending = self._terminal(f"/{body}{_pattern(first)}/{inner}")
        return " ".join([self._lazy(ending), *items[1:]])

    # --- Parts of rules --------------------------------------------------------------------------

    def sequence(self, ways: Sequence[tuple[str, bool]], between: str = "") -> str:
        """Rules in this order, of which some may be left out, with something between two."""
        later = ['""']  # What may follow when something stands before, from the last on.
        first = ['""']
        for rule, is_required in reversed(ways):
            then = f"{between} {rule} {later[0]}".strip()
            now = f"{rule} {later[0]}"
            next_later = then if is_required else f"({then} | {later[0]})"
            next_first = now if is_required else f"({now} | {first[0]})"
            later[0] = self._rule(f"later_{len(self._rules)}", next_later)
            first[0] = self._rule(f"first_{len(self._rules)}", next_first)
        return first[0]

    def _literal(self, text: str) -> str:
        return self.literal(text)

    def literal(self, text: str) -> str:
        """Fixed text, with its control tokens by id; an end of the text ends the answer there."""
        return " ".join(self._items(text)) or '""'

    def _items(self, text: str) -> list[str]:
        """The same in runs: quoted text, or one control token."""
        found = self._controls(text) if text else {}
        if not found:
            return [_quoted(text)] if text else []
        pattern = "|".join(sorted(map(re.escape, found.values()), key=len, reverse=True))
        ids = {text: token for token, text in found.items()}
        items: list[str] = []
        for i, piece in enumerate(re.split(f"({pattern})", text)):
            if i % 2 == 0:
                items += [_quoted(piece)] if piece else []
            elif self._is_end(ids[piece]):
                break
            else:
                items.append(f"<[{ids[piece]}]>")
        return items

    def _rule(self, name: str, rule: str) -> str:
        self._rules[name] = rule
        return name

    def rule(self, name: str, rule: str) -> str:
        """A rule of this name."""
        return self._rule(name, rule)

    def raw(self, body: str | Sequence[str], closing: str) -> str:
        """See ``_raw``."""
        return self._raw(body, closing)


class _Dialect:
    """Values in Gemma 4's notation: bare keys, and strings between quotes of their own."""

    def __init__(self, grammar: _Grammar, tool: Tool, prefix: str) -> None:
        self._grammar = grammar
        self._tool = tool
        self._prefix = prefix
        self._n_rules = 0
        self._by_reference: dict[str, str] = {}

    def value(self, schema: Any, path: str) -> str:
        where = f"{self._tool.name}: {path}"
        if not isinstance(schema, Mapping):
            raise ParameterError(f"the schema of {where} can't be enforced in this model's format")
        if "$ref" in schema:
            return self._reference(schema["$ref"], path)
        for key in ("anyOf", "oneOf"):
            if key in schema:
                shared = {name: item for name, item in schema.items() if name != key}
                ways = [self.value({**shared, **each}, path) for each in schema[key]]
                return self._rule(" | ".join(ways))
        if "const" in schema or "enum" in schema:
            values = schema.get("enum", [schema.get("const")])
            return self._rule(" | ".join(self._written(value) for value in values))
        types = allowed_types(schema)
        if len(types) > 1:
            kinds = [{**schema, "type": each} for each in types]
            return self._rule(" | ".join(self.value(each, path) for each in kinds))
        return self._typed(types[0], schema, path)

    def _typed(self, kind: str, schema: Mapping[str, Any], path: str) -> str:
        where = f"{self._tool.name}: {path}"
        if kind == "string":
            quote = self._grammar.literal(QUOTE)
            body = raw_body(schema, QUOTE, where)
            return self._rule(f"{quote} {self._grammar.raw(body, QUOTE)}")
        if kind == "object":
            return self._object(schema, path)
        if kind == "array":
            return self._array(schema, path)
        return self._rule(f"%json {engine_schema({**schema, 'type': kind})[0]}")

    def _object(self, schema: Mapping[str, Any], path: str) -> str:
        self._only(schema, {"type", "properties", "required", "additionalProperties"}, path)
        required = set(schema.get("required", ()))
        ways = [
            (
                self._rule(f"{_quoted(key + ':')} {self.value(value, f'{path}.{key}')}"),
                key in required,
            )
            for key, value in schema.get("properties", {}).items()
        ]
        inner = self._grammar.sequence(ways, _quoted(","))
        return self._rule(f'"{{" {inner} "}}"')

    def _array(self, schema: Mapping[str, Any], path: str) -> str:
        self._only(schema, {"type", "items", "minItems", "maxItems"}, path)
        item = self.value(schema.get("items", {"type": "string"}), f"{path}[]")
        least, most = int(schema.get("minItems", 0)), schema.get("maxItems")
        if most == 0:
            return self._rule('"[" "]"')
        rest = f'("," {item}){{{max(0, least - 1)},{"" if most is None else int(most) - 1}}}'
        full = f"{item} {rest}"
        return self._rule(f'"[" {full if least else f"({full})?"} "]"')

    def _reference(self, name: str, path: str) -> str:
        parts = str(name).removeprefix("#/").split("/")
        target: Any = self._tool.parameters
        for part in parts:
            target = target.get(part) if isinstance(target, Mapping) else None
        if not str(name).startswith("#/") or target is None:
            raise ParameterError(f"{self._tool.name}: {path}.$ref: there is no {name!r}")
        if name not in self._by_reference:
            rule = f"{self._prefix}_ref_{len(self._by_reference)}"
            self._by_reference[name] = rule
            self._grammar.rule(rule, self.value(target, path))
        return self._by_reference[name]

    def _only(self, schema: Mapping[str, Any], known: set[str], path: str) -> None:
        strange = sorted(set(schema) - known - _ANNOTATIONS - {"anyOf", "oneOf", *_DEFINITIONS})
        if strange:
            raise ParameterError(
                f"{self._tool.name}: {path}.{strange[0]} can't be enforced in this model's format"
            )

    def _written(self, value: Any) -> str:
        if isinstance(value, str):
            quote = self._grammar.literal(QUOTE)
            return f"{quote} {_quoted(value)} {quote}"
        return _quoted(json.dumps(value))

    def _rule(self, rule: str) -> str:
        self._n_rules += 1
        return self._grammar.rule(f"{self._prefix}_v{self._n_rules}", rule)


def _closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A tool's schema, without arguments that it doesn't name."""
    closed: dict[str, Any] = {"type": "object", "properties": {}, **schema}
    closed.setdefault("additionalProperties", False)
    return closed


def _followed(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a schema that only refers to another one stands for."""
    for _ in range(_MOST_REFERENCES):
        name = str(schema.get("$ref", ""))
        found: Any = root
        for part in name.removeprefix("#/").split("/") if name.startswith("#/") else ():
            found = found.get(part) if isinstance(found, Mapping) else None
        if found is root or not isinstance(found, Mapping):
            break
        schema = {**found, **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _pattern(text: str) -> str:
    """A regular expression for exactly this text, as it stands between slashes."""
    return re.sub(r"([\\.^$|?*+()\[\]{}/])", r"\\\1", text).replace("\n", "\\n")

"""Asks a small model many questions with tools, and says how many calls were ill-formed.

``python -m tests.tools.validity 200`` asks 200 questions over 20 tools, each with
``tool_choice="required"`` and with ``"auto"``, at a high temperature, and validates all arguments
with a validator that has nothing to do with how they were made.  Eight are answered at a time; each
prompt has 1,800 tokens of tools, which are evaluated once, and looked at again for each token of
each answer: that is nearly all of the time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmlocal import LLM, ChatReply

__all__ = ["TOOLS", "Tally", "ask", "main", "questions"]


def _tool(
    name: str, description: str, required: Sequence[str], /, **properties: Any
) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


# Bounded: a small model at a high temperature may write without end.
_TEXT = {"type": "string", "maxLength": 200}
_TEXT_OR_NONE = {"type": ["string", "null"], "maxLength": 200}
_DATE = {"type": "string", "pattern": "^2[0-9]{3}-(0[1-9]|1[0-2])-[0-3][0-9]$"}
_COUNT = {"type": "integer", "minimum": 1, "maximum": 99}
_PLACE = {
    "type": "object",
    "properties": {"city": _TEXT, "country": _TEXT_OR_NONE},
    "required": ["city"],
    "additionalProperties": False,
}

TOOLS = [
    _tool("get_weather", "The weather.", ["place"], place=_PLACE, days=_COUNT),
    _tool("add_numbers", "Add numbers.", ["numbers"], numbers={"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 6}),
    _tool("send_mail", "Send a mail.", ["to", "subject"], to={"type": "array", "items": _TEXT, "maxItems": 3}, subject={"type": "string", "maxLength": 60}, body=_TEXT),
    _tool("set_alarm", "Set an alarm.", ["hour", "minute"], hour={"type": "integer", "minimum": 0, "maximum": 23}, minute={"type": "integer", "minimum": 0, "maximum": 59}, label=_TEXT),
    _tool("translate", "Translate text.", ["text", "language"], text=_TEXT, language={"enum": ["en", "fr", "de", "es"]}),
    _tool("book_table", "Book a table.", ["name", "day", "people"], name=_TEXT, day=_DATE, people=_COUNT),
    _tool("search", "Search the web.", ["query"], query={"type": "string", "minLength": 1, "maxLength": 80}, pages=_COUNT),
    _tool("now", "The time.", []),
    _tool("convert", "Convert units.", ["value", "unit"], value={"type": "number"}, unit={"enum": ["m", "km", "kg", "g"]}),
    _tool("play_music", "Play music.", ["title"], title=_TEXT, loud={"type": "boolean"}),
    _tool("create_event", "Add to the calendar.", ["title", "day"], title=_TEXT, day=_DATE, guests={"type": "array", "items": _TEXT, "maxItems": 4}),
    _tool("get_stock", "A price.", ["symbol"], symbol={"type": "string", "pattern": "^[A-Z]{1,5}$"}),
    _tool("lights", "Switch lights.", ["on"], on={"type": "boolean"}, room={"enum": ["kitchen", "hall", "bath"]}),
    _tool("remember", "Keep facts.", ["facts"], facts={"type": "object", "properties": {"who": _TEXT, "what": _TEXT}, "required": ["who", "what"], "additionalProperties": False}),
    _tool("route", "Find a way.", ["start", "end"], start=_PLACE, end=_PLACE),
    _tool("pay", "Pay somebody.", ["to", "amount"], to=_TEXT, amount={"type": "number", "minimum": 0, "maximum": 1000}, note=_TEXT_OR_NONE),
    _tool("roll_dice", "Roll dice.", ["sides"], sides={"enum": [4, 6, 8, 20]}, times=_COUNT),
    _tool("open_app", "Open a program.", ["name"], name=_TEXT),
    _tool("todo", "Change the list.", ["action", "item"], action={"enum": ["add", "remove"]}, item=_TEXT),
    _tool("rate", "Rate a film.", ["film", "stars"], film=_TEXT, stars={"type": "integer", "minimum": 1, "maximum": 5}),
]  # fmt: skip
"""Twenty tools whose schemas have what real ones have."""

# A call may have long texts in its arguments; an answer of text may go on for ever.
_MOST_TOKENS = {"required": 1500, "auto": 80}
_ABOUT = ("Paris", "my mother", "tomorrow", "\"quotes\"", "Zürich", "the red lamp", "7 and 8", "a film", "AAPL", "日本")  # fmt: skip
_ASKED = (
    "What about {}?", "Please help me with {}.", "Do it for {} now.", "Tell me of {}.", "Book {}.",
    "Send {} to Anna.", "Add {}.", "Find {} for two people.", "Remind me of {} at noon.", "Play {}.",
    "Translate {} to French.", "Is it raining near {}?", "How far is {}?", "Buy {} for 5 dollars.",
    "Rate {}.", "Switch {} on.", "Open {}.", "Remember {}.", "Convert {}.", "Roll for {}.",
)  # fmt: skip


def questions(count: int) -> list[str]:
    """So many different questions, at most 200."""
    both = [asked.format(about) for about in _ABOUT for asked in _ASKED]
    return both[:count]


@dataclass
class Tally:
    """What became of the questions.

    Attributes:
        asked: How many there were.
        called: Answers that called a tool, or several.
        calls: Those calls, whose arguments were validated.
        cut: Answers that reached the limit of tokens: they promise nothing.
        problems: What was wrong, with the question.
    """

    asked: int = 0
    called: int = 0
    calls: int = 0
    cut: int = 0
    problems: list[str] = field(default_factory=list)


def ask(
    llm: LLM,
    asked: Sequence[str],
    choice: str,
    *,
    tools: Sequence[dict[str, Any]] = TOOLS,
    max_tokens: int = 200,
) -> Tally:
    """Ask, eight at a time, and validate what comes back."""
    tally = Tally(asked=len(asked))

    def answer(numbered: tuple[int, str]) -> ChatReply:
        seed, question = numbered
        return llm.chat(
            question,
            tools=tools,
            tool_choice=choice,
            max_tokens=max_tokens,
            temp=1.2,
            top_p=1.0,
            min_p=0.0,
            top_k=0,
            seed=seed,
        )

    with ThreadPoolExecutor(8) as pool:
        for question, reply in zip(asked, pool.map(answer, enumerate(asked)), strict=True):
            _count(tally, question, reply, choice)
    return tally


def _count(tally: Tally, question: str, reply: ChatReply, choice: str) -> None:
    tally.called += bool(reply.tool_calls)
    tally.calls += len(reply.tool_calls)
    tally.cut += reply.finish_reason == "length"
    if "tool_call>" in reply:
        tally.problems.append(f"{question}: a marker in the text: {reply!r:.100}")
    if reply.finish_reason == "length":
        return
    if choice == "required" and (not reply.tool_calls or reply.finish_reason != "tool_calls"):
        tally.problems.append(f"{question}: no call: {reply!r:.100}")
    tally.problems += [
        f"{question}: {problem}" for call in reply.tool_calls if (problem := _problem(call))
    ]


def _problem(call: Any) -> str | None:
    import jsonschema

    schema = next(
        (t["function"]["parameters"] for t in TOOLS if t["function"]["name"] == call.name), None
    )
    if schema is None:
        return f"there is no {call.name}"
    error = jsonschema.exceptions.best_match(
        jsonschema.Draft202012Validator(schema).iter_errors(call.arguments)
    )
    return f"{call.name}({call.arguments_text}): {error.message}" if error else None


def main() -> int:
    """Ask so many questions; the exit status says whether anything was wrong."""
    from llmlocal import LLM

    from ..real_models import real_model

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=200)
    parser.add_argument("--choice", choices=_MOST_TOKENS, help="only this one")
    options = parser.parse_args()
    failed = False
    with LLM(real_model("smollm2-135m-instruct"), n_ctx=4096, device="cpu") as llm:
        for choice in [options.choice] if options.choice else _MOST_TOKENS:
            begun = time.monotonic()
            tally = ask(llm, questions(options.count), choice, max_tokens=_MOST_TOKENS[choice])
            print(  # noqa: T201
                f"{choice}: {tally.asked} asked, {tally.called} called ({tally.calls} calls),"
                f" {tally.cut} cut, {len(tally.problems)} wrong, {time.monotonic() - begun:.0f} s",
                flush=True,
            )
            print("\n".join(tally.problems))  # noqa: T201
            failed |= bool(tally.problems)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())

"""Sessions with tools: what the model is told, what comes back, and the loop."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from llmlocal._chat import ChatSession
from llmlocal._chat._output import CallPart
from llmlocal._templates import ChatTemplate
from llmlocal.errors import ParameterError, RequestError

from ..chat.fake_model import FakeModel
from .accepting import accepts, kind_of
from .families import FAMILIES, HIDDEN, UNAWARE

HERMES = FAMILIES["hermes"]


def call(name: str, **arguments: Any) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {json.dumps(arguments)}}}\n</tool_call>'


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def fail() -> None:
    """Fail."""
    raise ValueError("no such thing")


async def later(text: str) -> dict[str, str]:
    """Answer later."""
    await asyncio.sleep(0)
    return {"later": text}


def session(*answers: Any, template: str = HERMES, **options: Any) -> tuple[ChatSession, FakeModel]:
    model = FakeModel(*answers, template=template)
    return ChatSession(model, **{"tools": [add, fail, later], **options}), model


def test_a_reply_has_the_calls() -> None:
    chat, model = session("I add.\n" + call("add", a=2, b=3))
    reply = chat.generate("2 + 3?")
    assert reply == "I add."
    assert reply.finish_reason == "tool_calls"
    assert not reply.is_partial
    (made,) = reply.tool_calls
    assert (made.name, made.arguments, made.arguments_text) == (
        "add",
        {"a": 2, "b": 3},
        '{"a": 2, "b": 3}',
    )
    assert '"name": "add"' in model.prompts[0]
    assert "start:" in model.options[0]["grammar"].text


def test_the_history_has_them_in_openais_form() -> None:
    chat, model = session(call("add", a=2, b=3), "5")
    reply = chat.generate("2 + 3?")
    assert chat.history[-1] == {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "id": reply.tool_calls[0].id,
                "type": "function",
                "function": {"name": "add", "arguments": '{"a": 2, "b": 3}'},
            }
        ],
    }
    chat.generate({"role": "tool", "tool_call_id": reply.tool_calls[0].id, "content": "5"})
    assert model.prompts[1].endswith(
        f"<|assistant|>{call('add', a=2, b=3)}<|end|><|tool|>5<|end|><|assistant|>"
    )
    again = ChatSession.from_json(model, chat.to_json())
    assert again.history == chat.history
    assert again.tools == chat.tools
    assert chat.fork().history == chat.history


def test_tools_of_one_answer_stand_in_for_the_sessions() -> None:
    chat, model = session("a", "b", "c", tools=None)
    chat.generate("1")
    chat.generate("2", tools=[add])
    chat.generate("3")
    assert ["tools" in prompt for prompt in model.prompts] == [False, True, False]
    assert ["grammar" in options for options in model.options] == [False, True, False]


@pytest.mark.parametrize("choice", ["none", "required", "add"])
def test_the_choice_reaches_the_grammar(choice: str) -> None:
    chat, model = session("x")
    chat.generate("q", tool_choice=choice)
    grammar = model.options[0]["grammar"].text
    assert kind_of(grammar, call("add", a=1, b=2)) == ("none" if choice == "none" else "required")
    assert accepts(grammar, call("fail")) == (choice == "required")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"tool_choice": "nope"}, "tool_choice must be"),
        ({"parallel_tool_calls": 1}, "parallel_tool_calls must be True, False or None"),
        ({"tools": [5]}, "must be a function"),
    ],
)
def test_wrong_options_are_named(options: Any, complaint: str) -> None:
    chat, _ = session()
    with pytest.raises(ParameterError, match=complaint):
        chat.generate("q", **options)
    assert chat.history == []


def test_calls_are_no_text_while_they_stream() -> None:
    text = "I add.\n" + call("add", a=2, b=3) + "\n" + call("later", text="x")
    chat, _ = session(list(text))
    with chat.generate("q", streaming=True) as stream:
        parts = list(stream.parts())
    assert "".join(part.text for part in parts if part.kind == "answer") == "I add."
    assert [part.text for part in parts if part.kind == "call"] == ["add", "later"]
    second = [p.text for p in parts if isinstance(p, CallPart) and p.number == 1][1:]
    assert "".join(second) == '{"text": "x"}'
    assert [made.name for made in stream.result.tool_calls] == ["add", "later"]
    assert stream.tool_calls == stream.result.tool_calls


def test_a_cut_call_is_none() -> None:
    chat, model = session(call("add", a=2, b=3)[:-20])
    model.finish_reason = "length"
    reply = chat.generate("q")
    assert (reply, reply.tool_calls, reply.finish_reason) == ("", (), "length")


def test_control_tokens_are_seen() -> None:
    chat, model = session()
    model.control = ("<tool_call>", "</tool_call>")
    body = call("add", a=2, b=3).removeprefix("<tool_call>").removesuffix("</tool_call>")
    model.answers = [["Hi ", "<tool_call>", *body, "</tool_call>"]]
    reply = chat.generate("q")
    assert (reply, reply.tool_calls[0].name) == ("Hi", "add")
    assert f"<[{model.control_id('<tool_call>')}]>" in model.options[0]["grammar"].text


def test_a_template_without_tools_gets_a_manual() -> None:
    chat, model = session(call("add", a=2, b=3), "5", template=UNAWARE, system="Be brief.")
    reply = chat.generate("2 + 3?")
    assert model.prompts[0].startswith("<|system|>Be brief.\n\n# Tools")
    assert '"name": "add"' in model.prompts[0]
    chat.generate({"role": "tool", "tool_call_id": reply.tool_calls[0].id, "content": "5"})
    assert model.prompts[1].endswith(
        f"<|assistant|>{call('add', a=2, b=3)}<|end|>"
        "<|user|><tool_response>\n5\n</tool_response><|end|><|assistant|>"
    )
    # The history stays in the ecosystem's shape.
    assert [message["role"] for message in chat.history[1:]] == [
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert chat.history[0]["content"] == "Be brief."


def test_calls_in_the_past_are_shown_when_there_are_no_tools_any_more() -> None:
    chat, model = session(call("add", a=2, b=3), "5", template=UNAWARE)
    reply = chat.generate("2 + 3?")
    chat.tools = None
    chat.generate({"role": "tool", "tool_call_id": reply.tool_calls[0].id, "content": "5"})
    assert "# Tools" not in model.prompts[1]
    assert "<tool_call>" in model.prompts[1]
    assert "grammar" not in model.options[1]


def test_the_markers_of_written_calls_are_the_templates_text() -> None:
    template = ChatTemplate(HIDDEN["granite 3"])
    model = FakeModel("x", "y", template=HIDDEN["granite 3"])
    model.control = ("<|tool_call|>",)
    calls = [
        {"id": "123456789", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    ]
    calling: dict[str, Any] = {"role": "assistant", "tool_calls": calls}
    history: list[dict[str, Any]] = [{"role": "user", "content": "q"}, calling]
    result = {"role": "tool", "tool_call_id": "123456789", "content": "<|tool_call|>"}
    chat = ChatSession(model, messages=[*history, result], tools=[add], template=template)
    chat.generate()
    assert model.prompts[0].count("<|tool_call|>") == 3  # the manual's, the call's, the result's
    encoded = model.encode_segments(
        chat._compose(chat.history, _setting(chat)).text.segments  # type: ignore[attr-defined]
    )
    assert encoded.count(model.control_id("<|tool_call|>")) == 2  # the result's is only text


def _setting(chat: ChatSession) -> Any:
    from llmlocal._chat._compose import Setting

    return Setting(None, chat.own_tools, "auto", True, None, {}, "error", 0, None)


# --- The loop ------------------------------------------------------------------------------------


def test_the_loop_calls_and_answers() -> None:
    chat, model = session(call("add", a=2, b=3), call("later", text="é"), "Done.")
    seen: list[tuple[str, str]] = []
    reply = chat.run("q", on_result=lambda made, text: seen.append((made.name, text)))
    assert reply == "Done."
    assert seen == [("add", "5"), ("later", '{"later": "é"}')]
    assert [m["role"] for m in chat.history] == ["user", *["assistant", "tool"] * 2, "assistant"]
    assert chat.history[2]["content"] == "5"
    assert chat.history[2]["tool_call_id"] == chat.history[1]["tool_calls"][0]["id"]
    assert model.prompts[1].endswith("<|tool|>5<|end|><|assistant|>")


def test_the_loop_in_asyncio() -> None:
    chat, _ = session(call("add", a=2, b=3) + "\n" + call("later", text="x"), "Done.")

    async def ask() -> str:
        return await chat.arun("q", parallel=True)

    assert asyncio.run(ask()) == "Done."
    assert [m["content"] for m in chat.history if m["role"] == "tool"] == ["5", '{"later": "x"}']


def test_async_functions_are_called_inside_a_running_loop() -> None:
    chat, _ = session(call("later", text="x"), "Done.")

    async def ask() -> str:
        return chat.run("q")

    assert asyncio.run(ask()) == "Done."


def test_calls_of_one_answer_run_side_by_side_when_asked() -> None:
    barrier = threading.Barrier(2, timeout=10)

    def meet(who: str) -> str:
        barrier.wait()
        return who

    both = call("meet", who="a") + "\n" + call("meet", who="b")
    chat, _ = session(both, "Done.", tools=[meet])
    chat.run("q", parallel=True)
    assert [m["content"] for m in chat.history if m["role"] == "tool"] == ["a", "b"]


def test_what_fails_is_told_or_raised() -> None:
    chat, _ = session(call("fail"), "Sorry.")
    assert chat.run("q") == "Sorry."
    assert chat.history[2]["content"] == "error: ValueError: no such thing"
    chat, _ = session(call("fail"))
    with pytest.raises(ValueError, match="no such thing"):
        chat.run("q", on_error="raise")


def test_arguments_that_break_the_schema_reach_no_function() -> None:
    called: list[int] = []

    def take(n: int) -> None:
        called.append(n)

    chat, _ = session(call("take", n="x"), call("take"), call("nope"), "Sorry.", tools=[take])
    chat.run("q")
    told = [m["content"] for m in chat.history if m["role"] == "tool"]
    assert called == []
    assert told[0] == "error: $.n must be integer, got 'x'"
    assert told[1] == "error: $.n is missing"
    assert told[2] == "error: there is no tool 'nope'"


def test_a_call_may_be_refused() -> None:
    chat, _ = session(call("add", a=1, b=1), "Well.")
    chat.run("q", on_call=lambda made: made.name != "add")
    assert chat.history[2]["content"] == "error: the user refused this call"


def test_the_rounds_are_bounded_and_end_with_an_answer() -> None:
    chat, model = session(*[call("add", a=1, b=1)] * 2, "Enough.")
    assert chat.run("q", max_rounds=2, tool_choice="required") == "Enough."
    kinds = [kind_of(options["grammar"].text, call("add", a=1, b=1)) for options in model.options]
    assert kinds == ["required", "auto", "none"]


def test_tools_without_a_function_need_somebody_to_make_the_calls() -> None:
    listed = {"name": "add", "inputSchema": {"type": "object", "properties": {}}}
    chat, _ = session(call("add"), "Done.", tools=[listed])
    with pytest.raises(ParameterError, match="'add' is only described"):
        chat.run("q")
    assert chat.run("q", execute=lambda made: f"{made.name} was called") == "Done."
    assert chat.history[2]["content"] == "add was called"


def test_the_loop_shows_what_is_written() -> None:
    chat, _ = session([*call("add", a=2, b=3)], [*"Five."])
    parts: list[Any] = []
    chat.run("q", on_part=parts.append)
    assert "".join(part.text for part in parts if part.kind == "answer") == "Five."
    assert [part.text for part in parts if part.kind == "call"] == ["add"]


@pytest.mark.parametrize("rounds", [0, True, "3", None])
def test_rounds_that_make_no_sense_are_named(rounds: Any) -> None:
    chat, _ = session()
    with pytest.raises(ParameterError, match="max_rounds must be at least 1"):
        chat.run("q", max_rounds=rounds)


def test_the_loop_needs_tools() -> None:
    chat, _ = session(tools=None)
    with pytest.raises(ParameterError, match="there are no tools to call"):
        chat.run("q")


def test_results_stay_in_the_history_when_the_next_answer_fails() -> None:
    chat, _ = session(call("add", a=2, b=3), RequestError("broken"), "5")
    with pytest.raises(RequestError, match="broken"):
        chat.run("q")
    assert [m["role"] for m in chat.history] == ["user", "assistant", "tool"]
    assert chat.generate() == "5"

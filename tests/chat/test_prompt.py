"""From messages to tokens: the shape that a template takes, an answer to continue, and one BOS."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, cast

import pytest

from llmlocal._templates import ChatPrompt, ChatTemplate, encode_prompt
from llmlocal.errors import ParameterError, TemplateError

PLAIN = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
TYPED = "{% for m in messages %}<{{ m.role }}>{% for part in m.content %}{{ part.text }};{% endfor %}{% endfor %}"
BOTH = (
    "{% for m in messages %}{% if m.content is string %}{{ m.content }}"
    "{% else %}{% for part in m.content %}{{ part.text }};{% endfor %}{% endif %}{% endfor %}"
)
PARTS = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]


def user(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


@pytest.mark.parametrize(
    ("template", "content", "expected"),
    [
        (PLAIN, "hi", "<user>hi</><assistant>"),
        (PLAIN, PARTS, "<user>ab</><assistant>"),
        (TYPED, "hi", "<user>hi;"),
        (TYPED, PARTS, "<user>a;b;"),
        (BOTH, "hi", "hi"),
        (BOTH, PARTS, "a;b;"),
    ],
)
def test_the_content_comes_in_the_templates_shape(
    template: str, content: Any, expected: str
) -> None:
    assert ChatTemplate(template).render(user(content)) == expected


REFUSES_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" + PLAIN
)
IGNORES_SYSTEM = PLAIN.replace("in messages", "in messages if m.role != 'system'")


@pytest.mark.parametrize("template", [REFUSES_SYSTEM, IGNORES_SYSTEM])
def test_a_system_message_without_a_place_goes_to_the_first_question(template: str) -> None:
    messages = [{"role": "system", "content": "S"}, *user("hi")]
    assert ChatTemplate(template).render(messages) == "<user>S\n\nhi</><assistant>"


def test_a_system_message_with_a_place_stays_there() -> None:
    messages = [{"role": "system", "content": "S"}, *user("hi")]
    assert ChatTemplate(PLAIN).render(messages) == "<system>S</><user>hi</><assistant>"


def test_a_refusal_of_a_template_is_passed_on() -> None:
    template = ChatTemplate("{{ raise_exception('roles must alternate') }}")
    with pytest.raises(TemplateError, match="roles must alternate"):
        template.render([{"role": "system", "content": "S"}, *user("hi")])


# -- an answer to continue ----------------------------------------------------------------------

THINKS = PLAIN.replace("<assistant>{% endif %}", "<assistant><think>\n{% endif %}")
MAY_THINK = PLAIN + "{# knows <think> #}"


@pytest.mark.parametrize(
    ("template", "final", "expected"),
    [
        (PLAIN, {"content": "I sa"}, "<user>q</><assistant>I sa"),
        (PLAIN, {"content": ""}, "<user>q</><assistant>"),
        (PLAIN, {"content": PARTS}, "<user>q</><assistant>ab"),
        (THINKS, {"content": "I sa"}, "<user>q</><assistant><think>\n\n</think>\n\nI sa"),
        (THINKS, {"content": ""}, "<user>q</><assistant><think>\n"),
        (THINKS, {"content": "", "reasoning_content": "hm"}, "<user>q</><assistant><think>\nhm"),
        (MAY_THINK, {"content": "I sa"}, "<user>q</><assistant>I sa"),
        (
            MAY_THINK,
            {"content": "I sa", "reasoning_content": "hm"},
            "<user>q</><assistant><think>\nhm\n</think>\n\nI sa",
        ),
        (MAY_THINK, {"content": "", "thinking": "hm"}, "<user>q</><assistant><think>\nhm"),
    ],
)
def test_a_last_answer_is_left_open(template: str, final: dict[str, Any], expected: str) -> None:
    prompt = ChatTemplate(template).render([*user("q"), {"role": "assistant", **final}])
    assert prompt == expected


def test_what_is_continued_is_not_the_templates() -> None:
    prompt = ChatTemplate(PLAIN).render([*user("q"), {"role": "assistant", "content": "</>"}])
    assert prompt.segments[-1] == ("</>", False)


def test_without_a_generation_prompt_all_answers_are_closed() -> None:
    messages = [*user("q"), {"role": "assistant", "content": "a"}]
    prompt = ChatTemplate(PLAIN).render(messages, add_generation_prompt=False)
    assert prompt == "<user>q</><assistant>a</>"


@pytest.mark.parametrize("name", ["reasoning_content", "thinking", "reasoning"])
def test_reasoning_goes_by_the_names_that_templates_know(name: str) -> None:
    template = ChatTemplate(
        "{% for m in messages %}{{ m.reasoning_content }}{{ m.thinking }}{% endfor %}"
    )
    messages = [{"role": "assistant", "content": "a", name: "hm"}, *user("q")]
    assert template.render(messages) == "hmhm"


# -- messages -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ("hi", "must be a list of dicts.*not str"),
        ({"role": "user"}, "must be a list of dicts.*not dict"),
        (["hi"], r"messages\[0\] must be a dict.*not str"),
        ([{"content": "hi"}], r"messages\[0\] has the role None"),
        ([{"role": "user"}], r"messages\[0\] has the content None"),
        ([{"role": "user", "content": 5}], "has the content 5"),
        ([{"role": "user", "content": b"x"}], "has the content"),
        ([{"role": "user", "content": [{"type": "image"}]}], "parts of the type 'text'"),
        (
            [{"role": "user", "content": "x", "more": object()}],
            "holds a object, which is not plain data",
        ),
    ],
)
def test_what_are_no_messages_is_named(messages: Any, complaint: str) -> None:
    with pytest.raises(ParameterError, match=complaint):
        ChatTemplate(PLAIN).render(messages)


def test_endless_messages_are_refused() -> None:
    loop: dict[str, Any] = {"role": "user", "content": "x"}
    loop["self"] = loop
    with pytest.raises(ParameterError, match="nested more than 50 deep"):
        ChatTemplate(PLAIN).render([loop])


def test_messages_are_not_changed_and_need_not_be_dicts() -> None:
    message: Mapping[str, Any] = MappingProxyType({"role": "user", "content": "hi"})
    assert ChatTemplate(PLAIN).render((message,)) == "<user>hi</><assistant>"


@pytest.mark.parametrize("name", ["tools", "documents"])
def test_tools_are_a_list_of_dicts(name: str) -> None:
    with pytest.raises(ParameterError, match=f"{name} must be a list of dicts"):
        ChatTemplate(PLAIN).render(user("hi"), **cast("Any", {name: "x"}))


# -- tokens -------------------------------------------------------------------------------------


class Encoder:
    """Tokens are characters; remembers the segments."""

    def __init__(self, *, bos: str, adds: bool) -> None:
        self.bos_token = bos
        self.add_bos = adds

    def encode_segments(self, segments: Iterable[tuple[str, bool]], /) -> list[int]:
        self.segments = tuple(segments)
        return [ord(char) for text, _ in self.segments for char in text]


@pytest.mark.parametrize(
    ("segments", "bos", "adds", "expected"),
    [
        ([("<s>a", True)], "<s>", True, "<s>a"),
        ([("<s>a", True)], "<s>", False, "<s>a"),
        ([("a", True)], "<s>", True, "<s>a"),
        ([("a", True)], "<s>", False, "a"),
        ([("<s>a", False)], "<s>", True, "<s><s>a"),  # somebody typed the first one
        ([("a", True)], "", True, "a"),
    ],
)
def test_there_is_one_bos(
    segments: list[tuple[str, bool]], bos: str, adds: bool, expected: str
) -> None:
    tokens = encode_prompt(Encoder(bos=bos, adds=adds), ChatPrompt(segments))
    assert "".join(map(chr, tokens)) == expected


def test_the_bos_is_a_control_token() -> None:
    encoder = Encoder(bos="<s>", adds=True)
    encode_prompt(encoder, ChatPrompt([("a", False)]))
    assert encoder.segments == (("<s>", True), ("a", False))


def test_a_prompt_can_be_pickled() -> None:
    prompt = ChatPrompt([("<s>", True), ("hi", False)])
    again = pickle.loads(pickle.dumps(prompt))
    assert (again, again.segments) == (prompt, prompt.segments)

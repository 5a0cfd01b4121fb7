"""Which kind of template a text is, and what a format makes of a turn."""

from __future__ import annotations

import re

import pytest

from llmlocal.gpt4all._choice import Choice, choose, one_of
from llmlocal.gpt4all._formats import DEFAULT_FORMAT, TurnFormat, marked_segments, template_kind

CONFIG = {
    "systemPrompt": "old",
    "promptTemplate": "P {0}",
    "systemMessage": "new",
    "chatTemplate": "J {{ messages }}",
}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("USER: {0}\nASSISTANT: ", "format"),
        (DEFAULT_FORMAT, "format"),
        ("{{literal braces}} {0}", "format"),
        ("{0} messages", "format"),
        ("{% for m in messages %}{{ m.content }}{% endfor %}", "jinja"),
        ("{%- set x = '{0}' %}", "jinja"),
        ("{{ messages[0].content }}", "jinja"),
    ],
)
def test_the_kind_is_told_by_the_text(text: str, kind: str) -> None:
    assert template_kind(text) == kind


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("### Human: %1", "Prompt template containing a literal '%1' is not supported."),
        ("no place", "has no place for the prompt: it must be a format with '{0}'"),
        ("", "has no place for the prompt"),
    ],
)
def test_a_text_of_no_kind_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        template_kind(text)


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("USER: {0}\nASSISTANT: ", "USER: hi\nASSISTANT: ", "\n\n"),
        ("<u>{0}</u><a>{1}</a>", "<u>hi</u><a>", "</a>"),
        ("<u>{0}</u><a>{1}", "<u>hi</u><a>", ""),
        ("{{x}} {0} {0}", "{x} hi hi", "\n\n"),
        ("{0}", "hi", "\n\n"),
    ],
)
def test_a_format_makes_a_turn(text: str, before: str, after: str) -> None:
    turn_format = TurnFormat(text)
    assert turn_format.format("hi") == before
    assert turn_format.after_answer == after


def test_what_the_user_says_is_not_the_formats() -> None:
    assert TurnFormat("<u>{0}</u>").segments("<u>") == [
        ("<u>", True),
        ("<u>", False),
        ("</u>", True),
    ]


@pytest.mark.parametrize("text", ["{0} {2}", "{name}", "{1} {0}", "{0.__class__}", "{0[0]}", "{}"])
def test_other_fields_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="has the field"):
        TurnFormat(text)


@pytest.mark.parametrize("text", ["", "hello", "{1}", "hello {1}"])
def test_one_without_a_place_for_the_prompt_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"has no \{0\}, the place for the prompt"):
        TurnFormat(text)


def test_single_braces_are_refused() -> None:
    with pytest.raises(ValueError, match="Single '}'"):
        TurnFormat("{0} }")


@pytest.mark.parametrize(
    ("text", "content", "expected"),
    [
        ("<u>X</u>", "X", [("<u>", True), ("X", False), ("</u>", True)]),
        ("<u>X X", "X", [("<u>", True), ("X", False), (" ", True), ("X", False), ("", True)]),
        ("<u>x</u>", "X", [("<u>x</u>", False)]),
        ("<u></u>", "", [("<u></u>", False)]),
    ],
)
def test_text_of_a_formatter_is_marked_where_the_user_is_found(
    text: str, content: str, expected: list[tuple[str, bool]]
) -> None:
    assert marked_segments(text, content) == expected


# -- the choice ---------------------------------------------------------------------------------


def test_the_models_own_template_comes_first() -> None:
    assert choose(CONFIG, None, None, None, is_hooked=False) == Choice(
        "jinja", "J {{ messages }}", "new"
    )


def test_without_one_the_old_default_is_used() -> None:
    with pytest.warns(DeprecationWarning, match="no chat template"):
        choice = choose({**CONFIG, "chatTemplate": None}, None, None, None, is_hooked=False)
    assert choice == Choice("format", "P {0}", "old")


def test_a_template_that_was_given_wins() -> None:
    assert choose(CONFIG, "S", "X {0}", None, is_hooked=False) == Choice("format", "X {0}", "S")
    assert choose(CONFIG, "S", "{{ messages }}", None, is_hooked=False).kind == "jinja"
    assert choose(CONFIG, "S", "X {0}", "jinja", is_hooked=False).kind == "jinja"


def test_a_subclass_formats_its_turns() -> None:
    with pytest.warns(DeprecationWarning, match="_format_chat_prompt_template is deprecated"):
        choice = choose(CONFIG, None, None, None, is_hooked=True)
    assert choice == Choice("format", "P {0}", "old")
    assert choose(CONFIG, None, "{{ messages }}", "jinja", is_hooked=True).kind == "jinja"


@pytest.mark.parametrize(("given", "system"), [("", "new"), (None, "new"), (False, ""), ("S", "S")])
def test_the_system_text(given: str | None, system: str) -> None:
    assert choose(CONFIG, given, None, None, is_hooked=False).system == system


@pytest.mark.parametrize("given", [True, 5, ["S"]])
def test_a_system_text_is_text(given: object) -> None:
    with pytest.raises(TypeError, match="must be a str, False or None"):
        choose(CONFIG, given, None, None, is_hooked=False)  # type: ignore[arg-type]


def test_two_names_of_one_thing_are_refused() -> None:
    assert one_of(a=None, b="x") == "x"
    assert one_of(a=None, b=False) is False
    assert one_of(a=None, b=None) is None
    with pytest.raises(TypeError, match="a and b, which mean the same"):
        one_of(a="x", b="y", c=None)

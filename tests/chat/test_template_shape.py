"""What a template takes is found by trying it, for each role: content, its absence, arguments."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmlocal._templates import ChatTemplate
from llmlocal.errors import ParameterError, TemplateError

QUESTION = {"role": "user", "content": "q"}
PARTS = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]


def call(arguments: object = None) -> dict[str, Any]:
    function = {"name": "f", "arguments": {"x": "é"} if arguments is None else arguments}
    return {"id": "abcdefghi", "type": "function", "function": function}


def render(body: str, *messages: dict[str, Any]) -> str:
    source = "{% for m in messages %}" + body + "{% endfor %}"
    return str(ChatTemplate(source).render(messages, add_generation_prompt=False))


CALLS = "{% for c in m.tool_calls or [] %}[{{ c.function.name }}]{% endfor %}"


@pytest.mark.parametrize("content", [{}, {"content": None}], ids=["absent", "None"])
@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        # As it is, where the template takes it.
        ("{% if m.content is not defined %}-{% elif m.content is none %}0{% endif %}", "{as is}"),
        ("{% if m.content %}{{ m.content }}{% endif %}", ""),
        # Absent, where None would be printed; empty, where neither is taken.
        ("{% if m.content is defined %}{{ m.content }}{% else %}-{% endif %}", "-"),
        ("{{ m.content }}", ""),
        ("{{ '<' + m.content + '>' }}", "<>"),
        ("{{ m['content'] | trim }}", ""),
        # None, where the key must be there.
        ("{% if m.content is none %}0{% else %}{{ '' + m.content }}{% endif %}", "0"),
    ],
)
def test_a_call_needs_no_content(content: dict[str, Any], shown: str, expected: str) -> None:
    body = "{% if m.role == 'assistant' %}" + shown + CALLS + "{% endif %}"
    expected = expected.replace("{as is}", "0" if content else "-")

    output = render(body, QUESTION, {"role": "assistant", **content, "tool_calls": [call()]})

    assert output == f"{expected}[f]"


def test_a_call_without_content_may_stand_in_the_middle() -> None:
    body = "{% if loop.last %}{{ m.content }}{% else %}{{ m.content.strip() }}{% endif %}" + CALLS
    result = {"role": "tool", "content": "r", "tool_call_id": "abcdefghi"}
    calling = {"role": "assistant", "tool_calls": [call()]}
    assert render(body, QUESTION, calling, result) == "q[f]r"


DATA = "{% for c in m.tool_calls or [] %}{{ c.function.arguments | tojson }}{% endfor %}"
ITEMS = "{% for c in m.tool_calls or [] %}{% for k, v in c.function.arguments.items() %}{{ k }}={{ v }}{% endfor %}{% endfor %}"
TEXT = "{% for c in m.tool_calls or [] %}{{ '' + c.function.arguments }}{% endfor %}"


@pytest.mark.parametrize("arguments", [{"x": "é"}, '{"x": "é"}', '{ "x":\n"\\u00e9" }'])
@pytest.mark.parametrize(
    ("body", "expected"), [(DATA, '{"x": "é"}'), (ITEMS, "x=é"), (TEXT, '{"x": "é"}')]
)
def test_arguments_come_as_the_template_takes_them(
    body: str, expected: str, arguments: object
) -> None:
    calling = {"role": "assistant", "content": "", "tool_calls": [call(arguments)]}
    assert render(body, QUESTION, calling) == expected


def test_no_arguments_as_text_are_none() -> None:
    calling = {"role": "assistant", "content": "", "tool_calls": [call("")]}
    assert render(DATA, QUESTION, calling) == "{}"


def test_arguments_that_are_no_json_are_shown_as_they_are() -> None:
    calling = {"role": "assistant", "content": "", "tool_calls": [call('{"x": ')]}
    assert render(DATA, QUESTION, calling) == json.dumps('{"x": ')


def test_the_messages_stay_as_they_were() -> None:
    calling = {"role": "assistant", "tool_calls": [call('{"x": 1}')]}
    render(TEXT, QUESTION, calling)
    assert calling == {"role": "assistant", "tool_calls": [call('{"x": 1}')]}


PARTS_OF_USER_ONLY = (
    "{% if m.role == 'user' and m.content is not string %}"
    "{% for p in m.content %}{{ p.text }};{% endfor %}{% else %}{{ m.content }}{% endif %}|"
)


@pytest.mark.parametrize("role", ["system", "assistant", "tool"])
def test_each_role_is_tried_for_itself(role: str) -> None:
    """Gemma 4 takes the user's parts, and prints a system message's parts as a Python list."""
    others = [] if role == "system" else [QUESTION]
    shown = [{"role": name, "content": PARTS} for name in (role, "user")]
    assert render(PARTS_OF_USER_ONLY, *others, *shown).endswith("ab|a;b;|")


def test_parts_of_unknown_types_go_to_templates_that_take_parts() -> None:
    body = "{% for p in m.content %}{{ p.type }}{{ p.text or p.name }};{% endfor %}"
    parts = [*PARTS, {"type": "tool_reference", "name": "weather"}]
    output = render(body, {"role": "user", "content": parts})
    assert output == "texta;textb;tool_referenceweather;"


def test_parts_of_unknown_types_are_not_dropped_in_silence() -> None:
    parts = [*PARTS, {"type": "tool_reference", "name": "weather"}]
    with pytest.raises(ParameterError, match="'tool_reference' can't be shown"):
        render("{{ m.content }}", {"role": "user", "content": parts})


@pytest.mark.parametrize("kind", ["image", "image_url", "input_image", "input_audio", "file"])
def test_media_are_refused_whatever_the_template_takes(kind: str) -> None:
    body = "{% for p in m.content %}{{ p.type }}{{ p.text }}{% endfor %}"
    with pytest.raises(ParameterError, match=f"a part of the type '{kind}'"):
        render(body, {"role": "user", "content": [{"type": kind}]})


@pytest.mark.parametrize(
    "expression",
    [
        "m.content.items()",
        "m.content + 1",
        "m.content.frob",
        "m.content | int + [] ",
        "m.content.format.frob()",
        "dict.frob()",
        "namespace(a=1) + 1",
        "[] + m.content",
    ],
)
def test_errors_speak_of_the_templates_types(expression: str) -> None:
    source = f"{{% for m in messages %}}{{{{ ({expression}) + 1 }}}}{{% endfor %}}"
    with pytest.raises(TemplateError) as caught:
        ChatTemplate(source).render([QUESTION])
    assert not any(
        word in str(caught.value) for word in ("Marked", "FormatMethod", "_Dict", "_Namespace")
    )


# -- reasoning ----------------------------------------------------------------------------------

SHOWN = (
    "{% for m in messages %}{% if m.role == 'user' %}<u>{{ m.content }}</u>{% else %}<a>OPENS"
    "{{ m.content }}CLOSES</a>{% endif %}{% endfor %}{% if add_generation_prompt %}<a>{% endif %}"
)


def tags(before: str, after: str, direct: str = "", key: str = "reasoning_content") -> Any:
    opens = f"{{% if m.{key} %}}{before}{{{{ m.{key} }}}}{after}{{% else %}}{direct}{{% endif %}}"
    return ChatTemplate(SHOWN.replace("OPENS", opens).replace("CLOSES", "")).reasoning


@pytest.mark.parametrize("key", ["reasoning_content", "thinking", "reasoning"])
@pytest.mark.parametrize(
    ("before", "after", "direct", "expected"),
    [
        ("<mind>\n", "\n</mind>\n\n", "", ("<mind>", "</mind>", "", "\n")),
        ("<mind>", "</mind>", "<mind></mind>", ("<mind>", "</mind>", "", "")),
        ("<|channel>thought\n", "\n<channel|>", "", ("<|channel>thought", "<channel|>", "", "\n")),
        ("<x:think>", "</x:think>", "", ("<x:think>", "</x:think>", "", "")),
        ("<|t|>", "<|e|><|b|>a<|c|>", "<|c|>", ("<|t|>", "<|e|><|b|>a", "<|c|>", "")),
    ],
)
def test_the_tags_are_read_off_the_template(
    before: str, after: str, direct: str, expected: tuple[str, ...], key: str
) -> None:
    found = tags(before, after, direct, key)
    assert (found.opening, found.closing, found.direct, found.pad) == expected


def test_tags_that_the_opened_turn_has_are_found_too() -> None:
    opened = SHOWN.replace("<a>{% endif %}", "<a><mind>\n{% endif %}")
    opens = "{% if m.reasoning %}<mind>\n{{ m.reasoning }}\n</mind>\n\n{% endif %}"
    found = ChatTemplate(opened.replace("OPENS", opens).replace("CLOSES", "")).reasoning
    assert found is not None
    assert (found.opening, found.closing) == ("<mind>", "</mind>")


def test_what_differs_before_a_call_does_not_belong_to_the_tags() -> None:
    after = "</mind>{% if m.tool_calls %}<|calls|>{% else %}<|text|>{% endif %}"
    assert tags("<mind>", after).closing == "</mind>"


def test_reasoning_that_is_not_set_apart_has_no_tags() -> None:
    assert tags("", "") is None


@pytest.mark.parametrize(
    ("named", "opening"),
    [
        ("<|channel>thought", "<|channel>thought"),
        ("</mm:think>", "<mm:think>"),
        ("[BEGIN FINAL RESPONSE]", "Here are my reasoning steps:"),
        ("<|think|>", "<|think|>"),
        ("</think:opensource>", "<think:opensource>"),
    ],
)
def test_families_that_hide_reasoning_are_known_by_name(named: str, opening: str) -> None:
    source = SHOWN.replace("OPENS", "").replace("CLOSES", "") + "{# " + named + " #}"
    found = ChatTemplate(source).reasoning
    assert found is not None
    assert found.opening == opening

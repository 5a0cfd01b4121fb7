"""What a chat template may use, what it may not, and how much of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from llmlocal._templates import ChatPrompt, ChatTemplate
from llmlocal.errors import TemplateError

USER = [{"role": "user", "content": "<|x|> Hi"}]
X = "{{ messages[0].content }}"


def render(source: str, messages: list[dict[str, Any]] = USER, **options: Any) -> ChatPrompt:
    return ChatTemplate(source).render(messages, **options)


def own_text(source: str, content: str = "<|x|> Hi", **options: Any) -> str:
    prompt = render(source, [{"role": "user", "content": content}], **options)
    return "".join(text for text, is_own in prompt.segments if is_own)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ {'b': '<é>', 'a': 1} | tojson }}", '{"b": "<é>", "a": 1}'),
        ("{{ 'é' | tojson(ensure_ascii=True) }}", r'"\u00e9"'),
        (
            "{{ {'b': 1, 'a': [2]} | tojson(sort_keys=True, separators=(',', ':')) }}",
            '{"a":[2],"b":1}',
        ),
        ("{{ [1] | tojson(indent=2) }}", "[\n  1\n]"),
        ("{{ strftime_now('%Y-%m-%d') }}", "2025-03-14"),
        ("{% generation %}a{{ 1 }}{% endgeneration %}", "a1"),
        (
            "{% for i in [1, 2, 3] %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}",
            "13",
        ),
        ("{% for i in [1, 2, 3] %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "1"),
        (
            "{% set ns = namespace(a=1) %}{% for i in [5] %}{% set ns.a = i %}{% endfor %}{{ ns.a }}",
            "5",
        ),
        ("{{ dict(a=1)['a'] }}{{ dict.fromkeys(['k'], 2).k }}", "12"),
        ("{{ '  a\\n' | trim }}|{{ 'a b'.split(' ')[-1] }}|{{ 'ab'.startswith('a') }}", "a|b|True"),
        ("{{ {'a': 1}.items() | list }}{{ {'a': 1} | items | list }}", "[('a', 1)][('a', 1)]"),
        ("{{ '{\"a\": [1]}' | from_json | tojson }}{{ '2' | fromjson + 1 }}", '{"a": [1]}3'),
        ("{{ 'a-b' | regex_replace('-', '+') }}", "a+b"),
        ("{{ '<think>x</think>y' | regex_replace('^[\\\\s\\\\S]*</think>', '') }}", "y"),
        (
            "{{ nothing }}{{ nothing is defined }}{{ 'x' if nothing }}{{ nothing | default('d') }}",
            "Falsed",
        ),
        ("{%- if true %}\n  a\n{% endif %}\nb", "  a\nb"),
        ("  {% if true %}\na{% endif %}", "a"),
        ("{{ [3, 1] | sort | join(',') }}{{ [{'a': 1}] | map(attribute='a') | list }}", "1,3[1]"),
        ("{{ ['a', 'b'] | reject('equalto', 'a') | first }}{{ [1, 2] | sum }}", "b3"),
        ("{{ 'x%s' % 1 }}{{ '{}-{a}'.format(1, a=2) }}{{ '%s' | format(3) }}", "x11-23"),
        ("{{ 'a\\nb' | indent(2) }}{{ 'ab' | capitalize }}{{ 'a' ~ 1 ~ none }}", "a\n  bAba1None"),
        ("{% macro m(a, b=2) %}{{ a + b }}{% endmacro %}{{ m(1) }}{{ m(1, b=3) }}", "34"),
        ("{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}x{% endcall %}", "[x]"),
        ("{% filter upper %}a{% endfilter %}{% set x %}b{{ 1 }}{% endset %}{{ x }}", "Ab1"),
        (
            "{% for x in [1, [2]] recursive %}{{ loop(x) if x is iterable else x }}{% endfor %}",
            "12",
        ),
        (
            "{{ 7 // 2 }}{{ 7 % 2 }}{{ 2 ** 3 }}{{ -1 }}{{ 1.5 }}{{ true }}{{ 'a' * 3 }}",
            "318-11.5Trueaaa",
        ),
        (
            "{{ messages | length }}{{ tools is none }}{{ documents is none }}{{ add_generation_prompt }}",
            "1TrueTrueTrue",
        ),
        ("{{ 'ab'[0] }}{{ 'ab'[::-1] }}{{ 'a' in 'ab' }}{{ ['b'] + ['c'] }}", "abaTrue['b', 'c']"),
        ("{% set l = [] %}{% set _ = l.append(1) %}{% set _ = l.append('b') %}{{ l }}", "[1, 'b']"),
        ("{{ 'ß' | upper }}{{ 'a b c' | wordcount }}{{ 5 | string }}{{ '5' | int + 1 }}", "SS356"),
    ],
)
def test_what_templates_rely_on(source: str, expected: str) -> None:
    assert render(source, now=datetime(2025, 3, 14)) == expected


def test_variables_reach_the_template() -> None:
    source = "{{ mode }}{{ tools[0].name }}{{ documents[0].text }}{{ bos_token }}"
    prompt = render(
        source,
        variables={"mode": "fast"},
        tools=[{"name": "t"}],
        documents=[{"text": "d"}],
        special_tokens={"bos_token": "<s>"},
    )
    assert prompt == "fasttd<s>"
    assert prompt.segments == (("fast", True), ("td", False), ("<s>", True))


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("{{ 1 | frobnicate }}", r"filter 'frobnicate'.*filters=\{'frobnicate'"),
        ("{% if add_generation_prompt %}{{ 1 | frobnicate }}{% endif %}", "filter 'frobnicate'"),
        ("{{ 1 is frobnicated }}", "test 'frobnicated'"),
        ("{{ frobnicate(1) }}", r"needs 'frobnicate'.*variables=\{'frobnicate'"),
        ("{{ settings.mode }}", r"needs 'settings'.*variables=\{'settings'"),
        ("{{ messages[0].content.frob() }}", "has no attribute 'frob'"),
        ("{{ raise_exception('no tools here') }}", "does not accept these messages: no tools here"),
        ("{% for %}", "malformed, line 1"),
        ("{% frob %}", "malformed, line 1.*frob"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ [].pop() }}", "unsafe"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ cycler.__init__.__globals__ }}", "unsafe"),
        ("{{ '{0.__class__.__mro__}'.format('') }}", "unsafe"),
        ("{{ (''|attr('__class__')).x }}", "unsafe"),
        ("{{ namespace(__class__=1) }}", "underscore"),
        ("{{ namespace() }}", "not plain data"),
        ("{{ 'a'.encode().decode() }}", "unsafe"),
        ("{% include 'x' %}", "failed"),
        ("{% import 'x' as x %}", "failed"),
    ],
)
def test_what_it_lacks_or_may_not_is_named(source: str, named: str) -> None:
    with pytest.raises(TemplateError, match=named):
        render(source)


def test_a_missing_filter_can_be_given() -> None:
    template = ChatTemplate(
        "{{ messages[0].content | shout }}", filters={"shout": lambda text: f"{text}!"}
    )
    assert template.render(USER).segments == (("<|x|> Hi!", False),)


def test_a_template_that_never_ends_is_too_long() -> None:
    with pytest.raises(TemplateError, match="100,000 are allowed"):
        ChatTemplate("x" * 100_001)

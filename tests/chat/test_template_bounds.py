"""Templates that would take too long, or too much memory: they are stopped."""

from __future__ import annotations

import time
from typing import Any

import pytest

from llmlocal._regex_cost import most_steps
from llmlocal._templates import ChatPrompt, ChatTemplate
from llmlocal._templates._limits import Limits
from llmlocal._templates._regex import regex_replace
from llmlocal.errors import TemplateError

USER = [{"role": "user", "content": "<|x|> Hi"}]
X = "{{ messages[0].content }}"


def render(source: str, messages: list[dict[str, Any]] = USER, **options: Any) -> ChatPrompt:
    return ChatTemplate(source).render(messages, **options)


def own_text(source: str, content: str = "<|x|> Hi", **options: Any) -> str:
    prompt = render(source, [{"role": "user", "content": content}], **options)
    return "".join(text for text, is_own in prompt.segments if is_own)


SMALL = Limits(seconds=0.05, size=20_000)
HOSTILE = {
    "loop in loop": "{% set r = range(99999) %}{% for i in r %}{% for j in r %}{% endfor %}{% endfor %}",
    "loop that filters": "{% set r = range(99999) %}{% for i in r %}{% for j in r if false %}{% endfor %}{% endfor %}",
    "huge range": "{% for i in range(10 ** 10) %}{% endfor %}",
    "output": "{% set r = range(99999) %}{% for i in r %}{% for j in r %}aaaaaaaaaaa{% endfor %}{% endfor %}",
    "growing output": "{% set a = 'a' * 9000 %}{% for i in range(99999) %}{{ a ~ i }}{% endfor %}",
    "macro recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "loop recursion": "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "doubling +": "{% set n = namespace(x='a') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "doubling ~": "{% set n = namespace(x='a') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "doubling block": "{% set n = namespace(x='a') %}{% for i in range(99) %}{% set y %}{{ n.x }}{{ n.x }}{% endset %}"
    "{% set n.x = y %}{% endfor %}",
    "laughing lists": "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}"
    "{{ n.x }}",
    "laughing tuples": "{% set n = namespace(x=1) %}{% for i in range(99) %}{% set n.x = (n.x, n.x) %}{% endfor %}"
    "{{ n.x }}",
    "laughing dicts": "{% set n = namespace(x=1) %}{% for i in range(99) %}{% set n.x = {'a': n.x, 'b': n.x} %}"
    "{% endfor %}{{ n.x | tojson }}",
    "laughing namespaces": "{% set n = namespace(x=1) %}{% for i in range(99) %}"
    "{% set n.x = namespace(a=n.x, b=n.x) %}{% endfor %}{{ n.x }}",
    "str *": "{{ 'a' * 10 ** 10 }}",
    "* str": "{{ 10 ** 10 * 'a' }}",
    "list *": "{{ ([1] * 10 ** 10) | length }}",
    "constant": "{{ ('a' * 10000000000) | length }}",
    "constant filter": "{{ 'x' | center(10000000000) | length }}",
    "power": "{{ 9 ** (9 ** 9) }}",
    "squares": "{% set n = namespace(x=3) %}{% for i in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}",
    "center": "{{ 'x'.center(10 ** 10) }}",
    "ljust": "{{ 'x'.ljust(10 ** 10) }}",
    "zfill": "{{ 'x'.zfill(10 ** 10) }}",
    "expandtabs": "{{ '\t'.expandtabs(10 ** 10) }}",
    "printf": "{{ '%10000000000d' % 1 }}",
    "printf *": "{{ '%*d' % (10 ** 10, 1) }}",
    "printf filter": "{{ '%10000000000d' | format(1) }}",
    "format": "{{ '{:10000000000}'.format(1) }}",
    "format nested": "{{ '{:{}}'.format(1, 10 ** 10) }}",
    "replace": "{% set a = 'a' * 9000 %}{{ a.replace('a', a) }}",
    "replace filter": "{% set a = 'a' * 9000 %}{{ a | replace('a', a) }}",
    "replace nothing": "{% set a = 'a' * 9000 %}{{ a.replace('', a) }}",
    "join": "{{ range(9999) | join('a' * 9000) }}",
    "join method": "{{ ('a' * 9000).join(('b' * 900) | list) }}",
    "indent": "{{ ('\n' * 900) | indent(10 ** 9) }}",
    "json indent": "{{ [1] | tojson(indent=10 ** 9) }}",
    "json separators": "{{ (range(900) | list) | tojson(separators=('a' * 9000, ':')) }}",
    "batch": "{{ [1] | batch(10 ** 10, 'x') | list }}",
    "slice": "{{ [1] | slice(10 ** 10) | list }}",
    "round": "{{ 1.5 | round(10 ** 9, 'ceil') }}",
    "wordwrap": "{{ ('a ' * 900) | wordwrap(1, wrapstring='b' * 9000) }}",
    "many variables": "".join(f"{{% set a{i} = 'a' * 9999 ~ 1 %}}" for i in range(999)),
    "many slices": "{% set b = 'a' * 19000 %}"
    + "".join(f"{{% set a{i} = b[1:] %}}" for i in range(999)),
    "hidden in namespaces": "{% set n = namespace(l=[]) %}{% for i in range(99999) %}"
    "{% set n.l = n.l + [namespace(a='a' * 9000 ~ i)] %}{% endfor %}",
    "comparing": "{% set a = ('ab' * 900) | list %}{% set b = ('ab' * 900) | list %}"
    "{% for i in range(99999) %}{% if a == b %}{% endif %}{% endfor %}",
    "comparing in a row": "{% set a = range(9999) | list %}{% set b = range(9999) | list %}"
    + "{% if a == b %}{% endif %}" * 3000,
    "searching": "{% for i in range(99999) %}{% if 'b' in 'a' * 9000 %}{% endif %}{% endfor %}",
    "calls": "".join(
        f"{{% macro m{i}() %}}{{% for j in range(9) %}}{{{{ m{i + 1}() }}}}{{% endfor %}}{{% endmacro %}}"
        for i in range(80)
    )
    + "{% macro m80() %}{% endmacro %}{{ m0() }}",
    "lazy filters": "{% for i in range(99999) %}{% set x = range(9999) | map('string') | list | length %}{% endfor %}",
    "regex": "{{ ('a' * 40) | regex_replace('(a+)+$', '') }}",
    "regex steps": "{{ ('a' * 9000) | regex_replace('a*a*a*b', '') }}",
    "regex options": "{{ ('a' * 40) | regex_replace('a?' * 40 + 'b', '') }}",
    "regex alternatives": "{{ ('a' * 80) | regex_replace('(aa|a)' * 30 + 'b', '') }}",
    "nesting": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "nested lists": "{{ " + "[" * 5000 + "]" * 5000 + " }}",
    "nested ifs": "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
    "nested loops": "{% for i in [1] %}" * 99 + "{% endfor %}" * 99,
    "list in itself": "{% set l = [] %}{% set _ = l.append([{'a': l}]) %}{{ l }}",
    "long list": "{% set l = [] %}{% for i in range(99999) %}{% set _ = l.append('a' * 99) %}{% endfor %}",
    "time format": "{{ strftime_now('%d' * 99999) }}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_is_stopped(name: str) -> None:
    started = time.thread_time()
    with pytest.raises(TemplateError) as caught:
        ChatTemplate(HOSTILE[name], limits=SMALL).render(USER)
    assert "MemoryError" not in str(caught.value)
    assert time.thread_time() - started < 1.5


def test_depth_is_bounded() -> None:
    """Not left to Python's recursion limit, which a program may have raised beyond its stack."""
    with pytest.raises(TemplateError, match="macros more than 100 deep"):
        render("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}")


def test_time_is_bounded() -> None:
    assert Limits().seconds == 5
    endless = "{% set r = range(99999) %}{% for i in r %}{% for j in r %}{% endfor %}{% endfor %}"
    started = time.thread_time()
    with pytest.raises(TemplateError, match=r"ran for more than 0\.2 s"):
        ChatTemplate(endless, limits=Limits(seconds=0.2)).render(USER)
    assert 0.2 <= time.thread_time() - started < 0.5


def test_size_is_bounded_by_default() -> None:
    with pytest.raises(TemplateError, match=r"500,\d\d\d and"):
        render("{{ 'a' * 600000 }}")


def test_a_long_conversation_is_no_attack() -> None:
    """What may be made grows with what is passed in."""
    messages = [{"role": "user", "content": f"{i} " * 1000} for i in range(300)]
    source = "{% set n = namespace(t='') %}{% for m in messages %}{% set n.t = n.t + '<' + m.content + '>' %}{% endfor %}{{ n.t }}"
    assert len(render(source, messages)) > 1_000_000


@pytest.mark.parametrize(
    ("pattern", "steps"),
    [
        ("abc", 10),
        ("^abc", 1),
        (r"^[\s\S]*</think>", 10),
        (r"[\s\S]*</think>", 100),
        (r"^\s+|\s+$", 200),
        ("a{3}", 10),
        ("a{3,900}", 100),
        ("a{3,5}", 30),
        ("a*?b", 100),
        ("a?b?c?", 80),
        ("(?:ab|cd)x*", 200),
        ("(ab|cd)(ab|cd)(ab|cd|e)", 120),
        ("(?=a*)b", 100),
        ("(a+)+", None),
        ("(ab|a)*c", None),
        ("(?:a?)*", None),
        (r"(a)\1", None),
        ("a" * 201, None),
    ],
)
def test_the_cost_of_a_pattern_is_known(pattern: str, steps: int | None) -> None:
    assert most_steps(pattern, 9) == steps


def test_a_malformed_pattern_is_named() -> None:
    with pytest.raises(TemplateError, match=r"'\(' is malformed"):
        regex_replace("x", "(")

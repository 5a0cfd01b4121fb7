"""What a chat template may use, what it may not, and how much of it."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmlocal._templates import ChatPrompt, ChatTemplate
from llmlocal._templates._limits import Limits
from llmlocal._templates._regex import exponent, regex_replace
from llmlocal.errors import ParameterError, TemplateError

USER = [{"role": "user", "content": "<|x|> Hi"}]
X = "{{ messages[0].content }}"


def render(source: str, messages: list[dict[str, Any]] = USER, **options: Any) -> ChatPrompt:
    return ChatTemplate(source).render(messages, **options)


def own_text(source: str, content: str = "<|x|> Hi", **options: Any) -> str:
    prompt = render(source, [{"role": "user", "content": content}], **options)
    return "".join(text for text, is_own in prompt.segments if is_own)


# -- Hugging Face's environment -----------------------------------------------------------------


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


# -- marks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "expression",
    [
        "{0}",
        "{0}.strip()",
        "{0} | trim | upper | lower | capitalize",
        "{0} | title",
        "{0}.split(' ')[0]",
        "{0}.split() | join",
        "{0} | string | safe",
        "{0} | e",
        "{0} | forceescape",
        "{0} | replace('H', 'J')",
        "{0} | regex_replace('H', 'J')",
        "{0} | indent",
        "{0} | center(30)",
        "{0} | truncate(6)",
        "{0} | wordwrap(3)",
        "{0} | tojson",
        "{0} | urlencode",
        "{0} | striptags",
        "{0} | list | join",
        "{0} | reverse",
        "{0}[2:]",
        "{0}[0]",
        "({0} ~ '')",
        "({0} + {0})",
        "({0} * 2)",
        "'%s' % {0}",
        "'%(a)s' % {'a': {0}}",
        "'%s' | format({0})",
        "'{}'.format({0})",
        "'{a!r:>20}'.format(a={0})",
        "'{a}'.format_map({'a': {0}})",
        "'{0[a]}'.format({'a': {0}})",
        "{0}.format(1)",
        "'x'.join([{0}, {0}])",
        "[{0}] | join",
        "[[{0}]] | sum(start=[]) | first",
        "[{0}]",
        "{'k': {0}}",
        "{ {0}: 1 } | items | list | first | first",
        "{'k': {0}} | tojson",
        "{'k': {0}} | pprint",
        "{'k': {0}} | xmlattr",
        "('\"' ~ {0} ~ '\"') | fromjson",
        "(('[\"' ~ {0} ~ '\"]') | fromjson)[0]",
        "messages | map(attribute='content') | join",
        "messages | map(attribute='content') | map('upper') | first",
        "messages | map(attribute='content') | list | last",
        "(messages | groupby('content') | first)[0]",
        "messages[0].get('content')",
        "messages[0].values() | list | last",
        "{0} | default('x')",
        "{0} if true",
        "({0} or 'x')",
        "[{0}] | max",
        "{0}.partition('H')[0]",
        "{0}.replace('H', {0})",
        "'H'.replace('H', {0})",
        "{0}.zfill(20)",
        "{0}.swapcase()",
        "{0}.casefold()",
        "{0}.expandtabs()",
        "{0}.ljust(20)",
        "cycler({0}).next()",
        "namespace(a={0}).a",
        "dict(a={0}).a",
        "strftime_now({0})",
    ],
)
def test_no_operation_makes_what_was_said_the_templates(expression: str) -> None:
    """Nothing of it counts as the template's: letters that the template hasn't are never trusted."""
    expression = expression.replace("{0}", "messages[0].content")
    said = "«»¿¡ Hi ®"
    own = own_text("{{ " + expression + " }}", said)
    assert not set(own) & set(said.replace(" ", "") + said.lower() + said.upper()) - set(" ")
    assert render("{{ " + expression + " }}", [{"role": "user", "content": said}])


def test_what_is_appended_to_a_list_is_not_the_templates() -> None:
    """Also where the list was found to be the template's own before."""
    source = (
        "{% set l = ['<|a|>'] %}{% set o = {'k': l} %}{% set _ = o | tojson %}"
        "{% set _ = l.append(messages[0].content) %}{{ o | tojson }}{{ o }}"
    )
    assert "<|x|>" not in own_text(source)
    assert "<|x|>" in render(source)


@pytest.mark.parametrize(
    "source",
    [
        "{% macro m(t) %}<|a|>{{ t }}<|b|>{% endmacro %}{{ m(messages[0].content) }}",
        "{% set x %}<|a|>{{ messages[0].content }}<|b|>{% endset %}{{ x | trim }}",
        "{{ '<|a|>' + messages[0].content + '<|b|>' }}",
        "{{ '<|a|>' ~ messages[0].content ~ '<|b|>' }}",
        "{{ '<|a|>%s<|b|>' | replace('%s', messages[0].content) }}",
        "{{ '<|a|>{}<|b|>'.format(messages[0].content) }}",
        "{{ ['<|a|>', messages[0].content, '<|b|>'] | join }}",
        "{{ messages[0].content.join(['<|a|>', '<|b|>']) }}",
        "{{ ('  <|a|>' + messages[0].content + '<|b|>\n') | trim }}",
        "{% filter trim %} <|a|>{{ messages[0].content }}<|b|> {% endfilter %}",
        """{% set ns = namespace(t='<|a|>') %}
        {%- for m in messages %}{% set ns.t = ns.t + m.content %}{% endfor %}{{ ns.t + '<|b|>' }}""",
        "<|{{ {'user': 'a'}[messages[0].role] }}|>{{ messages[0].content }}<|b|>",
        """{%- set l = ['<|a|>'] %}{% set outer = [l] %}{% set _ = outer | length %}
        {%- set _ = l.append(messages[0].content) %}{% set _ = l.append('<|b|>') %}
        {{- outer[0] | join }}""",
    ],
)
def test_the_templates_own_tokens_stay_its_own(source: str) -> None:
    assert render(source).segments == (("<|a|>", True), ("<|x|> Hi", False), ("<|b|>", True))


def test_a_role_may_be_part_of_a_token() -> None:
    assert render("{{ '<|' + messages[0].role + '|>' }}").segments == (("<|user|>", True),)


@pytest.mark.parametrize("role", ["us er", "<|im_start|>", "", "user\n", None, 3, "a" * 65])
def test_a_role_is_a_word(role: Any) -> None:
    with pytest.raises(ParameterError, match=r"messages\[0\] has the role"):
        render(X, [{"role": role, "content": "x"}])


def test_only_single_words_of_the_variables_are_the_templates() -> None:
    source = "{{ word }}{{ text }}"
    prompt = render(source, variables={"word": "high", "text": "<|x|>"})
    assert prompt.segments == (("high", True), ("<|x|>", False))


@given(content=st.text(st.sampled_from("<|>x{}% \n"), max_size=20))
def test_marking_changes_nothing(content: str) -> None:
    """A template that looks at the content decides as it would without marks."""
    source = (
        "{% set c = messages[0].content %}{% if '<|' in c %}1{% endif %}{% if c.startswith('x') %}2{% endif %}"
        "{{ c.split('|')[-1].lstrip('\\n') }}{{ c | length }}{{ c == 'x' }}{{ c < 'x' }}{{ c[:2] }}"
        "{% for ch in c %}{{ ch }},{% endfor %}{{ c is string }}{{ c | tojson }}{{ [c] }}{{ {c: 1} }}"
    )
    plain = (
        f"{'1' if '<|' in content else ''}{'2' if content.startswith('x') else ''}"
        + content.rsplit("|", maxsplit=1)[-1].lstrip("\n")
        + f"{len(content)}{content == 'x'}{content < 'x'}{content[:2]}"
        + "".join(f"{ch}," for ch in content)
        + f"True{_json(content)}{[content]}{ {content: 1} }"
    )
    assert render(source, [{"role": "user", "content": content}]) == plain


def _json(text: str) -> str:
    return '"' + text.replace("\n", "\\n") + '"'


# -- bounds -------------------------------------------------------------------------------------

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
    ("pattern", "power"),
    [
        ("abc", 1),
        ("^abc", 0),
        (r"^[\s\S]*</think>", 1),
        (r"[\s\S]*</think>", 2),
        (r"^\s+|\s+$", 3),
        ("a{3}", 1),
        ("a{3,900}", 2),
        ("a*?b", 2),
        ("(?:ab|cd)x*", 2),
        ("(?=a*)b", 2),
        ("(a+)+", None),
        ("(ab|a)*c", None),
        ("(?:a?)*", None),
        (r"(a)\1", None),
        ("a" * 201, None),
    ],
)
def test_the_cost_of_a_pattern_is_known(pattern: str, power: int | None) -> None:
    assert exponent(pattern) == power


def test_a_malformed_pattern_is_named() -> None:
    with pytest.raises(TemplateError, match=r"'\(' is malformed"):
        regex_replace("x", "(")

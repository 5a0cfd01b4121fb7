"""What of a prompt is the template's own: no operation makes of what was said a part of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmlocal._templates import ChatPrompt, ChatTemplate
from llmlocal.errors import ParameterError

USER = [{"role": "user", "content": "<|x|> Hi"}]
X = "{{ messages[0].content }}"


def render(source: str, messages: list[dict[str, Any]] = USER, **options: Any) -> ChatPrompt:
    return ChatTemplate(source).render(messages, **options)


def own_text(source: str, content: str = "<|x|> Hi", **options: Any) -> str:
    prompt = render(source, [{"role": "user", "content": content}], **options)
    return "".join(text for text, is_own in prompt.segments if is_own)


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

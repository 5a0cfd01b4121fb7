"""Grammars in GBNF, against what llama.cpp's documentation says they take."""

from __future__ import annotations

import re

import pytest

from llmlocal._generation._constraint import Constraint, constraint_of
from llmlocal._generation._gbnf import gbnf_to_lark, is_gbnf
from llmlocal.errors import ConstraintError

from .matching import Matcher

JSON = r"""
root   ::= object  # The top.
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::=
  "\"" (
    [^"\\\x7F\x00-\x1F] |
    "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) # escapes
  )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\n" [ \t]{0,20}
"""


def grammar(text: str) -> Constraint:
    constraint = constraint_of({"grammar": text})
    assert constraint is not None
    return constraint


@pytest.mark.parametrize(
    ("text", "fits", "breaks"),
    [
        ('root ::= "a"* "ab"', ["ab", "aaab"], ["a", "abb"]),
        ('root ::= [a-z]* "end"', ["end", "theend", "endend"], ["en", "End"]),
        ('root ::= x{2,3}\nx ::= "ab" | "c"', ["abab", "ccab", "ccc"], ["ab", "cccc"]),
        ("root ::= [^a-c\\n]{2}", ["xy", "\t€"], ["ax", "x\n"]),
        ('root ::= "\\x41\\u00e9\\U0001F600" .', ["Aé😀\n"], ["A"]),
        ('root ::= "(" root ")" | "x"', ["x", "((x))"], ["(x", "x)"]),
        ('root ::= [a-z] root "b" | "a" "b"', ["ab", "aabb", "xabb"], ["aab"]),
        ('root ::= ("a" |\n  "b") # no more\n\n# end', ["a", "b"], ["c"]),
        ('root ::= a-b? "-"\na-b ::= "x"', ["-", "x-"], ["x"]),
        ('root ::= [\\]\\-a]+ "/"', ["]-a/"], ["\\/"]),
        (JSON, ['{"a": [1, -2.5e3, true, "x\\u00e9\\n"]}', "{ }"], ['{"a" 1}', "[]"]),
    ],
)
def test_texts(matcher: Matcher, text: str, fits: list[str], breaks: list[str]) -> None:
    constraint = grammar(text)
    assert [each for each in fits if not matcher.takes(constraint, each)] == []
    assert [each for each in breaks if matcher.takes(constraint, each)] == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('start ::= "a"', "no rule named root"),
        ("root ::= x", "no rule named x"),
        ('root ::= "a', "line 1 wants a character"),
        ('root ::= "a"\nb ::= [x', "line 2 wants a character"),
        ("root ::= []", "wants a character"),
        ('root ::= ("a"', "wants )"),
        ('root ::= "\\q"', "an escape that is known"),
        ('root ::= "\\xZZ"', "2 digits"),
        ('root ::= "a"{3000}', "at most 2000 repeats"),
        ('root ::= "\\uD800"', "half of a character"),
        ("root ::= " + "(" * 200, "more than 100 deep"),
        ('root ::= "a" ::= "b"', "wants "),
    ],
)
def test_what_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(ConstraintError, match=re.escape(problem)):
        gbnf_to_lark(text)


def test_which_is_which() -> None:
    assert is_gbnf('# a comment\n root  ::= "x"')
    assert not is_gbnf('start: "::="')
    assert not is_gbnf('start: x\nx: "a"')


def test_special_tokens_by_their_id(matcher: Matcher) -> None:
    mask = matcher.mask(grammar('root ::= <[1]> "x"'))
    assert matcher.allowed(mask) == {1}

"""schema=, regex=, choices= and grammar= in every way of asking."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from llmlocal import LLM, _core
from llmlocal._generation import _guide
from llmlocal._generation._constraint import Constraint, constraint_of
from llmlocal.errors import ConstraintError, ParameterError, SchemaError

from .. import tiny_models
from ..conftest import OpenTiny
from ..vocab_kinds import rwkv_vocab
from .matching import Matcher

# Its random weights like nothing better than to go on: what must end is bounded.
WORD = {"type": "string", "pattern": "^[a-z]{1,4}$"}
SCHEMA = {
    "type": "object",
    "properties": {"name": WORD, "age": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@dataclass
class Point:
    kind: Literal["dot", "cross"]
    size: Literal[1, 2]


def is_person(value: Any) -> bool:
    return set(value) == {"name", "age"} and 0 <= value["age"] <= 99 and value["name"].islower()


def test_a_schema(vocabulary_llm: LLM) -> None:
    reply = vocabulary_llm.generate("A person:", schema=SCHEMA)
    assert reply.finish_reason == "stop"
    assert is_person(reply.parsed)
    assert reply.parsed == json.loads(reply)
    assert vocabulary_llm.generate("x", schema=json.dumps(SCHEMA)).parsed.keys() == {"name", "age"}


def test_a_type(vocabulary_llm: LLM) -> None:
    reply = vocabulary_llm.generate("A point:", schema=list[Point], seed=1, max_tokens=400)
    assert reply.parsed is None or all(isinstance(each, Point) for each in reply.parsed)
    point = vocabulary_llm.generate("A point:", schema=Point).parsed
    assert isinstance(point, Point)
    assert point.kind in ("dot", "cross")


def test_other_constraints(vocabulary_llm: LLM) -> None:
    llm = vocabulary_llm
    assert llm.generate("x", choices=["yes", "no, never"]).parsed in ("yes", "no, never")
    assert len(llm.generate("x", regex="[0-9]{3}-[a-f]").parsed) == 5
    assert llm.generate("x", grammar='root ::= "a" ("b" | "c")').parsed in ("ab", "ac")
    assert llm.generate("x", grammar='start: "a" ("b" | "c")').parsed in ("ab", "ac")


def test_chats_sessions_streams_and_lists(vocabulary_llm: LLM) -> None:
    llm = vocabulary_llm
    assert is_person(llm.chat("A person.", schema=SCHEMA).parsed)
    session = llm.chat_session(schema=SCHEMA)
    assert is_person(session.generate("A person.").parsed)
    assert session.generate("Yes?", choices=["yes"]).parsed == "yes"  # Takes the place of schema.
    assert session.history[-1]["content"] == "yes"
    with session.generate("Another.", streaming=True) as stream:
        assert is_person(json.loads("".join(stream)))
        assert is_person(stream.result.parsed)
        assert is_person(stream.partial)
    replies = llm.generate(["A:", "B:", "C:"], schema=SCHEMA)
    assert all(is_person(reply.parsed) for reply in replies)


def test_asyncio(vocabulary_llm: LLM) -> None:
    async def ask() -> None:
        assert is_person((await vocabulary_llm.agenerate("A:", schema=SCHEMA)).parsed)
        stream = vocabulary_llm.astream("A:", schema=SCHEMA)
        async for _ in stream:
            pass
        assert is_person(stream.partial)
        assert is_person((await stream.result()).parsed)
        assert is_person((await vocabulary_llm.achat("A", schema=SCHEMA)).parsed)

    asyncio.run(ask())


def test_what_has_come_so_far(vocabulary_llm: LLM) -> None:
    seen: list[Any] = []
    with vocabulary_llm.generate("A:", schema=SCHEMA, streaming=True) as stream:
        assert stream.partial is None
        seen += [stream.partial for _ in stream]
    assert is_person(seen[-1])
    assert all(isinstance(each, dict) for each in seen)
    assert [len(each) for each in seen] == sorted(len(each) for each in seen)
    with vocabulary_llm.generate("A:", streaming=True, max_tokens=3) as stream:
        assert stream.result.parsed is None
        assert stream.partial is None


def test_half_a_value_is_none(vocabulary_llm: LLM) -> None:
    llm = vocabulary_llm
    for reply in (
        llm.generate("A:", schema=SCHEMA, max_tokens=3),
        llm.generate("A:", regex="[a-z]{50}", max_tokens=3),
        llm.generate("A:", choices=["a" * 50], max_tokens=3),
        llm.chat("A", schema=SCHEMA, max_tokens=3),
    ):
        assert reply.finish_reason == "length"
        assert reply.parsed is None


def test_a_stop_string_cuts_the_value(vocabulary_llm: LLM) -> None:
    reply = vocabulary_llm.generate("A:", regex="abc;abc", stop=";")
    assert reply == "abc"
    assert reply.stop_match == ";"
    assert reply.parsed is None


def test_special_tokens_that_are_spelled_out_are_text(vocabulary_llm: LLM) -> None:
    reply = vocabulary_llm.generate("A:", choices=["<|im_end|>"])
    assert reply == "<|im_end|>"
    end = vocabulary_llm.tokenize("<|im_end|>", add_special=False)
    assert len(end) == 1
    assert end[0] not in reply.tokens
    assert vocabulary_llm.generate("A:", schema={"const": "<|im_end|>"}).parsed == "<|im_end|>"


@pytest.mark.parametrize(
    "options",
    [
        {"schema": SCHEMA},
        {"schema": {"type": "array", "items": {"type": "string", "minLength": 3, "maxLength": 9}}},
        {"regex": "[a-zé]{2,5}|<[|]im_end[|]>"},
        {"grammar": 'root ::= "(" root ")" | [0-9]'},
    ],
)
def test_one_token_is_told_as_all_are(options: dict[str, Any], matcher: Matcher) -> None:
    constraint = constraint_of(options)
    assert constraint is not None
    for seed in range(5):
        mask = matcher.mask(constraint)
        random = np.random.default_rng(seed)
        for _ in range(12):
            allowed = matcher.allowed(mask)
            assert allowed == {token for token in matcher.tokens_of_text if mask.allows(token)}
            if mask.must_stop() or not allowed:
                break
            assert mask.accept(int(random.choice(sorted(allowed))))


def test_a_model_without_an_end_token_still_ends(open_tiny: OpenTiny, tmp_path: Path) -> None:
    vocab = replace(rwkv_vocab(), special={"bos": 0})
    llm = open_tiny(tiny_models.llama(vocab=vocab).write(tmp_path / "endless.gguf"))
    tokenizer = llm._open_tokenizer()
    assert not any(tokenizer.is_end(token) for token in range(tokenizer.vocab_size))
    assert llm.generate("A:", max_tokens=20).finish_reason == "length"
    constraints: list[dict[str, Any]] = [
        {"regex": "[a-z]{3}"},
        {"choices": ["yes", "no"]},
        {"schema": SCHEMA},
    ]
    for options in constraints:
        reply = llm.generate("A:", **options)
        assert reply.finish_reason == "stop"
        assert reply.parsed is not None


def test_requests_at_once_obey_each_their_own(vocabulary_llm: LLM) -> None:
    streams = [
        vocabulary_llm.generate("A:", regex=f"{letter}{{9}}", streaming=True) for letter in "abcdef"
    ]
    free = vocabulary_llm.generate("A:", streaming=True, max_tokens=9)
    assert [stream.result.parsed for stream in streams] == [letter * 9 for letter in "abcdef"]
    assert free.result.finish_reason == "length"


def test_a_prefix_is_still_reused(open_tiny: OpenTiny) -> None:
    llm = open_tiny()
    prompt = "The sun is warm where the river sleeps. " * 5
    llm.generate(prompt, regex="ab")
    assert llm.generate(prompt, regex="cd").usage.cached_tokens > 10


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        (
            {"regex": "a", "choices": ["a"]},
            ParameterError,
            "one constraint, got regex= and choices=",
        ),
        ({"regex": ""}, ParameterError, "not empty"),
        ({"regex": 3}, ParameterError, "regex must be text"),
        ({"regex": "("}, ConstraintError, "regex: .*unclosed group"),
        ({"regex": "a(?=b)"}, ConstraintError, "look-around"),
        ({"choices": []}, ParameterError, "one text at least"),
        ({"choices": "yes"}, ParameterError, "must be a list"),
        ({"choices": [""]}, ParameterError, "not empty"),
        ({"grammar": "start: ("}, ConstraintError, "grammar: "),
        ({"grammar": "root ::= x"}, ConstraintError, "no rule named x"),
        ({"schema": "{"}, SchemaError, "no JSON text"),
        ({"schema": 3}, ParameterError, "a JSON schema or a type"),
        ({"schema": False}, SchemaError, "no answer can obey"),
        ({"schema": {}, "unsupported": "ignore"}, ParameterError, "'error' or 'validate'"),
    ],
)
def test_what_is_wrong_is_said(
    vocabulary_llm: LLM, options: dict[str, Any], kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=f"(?s){text}"):
        vocabulary_llm.generate("A:", **options)


def test_the_latest_are_kept_compiled(vocabulary_llm: LLM) -> None:
    guide = _guide.Guide(vocabulary_llm._open_tokenizer())

    def compiled(text: str) -> _core.Grammar:
        return guide.compile(Constraint("choices", "lark", f'start: "{text}"'))[0]

    first, second = compiled("first"), compiled("second")
    for i in range(_guide._MOST_COMPILED - 1):
        assert compiled("first") is first
        compiled(f"another {i}")
    assert compiled("first") is first
    assert compiled("second") is not second


def test_without_llguidance(open_tiny: OpenTiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else is affected."""
    monkeypatch.setattr(_guide.importlib.util, "find_spec", lambda _: None)  # type: ignore[attr-defined]
    _guide._library.cache_clear()
    llm = open_tiny()
    try:
        llm.chat_session(regex="a")
        with pytest.raises(ConstraintError, match="need the package llguidance"):
            llm.generate("A:", regex="a")
        assert llm.generate("A:", max_tokens=2).usage.completion_tokens == 2
    finally:
        _guide._library.cache_clear()


def test_another_library(tmp_path: Any) -> None:
    with pytest.raises(ConstraintError, match="can't be loaded"):
        _core.GuidanceLibrary(str(tmp_path / "absent.so"))
    with pytest.raises(ConstraintError, match="has no function llg_"):
        _core.GuidanceLibrary(_core.__file__)

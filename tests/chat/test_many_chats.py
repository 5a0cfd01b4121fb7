"""Lists of questions and of conversations: put in order, answered in place, counted."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from llmlocal import LLM, ChatReply, ParameterError, Progress, RequestCancelledError

from ..conftest import OpenTiny

Conversation = list[dict[str, Any]]
SYSTEMS = [f"{name}: " + " ".join(f"{name}{i}" for i in range(25)) for name in "abcdefgh"]


def conversations(count: int) -> list[Conversation]:
    """Over a few system messages, in no order."""
    made = [
        [
            {"role": "system", "content": SYSTEMS[i % len(SYSTEMS)]},
            {"role": "user", "content": f"question {i}"},
        ]
        for i in range(count)
    ]
    random.Random(1).shuffle(made)
    return made


@pytest.fixture
def llm(open_tiny: OpenTiny) -> LLM:
    """Has no room for all of the system messages."""
    return open_tiny(n_ctx=1024, n_parallel=3, prefix_cache_bytes=0)


def evaluated(llm: LLM, work: Callable[[], object]) -> int:
    before = llm.stats().prompt_tokens
    work()
    return llm.stats().prompt_tokens - before


def test_what_they_share_is_evaluated_once(llm: LLM) -> None:
    talks = conversations(40)
    shared = evaluated(llm, lambda: [llm.chat(each, max_tokens=1, temp=0) for each in talks[:1]])
    cost = evaluated(llm, lambda: llm.chat(talks, max_tokens=4, temp=0))
    assert cost <= 1.2 * (shared * len(SYSTEMS) + 40 * 20)
    assert cost < shared * 40 / 3


def test_each_has_the_answer_that_it_has_alone(llm: LLM) -> None:
    talks = conversations(12)
    answers = llm.chat(talks, max_tokens=6, temp=0)
    assert [llm.chat(each, max_tokens=6, temp=0) for each in talks] == answers
    assert {type(each) for each in answers} == {ChatReply}
    assert all(len(each) == 2 for each in talks), "nothing is added to what was passed"


def test_questions_take_the_options_of_one(llm: LLM) -> None:
    options: dict[str, Any] = {"system": "You are terse.", "max_tokens": 5, "seed": 7}
    questions = ["one?", "two?"]
    assert llm.chat(questions, **options) == [llm.chat(each, **options) for each in questions]
    assert [each.seed for each in llm.chat(questions, **options)] == [7, 7]


def test_several_answers_to_each(llm: LLM) -> None:
    rows = llm.chat(["one?", "two?", "three?"], n=2, max_tokens=5, seed=3)
    assert [[each.seed for each in row] for row in rows] == [[3, 4]] * 3
    assert rows[1] == llm.chat("two?", n=2, max_tokens=5, seed=3)
    assert len({each.seed for row in llm.chat(["a", "b"], n=2, max_tokens=1) for each in row}) == 4


@pytest.mark.parametrize(
    ("messages", "options", "match"),
    [
        (["hi"], {"streaming": True}, "a list of them"),
        (["hi"], {"callback": print}, "a list of them"),
        (["hi", 5], {}, "must be a list of dicts"),
        ([[{"role": "user", "content": "x"}], []], {}, "nothing to answer"),
        ([], {}, "nothing to answer"),
        ([5], {}, "must be a dict"),
        ([b"hi"], {}, "must be a dict"),
        ("hi", {"progress": print}, "progress= counts"),
    ],
)
def test_what_makes_no_sense(llm: LLM, messages: Any, options: Any, match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        llm.chat(messages, max_tokens=1, **options)


@pytest.mark.parametrize(
    "work",
    [
        lambda llm, **options: llm.chat([f"number {i}" for i in range(10)], **options),
        lambda llm, **options: llm.generate([[300 + i] * 5 for i in range(10)], **options),
        lambda llm, **options: llm.generate([[300] * 5, [301] * 5], n=5, **options),
        lambda llm, **options: list(llm.map([[300 + i] * 5 for i in range(10)], **options)),
    ],
    ids=["chat", "generate", "several", "map"],
)
def test_progress_counts_the_answers(llm: LLM, work: Callable[..., Any]) -> None:
    told: list[Progress] = []
    answers = work(llm, max_tokens=2, progress=told.append)
    assert told == [Progress("generate", i, 10) for i in range(1, 11)]
    assert len(answers) in (2, 10)
    told.clear()

    def enough(progress: Progress) -> bool:
        told.append(progress)
        return progress.done < 3

    with pytest.raises(RequestCancelledError, match="after 3 of 10"):
        work(llm, max_tokens=200, progress=enough)
    assert len(told) == 3
    assert llm.generate([300], max_tokens=1).finish_reason == "length"


def test_there_is_a_bar_for_many_on_a_terminal(
    llm: LLM, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    for count, is_shown in ((3, False), (17, True)):
        llm.generate([[300 + i] * 3 for i in range(count)], max_tokens=1)
        assert (f"generate {llm.path.name}" in capsys.readouterr().err) is is_shown

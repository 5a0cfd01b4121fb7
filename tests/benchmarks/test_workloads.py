from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.workloads import WORDS, counting, questions, text, turns


@given(st.integers(1, 500), st.integers())
def test_a_text_has_exactly_so_many_words(words: int, seed: int) -> None:
    assert len(text(words, seed).split()) == words


def test_a_text_is_made_of_the_known_words() -> None:
    used = {word.strip(".").lower() for word in text(2000, 1).split()}
    assert used <= set(WORDS)


def test_the_same_seed_gives_the_same_text() -> None:
    assert text(100, ("a", 1)) == text(100, ("a", 1))


def test_another_seed_differs_from_the_first_words_on() -> None:
    beginnings = {text(12, ("prefill", turn)) for turn in range(200)}
    assert len(beginnings) == 200


def test_counting_goes_on() -> None:
    assert counting(7) == "7, 8, 9, 10,"


def test_questions_share_a_text_and_differ_after_it() -> None:
    prompts = questions(16, "A long text.")
    assert len(set(prompts)) == 16
    assert all(prompt.startswith("A long text.\n\nCount on: ") for prompt in prompts)


@pytest.mark.parametrize("seed", [1, 2])
def test_turns_bring_texts_of_their_own(seed: int) -> None:
    said = turns(5, 40, seed)
    assert len(set(said)) == 5
    assert all(len(turn.split()) == 46 for turn in said)

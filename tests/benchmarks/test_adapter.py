# ruff: noqa: ARG002 - the names are the base class's
from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from benchmarks.adapters.adapter import Adapter, Sampling, UnsupportedError
from benchmarks.adapters.completion_api import Conversations, delta_of, text_of


class Clock:
    """Time that passes only when somebody works."""

    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now


class Paced(Adapter):
    """Takes a second for a prompt and a tenth for each further token."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def complete(self, prompt: str, max_tokens: int, sampling: Sampling) -> tuple[str, int]:
        self.clock.now += 1 + 0.1 * (max_tokens - 1)
        return "x" * max_tokens, max_tokens

    def stream(self, prompt: str, max_tokens: int, sampling: Sampling) -> Iterator[str]:
        self.clock.now += 1
        for _ in range(max_tokens):
            yield "x"
            self.clock.now += 0.1

    def chat(self, conversation: str, text: str, max_tokens: int) -> Iterator[str]:
        self.clock.now += 2
        yield "a"
        self.clock.now += 3
        yield "b"


@pytest.fixture
def paced(monkeypatch: pytest.MonkeyPatch) -> Paced:
    clock = Clock()
    monkeypatch.setattr("benchmarks.adapters.adapter.time.perf_counter", clock.perf_counter)
    return Paced(clock)


def test_the_rate_of_an_answer_leaves_its_prompt_out(paced: Paced) -> None:
    result = paced.measure_decode("prompt", 50)
    assert result["tokens_per_s"] == pytest.approx(10)
    assert result["tokens"] == 51


def test_a_streams_rate_counts_from_its_first_piece(paced: Paced) -> None:
    result = paced.measure_stream("prompt", 50)
    assert result["tokens_per_s"] == pytest.approx(10)
    assert result["longest_gap_s"] == pytest.approx(0.1)


def test_a_prompts_rate_is_of_its_own_tokens(paced: Paced) -> None:
    result = paced.measure_prefill("text", 500)
    assert result["tokens_per_s"] == pytest.approx(500)
    assert result["first_token_s"] == pytest.approx(1)


def test_requests_that_can_not_run_together_run_in_turn(paced: Paced) -> None:
    result = paced.measure_together(["a", "b", "c", "d"], 11)
    assert result["seconds"] == pytest.approx(8)
    assert result["tokens_per_s"] == pytest.approx(44 / 8)


def test_the_first_token_of_a_chat_is_the_first_piece(paced: Paced) -> None:
    result = paced.measure_chat("name", "text", 2)
    assert (result["first_token_s"], result["seconds"]) == (pytest.approx(2), pytest.approx(5))
    assert result["text"] == "ab"


def test_an_arrival_needs_requests_that_run_together(paced: Paced) -> None:
    with pytest.raises(UnsupportedError, match="one request at a time"):
        paced.measure_arrival("a", "b", "c", 10, 2)


class Together(Adapter):
    """Two requests at once; the long prompt holds the running answer up for a while."""

    runs_together = True

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.calls = itertools.count()

    def complete(self, prompt: str, max_tokens: int, sampling: Sampling) -> tuple[str, int]:
        self.clock.now += {"alone": 2.0, "arriving": 2.5}[prompt]
        return "x", 1

    def stream(self, prompt: str, max_tokens: int, sampling: Sampling) -> Iterator[str]:
        for number in range(max_tokens):
            yield "x"
            self.clock.now += 0.1 if number < 5 else 0.2


class Inline:
    """A thread that does its work when it is started."""

    def __init__(self, target: object) -> None:
        self.target = target

    def start(self) -> None:
        assert callable(self.target)
        self.target()

    def join(self) -> None:
        pass


def test_an_arrival_tells_the_gap_the_step_and_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("benchmarks.adapters.adapter.time.perf_counter", clock.perf_counter)
    monkeypatch.setattr("benchmarks.adapters.adapter.threading.Thread", Inline)
    result = Together(clock).measure_arrival("running", "alone", "arriving", tokens=20, after=5)
    assert result["normal_step_s"] == pytest.approx(0.1)
    assert result["longest_gap_s"] == pytest.approx(2.6)  # The prompt and the step around it.
    assert result["prompt_share"] == pytest.approx(0.8)


def test_texts_are_found_in_either_form_of_reply() -> None:
    assert text_of({"content": "a"}) == "a"
    assert text_of({"choices": [{"text": "b"}]}) == "b"
    assert delta_of({"choices": [{"delta": {"content": "c"}}]}) == "c"
    assert delta_of({"choices": [{"delta": {"role": "assistant", "content": None}}]}) == ""
    assert delta_of({"choices": []}) == ""


def test_a_conversation_is_told_as_a_whole_each_time() -> None:
    talk = Conversations()
    assert talk.ask("a", "Hello") == [{"role": "user", "content": "Hello"}]
    assert list(talk.listen("a", ["", "Good ", "day"])) == ["Good ", "day"]
    assert talk.ask("b", "Another") == [{"role": "user", "content": "Another"}]
    assert [message["content"] for message in talk.ask("a", "Bye")] == ["Hello", "Good day", "Bye"]

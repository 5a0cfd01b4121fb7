"""The predictor by itself: batches of rows in, the same rows with their answers out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from llmlocal import ChecksumError, ParameterError
from llmlocal.ray import Predictor, build_processor

from ..conftest import TinyPath

OPTIONS: dict[str, Any] = {"device": "cpu", "n_ctx": 256, "n_threads": 1}
GREEDY = {"temperature": 0, "max_tokens": 5}


@pytest.fixture(scope="module")
def predict(tiny_path: TinyPath) -> Iterator[Predictor]:
    made = Predictor(tiny_path("llama"), **OPTIONS)
    yield made
    made.close()


def test_rows_are_answered_in_their_order(predict: Predictor) -> None:
    prompts = ["one", "two", "three"]
    answered = predict({"prompt": prompts, "sampling_params": [GREEDY] * 3, "id": [7, 8, 9]})
    assert answered["id"] == [7, 8, 9]
    assert answered["num_generated_tokens"] == [5, 5, 5]
    assert answered["error"] == ["", "", ""]
    for i, prompt in enumerate(prompts):
        alone = predict({"prompt": [prompt], "sampling_params": [GREEDY]})
        assert alone["generated_text"][0] == answered["generated_text"][i]


def test_columns_of_numpy_as_ray_has_them(predict: Predictor) -> None:
    messages = np.array([[{"role": "user", "content": "hi", "name": None}]], dtype=object)
    columns: Any = {"messages": messages, "sampling_params": np.array([GREEDY])}
    answered = predict(columns)
    assert answered["error"] == [""]
    assert answered["num_generated_tokens"] == [5]


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ({"prompt": ""}, "empty"),
        ({"prompt": "x", "sampling_params": {"temperature": -1}}, "temp"),
        ({"prompt": "x", "sampling_params": {"beam_width": 3}}, "beam_width"),
        ({"prompt": "word " * 400}, "context"),
        ({"messages": [{"content": "no role"}]}, "role"),
        ({"other": 1}, "needs messages or a prompt"),
    ],
)
def test_a_bad_row_costs_itself_only(predict: Predictor, row: dict[str, Any], error: str) -> None:
    good = {"prompt": "fine", "sampling_params": GREEDY}
    names = {*row, *good}
    columns = {name: [good.get(name), row.get(name), good.get(name)] for name in names}
    answered = predict(columns)
    assert error in answered["error"][1]
    assert [answered["error"][0], answered["error"][2]] == ["", ""]
    assert answered["num_generated_tokens"] == [5, 0, 5]


def test_a_row_that_is_answered_again_gets_the_same(predict: Predictor) -> None:
    hot = {"temperature": 1.5, "max_tokens": 8}
    first = predict({"prompt": ["a", "b"], "sampling_params": [hot, hot]})
    again = predict({"prompt": ["b", "a"], "sampling_params": [hot, hot]})
    assert first["generated_text"] == again["generated_text"][::-1]


def test_another_file_is_refused(tiny_path: TinyPath) -> None:
    digest = hashlib.sha256(tiny_path("llama").read_bytes()).hexdigest()
    Predictor(tiny_path("llama"), sha256=digest, **OPTIONS).close()
    with pytest.raises(ChecksumError, match="SHA-256"):
        Predictor(tiny_path("llama"), sha256="0" * 64, **OPTIONS)


def test_what_makes_no_processor() -> None:
    with pytest.raises(ParameterError, match="batch_size"):
        build_processor(model="m", batch_size=0)

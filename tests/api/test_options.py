"""Options of a request: every wrong one is refused with its name, its value and its range."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmlocal import LLM, Options, ParameterError, _core
from llmlocal._generation._options import RequestOptions, recommended_options

from ..conftest import OpenTiny, TinyPath
from ..tiny_models import llama

INF, NAN = math.inf, math.nan

FLOATS = [name for name, kind in get_type_hints(Options).items() if kind is float]
INTS = [name for name, kind in get_type_hints(Options).items() if kind is int]
OPTIONAL = [name for name, kind in get_type_hints(Options).items() if type(None) in get_args(kind)]

OUT_OF_RANGE = [
    ("max_tokens", -1, "max_tokens must be >= 0, got -1"),
    ("max_tokens", 2**31, "max_tokens must be 0 to 2147483647, got 2147483648"),
    ("temp", -0.1, "temp must be a finite number >= 0, got -0.1"),
    ("temp", INF, "temp must be a finite number >= 0, got inf"),
    ("temp", NAN, "temp must be a finite number >= 0, got nan"),
    ("temp", 10**400, "temp is too large"),
    ("temp", 1e39, r"temp is too large: it must be below 3.4e38, got 1e\+39"),
    ("top_k", -1, r"top_k must be >= 0 \(0 = off\), got -1"),
    ("top_k", -(2**40), "top_k must be 0 to 2147483647, got -1099511627776"),
    ("top_p", 0, r"top_p must be in \(0, 1\] \(1 = off\), got 0"),
    ("top_p", 1.01, r"top_p must be in \(0, 1\] \(1 = off\), got 1.01"),
    ("top_p", NAN, r"top_p must be in \(0, 1\] \(1 = off\), got nan"),
    ("min_p", -0.01, r"min_p must be in \[0, 1\] \(0 = off\), got -0.01"),
    ("min_p", 1.01, r"min_p must be in \[0, 1\]"),
    ("typical_p", 0, r"typical_p must be in \(0, 1\]"),
    ("top_n_sigma", INF, "top_n_sigma must be a finite number"),
    ("repeat_penalty", 0, "repeat_penalty must be a finite number > 0"),
    ("repeat_penalty", INF, "repeat_penalty must be a finite number > 0"),
    ("repeat_last_n", -1, "repeat_last_n must be >= 0"),
    ("frequency_penalty", NAN, "frequency_penalty must be a finite number"),
    ("presence_penalty", -INF, "presence_penalty must be a finite number"),
    ("dry_multiplier", -1, "dry_multiplier must be a finite number >= 0"),
    ("dry_base", 0.9, "dry_base must be a finite number >= 1, got 0.9"),
    ("dry_allowed_length", -1, "dry_allowed_length must be >= 0"),
    ("dry_last_n", -1, "dry_last_n must be >= 0"),
    ("dry_breakers", [""], "dry_breakers must hold non-empty strings, got ''"),
    ("xtc_probability", 1.5, r"xtc_probability must be in \[0, 1\]"),
    ("xtc_threshold", -1, r"xtc_threshold must be in \[0, 1\]"),
    ("mirostat", 3, r"mirostat must be 0 \(off\), 1 or 2, got 3"),
    ("mirostat_tau", 0, "mirostat_tau must be a finite number > 0"),
    ("mirostat_eta", 0, "mirostat_eta must be a finite number > 0"),
    ("logit_bias", {10**6: 1.0}, "logit_bias: a token id must be in .* vocabulary, got 1000000"),
    ("logit_bias", {-1: 1.0}, "logit_bias: a token id must be in .* vocabulary, got -1"),
    ("logit_bias", {1: INF}, "logit_bias: a bias must be a finite number or -inf, got inf"),
    ("logit_bias", {1: NAN}, "logit_bias: a bias must be a finite number or -inf, got nan"),
    ("stop", "", "stop must hold non-empty strings, got ''"),
    ("stop", ["a", ""], "stop must hold non-empty strings, got ''"),
    ("stop", ["\ud800"], r"stop must hold valid text, got '\\ud800'"),
    ("seed", -1, r"seed must be 0 to 2\*\*64 - 1, got -1"),
    ("seed", 2**64, "seed must be 0 to 18446744073709551615, got 18446744073709551616"),
    ("timeout", 0, "timeout must be > 0 seconds, got 0"),
    ("timeout", -1.5, "timeout must be > 0 seconds, got -1.5"),
    ("timeout", NAN, "timeout must be > 0 seconds, got nan"),
]

WRONG_KIND = [
    *((name, "1", f"{name} must be a number, got '1'") for name in FLOATS),
    *((name, 1.0, f"{name} must be a whole number, got 1.0") for name in INTS),
    *((name, None, f"{name} must be a") for name in FLOATS + INTS),
    *((name, True, f"{name} must be a .*number, got True") for name in FLOATS + INTS),
    ("max_tokens", 1.5, "max_tokens must be a whole number, got 1.5"),
    ("seed", "1", "seed must be a whole number, got '1'"),
    ("timeout", "1", "timeout must be a number, got '1'"),
    ("stop", 5, "stop must hold non-empty strings, got 5"),
    ("stop", ["a", 5], "stop must hold non-empty strings, got 5"),
    ("stop", [None], "stop must hold non-empty strings, got None"),
    ("dry_breakers", [1], "dry_breakers must hold non-empty strings, got 1"),
    ("logit_bias", [(1, 2.0)], r"logit_bias must map token ids to numbers, got \[\(1, 2.0\)\]"),
    ("logit_bias", {"a": 1}, "logit_bias: a token id must be a whole number, got 'a'"),
    ("logit_bias", {1: "a"}, "logit_bias: a bias must be a number, got 'a'"),
]


@pytest.fixture(scope="module")
def llm(tiny_path: TinyPath) -> Iterator[LLM]:
    with LLM(tiny_path("llama"), n_ctx=64, n_threads=1, progress=False) as model:
        yield model


@pytest.mark.parametrize(("name", "value", "message"), OUT_OF_RANGE + WRONG_KIND)
def test_a_wrong_value_is_refused(name: str, value: Any, message: str, llm: LLM) -> None:
    options: Any = {"max_tokens": 1, name: value}
    with pytest.raises(ParameterError, match=message):
        llm.generate("hello", **options)
    assert llm.stats().sequences_active == 0


@pytest.mark.parametrize("name", FLOATS + INTS)
def test_every_number_has_a_test_of_its_range(name: str) -> None:
    assert name in {each for each, _, _ in OUT_OF_RANGE}


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("max_token", "there is no option 'max_token'; did you mean 'max_tokens'?"),
        ("temperature", "there is no option 'temperature'; did you mean 'temp'?"),
        ("stream", "there is no option 'stream'; did you mean 'streaming'?"),
        ("top-k", "there is no option 'top-k'; did you mean 'top_k'?"),
        ("xyzzy", "there is no option 'xyzzy'$"),
    ],
)
def test_an_unknown_name_is_a_type_error(name: str, hint: str, llm: LLM) -> None:
    options: Any = {name: 1}
    with pytest.raises(TypeError, match=hint):
        llm.generate("hello", **options)


@pytest.mark.parametrize("name", OPTIONAL)
def test_none_is_the_default_where_there_is_a_none(name: str, llm: LLM) -> None:
    options: Any = {name: None}
    answer = llm.generate("hello", **{"max_tokens": 2, **options})
    assert answer.finish_reason == "length"


@pytest.mark.parametrize(
    "options",
    [
        {"temp": 0, "top_k": 0, "top_p": 1, "min_p": 1, "typical_p": 1, "timeout": INF},
        {"temp": Fraction(1, 2), "top_k": np.int64(5), "top_p": np.float32(0.5)},
        {"max_tokens": np.int32(2), "seed": np.uint64(2**64 - 1), "timeout": 10**6},
        {"logit_bias": {np.int64(300): np.float32(2), 301: -INF}},
        {"stop": ("a b c d", "e f g h"), "dry_breakers": "one"},
        {"mirostat": 1, "mirostat_tau": 3, "mirostat_eta": 0.2},
        {"mirostat": 2},
        {"dry_multiplier": 0.8, "dry_base": 1, "dry_allowed_length": 0, "dry_last_n": 10},
        {"xtc_probability": 1, "xtc_threshold": 0.05},
        {"top_n_sigma": 1.5, "frequency_penalty": -0.5, "presence_penalty": 0.5},
        {"repeat_penalty": 1.3, "repeat_last_n": 0},
    ],
)
def test_right_values_are_taken(options: Any, llm: LLM) -> None:
    answer = llm.generate("hello", **{"max_tokens": 2, **options})
    assert answer.usage.completion_tokens == 2


def test_a_banned_token_never_comes(llm: LLM) -> None:
    likely = llm.generate("hello", temp=0, max_tokens=20).tokens
    again = llm.generate("hello", temp=0, max_tokens=20, logit_bias=dict.fromkeys(likely, -INF))
    assert not set(again.tokens) & set(likely)


def test_a_timeout_of_a_year_and_more_is_none(llm: LLM) -> None:
    assert llm.generate("hello", max_tokens=1, timeout=1e300).finish_reason == "length"


def test_the_options_that_the_file_recommends(open_tiny: OpenTiny, tiny_path: TinyPath) -> None:
    path = tiny_path("llama").with_name("recommending.gguf")
    llama().changed(settings={"general.sampling.temp": 0.0}).write(path)
    recommending = open_tiny(path)
    greedy = open_tiny().generate("hello", temp=0, max_tokens=30)
    assert recommending.generate("hello", max_tokens=30, seed=1) == greedy
    assert recommending.generate("hello", temp=5, max_tokens=30, seed=1) != greedy


@pytest.mark.parametrize(
    ("header", "options"),
    [
        ({"temp": "0.6", "top_k": "20", "top_p": "0.9"}, {"temp": 0.6, "top_k": 20, "top_p": 0.9}),
        (
            {"penalty_repeat": "1.05", "penalty_last_n": "32"},
            {"repeat_penalty": 1.05, "repeat_last_n": 32},
        ),
        ({"mirostat": "2", "mirostat_tau": "4"}, {"mirostat": 2, "mirostat_tau": 4.0}),
        (
            {"xtc_probability": "0.5", "xtc_threshold": "0.2"},
            {"xtc_probability": 0.5, "xtc_threshold": 0.2},
        ),
        ({"top_k": "40.0", "min_p": "0"}, {"top_k": 40, "min_p": 0.0}),
        # What makes no sense does not count, and does not spoil the rest.
        ({"temp": "-1", "top_k": "5"}, {"top_k": 5}),
        ({"temp": "warm"}, {}),
        ({"top_p": "nan"}, {}),
        ({"top_k": "inf"}, {}),
        ({"top_k": "99999999999"}, {}),
        ({"mirostat": "7"}, {}),
        ({"seed": "4", "sequence": "top_k;temp"}, {}),
        ({}, {}),
    ],
)
def test_recommendations_are_read_from_the_header(
    header: dict[str, str], options: dict[str, float]
) -> None:
    metadata = {f"general.sampling.{name}": text for name, text in header.items()}
    assert recommended_options({"general.architecture": "llama", **metadata}) == options


def test_a_call_overrides_what_the_file_recommends() -> None:
    checked = RequestOptions({"max_tokens": 3, "stop": "a"}, max_tokens=4)
    assert (checked.max_tokens, checked.stops) == (4, ["a"])


def test_seeds_differ_unless_given() -> None:
    assert RequestOptions({}, seed=0).seeds(2) == [0, 0]
    assert RequestOptions({}, seed=2**64 - 1).seeds(1) == [2**64 - 1]
    drawn = {seed for _ in range(5) for seed in RequestOptions({}).seeds(4)}
    assert len(drawn) == 20
    assert all(0 <= seed < 2**32 for seed in drawn)


_anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(),
    st.lists(st.integers() | st.text()), st.dictionaries(st.integers() | st.text(), st.floats()),
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(sorted(get_type_hints(Options))), _anything))
def test_whatever_is_passed_is_taken_or_refused(options: dict[str, Any]) -> None:
    # Anything but a ParameterError fails the test.
    with contextlib.suppress(ParameterError):
        assert isinstance(RequestOptions({}, **options).spec([1], 0), _core.RequestSpec)

"""No finished answer breaks its schema: random schemas, random weights, a hot temperature.

``--schemas N`` draws N of them; a few by default.
"""

from __future__ import annotations

import collections
import json
from typing import Any

import pytest

from llmlocal import LLM
from llmlocal.errors import ConstraintError, SchemaError

from ..conftest import OpenTiny
from .random_schemas import RandomSchemas, problems

AT_ONCE = 8
MOST_TOKENS = 150
ANSWERS = 2


def closing_bias(llm: LLM) -> dict[int, float]:
    """Random weights like to go on; what ends a value is a little more likely."""
    tokens = [llm.tokenize(text, add_special=False) for text in ('"', "}", "]", ",", "1")]
    return {each[0]: 2.0 for each in tokens if len(each) == 1}


def test_the_validator_sees_what_is_wrong() -> None:
    assert problems({"type": "integer"}, "1") == []
    assert problems({"type": "integer"}, "1.5") != []
    assert problems({"format": "date"}, '"2023-02-29"') != []
    assert problems({"multipleOf": 0.01}, "0.07") == []
    assert problems({"multipleOf": 0.01}, "0.071") != []
    assert problems({}, "{") != []


def test_no_finished_answer_fails(
    open_tiny: OpenTiny, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    llm = open_tiny(n_parallel=AT_ONCE, n_ctx=512)
    draw = RandomSchemas(seed=1)
    wanted = request.config.getoption("--schemas")
    counts: collections.Counter[str] = collections.Counter()
    failures: list[tuple[Any, str, list[str]]] = []
    bias = closing_bias(llm)
    while counts["schemas"] < wanted:
        batch = []
        for _ in range(AT_ONCE // ANSWERS):
            schema = draw.draw()
            counts["schemas"] += 1
            try:
                for seed in range(ANSWERS):
                    stream = llm.generate(
                        f"{counts['schemas']}", streaming=True, schema=schema, temp=1.5,
                        top_k=0, top_p=1, min_p=0, seed=seed, max_tokens=MOST_TOKENS,
                        logit_bias=bias,
                    )  # fmt: skip
                    batch.append((schema, stream))
            except SchemaError:
                counts["refused"] += 1
        for schema, stream in batch:
            try:
                reply = stream.result
            except SchemaError:
                raise
            except ConstraintError:  # No token goes on from here: told, not papered over.
                counts["dead end"] += 1
                continue
            counts[reply.finish_reason] += 1
            if reply.finish_reason == "stop":
                try:
                    found = problems(schema, reply)
                except RecursionError:  # A definition that is itself: the validator has no end.
                    counts["beyond the validator"] += 1
                    continue
                failures += [(schema, str(reply), found)] if found else []
                assert reply.parsed == json.loads(reply)
            else:
                assert reply.parsed is None
    with capsys.disabled():
        print(f"\n{dict(counts)}, failures: {len(failures)}")  # noqa: T201
    assert failures == []
    assert counts["stop"] > counts["schemas"] / 2
    assert counts["refused"] < counts["schemas"] / 4
    assert counts["dead end"] <= counts["schemas"] / 100
    assert counts["beyond the validator"] <= counts["schemas"] / 100

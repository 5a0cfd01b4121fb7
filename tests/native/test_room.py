"""A KV cache has room for short texts at first, and grows where one becomes longer."""

from __future__ import annotations

import sys
from ast import literal_eval
from pathlib import Path

import pytest

from ..api.child import OPEN, run_python
from ..conftest import OpenTiny
from ..tiny_models import MODELS, llama
from .reference import Reference, tokens

PROMPT, LONG = tokens(60, seed=1), tokens(1100, seed=4)
LEFT = len(PROMPT) + 10 - 1
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")


def test_it_grows_with_the_texts(open_tiny: OpenTiny) -> None:
    llm = open_tiny(n_ctx=5000)
    rooms = [llm.stats().sequence_tokens]
    sizes = [llm.stats().sequence_bytes]
    for length in (1000, 1030, 2100, 4200, 1):
        llm.generate(tokens(length, seed=length), max_tokens=1)
        rooms.append(llm.stats().sequence_tokens)
        sizes.append(llm.stats().sequence_bytes)
    assert rooms == [1024, 1024, 2048, 4096, 5000, 5000]
    assert [size * 1024 for size in sizes] == [sizes[0] * room for room in rooms]
    assert llm.stats().sequences == 1


def test_no_more_than_the_context(open_tiny: OpenTiny) -> None:
    assert open_tiny(n_ctx=300).stats().sequence_tokens == 300


@pytest.mark.parametrize("name", MODELS)
def test_in_the_midst_of_an_answer(name: str, open_tiny: OpenTiny, reference: Reference) -> None:
    prompt = tokens(1000, seed=5)
    llm = open_tiny(name, n_ctx=2048)
    answer = llm.generate(prompt, temp=0, max_tokens=50)
    # A recurrent state is of one size, whatever the text: there is room for all from the start.
    assert llm.stats().sequence_tokens == 2048
    assert llm.stats().prompt_tokens == len(prompt)  # It did not start over.
    reference.check(name, prompt, answer.tokens)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_warm_is_kept(name: str, open_tiny: OpenTiny, reference: Reference) -> None:
    llm = open_tiny(name, prefix_cache_bytes=0, n_ctx=2048)
    turn = [*PROMPT, *llm.generate(PROMPT, temp=0, max_tokens=10).tokens]
    answer = llm.generate([*turn, *LONG], temp=0, max_tokens=10)
    assert llm.stats().sequence_tokens == 2048
    assert answer.usage.cached_tokens == LEFT
    reference.check(name, [*turn, *LONG], answer.tokens)


@pytest.mark.parametrize("name", MODELS)
def test_what_runs_goes_on(name: str, open_tiny: OpenTiny, reference: Reference) -> None:
    llm = open_tiny(name, n_ctx=2048)
    first = llm.generate(PROMPT, temp=0, max_tokens=900, streaming=True)
    next(first)
    assert llm.stats().sequences_active == 1
    second = llm.generate(LONG, temp=0, max_tokens=30)
    reference.check(name, LONG, second.tokens)
    reference.check(name, PROMPT, first.result.tokens[:100])
    assert llm.stats().prompt_tokens == len(PROMPT) + len(LONG)  # Nobody started over.


@pytest.mark.parametrize("name", MODELS)
def test_what_was_stored_fits(name: str, open_tiny: OpenTiny, reference: Reference) -> None:
    llm = open_tiny(name, n_parallel=1, n_ctx=2048)
    turn = [*PROMPT, *llm.generate(PROMPT, temp=0, max_tokens=10).tokens]
    llm.generate(LONG, temp=0, max_tokens=1)  # Pushes the first one into the store, and grows.
    answer = llm.generate([*turn, 300], temp=0, max_tokens=30)
    assert answer.usage.cached_tokens == LEFT
    reference.check(name, [*turn, 300], answer.tokens)


@pytest.mark.parametrize("name", MODELS)
def test_as_many_short_streams_or_as_few_long_ones_as_fit(
    name: str, open_tiny: OpenTiny, reference: Reference
) -> None:
    long_stream = open_tiny(name, n_ctx=2048).stats()
    each = long_stream.sequence_bytes * 2048 // long_stream.sequence_tokens
    llm = open_tiny(name, n_ctx=2048, kv_cache_bytes=2 * each)
    shapes = []
    for prompts in (
        [tokens(20, seed=i) for i in range(4)],
        [tokens(21, seed=1), LONG, tokens(22, seed=2), tokens(23, seed=3)],
        [[*tokens(20, seed=i), 300] for i in range(4)],
    ):
        for prompt, answer in zip(
            prompts, llm.generate(prompts, temp=0, max_tokens=10), strict=True
        ):
            reference.check(name, prompt, answer.tokens)
        shapes.append((llm.stats().sequences, llm.stats().sequence_tokens))
    grows = (
        long_stream.sequence_tokens == 1024
    )  # Where tokens take nothing there is nothing to win.
    assert shapes == ([(4, 1024), (2, 2048), (4, 1024)] if grows else [(2, 2048)] * 3)


@pytest.mark.parametrize("name", MODELS)
def test_what_makes_way_for_a_long_text_is_kept(
    name: str, open_tiny: OpenTiny, reference: Reference
) -> None:
    long_stream = open_tiny(name, n_ctx=2048).stats()
    llm = open_tiny(name, n_ctx=2048, kv_cache_bytes=long_stream.sequence_bytes * 2)
    first, second = llm.generate([PROMPT, tokens(60, seed=2)], temp=0, max_tokens=10)
    llm.generate(LONG, temp=0, max_tokens=1)
    for prompt, answer in ((PROMPT, first), (tokens(60, seed=2), second)):
        turn = [*prompt, *answer.tokens, 300]
        later = llm.generate(turn, temp=0, max_tokens=10)
        assert later.usage.cached_tokens == LEFT
        reference.check(name, turn, later.tokens)


SCARCE = f"""{OPEN}
import resource
def leave(megabytes):
    used = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * 2**20, resource.RLIM_INFINITY))
def answer(prompt, max_tokens):
    text = llm.generate(prompt, max_tokens=max_tokens, temp=0)
    stats = llm.stats()
    print((str(text), stats.prompt_tokens, stats.sequence_tokens))
llm = tiny(n_ctx=2048, n_parallel=2, prefix_cache_bytes=0, kv_type="f32")
SHORT, LONG = {tokens(10, seed=6)}, {tokens(1000, seed=7)}
"""
# The C library's pools for each thread take addresses of their own.
ONE_POOL = {"MALLOC_ARENA_MAX": "1"}


@pytest.fixture(scope="module")
def high_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """So many layers that the KV cache is much more than all the rest: 34 MB for 1,024 tokens."""
    return llama(layers=128).write(tmp_path_factory.mktemp("model") / "high.gguf")


@on_linux
def test_where_old_and_new_do_not_fit_together_the_old_is_given_up(high_model: Path) -> None:
    program = f"""{SCARCE}
leave(int(sys.argv[2]))
answer(LONG, 40)
answer(SHORT, 4)
"""
    plenty, scarce = 1000, 50
    answers = []
    evaluated = []
    for megabytes in (plenty, scarce):
        done = run_python(program, high_model, str(megabytes), **ONE_POOL)
        assert (done.returncode, done.stderr) == (0, "")
        lines = [literal_eval(line) for line in done.stdout.splitlines()]
        answers.append([text for text, *_ in lines])
        evaluated.append(lines[0][1])
        assert [room for *_, room in lines] == [2048, 2048]
    assert answers[0] == answers[1]
    # The answer stood at the end of the old room when all was evaluated again.
    assert evaluated == [1000, 1000 + 1025]


@on_linux
def test_a_text_that_does_not_fit_at_all_fails_alone(high_model: Path) -> None:
    program = f"""{SCARCE}
answer(SHORT, 4)
leave(15)
for prompt in (LONG, LONG + SHORT * 10):
    try:
        answer(prompt, 40)
    except OutOfMemoryError as error:
        print(repr(str(error)))
answer(SHORT, 4)
"""
    done = run_python(program, high_model, **ONE_POOL)
    assert (done.returncode, done.stderr) == (0, "")
    before, *errors, after = map(literal_eval, done.stdout.splitlines())
    assert len(errors) == 2
    for error in errors:
        assert error.startswith("there is no room for a KV cache for 1 x 2048 tokens (67 MB): ")
    assert before[0] == after[0]
    assert after[2] == 1024


@on_linux
def test_where_nothing_is_left_the_model_works_again_once_there_is_memory(
    high_model: Path,
) -> None:
    program = f"""{SCARCE}
answer(SHORT, 4)
used = resource.getrlimit(resource.RLIMIT_AS)
leave(-30)  # Less than what it had: once that is given up, not even a short stream can be had.
for prompt in (LONG + SHORT * 10, SHORT):
    try:
        answer(prompt, 4)
    except OutOfMemoryError as error:
        print(repr(llm.stats().sequence_tokens))
resource.setrlimit(resource.RLIMIT_AS, used)
answer(SHORT, 4)
answer(LONG + SHORT * 10, 4)
"""
    done = run_python(program, high_model, **ONE_POOL)
    assert (done.returncode, done.stderr) == (0, "")
    before, *nothing, after, long = map(literal_eval, done.stdout.splitlines())
    assert nothing == [0, 0]
    assert before[0] == after[0]
    assert (after[2], long[2]) == (1024, 2048)

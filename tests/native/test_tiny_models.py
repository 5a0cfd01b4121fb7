"""What the other tests take for granted of the tiny models."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from ..conftest import OpenTiny, TinyPath
from ..tiny_models import MODELS
from .reference import Reference, tokens

KINDS = {
    "llama": (False, False, 0),
    "gemma": (False, False, 32),
    "mamba": (True, False, 0),
    "jamba": (False, True, 0),
}


@pytest.mark.parametrize("name", MODELS)
def test_files_are_small_and_the_same_every_time(
    name: str, tiny_path: TinyPath, tmp_path: Path
) -> None:
    path = tiny_path(name)
    assert path.stat().st_size < 1_000_000
    again = MODELS[name]().write(tmp_path / "again.gguf")
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", MODELS)
def test_greedy_text_wanders(name: str, open_tiny: OpenTiny) -> None:
    llm = open_tiny(name)
    prompts = ["hello world", "the quick brown fox", "one two three"]
    texts = [llm.generate(prompt, temp=0, max_tokens=100) for prompt in prompts]
    for text in texts:
        assert text.finish_reason == "length"
        assert len(set(text.tokens)) >= 25
        assert "\ufffd" not in text
    for first, second in itertools.combinations(texts, 2):
        assert first[:20] != second[:20]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("place", [0, 50, 90])
def test_every_part_of_a_prompt_matters(name: str, place: int, reference: Reference) -> None:
    changed = 0
    for seed in range(5):
        prompt = tokens(100, seed)
        other = [*prompt[:place], *tokens(1, seed + 1000), *prompt[place + 1 :]]
        changed += reference.answer(name, prompt, 30) != reference.answer(name, other, 30)
    assert changed >= 4


@pytest.mark.parametrize("name", MODELS)
def test_memory_kinds(name: str, open_tiny: OpenTiny) -> None:
    model = open_tiny(name)._open_model()
    assert (model.is_recurrent, model.is_hybrid, model.sliding_window) == KINDS[name]

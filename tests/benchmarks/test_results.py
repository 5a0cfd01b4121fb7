from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from benchmarks.results import load, model_facts, save, source_facts

from .made_up import results, row


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    run = results(decode=[row("llmlocal", tokens_per_s=[1.5, 2.5])])
    run.rows["decode"][0].at = 8.0
    path = tmp_path / "new" / "run.json"
    save(run, path)
    assert load(path) == run
    assert [each.name for each in path.parent.iterdir()] == ["run.json"]


def test_every_sample_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    save(results(decode=[row("llmlocal", tokens_per_s=[1.5, 2.5, 4.5])]), path)
    data = json.loads(path.read_text(encoding="utf-8"))
    samples = data["rows"]["decode"][0]["samples"]
    assert [sample["tokens_per_s"] for sample in samples] == [1.5, 2.5, 4.5]


@pytest.mark.parametrize("text", ["[]", "{}", '{"format": 99}'])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="holds no results"):
        load(path)


def test_a_model_is_named_by_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" * 1000)
    assert model_facts(path) == {
        "name": "model.gguf",
        "bytes": 4000,
        "sha256": hashlib.sha256(b"GGUF" * 1000).hexdigest(),
    }


def test_without_git_the_commit_is_unknown(tmp_path: Path) -> None:
    assert source_facts(tmp_path)["commit"] == "unknown"

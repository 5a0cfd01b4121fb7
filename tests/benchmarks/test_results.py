from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from benchmarks.results import load, merge, model_facts, save, source_facts

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


def test_runs_of_the_same_setup_are_told_as_one() -> None:
    first = results(decode=[row("ours", rate=[1])], chat=[row("ours", rate=[2])])
    second = results(chat=[row("ours", rate=[3])], memory=[row("ours", rate=[4])])
    second.machine = {**second.machine, "load": 0.7}
    (merged,) = merge([first, second])
    found = {name: merged.values(name, "ours", "rate") for name in merged.rows}
    assert found == {"decode": [1], "chat": [3], "memory": [4]}
    assert merged.machine["load"] == 0.7
    assert first.values("chat", "ours", "rate") == [2]


def test_what_a_run_lacks_is_done_by_a_later_one() -> None:
    first, second = results(chat=[row("ours", rate=[1])]), results(chat=[row("ours", rate=[2])])
    first.unfinished = ["chat", "memory"]
    second.unfinished = ["decode"]
    (merged,) = merge([first, second])
    assert merged.unfinished == ["memory", "decode"]
    assert first.unfinished == ["chat", "memory"]


@pytest.mark.parametrize(
    ("fact", "other"),
    [
        ("machine", {"cpu": "Another CPU", "load": 0.1}),
        ("source", {"commit": "fedcba", "is_changed": False}),
        ("model", {"name": "other.gguf", "bytes": 1, "sha256": "cd" * 32}),
        ("settings", {"n_threads": 1, "is_quick": True}),
    ],
)
def test_runs_of_different_setups_stay_apart(fact: str, other: dict[str, object]) -> None:
    first, second = results(), results()
    setattr(second, fact, other)
    assert merge([first, second]) == [first, second]


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

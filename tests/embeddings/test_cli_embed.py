"""``llmlocal embed`` and ``llmlocal rerank``."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from llmlocal import Embedder
from llmlocal.cli import main

from . import tiny_bert

LINES = ["the river", "", "the old mill froze", "bread"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_bert.embedder().write(tmp_path / "tiny.gguf", kind="f32")


def embed(model: Path, *arguments: str) -> int:
    return main(["embed", str(model), *arguments, "--device", "cpu", "--quiet"])


def expected(model: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    with Embedder(model, device="cpu", progress=False) as embedder:
        return embedder.embed(LINES)


def test_lines_in_json_lines_out(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(LINES) + "\n"))
    assert embed(model, "-") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert np.asarray(rows) == pytest.approx(expected(model), abs=2e-3)


def test_arguments_to_an_array(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    assert embed(model, *LINES, "--npy", str(path), "--dimensions", "8", "--dtype", "float16") == 0
    written = np.load(path)
    assert written.shape == (4, 8)
    assert written.dtype == np.float16


def test_a_table_of_similarities(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert embed(model, "the river", "bread", "--similarity") == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].startswith("the river ")
    assert float(rows[0].split()[2]) == pytest.approx(1, abs=2e-3)
    assert len(rows[1].split()) == 3


def test_documents_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tiny_bert.cross_encoder().write(tmp_path / "tiny.gguf", kind="f32")
    call = ["rerank", str(path), "who told stories", *LINES, "--device", "cpu", "--quiet"]
    assert main([*call, "--json"]) == 0
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted(each["index"] for each in entries) == [0, 1, 2, 3]
    assert [each["score"] for each in entries] == sorted(
        (each["score"] for each in entries), reverse=True
    )
    assert main([*call, "--top", "1"]) == 0
    assert entries[0]["document"] in capsys.readouterr().out


def test_a_model_of_the_other_kind(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rerank", str(model), "a", "b", "--device", "cpu", "--quiet"]) == 1
    assert "Embedder" in capsys.readouterr().err

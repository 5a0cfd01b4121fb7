"""The commands about models: what they print, and how they exit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmlocal.cli import main

from .gguf_bytes import Setting, build, small_model
from .hub import Fault, Hub, Server, digest

MODEL = small_model()
TEMPLATE = "{% for m in messages %}\n{{ m.content }}{% endfor %}"
SETTINGS: dict[str, Setting] = {
    "general.architecture": "llama",
    "general.name": "Tiny",
    "llama.block_count": 2,
    "llama.context_length": 8192,
    "llama.embedding_length": 64,
    "llama.attention.head_count": 4,
    "tokenizer.ggml.tokens": [str(n) for n in range(2000)],
    "tokenizer.chat_template": TEMPLATE,
}

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line; returns exit code, output, errors."""

    def run_command(*line: str) -> tuple[int, str, str]:
        try:
            code = main(line)
        except SystemExit as exc:
            code = int(exc.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_command


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / "models"
    folder.mkdir(parents=True)
    return folder


def rows_of(run: Run, *line: str) -> dict[str, dict[str, Any]]:
    code, output, _ = run("models", "--json", *line)
    assert code == 0
    return {row["name"]: row for row in json.loads(output)}


def test_models_are_listed_as_an_aligned_table(run: Run, home: Path) -> None:
    (home / "mine-Q5_K_M.gguf").write_bytes(MODEL)

    code, output, errors = run("models")

    lines = output.splitlines()
    assert (code, errors) == (0, "")
    assert len(lines) >= 42
    header = lines[0]
    assert header.split("  ")[0] == "NAME"
    place = header.index("QUANT")
    smol = next(line for line in lines if line.startswith("smollm2-135m-instruct "))
    assert smol[place:].startswith("Q4_1 ")
    assert smol.split()[1:3] == ["98.4", "MB"]
    mine = lines[-1]
    assert mine.startswith("mine-Q5_K_M ")
    assert mine[place:].startswith("Q5_K_M ")
    assert mine.endswith("llmlocal")
    assert not any(line.endswith(" ") for line in lines)


def test_a_catalog_model_on_disk_is_one_row(run: Run, home: Path, tmp_path: Path) -> None:
    card = {
        "name": "tiny",
        "filename": "tiny.gguf",
        "size_bytes": len(MODEL),
        "sha256": digest(MODEL),
    }
    (tmp_path / "home" / "catalog.json").write_text(json.dumps({"version": 1, "models": [card]}))
    (home / "tiny.gguf").write_bytes(MODEL)
    blob = Path.home() / ".ollama" / "models" / "blobs" / f"sha256-{digest(MODEL)}"
    blob.parent.mkdir(parents=True)
    blob.write_bytes(MODEL)

    rows = rows_of(run, "--installed")

    assert list(rows) == ["tiny"]
    assert rows["tiny"]["path"] == str(home / "tiny.gguf")
    assert rows["tiny"]["tool"] == "llmlocal"
    assert rows["tiny"]["fits"] is True


def test_a_model_of_another_size_is_a_row_of_its_own(run: Run, home: Path) -> None:
    (home / "phi-2.Q4_K_M.gguf").write_bytes(MODEL)

    rows = rows_of(run)

    assert rows["phi-2"]["path"] is None
    assert rows["phi-2.Q4_K_M"]["size_bytes"] == len(MODEL)


def test_models_are_filtered(run: Run, home: Path) -> None:
    (home / "mine.gguf").write_bytes(MODEL)

    rows = rows_of(run, "--max-size", "0.3GB", "--task", "text", "--licence", "apache-2.0")
    assert list(rows) == ["smollm2-135m-instruct"]
    assert "smollm2-135m-instruct" in rows_of(run, "--max-ram", "500MB", "--architecture", "llama")
    assert rows_of(run, "--max-size", "1") == {}


def test_what_does_not_fit_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmlocal.cli._models_text.total_bytes", lambda: 1_000_000_000)
    rows = rows_of(run)
    assert rows["smollm2-135m-instruct"]["fits"] is True
    assert rows["starcoder"]["fits"] is False
    monkeypatch.setattr("llmlocal.cli._models_text.total_bytes", lambda: None)
    assert rows_of(run)["starcoder"]["fits"] is None


def test_the_catalog_is_refreshed(run: Run, server: Server) -> None:
    card = {"name": "fresh", "filename": "fresh.gguf"}
    server.files["/catalog.json"] = json.dumps({"version": 1, "models": [card]}).encode()

    code, output, errors = run("models", "--refresh", f"{server.url}/catalog.json")

    assert code == 0
    assert "the catalog has 1 models" in errors
    assert "\nfresh " in output
    assert run("models", "--refresh")[0] == 2


def test_pull_prints_the_path(run: Run, server: Server, home: Path) -> None:
    server.files["/model.gguf"] = MODEL
    url = f"{server.url}/model.gguf"

    assert run("pull", url) == (0, f"{home / 'model.gguf'}\n", "")
    code, output, _ = run(
        "pull", url, "--sha256", digest(MODEL), "--size", str(len(MODEL)), "--json"
    )
    assert (code, json.loads(output)) == (0, {"path": str(home / "model.gguf")})
    assert len(server.requests) == 1


def test_pull_to_a_folder_of_the_users_choice(run: Run, server: Server, tmp_path: Path) -> None:
    server.files["/model.gguf"] = MODEL

    run("pull", f"{server.url}/model.gguf", "--model-path", str(tmp_path / "x"), "--quiet")

    assert (tmp_path / "x" / "model.gguf").read_bytes() == MODEL


@pytest.mark.parametrize(
    ("line", "code", "error"),
    [
        (["pull", "no-such-model"], 1, "no file and no model is called 'no-such-model'"),
        (["pull", "hf:x"], 2, "'hf:x' is not of the form"),
        (
            ["pull", "smollm2-135m-instruct", "--sha256", "x"],
            2,
            "--sha256 must be 64 hexadecimal digits, got 'x'",
        ),
        (["show", "./gone.gguf"], 1, "does not exist"),
        (["show", "gone", "--kv-type", "x"], 1, "gone"),
        (["path", "gone"], 1, "gone"),
        (["rm", "gone"], 1, "gone"),
        (["verify", "gone"], 1, "gone"),
        (["pull"], 2, "required: name"),
        (["models", "--max-size", "2 elephants"], 2, "not a size such as"),
        (["models", "--max-size", "xxGB"], 2, "not a size such as"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(
    line: list[str], code: int, error: str, run: Run
) -> None:
    exit_code, output, errors = run(*line)

    assert (exit_code, output) == (code, "")
    last = errors.strip().splitlines()[-1]
    assert last.startswith("llmlocal")
    assert "error: " in last
    assert error in last


@pytest.mark.parametrize(
    ("line", "remark"),
    [
        (["models", "--installed"], "no model is on disk"),
        (["models", "--max-size", "1"], "no model matches"),
        (["verify"], "there is no model in "),
    ],
)
def test_nothing_to_list_is_said(line: list[str], remark: str, run: Run) -> None:
    code, output, errors = run(*line)

    assert (code, output) == (0, "")
    assert errors.startswith(f"llmlocal: {remark}")
    assert run(*line, "--json")[1] == "[]\n"


def test_a_failed_download_is_one_line(run: Run, server: Server) -> None:
    server.always = Fault(status=403)

    code, _, errors = run("pull", f"{server.url}/model.gguf")

    assert code == 1
    assert len(errors.splitlines()) == 1
    assert "403 Forbidden" in errors


def test_show_tells_what_a_model_is(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(build(SETTINGS, {"a": ((256, 4), "Q4_K")}))

    code, output, _ = run("show", str(path), "--n-ctx", "1000", "--metadata", "--tensors")

    facts = dict(line.split("  ", 1) for line in output.splitlines() if "  " in line.strip())
    assert code == 0
    assert facts["name"].strip() == "Tiny"
    assert facts["quantisation"].strip() == "Q4_K"
    assert facts["context length"].strip() == "8192 tokens"
    assert "memory, 1000 tokens" in output
    assert "fits here now" in output
    assert "\n  {{ m.content }}{% endfor %}\n" in output
    assert "tokenizer.ggml.tokens" in output
    assert "2000 elements" in output
    assert "256x4" in output
    assert run("show", str(path), "--template")[1] == f"{TEMPLATE}\n"


def test_show_as_json(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(build(SETTINGS, {"a": ((256, 4), "Q4_K")}))

    plain = json.loads(run("show", str(path), "--json")[1])
    full = json.loads(run("show", str(path), "--json", "--metadata", "--tensors")[1])

    assert plain["architecture"] == "llama"
    assert plain["chat_templates"] == {"default": TEMPLATE}
    assert plain["memory"]["n_ctx"] == 4096
    assert plain["memory"]["total"] > plain["memory"]["kv"] > 0
    assert "metadata" not in plain
    assert full["metadata"]["tokenizer.ggml.tokens"] == {"length": 2000}
    assert full["tensors"][0]["shape"] == [256, 4]


def test_show_of_a_bare_file(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(build({"general.architecture": "x"}, {"a": ((64,), "F32")}))
    monkeypatch.setattr("llmlocal.cli._models_text.available_bytes", lambda: None)

    code, output, _ = run("show", str(path))

    assert code == 0
    assert "chat template" in output
    assert "none" in output
    assert "unknown" in output
    assert run("show", str(path), "--template") == (0, "\n", "")


def test_show_of_a_model_that_does_not_fit(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(MODEL)
    monkeypatch.setattr("llmlocal.cli._models_text.available_bytes", lambda: 5000)

    assert "no, 5.0 kB are available" in run("show", str(path))[1]


def test_show_of_a_remote_model(run: Run, hub: Hub) -> None:
    hub.add("owner/repo", "m-Q4_K_M.gguf", build(SETTINGS, {"a": ((256, 4), "Q4_K")}))

    code, output, _ = run("show", "hf:owner/repo:Q4_K_M")

    assert code == 0
    assert "Tiny" in output


def test_verify_reads_all_and_says_which_is_bad(run: Run, home: Path) -> None:
    (home / "bad.gguf").write_bytes(MODEL[:-64])
    (home / "good.gguf").write_bytes(MODEL)

    code, output, errors = run("verify", "--quiet")

    assert code == 1
    assert output == f"{home / 'good.gguf'}\tgood, by its structure\n"
    assert "bad.gguf" in errors
    assert len(errors.splitlines()) == 1
    code, output, _ = run("verify", "good", "bad", "--json", "--quiet")
    good, bad = json.loads(output)
    assert code == 1
    assert (good["path"], good["sha256"]) == (str(home / "good.gguf"), digest(MODEL))
    assert (bad["name"], "incomplete" in bad["error"]) == ("bad", True)
    assert run("verify", "good", "--quiet")[0] == 0


def test_rm_prints_what_it_deleted(run: Run, home: Path) -> None:
    for name in ("a", "b", "c"):
        (home / f"{name}.gguf").write_bytes(MODEL)

    assert run("rm", "a", "b") == (0, f"{home / 'a.gguf'}\n{home / 'b.gguf'}\n", "")
    assert json.loads(run("rm", "c", "--json")[1]) == {"removed": [str(home / "c.gguf")]}
    assert list(home.glob("*.gguf")) == []


def test_what_rm_cannot_delete_does_not_keep_the_others(run: Run, home: Path) -> None:
    path = home / "a.gguf"
    path.write_bytes(MODEL)

    code, output, errors = run("rm", "gone", "a", "")

    assert (code, output) == (2, f"{path}\n")
    assert [line.startswith("llmlocal: error: ") for line in errors.splitlines()] == [True] * 2
    assert not path.exists()


def test_path_prints_where_a_model_is(run: Run, home: Path, tmp_path: Path) -> None:
    (home / "a.gguf").write_bytes(MODEL)

    assert run("path") == (0, f"{home}\n", "")
    assert run("path", "--model-path", str(tmp_path)) == (0, f"{tmp_path}\n", "")
    assert run("path", "a") == (0, f"{home / 'a.gguf'}\n", "")
    assert json.loads(run("path", "a", "--json")[1]) == {"path": str(home / "a.gguf")}

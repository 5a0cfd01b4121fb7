from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from benchmarks import session
from benchmarks.cli import main
from benchmarks.plot import lines
from benchmarks.report import BEGIN, END
from benchmarks.results import load, save
from benchmarks.scenarios import QUICK, SCENARIOS, memory
from benchmarks.scenarios.scenario import Context, Scenario, Task
from benchmarks.session import Session
from benchmarks.synthetic import SHAPES, ensure_model

from .made_up import results, row


@pytest.fixture(autouse=True)
def own_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "LOGS", tmp_path / "logs")


def test_a_run_measures_writes_and_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ensure_model(SHAPES["tiny"], tmp_path)
    output = tmp_path / "run.json"
    wish = ["decode", "prefill", "concurrent", "--model", str(model), "--systems", "llmlocal"]
    limits = ["--threads", "1", "--rounds", "1", "--quick", "--output", str(output)]
    assert main(["run", *wish, *limits]) == 0
    run = load(output)
    assert list(run.rows) == ["decode", "prefill", "concurrent"]
    assert run.unfinished == []
    for rows in run.rows.values():
        (ours,) = rows
        assert (ours.label, ours.error) == ("llmlocal", "")
        assert ours.values("tokens_per_s")[0] > 0
    assert "**prefill**" in capsys.readouterr().out


def test_an_interrupted_run_leaves_what_it_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    turns = itertools.count()

    def interrupted(_: Session, turn: int) -> Mapping[str, float]:
        if next(turns) == 3:  # A warm-up and two rounds are done.
            raise KeyboardInterrupt
        return {"tokens_per_s": float(turn)}

    def contestants(context: Context) -> list[Task]:
        return [Task(each.label, each, interrupted) for each in context.entrants()]

    decode = replace(SCENARIOS["decode"], contestants=contestants)
    monkeypatch.setitem(cast("dict[str, Scenario]", SCENARIOS), "decode", decode)
    model, output = ensure_model(SHAPES["tiny"], tmp_path), tmp_path / "run.json"
    wish = ["decode", "memory", "--model", str(model), "--systems", "llmlocal"]
    assert main(["run", *wish, "--rounds", "5", "--output", str(output)]) == 130
    assert str(output) in capsys.readouterr().err
    run = load(output)
    assert run.values("decode", "llmlocal", "tokens_per_s") == [1.0, 2.0]
    assert run.unfinished == ["decode", "memory"]
    assert main(["report", str(output)]) == 0
    assert "**Partial**: the run ended before it was done with `decode`, `memory`." in (
        capsys.readouterr().out
    )


def test_a_system_that_is_not_there_is_a_row_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.systems.is_made", lambda _: False)
    output = tmp_path / "run.json"
    model = ensure_model(SHAPES["tiny"], tmp_path)
    wish = ["run", "stream", "--systems", "gpt4all", "--model", str(model), "--threads", "1"]
    assert main([*wish, "--output", str(output)]) == 0
    (missing,) = load(output).rows["stream"]
    assert missing.error == "not installed: python -m benchmarks get gpt4all"


def test_memory_is_not_measured_for_an_hour_to_say_that_psutil_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    monkeypatch.setattr(memory, "_ROUNDS", 0)  # Work would now divide by zero.
    output = tmp_path / "run.json"
    model = ensure_model(SHAPES["tiny"], tmp_path)
    assert main(["run", "memory", "--model", str(model), "--output", str(output)]) == 0
    for each in load(output).rows["memory"]:
        assert each.error == "it takes psutil: pip install psutil"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["run", "fly"], "there is no scenario 'fly'"),
        (["run", "decode", "--systems", "abacus"], "there is no system 'abacus'"),
        (["model", "2,64"], "a shape is one of"),
        (["report", "nothing.json"], "nothing.json"),
    ],
)
def test_a_wrong_wish_is_one_line(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    message = capsys.readouterr().err
    assert reason in message
    assert message.count("\n") == 1


def test_a_report_goes_into_a_page(tmp_path: Path) -> None:
    save(results(decode=[row("llmlocal", tokens_per_s=[123.0])]), tmp_path / "run.json")
    page = tmp_path / "page.md"
    page.write_text(f"Intro\n{BEGIN}\n{END}\n", encoding="utf-8")
    assert main(["report", str(tmp_path / "run.json"), "--into", str(page)]) == 0
    assert "123 tokens/s" in page.read_text(encoding="utf-8")


def test_reports_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, rates in (("old", [10.0, 10.1]), ("new", [20.0, 20.1])):
        run = results(decode=[row("llmlocal", tokens_per_s=rates)])
        save(run, tmp_path / f"{name}.json")
    paths = [str(tmp_path / "new.json"), "--compare", str(tmp_path / "old.json")]
    assert main(["report", *paths]) == 0
    assert "1 of 1 figures differ beyond noise" in capsys.readouterr().out


def test_the_list_names_every_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line}
    assert set(SCENARIOS) <= listed


def test_a_shape_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "own.gguf"
    assert main(["model", "1,32,64,1,1,3000", "--output", str(path)]) == 0
    assert path.read_bytes()[:4] == b"GGUF"
    assert str(path) in capsys.readouterr().out


def test_quick_scenarios_exist() -> None:
    assert set(QUICK) <= set(SCENARIOS)


def test_a_line_has_a_systems_medians_in_order() -> None:
    rows = [row("a, 8", "a", rate=[3.0, 5.0, 4.0]), row("a, 2", "a", rate=[1.0]), row("b", "b")]
    rows[0].at, rows[1].at = 8.0, 2.0
    assert lines(rows, "rate") == {"a": [(2.0, 1.0), (8.0, 4.0)]}


def test_a_results_file_is_json(tmp_path: Path) -> None:
    save(results(), tmp_path / "run.json")
    assert json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["format"] == 1

"""Prefixes that survive the process, on every kind of memory, as a user has them."""

from __future__ import annotations

import json
import logging
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from llmlocal import LLM, ParameterError
from llmlocal._prefix_cache import clear, fingerprint, listing
from llmlocal.cli import main

from ..conftest import OpenTiny, TinyPath
from ..tiny_models import MODELS, llama
from .reference import Reference, tokens

PROMPT, OTHER, TAIL = tokens(150, seed=1), tokens(100, seed=2), tokens(5, seed=3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "prefixes"


def ask_once(open_tiny: OpenTiny, folder: Path, prompt: list[int], **options: object) -> list[int]:
    """The prompt with its answer, of a model that is closed afterwards."""
    llm = open_tiny(**{"prefix_cache_path": folder, **options})
    turn = [*prompt, *llm.generate(prompt, temp=0, max_tokens=10).tokens]
    llm.close()
    return turn


@pytest.mark.parametrize("name", MODELS)
def test_a_later_model_adopts_what_an_earlier_one_evaluated(
    name: str, open_tiny: OpenTiny, folder: Path, reference: Reference
) -> None:
    turn = ask_once(open_tiny, folder, PROMPT, model=name)
    llm = open_tiny(name, prefix_cache_path=folder)
    answer = llm.generate([*turn, *TAIL], temp=0, max_tokens=30)
    assert answer.usage.cached_tokens == len(turn) - 1
    reference.check(name, [*turn, *TAIL], answer.tokens)
    stats = llm.stats()
    assert (stats.disk_hits, stats.disk_tokens) == (1, len(turn) - 1)
    assert stats.disk_read_bytes > 0 < stats.disk_entries


@pytest.mark.parametrize("name", MODELS)
def test_whatever_else_is_asked_the_shared_text_is_adopted(
    name: str, open_tiny: OpenTiny, folder: Path, reference: Reference
) -> None:
    # Where a state is whole, the second one shows where they part.
    for tail in (OTHER, TAIL):
        ask_once(open_tiny, folder, [*PROMPT, *tail], model=name)
    prompt = [*PROMPT, *tokens(20, seed=9)]
    answer = open_tiny(name, prefix_cache_path=folder).generate(prompt, temp=0, max_tokens=30)
    whole = name in ("mamba", "jamba", "gemma")
    assert answer.usage.cached_tokens == (0 if whole else len(PROMPT))
    reference.check(name, prompt, answer.tokens)


def test_another_context_batch_and_thread_count_adopt_it(
    open_tiny: OpenTiny, folder: Path, reference: Reference
) -> None:
    turn = ask_once(open_tiny, folder, PROMPT, n_ctx=256, n_batch=64)
    llm = open_tiny(prefix_cache_path=folder, n_ctx=2048, n_batch=512, n_threads=2, n_parallel=3)
    answer = llm.generate([*turn, *TAIL], temp=0, max_tokens=30)
    assert answer.usage.cached_tokens == len(turn) - 1
    reference.check("llama", [*turn, *TAIL], answer.tokens)


def test_there_is_room_at_once_for_what_was_kept_last(open_tiny: OpenTiny, folder: Path) -> None:
    ask_once(open_tiny, folder, tokens(1500, seed=4), n_ctx=4096)
    assert open_tiny(prefix_cache_path=folder, n_ctx=4096).stats().sequence_tokens == 2048
    assert open_tiny(prefix_cache_path=folder, n_ctx=1600).stats().sequence_tokens == 1600
    assert open_tiny("mamba", prefix_cache_path=folder, n_ctx=4096).stats().disk_entries == 0
    assert open_tiny(n_ctx=4096).stats().sequence_tokens == 1024


@pytest.mark.parametrize("options", [{"kv_type": "f32"}, {"flash_attention": True}])
def test_another_kind_of_state_does_not(
    options: dict[str, object], open_tiny: OpenTiny, folder: Path
) -> None:
    turn = ask_once(open_tiny, folder, PROMPT)
    llm = open_tiny(prefix_cache_path=folder, **options)
    assert llm.generate([*turn, *TAIL], temp=0, max_tokens=2).usage.cached_tokens == 0


def test_the_model_counts_not_its_name(
    open_tiny: OpenTiny, tiny_path: TinyPath, folder: Path, tmp_path: Path
) -> None:
    turn = ask_once(open_tiny, folder, PROMPT)
    renamed = tmp_path / "renamed.gguf"
    shutil.copy(tiny_path("llama"), renamed)
    other = llama(seed=77).write(tmp_path / "tiny-llama.gguf")
    assert fingerprint(renamed) == fingerprint(tiny_path("llama")) != fingerprint(other)
    for path, cached in ((renamed, len(turn) - 1), (other, 0)):
        llm = open_tiny(path, prefix_cache_path=folder)
        assert llm.generate([*turn, 300], temp=0, max_tokens=2).usage.cached_tokens == cached


PROGRAM = """
import sys, llmlocal
path, folder, seed = sys.argv[1:]
prompt = [300 + (i * 7 + int(seed)) % 100 for i in range(200)]
with llmlocal.LLM(path, device="cpu", n_ctx=512, n_threads=1, prefix_cache_path=folder) as llm:
    for _ in range(3):
        print(llm.generate(prompt, temp=0, max_tokens=8).usage.cached_tokens)
"""


def test_processes_share_the_folder(tiny_path: TinyPath, folder: Path) -> None:
    def start(seed: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PROGRAM, str(tiny_path("llama")), str(folder), str(seed)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    together = [start(seed) for seed in (1, 1, 2)]
    outputs = [process.communicate(timeout=60)[0].split() for process in together]
    assert [output[1:] for output in outputs] == [["199", "199"]] * 3
    assert start(1).communicate(timeout=60)[0].split() == ["199"] * 3


def test_a_damaged_file_is_told_of_and_costs_itself_only(
    open_tiny: OpenTiny, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    turns = [ask_once(open_tiny, folder, prompt) for prompt in (PROMPT, OTHER)]
    assert len(listing(folder)) == 2
    damaged = next(entry for entry in listing(folder) if entry.tokens == len(turns[0]) - 1)
    data = bytearray(damaged.path.read_bytes())
    data[-100] ^= 1
    damaged.path.write_bytes(data)
    llm = open_tiny(prefix_cache_path=folder)
    with caplog.at_level(logging.WARNING, "llmlocal"):
        cached = [
            llm.generate([*turn, 300], temp=0, max_tokens=2).usage.cached_tokens for turn in turns
        ]
    assert cached == [0, len(turns[1]) - 1]
    assert [damaged.path.name in record.message for record in caplog.records].count(True) == 1


def test_nothing_is_kept_unless_asked_for(
    open_tiny: OpenTiny, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_once(open_tiny, folder, PROMPT, prefix_cache_path=None)
    assert not folder.exists()
    monkeypatch.setenv("LLMLOCAL_PREFIX_CACHE", str(folder))
    ask_once(open_tiny, folder, PROMPT, prefix_cache_path="")
    assert not folder.exists()
    ask_once(open_tiny, folder, PROMPT, prefix_cache_path=None)
    assert len(listing(folder)) == 1


def test_only_its_user_can_look_into_it(open_tiny: OpenTiny, folder: Path) -> None:
    ask_once(open_tiny, folder, PROMPT)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}
    assert modes == {0o700, 0o600}


def test_it_stays_within_its_bounds(open_tiny: OpenTiny, folder: Path) -> None:
    ask_once(open_tiny, folder, PROMPT)
    most = listing(folder)[0].bytes * 5 // 2
    for seed in range(20, 26):
        ask_once(open_tiny, folder, tokens(150, seed=seed), prefix_cache_disk_bytes=most)
    assert len(listing(folder)) == 2
    assert sum(entry.bytes for entry in listing(folder)) <= most


def test_a_folder_that_can_not_be_had_is_an_error(open_tiny: OpenTiny, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ParameterError, match="prefix_cache_path"):
        open_tiny(prefix_cache_path=file)
    with pytest.raises(ParameterError, match="prefix_cache_path"):
        open_tiny(prefix_cache_path=7)


def test_a_talk_goes_on_in_another_process(open_tiny: OpenTiny, folder: Path) -> None:
    def turn(llm: LLM, history: list[dict[str, str]]) -> int:
        session = llm.chat_session(messages=history)
        reply = session.generate("And then? " * 30, max_tokens=8, temp=0)
        history[:] = session.history
        return reply.usage.cached_tokens

    history: list[dict[str, str]] = [{"role": "system", "content": "You are terse. " * 20}]
    first = open_tiny(prefix_cache_path=folder, n_ctx=4096)
    turn(first, history)
    first.close()
    assert turn(open_tiny(prefix_cache_path=folder, n_ctx=4096), history) > 300


def test_the_command_line_lists_sizes_and_clears(
    open_tiny: OpenTiny, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    turn = ask_once(open_tiny, folder, PROMPT)
    path = ["--path", str(folder)]
    assert main(["cache", "list", *path]) == 0
    assert f"{len(turn) - 1} tokens" in capsys.readouterr().out
    assert main(["cache", "list", "--json", *path]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert "keys and values f16" in entry["identity"]
    assert main(["cache", "size", *path]) == 0
    assert int(capsys.readouterr().out) == entry["bytes"]
    assert main(["cache", "clear", "--unused-days", "1", *path]) == 0
    assert capsys.readouterr().out.startswith("0 removed")
    assert main(["cache", "clear", *path]) == 0
    assert capsys.readouterr().out.startswith("1 removed")
    assert listing(folder) == clear(folder) == []
    assert main(["cache", "size"]) == 2
    assert "LLMLOCAL_PREFIX_CACHE" in capsys.readouterr().err

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import session as session_module
from benchmarks.session import OperationFailedError, Session

SCRIPT = str(Path(__file__).with_name("scripted_adapter.py"))


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setattr(session_module, "LOGS", tmp_path)
    with Session("scripted", [sys.executable, SCRIPT]) as opened:
        opened.ask("open", settings={"model": "m.gguf", "n_threads": 3})
        yield opened


def state_of(pid: int) -> str:
    """The letter that the system has for what a process does."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]


def test_an_operation_has_a_result(session: Session) -> None:
    assert session.ask("settings") == {"n_threads": 3, "model": "m.gguf"}


def test_what_a_system_prints_goes_to_the_log(session: Session) -> None:
    assert session.ask("settings")
    text = session.log.read_text(encoding="utf-8")
    session.close()
    assert "and of its C part" in text
    assert "chatter of the library" in session.log.read_text(encoding="utf-8")


def test_a_failure_is_told_in_one_line_and_the_session_goes_on(session: Session) -> None:
    with pytest.raises(OperationFailedError, match=r"^MemoryError: no room$") as caught:
        session.ask("prefill", text="fail", tokens=1)
    assert not caught.value.is_unsupported
    assert session.ask("prefill", text="fine", tokens=1)["tokens_per_s"] > 0


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("fly", {}),
        ("count", {"text": ""}),
        ("chat", {"conversation": "", "text": "", "max_tokens": 1}),
    ],
)
def test_what_a_system_can_not_do_is_told_apart(
    session: Session, operation: str, arguments: dict[str, object]
) -> None:
    with pytest.raises(OperationFailedError, match=r"has no|does not") as caught:
        session.ask(operation, **arguments)
    assert caught.value.is_unsupported


def test_a_process_that_ends_is_a_failure(session: Session) -> None:
    with pytest.raises(OperationFailedError, match=r"its process ended \(code 3\)"):
        session.ask("prefill", text="die", tokens=1)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks /proc")
def test_a_paused_session_stands_still_until_it_is_asked(session: Session) -> None:
    session.pause()
    os.waitid(os.P_PID, session.pid, os.WSTOPPED | os.WNOWAIT)
    assert state_of(session.pid) == "T"
    assert session.ask("settings")["n_threads"] == 3
    assert state_of(session.pid) != "T"


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="Linux only")
def test_a_paused_process_does_not_outlive_a_harness_that_was_killed(tmp_path: Path) -> None:
    harness = f"""
import sys
from pathlib import Path
from benchmarks import session
session.LOGS = Path({str(tmp_path)!r})
opened = session.Session("scripted", [sys.executable, {SCRIPT!r}])
opened.ask("open", settings={{"model": "m.gguf"}})
opened.pause()
print(opened.pid, flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", harness],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    ) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
        ended, _, _ = select.select([child], [], [], 60)
        os.close(child)
    assert ended


def test_a_paused_session_can_be_closed(session: Session) -> None:
    session.pause()
    session.close()
    assert session.exit_code == 0  # It ended by itself, and was not killed.

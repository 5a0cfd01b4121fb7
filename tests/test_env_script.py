"""The script that builds the package for development says when the build failed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "env.sh"
PYTHON = """#!/bin/sh
# In place of the environment's interpreter: all works but for what a test says.
case "$*" in
  *"{broken}"*) echo "it broke"; exit 1 ;;
esac
"""

pytestmark = pytest.mark.skipif(
    not SCRIPT.exists() or not shutil.which("bash"), reason="no source, or no bash, here"
)


def build(folder: Path, broken: str, options: str) -> subprocess.CompletedProcess[str]:
    """What ``install_package`` does in a tree where one kind of command fails."""
    for name in (
        "src/cpp/a.cpp",
        "CMakeLists.txt",
        "pyproject.toml",
        *(
            f"third_party/llama.cpp/{each}"
            for each in ("CMakeLists.txt", "kernels.cmake", "pin.txt")
        ),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    shutil.copytree(SCRIPT.parent, folder / "scripts")
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON.format(broken=broken))
    python.chmod(0o755)
    return subprocess.run(
        ["bash", "-c", f"set {options}; source scripts/env.sh; install_package; echo went on: $?"],
        cwd=folder,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )


def stamp(folder: Path) -> Path:
    return folder / ".venv" / "llmlocal-built"


@pytest.mark.parametrize("broken", ["pip install -v", "pip install build", "ProjectBuilder"])
def test_a_failed_build_is_no_success_in_any_shell(tmp_path: Path, broken: str) -> None:
    lax = build(tmp_path / "lax", broken, "+e")
    assert lax.stdout == "went on: 1\n"
    assert "error: " in lax.stderr
    assert not stamp(tmp_path / "lax").exists()
    strict = build(tmp_path / "strict", broken, "-euo pipefail")
    assert (strict.returncode, strict.stdout) == (1, "")
    assert not stamp(tmp_path / "strict").exists()


def test_a_build_that_worked_leaves_its_stamp(tmp_path: Path) -> None:
    assert build(tmp_path, "nothing at all", "+e").stdout == "went on: 0\n"
    assert stamp(tmp_path).exists()

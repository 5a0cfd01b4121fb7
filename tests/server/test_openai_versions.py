"""OpenAI's client has two lines that people use: what one can do here, the other can."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import openai
import pytest

INSTALLED = int(openai.__version__.partition(".")[0])
OTHER = 2 if INSTALLED == 3 else 3
# Of these, one line needs what the other does not.
NEEDED = [f"openai=={OTHER}.*", "distro", "sniffio"]
FILES = ["test_openai.py", "test_obedience.py"]
CHECK = f"import openai; assert openai.__version__.startswith('{OTHER}.'), openai.__version__"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One in which the other line is found first."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "--no-deps", "--target", str(tmp_path), *NEEDED],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"openai {OTHER} can't be installed here: {done.stderr.strip()[-200:]}")
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


def test_the_other_line_of_the_client_can_do_the_same(environment: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-c", CHECK], env=environment, check=True, timeout=60)
    files = [str(Path(__file__).with_name(name)) for name in FILES]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]

"""What becomes of a model whose file is changed while it is in use: it says so, and reads no more.

In processes of their own: to read what is cut off a mapped file ends one.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from ..api.child import OPEN, run_python
from ..conftest import TinyPath
from ..embeddings.tiny_bert import embedder
from ..tiny_models import Setting, llama

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows lets nobody change a mapped file"
)

USE = (
    OPEN
    + """
import pathlib
path = pathlib.Path(sys.argv[2])
embeds = "embedder" in path.name
model = (Embedder if embeds else LLM)(sys.argv[1], device="cpu", n_threads=1, progress=False)
def use(text):
    return model.embed(text).tolist() if embeds else model.generate(text, max_tokens=4, temp=0)
def cut():
    os.truncate(path, path.stat().st_size // 2)
def cut_and_fill():
    data = path.read_bytes()
    os.truncate(path, 4096)
    model_says("the quick")
    path.write_bytes(data)
def overwrite():
    data = path.read_bytes()
    path.write_bytes(data[:-4096] + bytes(4096))
def touch():
    os.utime(path, (1e9, 1e9))
def delete():
    path.unlink()
def replace():
    new = path.with_name("new")
    new.write_bytes(b"short")
    os.replace(new, path)
def model_says(text):
    try:
        return use(text) == answer or "another answer"
    except EngineError as error:
        return str(error).replace(str(path), "FILE")
answer = use("the quick")
globals()[sys.argv[3]]()
print(model_says("the quick"))
print(model_says("the quick"))
"""
)

CUT = "the model's file FILE was cut short while in use, from {size} to {left} bytes; close this model and load it again"
OVERWRITTEN = (
    "the model's file FILE was overwritten while in use; close this model and load it again"
)


def said(model: Path, changed: Path, how: str) -> str:
    """What the model answered after a change, both times."""
    done = run_python(USE, model, changed, how)
    assert (done.returncode, done.stderr) == (0, ""), (done.returncode, done.stderr[-2000:])
    first, second = done.stdout.splitlines()
    assert first == second
    return first


@pytest.fixture
def model(tiny_path: TinyPath, tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    shutil.copy(tiny_path("llama"), path)
    return path


def test_a_file_that_is_cut_short_is_an_error(model: Path) -> None:
    size = model.stat().st_size
    assert said(model, model, "cut") == CUT.format(size=size, left=size // 2)


def test_a_file_that_is_filled_again_is_not_trusted(model: Path) -> None:
    size = model.stat().st_size
    assert said(model, model, "cut_and_fill") == CUT.format(size=size, left=4096)


def test_a_file_that_is_overwritten_is_an_error(model: Path) -> None:
    assert said(model, model, "overwrite") == OVERWRITTEN


@pytest.mark.parametrize("how", ["touch", "delete", "replace"])
def test_what_leaves_the_weights_alone_is_none(how: str, model: Path) -> None:
    assert said(model, model, how) == "True"


@pytest.mark.parametrize("part", [0, 1])
def test_the_parts_of_a_model_are_watched(part: int, tmp_path: Path) -> None:
    parts = split(tmp_path)
    size = parts[part].stat().st_size
    assert said(parts[0], parts[part], "cut") == CUT.format(size=size, left=size // 2)


def test_embedders_too(tmp_path: Path) -> None:
    path = embedder().write(tmp_path / "embedder.gguf", kind="f32")
    size = path.stat().st_size
    assert said(path, path, "cut") == CUT.format(size=size, left=size // 2)


def split(folder: Path) -> list[Path]:
    """A tiny model in two files."""
    whole = llama()
    names = sorted(whole.tensors)
    halves = (names[: len(names) // 2], names[len(names) // 2 :])
    paths = []
    for number, half in enumerate(halves):
        path = folder / f"model-{number + 1:05}-of-{len(halves):05}.gguf"
        settings: dict[str, Setting] = {
            "split.no": np.uint16(number),
            "split.count": np.uint16(len(halves)),
            "split.tensors.count": np.int32(len(names)),
        }
        left = [name for name in names if name not in half]
        paths.append(whole.changed(settings=settings, without=left).write(path))
    return paths

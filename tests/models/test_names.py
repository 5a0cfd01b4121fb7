"""Names that become files: hostile ones are refused, everywhere alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmlocal.errors import ParameterError
from llmlocal.models._names._places import Slot
from llmlocal.models._names._safe import MAX_NAME_BYTES, safe_filename, safe_relative
from llmlocal.models._names._url import filename_of

HOSTILE = {
    "empty": "",
    "parent folder": "..",
    "this folder": ".",
    "climbing out": "../model.gguf",
    "absolute": "/etc/model.gguf",
    "absolute on Windows": "C:\\model.gguf",
    "alternate stream": "model.gguf:stream",
    "backslash": "..\\model.gguf",
    "hidden": ".model.gguf",
    "NUL": "model\0.gguf",
    "newline": "model\n.gguf",
    "escape sequence": "model\x1b[2J.gguf",
    "text direction override": "model\u202efugg.gguf",
    "device": "NUL",
    "device with a suffix": "con.gguf",
    "numbered device": "COM1.gguf",
    "superscript device": "LPT\u00b9.gguf",
    "space at the end": "model.gguf ",
    "dot at the end": "model.gguf.",
    "wildcard": "model*.gguf",
    "pipe": "model|x.gguf",
    "too long": "m" * (MAX_NAME_BYTES + 1),
    "too long in bytes": "ä" * (MAX_NAME_BYTES // 2 + 1),
    "surrogate": "model\ud800.gguf",
}


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_names_are_refused(name: str) -> None:
    with pytest.raises(ParameterError, match="cannot be a file name"):
        safe_filename(name)


@pytest.mark.parametrize(
    "name",
    ["model.gguf", "Modèle 7B (ü) 模型.gguf", "a" * MAX_NAME_BYTES, "console.gguf", "x-1.0+b.gguf"],
)
def test_honest_names_are_kept(name: str) -> None:
    assert safe_filename(name) == name


def test_two_spellings_of_one_name_become_one() -> None:
    assert safe_filename("e\u0301.gguf") == "\u00e9.gguf"


@pytest.mark.parametrize(
    "path", ["a/../b.gguf", "a//b.gguf", "/a/b.gguf", "a/b.gguf/", "a/.b/c.gguf"]
)
def test_hostile_paths_are_refused(path: str) -> None:
    with pytest.raises(ParameterError, match="cannot be a file name"):
        safe_relative(path)


@given(st.text(max_size=40))
def test_a_slot_never_leaves_its_folder(name: str) -> None:
    root = Path("/models")
    try:
        slot = Slot(root, name)
    except ParameterError:
        return
    for path in (slot.target, slot.part, slot.origin, slot.bad, slot.record, slot.lock):
        assert root in path.parents
        assert ".." not in path.parts


def test_two_spellings_of_one_file_share_a_lock_but_no_record() -> None:
    upper, lower = Slot(Path("/m"), "A.gguf"), Slot(Path("/m"), "a.gguf")

    assert upper.lock == lower.lock
    assert upper.record != lower.record


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://host/model.gguf", "model.gguf"),
        ("https://host/a/b/model.gguf?download=true#x", "model.gguf"),
        ("https://host/mod%C3%A8le.gguf", "modèle.gguf"),
        ("https://host/MODEL.GGUF", "MODEL.GGUF"),
    ],
)
def test_a_url_names_its_file(url: str, name: str) -> None:
    assert filename_of(url) == name


@pytest.mark.parametrize(
    "url",
    [
        "https://host/",
        "https://host/model.bin",
        "https://host/%2e%2e%2fmodel.gguf",
        "https://host/a%00.gguf",
        "https://host/con.gguf",
        "https://host:port/model.gguf",
        "https://[broken/model.gguf",
    ],
)
def test_a_url_that_names_no_safe_file_is_refused(url: str) -> None:
    with pytest.raises(ParameterError, match=r"not a URL|not end in|cannot be a file name"):
        filename_of(url)

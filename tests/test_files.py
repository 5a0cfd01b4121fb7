"""Files are short, and what the documents name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("src", "tests", "benchmarks", "packaging", "integrations")
KINDS = {".py", ".pyi", ".h", ".cpp"}
MOST_LINES = 400
FIRST_LINES = 15
REASON = re.compile(r"^(?:# |// )?Over 400 lines: \w+", re.MULTILINE)

pytestmark = pytest.mark.skipif(not (ROOT / "src" / "cpp").exists(), reason="no source here")


def sources() -> list[tuple[str, list[str]]]:
    """Our files by their places, and their lines."""
    return [
        (path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8").splitlines())
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in KINDS
    ]


def gives_a_reason(lines: list[str]) -> bool:
    return bool(REASON.search("\n".join(lines[:FIRST_LINES])))


def test_a_long_file_gives_its_reason() -> None:
    """At its top, as "Over 400 lines: ..."."""
    assert [
        f"{place}: {len(lines)} lines"
        for place, lines in sources()
        if len(lines) > MOST_LINES and not gives_a_reason(lines)
    ] == []


def test_a_short_file_gives_none() -> None:
    assert [
        place for place, lines in sources() if len(lines) <= MOST_LINES and gives_a_reason(lines)
    ] == []


@pytest.mark.parametrize("document", ["docs/architecture.md", "docs/caching.md", "CONTRIBUTING.md"])
def test_files_that_a_document_names_are_there(document: str) -> None:
    """By their names alone, or by the end of their paths."""
    text = (ROOT / document).read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w./-]+\.(?:py|pyi|h|cpp))`", text))
    places = [f"/{place}" for place, _ in sources()]
    assert named or document == "docs/caching.md"
    assert [
        name for name in sorted(named) if not any(place.endswith(f"/{name}") for place in places)
    ] == []

"""The pin: which source distribution of llama.cpp the project is built on.

Reads and writes `pin.txt`, a pip requirements file of one line, so that pip itself checks the
hash. The facts about the tree inside (upstream commit, versions) are comments there.
Not for fetching: see `fetch.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_HEADER = """\
# The llama.cpp this project is built on: the source distribution that carries it.
# Written by `python third_party/llama.cpp/fetch.py --bump VERSION`, read by fetch.py and CMake.
"""
_REQUIREMENT = re.compile(
    r"^(?P<package>[\w.-]+)==(?P<version>[\w.!+-]+) +--hash=sha256:(?P<sha256>[0-9a-f]{64})$"
)
_FACT = re.compile(r"^# (?P<name>[\w.]+): (?P<value>[\w.+-]+)$")


class PinError(Exception):
    """The pin can not be read."""


@dataclass(frozen=True)
class Pin:
    """One source distribution, by name, version and hash."""

    package: str
    version: str
    sha256: str
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def requirement(self) -> str:
        """The line that pip reads."""
        return f"{self.package}=={self.version} --hash=sha256:{self.sha256}"


def parse_pin(text: str) -> Pin:
    """Returns the pin written in `text`.

    Raises:
        PinError: `text` does not hold exactly one hashed requirement.
    """
    lines = [line.strip() for line in text.splitlines()]
    found = [match for line in lines if (match := _REQUIREMENT.match(line))]
    requirements = [line for line in lines if line and not line.startswith("#")]
    if len(found) != 1 or len(requirements) != 1:
        reason = "the pin must be one line: package==version --hash=sha256:<64 hex digits>"
        raise PinError(reason)
    facts = {match["name"]: match["value"] for line in lines if (match := _FACT.match(line))}
    return Pin(found[0]["package"], found[0]["version"], found[0]["sha256"], facts)


def read_pin(path: Path) -> Pin:
    """Returns the pin written in a file; raises what `parse_pin` raises, and OSError."""
    return parse_pin(path.read_text(encoding="utf-8"))


def format_pin(pin: Pin) -> str:
    """Returns the text that `parse_pin` reads back as `pin`."""
    facts = "".join(f"# {name}: {value}\n" for name, value in pin.facts.items())
    return f"{_HEADER}{facts}{pin.requirement}\n"

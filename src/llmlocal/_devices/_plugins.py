"""Backends that come in packages of their own, through the entry-point group ``llmlocal.backends``.

Such an entry point names an attribute that holds the path of one shared library.  Found here, loaded
by ``_runtime``.  A package of another version than llmlocal's is not even imported: the two share
structures in memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "Plugin", "Skipped", "find_plugins", "installed_entry_points"]

GROUP = "llmlocal.backends"


@dataclass(frozen=True)
class Plugin:
    """A backend's shared library, and the package that it comes from."""

    package: str
    path: Path


@dataclass(frozen=True)
class Skipped:
    """A backend that is not in use, and why."""

    package: str
    reason: str

    def __str__(self) -> str:
        return f"{self.package}: {self.reason}"


def installed_entry_points() -> Iterable[EntryPoint]:
    """The entry points of all packages that Python sees."""
    from importlib.metadata import entry_points

    return entry_points(group=GROUP)


def find_plugins(
    entries: Iterable[EntryPoint], version: str, current: Path
) -> tuple[list[Plugin], list[Skipped]]:
    """Sort entry points into those to load and those to leave alone.

    Args:
        entries: The entry points of the group.
        version: Of llmlocal; a plugin's must be the same.
        current: The current directory, from which nothing is taken: whoever can write there would
            own the process.
    """
    plugins: list[Plugin] = []
    skipped: list[Skipped] = []
    for entry in entries:
        package = entry.dist.name if entry.dist else entry.name
        try:
            plugins.append(Plugin(package, _library_of(entry, version, current)))
        except Exception as exc:  # noqa: BLE001 - somebody else's package: say so and go on
            skipped.append(Skipped(package, str(exc) or type(exc).__name__))
    return plugins, skipped


def _library_of(entry: EntryPoint, version: str, current: Path) -> Path:
    if entry.dist is None:
        raise ValueError("it belongs to no installed package")
    if entry.dist.version != version:
        raise ValueError(
            f"it is version {entry.dist.version}, but llmlocal is {version}; "
            f"pip install {entry.dist.name}=={version}"
        )
    if Path(str(entry.dist.locate_file(""))).resolve() == current.resolve():
        raise ValueError("it is in the current directory, and nothing is loaded from there")
    path = Path(entry.load())
    if not path.is_absolute() or not path.is_file():
        raise ValueError(f"its library {str(path)!r} is not there; install it again")
    return path

"""The systems that can take part, and how to start each one's process."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.environments import PEERS, is_made, peer_python
from benchmarks.llama_tools import TOOLS_OF, is_built, tool_path
from benchmarks.session import Session

__all__ = [
    "ALL",
    "LIMIT",
    "OURS",
    "SERVED",
    "Entrant",
    "SystemMissingError",
    "command",
    "options",
    "start",
]

OURS = "llmlocal"
LIMIT = "llama-bench"
SERVED = "llmlocal-server"
ALL = (
    OURS,
    LIMIT,
    "llama-cpp-python",
    "llama-server",
    "gpt4all",
    "xllamacpp",
    "cyllama",
    "sentence-transformers",
    "fastembed",
    SERVED,
)


class SystemMissingError(Exception):
    """A system is not there; says how to get it."""


def command(system: str) -> list[str]:
    """The command that starts a system's process.

    Raises:
        SystemMissingError: It was not made or built yet.
    """
    if system in PEERS:
        if not is_made(PEERS[system]):
            raise SystemMissingError(f"not installed: python -m benchmarks get {system}")
        python = str(peer_python(PEERS[system]))
    else:
        python = sys.executable
    missing = [tool for tool in TOOLS_OF.get(system, ()) if not is_built(tool)]
    if missing:
        raise SystemMissingError(f"{missing[0]} is not built: python -m benchmarks get {system}")
    return [python, "-m", f"benchmarks.adapters.{system.replace('-', '_')}"]


def options(system: str) -> dict[str, Any]:
    """What its adapter must be told beyond the common settings."""
    if system == "llama-server":
        return {"program": str(tool_path("llama-server"))}
    return {tool: str(tool_path(tool)) for tool in TOOLS_OF.get(system, ())}


def start(system: str, environ: Mapping[str, str] | None = None) -> Session:
    """Start a system's process; nothing is loaded yet."""
    return Session(system, command(system), environ)


@dataclass
class Entrant:
    """A system with a model open: what most contestants are.

    Attributes:
        label: Its name in the scenario.
        system: The system.
        settings: The common settings; what only this system understands is added.
        environ: Variables for its process, beside those of this one.
        session: The process, while it is open.
        version: Known once it is open.
        operation: What loads the model; "open_embedder" for vectors.
    """

    label: str
    system: str
    settings: Mapping[str, Any]
    environ: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    operation: str = "open"
    session: Session | None = field(default=None, init=False)

    def open(self) -> Session:
        """Start the process and load the model."""
        self.session = start(self.system, self.environ)
        opened = self.session.ask(self.operation, settings=self.opening())
        self.version = str(opened["version"])
        return self.session

    def opening(self) -> dict[str, Any]:
        """The settings as its adapter wants them."""
        extra = {**options(self.system), **self.settings.get("options", {})}
        return {**self.settings, "options": extra}

    def pause(self) -> None:
        """Stop the process until it is asked again."""
        if self.session is not None:
            self.session.pause()

    def close(self) -> None:
        """End the process."""
        if self.session is not None:
            self.session.close()
            self.session = None

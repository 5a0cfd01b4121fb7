"""A chat session as JSON text or as a file, and back to plain settings.

A file is that text; with a state it is a zip archive of the text and the state.
"""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmlocal._quote import quote
from llmlocal.errors import ParameterError

__all__ = ["SavedSession", "read_file", "read_session", "write_file", "write_session"]

_TEXT, _STATE = "session.json", "state"
_FORMAT = "llmlocal chat session, version 1"
_SETTINGS = ("messages", "template", "tools", "documents", "variables", "overflow")


@dataclass(frozen=True)
class SavedSession:
    """What is kept of a session.

    Attributes:
        settings: Its arguments by name, ``messages`` and ``template`` included.
        options: Its defaults for answers.
        first: The message that its prompt begins with.
    """

    settings: dict[str, Any]
    options: dict[str, Any]
    first: int


def write_session(saved: SavedSession) -> str:
    """The JSON text for it."""
    texts = {"format": _FORMAT, **{name: saved.settings[name] for name in _SETTINGS}}
    whole = {**texts, "options": saved.options, "first": saved.first}
    try:
        return json.dumps(whole, ensure_ascii=False, indent=1)
    except (TypeError, ValueError, RecursionError) as exc:
        raise ParameterError(f"the session holds what JSON does not: {exc}") from exc


def read_session(text: str) -> SavedSession:
    """What :func:`write_session` was given.

    Raises:
        ParameterError: ``text`` is not what it gave; says why.
    """
    try:
        saved = json.loads(text)
        if saved["format"] != _FORMAT:
            raise ParameterError(f"this is {quote(saved['format'])}, not a {quote(_FORMAT)}")
        options = dict(saved["options"])
        if "logit_bias" in options:  # JSON has no numbers for keys
            options["logit_bias"] = {int(k): v for k, v in options["logit_bias"].items()}
        return SavedSession({name: saved[name] for name in _SETTINGS}, options, int(saved["first"]))
    except KeyError as exc:
        raise ParameterError(f"this is not a saved chat session: it has no {exc}") from exc
    except (ValueError, TypeError, AttributeError, RecursionError) as exc:
        raise ParameterError(f"this is not a saved chat session: {exc}") from exc


def write_file(path: Path, text: str, state: bytes) -> None:
    """Write what :func:`write_session` gave, with a state unless that is empty.

    The file is written beside its place and then put there; its user alone can read it.
    """
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            if state:
                with zipfile.ZipFile(file, "w") as archive:
                    archive.writestr(_TEXT, text)
                    archive.writestr(_STATE, state)
            else:
                file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def read_file(path: Path) -> tuple[str, bytes]:
    """The text and the state in a file; an empty state where there is none.

    Raises:
        ParameterError: It is no such file.
    """
    try:
        if not zipfile.is_zipfile(path):
            return path.read_text(encoding="utf-8"), b""
        with zipfile.ZipFile(path) as archive:
            return archive.read(_TEXT).decode(), archive.read(_STATE)
    except (KeyError, ValueError, zipfile.BadZipFile) as exc:
        raise ParameterError(f"{path} holds no chat session: {exc}") from exc

"""Reads a model's bytes again and holds them against what was promised of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .._progress import ProgressOption, reporter
from ..errors import ChecksumError, ModelLoadError
from ._catalog._card import Checks
from ._catalog._lists import find_card, load_cards
from ._disk._digest import compare, digest_file
from ._disk._files import file_size
from ._disk._locate import find
from ._disk._notes import Record, read_record, write_record
from ._disk._store import InstalledModel
from ._gguf._header import read_header_of
from ._names._places import Slot
from ._report import Report, cancelling

__all__ = ["Verification", "verify"]

Against = Literal["catalog", "download", "tool", "structure"]


@dataclass(frozen=True)
class Verification:
    """A file whose bytes have been read and found good.

    Attributes:
        path: The file.
        size_bytes: Its size.
        sha256: Its digest.
        against: What it was held against: the ``"catalog"``, the record of its ``"download"``,
            the digest under which another ``"tool"`` keeps it, or, where nobody knows a digest,
            its own ``"structure"`` (a readable header, and all the weights it lists).
    """

    path: Path
    size_bytes: int
    sha256: str
    against: Against


def verify(
    name: str | os.PathLike[str],
    *,
    model_path: str | os.PathLike[str] | None = None,
    progress: ProgressOption = None,
) -> list[Verification]:
    """Read all files of a model on disk and check them.

    Args:
        name: What model; the forms are those of :func:`llmlocal.models.resolve`.
        model_path: A folder to look in, in place of all others.
        progress: None for a bar on a terminal, False for silence, or a callback.

    Returns:
        What was found, one for each file.

    Raises:
        ChecksumError: A file is damaged or another one; it is left where it is.
        ModelNotFoundError: No such model is on disk.
        DownloadCancelledError: The callback returned False.
    """
    model = find(name, model_path)
    with reporter(progress, model.name) as callback:
        report = cancelling(callback, model.name)
        slots: Sequence[Slot | None] = model.slots() or [None] * len(model.paths)
        return [
            _verify_file(path, slot, model, report)
            for path, slot in zip(model.paths, slots, strict=True)
        ]


def _verify_file(
    path: Path, slot: Slot | None, model: InstalledModel, report: Report
) -> Verification:
    record = None if slot is None else read_record(slot)
    promised, against = _promise(path, model, record)
    try:
        found = digest_file(path, report, with_md5=promised.md5 is not None).result()
        compare(path.name, promised, found)
        read_header_of(path)
    except OSError as exc:
        message = f"{path} can't be read: {exc.strerror}"
        raise ModelLoadError(message) from exc
    except (ChecksumError, ModelLoadError) as exc:
        hint = f"; remove it with `llmlocal rm {model.name}` and pull it again"
        message = f"{path}: {exc}{hint if model.is_own else ''}"
        raise ChecksumError(message) from exc
    assert found.size is not None
    assert found.sha256 is not None
    if slot is not None and record is None:
        with contextlib.suppress(OSError):  # A folder that cannot be written has no records.
            write_record(slot, Record.of(path, found, None))
    return Verification(path, found.size, found.sha256, against)


def _promise(path: Path, model: InstalledModel, record: Record | None) -> tuple[Checks, Against]:
    """The strongest word that anybody has given for the file."""
    card = find_card(path.name, load_cards())
    if card is not None and card.checks.pin_content:
        # Elsewhere a file of another maker may have the same name.
        is_where_pulled = path.parent == model.root
        if is_where_pulled or card.size_bytes == file_size(path):
            return card.checks, "catalog"
    if model.sha256 is not None:
        return Checks(sha256=model.sha256), "tool"
    if record is not None:
        return record.checks, "download"
    return Checks(), "structure"

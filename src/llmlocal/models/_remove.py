"""Deletes a model of the library's own, and what a broken-off download left of one."""

from __future__ import annotations

from pathlib import Path

from ..errors import DownloadError, ModelError
from ._disk._files import remove_if_there
from ._disk._locate import card_of, locate, not_found
from ._disk._lock import locked
from ._disk._store import Store
from ._names._filenames import part_names
from ._names._places import Slot
from ._names._reference import HubFile, Reference, UrlReference, parse_reference

__all__ = ["remove"]


def remove(name: str, *, model_path: str | Path | None = None) -> list[Path]:
    """Delete a model from the models folder.

    Args:
        name: What model; the forms are those of :func:`llmlocal.models.resolve`.
        model_path: The folder to delete from, in place of the library's own.

    Returns:
        The files that were deleted.

    Raises:
        ModelNotFoundError: There is no such model, and no part of one.
        ModelError: The file is another tool's, or not in the models folder, or is being fetched;
            it is left alone.
        DownloadError: The file system refuses.
    """
    reference = parse_reference(name)
    store = Store(model_path)
    slots = _slots(reference, store)
    removed = [path for slot in slots for path in _remove_slot(slot)]
    if removed:
        return removed
    raise not_found(reference, store)


def _slots(reference: Reference, store: Store) -> list[Slot]:
    """The places of the model's files, also of one that never became complete."""
    found = locate(reference, store)
    if found is not None:
        slots = found.slots()
        if not slots:
            message = f"{found.path} is not in {store.root}, so it is left alone"
            raise ModelError(message)
        return slots
    card = card_of(reference)
    if card is not None:
        relative = card.filename
    elif isinstance(reference, (HubFile, UrlReference)):
        relative = reference.relative
    else:
        return []
    folder, slash, last = relative.rpartition("/")
    return [store.slot(folder + slash + part) for part in part_names(last)]


def _remove_slot(slot: Slot) -> list[Path]:
    """Delete all that belongs to one file; the lock's own file stays, as others may wait on it."""
    files = [slot.target, slot.part, slot.bad]
    present = [path for path in files if path.exists()]
    if not present:
        return []

    def refuse() -> None:
        message = f"{slot.target.name} is being fetched; wait for that, or end it"
        raise ModelError(message)

    try:
        with locked(slot, refuse):
            for path in (*files, slot.origin, slot.workspace, slot.record):
                remove_if_there(path)
            _remove_empty_folders(slot)
    except OSError as exc:
        message = f"cannot remove {slot.target}: {exc.strerror}"
        raise DownloadError(message) from exc
    return present


def _remove_empty_folders(slot: Slot) -> None:
    folder = slot.target.parent
    while folder != slot.root and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent

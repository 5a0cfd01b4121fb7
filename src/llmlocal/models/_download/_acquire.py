"""Brings a model here: what to fetch, all its files, and one progress report for them together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..._progress import ProgressOption, Stage, reporter
from ...errors import ModelNotFoundError, ParameterError
from .._catalog._card import NO_CHECKS, Checks, HttpsSource, ModelCard
from .._catalog._lists import load_cards, suggestions
from .._disk._digest import is_promised
from .._disk._files import file_size
from .._disk._locate import card_of, label_of
from .._disk._store import InstalledModel, Store
from .._http._client import NotThereError
from .._http._offline import require_online
from .._names._reference import HubFile, Reference, parse_reference
from .._report import Report, cancelling
from ._fetch import Order, fetch
from ._hub import missing_message
from ._orders import orders_for

__all__ = ["acquire"]


def acquire(
    reference: Reference,
    store: Store,
    expected: Checks,
    progress: ProgressOption,
    found: InstalledModel | None = None,
) -> Path:
    """Fetch the model, unless what was found on disk is as expected.

    Args:
        reference: What is meant.
        store: Where files go.
        expected: What the caller says that the file must be.
        progress: As in :func:`llmlocal.models.pull`.
        found: What is on disk.

    Returns:
        The file's path, of a split model the first part's.
    """
    label = label_of(reference)
    with reporter(progress, label) as callback:
        report = cancelling(callback, label)
        if found is not None and _is_accepted(found, expected, report):
            return found.path
        require_online(label)
        orders = orders_for(reference, store, expected, report)
        paths = _fetch_all(orders, reference, expected, report)
    return paths[0]


def _fetch_all(
    orders: Sequence[Order], reference: Reference, expected: Checks, report: Report
) -> list[Path]:
    """Fetch the files one after the other; several of known sizes are reported as one."""
    sizes = [order.checks.size or 0 for order in orders]
    is_one_report = len(orders) > 1 and all(sizes)
    paths = []
    for number, order in enumerate(orders):
        together = _shifted(report, sum(sizes[:number]), sum(sizes)) if is_one_report else report
        paths.append(_fetch_one(order, reference, expected, together))
    return paths


def _fetch_one(order: Order, reference: Reference, expected: Checks, report: Report) -> Path:
    try:
        return fetch(order, report, lambda: _is_there(order, expected, report))
    except NotThereError as exc:
        raise ModelNotFoundError(_missing(reference, str(exc), report)) from exc


def _missing(reference: Reference, answer: str, report: Report) -> str:
    """What the server said, and what was probably meant."""
    if isinstance(reference, HubFile):
        return missing_message(reference, answer, report)
    card = card_of(reference)
    file = None if card is None else _on_hub(card)
    if card is not None and file is not None:
        return (
            f"{missing_message(file, answer, report)} (the catalog's entry for {card.name} is"
            f" wrong there; hf:{file.repository}/FILE.gguf takes another file)"
        )
    close = suggestions(label_of(reference), load_cards(), ())
    return f"{answer}; did you mean {' or '.join(close)} of the catalog?" if close else answer


def _on_hub(card: ModelCard) -> HubFile | None:
    """The card's file as the hub knows it, if that is where it comes from."""
    for source in card.sources:
        if isinstance(source, HttpsSource):
            file = parse_reference(source.url)
            if isinstance(file, HubFile):
                return file
    return None


def _is_there(order: Order, expected: Checks, report: Report) -> bool:
    """Whether the wanted file is on disk; read only if the caller said what its bytes are."""
    target = order.slot.target
    size = file_size(target)
    if size is None or order.checks.size not in {None, size}:
        return False
    return expected == NO_CHECKS or is_promised(target, order.slot, expected, report)


def _is_accepted(found: InstalledModel, expected: Checks, report: Report) -> bool:
    if len(found.paths) > 1:
        message = f"size, sha256 and md5 are of one file, and {found.name} has {len(found.paths)}"
        raise ParameterError(message)
    slots = found.slots()
    return is_promised(found.path, slots[0] if slots else None, expected, report)


def _shifted(report: Report, done_before: int, total: int) -> Report:
    def shifted(stage: Stage, done: int, total_of_one: int | None) -> None:
        if stage == "verify":
            report(stage, done, total_of_one)
        else:
            report(stage, done_before + done, total)

    return shifted

"""From what a name means to the files to fetch: where from, where to, and what they must be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...errors import ModelNotFoundError, ParameterError
from .._catalog._card import NO_CHECKS, Checks, HttpsSource, ModelCard, Source
from .._disk._locate import card_of, not_found
from .._disk._store import Store
from .._http._client import NotThereError
from .._names._filenames import part_names
from .._names._reference import HubFile, HubModel, Reference, UrlReference
from .._names._url import at_endpoint
from .._report import Report
from ._fetch import Order
from ._hub import choose, list_files

__all__ = ["orders_for"]


def orders_for(reference: Reference, store: Store, expected: Checks, report: Report) -> list[Order]:
    """One order for each file of the model; the hub is asked only where the name leaves it open.

    Args:
        reference: What is meant.
        store: Where files go.
        expected: What the caller says of the file.
        report: Asked whether to stop while the hub is.

    Raises:
        ModelNotFoundError: Nothing says where it can be fetched from.
        ParameterError: The caller's checks are of one file, and the model has several.
        DownloadError: The hub cannot be asked.
    """
    card = card_of(reference)
    if card is not None:
        orders = _card_orders(card, store)
    elif isinstance(reference, HubModel):
        orders = _hub_orders(reference, store, report)
    elif isinstance(reference, HubFile):
        files = [replace(reference, path=path) for path in part_names(reference.path)]
        orders = [_order(store, file.relative, [HttpsSource(file.url)]) for file in files]
    elif isinstance(reference, UrlReference):
        names = part_names(reference.relative)
        urls = _part_urls(reference.url, len(names))
        orders = [
            replace(_order(store, name, [HttpsSource(url)]), is_asked_for=True)
            for name, url in zip(names, urls, strict=True)
        ]
    else:
        raise not_found(reference, store)
    if expected == NO_CHECKS:
        return orders
    if len(orders) > 1:
        message = f"size, sha256 and md5 are of one file, and this model has {len(orders)}"
        raise ParameterError(message)
    return [replace(orders[0], checks=_completed(expected, orders[0].checks))]


def _card_orders(card: ModelCard, store: Store) -> list[Order]:
    names = part_names(card.filename)
    if len(names) == 1:
        return [_order(store, card.filename, [_moved(s) for s in card.sources], card.checks)]
    # The size and the digest of a card are of one file, so they say nothing of several.
    columns = [
        [HttpsSource(url) for url in _part_urls(at_endpoint(source.url), len(names))]
        for source in card.sources
        if isinstance(source, HttpsSource)
    ]
    return [_order(store, name, [column[i] for column in columns]) for i, name in enumerate(names)]


def _hub_orders(model: HubModel, store: Store, report: Report) -> list[Order]:
    try:
        entries = choose(model, list_files(model, report))
    except NotThereError as exc:
        message = f"the hub has no repository {model.repository} that can be read: {exc}"
        raise ModelNotFoundError(message) from exc
    files = [HubFile(model.repository, entry.path, model.revision) for entry in entries]
    return [
        _order(store, file.relative, [HttpsSource(file.url)], entry.checks)
        for file, entry in zip(files, entries, strict=True)
    ]


def _order(
    store: Store, relative: str, sources: Sequence[Source], checks: Checks = NO_CHECKS
) -> Order:
    return Order(store.slot(relative), sources, checks)


def _moved(source: Source) -> Source:
    return HttpsSource(at_endpoint(source.url)) if isinstance(source, HttpsSource) else source


def _part_urls(url: str, count: int) -> list[str]:
    """The URLs of all parts, made from that of any one."""
    if count == 1:
        return [url]
    path, mark, query = url.partition("?")
    folder, _, name = path.rpartition("/")
    return [f"{folder}/{part}{mark}{query}" for part in part_names(name)]


def _completed(expected: Checks, known: Checks) -> Checks:
    """What the caller says, completed by what the catalog or the hub says."""
    return Checks(
        expected.size or known.size, expected.sha256 or known.sha256, expected.md5 or known.md5
    )

"""Finds a model on disk by its name.  No request is made here, ever."""

from __future__ import annotations

import os
from pathlib import Path

from ..._quote import quote
from ...errors import DownloadError, ModelNotFoundError
from .._catalog._card import HttpsSource, ModelCard
from .._catalog._lists import find_card, load_cards, suggestions
from .._names._pasted import right_form
from .._names._reference import (
    HubFile,
    HubModel,
    NameReference,
    PathReference,
    Reference,
    UrlReference,
    parse_reference,
)
from .._names._url import at_endpoint, shown
from ._files import file_size
from ._notes import read_record
from ._store import InstalledModel, Store, installed_at

__all__ = ["card_of", "find", "label_of", "locate", "not_found"]


def find(
    name: str | os.PathLike[str], model_path: str | os.PathLike[str] | None = None
) -> InstalledModel:
    """The model with this name that is on disk.

    Raises:
        ModelNotFoundError: There is none; the message has names that are close.
        ParameterError: The name is of no valid form.
    """
    reference = parse_reference(name)
    store = Store(model_path)
    found = locate(reference, store)
    if found is None:
        raise not_found(reference, store)
    return found


def locate(reference: Reference, store: Store) -> InstalledModel | None:
    """The model on disk, None if it has to be fetched.

    Raises:
        ModelNotFoundError: The reference is a path, and there is no such file.
        DownloadError: The URL's place in the folder is taken by a file of another URL.
    """
    if isinstance(reference, PathReference):
        return installed_at(reference.path)
    if isinstance(reference, HubModel):
        return store.of_hub_model(reference)
    if isinstance(reference, UrlReference):
        return _locate_url(reference, store)
    if isinstance(reference, HubFile):
        found = store.of_hub_file(reference)
    elif file_size(Path(reference.name)) is not None:
        found = installed_at(Path(reference.name).absolute())
    else:
        found = store.named(reference.name)
    if found is not None:
        return found
    card = card_of(reference)
    return None if card is None else store.of_card(card)


def card_of(reference: Reference) -> ModelCard | None:
    """The catalog's card of what is meant, if it has one.

    Raises:
        ModelError: The user's own catalog cannot be read.
    """
    if isinstance(reference, NameReference):
        return find_card(reference.name, load_cards())
    if isinstance(reference, (HubFile, UrlReference)):
        for card in load_cards():
            for source in card.sources:
                if isinstance(source, HttpsSource) and at_endpoint(source.url) == reference.url:
                    return card
    return None


def label_of(reference: Reference) -> str:
    """What to call the model while it is fetched."""
    if isinstance(reference, PathReference):
        return reference.path.name
    if isinstance(reference, NameReference):
        return reference.name
    if isinstance(reference, HubModel):
        return ":".join(filter(None, (reference.repository, reference.quantisation)))
    return reference.relative.rpartition("/")[2]


def not_found(reference: Reference, store: Store) -> ModelNotFoundError:
    """The error for a model that is not on disk, and may not or cannot be fetched."""
    card = card_of(reference)
    if card is not None:
        message = f"{card.name} is not on disk: {store.slot(card.filename).target} does not exist"
        return ModelNotFoundError(f"{message}; run `llmlocal pull {card.name}` to fetch it")
    if not isinstance(reference, NameReference):
        return ModelNotFoundError(f"{label_of(reference)} is not on disk in {store.root}")
    installed = (model.name for model in (*store.own(), *store.foreign()))
    right = right_form(reference.name)
    if right is not None and right.startswith("hf:"):
        close = [right]
    else:
        close = suggestions(right or reference.name, load_cards(), installed)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    message = f"no file and no model is called {quote(reference.name, 200)}; {hint}"
    return ModelNotFoundError(f"{message}run `llmlocal models` to list them")


def _locate_url(reference: UrlReference, store: Store) -> InstalledModel | None:
    found = store.of_file(reference.relative)
    if found is not None:
        record = read_record(store.slot(reference.relative))
        if record is not None and record.source not in {None, shown(reference.url)}:
            message = (
                f"{found.path} was fetched from {record.source}, not from {shown(reference.url)}; "
                "remove it, or choose another folder with model_path"
            )
            raise DownloadError(message)
        return found
    card = card_of(reference)
    return None if card is None else store.of_card(card)

"""placeholder first form: path, installed, catalog"""

from __future__ import annotations

import os
from pathlib import Path

from .._progress import ProgressOption, reporter
from ..errors import ModelNotFoundError
from ._card import ModelCard
from ._catalog import find_card, load_cards
from ._fetch import Order, fetch
from ._home import models_folder
from ._report import cancelling
from ._slot import Slot


def resolve(
    name: str | os.PathLike[str],
    *,
    model_path: str | os.PathLike[str] | None = None,
    allow_download: bool = True,
    progress: ProgressOption = None,
) -> Path:
    path = Path(name).expanduser()
    if path.is_file():
        return path.absolute()
    folder = models_folder(model_path)
    card = find_card(os.fspath(name), load_cards())
    if card is None:
        message = f"no model is called {os.fspath(name)!r}"
        raise ModelNotFoundError(message)
    slot = Slot(folder, card.filename)
    if _holds(slot, card):
        return slot.target
    if not allow_download:
        message = f"{slot.target} does not exist, and allow_download is False"
        raise ModelNotFoundError(message)
    return _pull(card, slot, progress)


def pull(
    name: str,
    *,
    model_path: str | os.PathLike[str] | None = None,
    progress: ProgressOption = None,
) -> Path:
    return resolve(name, model_path=model_path, progress=progress)


def _holds(slot: Slot, card: ModelCard) -> bool:
    try:
        size = slot.target.stat().st_size
    except OSError:
        return False
    return card.size_bytes in {None, size}


def _pull(card: ModelCard, slot: Slot, progress: ProgressOption) -> Path:
    with reporter(progress, card.name) as callback:
        report = cancelling(callback, card.name)
        return fetch(Order(slot, card.sources, card.checks), report, lambda: _holds(slot, card))

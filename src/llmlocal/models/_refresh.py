"""Replaces the list of known models by a newer one, if that is sound."""

from __future__ import annotations

import os

from llmlocal._tokens import check_text

from .._own_files import replace_own
from ..errors import DownloadError, ParameterError
from ._catalog._card_json import CardError
from ._catalog._lists import fetched_file, parse_catalog
from ._disk._files import disk_error, make_folder
from ._names._url import is_url, shown

__all__ = ["refresh"]


def refresh(url: str | None = None) -> int:
    """Fetch the catalog anew; the old one stays in use if the new one is broken.

    Args:
        url: Where it is; None for what ``LLMLOCAL_CATALOG_URL`` says.

    Returns:
        How many models the new catalog has.

    Raises:
        ParameterError: There is no URL.
        DownloadError: It cannot be fetched, or it is broken.
    """
    if url is not None:
        check_text(url, "url")
    source = url or os.environ.get("LLMLOCAL_CATALOG_URL")
    if not source or not is_url(source):
        message = "give the URL of a catalog, or set LLMLOCAL_CATALOG_URL"
        raise ParameterError(message)
    from ._http._document import get_document  # The network's libraries are loaded only to use it.

    body, _ = get_document(source, lambda *_: None, is_asked_for=True)
    path = fetched_file()
    try:
        text = body.decode("utf-8")
        cards = parse_catalog(text)
    except (CardError, UnicodeDecodeError) as exc:
        message = f"the catalog at {shown(source)} is broken ({exc}); the old one stays in use"
        raise DownloadError(message) from exc
    make_folder(path.parent)
    try:
        replace_own(path, text)
    except OSError as exc:
        raise disk_error(exc, path.parent) from exc
    return len(cards)

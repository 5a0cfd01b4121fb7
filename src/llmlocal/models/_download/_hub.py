"""What a repository of the model hub holds: asked for only when a name leaves it open."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import DownloadError, ModelNotFoundError
from .._catalog._card import Checks
from .._http._document import get_document
from .._names._filenames import choose_file, part_names, quantisations
from .._names._reference import HubFile, HubModel
from .._names._url import origin_of
from .._report import Report

__all__ = ["HubEntry", "choose", "list_files", "missing_message"]

MAX_PAGES = 50
MAX_COMPARED = 200
_NEXT = re.compile(r'<([^>]+)>;\s*rel="next"')
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class HubEntry:
    """One file of a repository, and what the hub says of its bytes."""

    path: str
    checks: Checks


def list_files(model: HubModel, report: Report) -> list[HubEntry]:
    """The files of a repository.

    Raises:
        NotThereError: There is no such repository or revision.
        DownloadError: The hub cannot be reached, denies access, or answers nonsense.
    """
    entries: list[HubEntry] = []
    url: str | None = model.listing_url
    for _ in range(MAX_PAGES):
        if url is None:
            break
        body, headers = get_document(url, report)
        entries += _entries(body, model)
        following = _NEXT.search(headers.get("link", ""))
        # A page that leads to another server would take the token along.
        is_same = following is not None and origin_of(following[1]) == origin_of(url)
        url = following[1] if following is not None and is_same else None
    return entries


def choose(model: HubModel, entries: Sequence[HubEntry]) -> list[HubEntry]:
    """The file that has the quantisation, or all its parts.

    Raises:
        ModelNotFoundError: There is none; the message has those that there are.
    """
    by_path = {entry.path: entry for entry in entries}
    chosen = choose_file(by_path, model.quantisation)
    if chosen is None:
        there = ", ".join(quantisations(by_path)) or "no .gguf file"
        wanted = model.quantisation or "a usual quantisation"
        message = f"{model.repository} has no model in {wanted}; it has {there}"
        raise ModelNotFoundError(message)
    folder, _, name = chosen.rpartition("/")
    paths = [f"{folder}/{part}" if folder else part for part in part_names(name)]
    missing = [path for path in paths if path not in by_path]
    if missing:
        message = f"{model.repository} lacks {missing[0]}, a part of {chosen}"
        raise ModelNotFoundError(message)
    return [by_path[path] for path in paths]


def missing_message(file: HubFile, answer: str, report: Report) -> str:
    """What to say when a file is not there: what it was probably meant to be.

    Args:
        file: What was asked for.
        answer: What the server said; all there is to say if the hub does list the file.
        report: Asked whether to stop while the hub is.
    """
    try:
        paths = [entry.path for entry in list_files(file.model, report)]
    except DownloadError:
        return f"the hub has no repository {file.repository} that can be read without a token"
    if file.path in paths:
        return answer
    models = [path for path in paths if path.lower().endswith(".gguf")]
    # Comparing takes as long as the lengths multiplied, and a repository may list anything.
    near = [path for path in models[:MAX_COMPARED] if len(path) <= MAX_COMPARED]
    close = difflib.get_close_matches(file.path[:MAX_COMPARED], near, n=3, cutoff=0.5)
    there = ", ".join(close or models[:5]) or "no .gguf file"
    verb = "did you mean" if close else "it has"
    return f"{file.repository} has no file {file.path}; {verb} {there}{'?' if close else ''}"


def _entries(body: bytes, model: HubModel) -> list[HubEntry]:
    try:
        return [_entry(item) for item in json.loads(body) if item["type"] == "file"]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
        message = f"the hub's list of files in {model.repository} cannot be read: {exc!r}"
        raise DownloadError(message) from exc


def _entry(item: dict[str, object]) -> HubEntry:
    size = item.get("size")
    stored = item.get("lfs")
    digest = stored.get("oid") if isinstance(stored, dict) else None
    is_digest = isinstance(digest, str) and _SHA256.fullmatch(digest)
    return HubEntry(
        str(item["path"]),
        Checks(
            size if type(size) is int and size > 0 else None, str(digest) if is_digest else None
        ),
    )

"""From a model's name to its file: what is on disk first, and a download only if need be."""

from __future__ import annotations

import os
import re
from pathlib import Path

from llmlocal._checks import check_bool, check_whole
from llmlocal._tokens import check_text

from .._progress import ProgressOption
from .._quote import quote
from ..errors import ParameterError
from ._catalog._card import NO_CHECKS, Checks
from ._disk._locate import locate, not_found
from ._disk._store import Store
from ._names._reference import parse_reference

__all__ = ["pull", "resolve"]


def resolve(
    name: str | os.PathLike[str],
    *,
    model_path: str | os.PathLike[str] | None = None,
    allow_download: bool = True,
    progress: ProgressOption = None,
) -> Path:
    """The file of the model with this name, fetched if it is not on disk.

    What is on disk wins and costs no request.  The name may be, in this order: a path; an
    installed model, also one of another tool; a name, alias or file name of the catalog;
    ``hf:OWNER/REPO/FILE.gguf`` or ``hf:OWNER/REPO:Q4_K_M``; a URL.

    Args:
        name: What model.
        model_path: A folder to look in and to download to, in place of all others.
        allow_download: Whether the network may be used.
        progress: None for a bar on a terminal, False for silence, or a callback.

    Returns:
        The file's path, of a split model the first part's.

    Raises:
        ModelNotFoundError: Nothing has this name, or it is not on disk and may not be fetched.
        DownloadError: It could not be fetched.
        ParameterError: The name is of no valid form.

    Example:
        >>> from llmlocal import models
        >>> models.resolve("smollm2-135m-instruct", allow_download=False)  # doctest: +SKIP
        PosixPath('/home/me/.local/share/llmlocal/models/SmolLM2-135M-Instruct.Q4_1.gguf')
    """
    check_bool("allow_download", allow_download)
    reference = parse_reference(name)
    store = Store(model_path)
    found = locate(reference, store)
    if found is not None:
        return found.path
    if not allow_download:
        raise not_found(reference, store)
    from ._download._acquire import acquire  # The network's libraries are loaded only to use it.

    return acquire(reference, store, NO_CHECKS, progress)


def pull(
    name_or_url: str,
    *,
    model_path: str | os.PathLike[str] | None = None,
    sha256: str | None = None,
    md5: str | None = None,
    size: int | None = None,
    progress: ProgressOption = None,
) -> Path:
    """Fetch and verify a model, unless it is on disk.

    Args:
        name_or_url: What model; the forms are those of :func:`resolve`.
        model_path: A folder to look in and to download to, in place of all others.
        sha256: What the file's SHA-256 must be; a file on disk is held against it too.
        md5: The same for MD5.
        size: What the file's size must be, in bytes.
        progress: None for a bar on a terminal, False for silence, or a callback, called several
            times a second in the calling thread; returning False from it cancels the download,
            and what has arrived is kept.

    Returns:
        The path of the complete file, of a split model the first part's.

    Raises:
        ModelNotFoundError: Nothing has this name, or the server has no such file.
        ChecksumError: The bytes are not the promised ones; they have been set aside.
        DownloadCancelledError: The callback returned False.
        DownloadError: Any other failure; what has arrived is kept, and the next try resumes.
        ParameterError: An argument is of no valid form.

    Example:
        >>> from llmlocal import models
        >>> models.pull("hf:owner/repo:Q4_K_M", progress=print)  # doctest: +SKIP
    """
    expected = _expected(size, sha256, md5)
    reference = parse_reference(name_or_url)
    store = Store(model_path)
    found = locate(reference, store)
    if found is not None and expected == NO_CHECKS:
        return found.path
    from ._download._acquire import acquire

    return acquire(reference, store, expected, progress, found)


def _expected(size: int | None, sha256: str | None, md5: str | None) -> Checks:
    check_whole("size", size, 1, 2**63 - 1)
    for name, value, length in (("sha256", sha256, 64), ("md5", md5, 32)):
        if value is None:
            continue
        check_text(value, name)
        if not re.fullmatch(f"[0-9a-fA-F]{{{length}}}", value):
            message = f"{name} must be {length} hexadecimal digits, got {quote(value)}"
            raise ParameterError(message)
    return Checks(size, sha256 and sha256.lower(), md5 and md5.lower())

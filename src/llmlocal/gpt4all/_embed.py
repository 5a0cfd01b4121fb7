"""``Embed4All``: gpt4all's class for embeddings, with its names and defaults, over an ``Embedder``.

The numbers are those of :class:`llmlocal.Embedder`.  Parts of long texts are averaged by their
lengths and do not overlap, where gpt4all's overlapped by eight tokens.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, ClassVar, Literal, TypedDict, cast, overload

from llmlocal._checks import check_bool, check_path, listed
from llmlocal._embedder import Embedder
from llmlocal._generation._reply import check_callback
from llmlocal._quote import quote
from llmlocal._tokens import check_text
from llmlocal.errors import ParameterError, RequestCancelledError
from llmlocal.gpt4all._config import ConfigType
from llmlocal.gpt4all._device import device_of, layers_of
from llmlocal.gpt4all.gpt4all import GPT4All

__all__ = ["CancellationError", "Embed4All", "EmbedCancelCallback", "EmbedResult"]

CancellationError = RequestCancelledError
"""What ``embed`` raises once ``cancel_cb`` has returned True."""

EmbedCancelCallback = Callable[[list[int], str], bool]
"""Called with the sizes of the texts in tokens, and the backend's name; True = stop."""

_DEFAULT_MODEL = "all-MiniLM-L6-v2.gguf2.f16.gguf"
_ATLAS_LIMIT = 8192


class EmbedResult(TypedDict):
    """What ``embed`` returns with ``return_dict=True``."""

    embeddings: Any
    n_prompt_tokens: int


class Embed4All:
    """A model for embeddings, as gpt4all's class of this name presents it.

    Args:
        model_name: A file name of gpt4all's list, or anything that :class:`llmlocal.Embedder`
            takes.  Default: ``all-MiniLM-L6-v2.gguf2.f16.gguf``.
        n_threads: CPU threads; None for the number of cores.
        device: As for :class:`llmlocal.GPT4All`.
        **kwargs: ``model_path``, ``allow_download``, ``n_ctx``, ``ngl`` and ``verbose`` as for
            :class:`llmlocal.GPT4All`.

    Raises:
        ModelNotFoundError: A ``FileNotFoundError`` and a ``ValueError``.
        ModelLoadError: A ``RuntimeError`` and a ``ValueError``.
        DownloadError: A ``RuntimeError`` and a ``ValueError``.

    Example:
        >>> with Embed4All() as embedder:
        ...     print(len(embedder.embed("The quick brown fox")))
        384
    """

    MIN_DIMENSIONALITY: ClassVar[int] = 64

    def __init__(
        self,
        model_name: str | os.PathLike[str] | None = None,
        n_threads: int | None = None,
        *,
        device: str | None = None,
        **kwargs: Any,
    ) -> None:
        if model_name is not None:
            check_path("model_name", model_name)
        options = dict(kwargs)
        n_ctx = options.pop("n_ctx", None)
        ngl = options.pop("ngl", 100)
        verbose = options.pop("verbose", False)
        options.pop("model_type", None)
        self.config: ConfigType = GPT4All.retrieve_model(
            os.fspath(_DEFAULT_MODEL if model_name is None else model_name),
            verbose=verbose,
            **options,
        )
        self._embedder = Embedder(
            self.config["path"],
            allow_download=False,
            device=device_of(device),
            n_ctx=n_ctx,
            n_threads=n_threads,
            n_gpu_layers=layers_of(ngl),
            verbose=verbose,
        )

    @property
    def embedder(self) -> Embedder:
        """The model itself, for all that gpt4all has no word for."""
        return self._embedder

    @property
    def backend(self) -> str:
        """The software that runs the model."""
        return self._embedder.backend

    @property
    def device(self) -> str | None:
        """The GPU that runs the model, or None."""
        return None if self._embedder.backend == "cpu" else self._embedder.device

    @overload
    def embed(
        self,
        text: str,
        *,
        prefix: str | None = ...,
        dimensionality: int | None = ...,
        long_text_mode: str = ...,
        return_dict: Literal[False] = ...,
        atlas: bool = ...,
        cancel_cb: EmbedCancelCallback | None = ...,
    ) -> list[float]: ...
    @overload
    def embed(
        self,
        text: list[str],
        *,
        prefix: str | None = ...,
        dimensionality: int | None = ...,
        long_text_mode: str = ...,
        return_dict: Literal[False] = ...,
        atlas: bool = ...,
        cancel_cb: EmbedCancelCallback | None = ...,
    ) -> list[list[float]]: ...
    @overload
    def embed(
        self,
        text: str | list[str],
        *,
        prefix: str | None = ...,
        dimensionality: int | None = ...,
        long_text_mode: str = ...,
        return_dict: Literal[True],
        atlas: bool = ...,
        cancel_cb: EmbedCancelCallback | None = ...,
    ) -> EmbedResult: ...
    def embed(
        self,
        text: str | list[str],
        *,
        prefix: str | None = None,
        dimensionality: int | None = None,
        long_text_mode: str = "mean",
        return_dict: bool = False,
        atlas: bool = False,
        cancel_cb: EmbedCancelCallback | None = None,
    ) -> Any:
        """The vector of a text, or those of a list of texts, as lists of floats of length 1.

        Args:
            text: A text or several, none of them empty lists or texts.
            prefix: What the text is for, without a colon: for Nomic's models ``search_query``,
                ``search_document``, ``classification`` or ``clustering``.  Default:
                ``search_document`` or its like where the model is known, else none.
            dimensionality: Keep so many numbers of a vector; None = all.
            long_text_mode: ``"mean"``: long texts are read in parts whose vectors are averaged;
                ``"truncate"``: they are cut.
            return_dict: Return a dict with ``embeddings`` and ``n_prompt_tokens``.
            atlas: Refuse texts of more than 8,192 tokens in mode ``"mean"``, as the Atlas API does.
            cancel_cb: Called before the work with the sizes of the texts in tokens, and the
                backend's name; True stops it.

        Raises:
            ValueError: ``text`` is empty, or an option is out of its range.
            RequestCancelledError: ``cancel_cb`` returned True; ``CancellationError`` is its old name.
        """
        is_whole = isinstance(dimensionality, int) and not isinstance(dimensionality, bool)
        if dimensionality is not None and not (is_whole and dimensionality > 0):
            raise ParameterError(
                f"Dimensionality must be None or a positive integer, got {quote(dimensionality)}"
            )
        if dimensionality is not None and dimensionality < self.MIN_DIMENSIONALITY:
            warnings.warn(
                f"Dimensionality {dimensionality} is less than the suggested minimum of"
                f" {self.MIN_DIMENSIONALITY}. Performance may be degraded.",
                stacklevel=2,
            )
        if not isinstance(cast("object", long_text_mode), str) or long_text_mode not in (
            "mean",
            "truncate",
        ):
            raise ParameterError(
                f"Long text mode must be one of 'mean' or 'truncate', got {quote(long_text_mode)}"
            )
        check_bool("return_dict", return_dict)
        check_bool("atlas", atlas)
        check_callback(cancel_cb, "cancel_cb")
        if prefix is not None:
            check_text(prefix, "prefix")
        given: object = text
        texts = (
            [given] if isinstance(given, str) else listed("text", () if given is None else given)
        )
        for each in texts:
            check_text(each)
        if not texts or texts == [""]:
            raise ParameterError("text must not be None or empty")
        before = self._prefix(prefix)
        sizes = self._sizes(texts, before, cut=long_text_mode == "truncate")
        if atlas and long_text_mode == "mean" and max(sizes) > _ATLAS_LIMIT:
            raise ParameterError(
                f"a text has {max(sizes)} tokens, but the Atlas API takes {_ATLAS_LIMIT} of them"
            )
        if cancel_cb is not None and cancel_cb(sizes, self.backend):
            raise CancellationError("operation was canceled")
        vectors = self._embedder.embed(
            texts,
            prefix=before,
            dimensions=dimensionality,
            truncate="mean" if long_text_mode == "mean" else True,
            progress=False,
        ).tolist()
        embeddings = vectors[0] if isinstance(text, str) else vectors
        if return_dict:
            return {"embeddings": embeddings, "n_prompt_tokens": sum(sizes)}
        return embeddings

    def _prefix(self, prefix: str | None) -> str:
        if prefix is None:
            return self._embedder.prefixes["document"]
        known = {
            "query": self._embedder.prefixes["query"],
            "document": self._embedder.prefixes["document"],
        }
        if prefix in known:
            return known[prefix]
        return f"{prefix}: " if prefix else ""

    def _sizes(self, texts: Sequence[str], prefix: str, *, cut: bool) -> list[int]:
        sizes = [self._embedder.count_tokens(prefix + text) for text in texts]
        return [min(size, self._embedder.n_ctx) for size in sizes] if cut else sizes

    def close(self) -> None:
        """Free the memory.  May be called twice; using the model afterwards is a ``ValueError``."""
        self._embedder.close()

    def __enter__(self) -> Embed4All:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

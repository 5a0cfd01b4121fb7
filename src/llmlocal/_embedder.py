"""Texts into vectors: the object that opens a model for embeddings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from llmlocal._checks import check_bool, check_choice, check_whole
from llmlocal._devices._placement import PlacementOptions
from llmlocal._encoding import _vectors
from llmlocal._encoding._encoder import EncoderOptions
from llmlocal._encoding._reader import Reader
from llmlocal._encoding._vectors import DTYPES, VectorType
from llmlocal._encoding._windows import Truncate, check_truncate, windows
from llmlocal._encoding._work import Part, Portion, Work
from llmlocal._loading import Loaded, LoadOptions
from llmlocal._progress import ProgressOption, counting
from llmlocal._quote import quote
from llmlocal._tokens import TokenArray, check_text, token_ids
from llmlocal.errors import ModelLoadError, ParameterError

if TYPE_CHECKING:
    from llmlocal._encoding._vectors import Floats, Vectors

__all__ = ["Embedder"]

Text = str | Sequence[int] | TokenArray
"""A text, or the ids of its tokens."""

_RANK = 4  # llama.cpp's number for a model that gives scores.
_SHORT_WORK = 256  # Texts that are done too soon for a bar.


@dataclass(frozen=True)
class _Options:
    """What one call asks for; the fields are the arguments of :meth:`Embedder.embed`."""

    prefix: str
    dimensions: int | None
    normalize: bool
    truncate: Truncate
    dtype: VectorType
    layer_norm: bool

    def finish(self, portion: Portion) -> Vectors:
        return _vectors.finish(
            _vectors.average(portion.vectors, portion.parts),
            dimensions=self.dimensions,
            normalize=self.normalize,
            layer_norm=self.layer_norm,
            dtype=self.dtype,
        )


class Embedder(Reader):
    """A loaded model that turns texts into vectors, which lie close where texts mean the same.

    One object serves any number of threads and asyncio tasks at once; texts of different callers
    are evaluated together.  Use it as a context manager, or call :meth:`close`, to free the memory.

    Args:
        model: A path to a GGUF file, the name of an installed model or of the catalog,
            ``hf:owner/repo/file.gguf``, or a URL.
        model_path: A folder to look in, and to download to, first.  Default: the usual places.
        allow_download: Fetch the model if it is not there.
        device: As for :class:`llmlocal.LLM`.
        n_ctx: Tokens of a text that the model reads, special tokens included, >= 1.  Default: what
            it was trained to read, by the catalog or else by its file, up to 8,192.
        n_threads: CPU threads at most, 1 to 512; fewer are used while other processes need the
            cores.  Default: the physical cores this process may use.
        n_batch: Tokens that are evaluated together, 1 to 65,536.  Default: 128 on a CPU, where
            larger batches are slower; 2,048 on GPUs.
        pooling: How a text's vector is made of its tokens': ``"mean"``, ``"cls"`` or ``"last"``.
            Default: as the model's file says.  A model that is not made for embeddings, such as one
            that chats, needs it.
        flash_attention: Fuse the steps of attention.  Default: where it can be done.
        n_gpu_layers: Layers to keep on the devices, >= 0; or ``"auto"`` for as many as fit.
        use_mmap: Map the file into memory instead of reading it.
        progress: Of the download and the load, as for :class:`llmlocal.LLM`.
        verbose: Show llama.cpp's own messages, through the logger ``llmlocal.native``.

    Raises:
        ModelNotFoundError: There is no such model, and it may not or can't be downloaded.
        DownloadError: It could not be downloaded.
        ModelLoadError: The file is no model for embeddings; says why.
        DeviceError: There is no such device, or it is too small.
        OutOfMemoryError: The weights do not fit.
        ParameterError: An argument is out of its range.

    Example:
        >>> with Embedder("all-minilm-l6-v2") as embedder:
        ...     vectors = embedder.embed(["a cat", "a kitten", "a bus"])
        ...     print(vectors.shape, embedder.similarity(vectors, vectors)[0])
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        model_path: str | os.PathLike[str] | None = None,
        allow_download: bool = True,
        device: str | Sequence[str] = "auto",
        n_ctx: int | None = None,
        n_threads: int | None = None,
        n_batch: int | None = None,
        pooling: Literal["mean", "cls", "last"] | None = None,
        flash_attention: bool | None = None,
        n_gpu_layers: int | Literal["auto"] = "auto",
        use_mmap: bool = True,
        progress: ProgressOption = None,
        verbose: bool = False,
    ) -> None:
        if pooling is not None:
            check_choice("pooling", pooling, ("mean", "cls", "last"))
        options = EncoderOptions(n_ctx, n_threads, n_batch, flash_attention, pooling)
        placement = PlacementOptions(device, n_gpu_layers=n_gpu_layers)

        def check(loaded: Loaded) -> EncoderOptions:
            if pooling is None and loaded.model.pooling_type == _RANK:
                raise ModelLoadError(
                    f"{loaded.path} holds a model that gives scores: open it with llmlocal.Reranker"
                )
            return options

        super().__init__(
            options,
            LoadOptions(model, model_path, allow_download, placement, use_mmap, progress, verbose),
            check,
        )

    # --- Embedding -------------------------------------------------------------------------------

    def embed(
        self,
        texts: str | Iterable[Text],
        *,
        prefix: str | None = None,
        dimensions: int | None = None,
        normalize: bool = True,
        truncate: Truncate = True,
        dtype: VectorType = "float32",
        progress: ProgressOption = None,
        timeout: float | None = None,
    ) -> npt.NDArray[Any]:
        """The vector of a text, or those of many.

        Args:
            texts: A text, or any number of them; in place of a text, the ids of its tokens, with or
                without the special ones around it.
            prefix: What goes before each text: ``"query"`` for what is searched with,
                ``"document"`` for what is searched for (for these the catalog knows what the model
                was trained with; nothing for most), or any other text.
            dimensions: Keep so many of the first numbers of a vector, and scale it to length 1
                again: for models that were trained for it (Matryoshka), such as
                ``nomic-embed-text-v1.5``, ``embeddinggemma-300m`` and ``qwen3-embedding-0.6b``.
            normalize: Scale the vectors to length 1.
            truncate: What becomes of a text of more than :attr:`n_ctx` tokens: True = it is cut,
                which a log line says once; ``"error"`` = it is refused; ``"mean"`` = it is read in
                parts, and their vectors averaged by their lengths.
            dtype: ``"float32"``; ``"float16"``; ``"int8"``, each vector scaled so that its largest
                number is 127; or ``"binary"``, one bit a number, eight in a uint8.
            progress: None = a bar on a terminal if there are many texts; False = silence; a
                callable gets :class:`llmlocal.Progress` and may return False to stop the work.
            timeout: Seconds for all of it, > 0; None = no limit.

        Returns:
            For a text an array of shape ``(d,)``; for several, in their order, ``(n, d)``, which
            for none is ``(0, d)``.  ``d`` is :attr:`dimensions` or what was asked for, and an
            eighth of it for ``"binary"``.

        Raises:
            ContextOverflowError: A text is too long, and ``truncate`` is ``"error"``.
            ParameterError: An option is out of its range, or a text is none.
            RequestCancelledError: ``progress`` returned False.
            RequestTimeoutError: The time was over before the work.
            EngineClosedError: The model was closed, before or meanwhile.
            EngineError: The evaluation failed; says whether the model can still be used.

        Example:
            >>> embedder.embed("a cat", prefix="query", dtype="float16").shape
            (384,)
        """
        if isinstance(texts, str):
            options = self._options(prefix, dimensions, normalize, truncate, dtype)
            work = self._work(options, timeout, None)
            return _row(options.finish(next(work.run([texts]))))
        parts = []
        _checked(texts)
        with self._counting(progress, texts) as tell:
            options = self._options(prefix, dimensions, normalize, truncate, dtype)
            work = self._work(options, timeout, tell)
            parts = [options.finish(portion) for portion in work.run(texts)]
        return self._joined(parts, options)

    async def aembed(
        self,
        texts: str | Iterable[Text],
        *,
        prefix: str | None = None,
        dimensions: int | None = None,
        normalize: bool = True,
        truncate: Truncate = True,
        dtype: VectorType = "float32",
        timeout: float | None = None,
    ) -> npt.NDArray[Any]:
        """The same without blocking the event loop; cancelling the task stops the work.

        See :meth:`embed`.
        """
        options = self._options(prefix, dimensions, normalize, truncate, dtype)
        work = self._work(options, timeout, None)
        given = [texts] if isinstance(texts, str) else _checked(texts)
        parts = [options.finish(portion) async for portion in work.arun(given)]
        return _row(parts[0]) if isinstance(texts, str) else self._joined(parts, options)

    def embed_each(
        self,
        texts: Iterable[Text],
        *,
        prefix: str | None = None,
        dimensions: int | None = None,
        normalize: bool = True,
        truncate: Truncate = True,
        dtype: VectorType = "float32",
        timeout: float | None = None,
    ) -> Iterator[npt.NDArray[Any]]:
        """The vectors of texts one by one, in order, while the texts come: for any number of them.

        Memory stays flat: a few hundred texts are read ahead.  Leaving the loop stops the work.
        See :meth:`embed`.

        Example:
            >>> with open("lines.txt") as lines:
            ...     for vector in embedder.embed_each(lines):
            ...         index.add(vector)
        """
        options = self._options(prefix, dimensions, normalize, truncate, dtype)
        work = self._work(options, timeout, None)
        return (row for portion in work.run(_checked(texts)) for row in options.finish(portion))

    @staticmethod
    def similarity(first: npt.ArrayLike, second: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """How close vectors are: the cosines of the angles between them, -1 to 1.

        Args:
            first: A vector of shape ``(d,)``, or several, ``(n, d)``.
            second: Likewise, with the same ``d`` and type.

        Returns:
            One number for each pair: of shape ``(n, m)`` for ``(n, d)`` and ``(m, d)``, with an
            axis less for each single vector.  Vectors of bits are compared bit by bit.
        """
        return _vectors.similarity(_vectors.numbers_of(first), _vectors.numbers_of(second))

    # --- Facts -----------------------------------------------------------------------------------

    @property
    def dimensions(self) -> int:
        """Numbers of a vector."""
        return self._encoder.dimensions

    @property
    def prefixes(self) -> dict[str, str]:
        """What ``prefix="query"`` and ``prefix="document"`` put before a text of this model."""
        facts = self._embedding_facts
        return {"query": facts.query_prefix, "document": facts.document_prefix}

    # --- Inside ----------------------------------------------------------------------------------

    def _options(
        self,
        prefix: str | None,
        dimensions: int | None,
        normalize: bool,
        truncate: Truncate,
        dtype: VectorType,
    ) -> _Options:
        if prefix is not None:
            check_text(prefix)
        check_whole("dimensions", dimensions, 1, self.dimensions)
        check_choice("dtype", dtype, tuple(DTYPES))
        check_bool("normalize", normalize)
        check_truncate(truncate)
        text = "" if prefix is None else self.prefixes.get(prefix, prefix)
        layer_norm = self._embedding_facts.layer_norm
        return _Options(text, dimensions, normalize, truncate, dtype, layer_norm)

    def _work(
        self, options: _Options, timeout: float | None, report: Callable[[int], None] | None
    ) -> Work:
        encode = self._encoding()
        frame = self._encoder.frame
        room = self.n_ctx - frame.size

        def tokens_of(text: Any) -> Sequence[int]:
            if hasattr(text, "__len__") and not isinstance(text, (str, bytes, bytearray)):
                return [*encode(options.prefix), *frame.unwrap(token_ids(text))]
            check_text(text)
            return encode(options.prefix + text)

        def prepare(text: object) -> Sequence[Part]:
            tokens = tokens_of(text)
            parts = windows(tokens, room, options.truncate)
            if len(tokens) > room and len(parts) == 1:
                self._tell_of_a_cut(len(tokens), room)
            return [frame.wrap(part) for part in parts]

        return Work(self._encoder, prepare, timeout=timeout, report=report, model=self)

    def _counting(
        self, progress: ProgressOption, texts: Iterable[Text]
    ) -> AbstractContextManager[Callable[[int], None]]:
        total = len(texts) if isinstance(texts, Sized) else None
        return counting(progress, "embed", total, label=self.path.name, few=_SHORT_WORK)

    def _joined(self, parts: Sequence[Vectors], options: _Options) -> Vectors:
        if parts:
            return np.concatenate(parts)
        width = _vectors.columns(options.dimensions or self.dimensions, options.dtype)
        return np.empty((0, width), DTYPES[options.dtype])


def _checked(texts: object) -> Iterable[object]:
    if (
        isinstance(texts, (str, bytes, bytearray))
        or not isinstance(texts, Iterable)
        or getattr(texts, "ndim", 1) == 0
    ):
        raise ParameterError(f"texts must be a list, got {quote(texts)}")
    return texts


def _row(vectors: Vectors | Floats) -> Vectors:
    row: Vectors = vectors[0]
    return row

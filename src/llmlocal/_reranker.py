"""How well documents answer a query, and what kind a text is: models that give scores."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, overload

from llmlocal._checks import check_whole, listed
from llmlocal._devices._placement import PlacementOptions
from llmlocal._encoding._encoder import EncoderOptions
from llmlocal._encoding._reader import Reader
from llmlocal._encoding._work import Part, Work
from llmlocal._loading import Loaded, LoadOptions
from llmlocal._progress import ProgressOption
from llmlocal._tokens import check_text
from llmlocal.errors import ModelLoadError, ParameterError

if TYPE_CHECKING:
    from pathlib import Path

    from llmlocal._encoding._vectors import Floats

__all__ = ["Classification", "Ranked", "Reranker"]

_logger = logging.getLogger("llmlocal")
# The tensors of a head that makes a score of a text, in llama.cpp's files.
_HEADS = ("cls.weight", "cls.output.weight")


@dataclass(frozen=True)
class Ranked:
    """A document and how well it answers the query.

    Attributes:
        index: Its place among the documents that were given.
        score: The model's own number; higher is better, and the range is the model's.
        document: Its text.
    """

    index: int
    score: float
    document: str

    @property
    def probability(self) -> float:
        """The score between 0 and 1, for models that give logits."""
        return _sigmoid(self.score)


@dataclass(frozen=True)
class Classification:
    """What kind a text is.

    Attributes:
        label: The most likely class.
        score: Its probability, 0 to 1.
        scores: The probability of each class, in the model's order.
        logits: The model's own numbers, in the same order.
    """

    label: str
    score: float
    scores: dict[str, float]
    logits: tuple[float, ...]


class Reranker(Reader):
    """A loaded model that scores texts: a cross-encoder for search results, or a classifier.

    One object serves any number of threads and asyncio tasks at once; texts of different callers
    are evaluated together.  Use it as a context manager, or call :meth:`close`, to free the memory.

    Args:
        model: A path to a GGUF file, the name of an installed model or of the catalog,
            ``hf:owner/repo/file.gguf``, or a URL.
        model_path: A folder to look in, and to download to, first.  Default: the usual places.
        allow_download: Fetch the model if it is not there.
        device: As for :class:`llmlocal.LLM`.
        n_ctx: Tokens that query and document may have together, special tokens included, >= 1.
            Default: what the model was trained to read, up to 8,192.
        n_threads: CPU threads at most, 1 to 512.  Default: the physical cores.
        n_batch: Tokens that are evaluated together, 1 to 65,536.  Default: 128 on a CPU, 2,048 on
            GPUs.
        flash_attention: Fuse the steps of attention.  Default: where it can be done.
        n_gpu_layers: Layers to keep on the devices, >= 0; or ``"auto"`` for as many as fit.
        use_mmap: Map the file into memory instead of reading it.
        progress: Of the download and the load, as for :class:`llmlocal.LLM`.
        verbose: Show llama.cpp's own messages, through the logger ``llmlocal.native``.

    Raises:
        ModelNotFoundError: There is no such model, and it may not or can't be downloaded.
        DownloadError: It could not be downloaded.
        ModelLoadError: The file is no model that gives scores; says why.
        DeviceError: There is no such device, or it is too small.
        OutOfMemoryError: The weights do not fit.
        ParameterError: An argument is out of its range.

    Example:
        >>> with Reranker("bge-reranker-v2-m3") as reranker:
        ...     for each in reranker.rerank("who is the panda?", ["hi", "a bear in China"]):
        ...         print(each.score, each.document)
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
        flash_attention: bool | None = None,
        n_gpu_layers: int | Literal["auto"] = "auto",
        use_mmap: bool = True,
        progress: ProgressOption = None,
        verbose: bool = False,
    ) -> None:
        options = EncoderOptions(n_ctx, n_threads, n_batch, flash_attention, None)
        placement = PlacementOptions(device, n_gpu_layers=n_gpu_layers)

        def check(loaded: Loaded) -> EncoderOptions:
            _check_head(loaded.path)
            return replace(options, pooling="rank")

        super().__init__(
            options,
            LoadOptions(model, model_path, allow_download, placement, use_mmap, progress, verbose),
            check,
        )
        self._labels = tuple(self._open_model().labels)
        self._template = self._open_model().chat_template("rerank")
        if self._is_bert_with_two_kinds():
            _logger.warning(
                "%s marks the second text of a pair, which llama.cpp leaves out: its scores differ"
                " somewhat from the original's",
                self.path.name,
            )

    # --- Scores ----------------------------------------------------------------------------------

    def rerank(
        self,
        query: str,
        documents: Iterable[str],
        *,
        top_n: int | None = None,
        timeout: float | None = None,
    ) -> list[Ranked]:
        """Documents in the order of how well they answer a query, the best first.

        A document that is too long, together with the query, is cut; a query may take half of
        :attr:`n_ctx`.

        Args:
            query: What is asked.
            documents: The texts to be ordered.
            top_n: How many to return, >= 1; None = all.
            timeout: Seconds for all of it, > 0; None = no limit.

        Raises:
            ParameterError: An option is out of its range, or a text is none.
            RequestTimeoutError: The time was over before the work.
            EngineClosedError: The model was closed, before or meanwhile.
            EngineError: The evaluation failed; says whether the model can still be used.
        """
        texts, work = self._ranking(query, documents, top_n, timeout)
        scores = [row for portion in work.run(texts) for row in portion.vectors]
        return self._ranked(texts, scores, top_n)

    async def arerank(
        self,
        query: str,
        documents: Iterable[str],
        *,
        top_n: int | None = None,
        timeout: float | None = None,
    ) -> list[Ranked]:
        """The same without blocking the event loop; see :meth:`rerank`."""
        texts, work = self._ranking(query, documents, top_n, timeout)
        scores = [row async for portion in work.arun(texts) for row in portion.vectors]
        return self._ranked(texts, scores, top_n)

    @overload
    def classify(  # type: ignore[overload-overlap]  # a str is an Iterable[str] to the type checker
        self, texts: str, *, timeout: float | None = None
    ) -> Classification: ...
    @overload
    def classify(
        self, texts: Iterable[str], *, timeout: float | None = None
    ) -> list[Classification]: ...
    def classify(
        self, texts: str | Iterable[str], *, timeout: float | None = None
    ) -> Classification | list[Classification]:
        """The class of a text, or those of many, by a model that was trained to tell some apart.

        Args:
            texts: A text, or any number of them; what is longer than :attr:`n_ctx` is cut.
            timeout: Seconds for all of it, > 0; None = no limit.

        Raises:
            ParameterError: The model has no classes, or a text is none.
            RequestTimeoutError: The time was over before the work.
            EngineClosedError: The model was closed, before or meanwhile.
            EngineError: The evaluation failed; says whether the model can still be used.
        """
        if self._encoder.dimensions < 2:
            raise ParameterError(f"{self.path.name} gives one score, and has no classes")
        encode, frame = self._encoding(), self._encoder.frame
        room = self.n_ctx - frame.size

        def prepare(text: object) -> Sequence[Part]:
            check_text(text)
            return [frame.wrap(self._cut(encode(str(text)), room))]

        given = [texts] if isinstance(texts, str) else _listed(texts)
        work = Work(self._encoder, prepare, timeout=timeout, model=self)
        found = [self._classification(row) for part in work.run(given) for row in part.vectors]
        return found[0] if isinstance(texts, str) else found

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes; their numbers where the file has no names."""
        return self._labels or tuple(map(str, range(self._encoder.dimensions)))

    # --- Inside ----------------------------------------------------------------------------------

    def _ranking(
        self, query: str, documents: Iterable[str], top_n: int | None, timeout: float | None
    ) -> tuple[list[str], Work]:
        check_text(query)
        check_whole("top_n", top_n, 1, 2**31 - 1)
        texts = _listed(documents)
        for text in texts:
            check_text(text)
        prepare = self._templated(query) if self._template else self._paired(query)
        return texts, Work(self._encoder, prepare, timeout=timeout, model=self)

    def _paired(self, query: str) -> Callable[[object], Sequence[Part]]:
        encode, frame = self._encoding(), self._encoder.frame
        special = frame.size + len(frame.between)
        asked = self._cut(encode(query), max((self.n_ctx - special) // 2, 1))
        room = self.n_ctx - special - len(asked)

        def prepare(text: object) -> Sequence[Part]:
            return [frame.wrap_pair(asked, self._cut(encode(str(text)), room))]

        return prepare

    def _templated(self, query: str) -> Callable[[object], Sequence[Part]]:
        """Some generative models are asked by a template of their own, with two places to fill."""
        template = self._template or ""
        head, _, tail = template.partition("{document}")
        # What the template says may hold control tokens, and what was asked may not.
        first, *rest = head.split("{query}")
        segments = [
            (first, True),
            *(each for part in rest for each in ((query, False), (part, True))),
        ]
        before = self.encode_segments(segments, add_special=True)
        after = self.encode_segments([(tail, True)])
        encode = self._encoding()
        room = max(self.n_ctx - len(before) - len(after), 1)

        def prepare(text: object) -> Sequence[Part]:
            return [[*before, *self._cut(encode(str(text)), room), *after]]

        return prepare

    def _cut(self, tokens: list[int], room: int) -> list[int]:
        if len(tokens) > room:
            self._tell_of_a_cut(len(tokens), room)
        return tokens[:room]

    def _ranked(
        self, texts: Sequence[str], scores: Sequence[Floats], top_n: int | None
    ) -> list[Ranked]:
        # Of a model that says yes or no, the first class is yes.
        found = [
            Ranked(index, float(score[0]), text)
            for index, (score, text) in enumerate(zip(scores, texts, strict=True))
        ]
        return sorted(found, key=lambda each: -each.score)[:top_n]

    def _classification(self, logits: Floats) -> Classification:
        import numpy as np

        numbers = logits.astype(np.float64)
        parts = np.exp(numbers - numbers.max())
        scores = dict(zip(self.labels, (parts / parts.sum()).tolist(), strict=True))
        label = max(scores, key=scores.__getitem__)
        return Classification(label, scores[label], scores, tuple(logits.tolist()))

    def _is_bert_with_two_kinds(self) -> bool:
        is_bert = self.metadata.get("general.architecture") == "bert"
        kinds = self.metadata.get("tokenizer.ggml.token_type_count", "1")
        return is_bert and kinds.isdigit() and int(kinds) > 1 and self._encoder.dimensions == 1


def _check_head(path: Path) -> None:
    from llmlocal import models

    names = {tensor.name for tensor in models.inspect(path).tensors}
    if not names.intersection(_HEADS):
        raise ModelLoadError(
            f"{path} holds a model that gives no scores; for vectors there is llmlocal.Embedder"
        )


def _listed(texts: object) -> list[str]:
    return listed("texts", texts)


def _sigmoid(score: float) -> float:
    import math

    return 1 / (1 + math.exp(-score)) if score >= 0 else math.exp(score) / (1 + math.exp(score))

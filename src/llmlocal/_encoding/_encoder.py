"""What reads texts on a loaded model: the native engine, and the thread that wakes asyncio tasks."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmlocal import _core
from llmlocal._checks import check_type, check_whole
from llmlocal._encoding._windows import Frame
from llmlocal._generation._async import Waker
from llmlocal._log import pass_on_log
from llmlocal._threads import default_threads
from llmlocal.errors import ParameterError

if TYPE_CHECKING:
    from llmlocal._loading import Loaded
    from llmlocal.models import EmbeddingFacts

__all__ = ["Encoder", "EncoderOptions"]

_logger = logging.getLogger("llmlocal")
_MOST_THREADS = 512
_MOST_BATCH = 65_536
# In one batch every token is compared with every other: on a CPU small ones are several times
# faster, while a GPU has work for all of its cores only with large ones.
_BATCH_ON_CPU = 128
_BATCH_ON_DEVICES = 2048
# The work space grows with the square of a text's length.
_LARGEST_DEFAULT_WINDOW = 8192


@dataclass(frozen=True)
class EncoderOptions:
    """How to read texts on a model; the fields are the arguments of :class:`llmlocal.Embedder`."""

    n_ctx: int | None
    n_threads: int | None
    n_batch: int | None
    flash_attention: bool | None
    pooling: str | None

    def check(self) -> None:
        """Raise a ParameterError for what makes no sense whatever the model is."""
        check_whole("n_ctx", self.n_ctx, 1, 2**31 - 1)
        check_whole("n_threads", self.n_threads, 1, _MOST_THREADS)
        check_whole("n_batch", self.n_batch, 1, _MOST_BATCH)
        if self.flash_attention is not None:
            check_type("flash_attention", self.flash_attention, bool)
        if self.pooling is not None:
            check_type("pooling", self.pooling, str)


class Encoder:
    """Takes texts on a loaded model, from any number of callers at once.

    It ends with :meth:`close`, with the interpreter, and when nobody holds it any more.

    Attributes:
        n_ctx: Tokens of a text that it reads, special tokens included.
        n_threads: CPU threads that it may use.
        pooling: How a text's vector is made.
        dimensions: Numbers that a text gives.
        frame: The special tokens around a text.
        waker: Wakes the tasks that wait for their vectors.
    """

    def __init__(
        self,
        loaded: Loaded,
        tokenizer: _core.Tokenizer,
        options: EncoderOptions,
        facts: EmbeddingFacts,
    ) -> None:
        self.frame = Frame.of(tokenizer, loaded.model.metadata)
        self.n_ctx = _window_for(loaded, options.n_ctx, facts.window, self.frame)
        self.n_threads = options.n_threads or default_threads()
        offload = loaded.placement.layers > 0
        usual = _BATCH_ON_DEVICES if offload else _BATCH_ON_CPU
        try:
            self._engine = _core.EncoderEngine(
                loaded.model,
                window=self.n_ctx,
                batch=options.n_batch or usual,
                threads=self.n_threads,
                offload=offload,
                flash_attention=options.flash_attention,
                pooling=options.pooling,
            )
        finally:
            pass_on_log()
        self.pooling = self._engine.pooling
        self.dimensions = self._engine.dimensions
        self.waker = Waker()
        # Also runs when the interpreter ends, before the extension is torn down.
        self._finalizer = weakref.finalize(self, _shut_down, self._engine, self.waker)

    def submit(
        self, texts: Sequence[Sequence[int]], *, timeout: float | None
    ) -> _core.EmbeddingJob:
        """Have texts evaluated, together with those of other callers.

        Args:
            texts: The token ids of each, with special tokens.
            timeout: Seconds.
        """
        return self._engine.submit(texts, timeout=timeout)

    def stats(self) -> _core.EncoderStats:
        """What the engine holds now, and has done so far."""
        return self._engine.stats()

    def context_sizes(self) -> Mapping[str, int]:
        """Bytes of its context, by the name of a kind of buffer."""
        return self._engine.context_sizes()

    def close(self) -> None:
        """Stop all work.  May be called twice, and from any thread."""
        self._finalizer()
        # Another thread may be in the middle of that: whoever returns from here finds it done.
        self._engine.close()


def _window_for(loaded: Loaded, wanted: int | None, known: int | None, frame: Frame) -> int:
    trained = loaded.model.training_context
    if wanted is None:
        window = min(known or _LARGEST_DEFAULT_WINDOW, trained or _LARGEST_DEFAULT_WINDOW)
    elif wanted > trained > 0:
        raise ParameterError(
            f"n_ctx must be at most {trained}, which {loaded.path.name} was trained for;"
            f" got {wanted}"
        )
    else:
        window = wanted
    if window <= frame.size:
        raise ParameterError(
            f"n_ctx must be more than the {frame.size} special tokens of a text, got {window}"
        )
    return window


def _shut_down(engine: _core.EncoderEngine, waker: Waker) -> None:
    engine.close()
    waker.stop()

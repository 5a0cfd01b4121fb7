"""A loaded model that reads texts: what the embedder and the reranker have in common."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from llmlocal._deadline import seconds_left
from llmlocal._encoding._encoder import Encoder, EncoderOptions
from llmlocal._encoding._wordpiece import Encode, word_piece
from llmlocal._loading import Loaded, LoadOptions, load
from llmlocal._weights import LoadedModel

if TYPE_CHECKING:
    from llmlocal.models import EmbeddingFacts

__all__ = ["Reader"]

_logger = logging.getLogger("llmlocal")


class Reader(LoadedModel):
    """Weights, and an encoder on them."""

    def __init__(
        self,
        options: EncoderOptions,
        loading: LoadOptions,
        check: Callable[[Loaded], EncoderOptions],
    ) -> None:
        """Load the weights and start the encoder.

        Args:
            options: The caller's.
            loading: Which model, and how to load it.
            check: Refuses a model of the wrong kind, and completes the options for one of the right.
        """
        from llmlocal.models import catalog
        from llmlocal.models._catalog._embedding import embedding_facts

        options.check()
        n_ctx = options.n_ctx or 512  # Of work space, for the choice of devices.
        loaded = load(loading, n_ctx=n_ctx, n_batch=options.n_batch or 512, kv_type="f16")
        self._embedding_facts: EmbeddingFacts = embedding_facts(loaded.path.name, catalog())
        options = check(loaded)
        super().__init__(loaded)
        self._encoder = Encoder(loaded, self._open_tokenizer(), options, self._embedding_facts)
        self._has_told_of_a_cut = False

    def _encoding(self) -> Encode:
        """Makes texts into tokens, without special ones."""
        tokenizer = self._open_tokenizer()

        def encode(text: str) -> list[int]:
            return tokenizer.encode([(text, False)], add_special=False, timeout=seconds_left())

        return word_piece(encode, self.metadata)

    def _tell_of_a_cut(self, tokens: int, room: int) -> None:
        """Say once that a text was too long."""
        if not self._has_told_of_a_cut:
            self._has_told_of_a_cut = True
            _logger.warning(
                "a text of %d tokens was cut to the %d that %s reads of a text; later cuts are not"
                " reported",
                tokens,
                room,
                self.path.name,
            )

    @property
    def n_ctx(self) -> int:
        """Tokens of a text that the model reads, its special tokens included."""
        return self._encoder.n_ctx

    @property
    def n_threads(self) -> int:
        """CPU threads that it may use; fewer are used while other processes keep the CPU busy."""
        return self._encoder.n_threads

    @property
    def pooling(self) -> str:
        """How the result for a text is made of its tokens: "mean", "cls", "last" or "rank"."""
        return self._encoder.pooling

    def _context_sizes(self) -> Mapping[str, int]:
        return self._encoder.context_sizes()

    def close(self) -> None:
        """Stop all work and free the memory.  May be called twice, and from any thread.

        Callers that wait for a result get an :class:`llmlocal.EngineClosedError`.
        """
        self._encoder.close()
        super().close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"device={self.device!r}, n_ctx={self.n_ctx}"
        return f"<{type(self).__name__} {Path(self.path).name!r} {state}>"

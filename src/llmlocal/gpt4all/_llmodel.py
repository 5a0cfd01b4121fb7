"""``GPT4All.model``: the object behind the model that gpt4all's users reach for."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from llmlocal.errors import EngineClosedError

if TYPE_CHECKING:
    from llmlocal._llm import LLM
    from llmlocal.gpt4all.gpt4all import GPT4All

__all__ = ["LLModel"]


class LLModel:
    """What programs call of gpt4all's class of this name.

    Args:
        owner: Whose it is; held weakly, so that it goes as soon as nobody else holds it.
    """

    def __init__(self, owner: GPT4All) -> None:
        self._owner = weakref.ref(owner)

    def _held(self) -> GPT4All:
        owner = self._owner()
        if owner is None:
            raise EngineClosedError("Attempted operation on a closed LLModel")
        return owner

    def _current(self) -> LLM:
        return self._held().llm

    @property
    def model_type(self) -> str:
        """The model's architecture, or what the program called it."""
        named = self._held().model_type
        return named or self._current().metadata.get("general.architecture", "unknown")

    @property
    def model_path(self) -> bytes:
        """The file, as gpt4all keeps it: encoded."""
        return str(self._current().path).encode()

    @property
    def n_ctx(self) -> int:
        """Tokens that prompt and answer may have together."""
        return self._current().n_ctx

    @property
    def backend(self) -> str:
        """The software that runs the model."""
        return self._current().backend

    @property
    def device(self) -> str | None:
        """The GPU that runs the model, or None."""
        model = self._current()
        return None if model.backend == "cpu" else model.device

    def thread_count(self) -> int:
        """CPU threads that the model may use."""
        return self._current().n_threads

    def set_thread_count(self, n_threads: int) -> None:
        """Have the model use so many CPU threads, 1 to 512.

        The model is loaded anew if that is another number, so it is for the time before it works.

        Raises:
            ParameterError: It is out of range, or a chat session is open; a ``ValueError``.
        """
        if n_threads != self.thread_count():
            self._held()._reload(n_threads)

    def close(self) -> None:
        """Free the memory."""
        self._current().close()

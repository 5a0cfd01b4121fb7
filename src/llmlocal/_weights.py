"""A model that is loaded: what :class:`llmlocal.LLM` and its relatives are before they do anything.

The weights with their tokenizer, the facts about them, the memory they take, and their end.  What
runs on them (a generator, an encoder) belongs to the subclasses, which close it first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, NoReturn

from llmlocal import _core
from llmlocal._checks import check_bool, listed
from llmlocal._deadline import seconds_left
from llmlocal._log import pass_on_log
from llmlocal._memory_use import MemoryUse, memory_by_device
from llmlocal._quote import quote
from llmlocal._tokens import TokenArray, check_text, token_ids
from llmlocal._typing import Self
from llmlocal.errors import EngineClosedError, ParameterError

if TYPE_CHECKING:
    from llmlocal._loading import Loaded

__all__ = ["LoadedModel"]


class LoadedModel:
    """A model's weights in memory.  The facts about them can be asked also after they were closed."""

    def __init__(self, loaded: Loaded) -> None:
        model = loaded.model
        tokenizer = _core.Tokenizer(model)
        self._path = loaded.path
        self._choice = loaded.placement.choice
        self._metadata: Mapping[str, str] = MappingProxyType(model.metadata)
        self._offloaded_layers = model.offloaded_layers
        self._offloadable_layers = model.offloadable_layers
        self._bos_token = tokenizer.token_text(tokenizer.bos)
        self._eos_token = tokenizer.token_text(tokenizer.eos)
        self._add_bos = tokenizer.adds_bos
        # Both hold the weights; None once they are closed.
        self._model: _core.Model | None = model
        self._tokenizer: _core.Tokenizer | None = tokenizer

    # --- Text and tokens -------------------------------------------------------------------------

    def tokenize(
        self, text: str, *, add_special: bool = True, parse_special: bool = True
    ) -> list[int]:
        """The ids of a text's tokens.

        Args:
            text: Any text; it is not changed.
            add_special: Add the beginning (and end) tokens that the model wants, once.
            parse_special: Take the text of a control token, such as ``<|im_end|>``, for the token.

        Raises:
            ParameterError: It is not a str, or can't be written as UTF-8.
        """
        check_bool("parse_special", parse_special)
        return self.encode_segments([(text, parse_special)], add_special=add_special)

    def encode_segments(
        self, segments: Iterable[tuple[str, bool]], *, add_special: bool = False
    ) -> list[int]:
        """The ids of the tokens of a text that comes in ``(text, trusted)`` segments.

        Control tokens are recognised inside trusted segments only, so that what a user wrote can't
        pass for one.  Otherwise the borders between segments leave no trace in the result.

        Raises:
            ParameterError: A text can't be written as UTF-8.
        """
        check_bool("add_special", add_special)
        given = listed("segments", segments)
        for each in given:
            if not (isinstance(each, (tuple, list)) and len(each) == 2):
                raise ParameterError(f"segments must hold (text, trusted), got {quote(each)}")
            check_text(each[0])
            check_bool("trusted", each[1])
        return self._open_tokenizer().encode(given, add_special=add_special, timeout=seconds_left())

    def detokenize(self, tokens: Sequence[int] | TokenArray, *, special: bool = False) -> str:
        """The text that tokens stand for; incomplete characters become U+FFFD.

        Args:
            tokens: Token ids, as a sequence or a numpy array.
            special: Include the text of control tokens.

        Raises:
            ParameterError: An id is not in the vocabulary.
        """
        check_bool("special", special)
        text = self._open_tokenizer().decode(token_ids(tokens), special=special)
        return text.decode(errors="replace")

    def count_tokens(self, text: str) -> int:
        """How many tokens a text has, with the beginning and end tokens that the model wants."""
        return len(self.tokenize(text))

    def is_end_token(self, token: int) -> bool:
        """Whether a token ends a text, such as ``<|im_end|>``."""
        return self._open_tokenizer().is_end(token_ids([token])[0])

    @property
    def bos_token(self) -> str:
        """The text of the token that begins a text; empty if the model has none."""
        return self._bos_token

    @property
    def eos_token(self) -> str:
        """The text of the token that ends a text; empty if the model has none."""
        return self._eos_token

    @property
    def add_bos(self) -> bool:
        """Whether the model wants its texts to begin with :attr:`bos_token`."""
        return self._add_bos

    # --- Facts -----------------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """The file that the model was loaded from."""
        return self._path

    @property
    def metadata(self) -> Mapping[str, str]:
        """The single values of the file's header as text, such as ``general.architecture``."""
        return self._metadata

    @property
    def device(self) -> str:
        """The device that the model runs on; several are joined by ``+``."""
        return self._choice.device

    @property
    def backend(self) -> str:
        """The software behind :attr:`device`: ``"cpu"``, ``"cuda"``, ``"vulkan"``, ..."""
        return self._choice.backend

    @property
    def offloaded_layers(self) -> int:
        """Layers of the model that are on :attr:`device`, the output layer included; 0 = none."""
        return self._offloaded_layers

    @property
    def offloadable_layers(self) -> int:
        """What :attr:`offloaded_layers` is if the whole model is on devices."""
        return self._offloadable_layers

    def memory(self) -> dict[str, MemoryUse]:
        """The memory that it takes now, by the name of the device; ``"CPU"`` is the main memory."""
        model = self._open_model()
        return memory_by_device(
            model.buffer_sizes, self._context_sizes(), self._prefix_bytes(), model.device_buffers
        )

    def _context_sizes(self) -> Mapping[str, int]:
        """Bytes beside the weights, by the name of a kind of buffer: those of what runs on them."""
        return {}

    def _prefix_bytes(self) -> int:
        """Bytes of main memory that hold evaluated prefixes."""
        return 0

    # --- The end ---------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        return self._model is None

    def close(self) -> None:
        """Free the memory.  May be called twice, and from any thread."""
        self._model = self._tokenizer = None
        pass_on_log()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a loaded model can't be pickled or copied: share it between threads, and load it anew"
            " in another process"
        )

    def _open_model(self) -> _core.Model:
        model = self._model
        if model is None:
            raise EngineClosedError("the model was closed")
        return model

    def _open_tokenizer(self) -> _core.Tokenizer:
        tokenizer = self._tokenizer
        if tokenizer is None:
            raise EngineClosedError("the model was closed")
        return tokenizer

"""A chat model without a model: tokens are characters, and the answers are given in advance."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from llmlocal._generation._completion import Completion, FinishReason, Usage
from llmlocal.errors import ContextOverflowError

TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
FIRST_CONTROL = 0x110000  # beyond all characters
THINKING = TEMPLATE + "{# <think> #}"


class FakeModel:
    """Answers with ``answers`` in turn, piece by piece.

    Attributes:
        prompts: The prompts it was given, as text.
        options: The options that came with each.
        on_piece: Called before each piece, with its number.
        control: Texts of control tokens; an answer has one where a piece of it is one.
    """

    control: tuple[str, ...] = ()

    def __init__(
        self,
        *answers: str | Sequence[str] | BaseException,
        template: str | None = TEMPLATE,
        n_ctx: int = 10_000,
        finish_reason: FinishReason = "stop",
    ) -> None:
        self.answers = list(answers) or ["ok"] * 1000
        self.template = template
        self.path = Path("/models/fake.gguf")
        self.named: dict[str, str] = {}
        self.n_ctx = n_ctx
        self.finish_reason: FinishReason = finish_reason
        self.bos_token, self.eos_token, self.add_bos = "", "", False
        self.prompts: list[str] = []
        self.options: list[dict[str, Any]] = []
        self.on_piece: Callable[[int], None] = lambda _: None
        self.cancelled = threading.Event()

    @property
    def metadata(self) -> Mapping[str, str]:
        return {f"tokenizer.chat_template.{name}": text for name, text in self.named.items()}

    def save_state(self, _prompt: Sequence[int], /) -> bytes:
        return b""

    def load_state(self, _state: bytes, /) -> int:
        return 0

    def chat_template(self, name: str | None = None) -> str | None:
        return self.named.get(name) if name else self.template

    def encode_segments(self, segments: Iterable[tuple[str, bool]], /) -> list[int]:
        return [token for text, is_own in segments for token in self._encode(text, is_own=is_own)]

    def _encode(self, text: str, *, is_own: bool) -> list[int]:
        pattern = "|".join(map(re.escape, self.control)) if is_own and self.control else "(?!)"
        pieces = re.split(f"({pattern})", text)
        return [
            token
            for i, piece in enumerate(pieces)
            for token in ([self.control_id(piece)] if i % 2 else map(ord, piece))
        ]

    def control_id(self, text: str) -> int:
        return FIRST_CONTROL + self.control.index(text)

    def is_end_token(self, token: int) -> bool:
        return token >= FIRST_CONTROL and self.control[token - FIRST_CONTROL] == self.eos_token

    def _expect_constraints(self) -> None:
        pass

    def detokenize(self, tokens: Sequence[int], *, special: bool = False) -> str:
        return "".join(
            chr(token)
            if token < FIRST_CONTROL
            else self.control[token - FIRST_CONTROL]
            if special
            else ""
            for token in tokens
        )

    def generate(
        self,
        prompt: Sequence[int],
        *,
        streaming: bool = False,
        callback: Any = None,
        **options: Any,
    ) -> Any:
        stream = FakeStream(self, prompt, callback, options)
        return stream if streaming else stream.result

    async def agenerate(
        self, prompt: Sequence[int], *, callback: Any = None, **options: Any
    ) -> Completion:
        return FakeStream(self, prompt, callback, options).result

    def astream(
        self, prompt: Sequence[int], *, callback: Any = None, **options: Any
    ) -> FakeAsyncStream:
        return FakeAsyncStream(FakeStream(self, prompt, callback, options))


class FakeStream:
    """One answer."""

    def __init__(
        self, model: FakeModel, prompt: Sequence[int], callback: Any, options: Any
    ) -> None:
        if len(prompt) >= model.n_ctx:
            message = f"prompt has {len(prompt)} tokens, context holds {model.n_ctx}"
            raise ContextOverflowError(message, n_prompt=len(prompt), n_ctx=model.n_ctx)
        model.prompts.append(model.detokenize(prompt, special=True))
        model.options.append(options)
        answer = model.answers.pop(0)
        self._error = answer if isinstance(answer, BaseException) else None
        self._pieces = [] if isinstance(answer, BaseException) else list(answer)
        self._model = model
        self._callback = callback
        self._prompt_tokens = len(prompt)
        self._is_cancelled = self._is_refused = False
        self._texts: list[str] = []
        self._iterator = self._run()

    def _run(self) -> Iterator[str]:
        for number, piece in enumerate(self._pieces):
            self._model.on_piece(number)
            if self._is_cancelled:
                return
            token, text = ord(piece[0]), piece
            if piece in self._model.control:
                token, text = self._model.control_id(piece), ""
            self._texts.append(text)
            if self._callback is not None and not self._callback(token, text):
                self._is_refused = True
                return
            if text:
                yield text
        if self._error is not None:
            raise self._error

    def __iter__(self) -> FakeStream:
        return self

    def __next__(self) -> str:
        return next(self._iterator)

    @property
    def logprobs(self) -> None:
        return None

    def cancel(self) -> None:
        self._is_cancelled = True
        self._model.cancelled.set()

    @property
    def result(self) -> Completion:
        for _ in self._iterator:
            pass
        is_cut = self._is_cancelled and self._texts != self._pieces
        return Completion(
            "".join(self._texts),
            finish_reason="cancelled" if is_cut or self._is_refused else self._model.finish_reason,
            usage=Usage(self._prompt_tokens, 0, len(self._texts)),
            seed=7,
            tokens=tuple(ord(piece[0]) for piece in self._pieces[: len(self._texts)]),
        )


class FakeAsyncStream:
    """One answer, in an event loop."""

    def __init__(self, stream: FakeStream) -> None:
        self._stream = stream

    @property
    def logprobs(self) -> None:
        return None

    def __aiter__(self) -> FakeAsyncStream:
        return self

    async def __anext__(self) -> str:
        piece = next(self._stream, None)
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def result(self) -> Completion:
        return self._stream.result

    def in_frames(self, seconds: float) -> FakeAsyncStream:
        del seconds
        return self

    def cancel(self) -> None:
        self._stream.cancel()

"""``GPT4All``: gpt4all's class, with its names, defaults and exceptions, over :class:`llmlocal.LLM`.

What the generations 2.0 to 2.8.2 have in common is kept; where they differ, both spellings are
taken.  Nothing is decided here about generating text.

Over 400 lines: most of it is gpt4all's signatures and their documentation.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, cast, overload

from llmlocal._chat import ChatReply, ChatSession, ChatStream
from llmlocal._checks import check_bool, check_path, check_whole
from llmlocal._generation._completion import Completion
from llmlocal._generation._options import Options
from llmlocal._generation._reply import check_callback
from llmlocal._generation._stream import Stream
from llmlocal._llm import LLM
from llmlocal._templates import checked_messages
from llmlocal._tokens import check_text
from llmlocal.errors import ParameterError
from llmlocal.gpt4all._choice import SystemText, choose, one_of
from llmlocal.gpt4all._config import ConfigType
from llmlocal.gpt4all._device import device_of, layers_of
from llmlocal.gpt4all._formats import TurnFormat
from llmlocal.gpt4all._library import ModelLibrary
from llmlocal.gpt4all._llmodel import LLModel
from llmlocal.gpt4all.pyllmodel import (
    ResponseCallbackType,
    empty_response_callback,
    log_prompt,
)

__all__ = ["DEFAULT_MODEL_DIRECTORY", "GPT4All"]

DEFAULT_MODEL_DIRECTORY: Path | str = Path.home() / ".cache" / "gpt4all"
"""Where models are looked for first, and downloaded to; may be set."""

_NO_TEMPLATE = "{0}"


class GPT4All(ModelLibrary):
    """A model, as gpt4all's class of this name presents it.

    Everything may be given by position in the order of the versions before 2.4, or by keyword.

    Args:
        model_name: A file name such as ``"orca-mini-3b-gguf2-q4_0.gguf"``, with or without the
            ending; or anything that :class:`llmlocal.LLM` takes.
        model_path: The folder that holds the file, or that it is downloaded to; it must exist.
            Default: :data:`DEFAULT_MODEL_DIRECTORY`, and then wherever the model is on disk.
        model_type: Ignored, as it always was.
        allow_download: Fetch the model if it is not on disk.  A model on disk needs no network.
        n_threads: CPU threads; None for the number of cores.
        device: ``"cpu"``, ``"gpu"``, ``"nvidia"``, ``"amd"``, ``"intel"``, ``"cuda"``,
            ``"kompute"`` (Vulkan), ``"cuda:NAME"`` or a GPU's name; ``"auto"`` for a GPU if there
            is one.  None means the CPU, and on macOS Metal.
        n_ctx: Tokens that prompt and answer may have together.
        ngl: Layers to keep on the GPU; 100 or more for all.
        verbose: Show llama.cpp's messages, through the logger ``llmlocal.native``.

    Attributes:
        model: The object behind it, for programs that set its number of threads.
        config: What is known of the model: ``path``, ``systemPrompt``, ``promptTemplate``,
            ``systemMessage``, ``chatTemplate``, and the catalog's facts.

    Raises:
        ModelNotFoundError: A ``FileNotFoundError`` and a ``ValueError``.
        ModelLoadError: A ``RuntimeError`` and a ``ValueError``.
        DeviceError: A ``RuntimeError`` and a ``ValueError``: there is no such device.
        DownloadError: A ``RuntimeError`` and a ``ValueError``.

    Example:
        >>> model = GPT4All("smollm2-135m-instruct")
        >>> with model.chat_session():
        ...     print(model.generate("hello", temp=0))
    """

    def __init__(
        self,
        model_name: str | os.PathLike[str],
        model_path: str | os.PathLike[str] | None = None,
        model_type: str | None = None,
        allow_download: bool = True,
        n_threads: int | None = None,
        device: str | None = None,
        n_ctx: int = 2048,
        ngl: int = 100,
        verbose: bool = False,
    ) -> None:
        if isinstance(n_ctx, bool) or isinstance(ngl, bool):
            # 2.0 had verbose in the seventh place, 2.1 in the eighth.
            warnings.warn("pass verbose to GPT4All by its name", DeprecationWarning, stacklevel=2)
            verbose = verbose or n_ctx is True or ngl is True
            n_ctx = 2048 if isinstance(n_ctx, bool) else n_ctx
            ngl = 100 if isinstance(ngl, bool) else ngl
        if model_name is None:
            raise ParameterError("model_name must be a name or a path, got None")
        check_path("model_name", model_name)
        self.model_type = model_type
        # Through self: subclasses have one of their own.
        self.config: ConfigType = self.retrieve_model(
            os.fspath(model_name),
            model_path=model_path,
            allow_download=allow_download,
            verbose=verbose,
        )
        self._load = partial(
            LLM,
            self.config["path"],
            allow_download=False,
            device=device_of(device),
            n_ctx=n_ctx,
            n_gpu_layers=layers_of(ngl),
            verbose=verbose,
        )
        self._llm: LLM = self._load(n_threads=n_threads)
        self.model = LLModel(self)
        # The catalog has templates for files that carry none.
        own = self._llm.chat_template()
        if own is not None:
            self.config["chatTemplate"] = own
        self._session: ChatSession | None = None
        self._session_template = _NO_TEMPLATE

    @classmethod
    def _default_folder(cls) -> Path | str:
        return DEFAULT_MODEL_DIRECTORY  # Looked up now, because a program may have set it.

    # --- Facts -----------------------------------------------------------------------------------

    @property
    def llm(self) -> LLM:
        """The model itself, for all that gpt4all has no word for."""
        return self._llm

    def _reload(self, n_threads: int) -> None:
        """Load the model anew, with another number of threads."""
        if self._session is not None:
            raise ParameterError("n_threads can't change while a chat session is open")
        check_whole("n_threads", n_threads, 1, 512)
        self._llm.close()
        self._llm = self._load(n_threads=n_threads)

    @property
    def backend(self) -> str:
        """The software that runs the model: ``"cpu"``, ``"cuda"``, ``"vulkan"``, ``"metal"``, ..."""
        return self._llm.backend

    @property
    def device(self) -> str | None:
        """The GPU that runs the model, or None."""
        return None if self._llm.backend == "cpu" else self._llm.device

    @property
    def current_chat_session(self) -> list[dict[str, Any]] | None:
        """The messages of the session, or None outside of one.  May be set inside of one.

        Raises:
            ValueError: It is set outside of a session, or to what is no list of messages.
        """
        return None if self._session is None else self._session.history

    @current_chat_session.setter
    def current_chat_session(self, history: Sequence[dict[str, Any]]) -> None:
        if self._session is None:
            raise ParameterError(
                "current_chat_session may only be set when there is an active chat session"
            )
        checked_messages(history)
        self._session.history = [dict(message) for message in history]

    @property
    def _current_prompt_template(self) -> str:
        return self._session_template

    # --- Generating ------------------------------------------------------------------------------

    @overload
    def generate(
        self,
        prompt: str,
        max_tokens: int = ...,
        temp: float = ...,
        top_k: int = ...,
        top_p: float = ...,
        repeat_penalty: float = ...,
        repeat_last_n: int = ...,
        n_batch: int = ...,
        n_predict: int | None = ...,
        streaming: Literal[False] = False,
        callback: ResponseCallbackType | None = ...,
        *,
        min_p: float = ...,
        stop: str | Sequence[str] = ...,
        seed: int | None = ...,
        timeout: float | None = ...,
    ) -> Completion: ...
    @overload
    def generate(
        self,
        prompt: str,
        max_tokens: int = ...,
        temp: float = ...,
        top_k: int = ...,
        top_p: float = ...,
        repeat_penalty: float = ...,
        repeat_last_n: int = ...,
        n_batch: int = ...,
        n_predict: int | None = ...,
        *,
        streaming: Literal[True],
        callback: ResponseCallbackType | None = ...,
        min_p: float = ...,
        stop: str | Sequence[str] = ...,
        seed: int | None = ...,
        timeout: float | None = ...,
    ) -> Stream | ChatStream: ...
    @overload
    def generate(
        self,
        prompt: str,
        max_tokens: int = ...,
        temp: float = ...,
        top_k: int = ...,
        top_p: float = ...,
        repeat_penalty: float = ...,
        repeat_last_n: int = ...,
        n_batch: int = ...,
        n_predict: int | None = ...,
        streaming: bool = ...,
        callback: ResponseCallbackType | None = ...,
        *,
        min_p: float = ...,
        stop: str | Sequence[str] = ...,
        seed: int | None = ...,
        timeout: float | None = ...,
    ) -> Completion | Stream | ChatStream: ...
    def generate(
        self,
        prompt: str,
        max_tokens: int = 200,
        temp: float = 0.7,
        top_k: int = 40,
        top_p: float = 0.4,
        repeat_penalty: float = 1.18,
        repeat_last_n: int = 64,
        n_batch: int = 8,  # noqa: ARG002  # a hint that is not needed
        n_predict: int | None = None,
        streaming: bool = False,
        callback: ResponseCallbackType | None = empty_response_callback,
        *,
        min_p: float = 0.0,
        stop: str | Sequence[str] = (),
        seed: int | None = None,
        timeout: float | None = None,
    ) -> Completion | ChatReply | Stream | ChatStream:
        """Continue a text; in a :meth:`chat_session`, answer what the user says.

        Args:
            prompt: The text.
            max_tokens: Tokens to generate at most.
            temp: Temperature; 0 = always the most probable token.
            top_k: Keep this many most probable tokens.
            top_p: Keep the fewest most probable tokens whose sum reaches this.
            repeat_penalty: Divides the logits of tokens seen lately; 1 = off.
            repeat_last_n: How many tokens "lately" is.
            n_batch: Ignored: prompts are always evaluated in large batches.
            n_predict: An older name of ``max_tokens``.
            streaming: Return the text piece by piece while it is generated.
            callback: Called as ``callback(token_id, text)`` for each token; a falsy result, None
                too, ends the text, and what it refused is part of the result but not of the stream.
            min_p: Drop tokens below this share of the best one's probability.
            stop: Strings that end the text; they are not part of it.
            seed: Seed of the random choices; None for a new one.
            timeout: Seconds after which the text ends as it is.

        Returns:
            A ``str`` with the facts of its generation, or an iterator over its pieces.

        Raises:
            ContextOverflowError: The prompt does not fit in the context; a ``ValueError``.
            ParameterError: An option is out of its range; a ``ValueError``.
        """
        check_bool("streaming", streaming)
        check_callback(callback)
        options: Options = {
            "max_tokens": max_tokens if n_predict is None else n_predict,
            "temp": temp,
            "top_k": top_k,
            "top_p": top_p,
            "min_p": min_p,
            "repeat_penalty": repeat_penalty,
            "repeat_last_n": repeat_last_n,
            "stop": stop,
            "seed": seed,
            "timeout": timeout,
        }
        told = _told(callback)
        if self._session is not None:
            return self._session.generate(prompt, streaming=streaming, callback=told, **options)
        if isinstance(cast("object", prompt), str):
            log_prompt(prompt)
        if streaming:
            return self._llm.generate(prompt, streaming=True, callback=told, **options)
        return self._llm.generate(prompt, callback=told, **options)

    # --- Chatting --------------------------------------------------------------------------------

    @contextmanager
    def chat_session(
        self,
        system: SystemText = None,
        template: str | None = None,
        /,
        *,
        system_prompt: SystemText = None,
        prompt_template: str | None = None,
        system_message: SystemText = None,
        chat_template: str | None = None,
    ) -> Iterator[GPT4All]:
        """A context in which :meth:`generate` answers, and what was said is remembered.

        The template may be a format with ``{0}`` for what the user says, or a Jinja template.
        Default: the model's own.

        Args:
            system: The instruction that comes first; empty or None for the model's own, False for
                none.
            template: The template, of either kind.
            system_prompt: ``system``, by its name in 2.x.
            prompt_template: ``template``, a format, by its name in 2.x.
            system_message: ``system``, by its later name.
            chat_template: ``template``, in Jinja, by its later name.

        Raises:
            TypeError: The same thing is given twice.
            ValueError: The template is of neither kind.
        """
        from llmlocal.gpt4all._sessions import new_session

        wanted = one_of(system=system, system_prompt=system_prompt, system_message=system_message)
        text = one_of(
            template=template, prompt_template=prompt_template, chat_template=chat_template
        )
        if text is not None:
            check_text(text, "the template")
        choice = choose(
            self.config,
            wanted,
            text or None,
            "jinja" if chat_template else "format" if prompt_template else None,
            is_hooked=self._is_hooked,
        )
        has_new_names = bool(chat_template) or system_message is not None
        before = self._session, self._session_template
        self._session = new_session(
            self._llm,
            choice,
            formatter=self._format_chat_prompt_template if self._is_hooked else None,
            always_has_system=not has_new_names,
        )
        self._session_template = choice.template
        try:
            yield self
        finally:
            self._session, self._session_template = before

    @property
    def _is_hooked(self) -> bool:
        """Whether a subclass, or somebody, has replaced the method below."""
        method = getattr(self._format_chat_prompt_template, "__func__", None)
        return method is not GPT4All._format_chat_prompt_template

    def _format_chat_prompt_template(
        self,
        messages: list[dict[str, Any]],
        default_prompt_header: str = "",
        default_prompt_footer: str = "",
    ) -> str:
        """The text that is sent for a turn; a subclass may make it in its own way.

        Args:
            messages: The newest message.
            default_prompt_header: The system text in the first turn, else empty.
            default_prompt_footer: Text to put at the end.
        """
        turn_format = TurnFormat(self._current_prompt_template)
        text = f"{default_prompt_header}\n\n" if default_prompt_header else ""
        for message in messages:
            if message["role"] == "user":
                text += turn_format.format(message["content"])
            elif message["role"] == "assistant":
                text += message["content"] + "\n"
        return f"{text}\n\n{default_prompt_footer}" if default_prompt_footer else text

    # --- The end ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Free the memory.  May be called twice; using the model afterwards is a ``ValueError``."""
        self._llm.close()

    def __enter__(self) -> GPT4All:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _told(callback: ResponseCallbackType | None) -> ResponseCallbackType | None:
    """The callback as an LLM calls it: in gpt4all None ends the text, in an LLM only False does.

    It is not called for a token that ends in the middle of a character.
    """
    if callback is None or callback is empty_response_callback:
        return None
    return lambda token_id, response: not response or bool(callback(token_id, response))

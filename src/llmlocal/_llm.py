"""The model object: opens a model and answers requests, from any number of threads and tasks.

Composition only: names and files are ``models``' work, options ``_options``', waiting ``_stream``'s
and ``_async``'s, batching and caching the engine's.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, NoReturn, cast, overload

from llmlocal import _core
from llmlocal._devices._placement import PlacementOptions
from llmlocal._generation._async import AsyncStream, Waker
from llmlocal._generation._options import RequestOptions, has_lone_surrogate
from llmlocal._generation._reply import Reply, TokenCallback, check_callback
from llmlocal._generation._stream import Stream, wait_for
from llmlocal._generation._tokens import check_prompt, is_token_ids, token_ids
from llmlocal._loading import LoadOptions, load
from llmlocal._log import pass_on_log
from llmlocal._memory_use import MemoryUse, memory_by_device
from llmlocal._progress import ProgressOption
from llmlocal._stats import Stats
from llmlocal.errors import EngineClosedError, ParameterError

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from llmlocal._chat import (
        AsyncChatStream,
        ChatOptions,
        ChatReply,
        ChatSession,
        ChatStream,
        ConversationOptions,
        RenderOptions,
    )
    from llmlocal._generation._completion import Completion
    from llmlocal._generation._options import Options
    from llmlocal._templates import ChatPrompt, ChatTemplate, Message

__all__ = ["LLM"]

Prompt = str | Sequence[int]
"""Text, or the ids of its tokens."""


class LLM:
    """A loaded model.  One object serves any number of threads and asyncio tasks at once.

    Requests are evaluated together, and what one has evaluated of a text no other has to evaluate
    again.  Use it as a context manager, or call :meth:`close`, to free the memory.

    Args:
        model: A path to a GGUF file, the name of an installed model or of the catalog,
            ``hf:owner/repo/file.gguf``, or a URL.
        model_path: A folder to look in, and to download to, first.  Default: the usual places.
        allow_download: Fetch the model if it is not there.
        device: ``"auto"`` (all GPUs if there are any), ``"cpu"``, ``"gpu"``, a vendor, a backend
            such as ``"cuda"`` or ``"vulkan:1"``, a name from :func:`llmlocal.devices`, or a list of
            these to split the model over.
        n_ctx: Tokens that prompt and answer of one request may have together, >= 1.  On a CPU the
            memory for them is taken as texts need it.  Default: what the model was trained for,
            up to 4,096.
        n_threads: CPU threads at most, 1 to 512; fewer are used while other processes need the
            cores.  Default: the physical cores this process may use.
        n_batch: Tokens of a prompt that are evaluated at once, 1 to 65,536.
        n_parallel: Requests that run at once, 1 to 256; more than that wait their turn.
        kv_type: Type of the numbers in the KV cache: ``"f16"``, ``"f32"``, ``"bf16"``, or, for less
            memory and some loss, ``"q8_0"``, ``"q5_1"``, ``"q5_0"``, ``"q4_1"``, ``"q4_0"``,
            ``"iq4_nl"``.
        flash_attention: Fuse the steps of attention.  Default: yes on GPUs and for the quantized
            ``kv_type``, which needs it; no on the CPU, where it slows long answers.
        n_gpu_layers: Layers to keep on the devices, >= 0, the output layer included; or ``"auto"``
            for as many as their free memory holds.
        rpc_servers: Servers that lend their devices, as ``"host:port"``; see ``llmlocal
            rpc-server``.  For trusted networks only.
        split_mode: How several devices share the model: ``"layer"``, or ``"row"`` for the rows of
            each matrix where a backend can.
        tensor_split: Each device's share of the layers, in any unit.  Default: by free memory.
        tensor_placement: Patterns of tensor names and the device for them, such as
            ``{"ffn_(up|down|gate)_exps": "cpu"}`` for the experts of a large mixture.
        kv_cache_bytes: What the KV cache may take as it grows with the requests that run at once
            and with their texts; one request may always have ``n_ctx``.  Default: a quarter of the
            free memory.
        prefix_cache_bytes: RAM for evaluated prefixes beyond the KV cache; 0 = none are kept.
            Default: an eighth of the free memory, up to 4 GiB.
        use_mmap: Map the file into memory instead of reading it.
        progress: None = a bar on a terminal; False = silence; a callable gets
            :class:`llmlocal.Progress` and may return False to stop the download or the load.
        verbose: Show llama.cpp's own messages, through the logger ``llmlocal.native``.

    Raises:
        ModelNotFoundError: There is no such model, and it may not or can't be downloaded.
        DownloadError: It could not be downloaded.
        ModelLoadError: The file is not a model that can be run; says why.
        LoadCancelledError: ``progress`` returned False.
        DeviceError: There is no such device, it is too small, or an RPC server does not answer.
        OutOfMemoryError: The weights or the context do not fit.
        ParameterError: An argument is out of its range.

    Example:
        >>> with LLM("smollm2-135m-instruct") as llm:
        ...     print(llm.generate("The capital of France is", max_tokens=8, temp=0))
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
        n_batch: int = 512,
        n_parallel: int = 8,
        kv_type: str = "f16",
        flash_attention: bool | None = None,
        n_gpu_layers: int | Literal["auto"] = "auto",
        rpc_servers: Sequence[str] = (),
        split_mode: Literal["layer", "row"] = "layer",
        tensor_split: Sequence[float] | None = None,
        tensor_placement: Mapping[str, str] | None = None,
        kv_cache_bytes: int | None = None,
        prefix_cache_bytes: int | None = None,
        use_mmap: bool = True,
        progress: ProgressOption = None,
        verbose: bool = False,
    ) -> None:
        options = LoadOptions(
            n_ctx=n_ctx,
            n_threads=n_threads,
            n_batch=n_batch,
            n_parallel=n_parallel,
            kv_type=kv_type,
            flash_attention=flash_attention,
            placement=PlacementOptions(
                device, rpc_servers, n_gpu_layers, split_mode, tensor_split, tensor_placement or {}
            ),
            kv_cache_bytes=kv_cache_bytes,
            prefix_cache_bytes=prefix_cache_bytes,
            use_mmap=use_mmap,
            verbose=verbose,
        )
        loaded = load(
            model,
            options,
            model_path=model_path,
            allow_download=allow_download,
            progress=progress,
        )
        self._facts = loaded.facts
        self._model: _core.Model | None = loaded.model
        self._tokenizer: _core.Tokenizer | None = loaded.tokenizer
        self._engine = loaded.engine
        self._waker = Waker()
        # Also runs when the interpreter ends, before the extension is torn down.
        self._finalizer = weakref.finalize(self, _shut_down, self._engine, self._waker)

    # --- Generating ------------------------------------------------------------------------------

    @overload
    def generate(  # type: ignore[overload-overlap]  # a str is a Sequence[str] to the type checker
        self,
        prompt: str,
        *,
        streaming: Literal[False] = False,
        callback: TokenCallback | None = None,
        **options: Unpack[Options],
    ) -> Completion: ...
    @overload
    def generate(
        self,
        prompt: Prompt,
        *,
        streaming: Literal[True],
        callback: TokenCallback | None = None,
        **options: Unpack[Options],
    ) -> Stream: ...
    @overload
    def generate(
        self,
        prompt: Sequence[int],
        *,
        streaming: Literal[False] = False,
        callback: TokenCallback | None = None,
        **options: Unpack[Options],
    ) -> Completion: ...
    @overload
    def generate(
        self,
        prompt: Sequence[str] | Sequence[Sequence[int]],
        *,
        streaming: Literal[False] = False,
        callback: TokenCallback | None = None,
        **options: Unpack[Options],
    ) -> list[Completion]: ...
    def generate(
        self,
        prompt: Prompt | Sequence[str] | Sequence[Sequence[int]],
        *,
        streaming: bool = False,
        callback: TokenCallback | None = None,
        **options: Unpack[Options],
    ) -> Completion | list[Completion] | Stream:
        """Continue a prompt, as it is: no chat template is applied (that is :meth:`chat`).

        Args:
            prompt: Text (control tokens such as ``<|im_end|>`` in it are recognised), or token ids;
                or a list of either, which are evaluated together.
            streaming: Return the text piece by piece while it is generated.
            callback: Called as ``callback(token_id, text)`` for each token, in this thread;
                returning False ends the generation.  ``text`` is empty while a character or a
                possible stop string is incomplete.
            **options: ``max_tokens=200``, ``temp=0.7``, ``top_k=40``, ``top_p=0.95``,
                ``min_p=0.05``, ``repeat_penalty=1``, ``repeat_last_n=64``, ``stop=()``,
                ``seed=None``, ``timeout=None`` and more: all are in ``llmlocal.Options``.  Where
                the model's file recommends sampling values, those are the defaults.

        Returns:
            A :class:`llmlocal.Completion`, which is a ``str``; for a list of prompts a list of
            them in the same order; with ``streaming`` a :class:`llmlocal.Stream`.

        Raises:
            ContextOverflowError: The prompt has more tokens than ``n_ctx``.
            ParameterError: An option is out of its range, or the prompt is empty.
            EngineClosedError: The model was closed, before or meanwhile.
            EngineError: The evaluation failed; says whether the model can still be used.

        Example:
            >>> llm.generate("1, 2, 3, 4,", max_tokens=3, temp=0).usage.completion_tokens
            3
        """
        check_prompt(prompt)
        is_many = not isinstance(prompt, str) and not is_token_ids(prompt)
        if is_many and (streaming or callback is not None):
            raise ParameterError("streaming and callback take one prompt, got a list of them")
        prompts = cast("Sequence[Prompt]", prompt if is_many else [prompt])
        replies = self._submit(prompts, callback, options)
        if streaming:
            return Stream(replies[0])
        try:
            completions = wait_for(replies)
        finally:
            pass_on_log()
        return completions if is_many else completions[0]

    async def agenerate(
        self,
        prompt: Prompt,
        *,
        callback: TokenCallback | None = None,
        **options: Unpack[Options],
    ) -> Completion:
        """Continue a prompt without blocking the event loop; see :meth:`generate`.

        Cancelling the task stops the generation.
        """
        stream = AsyncStream(
            lambda: self._submit([prompt], callback, options)[0],
            self._waker,
            until_end=callback is None,
        )
        return await stream.result()

    def astream(
        self,
        prompt: Prompt,
        *,
        callback: TokenCallback | None = None,
        **options: Unpack[Options],
    ) -> AsyncStream:
        """Continue a prompt, piece by piece, in an ``async for`` loop; see :meth:`generate`."""
        return AsyncStream(lambda: self._submit([prompt], callback, options)[0], self._waker)

    def _submit(
        self, prompts: Sequence[Prompt], callback: TokenCallback | None, options: Options
    ) -> list[Reply]:
        checked = RequestOptions(self._facts.defaults, **options)
        check_callback(callback)
        self._open_model()
        seeds = checked.seeds(len(prompts))
        specs = [
            checked.spec(self._prompt_tokens(prompt), seed)
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        requests = self._engine.submit(specs)
        return [
            Reply(request, seed=seed, callback=callback, model=self)
            for request, seed in zip(requests, seeds, strict=True)
        ]

    def _prompt_tokens(self, prompt: Prompt) -> Sequence[int]:
        check_prompt(prompt)
        if not isinstance(prompt, str):
            if len(prompt) > 0 and isinstance(cast("object", prompt[0]), str):
                raise ParameterError(f"here goes one prompt, got a list of them: {prompt!r:.60}")
            return token_ids(prompt)
        if not prompt:
            raise ParameterError("prompt must not be empty")
        return self.tokenize(prompt)

    # --- Chatting --------------------------------------------------------------------------------

    @overload
    def chat(
        self,
        messages: str | Sequence[Message],
        *,
        streaming: Literal[False] = False,
        callback: TokenCallback | None = None,
        **options: Unpack[ChatOptions],
    ) -> ChatReply: ...
    @overload
    def chat(
        self,
        messages: str | Sequence[Message],
        *,
        streaming: Literal[True],
        callback: TokenCallback | None = None,
        **options: Unpack[ChatOptions],
    ) -> ChatStream: ...
    def chat(
        self,
        messages: str | Sequence[Message],
        *,
        streaming: bool = False,
        callback: TokenCallback | None = None,
        **options: Unpack[ChatOptions],
    ) -> ChatReply | ChatStream:
        """Answer a question, or a conversation, through the model's own chat template.

        Nothing is remembered from call to call; for that there is :meth:`chat_session`.

        Args:
            messages: What the user says; or a conversation, as dicts with ``role`` and ``content``.
                A last message of the assistant is continued.
            streaming: Return the answer piece by piece while it is generated.
            callback: As in :meth:`generate`.
            **options: ``system``, ``template``, ``tools``, ``documents``, ``variables`` and
                ``overflow`` as in :class:`llmlocal.ChatSession`, and all of :meth:`generate`'s;
                ``max_tokens`` is None by default: until the model ends its answer.

        Returns:
            A :class:`llmlocal.ChatReply`, which is a ``str``; with ``streaming`` a
            :class:`llmlocal.ChatStream`.

        Raises:
            TemplateError: The model has no chat template, or it refuses these messages.
            ContextOverflowError: The conversation does not fit in the context.

        Example:
            >>> llm.chat("Name three colors.", system="You are terse.", max_tokens=20)
        """
        session = self._one_off(messages, options)
        if streaming:
            return session.generate(streaming=True, callback=callback)
        return session.generate(callback=callback)

    async def achat(
        self,
        messages: str | Sequence[Message],
        *,
        callback: TokenCallback | None = None,
        **options: Unpack[ChatOptions],
    ) -> ChatReply:
        """Answer a question without blocking the event loop; see :meth:`chat`."""
        return await self._one_off(messages, options).agenerate(callback=callback)

    def astream_chat(
        self,
        messages: str | Sequence[Message],
        *,
        callback: TokenCallback | None = None,
        **options: Unpack[ChatOptions],
    ) -> AsyncChatStream:
        """Answer a question, piece by piece, in an ``async for`` loop; see :meth:`chat`."""
        return self._one_off(messages, options).astream(callback=callback)

    def chat_session(
        self,
        system: str | None = None,
        template: str | ChatTemplate | None = None,
        *,
        messages: Sequence[Message] = (),
        **options: Unpack[ConversationOptions],
    ) -> ChatSession:
        """A conversation that remembers; any number of them share the model.

        Args:
            system: An instruction that comes first.
            template: A chat template, its text, or its name in the file; None = the file's own.
            messages: A conversation to go on from.
            **options: What else :class:`llmlocal.ChatSession` takes; defaults for all answers.
        """
        from llmlocal._chat import ChatSession

        return ChatSession(self, system=system, template=template, messages=messages, **options)

    def render(
        self,
        messages: str | Sequence[Message],
        **options: Unpack[RenderOptions],
    ) -> ChatPrompt:
        """The prompt that :meth:`chat` would give the model, without generating.

        Returns:
            A ``str`` whose ``segments`` tell what the template wrote and what the conversation.
        """
        from llmlocal._chat import as_messages, render

        return render(self, as_messages(messages), **options)

    def _one_off(self, messages: str | Sequence[Message], options: ChatOptions) -> ChatSession:
        from llmlocal._chat import ChatSession, as_messages

        return ChatSession(self, messages=as_messages(messages), **options)

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
            ParameterError: It is no text, or can't be written as UTF-8.
        """
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
        listed = list(segments)
        for text, _ in listed:
            if not isinstance(text, str):
                raise ParameterError(f"text must be a str, got {text!r:.60}")
            if has_lone_surrogate(text):
                raise ParameterError(f"there is half a surrogate pair in the text {text!r:.60}")
        return self._open_tokenizer().encode(listed, add_special=add_special)

    def detokenize(self, tokens: Sequence[int], *, special: bool = False) -> str:
        """The text that tokens stand for; incomplete characters become U+FFFD.

        Args:
            tokens: Token ids.
            special: Include the text of control tokens.

        Raises:
            ParameterError: An id is not in the vocabulary.
        """
        text = self._open_tokenizer().decode(token_ids(tokens), special=special)
        return text.decode(errors="replace")

    def count_tokens(self, text: str) -> int:
        """How many tokens :meth:`generate` would take a prompt for."""
        return len(self.tokenize(text))

    def chat_template(self, name: str | None = None) -> str | None:
        """The chat template in the model's file, or the one of this name; None if there is none."""
        return self._open_model().chat_template(name or "")

    @property
    def bos_token(self) -> str:
        """The text of the token that begins a text; empty if the model has none."""
        return self._facts.bos_token

    @property
    def eos_token(self) -> str:
        """The text of the token that ends a text; empty if the model has none."""
        return self._facts.eos_token

    @property
    def add_bos(self) -> bool:
        """Whether the model wants its texts to begin with :attr:`bos_token`."""
        return self._facts.add_bos

    # --- Facts -----------------------------------------------------------------------------------

    @property
    def model_path(self) -> str:
        """The file that the model was loaded from."""
        return self._facts.path

    @property
    def metadata(self) -> Mapping[str, str]:
        """The single values of the file's header as text, such as ``general.architecture``."""
        return self._facts.metadata

    @property
    def n_ctx(self) -> int:
        """Tokens that prompt and answer of one request may have together."""
        return self._facts.n_ctx

    @property
    def n_threads(self) -> int:
        """CPU threads that it may use; fewer are used while other processes keep the CPU busy."""
        return self._facts.n_threads

    @property
    def device(self) -> str:
        """The device that the model runs on; several are joined by ``+``."""
        return self._facts.choice.device

    @property
    def backend(self) -> str:
        """The software behind :attr:`device`: ``"cpu"``, ``"cuda"``, ``"vulkan"``, ..."""
        return self._facts.choice.backend

    @property
    def offloaded_layers(self) -> int:
        """Layers of the model that are on :attr:`device`, the output layer included; 0 = none."""
        return self._facts.offloaded_layers

    @property
    def offloadable_layers(self) -> int:
        """What :attr:`offloaded_layers` is if the whole model is on devices."""
        return self._facts.offloadable_layers

    def memory(self) -> dict[str, MemoryUse]:
        """The memory that it takes now, by the name of the device; ``"CPU"`` is the main memory."""
        model = self._open_model()
        return memory_by_device(
            model.buffer_sizes,
            self._engine.context_sizes(),
            self.stats().store_bytes,
            model.device_buffers,
        )

    def stats(self) -> Stats:
        """What the engine holds now, and has done so far."""
        return Stats.of(self._engine.stats())

    # --- The end ---------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        return not self._finalizer.alive

    def close(self) -> None:
        """Stop all requests and free the memory.  May be called twice, and from any thread.

        Callers that wait for a request get an :class:`llmlocal.EngineClosedError`.
        """
        self._finalizer()
        # Another thread may be in the middle of that: whoever returns from here finds it done.
        self._engine.close()
        # The tokenizer holds the model too.
        self._model = self._tokenizer = None
        pass_on_log()

    def __enter__(self) -> LLM:
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

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"device={self.device!r}, n_ctx={self.n_ctx}"
        return f"<LLM {Path(self._facts.path).name!r} {state}>"

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


def _shut_down(engine: _core.Engine, waker: Waker) -> None:
    engine.close()
    waker.stop()

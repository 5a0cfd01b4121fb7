"""The model object: opens a model and answers requests, from any number of threads and tasks.

Composition only: the weights and their facts are ``_weights``' work, requests ``_generation``'s,
conversations ``_chat``'s, batching and caching the engine's.  Longer than other files, because most
of it is signatures and documentation, which users read in one place.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import AbstractContextManager
from typing import Literal, TypeVar, cast, overload

from llmlocal._chat import (
    AsyncChatStream,
    ChatOptions,
    ChatReply,
    ChatSession,
    ChatStream,
    ConversationOptions,
    RenderOptions,
    answer_all,
    are_conversations,
    as_messages,
    render,
)
from llmlocal._checks import check_whole
from llmlocal._devices._placement import PlacementOptions
from llmlocal._generation._async import AsyncStream
from llmlocal._generation._completion import Completion
from llmlocal._generation._generator import Ask, Generator, GeneratorOptions
from llmlocal._generation._infill import infill_prompt
from llmlocal._generation._map import answers_as_they_end
from llmlocal._generation._options import (
    MOST_ANSWERS,
    Options,
    RequestOptions,
    recommended_options,
)
from llmlocal._generation._reply import Reply, TokenCallback, check_callback
from llmlocal._generation._score import Score, scored_text
from llmlocal._generation._stream import Stream, wait_for, wait_for_all
from llmlocal._loading import LoadOptions, load
from llmlocal._progress import ProgressOption, counting
from llmlocal._stats import Stats
from llmlocal._templates import ChatPrompt, ChatTemplate, Message
from llmlocal._tokens import (
    Prompt,
    Prompts,
    TokenArray,
    check_prompt,
    check_text,
    is_token_ids,
    prompt_tokens,
)
from llmlocal._typing import Unpack
from llmlocal._weights import LoadedModel
from llmlocal.errors import ParameterError

__all__ = ["LLM"]

_FEW_ANSWERS = 16  # Done too soon for a bar.
_Item = TypeVar("_Item")


class LLM(LoadedModel):
    """A loaded model.  One object serves any number of threads and asyncio tasks at once.

    Requests are evaluated together, and a text that one of them has evaluated is not evaluated
    again for another.  Use it as a context manager, or call :meth:`close`, to free the memory.

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
        flash_attention: Fuse the steps of attention.  Default: yes on GPUs, for the quantized
            ``kv_type``, which needs it, and where the CPU has kernels of ours for it
            (``stats().kernels``); no on other CPUs, where it slows long answers.
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
            memory that is free, in a container of the container's, and that no other open model was
            promised.
        prefix_cache_bytes: RAM for evaluated prefixes beyond the KV cache; 0 = none are kept.
            Default: an eighth of the same, up to 4 GiB.
        prefix_cache_path: A folder that keeps evaluated prefixes for later processes, and for those
            that run at the same time; see ``docs/caching.md``.  What is in it tells what prompts
            said, so it is made private to its user.  Default: ``$LLMLOCAL_PREFIX_CACHE``, else
            none; ``""`` = none.
        prefix_cache_disk_bytes: What the files in that folder may take; the least recently used go
            first.  Default: 10 GiB.
        use_mmap: Map the file into memory instead of reading it.
        progress: None = a bar on a terminal; False = silence; a callable gets
            :class:`llmlocal.Progress` and may return False to stop the download or the load.
        verbose: Show llama.cpp's own messages, through the logger ``llmlocal.native``.

    Raises:
        ModelNotFoundError: There is no such model on disk, and none that can or may be downloaded.
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
        prefix_cache_path: str | os.PathLike[str] | None = None,
        prefix_cache_disk_bytes: int | None = None,
        use_mmap: bool = True,
        progress: ProgressOption = None,
        verbose: bool = False,
    ) -> None:
        options = GeneratorOptions(
            n_ctx=n_ctx,
            n_threads=n_threads,
            n_batch=n_batch,
            n_parallel=n_parallel,
            kv_type=kv_type,
            flash_attention=flash_attention,
            kv_cache_bytes=kv_cache_bytes,
            prefix_cache_bytes=prefix_cache_bytes,
            prefix_cache_path=prefix_cache_path,
            prefix_cache_disk_bytes=prefix_cache_disk_bytes,
        )
        options.check()  # Before anything is fetched.
        loaded = load(
            LoadOptions(
                model,
                model_path,
                allow_download,
                PlacementOptions(
                    device,
                    rpc_servers,
                    n_gpu_layers,
                    split_mode,
                    tensor_split,
                    tensor_placement or {},
                ),
                use_mmap,
                progress,
                verbose,
            ),
            n_ctx=n_ctx,
            n_batch=n_batch,
            kv_type=kv_type,
        )
        super().__init__(loaded)
        self._defaults = recommended_options(self.metadata)
        self._generator = Generator(loaded, self._open_tokenizer(), options)

    # --- Generating ------------------------------------------------------------------------------

    @overload
    def generate(  # type: ignore[overload-overlap]  # as below
        self, prompt: str, *, n: int, progress: ProgressOption = None, **options: Unpack[Options]
    ) -> list[Completion]: ...
    @overload
    def generate(
        self,
        prompt: Sequence[str] | Sequence[Sequence[int]],
        *,
        n: int,
        progress: ProgressOption = None,
        **options: Unpack[Options],
    ) -> list[list[Completion]]: ...
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
        prompt: Sequence[int] | TokenArray,
        *,
        streaming: Literal[False] = False,
        callback: TokenCallback | None = None,
        **options: Unpack[Options],
    ) -> Completion: ...
    @overload
    def generate(
        self,
        prompt: Sequence[str] | Sequence[Sequence[int]] | Sequence[TokenArray],
        *,
        streaming: Literal[False] = False,
        callback: TokenCallback | None = None,
        progress: ProgressOption = None,
        **options: Unpack[Options],
    ) -> list[Completion]: ...
    def generate(
        self,
        prompt: Prompts,
        *,
        n: int | None = None,
        streaming: bool = False,
        callback: TokenCallback | None = None,
        progress: ProgressOption = None,
        **options: Unpack[Options],
    ) -> Completion | list[Completion] | list[list[Completion]] | Stream:
        """Continue a prompt, as it is: no chat template is applied (that is :meth:`chat`).

        Args:
            prompt: Text (control tokens such as ``<|im_end|>`` in it are recognised), or token ids
                as a sequence or a numpy array; or a list of these, which are evaluated together.
            n: So many answers to the prompt, which is evaluated once for all of them, 1 to 256.
                With a ``seed`` the first answer has it, the next one the next.
            streaming: Return the text piece by piece while it is generated.
            callback: Called as ``callback(token_id, text)`` for each token, in this thread;
                returning False ends the generation.  ``text`` is empty while a character or a
                possible stop string is incomplete.
            progress: For a list, of the answers: None = a bar on a terminal if there are many;
                False = silence; a callable gets :class:`llmlocal.Progress` and may return False to
                stop the work.
            **options: ``max_tokens=200``, ``temp=0.7``, ``top_k=40``, ``top_p=0.95``,
                ``min_p=0.05``, ``repeat_penalty=1``, ``repeat_last_n=64``, ``stop=()``,
                ``seed=None``, ``timeout=None`` and more: all are in ``llmlocal.Options``.  Where
                the model's file recommends sampling values, those are the defaults.

        Returns:
            A :class:`llmlocal.Completion`, which is a ``str``; for a list of prompts a list of
            them in the same order, whatever the order in which they are evaluated; with ``n`` a
            list of the answers in place of each; with ``streaming`` a :class:`llmlocal.Stream`.

        Raises:
            ContextOverflowError: The prompt has more tokens than ``n_ctx``.
            ParameterError: An option is out of its range, or the prompt is empty.
            RequestCancelledError: ``progress`` returned False.
            EngineClosedError: The model was closed, before or meanwhile.
            EngineError: The evaluation failed; says whether the model can still be used.

        Example:
            >>> llm.generate("1, 2, 3, 4,", max_tokens=3, temp=0).usage.completion_tokens
            3
        """
        check_prompt(prompt)
        is_many = not isinstance(prompt, str) and not is_token_ids(prompt)
        _check_number(n, streaming or callback is not None, progress, is_many=is_many)
        prompts = cast("Sequence[Prompt]", prompt if is_many else [prompt])
        replies = self._submit(prompts, callback, options, answers=n or 1)
        if streaming:
            return Stream(replies[0])
        if n is None and not is_many:
            return wait_for(replies[0])
        with self._counting(progress, len(replies)) as tell:
            completions = wait_for_all(replies, tell)
        if n is None:
            return completions
        grouped = _in_rows(completions, n)
        return grouped if is_many else grouped[0]

    def map(
        self,
        prompts: Iterable[Prompt],
        *,
        in_flight: int = 64,
        progress: ProgressOption = False,
        **options: Unpack[Options],
    ) -> Iterator[tuple[int, Completion]]:
        """Continue any number of prompts, and yield the answers as they end.

        Args:
            prompts: As :meth:`generate` takes them; read as they are needed, so a generator over a
                large file is fine.
            in_flight: How many are read and not yet answered, >= 1.  Of these, prompts with a
                common beginning are evaluated one after the other; the more, the less is evaluated
                twice.
            progress: Of the answers: None = a bar on a terminal; a callable as in :meth:`generate`.
                The default is silence, as a bar and what a loop prints would be in each other's way.
            **options: As in :meth:`generate`; without a ``seed``, each prompt has one of its own.

        Yields:
            The place of the prompt, from 0, and its :class:`llmlocal.Completion`.  Whoever stops
            asking stops what is under way.

        Raises:
            ContextOverflowError: A prompt has more tokens than ``n_ctx``.
            ParameterError: An option is out of its range, or a prompt is none.
            RequestCancelledError: ``progress`` returned False.

        Example:
            >>> for place, answer in llm.map(["1, 2,", "a, b,"], max_tokens=4):
            ...     print(place, answer)
        """
        check_whole("in_flight", in_flight, 1, 2**31 - 1)
        checked = RequestOptions(self._defaults, **options)
        checked.check()
        self._open_model()
        return answers_as_they_end(
            (prompt_tokens(prompt, self.tokenize) for prompt in prompts),
            lambda batch: self._generator.submit(
                [Ask(each, checked) for each in batch], model=self
            ),
            in_flight,
            self._counting(progress, len(prompts) if isinstance(prompts, Sized) else None),
        )

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
            self._generator.waker,
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
        return AsyncStream(
            lambda: self._submit([prompt], callback, options)[0], self._generator.waker
        )

    def infill(self, prefix: str, suffix: str, **options: Unpack[Options]) -> Completion:
        r"""What goes between two texts, for models that were trained to fill in (mostly for code).

        Args:
            prefix: What stands before the gap; text of control tokens in it is mere text.
            suffix: What stands after it.
            **options: As in :meth:`generate`.

        Raises:
            RequestError: The model has no tokens for this.

        Example:
            >>> llm.infill("def add(a, b):\n    return ", "\n\nprint(add(1, 2))", max_tokens=16)
            'a + b'
        """
        tokenizer = self._open_tokenizer()
        tokens = infill_prompt(tokenizer, prefix, suffix)
        return wait_for(self._submit([tokens], None, options)[0])

    @overload
    def score(  # type: ignore[overload-overlap]  # as above
        self, text: str, *, after: Prompt = ""
    ) -> Score: ...
    @overload
    def score(self, text: Sequence[str], *, after: Prompt | Sequence[str] = "") -> list[Score]: ...
    def score(
        self, text: str | Sequence[str], *, after: Prompt | Sequence[str] = ""
    ) -> Score | list[Score]:
        """How likely the model finds a text: the logprob of each of its tokens.

        Args:
            text: A text, or a list of texts, which are evaluated together; a beginning that they
                share is evaluated once.
            after: What comes before the text and is not scored itself: text, or token ids; for a
                list of texts, one for all or one for each.  Without it, the first token is scored
                where the model's texts begin with a token of their own (BOS), and else left out:
                it has nothing to come after.

        Raises:
            ContextOverflowError: Both together have more tokens than ``n_ctx``.
            ParameterError: There is nothing to score.

        Example:
            >>> llm.score(" Paris", after="The capital of France is").sum
            -1.1
        """
        check_prompt(text)
        check_prompt(after)
        texts = [text] if isinstance(text, str) else list(text)
        is_shared = isinstance(after, str) or is_token_ids(after)
        befores = [after] * len(texts) if is_shared else list(cast("Sequence[Prompt]", after))
        if len(befores) != len(texts):
            raise ParameterError(f"there are {len(texts)} texts, but {len(befores)} of after=")
        tokenizer = self._open_tokenizer()
        asked = [
            scored_text(tokenizer, each, cast("Prompt", before))
            for each, before in zip(texts, befores, strict=True)
        ]
        scores = self._generator.score(asked)
        return scores[0] if isinstance(text, str) else scores

    def _submit(
        self,
        prompts: Sequence[Prompt],
        callback: TokenCallback | None,
        options: Options,
        *,
        answers: int = 1,
    ) -> list[Reply]:
        check_callback(callback)
        checked = RequestOptions(self._defaults, **options)
        self._open_model()
        asked = [
            Ask(prompt_tokens(prompt, self.tokenize), checked, callback, answers)
            for prompt in prompts
        ]
        return self._generator.submit(asked, model=self)

    def _counting(
        self, progress: ProgressOption, total: int | None
    ) -> AbstractContextManager[Callable[[int], None]]:
        return counting(progress, "generate", total, label=self.path.name, few=_FEW_ANSWERS)

    # --- Chatting --------------------------------------------------------------------------------

    @overload
    def chat(  # type: ignore[overload-overlap]  # as above
        self,
        messages: str | Sequence[Message],
        *,
        n: int,
        progress: ProgressOption = None,
        **options: Unpack[ChatOptions],
    ) -> list[ChatReply]: ...
    @overload
    def chat(
        self,
        messages: Sequence[str] | Sequence[Sequence[Message]],
        *,
        n: int,
        progress: ProgressOption = None,
        **options: Unpack[ChatOptions],
    ) -> list[list[ChatReply]]: ...
    @overload
    def chat(  # type: ignore[overload-overlap]  # as above
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
    @overload
    def chat(
        self,
        messages: Sequence[str] | Sequence[Sequence[Message]],
        *,
        streaming: Literal[False] = False,
        callback: TokenCallback | None = None,
        progress: ProgressOption = None,
        **options: Unpack[ChatOptions],
    ) -> list[ChatReply]: ...
    def chat(
        self,
        messages: str | Sequence[Message] | Sequence[str] | Sequence[Sequence[Message]],
        *,
        n: int | None = None,
        streaming: bool = False,
        callback: TokenCallback | None = None,
        progress: ProgressOption = None,
        **options: Unpack[ChatOptions],
    ) -> ChatReply | list[ChatReply] | list[list[ChatReply]] | ChatStream:
        """Answer a question, or a conversation, through the model's own chat template.

        Nothing is remembered from call to call; for that there is :meth:`chat_session`.

        Args:
            messages: What the user says; or a conversation, as dicts with ``role`` and ``content``;
                or a list of questions, or of conversations, which are evaluated together.
                A last message of the assistant is continued.
            n: So many answers, as in :meth:`generate`.
            streaming: Return the answer piece by piece while it is generated.
            callback: As in :meth:`generate`.
            progress: For a list, as in :meth:`generate`.
            **options: ``system``, ``template``, ``tools``, ``documents``, ``variables`` and
                ``overflow`` as in :class:`llmlocal.ChatSession`, and all of :meth:`generate`'s;
                ``max_tokens`` is None by default: until the model ends its answer.

        Returns:
            A :class:`llmlocal.ChatReply`, which is a ``str``; for a list a list of them in the same
            order, whatever the order in which they are evaluated; with ``n`` a list of the answers
            in place of each; with ``streaming`` a :class:`llmlocal.ChatStream`.

        Raises:
            TemplateError: The model has no chat template, or it refuses these messages.
            ContextOverflowError: The conversation does not fit in the context.
            RequestCancelledError: ``progress`` returned False.

        Example:
            >>> llm.chat("Name three colors.", system="You are terse.", max_tokens=20)
            >>> llm.chat(["Name a fruit.", "Name a river."], max_tokens=20)
        """
        is_many = are_conversations(messages)
        _check_number(n, streaming or callback is not None, progress, is_many=is_many)
        conversations = cast(
            "Sequence[str | Sequence[Message]]", messages if is_many else [messages]
        )
        sessions = [self._one_off(each, options) for each in conversations]
        if streaming:
            return sessions[0].generate(streaming=True, callback=callback)
        if n is None and not is_many:
            return sessions[0].generate(callback=callback)
        with self._counting(progress, len(sessions) * (n or 1)) as tell:
            replies = answer_all(sessions, n or 1, lambda asked: self._answers(asked, tell))
        if n is None:
            return replies
        grouped = _in_rows(replies, n)
        return grouped if is_many else grouped[0]

    def _answers(
        self,
        asked: Sequence[tuple[Sequence[int], Options, TokenCallback | None]],
        tell: Callable[[int], None],
    ) -> list[Completion]:
        """The answers to prompts, each with options of its own."""
        self._open_model()
        asks = [
            Ask(prompt, RequestOptions(self._defaults, **options), callback)
            for prompt, options, callback in asked
        ]
        return wait_for_all(self._generator.submit(asks, model=self), tell)

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
        return render(self, as_messages(messages), **options)

    def _one_off(self, messages: str | Sequence[Message], options: ChatOptions) -> ChatSession:
        return ChatSession(self, messages=as_messages(messages), **options)

    def chat_template(self, name: str | None = None) -> str | None:
        """The chat template in the model's file, or the one of this name; None if there is none."""
        if name is not None:
            check_text(name, "name")
        return self._open_model().chat_template(name or "")

    # --- Facts -----------------------------------------------------------------------------------

    @property
    def n_ctx(self) -> int:
        """Tokens that prompt and answer of one request may have together."""
        return self._generator.n_ctx

    @property
    def n_threads(self) -> int:
        """CPU threads that it may use; fewer are used while other processes keep the CPU busy."""
        return self._generator.n_threads

    def save_state(self, prompt: Prompt) -> bytes:
        """What was evaluated of a prompt, to go on from it in another process or on another machine.

        Args:
            prompt: As in :meth:`generate`; the longest beginning of it that is held counts.

        Returns:
            Bytes for :meth:`load_state`: some ten thousand for each token of a small model.  They
            tell what the prompt said.  Empty if nothing of it is held.
        """
        return self._generator.save_state(prompt_tokens(prompt, self.tokenize))

    def load_state(self, state: bytes) -> int:
        """Hold a state, so that prompts which begin with its tokens need not evaluate them again.

        Args:
            state: What :meth:`save_state` gave, from the same model, ``kv_type`` and build.

        Returns:
            The number of its tokens; 0 if it is damaged, or of another model or kind of state.
        """
        return self._generator.load_state(bytes(state))

    def stats(self) -> Stats:
        """What the engine holds now, and has done so far."""
        return self._generator.stats()

    def _context_sizes(self) -> Mapping[str, int]:
        return self._generator.context_sizes()

    def _prefix_bytes(self) -> int:
        return self.stats().store_bytes

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"device={self.device!r}, n_ctx={self.n_ctx}"
        return f"<LLM {self.path.name!r} {state}>"

    # --- The end ---------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        return self._generator.closed

    def close(self) -> None:
        """Stop all requests and free the memory.  May be called twice, and from any thread.

        Callers that wait for a request get an :class:`llmlocal.EngineClosedError`.
        """
        self._generator.close()
        super().close()


def _check_number(
    n: int | None, is_told_of_pieces: bool, progress: ProgressOption, *, is_many: bool
) -> None:
    """Raise a ParameterError for what makes no sense together."""
    check_whole("n", n, 1, MOST_ANSWERS)
    if is_told_of_pieces and is_many:
        raise ParameterError("streaming and callback take one prompt, got a list of them")
    if is_told_of_pieces and n is not None:
        raise ParameterError("streaming and callback take one answer, and n= asks for several")
    if progress and n is None and not is_many:
        raise ParameterError(
            "progress= counts the answers to a list; of one answer, streaming= and on_prompt= tell"
        )


def _in_rows(items: list[_Item], width: int) -> list[list[_Item]]:
    return [items[i : i + width] for i in range(0, len(items), width)]

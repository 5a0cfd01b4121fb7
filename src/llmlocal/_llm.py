"""The model object: opens a model and answers, from any number of threads and tasks.

Which arguments there are, and conversations.  Texts are continued in ``_generation._completer``,
the weights and their facts are in ``_weights``; batching and caching are the engine's work.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal, cast, overload

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
from llmlocal._checks import check_bool
from llmlocal._devices._placement import PlacementOptions
from llmlocal._generation._completer import Completer
from llmlocal._generation._generator import GeneratorOptions
from llmlocal._generation._reply import TokenCallback
from llmlocal._generation._several import check_several, in_rows
from llmlocal._loading import LoadOptions
from llmlocal._progress import ProgressOption
from llmlocal._templates import ChatPrompt, ChatTemplate, Message
from llmlocal._tokens import check_text
from llmlocal._typing import Unpack

__all__ = ["LLM"]


class LLM(Completer):
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
        super().__init__(
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
                    {} if tensor_placement is None else tensor_placement,
                ),
                use_mmap,
                progress,
                verbose,
            ),
            GeneratorOptions(
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
            ),
        )

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
        check_bool("streaming", streaming)
        is_many = are_conversations(messages)
        check_several(n, streaming or callback is not None, progress, is_many=is_many)
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
        grouped = in_rows(replies, n)
        return grouped if is_many else grouped[0]

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

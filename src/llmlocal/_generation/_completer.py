"""A loaded model that continues texts: what :class:`llmlocal.LLM` is without conversations.

Over 400 lines: most of it is the signatures and the documentation of LLM's methods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import AbstractContextManager
from typing import Literal, cast, overload

from llmlocal._checks import check_bool, check_whole
from llmlocal._deadline import within
from llmlocal._generation._async import AsyncStream
from llmlocal._generation._completion import Completion
from llmlocal._generation._generator import Ask, Generator, GeneratorOptions
from llmlocal._generation._infill import infill_prompt
from llmlocal._generation._map import answers_as_they_end
from llmlocal._generation._options import (
    Options,
    RequestOptions,
    recommended_options,
)
from llmlocal._generation._reply import Reply, TokenCallback, check_callback
from llmlocal._generation._score import Score, is_one, read_score, scored_texts
from llmlocal._generation._several import check_several, counting_answers, in_rows
from llmlocal._generation._stream import Stream, wait_for, wait_for_all
from llmlocal._loading import LoadOptions, load
from llmlocal._progress import ProgressOption
from llmlocal._quote import quote
from llmlocal._stats import Stats
from llmlocal._tokens import (
    Prompt,
    Prompts,
    TokenArray,
    check_prompt,
    check_several_prompts,
    is_token_ids,
    prompt_tokens,
)
from llmlocal._typing import Unpack
from llmlocal._weights import LoadedModel
from llmlocal.errors import ParameterError

__all__ = ["Completer"]


class Completer(LoadedModel):
    """Weights, and a generator on them."""

    def __init__(self, loading: LoadOptions, options: GeneratorOptions) -> None:
        """Load the weights and start the generator.

        Args:
            loading: Which model, and how to load it.
            options: How to generate on it.
        """
        options.check()  # Before anything is fetched.
        loaded = load(
            loading, n_ctx=options.n_ctx, n_batch=options.n_batch, kv_type=options.kv_type
        )
        super().__init__(loaded)
        self._defaults = recommended_options(self.metadata)
        self._generator = Generator(loaded, self._open_tokenizer(), options)

    # --- Answers ---------------------------------------------------------------------------------

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
        check_bool("streaming", streaming)
        is_many = not isinstance(prompt, str) and not is_token_ids(prompt)
        check_several(n, streaming or callback is not None, progress, is_many=is_many)
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
        grouped = in_rows(completions, n)
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
        check_whole("in_flight", in_flight, 1, 2**31 - 1, is_optional=False)
        check_several_prompts(prompts)
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

    def infill_prompt(self, prefix: str, suffix: str) -> list[int]:
        r"""The prompt that asks for what goes between two texts, as token ids.

        For all that :meth:`infill` does not do: streams, several answers, asyncio.

        Args:
            prefix: As in :meth:`infill`.
            suffix: As in :meth:`infill`.

        Raises:
            RequestError: The model has no tokens for this.

        Example:
            >>> async for piece in llm.astream(llm.infill_prompt("x = ", "\nprint(x)")):
            ...     print(piece)
        """
        return infill_prompt(self._open_tokenizer(), prefix, suffix)

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
        tokens = self.infill_prompt(prefix, suffix)
        return wait_for(self._submit([tokens], None, options)[0])

    @overload
    def score(  # type: ignore[overload-overlap]  # as above
        self, text: Prompt, *, after: Prompt = "", logprobs: int = 0
    ) -> Score: ...
    @overload
    def score(
        self,
        text: Sequence[str] | Sequence[Sequence[int]],
        *,
        after: Prompts = "",
        logprobs: int = 0,
    ) -> list[Score]: ...
    def score(
        self, text: Prompts, *, after: Prompts = "", logprobs: int = 0
    ) -> Score | list[Score]:
        """How likely the model finds a text: the logprob of each of its tokens.

        Args:
            text: A text, the ids of its tokens, or a list of either, which are evaluated together; a
                beginning that they share is evaluated once.
            after: What comes before the text and is not scored itself: text, or token ids; for a
                list of texts, one for all or one for each.  Without it, the first token is scored
                where the model's texts begin with a token of their own (BOS), and else left out:
                it has nothing to come after.
            logprobs: So many of the likeliest tokens at each place are in ``per_token``, 0 to 20.

        Raises:
            ContextOverflowError: Both together have more tokens than ``n_ctx``.
            ParameterError: There is nothing to score.

        Example:
            >>> llm.score(" Paris", after="The capital of France is").sum
            -1.1
        """
        replies = self._submit_scores(text, after, logprobs)
        found = wait_for_all(replies, lambda _: None)
        scores = [read_score(each, logprobs) for each in found]
        return scores[0] if is_one(text) else scores

    async def ascore(self, text: Prompt, *, after: Prompt = "", logprobs: int = 0) -> Score:
        """How likely the model finds a text, without blocking the event loop; see :meth:`score`.

        Cancelling the task stops the evaluation.
        """
        stream = AsyncStream(
            lambda: self._submit_scores(text, after, logprobs)[0],
            self._generator.waker,
            until_end=True,
        )
        return read_score(await stream.result(), logprobs)

    def _submit_scores(self, text: Prompts, after: Prompts, logprobs: int) -> list[Reply]:
        check_whole("logprobs", logprobs, 0, 20, is_optional=False)
        asked = scored_texts(self._open_tokenizer(), text, after)
        return self._generator.submit_scores(asked, max(logprobs, 1), model=self)

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
        with within(checked.timeout):
            asked = [
                Ask(prompt_tokens(prompt, self.tokenize), checked, callback, answers)
                for prompt in prompts
            ]
            return self._generator.submit(asked, model=self)

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

    def _counting(
        self, progress: ProgressOption, total: int | None
    ) -> AbstractContextManager[Callable[[int], None]]:
        return counting_answers(progress, total, self.path.name)

    def _expect_constraints(self) -> None:
        """Begin in the background what the first constraint would have to wait for."""
        self._generator.expect_constraints()

    # --- What was evaluated ----------------------------------------------------------------------

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
        if not isinstance(state, (bytes, bytearray, memoryview)):
            raise ParameterError(f"state must be bytes, got {quote(state)}")
        return self._generator.load_state(bytes(state))

    # --- Facts -----------------------------------------------------------------------------------

    @property
    def n_ctx(self) -> int:
        """Tokens that prompt and answer of one request may have together."""
        return self._generator.n_ctx

    @property
    def n_threads(self) -> int:
        """CPU threads that it may use; fewer are used while other processes keep the CPU busy."""
        return self._generator.n_threads

    def stats(self) -> Stats:
        """What the engine holds now, and has done so far."""
        return self._generator.stats()

    def _context_sizes(self) -> Mapping[str, int]:
        return self._generator.context_sizes()

    def _prefix_bytes(self) -> int:
        return self.stats().store_bytes

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"device={self.device!r}, n_ctx={self.n_ctx}"
        return f"<{type(self).__name__} {self.path.name!r} {state}>"

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

"""What generates on a loaded model: the native engine, and the thread that wakes asyncio tasks."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmlocal import _core
from llmlocal._budget import choose_budget, choose_context, doubt_about
from llmlocal._checks import check_type, check_whole
from llmlocal._generation._async import Waker
from llmlocal._generation._guide import Guide
from llmlocal._generation._order import prefix_order
from llmlocal._generation._reply import Reply, TokenCallback
from llmlocal._generation._score import ScoredText
from llmlocal._log import pass_on_log
from llmlocal._machine import spare_bytes
from llmlocal._prefix_cache import (
    DEFAULT_DISK_BYTES,
    MOST_AGE_S,
    chosen_folder,
    fingerprint,
)
from llmlocal._quote import quote
from llmlocal._stats import Stats
from llmlocal._threads import default_threads
from llmlocal._tokens import check_text
from llmlocal.errors import EngineClosedError, ParameterError

if TYPE_CHECKING:
    from llmlocal._generation._constraint import Constraint
    from llmlocal._generation._options import RequestOptions
    from llmlocal._generation._reasoning import Reasoning
    from llmlocal._loading import Loaded

    Compiled = tuple[_core.Grammar, Constraint]

__all__ = ["Ask", "Generator", "GeneratorOptions"]

_logger = logging.getLogger("llmlocal")
_MOST_PARALLEL = 256
_MOST_THREADS = 512
_LONGEST_TYPE = 20
_MOST_BATCH = 65_536


@dataclass(frozen=True)
class GeneratorOptions:
    """How to generate on a model; the fields are the arguments of :class:`llmlocal.LLM`."""

    n_ctx: int | None
    n_threads: int | None
    n_batch: int
    n_parallel: int
    kv_type: str
    flash_attention: bool | None
    kv_cache_bytes: int | None
    prefix_cache_bytes: int | None
    prefix_cache_path: str | os.PathLike[str] | None
    prefix_cache_disk_bytes: int | None

    def check(self) -> None:
        """Raise a ParameterError for what makes no sense whatever the model is."""
        check_whole("n_ctx", self.n_ctx, 1, 2**31 - 1)
        check_whole("n_threads", self.n_threads, 1, _MOST_THREADS)
        check_whole("n_batch", self.n_batch, 1, _MOST_BATCH, is_optional=False)
        check_whole("n_parallel", self.n_parallel, 1, _MOST_PARALLEL, is_optional=False)
        check_whole("kv_cache_bytes", self.kv_cache_bytes, 0, 2**63 - 1)
        check_whole("prefix_cache_bytes", self.prefix_cache_bytes, 0, 2**63 - 1)
        check_whole("prefix_cache_disk_bytes", self.prefix_cache_disk_bytes, 0, 2**63 - 1)
        chosen_folder(self.prefix_cache_path)
        check_text(self.kv_type, "kv_type")
        if len(self.kv_type) > _LONGEST_TYPE:
            raise ParameterError(f"there is no kv_type {quote(self.kv_type)}")
        if self.flash_attention is not None:
            check_type("flash_attention", self.flash_attention, bool)


@dataclass(frozen=True)
class Ask:
    """A prompt, and how it is to be answered.

    Attributes:
        prompt: Its token ids.
        options: How; may be shared by many.
        callback: Told of each token.
        answers: How many; each has a seed of its own.
    """

    prompt: Sequence[int]
    options: RequestOptions
    callback: TokenCallback | None = None
    answers: int = 1


class Generator:
    """Takes requests on a loaded model, any number at once.

    It ends with :meth:`close`, with the interpreter, and when nothing refers to it any more.

    Attributes:
        n_ctx: Tokens that prompt and answer of one request may have together.
        n_threads: CPU threads that it may use.
        waker: Wakes the tasks that wait for its requests.
    """

    def __init__(
        self, loaded: Loaded, tokenizer: _core.Tokenizer, options: GeneratorOptions
    ) -> None:
        self._path = loaded.path
        self.n_ctx = _context_for(loaded, options.n_ctx)
        self.n_threads = options.n_threads or default_threads()
        limit = options.kv_cache_bytes
        spare = spare_bytes()
        budget = choose_budget(
            spare,
            loaded.placement.context_limit if limit is None else limit,
            options.prefix_cache_bytes,
        )
        try:
            self._engine = _core.Engine(
                loaded.model,
                tokenizer,
                context_length=self.n_ctx,
                batch=options.n_batch,
                threads=self.n_threads,
                kv_type=options.kv_type,
                offload=loaded.placement.layers > 0,
                flash_attention=options.flash_attention,
                max_streams=options.n_parallel,
                kv_bytes=budget.kv_bytes,
                store_bytes=budget.prefix_bytes,
                prefix_files=_prefix_files(loaded, options),
            )
        finally:
            pass_on_log()
        if options.n_ctx is not None and loaded.placement.layers == 0:
            self._warn_of_long_texts(spare)
        self._tokenizer: _core.Tokenizer | None = tokenizer  # Holds the weights.
        self._formats: dict[tuple[str, ...], _core.ReasoningFormat] = {}
        self.waker = Waker()
        self._guide = Guide(tokenizer)
        # Also runs when the interpreter ends, before the extension is torn down.
        self._finalizer = weakref.finalize(self, _shut_down, self._engine, self.waker)

    def _warn_of_long_texts(self, spare: int | None) -> None:
        """The memory for a text is taken as it grows: whoever asks for a long one is told before."""
        now = self._engine.stats()
        text_bytes = now.sequence_bytes * self.n_ctx // max(now.sequence_tokens, 1)
        doubt = doubt_about(self.n_ctx, text_bytes, spare)
        if doubt is not None:
            _logger.warning("%s", doubt)

    def expect_constraints(self) -> None:
        """Prepare for the first of them in the background, if that was not begun."""
        self._guide.expect()

    def submit(self, asked: Sequence[Ask], *, model: object) -> list[Reply]:
        """Have prompts evaluated together, those with a common beginning one after the other.

        Args:
            asked: What is asked.
            model: Held until the answers are complete.

        Returns:
            In the order of ``asked``; several answers to one prompt come in a row.
        """
        asks = [(ask, seed) for ask in asked for seed in ask.options.seeds(1, ask.answers)]
        order = prefix_order([ask.prompt for ask, _ in asks])
        compiled: dict[int, Compiled] = {}  # By the options, which many may share.
        made = [self._make(*asks[place], compiled) for place in order]
        requests = self._engine.submit([spec for spec, _ in made])
        replies = {
            place: self._reply(request, *asks[place], constraint, model)
            for place, request, (_, constraint) in zip(order, requests, made, strict=True)
        }
        return [replies[place] for place in range(len(asks))]

    def _make(
        self, ask: Ask, seed: int, compiled: dict[int, Compiled]
    ) -> tuple[_core.RequestSpec, Constraint | None]:
        """A request, and what its answer obeys, as it can be kept."""
        options = ask.options
        if options.constraint and id(options) not in compiled:
            compiled[id(options)] = self._guide.compile(options.constraint)
        grammar, constraint = compiled.get(id(options), (None, None))
        return options.spec(ask.prompt, seed, self._mask(options, grammar)), constraint

    def _reply(
        self,
        request: _core.Request,
        ask: Ask,
        seed: int,
        constraint: Constraint | None,
        model: object,
    ) -> Reply:
        options = ask.options
        return Reply(
            request,
            seed=seed,
            callback=ask.callback,
            on_prompt=options.on_prompt,
            token_bytes=None if options.logprobs is None else self._open_tokenizer().token_bytes,
            n_prompt=len(ask.prompt),
            model=model,
            constraint=constraint,
            reasons=options.reasoning is not None,
        )

    def submit_scores(
        self, texts: Sequence[ScoredText], logprobs: int, *, model: object
    ) -> list[Reply]:
        """Have texts scored together; the replies have no text, and a logprob for each token.

        Args:
            texts: The tokens.
            logprobs: So many of the likeliest with each token.
            model: Held until the scores are there.
        """
        sampling = _core.SamplingParams()
        specs = [
            _core.RequestSpec(
                text.tokens,
                sampling=sampling,
                max_tokens=None,
                stops=_core.StopStrings([]),
                timeout=None,
                logprobs=logprobs,
                score_from=text.score_from,
            )
            for text in texts
        ]
        order = prefix_order([text.tokens for text in texts])
        requests = self._engine.submit([specs[place] for place in order])
        token_bytes = self._open_tokenizer().token_bytes
        replies = {
            place: Reply(request, seed=0, token_bytes=token_bytes, model=model)
            for place, request in zip(order, requests, strict=True)
        }
        return [replies[place] for place in range(len(texts))]

    def _mask(
        self, options: RequestOptions, grammar: _core.Grammar | None
    ) -> _core.TokenMask | None:
        """What one answer is held to, if anything."""
        answer = grammar.mask() if grammar else None
        reasoning, budget = options.reasoning, options.reasoning_budget
        if reasoning is None:
            if budget is not None:
                raise ParameterError(
                    "reasoning_budget= is for chats: only a chat template says how a model reasons"
                )
            return answer
        if answer is None and budget is None:
            return None
        return _core.ReasoningMask(
            self._format(reasoning), answer, is_open=reasoning.is_open, budget=budget
        )

    def _format(self, reasoning: Reasoning) -> _core.ReasoningFormat:
        if reasoning.tags not in self._formats:
            opening, closing, direct, pad = reasoning.tags
            self._formats[reasoning.tags] = _core.ReasoningFormat(
                self._open_tokenizer(), opening=opening, closing=closing, direct=direct, pad=pad
            )
        return self._formats[reasoning.tags]

    def _open_tokenizer(self) -> _core.Tokenizer:
        tokenizer = self._tokenizer
        if tokenizer is None:
            raise EngineClosedError("the model was closed")
        return tokenizer

    def save_state(self, tokens: Sequence[int]) -> bytes:
        """What is evaluated of these tokens, as bytes; none if nothing of them is held."""
        return self._engine.save_state(tokens, model=fingerprint(self._path))

    def load_state(self, state: bytes) -> int:
        """Hold what :meth:`save_state` gave; return its tokens, 0 if it is of no use here."""
        return self._engine.load_state(state, model=fingerprint(self._path))

    def stats(self) -> Stats:
        """What the engine holds now, and has done so far."""
        return Stats.of(self._engine.stats(), kernels=_core.own_kernels())

    def context_sizes(self) -> Mapping[str, int]:
        """Bytes of its context, by the name of a kind of buffer."""
        return self._engine.context_sizes()

    @property
    def closed(self) -> bool:
        return not self._finalizer.alive

    def close(self) -> None:
        """Stop all requests.  May be called twice, and from any thread."""
        self._finalizer()
        # Another thread may be in the middle of that: whoever returns from here finds it done.
        self._engine.close()
        self._guide.close()
        self._tokenizer = None
        self._formats.clear()


def _prefix_files(loaded: Loaded, options: GeneratorOptions) -> _core.PrefixFilesOptions | None:
    folder = chosen_folder(options.prefix_cache_path)
    if folder is None:
        return None
    most = options.prefix_cache_disk_bytes
    return _core.PrefixFilesOptions(
        folder=os.fsencode(folder),
        model=fingerprint(loaded.path),
        most_bytes=DEFAULT_DISK_BYTES if most is None else most,
        most_age_s=MOST_AGE_S,
    )


def _context_for(loaded: Loaded, wanted: int | None) -> int:
    trained = loaded.model.training_context
    n_ctx = choose_context(wanted, trained)
    if n_ctx > trained > 0:
        _logger.warning(
            "n_ctx=%d is more than the %d tokens that %s was trained for: longer texts may make no"
            " sense to it",
            n_ctx,
            trained,
            loaded.path.name,
        )
    return n_ctx


def _shut_down(engine: _core.Engine, waker: Waker) -> None:
    engine.close()
    waker.stop()

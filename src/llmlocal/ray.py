"""Batches of prompts on a Ray cluster: a model in an actor on each node, whole batches at a time.

:func:`build_processor` has the calling form of ``ray.data.llm``; rows have the names that it uses.
:class:`Predictor` is the actor by itself, a plain class for ``map_batches`` that needs no Ray, so
that Daft, Dask or a loop can use it too.

Needs ``pip install 'llmlocal[ray]'``, on every node.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import llmlocal
from llmlocal import ChecksumError, LLMLocalError, ParameterError

if TYPE_CHECKING:
    from ray.data import Dataset

    from llmlocal import ChatStream, Completion, Stream

__all__ = ["Predictor", "build_processor"]

Row = dict[str, Any]

# Sampling parameters by their names in vLLM; those of llmlocal keep their own.
_RENAMED = {"temperature": "temp", "repetition_penalty": "repeat_penalty"}
_IGNORED = frozenset({"detokenize", "skip_special_tokens"})  # It is always as if they were true.


class Predictor:
    """Answers batches of rows with one model, which it loads once.

    A row has ``messages`` (a conversation) or ``prompt`` (a text, or token ids), and may have
    ``sampling_params``.  To these are added ``generated_text``, ``generated_tokens`` (ids),
    ``num_input_tokens``, ``num_cached_tokens``, ``num_generated_tokens``, ``finish_reason`` and
    ``error``: what was wrong with a row is told there (else it is ""), and costs no other row.

    A batch is given to the engine whole.  Each row has a seed of its own, which comes from what is
    in it, so that a row that is answered again gets the same answer.

    Args:
        model: As for :class:`llmlocal.LLM`: found on each node, or downloaded there.
        sha256: The digest that the file must have, so that all nodes answer with the same model.
        seed: Another one gives other answers, where ``temperature`` allows any.
        **engine: What else :class:`llmlocal.LLM` takes, such as ``n_ctx`` and ``n_parallel``.

    Raises:
        ChecksumError: The file on this node is not the one with that digest.
        ModelError: It can't be found or loaded.

    Example:
        >>> predict = Predictor("smollm2-135m-instruct")
        >>> answers = predict({"prompt": ["1 + 1 =", "2 + 2 ="]})
        >>> len(answers["generated_text"])
        2
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        sha256: str | None = None,
        seed: int = 0,
        **engine: Any,
    ) -> None:
        self._seed = seed
        self._llm = llmlocal.LLM(model, progress=False, **engine)
        if sha256 is not None:
            try:
                _check_digest(self._llm.path, sha256)
            except BaseException:
                self.close()
                raise

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Answer a batch: columns of equal length in, the same and the answers' out."""
        columns = {name: list(values) for name, values in batch.items()}
        rows = [
            {name: _plain(column[i]) for name, column in columns.items()}
            for i in range(len(next(iter(columns.values()), [])))
        ]
        # Rows with a common beginning one after the other: what they share is evaluated once.
        order = sorted(range(len(rows)), key=lambda place: _asked(rows[place]))
        started = {place: self._start(rows[place]) for place in order}
        answers = [_finish(started[place]) for place in range(len(rows))]
        names = _answer(None).keys()
        return {**columns, **{name: [answer[name] for answer in answers] for name in names}}

    def _start(self, row: Row) -> Stream | ChatStream | str:
        """The answer to a row, under way; or what is wrong with the row."""
        try:
            options = _options(row.get("sampling_params") or {})
            options.setdefault("seed", _seed_of(row, self._seed))
            if row.get("messages") is not None:
                return self._llm.chat(row["messages"], streaming=True, **options)
            if row.get("prompt") is None:
                raise ParameterError("a row needs messages or a prompt")
            return self._llm.generate(row["prompt"], streaming=True, **options)
        except (LLMLocalError, TypeError, ValueError) as exc:
            return str(exc) or type(exc).__name__

    def close(self) -> None:
        """Unload the model."""
        self._llm.close()


def build_processor(
    *,
    model: str | os.PathLike[str],
    preprocess: Callable[[Row], Row] | None = None,
    postprocess: Callable[[Row], Row] | None = None,
    concurrency: int | tuple[int, int] = 1,
    batch_size: int = 64,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    sha256: str | None = None,
    seed: int = 0,
    engine: Mapping[str, Any] | None = None,
    **map_options: Any,
) -> Callable[[Dataset], Dataset]:
    """What answers a dataset's rows, in the calling form of ``ray.data.llm.build_processor``.

    Args:
        model: As for :class:`llmlocal.LLM`; each node finds or downloads it.
        preprocess: Makes of a row what is asked: ``messages`` or ``prompt``, and
            ``sampling_params``.  Its result is put over the row.  Default: rows are so already.
        postprocess: Makes of an answered row what is wanted.  Default: all of it.
        concurrency: Models at a time: a number, or the fewest and the most.
        batch_size: Rows that a model gets at once, >= 1.
        num_cpus: Cores that each model is given; also its threads, unless ``engine`` says.
            Default: ``engine["n_threads"]``, or 1.
        num_gpus: GPUs that each model is given.  Default: none.
        sha256: The digest that the model's file must have on every node.
        seed: See :class:`Predictor`.
        engine: What else :class:`llmlocal.LLM` takes.
        **map_options: What else ``Dataset.map_batches`` takes.

    Returns:
        A function from a dataset to a dataset.

    Example:
        >>> processor = build_processor(
        ...     model="smollm2-135m-instruct",
        ...     concurrency=2,
        ...     preprocess=lambda row: {"messages": [{"role": "user", "content": row["question"]}]},
        ...     postprocess=lambda row: {"answer": row["generated_text"]},
        ... )
        >>> answers = processor(ray.data.read_json("questions.json"))  # doctest: +SKIP
    """
    if batch_size < 1:
        raise ParameterError(f"batch_size must be >= 1, got {batch_size}")
    settings = dict(engine or {})
    cores = num_cpus if num_cpus is not None else settings.get("n_threads", 1)
    settings.setdefault("n_threads", max(1, int(cores)))
    if not num_gpus:
        settings.setdefault("device", "cpu")  # What was not asked for is not there to be taken.

    def processor(dataset: Dataset) -> Dataset:
        from ray.data import ActorPoolStrategy

        least, most = concurrency if isinstance(concurrency, tuple) else (concurrency, concurrency)
        if preprocess is not None:
            dataset = dataset.map(_Over(preprocess))
        dataset = dataset.map_batches(
            cast("Any", Predictor),
            fn_constructor_args=(os.fspath(model),),
            fn_constructor_kwargs={"sha256": sha256, "seed": seed, **settings},
            batch_size=batch_size,
            compute=ActorPoolStrategy(min_size=least, max_size=most),
            num_cpus=cores,
            num_gpus=num_gpus,
            **map_options,
        )
        return dataset if postprocess is None else dataset.map(postprocess)

    return processor


class _Over:
    """A row with what ``preprocess`` makes of it put over it; named for Ray's messages."""

    def __init__(self, preprocess: Callable[[Row], Row]) -> None:
        self._preprocess = preprocess

    def __call__(self, row: Row) -> Row:
        return {**row, **self._preprocess(row)}


def _plain(value: Any) -> Any:
    """A value of a column as Python has it: Ray's batches hold numpy's."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        # A column of objects has all of their fields in each; what was absent is None.
        return {name: _plain(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value


def _options(params: Mapping[str, Any]) -> dict[str, Any]:
    return {
        _RENAMED.get(name, name): value for name, value in params.items() if name not in _IGNORED
    }


def _asked(row: Row) -> str:
    return json.dumps([row.get("messages"), row.get("prompt")], default=str)


def _seed_of(row: Row, seed: int) -> int:
    """A seed that depends on what is asked, and on nothing else."""
    asked = [row.get(name) for name in ("messages", "prompt", "sampling_params")]
    text = json.dumps([seed, asked], sort_keys=True, default=str)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")


def _finish(started: Stream | ChatStream | str) -> Row:
    if isinstance(started, str):
        return _answer(None, started)
    try:
        return _answer(started.result)
    except LLMLocalError as exc:
        return _answer(None, str(exc) or type(exc).__name__)


def _answer(result: Completion | None, error: str = "") -> Row:
    if result is None:
        return {
            "generated_text": "",
            "generated_tokens": [],
            "num_input_tokens": 0,
            "num_cached_tokens": 0,
            "num_generated_tokens": 0,
            "finish_reason": "",
            "error": error,
        }
    return {
        "generated_text": str(result),
        "generated_tokens": list(result.tokens),
        "num_input_tokens": result.usage.prompt_tokens,
        "num_cached_tokens": result.usage.cached_tokens,
        "num_generated_tokens": result.usage.completion_tokens,
        "finish_reason": result.finish_reason,
        "error": "",
    }


def _check_digest(path: os.PathLike[str], sha256: str) -> None:
    digest = hashlib.sha256()
    for block in _blocks(path):
        digest.update(block)
    if digest.hexdigest() != sha256.lower():
        raise ChecksumError(
            f"{os.fspath(path)} has the SHA-256 {digest.hexdigest()}, and not {sha256}"
        )


def _blocks(path: os.PathLike[str]) -> Iterator[bytes]:
    with open(path, "rb") as file:  # noqa: PTH123 - any path-like
        while block := file.read(1 << 20):
            yield block

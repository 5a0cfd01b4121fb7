"""Several models by name: loaded when they are asked for, unloaded when nobody has for a while.

Any thread or task may borrow a model; who asks for one that is loading waits for that load, and
nobody else does.  A model is unloaded when it was idle for long, or when another one needs its
memory: the one that was used least recently, and never one that somebody has borrowed.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any

from llmlocal._checks import listed, mapped
from llmlocal._pool._entry import Kind, Model
from llmlocal._pool._slot import PooledModel, Slot, bytes_of, idle_seconds, slot_of, status_of
from llmlocal._progress import Progress, ProgressCallback
from llmlocal._quote import quote
from llmlocal._tokens import check_text
from llmlocal.errors import (
    EngineClosedError,
    ModelNotFoundError,
    OutOfMemoryError,
    ParameterError,
)

__all__ = ["ModelPool"]

_logger = logging.getLogger("llmlocal")

Models = Sequence[Any] | Mapping[str, Any]
# The options of a load that all kinds of models take.
_SHARED = ("model_path", "allow_download", "device", "n_threads", "n_gpu_layers", "verbose")


class ModelPool:
    """Models by name, loaded on demand.

    Args:
        models: Names, paths, loaded :class:`llmlocal.LLM` objects, or :class:`PoolEntry` values; or
            a mapping from the names that callers use to any of these.  A path is called by its file
            name without the ending.  Loaded objects stay their owner's: they are never unloaded.
        embedders: The same for :class:`llmlocal.Embedder`.
        rerankers: The same for :class:`llmlocal.Reranker`.
        aliases: Other names for them.
        keep_alive: Seconds after which an idle model is unloaded, >= 0; None = never.
        max_memory: Bytes that all of them may take together, as far as it can be told before a
            load; None = what the machine has.
        **load_options: For each ``LLM`` that is loaded by name or path, such as ``n_ctx``; those
            about devices and files are for the others too.

    Raises:
        ParameterError: No models, two of one name, or an alias of none.

    Example:
        >>> with ModelPool(["smollm2-135m-instruct"], keep_alive=60) as pool:
        ...     with pool.use("smollm2-135m-instruct") as llm:
        ...         print(llm.generate("Hello", max_tokens=4))
    """

    def __init__(
        self,
        models: Models,
        *,
        embedders: Models = (),
        rerankers: Models = (),
        aliases: Mapping[str, str] | None = None,
        keep_alive: float | None = 600.0,
        max_memory: int | None = None,
        **load_options: Any,
    ) -> None:
        self._keep_alive = math.inf if keep_alive is None else idle_seconds(keep_alive)
        self._max_memory = max_memory
        self._slots: dict[str, Slot] = {}
        shared = {name: load_options[name] for name in _SHARED if name in load_options}
        self._add("generate", models, load_options)
        self._add("embed", embedders, shared)
        self._add("rerank", rerankers, shared)
        if not self._slots:
            raise ParameterError("a pool needs at least one model")
        self._aliases = mapped("aliases", aliases)
        for alias, name in self._aliases.items():
            if name not in self._slots or alias in self._slots:
                raise ParameterError(
                    f"the alias {quote(alias)} must be a new name for one of the models"
                )
        self._changed = threading.Condition()  # Guards the slots, _sweeper and _is_closed.
        self._one_load = (
            threading.Lock()
        )  # Held while a model loads: each needs to know what is free.
        self._sweeper: threading.Thread | None = None
        self._is_closed = False

    def _add(self, kind: Kind, models: Models, options: Mapping[str, Any]) -> None:
        named = (
            models.items()
            if isinstance(models, Mapping)
            else [(None, model) for model in listed("models", models)]
        )
        for name, model in named:
            slot = slot_of(name, model, kind, options, self._keep_alive)
            if slot.entry.name in self._slots:
                raise ParameterError(f"two models of a pool have the name {slot.entry.name!r}")
            self._slots[slot.entry.name] = slot

    # --- Borrowing -------------------------------------------------------------------------------

    @contextmanager
    def use(self, name: str, *, keep_alive: float | None = None) -> Iterator[Any]:
        """A model for the length of a ``with`` block; loads it first where need be.

        Args:
            name: Its name, or an alias.
            keep_alive: From now on, seconds after which it is unloaded when idle, >= 0; more than
                thirty years are for ever. None = as before.

        Raises:
            ParameterError: ``keep_alive`` is no such time.
            ModelNotFoundError: The pool has no such model; says which it has.
            OutOfMemoryError: There is no memory for it beside those that are in use.
            LLMLocalError: It could not be loaded; the next call tries again.
            EngineClosedError: The pool was closed.
        """
        slot, future = self._borrow(name, keep_alive)
        try:
            yield future.result()
        finally:
            self._give_back(slot)

    @asynccontextmanager
    async def ause(self, name: str, *, keep_alive: float | None = None) -> AsyncIterator[Any]:
        """The same for an asyncio task, which does not block its loop; see :meth:`use`."""
        slot, future = self._borrow(name, keep_alive)
        try:
            # The load goes on for others when this task is cancelled.
            yield await asyncio.wrap_future(future)
        finally:
            self._give_back(slot)

    def _borrow(self, name: str, keep_alive: float | None) -> tuple[Slot, Future[Model]]:
        slot = self._find(name)
        stays = None if keep_alive is None else idle_seconds(keep_alive)
        with self._changed:
            if self._is_closed:
                raise EngineClosedError("the pool of models was closed")
            if slot.future is None:
                future: Future[Model] = Future()
                future.set_running_or_notify_cancel()
                thread = threading.Thread(
                    target=self._load, args=(slot, future), name="llmlocal-load", daemon=True
                )
                slot.progress = 0.0
                thread.start()
                slot.future = future
            slot.users += 1
            if stays is not None:
                slot.keep_alive = stays
            return slot, slot.future

    def _give_back(self, slot: Slot) -> None:
        with self._changed:
            slot.users -= 1
            slot.last_used = time.monotonic()
            if self._sweeper is None and math.isfinite(slot.idle_until):
                self._sweeper = threading.Thread(
                    target=self._sweep, name="llmlocal-idle-models", daemon=True
                )
                self._sweeper.start()
            self._changed.notify_all()

    # --- Loading and unloading -------------------------------------------------------------------

    def _load(self, slot: Slot, future: Future[Model]) -> None:
        def report(progress: Progress) -> bool:
            if progress.total:
                slot.progress = progress.done / progress.total
            return not self._is_closed

        try:
            with self._one_load:
                self._make_room(slot)
                model = self._open(slot, report)
        except BaseException as exc:  # noqa: BLE001 - raised where the model is waited for
            with self._changed:
                slot.future = None
            future.set_exception(exc)
            return
        with self._changed:
            is_closed = self._is_closed
            future.set_result(model)
        _logger.info("loaded %s", slot.entry.name)
        if is_closed:
            model.close()

    def _open(self, slot: Slot, report: ProgressCallback) -> Model:
        while True:
            try:
                return slot.entry.open(report)
            except OutOfMemoryError:
                if not self._unload_least_recent():
                    raise

    def _make_room(self, slot: Slot) -> None:
        """Unload what is idle until this one fits in ``max_memory``.

        Raises:
            OutOfMemoryError: It can't, beside the models that are in use.
        """
        if self._max_memory is None:
            return
        needed = slot.entry.needs()
        while needed + self._bytes() > self._max_memory:
            if not self._unload_least_recent():
                raise OutOfMemoryError(
                    f"{slot.entry.name} needs {needed:,} bytes; the models in use take"
                    f" {self._bytes():,} of the {self._max_memory:,} that all may have"
                )

    def _bytes(self) -> int:
        with self._changed:
            models = [slot.model for slot in self._slots.values()]
        return sum(bytes_of(model) for model in models)

    def _unload_least_recent(self) -> bool:
        with self._changed:
            idle = [slot for slot in self._slots.values() if slot.is_idle]
            if not idle:
                return False
            model = self._take_out(min(idle, key=lambda slot: slot.last_used))
        model.close()
        return True

    def _take_out(self, slot: Slot) -> Model:
        model = slot.model
        assert model is not None
        slot.future = None
        _logger.info("unloading %s", slot.entry.name)
        return model

    def _sweep(self) -> None:
        """Unload what was idle for its time; ends when nothing is left to wait for."""
        while True:
            with self._changed:
                waiting = [s for s in self._slots.values() if math.isfinite(s.idle_until)]
                if self._is_closed or not waiting:
                    self._sweeper = None
                    return
                now = time.monotonic()
                models = [self._take_out(slot) for slot in waiting if slot.idle_until <= now]
                if not models:
                    self._changed.wait(min(slot.idle_until for slot in waiting) - now)
            for model in models:
                model.close()

    def unload(self, name: str) -> bool:
        """Unload a model now.

        Returns:
            Whether it was; False if it is not loaded, in use, or was handed in loaded.
        """
        slot = self._find(name)
        with self._changed:
            if not slot.is_idle:
                return False
            model = self._take_out(slot)
        model.close()
        return True

    # --- What there is ---------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        """The models' names, without aliases."""
        return tuple(self._slots)

    @property
    def aliases(self) -> Mapping[str, str]:
        """The models' names by alias."""
        return dict(self._aliases)

    def name_of(self, name: str) -> str:
        """The name that a name or an alias stands for.

        Raises:
            ModelNotFoundError: There is none; says which there are.
        """
        return self._find(name).entry.name

    def of_kind(self, kind: Kind) -> tuple[str, ...]:
        """The names of the models for this."""
        check_text(kind, "kind")
        return tuple(name for name, slot in self._slots.items() if slot.entry.kind == kind)

    def kind_of(self, name: str) -> Kind:
        """What a model is for."""
        return self._find(name).entry.kind

    def source(self, name: str) -> str | os.PathLike[str] | None:
        """What a model is loaded from; None where the pool can't tell."""
        return self._find(name).entry.source

    def status(self) -> list[PooledModel]:
        """All models with what they do now, in the order in which they were given."""
        with self._changed:
            slots = list(self._slots.values())
            return [status_of(slot) for slot in slots]

    def _find(self, name: str) -> Slot:
        check_text(name, "name")
        slot = self._slots.get(self._aliases.get(name, name))
        if slot is None:
            there = ", ".join([*self._slots, *self._aliases])
            raise ModelNotFoundError(f"there is no model {quote(name, 100)}; there are: {there}")
        return slot

    # --- The end ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Unload all models, also those in use: their callers get an EngineClosedError.

        May be called twice, and from any thread.
        """
        with self._changed:
            self._is_closed = True
            loaded = [slot for slot in self._slots.values() if slot.is_ours and slot.model]
            models = [self._take_out(slot) for slot in loaded]
            self._changed.notify_all()
        for model in models:
            model.close()

    def __enter__(self) -> ModelPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<ModelPool {', '.join(self._slots)}>"

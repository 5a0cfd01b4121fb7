"""The place of one model in a pool: whether it is loaded, who uses it, how long it may stay."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

from llmlocal._checks import LONGEST_S
from llmlocal._pool._entry import Kind, Model, PoolEntry, entry_of, name_of_model
from llmlocal._quote import quote
from llmlocal.errors import EngineClosedError, ParameterError

if TYPE_CHECKING:
    from llmlocal._stats import Stats

__all__ = ["PooledModel", "Slot", "bytes_of", "idle_seconds", "slot_of", "status_of"]


@dataclass(frozen=True)
class PooledModel:
    """What a pool knows of one of its models now.

    Attributes:
        name: Its name.
        kind: What it is for.
        state: ``"unloaded"``, ``"loading"`` or ``"loaded"``.
        progress: How far its load is, 0 to 1.
        users: How many have borrowed it, or wait for it.
        waiting: Requests that wait in its engine for others to end.
        bytes: Memory that it takes; 0 while it is not loaded.
        idle_until: When it is unloaded if nobody asks for it, in seconds of ``time.monotonic()``;
            None: never, not loaded, or in use.
    """

    name: str
    kind: Kind
    state: Literal["unloaded", "loading", "loaded"]
    progress: float
    users: int
    waiting: int
    bytes: int
    idle_until: float | None


@dataclass
class Slot:
    """What the pool keeps of a model; guarded by the pool's lock."""

    entry: PoolEntry
    keep_alive: float
    is_ours: bool = True  # Not one that was handed in loaded: its owner closes that.
    future: Future[Model] | None = None  # None: unloaded; not done: loading.
    users: int = 0
    last_used: float = 0.0
    progress: float = 0.0

    @property
    def model(self) -> Model | None:
        return self.future.result() if self.future is not None and self.future.done() else None

    @property
    def is_idle(self) -> bool:
        return self.users == 0 and self.is_ours and self.model is not None

    @property
    def idle_until(self) -> float:
        return self.last_used + self.keep_alive if self.is_idle else math.inf


def idle_seconds(keep_alive: object) -> float:
    """How long an idle model stays; ``math.inf`` for what clocks can't count.

    Raises:
        ParameterError: It is no number, or less than 0.
    """
    if isinstance(keep_alive, (int, float)) and not isinstance(keep_alive, bool):
        if keep_alive > LONGEST_S:
            return math.inf
        if keep_alive >= 0:
            return float(keep_alive)
    raise ParameterError(f"keep_alive must be >= 0 seconds, or None; got {quote(keep_alive)}")


def slot_of(
    name: str | None, model: Any, kind: Kind, options: Mapping[str, Any], keep_alive: float
) -> Slot:
    """The place for what a caller names: a name, a path, an entry or a loaded model."""
    if isinstance(model, PoolEntry):
        return Slot(model if name is None else replace(model, name=name), keep_alive)
    if isinstance(model, str | os.PathLike):
        return Slot(entry_of(name, model, kind, options), keep_alive)
    if not hasattr(model, "close") or not hasattr(model, "memory"):
        raise ParameterError(
            f"a model of a pool must be a name, a path or a loaded model, got {quote(model)}"
        )
    loaded: Future[Model] = Future()
    loaded.set_result(model)
    entry = PoolEntry(
        name or name_of_model(model.path),
        lambda _: cast("Model", model),
        kind,
        source=model.path,
    )
    return Slot(entry, math.inf, is_ours=False, future=loaded)


def bytes_of(model: Model | None) -> int:
    """Memory that it takes; 0 for one that is not there any more."""
    if model is None:
        return 0
    try:
        return sum(use.total for use in model.memory().values())
    except EngineClosedError:  # Its owner closed it.
        return 0


def _waiting(model: Model | None) -> int:
    stats: Callable[[], Stats] | None = getattr(model, "stats", None)  # Only what generates has it.
    return stats().waiting if stats else 0


def status_of(slot: Slot) -> PooledModel:
    """What it does now."""
    model = slot.model
    until = slot.idle_until
    return PooledModel(
        name=slot.entry.name,
        kind=slot.entry.kind,
        state="loaded" if model else "loading" if slot.future else "unloaded",
        progress=1.0 if model else slot.progress,
        users=slot.users,
        waiting=_waiting(model),
        bytes=bytes_of(model),
        idle_until=until if math.isfinite(until) else None,
    )

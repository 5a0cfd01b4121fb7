"""Opens a model: from its name and the caller's wishes to a running engine.

Arguments are checked first, so that a typing mistake costs no download; then the file is found, its
placement on devices decided, and the native objects are made.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from llmlocal import _core
from llmlocal._budget import choose_budget, choose_context
from llmlocal._devices._placement import PlacementOptions, place
from llmlocal._generation._options import recommended_options
from llmlocal._log import follow_log_level, pass_on_log
from llmlocal._progress import Progress, ProgressCallback, ProgressOption, reporter
from llmlocal._threads import default_threads
from llmlocal.errors import ParameterError

if TYPE_CHECKING:
    from llmlocal._devices._choice import DeviceChoice
    from llmlocal._devices._placement import Placement
    from llmlocal._generation._options import Options

__all__ = ["LoadOptions", "LoadedModel", "ModelFacts", "load"]

_logger = logging.getLogger("llmlocal")
_MOST_STREAMS = 256
_MOST_THREADS = 512
_MOST_BATCH = 65_536


@dataclass(frozen=True)
class LoadOptions:
    """How to load a model; the fields are those of :class:`llmlocal.LLM`."""

    n_ctx: int | None
    n_threads: int | None
    n_batch: int
    n_parallel: int
    kv_type: str
    flash_attention: bool | None
    placement: PlacementOptions
    kv_cache_bytes: int | None
    prefix_cache_bytes: int | None
    use_mmap: bool
    verbose: bool

    def check(self) -> None:
        """Raise a ParameterError for what makes no sense whatever the model is."""
        _check("n_ctx", self.n_ctx, 1, 2**31 - 1)
        _check("n_threads", self.n_threads, 1, _MOST_THREADS)
        _check("n_batch", self.n_batch, 1, _MOST_BATCH)
        _check("n_parallel", self.n_parallel, 1, _MOST_STREAMS)
        _check("kv_cache_bytes", self.kv_cache_bytes, 0, 2**63 - 1)
        _check("prefix_cache_bytes", self.prefix_cache_bytes, 0, 2**63 - 1)
        _check_type("kv_type", self.kv_type, str)
        _check_type("use_mmap", self.use_mmap, bool)
        if self.flash_attention is not None:
            _check_type("flash_attention", self.flash_attention, bool)


@dataclass(frozen=True)
class ModelFacts:
    """What can be asked of a model also after it was closed."""

    path: str
    metadata: Mapping[str, str]
    defaults: Options
    choice: DeviceChoice
    offloaded_layers: int
    offloadable_layers: int
    n_ctx: int
    n_threads: int
    bos_token: str
    eos_token: str
    add_bos: bool


@dataclass(frozen=True)
class LoadedModel:
    """The native objects of a model, which hold its memory, and the facts about it."""

    model: _core.Model
    tokenizer: _core.Tokenizer
    engine: _core.Engine
    facts: ModelFacts


def load(
    name: str | os.PathLike[str],
    options: LoadOptions,
    *,
    model_path: str | os.PathLike[str] | None,
    allow_download: bool,
    progress: ProgressOption,
) -> LoadedModel:
    """Find, fetch if need be, and load a model; the errors are those of :class:`llmlocal.LLM`."""
    from llmlocal import models

    options.check()
    if not isinstance(name, (str, os.PathLike)):
        raise ParameterError(f"model must be a name or a path, got {name!r:.60}")
    path = models.resolve(
        name, model_path=model_path, allow_download=allow_download, progress=progress
    )
    placement = place(
        path,
        options.placement,
        n_ctx=options.n_ctx,
        n_batch=options.n_batch,
        kv_type=options.kv_type,
    )
    follow_log_level(verbose=options.verbose)
    try:
        with reporter(progress, path.name) as report:
            model = _load_weights(path, options, placement, report)
        return _start_engine(path, model, options, placement)
    finally:
        pass_on_log()


def _load_weights(
    path: Path, options: LoadOptions, placement: Placement, report: ProgressCallback
) -> _core.Model:
    return _core.Model.load(
        str(path),
        devices=[each.name for each in placement.choice.offload],
        gpu_layers=placement.layers,
        split_mode=options.placement.split_mode,
        tensor_split=placement.counts,
        placements=placement.tensors,
        use_mmap=options.use_mmap,
        check_tensors=False,
        vocab_only=False,
        on_progress=lambda done: report(Progress("load", int(done * 1000), 1000)) is not False,
    )


def _start_engine(
    path: Path, model: _core.Model, options: LoadOptions, placement: Placement
) -> LoadedModel:
    tokenizer = _core.Tokenizer(model)
    metadata = MappingProxyType(model.metadata)
    n_ctx = choose_context(options.n_ctx, model.training_context)
    if n_ctx > model.training_context > 0:
        _logger.warning(
            "n_ctx=%d is more than the %d tokens that %s was trained for: longer texts may make no"
            " sense to it",
            n_ctx,
            model.training_context,
            path.name,
        )
    n_threads = default_threads() if options.n_threads is None else options.n_threads
    limit = options.kv_cache_bytes
    budget = choose_budget(
        _core.free_memory(),
        placement.context_limit if limit is None else limit,
        options.prefix_cache_bytes,
    )
    engine = _core.Engine(
        model,
        tokenizer,
        context_length=n_ctx,
        batch=options.n_batch,
        threads=n_threads,
        kv_type=options.kv_type,
        offload=placement.layers > 0,
        flash_attention=options.flash_attention,
        max_streams=options.n_parallel,
        kv_bytes=budget.kv_bytes,
        store_bytes=budget.prefix_bytes,
    )
    facts = ModelFacts(
        path=str(path),
        metadata=metadata,
        defaults=recommended_options(metadata),
        choice=placement.choice,
        offloaded_layers=model.offloaded_layers,
        offloadable_layers=model.offloadable_layers,
        n_ctx=n_ctx,
        n_threads=n_threads,
        bos_token=tokenizer.token_text(tokenizer.bos),
        eos_token=tokenizer.token_text(tokenizer.eos),
        add_bos=tokenizer.adds_bos,
    )
    return LoadedModel(model, tokenizer, engine, facts)


def _check(name: str, value: object, least: int, most: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ParameterError(f"{name} must be a whole number, {least} to {most}; got {value!r}")


def _check_type(name: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise ParameterError(f"{name} must be a {kind.__name__}, got {value!r:.60}")

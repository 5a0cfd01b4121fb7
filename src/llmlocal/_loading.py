"""Loads a model's weights: from a name and the caller's wishes to a native model on its devices.

Nothing is started here that runs on the weights.  Arguments are checked first, so that a typing
mistake costs no download; then the file is found, and it is decided which devices take it.
"""

from __future__ import annotations

import atexit
import os
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmlocal import _core
from llmlocal._checks import check_bool, check_path
from llmlocal._devices._placement import PlacementOptions, place
from llmlocal._log import follow_log_level, pass_on_log
from llmlocal._progress import Progress, ProgressCallback, ProgressOption, reporter
from llmlocal._quote import quote
from llmlocal.errors import ModelLoadError, ParameterError

if TYPE_CHECKING:
    from llmlocal._devices._placement import Placement

__all__ = ["LoadOptions", "Loaded", "load"]


@dataclass(frozen=True)
class LoadOptions:
    """Which weights to load, and how; the fields are the arguments of :class:`llmlocal.LLM`."""

    name: str | os.PathLike[str]
    model_path: str | os.PathLike[str] | None
    allow_download: bool
    placement: PlacementOptions
    use_mmap: bool
    progress: ProgressOption
    verbose: bool

    def check(self) -> None:
        """Raise a ParameterError for what makes no sense whatever the model is."""
        if not isinstance(self.name, (str, os.PathLike)):
            raise ParameterError(f"model must be a name or a path, got {quote(self.name)}")
        check_path("model_path", self.model_path)
        check_bool("allow_download", self.allow_download)
        check_bool("use_mmap", self.use_mmap)
        check_bool("verbose", self.verbose)


@dataclass(frozen=True)
class Loaded:
    """Weights in memory: the file they come from, and the devices they are on."""

    path: Path
    model: _core.Model
    placement: Placement


# At exit, models are closed by weakref's own hook, which this makes it register.  What is
# registered after that runs before: by then, threads know that the end has begun.
weakref.finalize(Loaded, lambda: None)
atexit.register(_core.leave)


def load(options: LoadOptions, *, n_ctx: int | None, n_batch: int, kv_type: str) -> Loaded:
    """Find a model, fetch it if need be, and load its weights.

    Args:
        options: Which one, and how.
        n_ctx: Tokens of the context that has to fit beside the weights; None = the default.
        n_batch: Tokens of a batch that has to.
        kv_type: Type of the numbers in its KV cache.

    Raises:
        LLMLocalError: Those of :class:`llmlocal.LLM`.
    """
    from llmlocal import models

    options.check()
    path = models.resolve(
        options.name,
        model_path=options.model_path,
        allow_download=options.allow_download,
        progress=options.progress,
    )
    _require_no_other(path)
    placement = place(path, options.placement, n_ctx=n_ctx, n_batch=n_batch, kv_type=kv_type)
    follow_log_level(verbose=options.verbose)
    try:
        with reporter(options.progress, path.name) as report:
            return Loaded(path, _load_weights(path, options, placement, report), placement)
    finally:
        pass_on_log()


def _require_no_other(path: Path) -> None:
    """Raise a ModelLoadError for a file of a kind that people take for a model."""
    from llmlocal.models._gguf._mistaken import BEGINNING_BYTES, what_else

    try:
        with path.open("rb") as file:
            other = what_else(file.read(BEGINNING_BYTES))
    except OSError:
        return  # The load says why.
    if other is not None:
        raise ModelLoadError(f"{path} is not a GGUF model: {other}")


def _load_weights(
    path: Path, options: LoadOptions, placement: Placement, report: ProgressCallback
) -> _core.Model:
    return _core.Model.load(
        path,
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

"""A model's weights alone: loading them starts nothing that runs on them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmlocal import EngineClosedError, LoadCancelledError, ParameterError, _core
from llmlocal._devices._placement import PlacementOptions
from llmlocal._loading import LoadOptions, load
from llmlocal._weights import LoadedModel

from ..conftest import TinyPath
from ..tiny_models import llama


def options(name: Any, **others: Any) -> LoadOptions:
    defaults = {
        "name": name,
        "model_path": None,
        "allow_download": False,
        "placement": PlacementOptions("cpu"),
        "use_mmap": True,
        "progress": False,
        "verbose": False,
    }
    return LoadOptions(**{**defaults, **others})


def weights(path: Path) -> LoadedModel:
    return LoadedModel(load(options(path), n_ctx=None, n_batch=512, kv_type="f16"))


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoadedModel:
    """Weights from a file of their own, that were loaded where no engine can be made."""

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("an engine was made")

    monkeypatch.setattr(_core, "Engine", fail)
    before = threading.active_count()
    loaded = weights(llama().write(tmp_path / "alone.gguf"))
    assert threading.active_count() == before
    return loaded


def test_weights_have_text_facts_and_memory(alone: LoadedModel) -> None:
    ids = alone.tokenize("hello")
    assert alone.detokenize(ids).strip() == "hello"
    assert alone.count_tokens("hello") == len(ids)
    assert alone.path.name == "alone.gguf"
    assert alone.metadata["general.architecture"] == "llama"
    assert (alone.device, alone.backend, alone.offloaded_layers) == ("CPU", "cpu", 0)
    memory = alone.memory()["CPU"]
    assert memory.weights > 0
    assert (memory.context, memory.prefixes) == (0, 0)


@pytest.mark.parametrize(
    "use",
    [lambda m: m.tokenize("hello"), lambda m: m.detokenize([300]), lambda m: m.memory()],
)
def test_closed_weights_say_so(use: Callable[[LoadedModel], object], alone: LoadedModel) -> None:
    with alone as entered:
        assert entered is alone
        assert alone.device == "CPU"
    alone.close()
    assert alone.closed
    assert alone.metadata["general.architecture"] == "llama"
    with pytest.raises(EngineClosedError, match="the model was closed"):
        use(alone)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_closed_weights_are_freed(alone: LoadedModel) -> None:
    def is_mapped() -> bool:
        return str(alone.path) in Path("/proc/self/maps").read_text()

    assert is_mapped()
    alone.close()
    assert not is_mapped()


def test_what_is_asked_for_is_checked_first() -> None:
    for wrong in (options(3), options("no-such-model", use_mmap=1)):
        with pytest.raises(ParameterError):
            load(wrong, n_ctx=None, n_batch=512, kv_type="f16")


def test_a_load_can_be_cancelled(tiny_path: TinyPath) -> None:
    stopped = options(tiny_path("llama"), progress=lambda _: False)
    with pytest.raises(LoadCancelledError):
        load(stopped, n_ctx=None, n_batch=512, kv_type="f16")

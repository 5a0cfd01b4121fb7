"""Tiny models for every test that wants a real one; no download, ready in milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from llmlocal import LLM

from .tiny_models import MODELS

# What is slow is the machine, not the test.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--schemas", type=int, default=60, help="random schemas that answers are held to"
    )


TinyPath = Callable[[str], Path]
OpenTiny = Callable[..., LLM]


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> TinyPath:
    """The file of a tiny model by its name in ``tiny_models.MODELS``, written when first asked for."""
    folder = tmp_path_factory.mktemp("tiny-models")

    def find(name: str) -> Path:
        path = folder / f"tiny-{name}.gguf"
        return path if path.exists() else MODELS[name]().write(path)

    return find


@pytest.fixture
def open_tiny(tiny_path: TinyPath) -> Iterator[OpenTiny]:
    """Opens tiny models, by name or from a file, with few threads; closes them after the test."""
    with ExitStack() as stack:

        def open_model(model: str | Path = "llama", **options: Any) -> LLM:
            path = model if isinstance(model, Path) else tiny_path(model)
            defaults: dict[str, Any] = {
                "device": "cpu",
                "n_ctx": 512,
                "n_threads": 1,
                "progress": False,
            }
            return stack.enter_context(LLM(path, **{**defaults, **options}))

        yield open_model


@pytest.fixture
def tiny_llm(open_tiny: OpenTiny) -> LLM:
    """A fresh tiny llama, open until the test ends."""
    return open_tiny()

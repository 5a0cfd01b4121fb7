"""Names as people paste them, names that no model has, and how long it takes to say so."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from llmlocal import models
from llmlocal._generation._options import check_names
from llmlocal.errors import LLMLocalError, ModelNotFoundError, ParameterError
from llmlocal.models._catalog._lists import load_cards, suggestions
from llmlocal.models._names._pasted import right_form
from llmlocal.models._names._reference import HubFile, HubModel, Reference, parse_reference

from .gguf_bytes import small_model
from .hub import Hub

MODEL = small_model(20_000)


@pytest.mark.parametrize(
    ("pasted", "right"),
    [
        ("hf.co/o/r:Q4_0", "hf:o/r:Q4_0"),
        ("huggingface.co/o/r", "hf:o/r"),
        ("https://huggingface.co/o/r/", "hf:o/r"),
        ("HF.co/o/r:Q4_0", "hf:o/r:Q4_0"),
        ("o/r:Q4_0", "hf:o/r:Q4_0"),
        ("o/r", "hf:o/r"),
        ("o/r/dir/m.gguf", "hf:o/r/dir/m.gguf"),
        ("ollama run hf.co/o/r:Q4_0", "hf:o/r:Q4_0"),
        ("ollama run llama3.2:1b", "llama3.2:1b"),
        ("ollama pull  smollm2", "smollm2"),
        ("llmlocal run hf:o/r", "hf:o/r"),
        ("smollm2", None),
        ("llama3.2:1b", None),
        ("a/b/c", None),
        ("a" * 1_000_000, None),
        ("a/" * 500_000, None),
    ],
    ids=lambda value: str(value)[:30],
)
def test_each_form_has_a_right_one(pasted: str, right: str | None) -> None:
    assert right_form(pasted) == right


@pytest.mark.parametrize("name", ["hf.co/o/r:Q4_0", "o/r:Q4_0", "ollama run hf.co/o/r:Q4_0"])
def test_a_pasted_name_is_answered_with_the_right_form(name: str) -> None:
    with pytest.raises(ModelNotFoundError, match=r"did you mean hf:o/r:Q4_0\?"):
        models.resolve(name)


def test_a_command_of_another_tool_is_answered_with_names_of_the_catalog() -> None:
    with pytest.raises(ModelNotFoundError, match=r"did you mean llama-3\.2-1b"):
        models.resolve("ollama run llama3.2:1b")


def test_the_page_of_a_repository_is_answered_with_its_name() -> None:
    with pytest.raises(ParameterError, match=r"for a repository write hf:o/r$"):
        models.resolve("https://huggingface.co/o/r")


# --- Revisions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("hf:o/r@refs/pr/1", HubModel("o/r", None, "refs/pr/1")),
        ("hf:o/r@refs/pr/1:Q4_0", HubModel("o/r", "Q4_0", "refs/pr/1")),
        ("hf:o/r@refs%2Fpr%2F1:Q4_0", HubModel("o/r", "Q4_0", "refs/pr/1")),
        ("hf:o/r@refs/pr/1/dir/m.gguf", HubFile("o/r", "dir/m.gguf", "refs/pr/1")),
        ("hf:o/r@feature%2Fx/m.gguf", HubFile("o/r", "m.gguf", "feature/x")),
        (
            "https://huggingface.co/o/r/resolve/refs%2Fpr%2F1/m.gguf",
            HubFile("o/r", "m.gguf", "refs/pr/1"),
        ),
        (
            "https://huggingface.co/o/r/blob/refs/pr/12/dir/m%201.gguf?download=true",
            HubFile("o/r", "dir/m 1.gguf", "refs/pr/12"),
        ),
        (
            "https://huggingface.co/o/r/blob/feature%2Fx/m.gguf",
            HubFile("o/r", "m.gguf", "feature/x"),
        ),
        ("https://huggingface.co/o/r/blob/main/refs/m.gguf", HubFile("o/r", "refs/m.gguf")),
    ],
)
def test_a_revision_may_have_slashes(name: str, meaning: Reference) -> None:
    assert parse_reference(name) == meaning


def test_its_folder_is_one_folder() -> None:
    file = HubFile("o/r", "m.gguf", "refs/pr/1")

    assert file.relative == "o/r@refs%2Fpr%2F1/m.gguf"
    assert "/resolve/refs%2Fpr%2F1/" in file.url


def test_a_model_of_such_a_revision_is_fetched_once(hub: Hub) -> None:
    hub.add("o/r", "m.gguf", MODEL)

    path = models.pull("hf:o/r@refs/pr/1/m.gguf")
    hub.front.requests.clear()

    assert models.pull("hf:o/r@refs%2Fpr%2F1/m.gguf") == path
    assert models.pull(f"{hub.url}/o/r/blob/refs%2Fpr%2F1/m.gguf") == path
    assert hub.front.requests == []
    assert path in [model.path for model in models.installed()]


# --- What grows faster than its input --------------------------------------------------------------

LONG = 1_000_000


def refused(call: Callable[[], object]) -> str:
    """The error, which comes soon and is short."""
    begin = time.perf_counter()
    with pytest.raises((LLMLocalError, TypeError)) as caught:
        call()
    assert time.perf_counter() - begin < 2
    assert len(str(caught.value)) < 1500
    return str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "a" * LONG,
        "a/" * LONG,
        "hf:" + "a" * LONG,
        "hf:o/" + "r" * LONG,
        "hf:o/r:" + "Q" * LONG,
        "hf:o/r/" + "m" * LONG + ".gguf",
        "hf:o/r@" + "%2F" * LONG,
        "https://host/" + "a" * LONG,
        "https://huggingface.co/" + "a/" * LONG,
        "ollama run " + "a" * LONG,
        "/" + "a" * LONG,
        "~" + "a" * LONG,
        "-" * LONG,
        "\udc80" * 10_000,
    ],
    ids=lambda name: f"{name[:24]}x{len(name)}".encode("ascii", "replace").decode(),
)
def test_a_name_without_end_is_refused_at_once(name: str) -> None:
    refused(lambda: models.resolve(name, allow_download=False))
    refused(lambda: models.inspect(name, allow_download=False))


def test_no_names_are_suggested_for_one_without_end() -> None:
    assert suggestions("llama" * 100_000, load_cards(), ["llama" * 100_000]) == []


def test_an_option_without_end_is_refused_at_once() -> None:
    refused(lambda: check_names({"max_tokens" * 100_000: 1}))


# --- Paths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["a\0b", 5, b"bytes", ["a"]])
def test_a_folder_that_is_no_path_is_refused(folder: str) -> None:
    for call in (
        lambda: models.installed(model_path=folder),
        lambda: models.resolve("smollm2-135m-instruct", model_path=folder, allow_download=False),
        lambda: models.pull("smollm2-135m-instruct", model_path=folder),
        lambda: models.models_folder(folder),
    ):
        with pytest.raises(ParameterError, match=r"model_path must be a path"):
            call()


@pytest.mark.parametrize("name", [5, None, b"bytes", ["a"], "a\0b", Path("a\0b")])
def test_a_name_of_another_type_is_refused(name: str) -> None:
    with pytest.raises(ParameterError, match=r"the name of a model|is not the name of a model"):
        models.resolve(name, allow_download=False)

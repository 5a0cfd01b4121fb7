"""What a model's name means, by its form."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmlocal.errors import ParameterError
from llmlocal.models._names._filenames import (
    choose_file,
    is_later_part,
    part_names,
    quantisations,
    whole_name,
)
from llmlocal.models._names._reference import (
    HubFile,
    HubModel,
    NameReference,
    PathReference,
    Reference,
    UrlReference,
    parse_reference,
)

FORMS: list[tuple[str | Path, Reference]] = [
    (Path("model"), PathReference(Path("model"))),
    ("./model.gguf", PathReference(Path("model.gguf"))),
    ("../model.gguf", PathReference(Path("../model.gguf"))),
    ("/models/model.gguf", PathReference(Path("/models/model.gguf"))),
    ("model", NameReference("model")),
    ("model.gguf", NameReference("model.gguf")),
    ("owner/repo/model.gguf", NameReference("owner/repo/model.gguf")),
    ("llama3.2:1b", NameReference("llama3.2:1b")),
    ("hf:owner/repo", HubModel("owner/repo")),
    ("hf:owner/repo:Q4_K_M", HubModel("owner/repo", "Q4_K_M")),
    ("hf:owner/repo@v1:Q8_0", HubModel("owner/repo", "Q8_0", "v1")),
    ("hf:owner/repo/m.gguf", HubFile("owner/repo", "m.gguf")),
    ("hf:owner/repo/sub/m.gguf", HubFile("owner/repo", "sub/m.gguf")),
    ("hf:owner/repo@v1/m.gguf", HubFile("owner/repo", "m.gguf", "v1")),
    ("https://host/m.gguf", UrlReference("https://host/m.gguf")),
    ("HTTP://host/m.gguf", UrlReference("HTTP://host/m.gguf")),
    ("https://huggingface.co/o/r/resolve/main/m.gguf", HubFile("o/r", "m.gguf")),
    ("https://huggingface.co/o/r/blob/v2/a/m.gguf", HubFile("o/r", "a/m.gguf", "v2")),
    ("https://huggingface.co/m.gguf", UrlReference("https://huggingface.co/m.gguf")),
]


@pytest.mark.parametrize(("name", "meaning"), FORMS, ids=lambda value: str(value)[:40])
def test_each_form_is_understood(name: str | Path, meaning: Reference) -> None:
    assert parse_reference(name) == meaning


def test_the_home_folder_is_known() -> None:
    assert parse_reference("~/m.gguf") == PathReference(Path.home() / "m.gguf")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "  ",
        "a\0b",
        "hf:",
        "hf:owner",
        "hf:owner/repo:",
        "hf:owner/repo/m.bin",
        "hf:owner/repo/../m.gguf",
        "hf:../repo/m.gguf",
        "hf:owner/re po:Q4",
        "hf:owner/repo:Q4/../x",
        "hf:owner/repo/m.gguf:Q4",
        "https://huggingface.co/o/../resolve/main/m.gguf",
    ],
)
def test_a_form_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(
        ParameterError, match=r"not the name|not of the form|not a \.gguf|cannot be"
    ):
        parse_reference(name)


def test_urls_are_made_of_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/")
    file = HubFile("o/r", "dir/m 1.gguf", "v/1")

    assert file.url == "https://mirror.example/o/r/resolve/v%2F1/dir/m%201.gguf"
    assert (
        file.model.listing_url == "https://mirror.example/api/models/o/r/tree/v%2F1?recursive=true"
    )


def test_a_mirror_is_the_hub_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example")

    assert parse_reference("https://mirror.example/o/r/blob/main/m.gguf") == HubFile(
        "o/r", "m.gguf"
    )


def test_each_revision_has_a_folder_of_its_own() -> None:
    assert HubFile("o/r", "m.gguf").relative == "o/r/m.gguf"
    assert HubFile("o/r", "m.gguf", "v1").relative == "o/r@v1/m.gguf"


FILES = [
    "README.md",
    "mmproj-model-f16.gguf",
    "model-Q2_K.gguf",
    "model-Q4_K_M.gguf",
    "model-Q4_K_M-extra.gguf",
    "model-IQ4_XS.gguf",
    "Q8_0/model-Q8_0-00001-of-00002.gguf",
    "Q8_0/model-Q8_0-00002-of-00002.gguf",
]


@pytest.mark.parametrize(
    ("quantisation", "chosen"),
    [
        ("Q4_K_M", "model-Q4_K_M.gguf"),
        ("q4_k_m", "model-Q4_K_M.gguf"),
        ("IQ4_XS", "model-IQ4_XS.gguf"),
        ("Q8_0", "Q8_0/model-Q8_0-00001-of-00002.gguf"),
        ("Q4_K", None),
        ("F16", None),
        (None, "model-Q4_K_M.gguf"),
    ],
)
def test_a_quantisation_chooses_a_file(quantisation: str | None, chosen: str | None) -> None:
    assert choose_file(FILES, quantisation) == chosen


def test_an_only_model_needs_no_quantisation() -> None:
    assert choose_file(["a-IQ2_S.gguf", "mmproj-a.gguf"], None) == "a-IQ2_S.gguf"
    assert choose_file(["a-IQ2_S.gguf", "a-IQ3_S.gguf"], None) is None
    assert choose_file([], None) is None


def test_what_a_repository_offers_is_listed() -> None:
    assert quantisations(FILES) == ["Q2_K", "Q4_K_M", "IQ4_XS", "Q8_0"]


def test_parts_of_a_split_model_belong_together() -> None:
    names = part_names("m-00002-of-00003.gguf")

    assert names == ("m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf")
    assert [is_later_part(name) for name in names] == [False, True, True]
    assert {whole_name(name) for name in names} == {"m"}


@pytest.mark.parametrize(
    "name", ["m.gguf", "m-00004-of-00003.gguf", "m-00000-of-00003.gguf", "m-00001-of-99999.gguf"]
)
def test_what_is_no_part_is_a_model_of_its_own(name: str) -> None:
    assert part_names(name) == (name,)
    assert not is_later_part(name)
    assert whole_name(name) == name.removesuffix(".gguf")

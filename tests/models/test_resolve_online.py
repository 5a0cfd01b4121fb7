"""From a name to a file of the hub or behind a URL: fetched once, and never mistaken."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmlocal import models
from llmlocal.errors import (
    DownloadError,
    ModelNotFoundError,
    ParameterError,
)

from .gguf_bytes import small_model
from .hub import Fault, Hub, Server

MODEL = small_model()
OTHER = small_model(seed=2)


def test_a_file_of_the_hub_is_fetched_once(hub: Hub, home: Path) -> None:
    hub.add("owner/repo", "dir/model.gguf", MODEL)

    paths = [models.resolve("hf:owner/repo/dir/model.gguf", progress=False) for _ in range(3)]

    assert paths == [home / "owner" / "repo" / "dir" / "model.gguf"] * 3
    assert paths[0].read_bytes() == MODEL
    assert len(hub.front.requests) == len(hub.back.requests) == 1


def test_a_quantisation_is_chosen_from_the_hubs_list(hub: Hub, home: Path) -> None:
    hub.page_size = 2
    for name, body in [("README.md", b"x"), ("m-Q2_K.gguf", OTHER), ("m-Q4_K_M.gguf", MODEL)]:
        hub.add("owner/repo", name, body)

    path = models.resolve("hf:owner/repo:q4_k_m", progress=False)
    requests = len(hub.front.requests)
    again = models.resolve("hf:owner/repo:Q4_K_M", progress=False)
    default = models.resolve("hf:owner/repo", progress=False)

    assert path == again == default == home / "owner" / "repo" / "m-Q4_K_M.gguf"
    assert path.read_bytes() == MODEL
    assert len(hub.front.requests) == requests == 3  # Two pages, one file.


def test_a_quantisation_that_is_not_there_lists_those_that_are(hub: Hub) -> None:
    hub.add("owner/repo", "m-Q2_K.gguf", OTHER)
    hub.add("owner/repo", "m-Q8_0.gguf", MODEL)

    with pytest.raises(ModelNotFoundError, match=r"no model in Q4_K_M; it has Q2_K, Q8_0"):
        models.resolve("hf:owner/repo:Q4_K_M", progress=False)
    with pytest.raises(ModelNotFoundError, match="no model in IQ1_S"):
        models.resolve("hf:owner/repo:IQ1_S", progress=False)


def test_a_list_that_leads_to_another_server_is_not_followed(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.page_size = 1
    hub.add("owner/repo", "m-Q2_K.gguf", OTHER)
    hub.add("owner/repo", "m-Q8_0.gguf", MODEL)
    monkeypatch.setattr(type(hub), "url", hub.back.url)

    with pytest.raises(ModelNotFoundError, match=r"it has Q2_K$"):
        models.resolve("hf:owner/repo:Q8_0", progress=False)

    assert hub.back.requests == []


def test_a_wrong_file_name_is_answered_with_what_was_meant(hub: Hub) -> None:
    hub.add("owner/repo", "model-Q4_K_M.gguf", MODEL)

    with pytest.raises(
        ModelNotFoundError, match=r"no file model-Q4_KM\.gguf; did you mean model-Q4_K_M"
    ):
        models.resolve("hf:owner/repo/model-Q4_KM.gguf", progress=False)
    with pytest.raises(ModelNotFoundError, match=r"no file zzz\.gguf; it has model-Q4_K_M\.gguf"):
        models.resolve("hf:owner/repo/zzz.gguf", progress=False)


@pytest.mark.parametrize("name", ["hf:owner/gone/model.gguf", "hf:owner/gone:Q4_K_M"])
def test_a_repository_that_is_not_there_is_said(name: str, hub: Hub) -> None:
    del hub
    with pytest.raises(ModelNotFoundError, match="the hub has no repository owner/gone"):
        models.resolve(name, progress=False)


def test_a_list_of_nonsense_is_an_error(hub: Hub) -> None:
    hub.front.faults.append(Fault(status=200))

    with pytest.raises(DownloadError, match="list of files in owner/repo cannot be read"):
        models.resolve("hf:owner/repo:Q4_K_M", progress=False)


def test_a_split_url_is_one_model(server: Server, home: Path) -> None:
    for n in (1, 2):
        server.files[f"/m-0000{n}-of-00002.gguf"] = small_model(seed=n)

    path = models.pull(f"{server.url}/m-00001-of-00002.gguf?download=true", progress=False)

    assert path == home / "m-00001-of-00002.gguf"
    assert len(server.requests) == 2
    with pytest.raises(ParameterError, match="of one file"):
        models.pull(f"{server.url}/m-00001-of-00002.gguf", size=5, progress=False)


def test_a_url_is_fetched_once(server: Server, home: Path) -> None:
    server.files["/a/model.gguf"] = MODEL

    paths = [models.resolve(f"{server.url}/a/model.gguf?x={n}", progress=False) for n in range(3)]

    assert paths == [home / "model.gguf"] * 3
    assert len(server.requests) == 1


def test_a_file_that_the_catalog_names_wrongly_is_told_of(hub: Hub) -> None:
    """Names and sizes of some files could not be verified when the catalog was written."""
    hub.add("gpustack/bge-m3-GGUF", "bge-m3-f16.gguf", MODEL)
    told = (
        r"gpustack/bge-m3-GGUF has no file bge-m3-FP16\.gguf; did you mean bge-m3-f16\.gguf\? \(the"
        r" catalog's entry for bge-m3 is wrong there; hf:gpustack/bge-m3-GGUF/FILE\.gguf takes"
    )
    with pytest.raises(ModelNotFoundError, match=told):
        models.resolve("bge-m3", progress=False)
    with pytest.raises(ModelNotFoundError, match="the hub has no repository CompendiumLabs"):
        models.resolve("bge-small-en-v1.5", progress=False)


def test_a_file_of_another_url_is_not_taken_for_it(server: Server) -> None:
    server.files |= {"/a/model.gguf": MODEL, "/b/model.gguf": OTHER}
    models.pull(f"{server.url}/a/model.gguf", progress=False)

    with pytest.raises(DownloadError, match=r"was fetched from .*/a/model\.gguf, not from .*/b/"):
        models.pull(f"{server.url}/b/model.gguf", progress=False)


def test_a_url_that_is_not_there_is_an_error(server: Server) -> None:
    with pytest.raises(ModelNotFoundError, match=r"404 Not Found$"):
        models.pull(f"{server.url}/zzzzzzzzzzzz.gguf", progress=False)
    with pytest.raises(ModelNotFoundError, match=r"404 Not Found; did you mean phi-2 .*catalog\?$"):
        models.pull(f"{server.url}/phi-2.Q4_K_S.gguf", progress=False)

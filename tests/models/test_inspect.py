"""What a model is and what it needs, without loading it or, if it is remote, downloading it."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmlocal import models
from llmlocal._progress import Progress
from llmlocal.errors import (
    DownloadCancelledError,
    DownloadError,
    ModelLoadError,
    ModelNotFoundError,
)
from llmlocal.models._http._remote import FIRST_BLOCK_BYTES, RemoteFile

from .conftest import QUICK
from .gguf_bytes import Setting, build, small_model
from .hub import Fault, Hub, Server

SETTINGS: dict[str, Setting] = {
    "general.architecture": "llama",
    "general.name": "Tiny",
    "general.license": "mit",
    "general.file_type": 15,
    "llama.block_count": 2,
    "llama.context_length": 2048,
    "llama.embedding_length": 64,
    "llama.attention.head_count": 4,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.tokens": [f"token number {i} of a long vocabulary" for i in range(60_000)],
    "tokenizer.chat_template": "{{ messages }}",
    "tokenizer.chat_template.tool_use": "{{ tools }}",
}
TENSORS = {"a": ((256, 4), "Q4_K"), "b": ((64,), "F32")}
MODEL = build(SETTINGS, TENSORS) + bytes(8_000_000)


def put(path: Path, body: bytes = MODEL) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


def test_a_file_tells_what_it_is(tmp_path: Path) -> None:
    path = put(tmp_path / "model.gguf")

    info = models.inspect(path)

    assert info.source == str(path)
    assert (info.name, info.architecture, info.licence) == ("Tiny", "llama", "mit")
    assert (info.parameters, info.quantisation) == (256 * 4 + 64, "Q4_K_M")
    assert (info.context_length, info.vocabulary, info.tokenizer) == (2048, 60_000, "gpt2")
    assert info.file_bytes == len(MODEL)
    assert info.chat_template == "{{ messages }}"
    assert info.chat_templates == {"default": "{{ messages }}", "tool_use": "{{ tools }}"}
    assert [tensor.name for tensor in info.tensors] == ["a", "b"]
    assert info.metadata["llama.block_count"] == 2
    assert info.memory().n_ctx == 2048
    assert info.memory(100_000).n_ctx == 100_000


def test_a_file_that_says_little_is_read_too(tmp_path: Path) -> None:
    bare = build({"general.architecture": "x"}, {"a": ((256, 9), "Q8_0"), "b": ((64,), "F32")})

    info = models.inspect(put(tmp_path / "model.gguf", bare))

    assert (info.name, info.licence, info.tokenizer, info.vocabulary) == (None, None, None, None)
    assert info.quantisation == "Q8_0"
    assert info.context_length is None
    assert info.chat_template is None
    assert info.memory().n_ctx == 4096


def test_a_file_of_floats_is_named_so(tmp_path: Path) -> None:
    floats = build({"general.architecture": "x", "general.file_type": 0}, {"b": ((64,), "F16")})

    assert models.inspect(put(tmp_path / "m.gguf", floats)).quantisation == "F32"
    empty = build({"general.architecture": "x", "general.file_type": 999})
    assert models.inspect(put(tmp_path / "n.gguf", empty)).quantisation is None


def test_a_split_model_is_counted_whole(tmp_path: Path) -> None:
    first = build({**SETTINGS, "split.count": 2}, TENSORS)
    second = build({"split.no": 1}, {"c": ((256, 8), "Q4_K")})
    path = put(tmp_path / "m-00001-of-00002.gguf", first)
    put(tmp_path / "m-00002-of-00002.gguf", second)

    info = models.inspect(path)

    assert info.parameters == 256 * 4 + 64 + 256 * 8
    assert info.memory(256).weights == sum(tensor.size_bytes for tensor in info.tensors)
    assert info.file_bytes == len(first) + len(second)


def test_what_is_no_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"m\.gguf is not a GGUF model"):
        models.inspect(put(tmp_path / "m.gguf", b"<html>"))


@pytest.mark.parametrize("fault", [Fault(), Fault(ignore_range=True)], ids=["ranges", "no ranges"])
def test_a_remote_model_is_read_by_its_header_alone(
    fault: Fault, server: Server, tmp_path: Path
) -> None:
    server.files["/model.gguf"] = MODEL
    server.always = fault

    info = models.inspect(f"{server.url}/model.gguf?key=hidden")

    assert info == models.inspect(put(tmp_path / "model.gguf")).__class__(
        **{**vars(models.inspect(tmp_path / "model.gguf")), "source": f"{server.url}/model.gguf"}
    )
    assert info.memory(4096).total == models.inspect(tmp_path / "model.gguf").memory(4096).total
    assert not (tmp_path / "home").exists()
    if not fault.ignore_range:
        assert server.requests[0].headers["range"] == f"bytes=0-{FIRST_BLOCK_BYTES - 1}"
        second = f"bytes={FIRST_BLOCK_BYTES}-{3 * FIRST_BLOCK_BYTES - 1}"
        assert server.requests[1].headers["range"] == second
        assert server.bytes_sent < 4 * FIRST_BLOCK_BYTES + len(MODEL) - 8_000_000


def test_a_model_of_the_hub_is_read_by_its_name(hub: Hub) -> None:
    hub.add("owner/repo", "m-Q4_K_M.gguf", MODEL)

    info = models.inspect("hf:owner/repo:Q4_K_M")

    assert info.name == "Tiny"
    assert info.file_bytes == len(MODEL)
    assert info.source == f"{hub.url}/owner/repo/resolve/main/m-Q4_K_M.gguf"


def test_a_remote_split_model_is_counted_whole(hub: Hub) -> None:
    bodies = [build(SETTINGS, TENSORS), build({"split.no": 1}, {"c": ((256, 8), "Q4_K")})]
    for number, body in enumerate(bodies, 1):
        hub.add("owner/repo", f"m-Q4_0-0000{number}-of-00002.gguf", body)

    info = models.inspect("hf:owner/repo:Q4_0")

    assert info.parameters == 256 * 4 + 64 + 256 * 8
    assert info.file_bytes == sum(map(len, bodies))


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=503, headers={"Retry-After": "0"}),
        Fault(cut_after=0),
        Fault(cut_after=0, drop_length=True),
        Fault(shift_range=5),
    ],
    ids=["unavailable", "cut", "empty", "another range"],
)
def test_a_remote_header_survives_faults(fault: Fault, server: Server) -> None:
    server.files["/model.gguf"] = MODEL
    server.faults.append(fault)

    with RemoteFile(f"{server.url}/model.gguf", lambda *_: None, policy=QUICK) as file:
        assert MODEL.startswith(file.read(1))

    assert len(server.requests) == 2


def test_a_remote_file_is_read_to_its_end(server: Server) -> None:
    body = small_model(FIRST_BLOCK_BYTES + 5000)
    server.files["/model.gguf"] = body

    with RemoteFile(f"{server.url}/model.gguf", lambda *_: None, policy=QUICK) as file:
        assert file.read(1) + file.read(1) == body
        assert file.read(1) == b""
        assert file.size == len(body)


def test_a_remote_file_of_unknown_length_is_read_to_its_end(server: Server) -> None:
    body = small_model(FIRST_BLOCK_BYTES)[:FIRST_BLOCK_BYTES]
    server.files["/model.gguf"] = body

    with RemoteFile(f"{server.url}/model.gguf", lambda *_: None, policy=QUICK) as file:
        assert file.read(1) == body
        file.size = None
        assert file.read(1) == b""


def test_a_remote_file_that_is_cut_short_is_an_error(server: Server) -> None:
    server.files["/model.gguf"] = MODEL[:1_200_000]

    with pytest.raises(ModelLoadError, match="ends in the middle of its header"):
        models.inspect(f"{server.url}/model.gguf")


def test_a_remote_file_that_is_empty_is_an_error(server: Server) -> None:
    server.files["/model.gguf"] = b""

    with (
        RemoteFile(f"{server.url}/model.gguf", lambda *_: None, policy=QUICK) as file,
        pytest.raises(DownloadError, match=r"no such part|ended before"),
    ):
        file.read(1)


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [(404, ModelNotFoundError, "404 Not Found"), (403, DownloadError, "set LLMLOCAL_TOKEN")],
)
def test_a_remote_model_that_is_refused_is_an_error(
    status: int, error: type[Exception], reason: str, server: Server
) -> None:
    server.always = Fault(status=status)

    with pytest.raises(error, match=reason):
        models.inspect(f"{server.url}/model.gguf")


def test_reading_a_remote_header_can_be_cancelled(server: Server) -> None:
    server.files["/model.gguf"] = MODEL
    server.always = Fault(stall_after=100)

    def report(_: Progress) -> bool:
        return False

    with pytest.raises(DownloadCancelledError, match="cancelled"):
        models.inspect(f"{server.url}/model.gguf", progress=report)


def test_without_the_network_only_the_disk_is_asked(server: Server) -> None:
    with pytest.raises(ModelNotFoundError, match="not on disk, and allow_download is False"):
        models.inspect(f"{server.url}/model.gguf", allow_download=False)

    assert server.requests == []


def test_a_model_that_comes_in_packages_has_no_remote_header() -> None:
    with pytest.raises(ModelNotFoundError, match="comes in packages"):
        models.inspect("smollm2-135m-instruct")

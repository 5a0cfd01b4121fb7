"""Downloads from servers that misbehave: what arrives is right, or it is not there."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field

import pytest

from llmlocal.errors import ChecksumError, DownloadCancelledError, DownloadError
from llmlocal.models._catalog._card import Checks
from llmlocal.models._disk._files import file_size
from llmlocal.models._download._fetch import Order, fetch
from llmlocal.models._http._retry import Policy
from llmlocal.models._names._places import Slot

from .conftest import HASTY, QUICK, Fetcher
from .gguf_bytes import small_model
from .hub import Fault, Hub, Server, digest

MODEL = small_model()
OTHER = small_model(seed=2)
HALF = len(MODEL) // 2
PINNED = Checks(len(MODEL), digest(MODEL))


@dataclass(frozen=True)
class Case:
    """Faults that a download must survive.

    Attributes:
        name: The row's name in the fault table.
        faults: One for each request.
        checks: What was promised of the file.
        requests: How many requests it takes.
        surplus: Bytes sent beyond the file's own, at most.
        policy: When to give up.
    """

    name: str
    faults: list[Fault]
    checks: Checks = field(default_factory=Checks)
    requests: int = 2
    surplus: int = 0
    policy: Policy = QUICK


CUT = Fault(cut_after=HALF)
SURVIVED = [
    Case("no fault", [], requests=1),
    Case("cut in the middle", [CUT]),
    Case("cut in the middle, digest known", [CUT], PINNED),
    Case("cut at once", [Fault(cut_after=0)]),
    Case("cut one byte before the end", [Fault(cut_after=len(MODEL) - 1)]),
    Case("cut many times", [Fault(cut_after=1000)] * 20, requests=21),
    Case("no range support", [CUT, Fault(ignore_range=True)], surplus=HALF),
    Case("no range support, cut again", [CUT, Fault(ignore_range=True, cut_after=HALF)], requests=3, surplus=HALF),
    Case("another range than asked for", [CUT, Fault(shift_range=7)], requests=3, surplus=2 * HALF - 7),
    Case("rate limited, Retry-After", [Fault(status=429, headers={"Retry-After": "0"})]),
    Case("unavailable, Retry-After date", [Fault(status=503, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})]),
    Case("server error", [Fault(status=500)] * 3, requests=4),
    Case("server error in between", [CUT, Fault(status=502)], requests=3),
    Case("request timeout", [Fault(status=408)]),
    Case("stalled in the middle", [Fault(stall_after=HALF)], policy=HASTY),
    Case("stalled at once", [Fault(stall_after=0)], policy=HASTY),
    Case("compressed", [Fault(encode=True)], requests=1),
    Case("compressed, cut", [Fault(encode=True, cut_after=200)]),
    Case("compressed when resumed", [CUT, Fault(encode=True)], PINNED, requests=3),
    Case("compressed, says it, is not", [Fault(headers={"Content-Encoding": "gzip"})]),
    Case("no length, no bytes", [Fault(drop_length=True, cut_after=0)], PINNED),
    Case("no length", [Fault(drop_length=True)], requests=1),
]  # fmt: skip


@pytest.mark.parametrize("case", SURVIVED, ids=lambda case: case.name)
def test_survives(case: Case, server: Server, fetch_file: Fetcher, slot: Slot) -> None:
    server.files["/model.gguf"] = MODEL
    server.faults.extend(case.faults)

    path = fetch_file(f"{server.url}/model.gguf", checks=case.checks, policy=case.policy)

    assert path == slot.target
    assert path.read_bytes() == MODEL
    assert len(server.requests) == case.requests
    assert not slot.part.exists()
    assert not slot.origin.exists()
    assert not slot.bad.exists()


@pytest.mark.parametrize(
    "case", [case for case in SURVIVED if "compressed" not in case.name], ids=lambda case: case.name
)
def test_sends_no_byte_twice_that_could_be_kept(
    case: Case, server: Server, fetch_file: Fetcher
) -> None:
    server.files["/model.gguf"] = MODEL
    server.faults.extend(case.faults)

    fetch_file(f"{server.url}/model.gguf", checks=case.checks, policy=case.policy)

    # What is refused by its head may be broken off before all of it was sent.
    assert len(MODEL) <= server.bytes_sent <= len(MODEL) + case.surplus


@dataclass(frozen=True)
class Refusal:
    """Faults that no download survives, and what is left."""

    name: str
    faults: list[Fault]
    match: str
    error: type[DownloadError] = DownloadError
    checks: Checks = field(default_factory=Checks)
    kept: int = 0
    is_set_aside: bool = False


WRONG = bytes(len(MODEL))
REFUSED = [
    Refusal("denied without a token", [Fault(status=401)], "401 Unauthorized.*set LLMLOCAL_TOKEN"),
    Refusal("forbidden", [Fault(status=403)], "403 Forbidden.*set LLMLOCAL_TOKEN"),
    Refusal("not found", [Fault(status=404)], "404 Not Found"),
    Refusal("an odd status", [Fault(status=299)], "HTTP 299"),
    Refusal("errors without end", [Fault(status=503)] * 9, "503 .*4 times in a row"),
    Refusal("cut without progress", [Fault(cut_after=0)] * 9, "4 times in a row"),
    Refusal("cut, then errors", [CUT] + [Fault(status=500)] * 9, "kept for the next try", kept=HALF),
    Refusal("Retry-After an hour", [Fault(status=429, headers={"Retry-After": "3600"})], "wait 3600 seconds"),
    Refusal("wrong size", [Fault(body=MODEL[:-1])], "expected file size of .*has", ChecksumError, PINNED),
    Refusal("wrong size, length unknown", [Fault(body=MODEL[:-9], drop_length=True)] * 9, "ended at", DownloadError, PINNED, kept=len(MODEL) - 9),
    Refusal("too long, length unknown", [Fault(body=MODEL + b"x", drop_length=True)], "sends more than", ChecksumError, PINNED),
    Refusal("wrong SHA-256", [Fault(body=WRONG)], "expected SHA-256 hash of .*set aside", ChecksumError, PINNED, is_set_aside=True),
    Refusal("wrong MD5", [Fault(body=WRONG)], "expected MD5 hash of", ChecksumError, Checks(md5=hashlib.md5(MODEL).hexdigest()), is_set_aside=True),
    Refusal("wrong bytes twice", [Fault(body=WRONG, cut_after=HALF), Fault(body=WRONG), Fault(body=WRONG)], "expected SHA-256", ChecksumError, PINNED, is_set_aside=True),
    Refusal("pieces that never fit", 2 * [Fault(cut_after=HALF), Fault(body=WRONG)], "expected SHA-256", ChecksumError, PINNED, is_set_aside=True),
    Refusal("a page instead of a model", [Fault(body=b"<html>log in</html>")], "a web page came instead"),
    Refusal("a text instead of a model", [Fault(body=b"log in")], "not a complete GGUF model", ChecksumError, is_set_aside=True),
    Refusal("an incomplete model", [Fault(body=MODEL[:-64])], "incomplete", ChecksumError, is_set_aside=True),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_refuses(case: Refusal, server: Server, fetch_file: Fetcher, slot: Slot) -> None:
    server.files["/model.gguf"] = MODEL
    server.faults.extend(case.faults)

    with pytest.raises(case.error, match=f"(?s){case.match}"):
        fetch_file(f"{server.url}/model.gguf", checks=case.checks)

    assert not slot.target.exists()
    assert slot.bad.exists() == case.is_set_aside
    assert (slot.part.stat().st_size if slot.part.exists() else 0) == case.kept


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_a_later_try_completes_what_was_refused(
    case: Refusal, server: Server, fetch_file: Fetcher
) -> None:
    server.files["/model.gguf"] = MODEL
    server.faults.extend(case.faults)
    with pytest.raises(DownloadError, match=f"(?s){case.match}"):
        fetch_file(f"{server.url}/model.gguf", checks=case.checks)
    server.faults.clear()
    server.count_anew()

    path = fetch_file(f"{server.url}/model.gguf", checks=case.checks)

    assert path.read_bytes() == MODEL
    assert server.bytes_sent == len(MODEL) - case.kept


def test_no_encoding_is_asked_for(server: Server, fetch_file: Fetcher) -> None:
    server.files["/model.gguf"] = MODEL

    fetch_file(f"{server.url}/model.gguf")

    headers = server.requests[0].headers
    assert headers["accept-encoding"] == "identity"
    assert headers["user-agent"].startswith("llmlocal/")


def test_when_all_sources_fail_each_reason_is_given(server: Server, fetch_file: Fetcher) -> None:
    server.faults.extend([Fault(status=404), Fault(status=403)])

    with pytest.raises(DownloadError, match=r"\(1\).*404.*\(2\).*403"):
        fetch_file(f"{server.url}/a.gguf", f"{server.url}/b.gguf", checks=PINNED)


def test_without_a_source_nothing_can_be_fetched(fetch_file: Fetcher) -> None:
    with pytest.raises(DownloadError, match="no source is known for"):
        fetch_file()


def test_a_server_that_is_not_there_is_given_up_soon(
    hub: Hub, fetch_file: Fetcher, slot: Slot
) -> None:
    url = hub.back.url
    hub.back.close()

    with pytest.raises(DownloadError, match=r"refused.*2 times in a row"):
        fetch_file(f"{url}/model.gguf")

    assert not slot.part.exists()


@pytest.mark.parametrize("url", ["https:///model.gguf", "http://:80/model.gguf"])
def test_a_url_without_a_server_is_an_error_at_once(url: str, fetch_file: Fetcher) -> None:
    with pytest.raises(DownloadError, match="missing") as failure:
        fetch_file(url)

    assert "in a row" not in str(failure.value)


def test_progress_is_reported_and_ends_at_the_total(server: Server, fetch_file: Fetcher) -> None:
    server.files["/model.gguf"] = MODEL
    seen: list[tuple[str, int, int | None]] = []

    fetch_file(f"{server.url}/model.gguf", report=lambda *report: seen.append(report))

    assert seen[-1] == ("download", len(MODEL), len(MODEL))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


@pytest.mark.parametrize("stall_after", [HALF, 0], ids=["in the middle", "before the first byte"])
def test_cancel_is_heard_while_the_server_is_silent(
    stall_after: int, server: Server, fetch_file: Fetcher, slot: Slot
) -> None:
    server.files["/model.gguf"] = MODEL
    server.always = Fault(stall_after=stall_after)
    patient = Policy(stall_timeout_s=15.0, tick_s=0.01)
    calls = 0

    def report(_stage: str, done: int, _total: int | None) -> None:
        nonlocal calls
        calls += done == stall_after
        if calls == 3:
            message = "stop"
            raise DownloadCancelledError(message)

    start = time.monotonic()
    with pytest.raises(DownloadCancelledError, match="stop"):
        fetch_file(f"{server.url}/model.gguf", report=report, policy=patient)

    assert time.monotonic() - start < patient.stall_timeout_s / 2
    assert file_size(slot.part) == (stall_after or None)
    assert len(server.requests) == 1


def test_cancel_is_heard_while_waiting_to_try_again(server: Server, fetch_file: Fetcher) -> None:
    server.files["/model.gguf"] = MODEL
    server.always = Fault(status=503, headers={"Retry-After": "1"})
    calls = 0

    def report(_stage: str, _done: int, _total: int | None) -> None:
        nonlocal calls
        calls += 1
        if server.requests and calls > 5:
            message = "stop"
            raise DownloadCancelledError(message)

    with pytest.raises(DownloadCancelledError, match="stop"):
        fetch_file(f"{server.url}/model.gguf", report=report)

    assert len(server.requests) == 1


def test_the_hub_tells_size_and_digest(hub: Hub, fetch_file: Fetcher) -> None:
    url = hub.add("owner/repo", "model.gguf", b"not GGUF at all, but as promised")

    path = fetch_file(url)

    assert path.read_bytes() == b"not GGUF at all, but as promised"


def test_wrong_bytes_behind_the_hub_are_noticed(hub: Hub, fetch_file: Fetcher, slot: Slot) -> None:
    url = hub.add("owner/repo", "model.gguf", MODEL)
    hub.back.faults.append(Fault(body=WRONG))

    with pytest.raises(ChecksumError, match="expected SHA-256"):
        fetch_file(url)

    assert slot.bad.read_bytes() == WRONG
    assert not slot.target.exists()


def test_the_hub_with_another_file_than_promised_is_refused_at_once(
    hub: Hub, fetch_file: Fetcher
) -> None:
    url = hub.add("owner/repo", "model.gguf", MODEL)

    with pytest.raises(ChecksumError, match="expected SHA-256"):
        fetch_file(url, checks=Checks(len(MODEL), digest(OTHER)))

    assert hub.back.bytes_sent <= len(MODEL)


def test_a_hub_file_replaced_between_tries_is_fetched_anew(hub: Hub, fetch_file: Fetcher) -> None:
    url = hub.add("owner/repo", "model.gguf", MODEL)
    hub.back.faults.extend([CUT] + [Fault(status=500)] * 9)
    with pytest.raises(DownloadError, match="500"):
        fetch_file(url)
    hub.back.faults.clear()
    hub.back.requests.clear()
    hub.add("owner/repo", "model.gguf", OTHER)

    path = fetch_file(url)

    assert path.read_bytes() == OTHER
    assert [request.headers.get("range") for request in hub.back.requests] == [None]


def test_two_files_for_one_slot_are_fetched_once(server: Server, fetch_file: Fetcher) -> None:
    server.files["/model.gguf"] = MODEL
    fetch_file(f"{server.url}/model.gguf")

    fetch_file(f"{server.url}/model.gguf")

    assert len(server.requests) == 1


def test_a_slot_in_a_folder_below_is_made(server: Server, slot: Slot) -> None:
    from llmlocal.models._catalog._card import HttpsSource

    server.files["/model.gguf"] = MODEL
    deep = Slot(slot.root, "owner/repo/model.gguf")
    order = Order(deep, [HttpsSource(f"{server.url}/model.gguf")], Checks(), policy=QUICK)

    path = fetch(order, lambda *_: None, lambda: False)

    assert path == slot.root / "owner" / "repo" / "model.gguf"

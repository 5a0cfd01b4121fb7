"""Downloads that are tried again: what is there is kept if it is of the same file, and only then."""

from __future__ import annotations

import pytest

from llmlocal.errors import DownloadCancelledError, DownloadError
from llmlocal.models._catalog._card import Checks
from llmlocal.models._names._places import Slot

from .conftest import Fetcher, cancel_at
from .gguf_bytes import small_model
from .hub import Fault, Server, digest

MODEL = small_model()
OTHER = small_model(seed=2)
HALF = len(MODEL) // 2
PINNED = Checks(len(MODEL), digest(MODEL))
CUT = Fault(cut_after=HALF)


def test_a_file_that_changed_between_tries_is_fetched_anew(
    server: Server, fetch_file: Fetcher
) -> None:
    server.files["/model.gguf"] = MODEL
    server.faults.extend([CUT] + [Fault(status=500)] * 9)
    with pytest.raises(DownloadError, match="500"):
        fetch_file(f"{server.url}/model.gguf")
    server.faults.clear()
    server.files["/model.gguf"] = OTHER

    path = fetch_file(f"{server.url}/model.gguf")

    assert path.read_bytes() == OTHER
    assert server.requests[-1].headers["if-range"] == f'"{digest(MODEL)[:32]}"'


def test_a_file_that_changed_under_the_same_etag_is_fetched_anew(
    server: Server, fetch_file: Fetcher
) -> None:
    server.etag = lambda _: '"same"'
    server.files["/model.gguf"] = MODEL
    server.faults.append(CUT)
    server.faults.append(Fault(body=OTHER + b"longer"))

    path = fetch_file(f"{server.url}/model.gguf")

    assert path.read_bytes() == MODEL
    assert len(server.requests) == 3


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_validator_nothing_is_joined(
    etag: str | None, server: Server, fetch_file: Fetcher
) -> None:
    server.etag = lambda _: etag
    server.files["/model.gguf"] = MODEL
    server.faults.append(CUT)

    path = fetch_file(f"{server.url}/model.gguf")

    assert path.read_bytes() == MODEL
    assert "range" not in server.requests[1].headers


def test_a_date_serves_as_validator(server: Server, fetch_file: Fetcher) -> None:
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    server.etag = lambda _: None
    server.files["/model.gguf"] = MODEL
    server.faults.append(Fault(cut_after=HALF, headers={"Last-Modified": date}))

    path = fetch_file(f"{server.url}/model.gguf")

    assert path.read_bytes() == MODEL
    assert server.requests[1].headers["if-range"] == date


def test_pieces_that_do_not_fit_together_are_fetched_anew(
    server: Server, fetch_file: Fetcher, slot: Slot
) -> None:
    slot.part.parent.mkdir(parents=True)
    slot.part.write_bytes(OTHER[:HALF])
    server.files["/model.gguf"] = MODEL

    path = fetch_file(f"{server.url}/model.gguf", checks=PINNED)

    assert path.read_bytes() == MODEL
    assert [request.headers.get("range") for request in server.requests] == [
        f"bytes={HALF}-",
        None,
    ]


def test_a_whole_part_needs_no_request(server: Server, fetch_file: Fetcher, slot: Slot) -> None:
    slot.part.parent.mkdir(parents=True)
    slot.part.write_bytes(MODEL)

    path = fetch_file(f"{server.url}/model.gguf", checks=PINNED)

    assert path.read_bytes() == MODEL
    assert server.requests == []


@pytest.mark.parametrize("body", [MODEL, OTHER], ids=["the same", "another"])
def test_a_whole_part_that_no_digest_can_judge_is_asked_about(
    body: bytes, server: Server, fetch_file: Fetcher, slot: Slot
) -> None:
    server.files["/model.gguf"] = MODEL
    with pytest.raises(DownloadCancelledError, match="stop"):
        fetch_file(f"{server.url}/model.gguf", report=cancel_at(len(MODEL)))
    assert slot.part.read_bytes() == MODEL
    server.files["/model.gguf"] = body
    server.count_anew()

    path = fetch_file(f"{server.url}/model.gguf")

    assert path.read_bytes() == body
    assert server.bytes_sent == (0 if body is MODEL else len(body))
    assert len(server.requests) == 2


def test_a_part_that_the_server_calls_complete_is_taken(
    server: Server, fetch_file: Fetcher, slot: Slot
) -> None:
    slot.part.parent.mkdir(parents=True)
    slot.part.write_bytes(MODEL)
    server.files["/model.gguf"] = MODEL

    path = fetch_file(f"{server.url}/model.gguf", checks=Checks(sha256=digest(MODEL)))

    assert path.read_bytes() == MODEL
    assert server.bytes_sent == 0


@pytest.mark.parametrize("surplus", [1, 5000])
def test_a_part_longer_than_the_file_is_dropped(
    surplus: int, server: Server, fetch_file: Fetcher, slot: Slot
) -> None:
    slot.part.parent.mkdir(parents=True)
    slot.part.write_bytes(MODEL + bytes(surplus))
    server.files["/model.gguf"] = MODEL

    path = fetch_file(f"{server.url}/model.gguf", checks=Checks(sha256=digest(MODEL)))

    assert path.read_bytes() == MODEL


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"url": 5}', b'{"url": "x", "total": "1"}'])
def test_a_note_that_cannot_be_read_vouches_for_nothing(
    note: bytes, server: Server, fetch_file: Fetcher, slot: Slot
) -> None:
    slot.part.parent.mkdir(parents=True)
    slot.part.write_bytes(OTHER[:HALF])
    slot.origin.write_bytes(note)
    server.files["/model.gguf"] = MODEL

    path = fetch_file(f"{server.url}/model.gguf")

    assert path.read_bytes() == MODEL
    assert "range" not in server.requests[0].headers


def test_bytes_of_another_url_are_not_continued(server: Server, fetch_file: Fetcher) -> None:
    server.files |= {"/a/model.gguf": OTHER, "/b/model.gguf": MODEL}
    server.faults.extend([CUT] + [Fault(status=500)] * 9)
    with pytest.raises(DownloadError, match="500"):
        fetch_file(f"{server.url}/a/model.gguf")
    server.faults.clear()

    path = fetch_file(f"{server.url}/b/model.gguf")

    assert path.read_bytes() == MODEL
    assert "range" not in server.requests[-1].headers


def test_a_second_source_continues_the_first_where_the_digest_is_known(
    server: Server, fetch_file: Fetcher
) -> None:
    server.files |= {"/a/model.gguf": MODEL, "/b/model.gguf": MODEL}
    server.faults.extend([CUT, Fault(status=404)])

    path = fetch_file(f"{server.url}/a/model.gguf", f"{server.url}/b/model.gguf", checks=PINNED)

    assert path.read_bytes() == MODEL
    assert server.bytes_sent == len(MODEL)
    assert "if-range" not in server.requests[-1].headers


def test_resuming_across_runs_reports_the_verified_part(
    server: Server, fetch_file: Fetcher, slot: Slot
) -> None:
    slot.part.parent.mkdir(parents=True)
    slot.part.write_bytes(MODEL[:HALF])
    server.files["/model.gguf"] = MODEL
    seen: list[tuple[str, int, int | None]] = []

    fetch_file(
        f"{server.url}/model.gguf", checks=PINNED, report=lambda *report: seen.append(report)
    )

    assert ("verify", HALF, HALF) in seen
    assert seen[-1] == ("download", len(MODEL), len(MODEL))
    assert server.bytes_sent == len(MODEL) - HALF

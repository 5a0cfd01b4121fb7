"""What an answer means, and how long to wait: pure decisions, case by case."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmlocal.errors import DownloadError
from llmlocal.models._http._exchange import Linked, Reply
from llmlocal.models._http._retry import PassingError, Policy, Retrying
from llmlocal.models._http._verdict import (
    Complete,
    Refuse,
    Retry,
    Verdict,
    Write,
    judge,
    retry_after_s,
)

ANOTHER = Retry("the server sent another part of the file than was asked for", from_start=True)
CHANGED = Retry("the file changed on the server", from_start=True)
NO_PART = Retry("the server has no such part of the file", from_start=True)
DATE = "Wed, 21 Oct 2015 07:28:00 GMT"

CASES: dict[str, tuple[int, Mapping[str, str], int, int | None, Verdict]] = {
    "whole": (200, {"content-length": "9"}, 0, None, Write(0, 9, None)),
    "whole, length unknown": (200, {}, 0, None, Write(0, None, None)),
    "whole, nonsense length": (200, {"content-length": "-9"}, 0, None, Write(0, None, None)),
    "whole, strong ETag": (200, {"etag": '"x"'}, 0, None, Write(0, None, '"x"')),
    "whole, weak ETag": (200, {"etag": 'W/"x"'}, 0, None, Write(0, None, None)),
    "whole, weak ETag and date": (
        200, {"etag": 'W/"x"', "last-modified": DATE}, 0, None, Write(0, None, DATE),
    ),
    "whole though a part was asked for": (200, {"content-length": "9"}, 4, 9, Write(0, 9, None)),
    "the rest": (206, {"content-range": "bytes 4-8/9"}, 4, 9, Write(4, 9, None)),
    "the rest, total unknown": (206, {"content-range": "bytes 4-8/*"}, 4, 9, Write(4, 9, None)),
    "the rest of another size": (206, {"content-range": "bytes 4-9/10"}, 4, 9, CHANGED),
    "another part": (206, {"content-range": "bytes 5-8/9"}, 4, 9, ANOTHER),
    "a part of no range": (206, {}, 4, 9, ANOTHER),
    "a part of a nonsense range": (206, {"content-range": "bytes x"}, 4, 9, ANOTHER),
    "all is there": (416, {"content-range": "bytes */9"}, 9, 9, Complete()),
    "more than all is there": (416, {"content-range": "bytes */9"}, 10, None, NO_PART),
    "no such part of no size": (416, {}, 9, 9, NO_PART),
    "no such part of nothing": (416, {"content-range": "bytes */0"}, 0, None, NO_PART),
    "rate limited": (429, {"retry-after": "7"}, 0, None, Retry("HTTP 429 Too Many Requests", 7.0)),
    "unavailable": (503, {}, 0, None, Retry("HTTP 503 Service Unavailable")),
    "too early": (425, {}, 0, None, Retry("HTTP 425 Too Early")),
    "a status of no name": (599, {}, 0, None, Retry("HTTP 599")),
    "denied": (401, {}, 0, None, Refuse("HTTP 401 Unauthorized", is_denied=True)),
    "forbidden": (
        403, {"x-error-message": "accept the terms"}, 0, None,
        Refuse("HTTP 403 Forbidden: accept the terms", is_denied=True),
    ),
    "missing": (404, {}, 0, None, Refuse("HTTP 404 Not Found", is_missing=True)),
    "gone": (410, {}, 0, None, Refuse("HTTP 410 Gone", is_missing=True)),
    "a repository that is not there": (
        401, {"x-error-code": "RepoNotFound"}, 0, None,
        Refuse("HTTP 401 Unauthorized", is_missing=True),
    ),
    "a gated repository": (
        401, {"x-error-code": "GatedRepo"}, 0, None, Refuse("HTTP 401 Unauthorized", is_denied=True),
    ),
    "no content": (204, {}, 0, None, Refuse("HTTP 204 No Content")),
    "a teapot": (418, {}, 0, None, Refuse("HTTP 418 I'm a Teapot")),
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "headers", "have", "total", "verdict"), CASES.values(), ids=CASES.keys()
)
def test_each_answer_has_its_meaning(
    status: int, headers: Mapping[str, str], have: int, total: int | None, verdict: Verdict
) -> None:
    reply = Reply(status, headers, Linked(), "https://host/m.gguf")

    assert judge(reply, have, total, is_encoded=False) == verdict


def test_the_length_of_a_compressed_body_is_not_the_files() -> None:
    headers = {"content-length": "5", "etag": '"x"', "content-range": "bytes 4-8/9"}
    whole = Reply(200, headers, Linked(), "https://host/m.gguf")
    part = Reply(206, headers, Linked(), "https://host/m.gguf")

    assert judge(whole, 0, None, is_encoded=True) == Write(0, None, None)
    assert judge(part, 4, 9, is_encoded=True) == ANOTHER


def test_the_hubs_word_on_the_size_comes_first() -> None:
    reply = Reply(200, {"content-length": "5"}, Linked(9), "https://host/m.gguf")

    assert judge(reply, 0, None, is_encoded=False) == Write(0, 9, None)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 12 ", 12.0),
        (DATE, 100.0),
        ("Wed, 21 Oct 2015 07:20:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("Wed, 99 Oct 99999 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_understood(value: str | None, seconds: float | None) -> None:
    now = 1445412480.0 - 100  # The date, less 100 seconds.

    assert retry_after_s(value, now) == seconds


@given(st.integers(1, 100), st.floats(0, 1))
def test_the_wait_grows_and_stays_in_its_bounds(failures: int, luck: float) -> None:
    policy = Policy(first_delay_s=0.5, max_delay_s=30.0)

    delay = policy.delay_s(failures, luck)

    assert 0.25 <= delay <= 30.0
    assert delay <= policy.delay_s(failures + 1, luck)


QUICK = Policy(max_failures=3, max_first_failures=2, first_delay_s=0.0, max_delay_s=0.0)


def test_progress_renews_the_patience() -> None:
    arrived = 0

    def attempt() -> str:
        nonlocal arrived
        if arrived == 10:
            return "done"
        arrived += 1
        message = "cut"
        raise PassingError(message)

    assert Retrying("url", QUICK, lambda: None, lambda: arrived).run(attempt) == "done"


@pytest.mark.parametrize(("has_answered", "tries"), [(True, 3), (False, 2)])
def test_without_progress_the_patience_ends(
    has_answered: bool, tries: int, caplog: pytest.LogCaptureFixture
) -> None:
    count = 0

    def attempt() -> None:
        nonlocal count
        count += 1
        message = "cut"
        raise PassingError(message)

    retrying = Retrying("url", QUICK, lambda: None, lambda: 0)
    retrying.has_answered = has_answered
    with pytest.raises(DownloadError, match=f"url: cut, {tries} times in a row"):
        retrying.run(attempt)

    assert count == tries
    assert caplog.messages == ["url: cut; trying again in 0.0 s"] * (tries - 1)

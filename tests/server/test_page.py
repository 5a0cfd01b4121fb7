"""The page at ``/``, in a headless Chromium: a conversation, a stop, a reload, an error."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from llmlocal import ModelPool
from llmlocal.server import create_app

from ..conftest import TinyPath
from .conftest import Serve, Served, serving

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = (
    shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, server: Served) -> Iterator[Any]:
    context = browser.new_context()
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_default_timeout(20_000)
    page.goto(server.url)
    wait(page, "document.querySelector('#model').options.length === 2")
    set_limit(page, 12)
    yield page
    assert errors == []
    context.close()


def wait(page: Any, is_true: str, argument: object = None) -> None:
    """Wait for a condition; the page's policy forbids the usual way, which evaluates text in it."""
    for _ in range(1000):
        if page.evaluate(f"n => {is_true}", argument):
            return
        page.wait_for_timeout(20)
    raise AssertionError(is_true)


def set_limit(page: Any, tokens: int) -> None:
    page.evaluate("document.querySelector('#settings').open = true")
    page.fill("#max_tokens", str(tokens))
    page.fill("#temperature", "0")
    page.evaluate("document.querySelector('#settings').open = false")


def ask(page: Any, text: str, answers: int = 1) -> str:
    page.fill("#question", text)
    page.press("#question", "Enter")
    wait(page, "document.querySelectorAll('.message.assistant .tools span').length === n", answers)
    return str(page.locator(".message.assistant .text").last.inner_text())


@needs_browser
def test_a_conversation_survives_a_reload(page: Any) -> None:
    first = ask(page, "hello there")
    assert first
    ask(page, "and then?", answers=2)
    assert "12 tokens" in page.locator(".message.assistant .tools span").last.inner_text()
    page.reload()
    assert page.locator(".message").count() == 4
    assert page.locator(".message.assistant .text").first.inner_text() == first
    assert page.locator("nav li").first.inner_text() == "hello there"


@needs_browser
def test_retry_edit_and_fork(page: Any) -> None:
    first = ask(page, "hello there")
    page.click(".message.assistant button[aria-label='Answer again']")
    wait(page, "document.querySelectorAll('.message.assistant .tools span').length === 1")
    assert page.locator(".message.assistant .text").inner_text() == first
    page.click(".message.assistant button[aria-label^='Go on from here']")
    assert page.locator("nav li").count() == 2
    page.click(".message.user button[aria-label^='Edit']")
    page.fill(".message.user textarea", "something else")
    page.press(".message.user textarea", "Enter")
    wait(page, "document.querySelectorAll('.message.assistant .tools span').length === 1")
    assert page.locator(".message.user .text").inner_text() == "something else"
    page.locator("nav li button").last.click()
    assert page.locator(".message.user .text").inner_text() == "hello there"


@needs_browser
def test_a_stop_ends_the_work(browser: Any, serve: Serve, tiny_path: TinyPath) -> None:
    served = serve(tiny_path("llama"), device="cpu", n_ctx=16_384, n_threads=1)
    page = browser.new_page()
    page.goto(served.url)
    wait(page, "document.querySelector('#model').options.length === 1")
    page.fill("#question", "a long story")
    page.press("#question", "Enter")
    wait(page, "document.querySelector('.message.assistant .text')?.innerText.length > 5")
    page.press("body", "Escape")
    wait(page, "document.querySelector('#status').innerText === 'Stopped.'")
    assert page.locator("#send").is_visible()
    assert page.locator(".message.assistant .text").inner_text()
    for _ in range(1000):
        if served.service.gate.inside == 0:
            break
        page.wait_for_timeout(5)
    assert served.service.gate.inside == 0
    page.close()


@needs_browser
def test_an_error_is_shown_and_the_message_stays(page: Any) -> None:
    page.fill("#question", "word " * 3000)
    page.press("#question", "Enter")
    page.wait_for_selector("#status.error")
    assert "context" in page.locator("#status").inner_text()
    assert page.locator(".message.user").count() == 1
    assert page.locator(".message.assistant").count() == 0


@needs_browser
def test_what_a_model_writes_is_never_html(page: Any) -> None:
    hostile = (
        "# Title\n\n<img src=x onerror=\"document.title='hacked'\"> **bold** `code <b>`"
        " [link](javascript:alert(1)) [good](https://example.org/x)\n\n"
        "```html\n<script>document.title='hacked'</script>\n```\n- one\n  - two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    shown = page.evaluate(
        """async text => {
            const { markdown } = await import("/page/markdown.js");
            const box = document.createElement("div");
            box.append(markdown(text));
            document.body.append(box);
            return {
                tags: [...box.querySelectorAll("*")].map(each => each.localName),
                links: [...box.querySelectorAll("a")].map(each => each.href),
                code: box.querySelector("pre").innerText,
                title: document.title,
            };
        }""",
        hostile,
    )
    assert shown["title"] == "llmlocal"
    assert shown["links"] == ["https://example.org/x"]
    assert shown["code"] == "<script>document.title='hacked'</script>"
    assert not {"img", "script", "b"} & set(shown["tags"])
    assert {"h2", "strong", "code", "pre", "ul", "li", "table", "td"} <= set(shown["tags"])


@needs_browser
def test_columns_of_a_table_are_aligned_as_they_ask(page: Any) -> None:
    sides = page.evaluate(
        """async () => {
            const { markdown } = await import("/page/markdown.js");
            const table = markdown("| a | b | c |\\n|:--|--:|:-:|\\n| 1 | 2 | 3 |").firstChild;
            document.querySelector("#messages").append(table);
            return [...table.querySelectorAll("td")].map(each => getComputedStyle(each).textAlign);
        }"""
    )
    assert sides == ["start", "right", "center"]


def focus(page: Any) -> str:
    """The id of what has the focus, or the name of what kind of thing it is."""
    active = "document.activeElement"
    return str(page.evaluate(f"{active}.id || {active}.localName"))


@needs_browser
def test_escape_closes_what_is_open_and_the_focus_stays_near(page: Any) -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    page.click("#settings summary")
    page.focus("#top_k")
    page.press("#top_k", "Escape")
    assert not page.is_visible("#top_k")
    assert focus(page) == "summary"

    page.click("#toggle-nav")
    assert page.get_attribute("#toggle-nav", "aria-expanded") == "true"
    assert focus(page) == "new"
    page.press("#new", "Escape")
    assert page.get_attribute("#toggle-nav", "aria-expanded") == "false"
    assert not page.is_visible("#new")
    assert focus(page) == "toggle-nav"

    for opened, inside in (("#settings summary", "#top_k"), ("#toggle-nav", "#new")):
        page.click(opened)
        assert page.is_visible(inside)
        page.mouse.click(390, 500)
        assert not page.is_visible(inside)


@needs_browser
def test_a_screen_reader_is_told_the_answer_once_and_keeps_its_place(page: Any) -> None:
    first = ask(page, "hello there")
    assert " ".join(page.text_content("#spoken").split()) == " ".join(first.split())
    page.focus(".message.assistant button[aria-label='Answer again']")
    page.keyboard.press("Enter")
    wait(page, "document.querySelectorAll('.message.assistant .tools span').length === 1")
    assert focus(page) == "messages"


@needs_browser
def test_a_conversation_is_deleted_only_by_who_means_it(page: Any) -> None:
    ask(page, "hello there")
    for answer, left in (("dismiss", 2), ("accept", 0)):
        page.once("dialog", lambda dialog, answer=answer: getattr(dialog, answer)())
        page.click("#settings summary")
        page.click("#delete")
        assert page.locator(".message").count() == left
        page.press("body", "Escape")


@needs_browser
def test_nothing_is_wider_than_a_phone(page: Any) -> None:
    page.set_viewport_size({"width": 360, "height": 640})
    wide = "w" * 300
    page.evaluate(
        """async text => {
            const { messageItem } = await import("/page/view.js");
            const acts = { edit() {}, retry() {}, fork() {} };
            for (const role of ["user", "assistant"]) {
                document.querySelector("#messages").append(messageItem({ role, content: text }, acts));
            }
        }""",
        f"{wide}\n\n```\n{wide}\n```\n\n| {wide} | b |\n|---|---|\n| 1 | 2 |\n",
    )
    for box in ("html", "#messages"):
        widths = page.evaluate(
            "box => [document.querySelector(box).scrollWidth, document.querySelector(box).clientWidth]",
            box,
        )
        assert widths[0] <= widths[1], box


@needs_browser
def test_a_key_is_asked_for(browser: Any, tiny_path: TinyPath) -> None:
    pool = ModelPool([tiny_path("llama")], n_ctx=256)
    with pool, serving(create_app(pool, api_key="sesame")) as served:
        page = browser.new_page()
        page.goto(served.url)
        page.wait_for_selector("#key-dialog[open]")
        page.fill("#key", "sesame")
        page.press("#key", "Enter")
        wait(page, "document.querySelector('#model').options.length === 1")
        page.close()


def test_the_files_come_with_their_policy(server: Served) -> None:
    got = server.get("/")
    assert got.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in got.headers["content-security-policy"]
    for name in ("app.js", "style.css"):
        assert server.get(f"/page/{name}").status_code == 200
    assert server.get("/page/../_page.py").status_code == 404
    assert server.get("/page/x.js").status_code == 404


def test_the_page_needs_no_other_host(serve: Serve, tiny_path: TinyPath) -> None:
    served = serve(tiny_path("llama"), n_ctx=256)
    for name in (
        "",
        "page/app.js",
        "page/api.js",
        "page/view.js",
        "page/store.js",
        "page/style.css",
    ):
        text = httpx.get(f"{served.url}/{name}", trust_env=False).text
        assert "http://" not in text
        assert "https://" not in text

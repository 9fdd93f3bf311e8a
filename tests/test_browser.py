"""The quickstart in a real browser: Debian's Chromium, driven by Playwright.

Chromium is no Python package: where it is missing, ``apt-get install chromium`` brings it (``.ci/run`` does so).
"""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from test_quickstart import ADA, PATIENCE, Quickstart, running

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
PATIENCE_MS = 1_000 * PATIENCE

POST = """
async ([url, body, mode, type]) => {
    const options = { method: "POST", mode, credentials: "include", headers: { "Content-Type": type }, body };
    return await fetch(url, options).then((answer) => answer.type + " " + answer.status, () => "blocked");
}
"""


class Elsewhere(BaseHTTPRequestHandler):
    """An empty page of another origin, which a browser takes for the same site: another port of one host."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quickstart]:
    with running(tmp_path_factory.mktemp("browser")) as started:
        assert started.post("/auth/register", ADA).status_code == 201
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        missing = "Chromium is not installed: apt-get install chromium"
        # A gate must not pass without a browser; a newcomer's machine may have none, and no package index has one.
        pytest.fail(missing) if "CI" in os.environ else pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def signed_in(browser: Browser, quickstart: Quickstart) -> Iterator[Page]:
    """A page of a browser profile of its own, signed in by cookie, its socket and its stream open."""
    with browser.new_context() as context:
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.goto(f"{quickstart.url}/app")
        page.fill("[name=email]", ADA["email"])
        page.fill("[name=password]", ADA["password"])
        page.click("text=Sign in")
        for live in ("#stream", "#socket"):
            expect(page.locator(live)).to_have_text("open", timeout=PATIENCE_MS)
        yield page


def titles(quickstart: Quickstart) -> list[str]:
    token = quickstart.login()["access_token"]
    listed = quickstart.client.get("/articles", headers={"Authorization": f"Bearer {token}"}).json()
    return [article["title"] for article in listed]


@pytest.mark.requirement("R-41", "holds")
@pytest.mark.requirement("R-43", "holds")
def test_a_browser_signs_in_by_cookie_and_posts_from_the_same_origin(browser: Browser, quickstart: Quickstart) -> None:
    with signed_in(browser, quickstart) as page:
        page.fill("[name=title]", "from the browser")
        page.click("text=Write")
        expect(page.locator("#articles li")).to_have_text("from the browser", timeout=PATIENCE_MS)
        cookie, _ = sorted(page.context.cookies(), key=lambda cookie: cookie["name"])

        assert page.evaluate("document.cookie") == ""

    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/")
    assert "from the browser" in titles(quickstart)


@pytest.mark.requirement("R-43", "refuses")
@pytest.mark.parametrize(
    ("mode", "content_type"), [("no-cors", "text/plain"), ("cors", "application/json"), ("cors", "text/plain")]
)
def test_a_post_from_another_origin_is_refused_although_the_browser_sends_the_cookie(
    browser: Browser, quickstart: Quickstart, elsewhere: str, mode: str, content_type: str
) -> None:
    with signed_in(browser, quickstart) as page:
        page.goto(elsewhere)
        answer = page.evaluate(POST, [f"{quickstart.url}/articles", '{"title": "forged"}', mode, content_type])

    assert answer in {"opaque 0", "blocked"}  # a page may not even read how it was refused
    assert "forged" not in titles(quickstart)


@pytest.mark.requirement("R-43", "refuses")
def test_a_form_from_another_origin_is_refused(browser: Browser, quickstart: Quickstart, elsewhere: str) -> None:
    form = f"""
        <form method="post" enctype="text/plain" action="{quickstart.url}/articles">
        <input name='{{"title": "forged", "x": "' value='"}}'></form>
    """
    with signed_in(browser, quickstart) as page:
        page.goto(elsewhere)
        page.set_content(form)
        with page.expect_navigation() as navigation:
            page.evaluate("document.querySelector('form').submit()")

    assert navigation.value is not None
    assert navigation.value.status == 403
    assert "forged" not in titles(quickstart)


@pytest.mark.requirement("R-96", "refuses")
def test_a_socket_from_another_origin_is_refused(browser: Browser, quickstart: Quickstart, elsewhere: str) -> None:
    socket = """
    (url) => new Promise((resolve) => {
        const socket = new WebSocket(url);
        socket.onopen = () => resolve("open");
        socket.onclose = () => resolve("refused");
    })
    """
    url = quickstart.url.replace("http", "ws") + "/live"
    with signed_in(browser, quickstart) as page:
        assert page.evaluate(socket, url) == "open"
        page.goto(elsewhere)
        assert page.evaluate(socket, url) == "refused"


@pytest.mark.requirement("R-96", "holds")
@pytest.mark.requirement("R-46", "holds")
def test_signed_out_from_a_second_client_the_socket_and_the_stream_of_the_first_end(
    browser: Browser, quickstart: Quickstart
) -> None:
    with signed_in(browser, quickstart) as page:
        token = quickstart.login()["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        sessions = quickstart.client.get("/auth/sessions", headers=bearer).json()["sessions"]
        assert any("Chrom" in session["device"] for session in sessions)

        ended: httpx.Response = quickstart.client.delete("/auth/sessions", headers=bearer)

        assert ended.status_code == 204
        expect(page.locator("#socket")).to_have_text("closed (4401)", timeout=PATIENCE_MS)
        expect(page.locator("#stream")).to_have_text("ended", timeout=PATIENCE_MS)
        page.reload()
        expect(page.locator("#door")).to_be_visible(timeout=PATIENCE_MS)


@pytest.mark.requirement("R-46", "holds")
def test_a_browser_signs_out(browser: Browser, quickstart: Quickstart) -> None:
    with signed_in(browser, quickstart) as page:
        page.click("text=Sign out")
        expect(page.locator("#socket")).to_have_text("closed (4401)", timeout=PATIENCE_MS)

        assert [cookie["name"] for cookie in page.context.cookies()] == ["session-device"]


def test_the_page_is_there_before_anybody_has_signed_in(quickstart: Quickstart) -> None:
    page = quickstart.client.get("/app")

    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")

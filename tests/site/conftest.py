"""A server for the built site and a browser that can reach nothing else."""

import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import slides
from browser import STALLED, find_browser
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"

# --no-sandbox: containers run as root. The others keep the browser from calling home.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextmanager
def served(folder, remedy):
    """Base URL of a built folder, served from a free port of localhost, without a trailing slash."""
    if not (folder / "index.html").exists():
        pytest.fail(f"there is no {folder.relative_to(ROOT)} to test: run `{remedy}` first", pytrace=False)
    server = ThreadingHTTPServer(("localhost", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def site():
    """Base URL of the built site."""
    with served(HTML, "make book") as url:
        yield url


@pytest.fixture(scope="session")
def lectern():
    """Base URL of the built slides."""
    with served(slides.OUT, "make teach") as url:
        yield url


@pytest.fixture(scope="session")
def browser():
    path = find_browser()
    if path is None:
        pytest.fail("no Chromium or Chrome found: `make browser` gets it or says how", pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS, timeout=STALLED)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser):
    """`opened(site, path, width=1280, scheme="light")` -> a loaded page; complaints fail the test at its end.

    Requests to other hosts are blocked, and each is a complaint, as is every console error, page error and
    failed request.
    """
    complaints, contexts = [], []

    def opened(site, path, *, width=1280, height=900, scheme="light", **options):
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce", **options
        )
        contexts.append(context)
        context.set_default_timeout(STALLED)

        def only_this_site(route):
            url = route.request.url
            if url.startswith((site + "/", "data:", "blob:")):
                route.continue_()
            else:
                complaints.append(f"{path}: asks another host for {url}")
                route.abort()

        context.route("**/*", only_this_site)
        page = context.new_page()
        page.on("console", lambda m: complaints.append(f"{path}: console: {m.text}") if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(f"{path}: {error}"))
        page.on("response", lambda r: complaints.append(f"{path}: {r.status} {r.url}") if r.status >= 400 else None)
        page.goto(f"{site}/{path}", wait_until="load")
        # Mathematics is typeset after loading; the promise is absent on pages that have none.
        page.evaluate("async () => { await window.MathJax?.startup?.promise }")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not complaints, "\n".join(dict.fromkeys(complaints))


@pytest.fixture
def open_page(opened, site):
    """`open_page(path, ...)`: `opened` for pages of the book."""
    return partial(opened, site)


@pytest.fixture
def page(open_page):
    """A desktop-sized page on the introduction; use `page.goto(f"{site}/book/made.html")` for another."""
    return open_page("book/introduction.html")

"""A page that holds explorers and nothing else."""

import pytest
from browser import STALLED

ADDRESS = "http://explorers.invalid/"  # answered by the test itself; nothing leaves the machine
PAGE = """<!doctype html><html lang="en" data-theme="{scheme}" {site}><head><title>Explorers</title><style>
body {{ margin: 0; font: 16px/1.6 sans-serif; color: #222832; background: #fff }}
html[data-theme=dark] body {{ color: #ced6dd; background: #121212 }}
main {{ max-width: 760px; margin: auto }}
table, td, button, p {{ color: red; border: 9px solid red }} /* what a page does to its own must not reach explorers */
</style></head><body><main><h1>Explorers</h1>{body}</main></body></html>"""


@pytest.fixture
def shown(browser):
    """`shown(explorer, ...)` -> a page that holds them; any request, console error or page error fails the test."""
    complaints, contexts = [], []

    def shown(*explorers, width=900, scheme="light", site="data-content_root", **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        context.set_default_timeout(STALLED)
        body = "".join(explorer.html() for explorer in explorers).replace(
            "const values =", "const values = window.values ="
        )
        text = PAGE.format(scheme=scheme, site=site, body=body)

        def answer(route):
            if route.request.url == ADDRESS:
                route.fulfill(body=text, content_type="text/html; charset=utf-8")
            else:
                complaints.append(f"asks for {route.request.url}")
                route.abort()

        context.route("**/*", answer)
        page = context.new_page()
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(ADDRESS)
        for i in range(len(explorers)):
            page.locator(".explorer").nth(i).wait_for()
        return page

    yield shown
    for context in contexts:
        context.close()
    assert not complaints, "\n".join(complaints)

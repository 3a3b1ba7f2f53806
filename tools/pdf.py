"""Print the built site: the whole book as one file, or chapters as work sheets. `make pdf` builds the site first.

    python tools/pdf.py                  _build/pdf/hybrid-generative-models.pdf
    python tools/pdf.py made flows       _build/pdf/made.pdf and _build/pdf/flows.pdf, solutions and hints left out

The articles of the pages become one document, so that links between chapters lead inside the file; Chromium, which the
tests use, too, runs the explorers, typesets the mathematics and counts the pages. Style sheet: book/assets/custom.css.
"""

import html
import json
import logging
import mimetypes
import os
import re
import sys
from io import BytesIO
from pathlib import Path
from urllib.parse import urldefrag, urljoin, urlsplit

import yaml
from browser import STALLED, find_browser
from bs4 import BeautifulSoup
from first_cells import released
from playwright.sync_api import sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.generic import NameObject, TextStringObject
from repository import addresses
from site_fixes import footer

ROOT = Path(__file__).resolve().parent.parent
HTML, PDF = ROOT / "_build/html", ROOT / "_build/pdf"
HOST = "http://book.invalid/"  # a name that no server can have; everything comes from HTML
OLDEST = 131  # the first Chromium that prints what `@page` says of the margins
ONLY_ON_THE_SITE = ("book/api", "book/teach/")  # for looking up, and for teachers
DRAWN = "() => [...document.querySelectorAll('[id^=explorer-]')].every(e => e.querySelector('.hybridlib-explorer'))"
# Links that explorers made, which Python did not see: into the document, or to the site.
LEAD = f"""() => document.querySelectorAll(".hybridlib-explorer").forEach(host => {{
  for (const link of host.shadowRoot.querySelectorAll("a[href]")) {{
    if (!link.href.startsWith("{HOST}")) continue;
    const page = link.href.slice("{HOST}".length), inside = page.replace("book/", "").replace(".html", "--");
    link.href = document.getElementById(inside) ? `#${{inside}}` : `${{document.body.dataset.site}}/${{page}}`;
  }}
}})"""
NUMBER = """places => document.querySelectorAll(".book-contents a").forEach(
  link => link.dataset.page = places[link.hash.slice(1)])"""
UNFOLDED = ".tag_hide-cell > details, .tag_hide-output > details, details:not([class])"  # solutions, sources, hints
STYLE = """
.cover { page: cover; break-after: page; padding-top: 5cm; text-align: center; }
.cover img { width: 4cm; margin-bottom: 1.5cm; }
.cover h1 { font-size: 3rem; font-weight: 600; }
.cover .subtitle { font-size: 1.3rem; margin-bottom: 4cm; }
.cover + .imprint { page: cover; break-after: page; padding-top: 14cm; }
.book-contents > ol { columns: 2; column-gap: 2rem; padding: 0; }
.book-contents ol { list-style: none; padding-left: 1rem; margin: 0; font-size: .8rem; line-height: 1.45; }
.book-contents > ol > li { margin-top: .5rem; break-inside: avoid; }
.book-contents > ol > li > a { font-weight: 600; }
.book-contents .part { break-after: avoid; margin-top: 1.2rem; font-style: italic; }
.book-contents a { display: flex; color: inherit; text-decoration: none; }
.book-contents a::after { content: attr(data-page) ""; margin-left: auto; min-width: 2.2rem; text-align: right; }
@page cover { @bottom-center { content: none; } }
"""


def contents() -> list[tuple[str, str]]:
    """Pages of the book in their order -> pairs (caption of the part, page), without those that only the site has."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    parts = [("", [toc["root"]])]
    parts += [(part["caption"], [chapter["file"] for chapter in part["chapters"]]) for part in toc["parts"]]
    return [(caption, page) for caption, pages in parts for page in pages if not page.startswith(ONLY_ON_THE_SITE)]


def anchor(page: str, name: str = "") -> str:
    """What stands for `name` of a page where all pages are one: two chapters may both have "exercises"."""
    return f"{page.removeprefix('book/').replace('/', '-')}--{name}"


def article(page: str, pages: list[str], site: str):
    """The article of a built page as part of a document: names and links inside it, and links to the site outside."""
    soup = BeautifulSoup((HTML / f"{page}.html").read_text("utf-8"), "html.parser").select_one("article.bd-article")
    for tag in soup.select("a.headerlink, p.launch"):
        tag.decompose()
    for tag in soup.select("[id]"):
        if not tag["id"].startswith("explorer-") and not tag.find_parent("svg"):  # scripts and drawings find theirs
            tag["id"] = anchor(page, tag["id"])
    for tag in soup.select("a[href]"):
        target, name = urldefrag(urljoin(HOST + page, tag["href"]))
        inside = target.removeprefix(HOST).removesuffix(".html")
        if inside == page or inside in pages:
            tag["href"] = "#" + anchor(inside, name)
        elif target.startswith(HOST):
            tag["href"] = target.replace(HOST, f"{site}/") + (f"#{name}" if name else "")
    for tag in soup.select("[src]"):
        tag["src"] = urljoin(HOST + page, tag["src"])
    soup["id"] = anchor(page)
    return soup


def outline(articles: list, captions: list[str]) -> str:
    """The table of contents: parts, chapters and their sections, which the style sheet gives their pages."""
    lines, before = ['<nav class="book-contents"><h1>Contents</h1><ol>'], ""
    for caption, chapter in zip(captions, articles, strict=True):
        if caption != before:
            lines.append(f'<li class="part">{html.escape(caption)}</li>')
        before = caption
        title = html.escape(chapter.h1.get_text())
        sections = [
            f'<li><a href="#{section["id"]}">{html.escape(section.h2.get_text())}</a></li>'
            for section in chapter.select("section[id]:has(> h2)")
        ]
        lines.append(f'<li><a href="#{chapter["id"]}">{title}</a><ol>{"".join(sections)}</ol></li>')
    return "\n".join([*lines, "</ol></nav>"])


def imprint(config: dict, site: str) -> str:
    """Licences, attribution, how to cite, and where it comes from: the second page of the book, the foot of a sheet."""
    foot = footer(config["repository"]["url"], config["repository"]["branch"])
    return f"""<div class="imprint">{foot}
<p>Printed from <a href="{site}">{site.removeprefix("https://")}</a>, where the explorers move.</p></div>"""


def front(config: dict, site: str, articles: list, captions: list[str]) -> str:
    """What a book has before its first chapter: title, imprint, contents."""
    title, subtitle = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))["title"].split(": ", 1)
    version, date = released()
    edition = "" if config["repository"]["branch"] == f"v{version}" else f", edition {config['repository']['branch']}"
    return f"""<div class="cover"><img src="{HOST}_static/{Path(config["logo"]).name}" alt="">
<h1>{html.escape(title)}</h1><p class="subtitle">{html.escape(subtitle[0].upper() + subtitle[1:])}</p>
<p>By {html.escape(config["author"])}</p><p>Version {version}, {date}{edition}</p></div>
{imprint(config, site)}{outline(articles, captions)}"""


def document(pages: list[str], captions: list[str]) -> str:
    """Built pages as one HTML document. With captions it is a book with all solutions, without a sheet with none."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    site = addresses(config["repository"]["url"])[-1]
    head = BeautifulSoup((HTML / f"{pages[0]}.html").read_text("utf-8"), "html.parser").head
    head.title.decompose()
    articles = [article(page, pages, site) for page in pages]
    titles = [chapter.h1.get_text() for chapter in articles]
    if captions:
        for folded in [tag for chapter in articles for tag in chapter.select(UNFOLDED)]:
            folded["open"] = ""
    running = "".join(
        f"@page {chapter['id']} {{ @top-right {{ content: {json.dumps(title)}; font: 9pt sans-serif; }} }}\n"
        f"#{chapter['id']} {{ page: {chapter['id']}; }}\n"
        for chapter, title in zip(articles, titles, strict=True)
    )
    return f"""<!DOCTYPE html><html lang="en" data-content_root="../" data-theme="light"><head>
<title>{html.escape(config["title"] if captions else titles[0])}</title>
{head.decode_contents()}<style>{STYLE}{running}</style></head>
<body data-site="{site}"><div class="bd-main"><div class="bd-content"><div class="bd-article-container">
{front(config, site, articles, captions) if captions else ""}
{"".join(str(chapter) for chapter in articles)}
{"" if captions else f'<div style="page: {articles[0]["id"]}">{imprint(config, site)}</div>'}
</div></div></div></body></html>"""


def serve(text: str):
    """Answers every request of the browser with `text` or with a file of the site, and none with anything else."""

    def answer(route):
        path = urlsplit(route.request.url).path.lstrip("/")
        file = (HTML / path).resolve()
        if path == "book/print.html":
            route.fulfill(body=text, content_type="text/html; charset=utf-8")
        elif route.request.url.startswith(HOST) and HTML in file.parents and file.is_file():
            route.fulfill(path=file, content_type=mimetypes.guess_type(file)[0] or "application/octet-stream")
        else:
            route.abort()

    return answer


def places(printed: bytes) -> dict[str, int]:
    """Name of each target of a link in a PDF -> the number of its page, from 1."""
    reader = PdfReader(BytesIO(printed))
    return {
        name.removeprefix("/"): reader.get_destination_page_number(target) + 1
        for name, target in reader.named_destinations.items()
    }


def mended(printed: bytes) -> bytes:
    """The PDF with each bookmark once: Chromium writes a heading twice that it moved to the next page."""
    writer = PdfWriter(clone_from=BytesIO(printed))

    def entries(entry):
        while entry is not None:
            yield entry.get_object()
            yield from entries(entry.get_object().get("/First"))
            entry = entry.get_object().get("/Next")

    for entry in entries(writer.root_object["/Outlines"].get_object().get("/First")):
        if twice := re.fullmatch(r"(.{3,})\1", entry["/Title"]):
            entry[NameObject("/Title")] = TextStringObject(twice[1])
    with BytesIO() as file:
        writer.write(file)
        return file.getvalue()


def typeset(browser, text: str, path: Path) -> None:
    """Print one HTML document into `path`, which appears when it is whole."""
    page = browser.new_page(viewport={"width": 665, "height": 980}, color_scheme="light", reduced_motion="reduce")
    page.set_default_timeout(4 * STALLED)  # the whole book is a dozen pages of the site
    page.route("**/*", serve(text))
    page.goto(f"{HOST}book/print.html", wait_until="load")
    page.evaluate("async () => { await window.MathJax?.startup?.promise; await document.fonts.ready }")
    page.wait_for_function(DRAWN)
    page.evaluate(LEAD)
    paper = {"format": "A4", "prefer_css_page_size": True, "print_background": True, "outline": True, "tagged": True}
    printed = page.pdf(**paper)
    if page.locator(".book-contents").count():  # only now is it known on which pages the sections are
        page.evaluate(NUMBER, places(printed))
        printed = page.pdf(**paper)
    page.close()
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_bytes(mended(printed))
    os.replace(beside, path)


def main(names: list[str]) -> None:
    logging.getLogger("pypdf").setLevel(logging.ERROR)  # Chromium counts its objects wrongly, which harms nothing
    pages = [page for _, page in contents()]
    chapters = {Path(page).name: page for page in pages}
    if unknown := [name for name in names if name not in chapters]:
        sys.exit(f"no chapter is called {unknown[0]!r}; there are {', '.join(chapters)}")
    if missing := [page for page in pages if not (HTML / f"{page}.html").is_file()]:
        sys.exit(f"{missing[0]} is not in _build/html: run `make book` first")
    if (path := find_browser()) is None:
        sys.exit("no Chromium or Chrome found: `make browser` gets it or says how")
    jobs = {PDF / f"{name}.pdf": ([chapters[name]], []) for name in names}
    if not names:
        jobs[PDF / "hybrid-generative-models.pdf"] = (pages, [caption for caption, _ in contents()])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"], timeout=STALLED
        )
        if int(browser.version.split(".")[0]) < OLDEST:
            sys.exit(f"{path} is version {browser.version}; page numbers need {OLDEST} or newer")
        for file, job in jobs.items():
            typeset(browser, document(*job), file)
            print(f"printed: {file.relative_to(ROOT)}")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])

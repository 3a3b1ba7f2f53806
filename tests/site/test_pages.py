"""Every page of the built site in a real browser: typeset, readable by everybody, with nothing from elsewhere."""

from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from site_fixes import footer

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
PAGES = [TOC["root"], *(chapter["file"] for part in TOC["parts"] for chapter in part["chapters"])]
NOTEBOOKS = [page for page in PAGES if (ROOT / f"{page}.ipynb").exists()]


def html(page):
    return BeautifulSoup((HTML / f"{page}.html").read_text("utf-8"), "html.parser")


@pytest.mark.parametrize("path", PAGES)
def test_mathematics_is_typeset(open_page, path):
    page = open_page(f"{path}.html")
    sources = len(html(path).select("article .math"))
    typeset = page.locator("article mjx-container").count()
    assert typeset >= sources, f"{typeset} of {sources} formulas are typeset"
    assert page.locator("mjx-merror, [data-mjx-error]").all_inner_texts() == []
    # text that a reader sees, without code; a formula that was not understood would show its source
    seen = page.evaluate("""() => {
        const copy = document.querySelector("article").cloneNode(true);
        for (const code of copy.querySelectorAll("pre, code, script, style, mjx-container")) code.remove();
        return copy.textContent;
    }""")
    for raw in ("$$", r"\begin{", r"\(", r"\[", "{math}", "{ref}", "{cite}", "{term}"):
        assert raw not in seen, f"raw {raw} near {seen[max(0, seen.index(raw) - 60) :][:120]!r}"


@pytest.mark.parametrize("path", PAGES)
def test_every_image_says_what_it_shows(path):
    for image in html(path).select("article img"):
        alt = image.get("alt", "").strip()
        assert alt and not alt.lower().endswith((".png", ".svg")), f"alt text {alt!r} of {image.get('src', '')[:80]}"
    for drawing in html(path).select("article svg[role=img]"):
        named = drawing.get("aria-label") or drawing.get("aria-labelledby") or drawing.find("title")
        assert named, f"a drawing without a name: {str(drawing)[:80]}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_accessible(open_page, path, scheme):
    page = open_page(f"{path}.html", scheme=scheme)
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    page.evaluate("document.querySelectorAll('article details').forEach(details => details.open = true)")
    # what opens fades in: half-way its letters are pale
    page.wait_for_function("document.getAnimations().every(animation => animation.playState !== 'running')")
    # no preload: axe would ask for imported style sheets at addresses that it gets wrong
    options = {"resultTypes": ["violations", "incomplete"], "preload": False}
    report = Axe().run(page, context="article", options=options).response
    bad = [
        f"{finding['id']} ({finding['impact']}): {finding['help']}: {node['html'][:160]}"
        for finding in report["violations"]
        if finding["impact"] in ("serious", "critical")
        for node in finding["nodes"]
    ]
    # text in the colour of its ground is not called a violation, because it might be hidden on purpose
    bad += [
        f"text in the colour of its background: {node['html'][:160]}"
        for finding in report["incomplete"]
        if finding["id"] == "color-contrast"
        for node in finding["nodes"]
        if any((check["data"] or {}).get("messageKey") == "equalRatio" for check in node["any"])
    ]
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize("path", PAGES)
def test_fits_a_telephone(open_page, path):
    page = open_page(f"{path}.html", width=390, height=844)
    wide = page.evaluate("""() => [document.documentElement.scrollWidth, window.innerWidth]""")
    culprits = page.evaluate("""() => [...document.querySelectorAll("article *")]
        .filter(e => e.getBoundingClientRect().right > window.innerWidth + 1)
        .slice(0, 5).map(e => e.outerHTML.slice(0, 120))""")
    assert wide[0] <= wide[1], f"{wide[0]} pixels wide on a screen of {wide[1]}; reaching over: {culprits}"


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_opens_in_colab(path):
    repository = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]
    place = repository["url"].removeprefix("https://github.com/")
    expected = f"https://colab.research.google.com/github/{place}/blob/{repository['branch']}/{path}.ipynb"
    links = {link["href"] for link in html(path).select("a[href*='colab.research.google.com']")}
    assert links == {expected}


@pytest.mark.parametrize("path", PAGES)
def test_a_page_waits_for_nothing_that_it_does_not_use(path):
    scripts = html(path).select("script")
    useless = [s for s in scripts if "fontawesome" in s.get("src", "") or s.get("type", "").endswith("state+json")]
    waiting = [s for s in scripts if s.get("type") == "module" and not s.has_attr("async")]
    assert not useless and not waiting, [str(script)[:80] for script in useless + waiting]


def test_every_page_names_licences_citation_and_version():
    repository = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]
    wanted = BeautifulSoup(footer(repository["url"], repository["branch"]), "html.parser").get_text().split()
    for path in HTML.rglob("*.html"):
        if "_static" not in path.parts and path != HTML / "index.html":  # which only leads to the first page
            foot = BeautifulSoup(path.read_text("utf-8"), "html.parser").select_one("footer .extra_footer")
            assert foot and foot.get_text().split() == wanted, path


def test_every_link_inside_the_site_leads_somewhere():
    pages = {path.relative_to(HTML).as_posix(): path for path in HTML.rglob("*.html") if "_static" not in path.parts}
    soups = {name: BeautifulSoup(path.read_text("utf-8"), "html.parser") for name, path in pages.items()}
    names = {name: {tag["id"] for tag in soup.select("[id]")} for name, soup in soups.items()}
    dead = []
    for name, soup in soups.items():
        for tag in soup.select("a[href], img[src], link[href], script[src]"):
            address = tag.get("href") or tag.get("src")
            if urlsplit(address).scheme or address.startswith("//"):
                continue
            target = urlsplit(urljoin(f"/{name}", address))
            file, fragment = unquote(target.path).lstrip("/"), unquote(target.fragment)
            if not (HTML / file).is_file() or (fragment and file in names and fragment not in names[file]):
                dead.append(f"{name}: {address}")
    assert not dead, "\n".join(dead)


def test_the_first_page_is_the_introduction(page):
    assert 'url=book/introduction.html"' in (HTML / "index.html").read_text()  # followed, it races with the browser
    assert page.locator("article h1").count() == 1


def test_search_finds_a_chapter(open_page):
    page = open_page("search.html?q=mask")
    page.wait_for_selector("#search-results li a")
    assert page.locator("#search-results li a").count() > 0


def test_the_reader_can_choose_dark(open_page):
    page = open_page(f"{PAGES[0]}.html")
    button = page.locator(".theme-switch-button:visible").first
    seen = set()
    for _ in range(3):
        button.click()
        seen.add(page.evaluate("document.documentElement.dataset.mode"))
    assert seen == {"light", "dark", "auto"}


def test_the_library_leads_to_source_and_chapters():
    page = html("book/api")
    things = page.select("dl.py.function > dt, dl.py.class > dt")
    bare = [thing["id"] for thing in things if not thing.select_one("a .viewcode-link")]
    assert len(things) > 100 and not bare, f"without source: {bare}"
    linked = {link["href"].removesuffix(".html") for link in page.select("article p a.reference.internal")}
    missed = {Path(name).stem for name in NOTEBOOKS[1:]} - linked
    assert not missed, f"chapters that no room names: {missed}"

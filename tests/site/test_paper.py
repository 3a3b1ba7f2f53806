"""The site on paper: what the print style sheet leaves of a page, and what `make pdf` makes of several."""

import pdf
import pytest
from first_cells import notebooks
from pypdf import PdfReader

WIDE = 665  # pixels between the margins of A4


@pytest.mark.parametrize("name", [path.stem for path in notebooks()])
def test_a_printed_page_is_text_figures_and_stills(open_page, name):
    page = open_page(f"book/{name}.html", width=WIDE)
    page.emulate_media(media="print")
    for gone in (
        *(".bd-sidebar-primary", ".bd-sidebar-secondary", ".bd-header-article", ".prev-next-footer", "p.launch"),
        *("article .copybtn", "article a.headerlink", "article details:not([open])"),
        *("article .controls", "article .presets", "article .choose", "article select"),
    ):
        assert page.locator(gone).evaluate_all("all => all.filter(e => e.checkVisibility()).length") == 0, gone
    assert page.locator("article h1").is_visible() and page.locator("footer .extra_footer").is_visible()
    for explorer in page.locator("article .hybridlib-explorer .explorer").all():
        assert explorer.bounding_box()["height"] > 100, explorer.get_attribute("aria-label")
    cut = page.evaluate("""() => [...document.querySelectorAll("article *")]
        .filter(e => e.checkVisibility() && !e.closest("mjx-assistive-mml, .visually-hidden, svg *"))
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
        .slice(0, 5).map(e => e.outerHTML.slice(0, 120))""")
    assert not cut, f"reaching over the edge of the paper: {cut}"


def test_what_is_read_in_the_dark_is_printed_in_the_light(open_page):
    page = open_page("book/glossary.html", scheme="dark")
    for event, theme in (("beforeprint", "light"), ("afterprint", "dark")):
        page.evaluate(f"dispatchEvent(new Event('{event}'))")
        assert page.evaluate("document.documentElement.dataset.theme") == theme


def texts(path):
    """Words of each page of a PDF; what stands in the margins comes first: the chapter's title, the page's number."""
    return [page.extract_text().split() for page in PdfReader(path).pages]


def test_a_book_has_numbered_pages_contents_and_links_inside(browser, tmp_path):
    pages, file = ["book/introduction", "book/one-idea-many-masks"], tmp_path / "book.pdf"
    pdf.typeset(browser, pdf.document(pages, ["", "MADE"]), file)
    assert list(tmp_path.iterdir()) == [file]
    reader, read = PdfReader(file), texts(file)
    assert "Hybrid Generative Models" in " ".join(read[0]) and "CC BY 4.0" in " ".join(read[1])
    assert read[2][:2] == ["3", "Contents"]
    assert all(str(number) in words[:7] for number, words in enumerate(read, 1) if number > 2), "pages are numbered"

    places = pdf.places(file.read_bytes())
    for name in ("five-networks-walk-into-an-audit", "common-mistakes", "exercises"):
        number, heading = places[pdf.anchor(pages[1], name)], name.capitalize().replace("-", " ")
        assert heading in " ".join(read[number - 1]) and f"{heading} {number}" in " ".join(read[2]), heading
    assert places[pdf.anchor(pages[1])] > places[pdf.anchor(pages[0])] > 3
    marks = {entry.title for entry in flat(reader.outline)}
    assert {"Introduction", "6. One idea, many masks", "Common mistakes", "Exercises", "Summary"} <= marks

    links = [link.get_object() for page in reader.pages for link in page.get("/Annots", [])]
    inside = {str(link["/Dest"]).removeprefix("/") for link in links if "/Dest" in link}
    assert {pdf.anchor(page) for page in pages} <= inside <= places.keys()
    outside = {link["/A"]["/URI"] for link in links if "/A" in link}
    assert outside and not [address for address in outside if not address.startswith("https://")], outside


def flat(outline):
    return [entry for part in outline for entry in (flat(part) if isinstance(part, list) else [part])]


def test_a_work_sheet_keeps_its_solutions_folded(browser, tmp_path):
    page = "book/one-idea-many-masks"
    pdf.typeset(browser, pdf.document([page], []), tmp_path / "sheet.pdf")
    read = texts(tmp_path / "sheet.pdf")
    whole = " ".join(word for words in read for word in words)
    assert whole.startswith("6. One idea, many masks 1 ") and str(len(read)) in read[-1][:7]
    assert "Exercises" in whole and "CC BY 4.0" in whole
    assert "@title Solution" not in whole and "Hint" not in whole
    assert "@title Solution" in pdf.document([page], []), "there are solutions on the page, but none on paper"


def test_unknown_chapters_are_refused(capsys):
    with pytest.raises(SystemExit, match=r"no chapter is called 'mode'; there are .*made"):
        pdf.main(["made", "mode"])

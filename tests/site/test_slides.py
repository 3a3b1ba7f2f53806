"""The built decks in a real browser: all within its slide, readable by everybody, with nothing from elsewhere."""

from pathlib import Path

import pytest
import slides
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup

DECKS = slides.decks()
BUILT = slides.OUT
# Where the parts of the slide on show reach beyond it, or down to the line of the source at its foot.
OUTSIDE = """() => {
    const slide = Reveal.getCurrentSlide(), { left, top } = slide.getBoundingClientRect(), outside = [];
    const hidden = "svg *, mjx-assistive-mml, mjx-assistive-mml *, mjx-math *";
    for (const part of slide.querySelectorAll("*")) {
        if (part.closest("aside") || part.matches(hidden)) continue;
        const box = part.getBoundingClientRect();
        if (box.width * box.height === 0) continue;
        if (box.left < left - 1 || box.top < top - 1 || box.right > left + 1281 || box.bottom > top + 691) {
            outside.push(`${part.outerHTML.slice(0, 90)} ends at ${Math.round(box.right)}, ${Math.round(box.bottom)}`);
        }
    }
    return outside.slice(-2);
}"""


@pytest.fixture
def open_deck(opened, lectern):
    """A deck on a projector of 1280 by 720 pixels, laid out, with all that clicks would show."""

    def open_deck(name, scheme="light"):
        page = opened(lectern, name, height=720, scheme=scheme)
        page.wait_for_function("document.documentElement.dataset.fitted")
        return page

    return open_deck


def show(page, number):
    page.evaluate(f"Reveal.slide({number}, 0, 99)")


@pytest.mark.parametrize("deck", DECKS, ids=lambda deck: deck.name)
def test_every_slide_holds_what_is_on_it(open_deck, deck):
    page = open_deck(f"{deck.name}.html")
    assert page.evaluate("Reveal.getTotalSlides()") == len(deck.slides)
    answers = 0
    for number, slide in enumerate(deck.slides):
        show(page, number)
        assert page.evaluate(OUTSIDE) == [], f"{number + 1}: {slide.title}"
        for option in page.locator("section.present section.present button.option").all():  # of a quiz
            option.click()
            page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            assert page.evaluate(OUTSIDE) == [], f"{number + 1}: {slide.title}, with an answer open"
            answers += 1
    assert answers >= 2
    assert page.locator("mjx-merror, [data-mjx-error]").all_inner_texts() == []
    sources = BeautifulSoup((BUILT / f"{deck.name}.html").read_text("utf-8"), "html.parser")
    assert page.locator("mjx-container").count() >= len(sources.select(".slides .math"))


@pytest.mark.parametrize("deck", DECKS, ids=lambda deck: deck.name)
def test_slides_speak_to_those_who_do_not_see_them(deck):
    page = BeautifulSoup((BUILT / f"{deck.name}.html").read_text("utf-8"), "html.parser")
    assert page.html["lang"] == "en" and page.title.text.strip()
    sections = page.select(".slides > section > section")
    assert len(sections) == len(deck.slides) and all(section.find(["h1", "h2"]).text for section in sections)
    for section, slide in zip(sections, deck.slides):
        assert section.select_one("aside.notes").text.strip().startswith(f"{slide.minutes} min · ")
    for drawing in page.select(".slides img, .slides svg[role=img]"):
        assert (drawing.get("alt") or drawing.get("aria-label") or "").strip(), str(drawing)[:80]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("deck", DECKS, ids=lambda deck: deck.name)
def test_accessible(open_deck, deck, scheme):
    page = open_deck(f"{deck.name}.html", scheme)
    quiz = next(number for number, slide in enumerate(deck.slides) if "widgets.quiz(" in slide.body)
    code = next(
        (number for number, slide in enumerate(deck.slides) if "```{code-cell}\n:tags: [remove-output]" in slide.body),
        2,
    )
    few = sorted({0, 1, code, quiz})
    # axe would look at all the others, too
    page.evaluate(
        "few => { Reveal.getSlides().forEach((s, i) => few.includes(i) || s.parentElement.remove()); Reveal.sync(); }",
        few,
    )
    for number in range(len(few)):
        show(page, number)
        options = {"preload": False, "runOnly": ["wcag2a", "wcag2aa"], "resultTypes": ["violations"]}
        report = Axe().run(page, context="section.present section.present", options=options).response
        bad = [f"{found['id']}: {node['html'][:120]}" for found in report["violations"] for node in found["nodes"]]
        assert not bad, "\n".join([deck.slides[few[number]].title, *bad])


def test_keys_belong_to_whom_they_should(open_deck):
    page = open_deck("06-made.html")
    at = "Reveal.getIndices().h"
    page.keyboard.press("ArrowRight")
    assert page.evaluate(at) == 1
    number = next(
        n for n, slide in enumerate(slides.read(slides.SOURCES / "06-made.md").slides) if "mask_explorer" in slide.body
    )
    show(page, number)
    page.locator("section.present section.present input[type=range]").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate(at) == number, "an explorer's key turned the page"
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(at) == number + 1 and not page.evaluate("Reveal.isOverview()")
    page.keyboard.press("d")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_deck_can_be_printed(open_deck):
    page = open_deck("06-made.html?print-pdf")
    page.wait_for_selector(".pdf-page")
    deck = slides.read(slides.SOURCES / "06-made.md")
    assert page.locator(".pdf-page").count() == len(deck.slides)


def test_the_list_leads_to_all_decks(opened, lectern):
    page = opened(lectern, "index.html")
    found = page.eval_on_selector_all("li a", "links => links.map(link => link.getAttribute('href'))")
    assert found == [f"{deck.name}.html" for deck in DECKS]
    assert all((BUILT / name).is_file() for name in found)
    assert {path.stem for path in Path(BUILT).glob("*.html")} == {deck.name for deck in DECKS} | {"index"}

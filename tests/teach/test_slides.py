"""The decks as they are written: form, minutes, length, alt texts, links. What the build makes of them: tests/site."""

import re
from pathlib import Path

import pytest
import slides

ROOT = Path(__file__).resolve().parents[2]
DECKS = slides.decks()
DECK = """\
---
file_format: mystnb
kernelspec: {name: python3}
chapter: made
---
# A deck

```{code-cell}
# not a title
```

:::{notes}
2 min · Say so.
:::

## A slide

:::{notes}
88 min · And so.

More.
:::
"""


def shown(slide):
    """The code that an audience sees -> list of str, one a cell."""
    cells = [re.sub(r"^```.*$", "", cell, flags=re.MULTILINE).strip() for cell in slides.CELL.findall(slide.body)]
    cells = [cell for cell in cells if not re.match(r":tags:.*remove-(input|cell)", cell)]
    return [re.sub(r"^:tags:.*\n", "", cell) for cell in cells]


def words(slide):
    """How many words stand on a slide, without cells, formulas and markup."""
    text = slides.CELL.sub("", slide.body)
    markup = r"\$\$.*?\$\$|\$[^$]*\$|^:::[^\n]*$|^\|[-| ]+\|$|\{\w+\}|<[^>]*>"
    text = re.sub(markup, " ", text, flags=re.MULTILINE | re.DOTALL)
    return len(re.findall(r"\w[\w'’-]*", text))


@pytest.mark.parametrize("deck", DECKS, ids=lambda deck: deck.name)
def test_a_deck_fits_its_session(deck):
    assert len(deck.slides) <= slides.MOST_SLIDES
    assert slides.LEAST_MINUTES <= deck.minutes <= slides.MOST_MINUTES, f"{deck.minutes} minutes"
    for slide in deck.slides:
        assert words(slide) <= slides.MOST_WORDS, f"{slide.title}: {words(slide)} words"
        for code in shown(slide):
            lines = code.splitlines()
            assert len(lines) <= 12 and max(map(len, lines)) <= 84, f"{slide.title}: {len(lines)} lines, or a long one"


@pytest.mark.parametrize("deck", DECKS, ids=lambda deck: deck.name)
def test_a_deck_has_all_parts_of_a_session(deck):
    text = "".join(slide.body for slide in deck.slides)
    assert re.search(r"^\$\$", text, re.MULTILINE), "no equation"
    assert re.search(r"viz\.(figure|formulas)\(", text), "no figure"
    assert "widgets.quiz(" in text, "no check"
    assert re.search(r"widgets\.(?!quiz\b|questions\b)\w+\(", text), "no explorer"
    titles = [slide.title for slide in deck.slides]
    assert "Recap" in titles and titles[-1] in ("Before the next session", "Where to go on"), titles[-3:]


@pytest.mark.parametrize("deck", DECKS, ids=lambda deck: deck.name)
def test_notes_and_pictures_speak(deck):
    for slide in deck.slides:
        assert len(slide.notes.split()) >= 20, f"{slide.title}: {slide.notes}"
        assert not re.search(r"!\[\s*\]", slide.body), f"{slide.title}: a picture without a text"


@pytest.mark.parametrize("deck", DECKS, ids=lambda deck: deck.name)
def test_links_lead_somewhere(deck):
    terms = set(re.findall(r"^\(term-([\w-]+)\)=", (ROOT / "book/glossary.md").read_text("utf-8"), re.MULTILINE))
    pages = {path.stem for path in (ROOT / "book").iterdir()}
    assert deck.chapter in pages
    for slide in deck.slides:
        for role, whole in re.findall(r"\{(book|glossary)\}`([^`]*)`", slide.body):
            target = re.sub(r".*<(.*)>", r"\1", whole, flags=re.DOTALL)
            assert target in (pages if role == "book" else terms), f"{slide.title}: no {role} has {target!r}"


def test_a_deck_is_read(tmp_path):
    path = tmp_path / "00-deck.md"
    path.write_text(DECK)
    deck = slides.read(path)
    assert (deck.name, deck.title, deck.chapter, deck.minutes) == ("00-deck", "A deck", "made", 90)
    assert [slide.title for slide in deck.slides] == ["A deck", "A slide"]
    assert "# not a title" in deck.slides[0].body and deck.slides[1].notes == "88 min · And so.\n\nMore."


@pytest.mark.parametrize(
    ("was", "becomes", "told"),
    [
        ("file_format: mystnb\n", "", "front matter"),
        ("# A deck", "## A deck", "begins with its title"),
        ("## A slide", "# Another deck", "begins with its title"),
        ("88 min · ", "", "'A slide': a slide ends with one block of notes"),
        ("More.\n:::\n", "More.\n:::\n\nAfterthought.\n", "ends with one block"),
        ("Say so.", "Say $x$.", "no formulas"),
        (DECK, "Nothing", "front matter"),
    ],
)
def test_what_is_no_deck_is_refused(tmp_path, was, becomes, told):
    path = tmp_path / "00-deck.md"
    path.write_text(DECK.replace(was, becomes))
    with pytest.raises(ValueError, match=f"00-deck.md.*{re.escape(told)}"):
        slides.read(path)


def test_an_unknown_deck_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"no deck is called '99-none'; there are .*06-made"):
        slides.main(["99-none", "--out", str(tmp_path / "slides")])
    assert not any(tmp_path.iterdir())

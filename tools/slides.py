"""Build the slides: one deck a session, from teach/slides/NN-name.md into _build/teach/slides/NN-name.html.

    python tools/slides.py                        all decks, with a list of them in index.html; `make teach` calls it
    python tools/slides.py 06-made --out FOLDER   some decks, for those who write them

Cells are executed once and kept: a deck whose cells did not change is not executed again, until the library, the
installed versions or the data change (tools/fresh.py). Nothing of a deck is built unless all decks keep the form.

How a deck is written
---------------------
A deck is Markdown (MyST) with executable cells. 75 to 90 minutes, at most 25 slides; it takes less than 20 CPU seconds.

Front matter: `file_format: mystnb`, `kernelspec: {name: python3}`, and `chapter:`, the page of the book it is from.

Title slide: `# Title`, one line about the session, notes. Every other slide begins with `## Title`. A slide says about
40 words, 60 at most; code has at most 12 lines of at most 84 characters; formulas are `$...$` and `$$...$$`.

Notes, one block on each slide, the last thing on it. They begin with the minutes, say what to say, what students answer
wrongly, and what to answer them. No formulas (the speaker's window typesets none: write x₁, ≤, log p):

    :::{notes}
    4 min · Let them write the two masks by hand before you go on. ...

    Often heard: "..." Answer: ...
    :::

Cells: ```` ```{code-cell} ````, with tags in the line below, `:tags: [remove-input, side]`. `remove-input` shows only
what comes out (figures, tables, explorers), `remove-output` only the code, `remove-cell` neither (imports, data,
trainings). `side` puts a cell to the right of the text (600 pixels), `wide` likewise (780); write it before the text.
`across` shows a cell's code to the left of what it prints; `after` keeps a cell back until a click. What is printed,
plotted or put in a table is computed: no number is typed that a cell or a record (`records.published`) could give; an
`assert` in a hidden cell holds what is claimed.

Figures: `viz.figure(ax, alt="...")`, drawn for its place: size=(5, 3.8) at the side, (8.5, 3.5) alone. They are
scaled to the room there is, and so are explorers (static/slides.js). Pictures in Markdown need an alt text as well.

Order of a session: something broken, or a guess, within the first three slides; one equation, shown or derived, with
every symbol said; a figure; an explorer, live, on a slide of its own: `widgets.mask_explorer(5, (7,))` as the last line
of a `remove-input` cell; one check; `## Recap`; last of all `## Before the next session`, what to do until then, or
`## Where to go on` where no session follows.

Check: `widgets.quiz([widgets.questions("made")[1]], title="Check")` takes question 2 of that chapter's quiz. Its
answers open by click or key, without a kernel; one question fits on a slide.

Guess: put the answer where a click shows it, in a cell tagged `after`, or as text:

    :::{revealjs-fragments}
    Ten of twenty, in both masks.
    :::

Links: {book}`chapter 5 <made>` and {glossary}`degree <degree>` lead to the book's pages, in every fork to its own.
Papers are named in plain text: Germain and others, 2015.
"""

import argparse
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import execute
import fresh
import yaml
from sphinx.cmd.build import build_main

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "teach" / "slides"
OUT = fresh.BUILD / "teach" / "slides"
CACHE = fresh.BUILD / ".jupyter_cache_slides"
MOST_SLIDES, MOST_WORDS, LEAST_MINUTES, MOST_MINUTES = 25, 60, 75, 90
NOTES = re.compile(r"^:::\{notes\}\n(.*?)^:::$", re.MULTILINE | re.DOTALL)
CELL = re.compile(r"^```\{code-cell\}.*?^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Slide:
    title: str
    body: str  # Markdown without title and notes
    notes: str
    minutes: int


@dataclass
class Deck:
    name: str
    chapter: str
    title: str
    slides: list[Slide]

    @property
    def minutes(self) -> int:
        return sum(slide.minutes for slide in self.slides)


def read(path: Path) -> Deck:
    """A deck's file; `ValueError` with file and slide where it does not keep the form that the module describes."""
    parts = re.fullmatch(r"---\n(.*?)^---\n(.*)", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    front = yaml.safe_load(parts[1]) if parts else {}
    if front.get("file_format") != "mystnb" or "kernelspec" not in front or "chapter" not in front:
        raise ValueError(f"{path.name}: the front matter needs file_format: mystnb, kernelspec and chapter")
    # a comment in a cell begins as a title does
    text = CELL.sub(lambda found: re.sub("^#", "\0", found[0], flags=re.MULTILINE), parts[2])
    before, *pieces = re.split(r"^(?=##? )", text, flags=re.MULTILINE)
    if before.strip() or [piece.startswith("# ") for piece in pieces] != [True] + [False] * len(pieces[1:]):
        raise ValueError(f"{path.name}: a deck begins with its title (# ...), and has slides (## ...) after it")
    slides = [_slide(path.name, piece.replace("\0", "#")) for piece in pieces]
    return Deck(path.stem, front["chapter"], slides[0].title, slides)


def _slide(name, text):
    title, _, body = text.partition("\n")
    title = title.lstrip("# ").strip()
    found = NOTES.findall(body)
    minutes = re.match(r"(\d+) min · \S", found[0]) if len(found) == 1 else None
    if not minutes or NOTES.sub("\0", body).partition("\0")[2].strip():
        raise ValueError(
            f"{name}, {title!r}: a slide ends with one block of notes, :::{{notes}} to :::, that begins '4 min · ...'"
        )
    if "$" in found[0]:
        raise ValueError(f"{name}, {title!r}: notes hold no formulas ($); the speaker's window typesets none")
    return Slide(title, NOTES.sub("", body).strip(), found[0].strip(), int(minutes[1]))


def decks() -> list[Deck]:
    """All decks, in the order of their sessions."""
    return [read(path) for path in sorted(SOURCES.glob("[0-9][0-9]-*.md"))]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("decks", nargs="*", metavar="NN-name", help="which decks, default all")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the pages")
    options = parser.parse_args(arguments)
    try:
        names = [deck.name for deck in decks()]
    except ValueError as error:
        sys.exit(str(error))
    if unknown := [name for name in options.decks if name not in names]:
        sys.exit(f"no deck is called {', '.join(map(repr, unknown))}; there are {', '.join(names)}")
    chosen = options.decks or names
    doctrees = fresh.BUILD / (".doctrees-slides-some" if options.decks else ".doctrees-slides")
    fresh.forget_unless("slides-executed-with.txt", fresh.executed_with(), CACHE, doctrees, options.out)
    layout = [SOURCES / "conf.py", ROOT / "_config.yml", *SOURCES.glob("*/*")]
    fresh.forget_unless(f"slides-laid-out-with{doctrees.name}.txt", fresh.digest(layout), doctrees, options.out)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    execute.into_the_cache([SOURCES / f"{name}.md" for name in chosen], CACHE)
    patterns = ",".join(f"{name}.md" for name in chosen)
    settings = [f"-Droot_doc={chosen[0]}", f"-Dinclude_patterns={patterns}"]
    command = ["-b", "revealjs", "-qW", "--keep-going", "-d", str(doctrees), *settings]
    if build_main([*command, str(SOURCES), str(options.out)]):
        sys.exit("the slides were not built, see above")
    print(f"{len(chosen)} decks: {options.out / 'index.html'}")


if __name__ == "__main__":
    main(sys.argv[1:])

"""What the introduction says about the length of the book, counted."""

import json
import re
from pathlib import Path

BOOK = Path(__file__).resolve().parent.parent / "book"
WORDS, LINES = 200, 12  # that somebody reads in a minute
LISTING = 20  # lines that `show` puts on a page, about
FOLDED = {"remove-cell", "hide-input", "hide-cell"}


def minutes(path):
    """Words of the text, lines of the code that is not folded, and listings of a chapter, as a reader's minutes."""
    words = lines = 0
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            words += len(re.sub(r"\$[^$]*\$", "formula", text).split())
        elif not FOLDED & {*cell["metadata"].get("tags", [])}:
            lines += sum(bool(line.strip()) for line in text.splitlines())
            lines += LISTING * len(re.findall(r"\bshow\(", text))
    return words / WORDS + lines / LINES


def test_the_introduction_says_how_long_the_chapters_take():
    hours = sum(minutes(path) for path in BOOK.glob("*.ipynb") if path.stem != "introduction") / 60
    said = "take about thirteen hours to read, at 200 words and twelve lines of code a minute"
    assert said in (BOOK / "introduction.ipynb").read_text("utf-8")
    assert 12 < hours < 14, f"{hours:.1f} hours"

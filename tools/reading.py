"""How long chapters take: reading counted, section by section, and the minutes that exercises say in their headings.

    python tools/reading.py            a line for each chapter
    python tools/reading.py made       its sections and exercises

The headers of the chapters, the introduction and the syllabi say what is counted here; tests compare.
"""

import json
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from docutils.nodes import make_id

ROOT = Path(__file__).resolve().parent.parent
WORDS, LINES = 200, 12  # that somebody reads in a minute
LISTING = 20  # lines that `show` puts on a page, about
FOLDED = {"remove-cell", "hide-input", "hide-cell"}
EXERCISE = re.compile(r"^### (?:Exercise )?(\d+)\. (.+) \((drill|middle|advanced|open-ended), (\d+) minutes\)$", re.M)


@dataclass(frozen=True)
class Exercise:
    """What the heading of an exercise says, and the `id` that leads to it."""

    title: str
    kind: str
    minutes: int
    id: str


@dataclass
class Section:
    """A heading of a chapter, and the minutes that it and everything below it take to read."""

    title: str
    level: int
    minutes: float


def names():
    """The introduction and the chapters, in their order -> list of str, such as "made"."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    files = [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]
    return [Path(file).name for file in files if (ROOT / f"{file}.ipynb").exists()]


def pieces(name):
    """The text of a chapter, cut at its headings: (heading or "", minutes of what follows) in their order."""
    for cell in json.loads((ROOT / "book" / f"{name}.ipynb").read_text("utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            for part in re.split(r"^(?=#{1,3} )", text, flags=re.M):
                heading = re.match(r"#{1,3} .*", part)
                yield (heading[0] if heading else ""), len(re.sub(r"\$[^$]*\$", "formula", part).split()) / WORDS
        elif not FOLDED & {*cell["metadata"].get("tags", [])}:
            lines = sum(bool(line.strip()) for line in text.splitlines())
            yield "", (lines + LISTING * len(re.findall(r"\bshow\(", text))) / LINES


def minutes(name):
    """A reader's minutes for a chapter: its words, the lines of code that are not folded, and its listings."""
    return sum(spent for _, spent in pieces(name))


def anchor(heading):
    """The id that Sphinx gives a heading: str -> str."""
    return make_id(re.sub(r"[$`*]", "", heading))


@cache
def sections(name):
    """The headings of a chapter, the title first -> {id: Section}; a section's minutes are its subsections' too."""
    found, open_ = {}, []
    for heading, spent in pieces(name):
        if heading:
            marks, title = heading.split(" ", 1)
            found[anchor(title)] = section = Section(title, len(marks), 0)
            open_ = [above for above in open_ if above.level < section.level] + [section]
        for section in open_:
            section.minutes += spent
    return found


@cache
def exercises(name):
    """The exercises of a chapter -> {"ex1": Exercise, ...}."""
    text = "\n".join("\n" + heading for heading, _ in pieces(name) if heading)
    return {
        f"ex{number}": Exercise(title, kind, int(spent), anchor(heading.removeprefix("### ")))
        for heading, (number, title, kind, spent) in ((m[0], m.groups()) for m in EXERCISE.finditer(text))
    }


def main():
    for name in sys.argv[1:] or names():
        work = exercises(name)
        print(f"{minutes(name):5.0f} to read, {sum(e.minutes for e in work.values()):4} of exercises  {name}")
        if sys.argv[1:]:
            for key, section in sections(name).items():
                print(f"{section.minutes:5.1f} {'  ' * section.level}{key}")
            for key, exercise in work.items():
                print(f"{exercise.minutes:5} {key}: {exercise.title} ({exercise.kind})")


if __name__ == "__main__":
    main()

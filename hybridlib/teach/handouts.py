"""What a class is handed: a notebook for students and one for teachers, a rubric, and chapters without solutions."""

import ast
import json
import os
import re
import tempfile
from pathlib import Path

import yaml

from .sets import LONGER, WITHHELD, Assignment, Graded, call_of, solution_code, text_of

FIRST = Path("book/introduction.ipynb")  # whose first cell is that of all chapters
HANDED_OUT = "handouts/{name}.ipynb"  # where Colab's button expects a student's notebook in the repository
MARK = "answer: {title} (leave this line)"
INSTRUCTIONS = """\
# {title}

{about}

**{points:g} points, about {hours:g} hours.** {button}

| exercise | points | minutes |
|---|---|---|
{rows}

Every exercise begins with cells that are given: run them and leave them as they are. Write your answer in place of
the `...`; the cell below it says which properties hold. Your answer is judged by the same properties, with other
numbers, other sizes and other data, so a constant that fits what you see will not do. What you do not get to may stay.

- **Everything that an answer needs stands in its own cell**, helper functions and imports too: only that cell is read.
  Where an exercise builds on your answer to an earlier one, it says so. Keep its first line, by which it is found.
- Allowed are the book, its library (unless an exercise says otherwise), PyTorch and Python. The network, files and
  other processes are not; an answer has {seconds} seconds of a processor and 2 gigabytes.
- Chapters share names. When you go back to an exercise, run its given cells again.
- Hand in this notebook as it is, saved after the last run, under the name that your teacher asks for.
"""


def write_handouts(chosen: Assignment, out: Path, seconds: int) -> list[Path]:
    """Write student.ipynb, instructor.ipynb and rubric.md of a set into ``out``/NAME -> their paths.

    ValueError where a solution was withheld; nothing is written then.

    >>> write_handouts.__name__
    'write_handouts'
    """
    if chosen.withheld:
        raise ValueError(
            f"the solution of {chosen.withheld[0]} is withheld here, and the instructor's notebook needs it: "
            "build on the branch that has all solutions"
        )
    files = {
        "student.ipynb": _notebook(chosen, seconds, solved=False),
        "instructor.ipynb": _notebook(chosen, seconds, solved=True),
        "rubric.md": rubric(chosen),
    }
    folder = out / chosen.name
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        replace_text(folder / name, text)
    return [folder / name for name in files]


def replace_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    >>> replace_text(Path("/nowhere/at/all"), "")
    Traceback (most recent call last):
    FileNotFoundError: ...
    """
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with open(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(beside).chmod(0o644)
    os.replace(beside, path)


def marker(exercise: Graded) -> str:
    """The first line of a student's cell, by which it is found again.

    >>> marker(Graded(Path("book/made.ipynb"), "ex3", 5, 30, (), ""))
    'answer: made ex3 (leave this line)'
    """
    return MARK.format(title=exercise.title)


def cell_id(exercise: Graded, part: str = "") -> str:
    """The id of a cell of a hand-out; without a part, of the answer.

    >>> cell_id(Graded(Path("book/made.ipynb"), "ex3", 5, 30, (), ""), "check")
    'made-ex3-check'
    """
    return f"{exercise.notebook.stem}-{exercise.name}" + (part and f"-{part}")


def properties_of(exercise: Graded) -> list[str]:
    """The names of the properties of an exercise's check, as its reader meets them.

    >>> from hybridlib.teach.sets import assignment
    >>> properties_of(assignment("made").exercises[2])[-1]
    'it does the work itself'
    """
    before, _, asked = call_of(exercise.part("check"))
    for node in before:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == ast.unparse(asked):
            asked = node.value
    return [ast.unparse(node).replace("_", " ") for node in ast.walk(asked) if node in getattr(asked, "elts", [])]


def rubric(chosen: Assignment) -> str:
    """What each exercise is graded by, as Markdown.

    >>> from hybridlib.teach.sets import assignment
    >>> print(rubric(assignment("made")).splitlines()[0])
    # Rubric: MADE, and what the same idea does elsewhere
    """
    text = f"# Rubric: {chosen.title}\n\n{chosen.points:g} points, {chosen.hours:g} hours. "
    text += "An exercise's points are shared out equally among the properties of its check; a stub has none.\n"
    for one in chosen.exercises:
        text += f"\n## {one.title}: {one.points:g} points, {one.minutes} minutes\n\n"
        text += "Graded by hand.\n" if one.is_open else "".join(f"- {told}\n" for told in properties_of(one))
        text += f"\n{one.rubric.strip()}\n"
    return text


def _notebook(chosen, seconds, solved):
    """The notebook of a set as JSON, with solutions or without."""
    url = yaml.safe_load(Path("_config.yml").read_text("utf-8"))["repository"]
    owner = url["url"].removeprefix("https://github.com/")
    colab = f"https://colab.research.google.com/github/{owner}/blob/{url['branch']}/" + HANDED_OUT.format(
        name=chosen.name
    )
    button = "Every exercise with its solution." if solved else f"[Open in Colab]({colab})"
    rows = "\n".join(f"| {_heading(one)} | {one.points:g} | {one.minutes} |" for one in chosen.exercises)
    told = INSTRUCTIONS.format(**vars(chosen), points=chosen.points, button=button, rows=rows, seconds=seconds)
    first = {cell["id"]: cell for cell in json.loads(FIRST.read_text("utf-8"))["cells"]}["colab"]
    cells = [_cell("code", "colab", text_of(first)), _cell("markdown", "instructions", told)]
    given, owner, site = set(), *owner.split("/")
    for one in chosen.exercises:
        for cell in _exercise_cells(one, given, solved):
            if cell["cell_type"] == "markdown":
                cell["source"] = _outside(cell["source"], f"https://{owner}.github.io/{site}/book/")
            cells.append(cell)
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    notebook = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _exercise_cells(one, given, solved):
    """The cells of an exercise; given: the cells of its notebook that stand there already, which grows."""
    text = re.sub(r"\A#+ .*\n*", "", one.text)
    if one.notebook not in given:  # the chapters between may have used its names
        given.clear()
        given.add(one.notebook)
    for name in [*one.cells][: [*one.cells].index(one.stub_id)]:
        cell = one.cells[name]
        told = cell["cell_type"] == "markdown" and one.notebook.parent == LONGER and not re.match(r"ex\d", name)
        if name in given or not (told or name in one.given):
            continue
        given.add(name)
        if told:
            yield _cell("markdown", f"{one.notebook.stem}-{name}"[:64], re.sub(r"\A#+", "##", text_of(cell)))
        else:
            code = "# given: run it, and leave it as it is\n" + one.given_code(name)
            yield _cell("code", f"{one.notebook.stem}-{name}"[:64], code, deletable=False, editable=False)
    head = f"## {_heading(one)}\n\n*{one.title}: {one.points:g} points, about {one.minutes} minutes*\n\n"
    yield _cell("markdown", cell_id(one, "text"), head + text)
    if one.is_open:
        yield _cell("markdown", cell_id(one), f"<!-- {marker(one)} -->\n{one.part('stub')}")
    else:
        yield _cell("code", cell_id(one), f"# {marker(one)}\n{one.part('stub')}")
        yield _cell("code", cell_id(one, "check"), one.part("check"), deletable=False, editable=False)
        given.add(f"{one.name}-check")
    if one.hint and (hint := one.part("hint")):
        yield _cell("markdown", cell_id(one, "hint"), hint)
    if solved:
        expected = "read by you" if one.is_open else f"{one.points:g} points from the grader, 0 for the stub"
        if not one.is_open:
            code = f"{solution_code(one)}\n\n\n{ast.unparse(_solved_check(one))}"
            yield _cell("code", cell_id(one, "solution"), code)
        elif solution := one.part("solution"):
            yield _cell("markdown", cell_id(one, "solution"), solution)
        yield _cell("markdown", cell_id(one, "rubric"), f"**Rubric ({expected}).** {one.rubric}")


def _solved_check(one):
    """The solution's own call of the check."""
    call = ast.parse("exercise.check()", mode="eval").body
    call.args = [*call_of(one.part("solution"))[1:]]
    return call


def _heading(one):
    return re.search(r"^#+ (?:\d+\. |Exercise \d+\. |Part \d+\. )?(.*)", one.text, flags=re.MULTILINE)[1]


def _outside(text, site):
    """Markdown of the book for a notebook that stands alone: links lead to the site, citations are left out."""
    text = re.sub(r" ?\{cite:\w\}`[^`]*`", "", text)
    text = re.sub(r"\]\(#(term-[\w-]+)\)", rf"]({site}glossary.html#\1)", text)
    return re.sub(
        r"\]\(([\w-]+)\.(?:md|ipynb)(#[\w-]+)?\)", lambda link: f"]({site}{link[1]}.html{link[2] or ''})", text
    )


def _cell(kind, name, text, **metadata):
    cell = {"cell_type": kind, "id": name, "metadata": metadata, "source": text}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def withhold(chosen: list[Assignment]) -> list[Path]:
    """Take the solutions, the hints and the tried answers of sets out of this working tree -> the files changed.

    For the branch of a term: what stood there comes back by git, or by a branch that has it.

    >>> withhold([])
    []
    """
    exercises, texts = [one for each in chosen for one in each.exercises], {}
    for path in {one.notebook for one in exercises}:
        notebook, here = json.loads(path.read_text("utf-8")), [one for one in exercises if one.notebook == path]
        for place, cell in enumerate(notebook["cells"]):
            for one in here:
                if cell["id"] == f"{one.name}-solution" or (cell["id"] == f"{one.name}-hint" and not one.hint):
                    told = f"*The {cell['id'].split('-')[1]} {WITHHELD}.*"
                    notebook["cells"][place] = {
                        "cell_type": "markdown",
                        "id": cell["id"],
                        "metadata": {},
                        "source": [told],
                    }
        texts[path] = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
        if (tried := Path("tests/answers") / f"{path.stem}.yml").exists():
            texts[tried] = tried.read_text("utf-8")
            for one in here:
                texts[tried] = re.sub(rf"(?m)^{one.name}:.*\n(?:[ \t#-].*\n|\n)*", "", texts[tried])
    changed = sorted(path for path, text in texts.items() if path.read_text("utf-8") != text)
    for path in changed:
        replace_text(path, texts[path])
    return changed

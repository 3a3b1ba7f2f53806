"""A set of graded exercises for Otter-Grader: what its `otter assign` takes. Otter itself is not needed here.

The format is that of Otter 1 to 7 (otter-grader.readthedocs.io, "Notebook format"): a master notebook, whose raw cells
mark questions, solutions and tests. There is one for each chapter of a set, since chapters share names.
"""

import ast
import json
from pathlib import Path

from .handouts import properties_of, replace_text
from .sets import Assignment, as_answer, call_of

# The needed cells run anew in every test, so that nothing which a student redefines can be met there.
TEST = """\
def test_{name}(env):
    names = {{}}
    for code in {cells!r}:
        exec(code, names)
    exec({check!r}, names)
    names.update({{name: env[name] for name in {asked!r}}})
    found = eval("exercise.check({answer}, [{prop}])", names)
    assert found.passed, repr(found)"""

# A string in the master notebook, the stub in the students'.
SOLVED = """\
{quotes} # BEGIN PROMPT
{stub}
{quotes}; # END PROMPT
# BEGIN SOLUTION NO PROMPT
{solution}
# END SOLUTION"""


def export_otter(chosen: Assignment, folder: Path) -> list[Path]:
    """Write a master notebook for each chapter of a set into a folder -> their paths.

    ValueError for a withheld solution, which Otter's own tests need; nothing is written then.

    >>> import tempfile
    >>> from hybridlib.teach.sets import Graded
    >>> one = Graded(Path("book/made.ipynb"), "ex1", 5, 10, ("setup",), "Short.")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in export_otter(Assignment("one", "One", 1, "Degrees.", (one,)), Path(folder))]
    ['made.ipynb']
    """
    if chosen.withheld:
        raise ValueError(f"the solution of {chosen.withheld[0]} is withheld here: export where all solutions are")
    texts = {}
    for path in dict.fromkeys(one.notebook for one in chosen.exercises):
        cells = [_cell("raw", "# ASSIGNMENT CONFIG\nexport_cell: false\ntests:\n  ok_format: false\n")]
        cells.append(_cell("markdown", f"# {chosen.title}: {path.stem}\n\n{chosen.about}"))
        given = set()
        for one in [one for one in chosen.exercises if one.notebook == path]:
            cells += [_cell("code", one.given_code(name)) for name in one.given if name not in given]
            cells += _question(one)
            given.update(one.given)
        kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
        notebook = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 4}
        texts[folder / path.name] = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        replace_text(path, text)
    return [*texts]


def _question(one):
    """The cells of an exercise, in Otter's order."""
    by_hand = "\nmanual: true" if one.is_open else ""
    yield _cell("raw", f"# BEGIN QUESTION\nname: {one.name}\npoints: {one.points}{by_hand}")
    yield _cell("markdown", one.text)
    yield _cell("raw", "# BEGIN SOLUTION")
    if one.is_open:
        yield _cell("markdown", one.part("solution") or "*Open.*")
    else:
        quotes = "'''" if '"""' in one.part("stub") else '"""'
        yield _cell("code", SOLVED.format(quotes=quotes, stub=one.part("stub"), solution=as_answer(one)))
    yield _cell("raw", "# END SOLUTION")
    if not one.is_open:
        yield _cell("raw", "# BEGIN TESTS")
        yield from (_cell("code", test) for test in _tests(one))
        yield _cell("raw", "# END TESTS")
    yield _cell("raw", "# END QUESTION")


def _tests(one):
    """A test for each property: the source of a function of the names that a student's notebook leaves."""
    before, answer, _ = call_of(one.part("check"))
    texts = {
        "cells": [one.given_code(name) for name in one.given],
        "asked": one.asked,
        "check": f"{one.part('stub')}\n{ast.unparse(ast.Module(before, []))}",
        "answer": ast.unparse(answer),
    }
    for place, told in enumerate(properties_of(one)):
        yield TEST.format(**texts, name=f"{one.name}_{place}", prop=told.replace(" ", "_"))


def _cell(kind, text):
    cell = {"cell_type": kind, "metadata": {}, "source": text}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})

"""The sets of graded exercises: `teach/assignments.yml`, and the cells that it names in chapters and longer exercises.

An exercise exN has a text, a stub (exN or exN-stub), a check (exN-check), and perhaps a hint and a solution. One
without a check is open: its stub is Markdown, and people grade it.
"""

import ast
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

PLACE, LONGER = Path("teach/assignments.yml"), Path("teach/exercises")
FIELDS = {"from", "exercise", "points", "minutes", "needs", "rubric"}  # and perhaps hint
STUBS = re.compile(r"ex\d+(-stub)?")
WITHHELD = "comes after the deadline"  # stands where a term's edition has no hint or solution


@dataclass(frozen=True)
class Graded:
    """A graded exercise: its notebook, its name in there, points, minutes, cells that run before it, and a rubric.

    ``hint`` says that its hint gives nothing away and stays.

    >>> Graded(Path("book/made.ipynb"), "ex3", 5, 30, ("setup",), "Clear names.").title
    'made ex3'
    """

    notebook: Path
    name: str
    points: float
    minutes: int
    needs: tuple[str, ...]
    rubric: str
    hint: bool = False

    @property
    def title(self) -> str:
        """Notebook and exercise, as grades.csv and extra tests name it."""
        return f"{self.notebook.stem} {self.name}"

    @cached_property
    def cells(self) -> dict[str, dict]:
        """The cells of its notebook by id, in their order."""
        return cells_of(self.notebook)

    @property
    def is_open(self) -> bool:
        """Does it lack a check, so that people grade it?"""
        return f"{self.name}-check" not in self.cells

    @property
    def stub_id(self) -> str:
        """The id of its stub: the code before the check, or the cell of its name."""
        if self.is_open:
            return self.name
        names = [*self.cells]
        before = names[: names.index(f"{self.name}-check")]
        return next(name for name in reversed(before) if self.cells[name]["cell_type"] == "code")

    @property
    def given(self) -> list[str]:
        """The ids of the cells that it needs, in their order, without stubs: the student's answers stand for those."""
        return [name for name in self.cells if name in self.needs and not STUBS.fullmatch(name)]

    def given_code(self, name: str) -> str:
        """The source of a needed cell; of the check of another exercise, what it defines."""
        code = text_of(self.cells[name])
        return definitions(code) if name.endswith("-check") else code

    @property
    def text(self) -> str:
        """What it asks for: the Markdown before its stub, without what introduces all exercises of a chapter."""
        names = [*self.cells]
        before = names[: names.index(self.stub_id)]
        name = next(name for name in reversed(before) if self.cells[name]["cell_type"] == "markdown")
        return re.sub(r"\A## Exercises\n.*?(?=^### )", "", text_of(self.cells[name]), flags=re.DOTALL | re.MULTILINE)

    def part(self, name: str) -> str | None:
        """The source of its "stub", "check", "hint" or "solution"; None where there is none or it was withheld."""
        cell = self.cells.get(self.stub_id if name == "stub" else f"{self.name}-{name}")
        return None if cell is None or WITHHELD in text_of(cell) else text_of(cell)

    @property
    def asked(self) -> list[str]:
        """The names that its check judges."""
        if self.is_open:
            return []
        return [node.id for node in ast.walk(call_of(self.part("check"))[1]) if isinstance(node, ast.Name)]


@dataclass(frozen=True)
class Assignment:
    """A set of exercises: name, title, hours, what it is about.

    >>> Assignment("made", "MADE", 6, "Masks.", ()).points
    0
    """

    name: str
    title: str
    hours: float
    about: str
    exercises: tuple[Graded, ...]

    @property
    def points(self) -> float:
        """The points of all exercises."""
        return sum(exercise.points for exercise in self.exercises)

    @property
    def withheld(self) -> list[str]:
        """The exercises with a check whose solutions were taken out of this branch."""
        return [one.title for one in self.exercises if not one.is_open and one.part("solution") is None]


def text_of(cell: dict) -> str:
    """The text of a cell, which notebooks hold as a string or as lines.

    >>> text_of({"source": ["a = 1", "b = 2"]})
    'a = 1b = 2'
    """
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


def cells_of(path: Path) -> dict[str, dict]:
    """The cells of a notebook of the kit by id.

    >>> cells_of(Path("book/made.ipynb"))["setup"]["cell_type"]
    'code'
    """
    return {cell["id"]: cell for cell in json.loads(path.read_text("utf-8"))["cells"]}


def call_of(code: str) -> tuple[list[ast.stmt], ast.expr, ast.expr]:
    """The last `exercise.check(answer, properties)` of a cell -> (what stands before it, answer, properties).

    >>> ast.unparse(call_of("ps = [f]\\nexercise.check((a, b), ps)")[1])
    '(a, b)'
    """
    body = ast.parse(code).body
    for place in range(len(body) - 1, -1, -1):
        value = getattr(body[place], "value", None)
        if isinstance(value, ast.Call) and ast.unparse(value.func) == "exercise.check":
            return body[:place], *value.args
    raise ValueError("the cell has no exercise.check(answer, properties)")


def definitions(code: str) -> str:
    """Imports, functions and classes of a cell, and what is called "solution" or is another name, as they stand there.

    >>> definitions("import math\\n\\nx = math.pi\\nprint(x)\\nsolution = x + 1\\nagain = solution")
    'import math\\n\\n\\nsolution = x + 1\\n\\n\\nagain = solution'
    """
    lines, kept = code.splitlines(), []
    for node in ast.parse(code).body:
        plain = isinstance(node, ast.Assign) and (
            isinstance(node.value, ast.Name) or any(ast.unparse(target) == "solution" for target in node.targets)
        )
        if plain or isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
            first = min([node.lineno, *(mark.lineno for mark in getattr(node, "decorator_list", []))])
            kept.append("\n".join(lines[first - 1 : node.end_lineno]))
    return "\n\n\n".join(kept)


def defined(code: str) -> list[str]:
    """The names that the top level of a piece of code defines.

    >>> defined("def f(x):\\n    y = 1\\n\\nvalue = ...")
    ['f', 'value']
    """
    names = []
    for node in ast.parse(code).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return names


def solution_code(exercise: Graded) -> str | None:
    """The solution without what it prints and asserts, or None where it is withheld.

    What stays are imports, functions, classes, the names that it gives to them, and comments inside.

    >>> print(solution_code(Graded(Path("book/made.ipynb"), "ex1", 5, 30, (), "")))
    def solution(H, D):
        k = torch.arange(1, H + 1)
        return -(-k * (D - 1) // H)
    """
    if (code := exercise.part("solution")) is None:
        return None
    return definitions(code)


def as_answer(exercise: Graded) -> str | None:
    """The kit's solution as a student would hand it in, under the names of the stub; None where it is withheld.

    >>> print(as_answer(Graded(Path("book/made.ipynb"), "ex1", 5, 30, (), "")).splitlines()[-1])
    my_degrees = solution
    """
    if (code := solution_code(exercise)) is None:
        return None
    answer, solution = call_of(exercise.part("check"))[1], call_of(exercise.part("solution"))[1]
    return f"{code}\n\n\n{ast.unparse(answer)} = {ast.unparse(solution)}"


def with_those_before(exercise: Graded, graded: Iterable[Graded], code_of: Callable) -> list[str] | None:
    """``code_of`` the exercises whose stubs this one needs, and of itself; None if one of them has none.

    >>> exercises = assignment("made").exercises
    >>> with_those_before(exercises[2], exercises, lambda one: one.name)
    ['ex3']
    """
    chain = [one for one in graded if one.notebook == exercise.notebook and one.stub_id in exercise.needs]
    codes = [code_of(one) for one in (*chain, exercise)]
    return None if None in codes else codes


def assignments() -> dict[str, Assignment]:
    """All sets of teach/assignments.yml by name. ValueError with the first thing that is wrong, before anything runs.

    >>> assignments()["made"].exercises[0].title
    'bug-hunt ex1'
    """
    if not PLACE.exists():
        raise ValueError(f"there is no {PLACE} here: run this at the top of a clone of the book")
    try:
        table = yaml.safe_load(PLACE.read_text("utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{PLACE} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(table, dict) or not table:
        raise ValueError(f"{PLACE} must hold sets by name, each with title, hours, about and exercises")
    return {name: _assignment(name, entry) for name, entry in table.items()}


def assignment(name: str) -> Assignment:
    """The set of a name. ValueError for one that there is not.

    >>> assignment("mode")
    Traceback (most recent call last):
    ValueError: there is no set 'mode'; teach/assignments.yml has ...
    """
    table = assignments()
    if name not in table:
        raise ValueError(f"there is no set {name!r}; {PLACE} has {', '.join(table)}")
    return table[name]


def _assignment(name, entry):
    """A set from its entry, checked."""
    place = f"{PLACE}, {name}"
    if not re.fullmatch(r"[a-z][a-z0-9-]*", str(name)):
        raise ValueError(f"{place}: the name of a set becomes a folder: small letters, digits and hyphens")
    if not isinstance(entry, dict) or entry.keys() != {"title", "hours", "about", "exercises"}:
        raise ValueError(f"{place}: a set has title, hours, about and exercises, no more and no less")
    if not isinstance(entry["exercises"], list) or not entry["exercises"]:
        raise ValueError(f"{place}: exercises must be a list with at least one")
    exercises = tuple(_graded(f"{place}, exercise {n}", row) for n, row in enumerate(entry["exercises"], 1))
    titles = [exercise.title for exercise in exercises]
    if twice := {title for title in titles if titles.count(title) > 1}:
        raise ValueError(f"{place}: {', '.join(sorted(twice))} stands there twice")
    stubs = {(one.notebook, one.stub_id) for one in exercises}
    for one in exercises:
        if lost := [name for name in one.needs if STUBS.fullmatch(name) and (one.notebook, name) not in stubs]:
            raise ValueError(f"{place}: {one.title} needs the answer in {lost[0]}, which is no exercise of this set")
    hours, minutes = entry["hours"], sum(exercise.minutes for exercise in exercises)
    if not _positive(hours) or not 60 * (hours - 1) < minutes <= 60 * hours:
        raise ValueError(
            f"{place}: its exercises take {minutes} minutes together, which does not fit its {hours} hours: "
            "they may fall short of them by less than one"
        )
    return Assignment(name, entry["title"], hours, entry["about"], exercises)


def _graded(place, row):
    """An exercise from its entry, checked."""
    if not isinstance(row, dict) or row.keys() - {"hint"} != FIELDS:
        raise ValueError(f"{place}: it has {', '.join(sorted(FIELDS))}, and perhaps hint; no more and no less")
    places = [Path("book") / f"{row['from']}.ipynb", LONGER / f"{row['from']}.ipynb"]
    notebook = next((path for path in places if path.exists()), None)
    if notebook is None:
        raise ValueError(f"{place}: there is no {places[0]} and no {places[1]}")
    for field in ("points", "minutes"):
        if not _positive(row[field]):
            raise ValueError(f"{place}: {field} must be a positive number, got {row[field]!r}")
    if not isinstance(row["needs"], list) or not isinstance(row["rubric"], str):
        raise ValueError(f"{place}: needs is a list of ids of cells, rubric a text")
    needs, name = tuple(map(str, row["needs"])), str(row["exercise"])
    exercise = Graded(notebook, name, row["points"], row["minutes"], needs, row["rubric"], bool(row.get("hint")))
    if not re.fullmatch(r"ex\d+", name) or not {name, f"{name}-check"} & exercise.cells.keys():
        known = [cell.removesuffix("-check") for cell in exercise.cells if re.fullmatch(r"ex\d+-check", cell)]
        raise ValueError(f"{place}: {notebook} has no exercise {name!r}; it has {', '.join(known)}")
    for cell in needs:
        if cell not in exercise.cells or exercise.cells[cell]["cell_type"] != "code":
            raise ValueError(f"{place}: {notebook} has no cell of code with the id {cell!r}")
    return exercise


def _positive(number):
    return isinstance(number, int | float) and not isinstance(number, bool) and number > 0

"""Grade a folder of submissions: grades.csv and a feedback page for each student. Nothing leaves this machine."""

import ast
import csv
import hashlib
import html
import io
import json
import os
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ..page.exercise import FAILED, PASSED, STUB, Result
from . import sandbox
from .handouts import cell_id, marker
from .sets import Assignment, Graded, as_answer, defined, text_of, with_those_before
from .tampering import SUSPECT

SEEDS = 2**31  # a seed is a whole number from 0, and below this
MEMORY = 2 * 10**9  # bytes that an answer may ask for
NOT_A_NOTEBOOK = "is no notebook"
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{student}: {title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 45rem; margin: 2rem auto; padding: 0 1rem; }}
pre {{ white-space: pre-wrap; border: 1px solid; padding: .5rem; }}
h2 {{ margin-top: 2rem; }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{student}: <strong>{total:g} of {points:g} points</strong>{by_hand}</p>
{exercises}
</main>
</body>
</html>
"""


@dataclass
class Submission:
    """What one student handed in: the notebook's cells, or a remark why there are none; and what was found.

    >>> Submission("student-01").remarks
    []
    """

    student: str
    cells: list[dict] | None = None
    remarks: list[str] = field(default_factory=list)
    outcomes: dict[str, list] = field(default_factory=dict)  # title of an exercise -> [property, verdict, message] each


def submissions(folder: Path) -> list[Submission]:
    """What lies in a folder: a notebook a student, or a folder a student with one in it, named as the student is.

    ValueError for a folder that is missing or empty; what is wrong with one submission is its remark.

    >>> submissions(Path("not/there"))
    Traceback (most recent call last):
    ValueError: there is no folder of submissions not/there
    """
    if not folder.is_dir():
        raise ValueError(f"there is no folder of submissions {folder}")
    found, digests = {}, {}
    for path in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
        student = path.name if path.is_dir() else path.stem
        inside = path.rglob("*.ipynb") if path.is_dir() else [path]
        inside = [each for each in inside if ".ipynb_checkpoints" not in each.parts]
        found.setdefault(student, []).extend(sorted(inside))
    if not found:
        raise ValueError(f"{folder} is empty: put one notebook a student there, named as the student is")
    handed_in = []
    for student, paths in found.items():
        handed_in.append(submission := Submission(student))
        if len(paths) != 1:
            told = f"several notebooks: {', '.join(path.name for path in paths)}; keep one"
            submission.remarks.append(told if paths else "no notebook in the folder")
            continue
        content = paths[0].read_bytes()
        submission.cells, remark = _cells(content)
        submission.remarks += [f"{paths[0].name} {remark}"] if remark else []
        twin = digests.setdefault(hashlib.sha256(content).digest(), student)
        if twin != student:
            submission.remarks.append(f"the same file as that of {twin}")
    return handed_in


def _cells(content):
    """The cells of a notebook's bytes, and what is wrong with them -> (list or None, str)."""
    try:
        notebook = json.loads(content)
    except (ValueError, RecursionError):
        return None, NOT_A_NOTEBOOK
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        old = isinstance(notebook, dict) and "worksheets" in notebook
        return None, "is a notebook of format 3: open it, save it again" if old else NOT_A_NOTEBOOK
    cells = [cell for cell in notebook["cells"] if isinstance(cell, dict)]
    texts = [cell.get("source") for cell in cells]
    if not all(isinstance(text, str) or (isinstance(text, list) and all(map(_is_text, text))) for text in texts):
        return None, NOT_A_NOTEBOOK
    return cells, ""


def _is_text(line):
    return isinstance(line, str)


def answer_in(cells: list[dict], exercise: Graded) -> tuple[str | None, str]:
    """A student's answer, found by the id of its cell, its first line, or the names that it defines -> (text, remark).

    >>> one = Graded(Path("book/made.ipynb"), "ex3", 5, 30, (), "")
    >>> answer_in([{"cell_type": "code", "id": "made-ex3", "source": "def my_sampler(model, u): ..."}], one)
    ('def my_sampler(model, u): ...', '')
    """
    kind = "markdown" if exercise.is_open else "code"
    texts = [(_id_of(cell), text_of(cell)) for cell in cells if cell.get("cell_type") == kind]

    def named(name, text):
        try:
            return not exercise.is_open and {*exercise.asked} <= {*defined(text)}
        except (SyntaxError, ValueError):
            return False

    by_id, by_mark = cell_id(exercise), marker(exercise)
    for way in (lambda name, text: name == by_id, lambda name, text: by_mark in text, named):
        if found := [text for name, text in texts if way(name, text)]:
            remark = f"{exercise.title}: {len(found)} cells hold an answer, the last counts" if len(found) > 1 else ""
            return re.sub(r"^[%!].*$", "", found[-1], flags=re.MULTILINE), remark  # lines for the notebook, not Python
    return None, f"{exercise.title}: no cell for it"


def _id_of(cell):
    metadata = cell.get("metadata")
    return cell.get("id") or (metadata.get("id") if isinstance(metadata, dict) else None)


def points_of(exercise: Graded, outcomes: list) -> float:
    """The share of an exercise's points that its properties give; none for an answer that is not written yet.

    >>> one = Graded(Path("book/made.ipynb"), "ex3", 5, 30, (), "")
    >>> points_of(one, [["sums", "passed", ""], ["order", "failed", "found 3"]])
    2.5
    """
    verdicts = [verdict for _, verdict, _ in outcomes]
    if STUB in verdicts or not verdicts:
        return 0.0
    return round(exercise.points * verdicts.count(PASSED) / len(verdicts), 2)


def grade(chosen: Assignment, folder: Path, out: Path, *, seed: int, seconds: int, extra: Path | None = None) -> str:
    """Grade all submissions and write ``out``/grades.csv and a page for each student -> what to tell the teacher.

    ``seed`` is what sizes, data and draws of all properties are made with, ``seconds`` the processor time of an answer.
    ``extra`` is a file of Python with ``properties = {"made ex3": [function, ...]}``. ValueError for bad input;
    nothing is written then.

    >>> grade.__name__
    'grade'
    """
    if out.exists():
        raise ValueError(f"{out} is there already: name another folder, or remove it first")
    if not 0 <= seed < SEEDS:
        raise ValueError(f"the seed must be a whole number from 0, and below {SEEDS}, got {seed}")
    if chosen.withheld:
        raise ValueError(
            f"the solution of {chosen.withheld[0]} is withheld here: grade on the default branch, "
            "where the kit's own solutions are judged first with your seed"
        )
    code = _extra_code(extra, chosen) if extra else ""
    handed_in = submissions(folder)
    checked = [one for one in chosen.exercises if not one.is_open]
    jobs = {str(one.notebook): [] for one in checked}
    for one in checked:  # the kit's own solution first: if that fails, nobody is graded
        jobs[str(one.notebook)].append((None, one, with_those_before(one, chosen.exercises, as_answer)))
        for submission in handed_in:
            if (codes := _codes(submission, one, chosen)) is not None:
                jobs[str(one.notebook)].append((submission, one, codes))
    common = {"set": chosen.name, "seed": seed, "extra": code, "seconds": seconds, "bytes": MEMORY}

    def ask(notebook):
        answers = [{"exercise": one.name, "codes": codes} for _, one, codes in jobs[notebook]]
        return sandbox.ask(common | {"notebook": notebook, "answers": answers})

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        verdicts = dict(zip(jobs, pool.map(ask, jobs), strict=True))
    isolated = True
    for notebook, rows in jobs.items():
        for (submission, one, _), verdict in zip(rows, verdicts[notebook], strict=True):
            isolated &= verdict.get("isolated", True)
            if submission is not None:
                submission.outcomes[one.title] = verdict["outcomes"]
                submission.remarks += [f"{one.title}: {verdict['remark']}"] if verdict["remark"] else []
            elif points_of(one, verdict["outcomes"]) != one.points:
                raise ValueError(f"{one.title}: with this seed the kit's own solution fails: {verdict['outcomes']}")
    _write(chosen, handed_in, out)
    told = f"{len(handed_in)} submissions graded with seed {seed}: {out / 'grades.csv'}"
    return told + ("" if isolated else "\nThis machine gives no namespaces: the network was refused by Python alone.")


def _codes(submission, one, chosen):
    """A student's cells for an exercise, those before it first, or None; remarks are taken down."""
    if submission.cells is None:
        return None
    found, remark = answer_in(submission.cells, one)
    submission.remarks += [remark] if remark else []
    if found is None:
        submission.outcomes[one.title] = [["there is an answer", FAILED, "no cell of the notebook is the one for it"]]
        return None
    if words := sorted({match[0] for match in SUSPECT.finditer(found)}):
        submission.remarks.append(f"{one.title}: look at it, it mentions {', '.join(words)}")
    stub = one.part("stub")
    return with_those_before(
        one, chosen.exercises, lambda each: found if each is one else answer_in(submission.cells, each)[0] or stub
    )


def _extra_code(path, chosen):
    """The source of extra properties, looked at: it is the teacher's, and runs with the checks."""
    try:
        code = path.read_text("utf-8")
        named = {
            ast.unparse(node.targets[0]): node.value for node in ast.parse(code).body if isinstance(node, ast.Assign)
        }
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no file of Python: {error}") from None
    titles = [one.title for one in chosen.exercises if not one.is_open]
    if not isinstance(table := named.get("properties"), ast.Dict):
        raise ValueError(f'{path} must define properties = {{"{titles[0]}": [function, ...]}}')
    for key in table.keys:
        if getattr(key, "value", None) not in titles:
            raise ValueError(
                f"{path}: {ast.unparse(key)} is no exercise of this set that has a check: {', '.join(titles)}"
            )
    return code


def _write(chosen, handed_in, out):
    """grades.csv and the pages, all or nothing."""
    out.parent.mkdir(parents=True, exist_ok=True)
    table = io.StringIO()
    rows = csv.writer(table)
    titles = [f"{one.title} ({one.points:g})" for one in chosen.exercises]
    rows.writerow(["student", *titles, f"total ({_checked_points(chosen):g})", "remarks"])
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".grades") as beside:
        done = Path(beside) / "grades"
        done.mkdir(mode=0o700)  # for the teacher alone
        for each in handed_in:
            points = [
                "" if one.is_open else points_of(one, each.outcomes.get(one.title, [])) for one in chosen.exercises
            ]
            total = round(sum(point for point in points if point != ""), 2)
            row = [each.student, *points, total, "; ".join(dict.fromkeys(each.remarks))]
            rows.writerow([_harmless(value) for value in row])
            (done / f"{each.student}.html").write_text(_page(chosen, each, total), "utf-8")
        (done / "grades.csv").write_text(table.getvalue(), "utf-8")
        os.replace(done, out)


def _checked_points(chosen):
    return sum(one.points for one in chosen.exercises if not one.is_open)


def _harmless(value):
    """A cell of a table that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _page(chosen, each, total):
    """A student's page of feedback as HTML."""
    told = ""
    for one in chosen.exercises:
        told += f"<section>\n<h2>{html.escape(one.title)}: "
        if one.is_open:
            answer = answer_in(each.cells or [], one)[0] or "no answer found"
            told += f"graded by hand, {one.points:g} points</h2>\n<pre>{html.escape(answer)}</pre>\n"
        else:
            outcomes = each.outcomes.get(one.title, [])
            told += f"{points_of(one, outcomes):g} of {one.points:g} points</h2>\n"
            result = Result(tuple(map(tuple, outcomes)))
            told += result._repr_html_() if outcomes else f"<p>{html.escape('; '.join(each.remarks))}</p>"
        told += f"\n<p>{html.escape(one.rubric.strip())}</p>\n</section>\n"
    by_hand = ", and what is graded by hand" if any(one.is_open for one in chosen.exercises) else ""
    student, title = html.escape(each.student), html.escape(chosen.title)
    return PAGE.format(
        student=student, title=title, total=total, points=_checked_points(chosen), by_hand=by_hand, exercises=told
    )

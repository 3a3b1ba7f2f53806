"""A folder of submissions becomes a table and pages: whatever lies in it, all or nothing."""

import copy
import csv
import json
import sys

import pytest

from hybridlib.teach import grading, handouts, sets
from hybridlib.teach.__main__ import main


def submitted(kit, answers=None, change=lambda notebook: None):
    """A student's notebook with answers in the place of stubs, as text."""
    path = kit / "out/doubles/student.ipynb"
    if not path.exists():
        handouts.write_handouts(sets.assignment("doubles"), kit / "out", 20)
    notebook = json.loads(path.read_text())
    for cell in notebook["cells"]:
        if cell["id"] in (answers or {}):
            cell["source"] = answers[cell["id"]]
    change(notebook)
    return json.dumps(notebook)


DOUBLED = "# answer: small ex1 (leave this line)\ndef doubled(x):\n    return 2 * x\n"
TRAINED = DOUBLED.replace(
    "    return",
    """    import torch
    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.Adam([weight], lr=0.1)
    weight.sum().backward()
    optimizer.step()
    return""",
)
FOURFOLD = "# answer: small ex2 (leave this line)\ndef fourfold(x):\n    return doubled(doubled(x))\n"
RIGHT = {"small-ex1": DOUBLED, "small-ex2": FOURFOLD, "small-ex3": "Because <b>two</b> is two."}
WRONG = {"small-ex1": DOUBLED.replace("2", "3"), "small-ex2": FOURFOLD}


def without_ids(notebook):
    notebook["nbformat_minor"] = 4
    for cell in notebook["cells"]:
        del cell["id"]


def with_ids_of_colab(notebook):
    for number, cell in enumerate(notebook["cells"]):
        del cell["id"]
        cell["metadata"]["id"] = f"x{number}Y"
        cell["source"] = cell["source"].splitlines(keepends=True)


def without_marks(notebook):
    without_ids(notebook)
    for cell in notebook["cells"]:
        cell["source"] = "".join(line for line in cell["source"].splitlines(True) if "answer:" not in line)


def with_a_false_check(notebook):
    for cell in notebook["cells"]:
        if cell["id"].endswith(("check", "setup")):
            cell["source"] = "class exercise:\n    check = same = staticmethod(lambda *a: True)"


def without_an_answer(notebook):
    notebook["cells"] = [cell for cell in notebook["cells"] if cell["id"] != "small-ex1"]


def with_two_answers(notebook):
    place = next(n for n, cell in enumerate(notebook["cells"]) if cell["id"] == "small-ex1")
    old = copy.deepcopy(notebook["cells"][place])
    old |= {"id": "copied", "source": DOUBLED.replace("2", "5")}
    del notebook["cells"][place]["id"]
    notebook["cells"].insert(place, old)


# student -> (content of the notebook, points for ex1 and ex2, a word of the remarks)
CLASS = {
    "student-01": (lambda kit: submitted(kit, RIGHT), 6, 2, ""),
    "student-02": (lambda kit: submitted(kit), 0, 0, ""),
    "student-03": (lambda kit: submitted(kit, WRONG), 2, 0, ""),
    "student-04": (lambda kit: submitted(kit, RIGHT, without_ids), 6, 2, ""),
    "student-05": (lambda kit: submitted(kit, RIGHT, with_ids_of_colab), 6, 2, ""),
    "student-06": (lambda kit: submitted(kit, RIGHT, without_marks), 6, 2, ""),
    "student-07": (lambda kit: submitted(kit, WRONG, with_a_false_check), 2, 0, ""),
    "student-08": (lambda kit: submitted(kit, RIGHT, without_an_answer), 0, 0, "small ex1: no cell for it"),
    "student-09": (
        lambda kit: submitted(kit, RIGHT, with_two_answers),
        6,
        2,
        "2 cells hold an answer, the last counts",
    ),
    "student-10": (lambda kit: submitted(kit, {"small-ex1": "%time\nimport os\n" + DOUBLED}), 6, 0, "mentions os"),
    "student-17": (lambda kit: submitted(kit, {"small-ex1": TRAINED}), 6, 0, ""),
    "student-11": (lambda kit: "%PDF-1.7", 0, 0, "student-11.ipynb is no notebook"),
    "student-12": (lambda kit: "[" * 100_000, 0, 0, "is no notebook"),
    "student-13": (lambda kit: '{"cells": [{"cell_type": "code", "source": 5}]}', 0, 0, "is no notebook"),
    "student-14": (lambda kit: '{"worksheets": []}', 0, 0, "format 3"),
    "student-15": (lambda kit: submitted(kit, RIGHT), 6, 2, "the same file as that of student-01"),
    "student-16": (lambda kit: submitted(kit, {"small-ex1": "def doubled(x:\n"}), 0, 0, ""),
    "=HYPERLINK()": (lambda kit: submitted(kit, {"small-ex2": FOURFOLD}), 0, 0, ""),
}


@pytest.fixture
def graded(kit):
    """A class of students, graded: rows of the table by student, and the folder."""
    folder = kit / "submissions"
    folder.mkdir()
    for student, (content, *_) in CLASS.items():
        (folder / f"{student}.ipynb").write_text(content(kit))
    (folder / "student-20").mkdir()
    (folder / "student-20" / "my copy (2).ipynb").write_text(submitted(kit, RIGHT, without_ids) + " ")
    (folder / "student-20" / ".ipynb_checkpoints").mkdir()
    (folder / "student-20" / ".ipynb_checkpoints" / "my copy-checkpoint.ipynb").write_text("{}")
    (folder / "student-21").mkdir()
    (folder / "student-22").mkdir()
    for name in "ab":
        (folder / "student-22" / f"{name}.ipynb").write_text("{}")
    extra = kit / "more.py"
    extra.write_text(
        "def of_five(f):\n    exercise.same(f(5 * data), 20 * data)\n\n\nproperties = {'small ex2': [of_five]}\n"
    )
    told = grading.grade(sets.assignment("doubles"), folder, kit / "grades", seed=8513, seconds=5, extra=extra)
    assert told.startswith("21 submissions graded with seed 8513")
    with open(kit / "grades/grades.csv", newline="") as file:
        rows = {row["student"].lstrip("'"): row for row in csv.DictReader(file)}
    return rows, kit / "grades"


def test_nobody_is_graded_where_solutions_are_withheld(kit):
    """They are judged first: a seed for which a right answer fails would be found too late."""
    (kit / "submissions").mkdir()
    (kit / "submissions/student-01.ipynb").write_text(submitted(kit, RIGHT))
    handouts.withhold([sets.assignment("doubles")])
    with pytest.raises(ValueError, match="small ex1 is withheld here: grade on the default branch"):
        grading.grade(sets.assignment("doubles"), kit / "submissions", kit / "grades", seed=8513, seconds=5)
    assert not (kit / "grades").exists()


def test_everybody_gets_what_is_due(graded):
    rows, folder = graded
    for student, (_, first, second, remark) in CLASS.items():
        row = rows[student]
        assert (float(row["small ex1 (6)"]), float(row["small ex2 (2)"])) == (first, second), row
        assert row["small ex3 (3)"] == "" and float(row["total (8)"]) == first + second
        assert remark in row["remarks"] and (remark or not row["remarks"]), row
        assert (folder / f"{student}.html").exists()
    assert float(rows["student-20"]["total (8)"]) == 8
    assert rows["student-21"]["remarks"] == "no notebook in the folder"
    assert rows["student-22"]["remarks"] == "several notebooks: a.ipynb, b.ipynb; keep one"
    assert "\n'=HYPERLINK" in (folder / "grades.csv").read_text(), "no spreadsheet may take it for a formula"
    page = (folder / "student-03.html").read_text()
    assert "<h2>small ex1: 2 of 6 points</h2>" in page and "it is twice as much" in page and "expected" in page
    assert '<html lang="en">' in page and "of five" in page
    assert "&lt;b&gt;two" in (folder / "student-01.html").read_text()
    assert "SyntaxError" in (folder / "student-16.html").read_text()


BAD = {
    "no folder": (["doubles", "nowhere", "--out", "g"], "there is no folder of submissions nowhere"),
    "a file": (["doubles", "_config.yml", "--out", "g"], "there is no folder of submissions"),
    "empty": (["doubles", "empty", "--out", "g"], "empty is empty"),
    "set": (["singles", "empty", "--out", "g"], "there is no set 'singles'"),
    "out": (["doubles", "empty", "--out", "empty"], "empty is there already"),
    "seed": (["doubles", "full", "--out", "g", "--seed", "-1"], "the seed must be"),
    "extra": (["doubles", "full", "--out", "g", "--extra", "nothing.py"], "nothing.py is no file of Python"),
    "no exercise": (["doubles", "full", "--out", "g", "--extra", "extra.py"], "'small ex9' is no exercise of this set"),
    "no Python": (
        ["doubles", "full", "--out", "g", "--extra", "_config.yml"],
        "must define properties|no file of Python",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_error_and_nothing_is_written(kit, monkeypatch, name):
    arguments, told = BAD[name]
    (kit / "empty").mkdir()
    (kit / "full").mkdir()
    (kit / "extra.py").write_text("properties = {'small ex9': []}")
    (kit / "full/student-01.ipynb").write_text("{}")
    monkeypatch.setattr(sys, "argv", ["teach", "grade", "--seed", "1", *arguments])
    with pytest.raises(SystemExit, match=told) as error:
        main()
    assert "\n" not in str(error.value) and not (kit / "g").exists()


def test_a_seed_for_which_the_kit_itself_fails_grades_nobody(kit):
    path = kit / "book/small.ipynb"
    path.write_text(path.read_text().replace("return x + x  # to itself", "return x * 3"))
    (kit / "submissions").mkdir()
    (kit / "submissions/student-01.ipynb").write_text("{}")
    with pytest.raises(ValueError, match="small ex1: with this seed the kit's own solution fails"):
        grading.grade(sets.assignment("doubles"), kit / "submissions", kit / "grades", seed=1, seconds=5)
    assert not (kit / "grades").exists() and not [*kit.glob(".grades*")]


def test_a_share_of_the_properties_is_a_share_of_the_points(kit):
    one = sets.assignment("doubles").exercises[0]
    passed, failed, stub = ([["p", verdict, ""]] for verdict in ("passed", "failed", "not written yet"))
    assert grading.points_of(one, passed * 3) == 6 and grading.points_of(one, passed + failed * 2) == 2
    assert grading.points_of(one, passed * 2 + stub) == 0 and grading.points_of(one, []) == 0

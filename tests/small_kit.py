"""A small kit: a chapter with one exercise of code and an open one, made of cells as the book's are."""

import json

import nbformat
import yaml

CELLS = {
    "title": "# A small chapter",
    "setup": """\
import torch

from hybridlib.page import exercise

data = torch.arange(5.0)
rng = torch.Generator().manual_seed(0)""",
    "long": "raise RuntimeError('this cell is not needed')",
    "exercises": "## Exercises\n\nReplace each `...`.\n\n### 1. Twice (drill)\n\nReturn the double of a tensor.",
    "ex1-stub": "def helper(x):\n    return x\n\n\ndef doubled(x):\n    return ...",
    "ex1-check": """\
def it_is_twice_as_much(f):
    for n in exercise.sizes(1, 9, 3):
        x = torch.rand(n, generator=rng)
        exercise.same(f(x), helper(2 * x))


def the_data_are_doubled(f):
    exercise.same(f(data), 2 * data)


def nothing_stays_nothing(f):
    exercise.same(f(torch.zeros(2)), torch.zeros(2))


ex1_properties = [it_is_twice_as_much, the_data_are_doubled, nothing_stays_nothing]
exercise.check(doubled, ex1_properties)""",
    "ex1-hint": "<details><summary>Hint</summary>\n\nAdd it to itself.\n\n</details>",
    "ex1-solution": """\
# @title Solution {display-mode: "form"}
def solution(x):
    return x + x  # to itself


print(solution(not_there))
result = exercise.check(solution, ex1_properties)
assert result.passed
result""",
    "ex2-text": "### 2. Four times\n\nWith your answer to the first.",
    "ex2": "def fourfold(x):\n    return ...",
    "ex2-check": """\
def it_is_four_times_as_much(f):
    exercise.same(f(data), 4 * data)


exercise.check(fourfold, [it_is_four_times_as_much])""",
    "ex2-solution": """\
def fourfold_solution(x):
    return 2 * (x + x)


exercise.check(fourfold_solution, [it_is_four_times_as_much])""",
    "ex3-text": "### 3. In words\n\nWhy twice?",
    "ex3": "*Your answer here.*",
}
ROW = {"from": "small", "points": 6, "minutes": 30, "rubric": "Short.", "needs": ["setup"]}
SET = {
    "title": "Doubles",
    "hours": 2,
    "about": "Twice.",
    "exercises": [
        ROW | {"exercise": "ex1"},
        ROW | {"exercise": "ex2", "points": 2, "needs": ["setup", "ex1-stub"]},
        ROW | {"exercise": "ex3", "points": 3},
    ],
}


def notebook(cells):
    """The cells as a notebook: what begins like Markdown is Markdown."""
    made = []
    for name, text in cells.items():
        code = not text.startswith(("#", "<", "*")) or text.startswith("# @")
        kind = nbformat.v4.new_code_cell if code else nbformat.v4.new_markdown_cell
        made.append(kind(text, id=name))
    return nbformat.v4.new_notebook(cells=made)


def write(folder):
    """The chapter, its set, and the settings of the site."""
    for name in ("book", "teach/exercises"):
        (folder / name).mkdir(parents=True)
    nbformat.write(notebook(CELLS), folder / "book/small.ipynb")
    (folder / "teach/assignments.yml").write_text(yaml.safe_dump({"doubles": SET}))
    (folder / "_config.yml").write_text("repository: {url: https://github.com/a-teacher/my-course, branch: term}\n")
    (folder / "book/introduction.ipynb").write_text(
        json.dumps({"cells": [{"id": "colab", "cell_type": "code", "source": "on_colab = False"}]})
    )

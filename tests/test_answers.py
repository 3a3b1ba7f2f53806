"""Exercises pass right answers and no others: every answer of tests/answers, tried in its chapter.

Runs the chapters, so `make quick` leaves it out. One exercise, quickly: `python tools/answers.py made ex3`.
"""

import os
import subprocess
import sys
from pathlib import Path

import answers
import pytest

from hybridlib.page import exercise

NOTEBOOKS = [path for folder in ("book", "teach/exercises") for path in (answers.ROOT / folder).glob("*.ipynb")]
CHAPTERS = sorted(path.stem for path in NOTEBOOKS if answers.exercises(path.stem))


def test_every_corpus_has_a_chapter():
    assert {path.stem for path in (answers.ROOT / "tests" / "answers").iterdir()} <= set(CHAPTERS)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_exercise_has_answers(chapter):
    gaps = answers.gaps(chapter)
    assert not gaps, "\n".join(gaps)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_answers_are_judged_as_they_are(chapter):
    """In a process of its own, since a chapter changes what it imports."""
    command = [sys.executable, Path(answers.__file__), chapter]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr


CHECK = """
def is_two(value):
    exercise.same(value, 2)


exercise.check(answer, [is_two])
"""


@pytest.mark.parametrize(
    "kind, code, complaint",
    [
        ("right", "answer = 2", ""),
        ("right", "answer = 3", "fails"),
        ("right", "answer = ...", "is taken for a stub"),
        ("stub", "answer = ...", ""),
        ("stub", "answer = 2", "is taken for an answer"),
        ("cheat", "answer = 2", "passes"),
        ("cheat", "answer = 1 / 0", "raises"),
        ("half", "answer = 3", ""),
        ("mistake", "answer = 4", "does not hear 'found 3'"),
    ],
)
def test_the_trial_tells_what_deviates(kind, code, complaint):
    feedback = answers.outcome(code, CHECK, {"exercise": exercise}, "<answer>")
    answer = {"is": kind} | ({"says": "found 3"} if kind in ("half", "mistake") else {})
    assert answers.wrong(answer, feedback) == complaint

"""Exercises pass right answers and no others: every answer of tests/answers, tried in its chapter.

Runs the chapters, so `make quick` leaves it out. One exercise, quickly: `python tools/answers.py made ex3`.
"""

import os
import subprocess
import sys
from pathlib import Path

import answers
import first_cells
import pytest

CHAPTERS = sorted(path.stem for path in first_cells.notebooks() if answers.exercises(path.stem))


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

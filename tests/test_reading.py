"""What the chapters and the introduction say about their length, counted."""

import re
from pathlib import Path

import pytest
import reading

BOOK = Path(__file__).resolve().parent.parent / "book"
CHAPTERS = reading.names()[1:]
HEADER = (
    r"\*\*Reading\*\* takes about (\d+) minutes(?:, [^;]*)?, the exercises about (\d+) more; "
    r"\*\*computing\*\* (under a|about a|about two|about three) CPU minutes?\b"
)
TENS = {12: "twelve", 13: "thirteen", 14: "fourteen", 19: "nineteen", 20: "twenty", 21: "twenty-one"}


def text(name):
    return (BOOK / f"{name}.ipynb").read_text("utf-8")


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_header_says_what_is_counted(name):
    said = re.findall(HEADER, text(name))
    assert len(said) == 1, f"the header of {name} should say: {HEADER}"
    read, work = (int(number) for number in said[0][:2])
    assert read % 5 == 0 and abs(read - reading.minutes(name)) < 5, f"{reading.minutes(name):.0f} minutes were counted"
    assert work == sum(exercise.minutes for exercise in reading.exercises(name).values())


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_exercise_says_its_kind_and_its_minutes(name):
    checks = set(re.findall(r'"id": "(ex\d+)-check"', text(name)))
    assert reading.exercises(name).keys() == checks
    assert all(10 <= exercise.minutes <= 60 for exercise in reading.exercises(name).values())


def test_the_introduction_adds_them_up():
    read, work = (
        sum(times) / 60
        for times in (
            [reading.minutes(name) for name in CHAPTERS],
            [exercise.minutes for name in CHAPTERS for exercise in reading.exercises(name).values()],
        )
    )
    said = f"take about {TENS[round(read)]} hours to read, at 200 words and twelve lines of code a minute"
    assert said in text("introduction")
    assert f"the exercises about {TENS[round(work)]} hours more" in text("introduction")
    stated = int(re.search(r"\*\*Reading\*\* this page takes about (\d+) minutes", text("introduction"))[1])
    assert abs(stated - reading.minutes("introduction")) < 5


def test_sections_hold_their_subsections_and_are_all_of_the_chapter():
    found = reading.sections("bug-hunt")
    assert next(iter(found)) == "the-bug-hunt" and found["the-bug-hunt"].level == 1
    assert abs(found["the-bug-hunt"].minutes - reading.minutes("bug-hunt")) < 1e-6
    below = [found[key].minutes for key in found if found[key].level == 3]
    assert found["it-runs-and-sees-too-much"].minutes > found["the-loss-that-is-too-good"].minutes
    assert sum(below) < sum(section.minutes for section in found.values() if section.level == 2)


def test_headings_are_named_as_the_site_names_them():
    assert reading.anchor("$D!$ triangles with one network") == "d-triangles-with-one-network"
    assert reading.anchor("6. Ten seconds, well spent (open-ended)") == "ten-seconds-well-spent-open-ended"

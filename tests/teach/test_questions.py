"""Questions beside the chapters: each chapter has its own, rubrics add up, demonstrations print what they should."""

import contextlib
import io

import pytest
import reading
import teaching

from hybridlib.noise import seeded
from hybridlib.page import widgets
from hybridlib.teach import lms

QUESTIONS = teaching.data("questions")
PREREQUISITES = teaching.data("prerequisites")
CURES = {
    f"{name}, {number}": item
    for name, asked in QUESTIONS.items()
    for number, item in enumerate(asked["misconceptions"], 1)
}


def test_every_chapter_has_questions():
    assert list(QUESTIONS) == reading.names()


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_chapter_has_three_discussions_an_exam_and_misconceptions(name):
    asked = QUESTIONS[name]
    assert asked.keys() == {"discussion", "exam", "misconceptions"}
    assert len(asked["discussion"]) == 3 and len(asked["misconceptions"]) >= 3
    assert all(item.keys() == {"ask", "touches"} for item in asked["discussion"])
    assert asked["exam"].keys() == {"ask", "rubric", "vary"}
    assert sum(points for points, _ in asked["exam"]["rubric"]) == 10
    assert any("code" in item for item in asked["misconceptions"]), "nothing can be shown at once"


@pytest.mark.parametrize("name", CURES)
def test_a_cure_leads_to_a_place_that_exists(name):
    item = CURES[name]
    assert {"belief", "cure", "place"} <= item.keys() <= {"belief", "cure", "place", "code", "prints"}
    chapter, key = teaching.parts_of(item["place"])
    assert "#" in item["place"] and key in reading.sections(chapter), item["place"]
    assert ("code" in item) == ("prints" in item)


@pytest.mark.parametrize("name", [name for name, item in CURES.items() if "code" in item])
def test_a_demonstration_prints_what_the_page_says(name):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), seeded(0):
        exec(compile(CURES[name]["code"], f"<{name}>", "exec"), {"__name__": "demonstration"})
    assert printed.getvalue().strip() == CURES[name]["prints"].strip()
    lines = CURES[name]["code"].splitlines()
    assert len(lines) <= 14, "that is no demonstration any more"
    assert max(map(len, lines)) <= 76, "the page is not wider"


def test_there_are_ten_prerequisites_each_with_a_place_to_refresh():
    assert len(PREREQUISITES) == 10
    for item in PREREQUISITES:
        assert item["refresh"].keys() == {"text", "href"} and item["refresh"]["href"].startswith("https://")
    shown = widgets.quiz([lms.without_link(item) for item in PREREQUISITES]).data["questions"]
    places = [[option["correct"] for option in question["options"]].index(True) for question in shown]
    assert len({*places}) == 3, "who always takes the same place should not pass"

"""Sessions and syllabi: minutes add up, weeks fit into their hours, and nothing is used before it was taught."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
import reading
import teaching

ROOT = Path(__file__).resolve().parents[2]
DATA = teaching.data("syllabi")
SESSIONS, SYLLABI = DATA["sessions"], DATA["syllabi"]
CHAPTERS = reading.names()[1:]
BESIDE = ("Exercises", "Check yourself", "Summary", "Further reading", "Time")  # counted with others, or not at all


def above(name):
    """All sessions that must come before one."""
    return {before for need in SESSIONS[name]["needs"] for before in {need, *above(need)}}


def taught(chapter):
    """The sessions that a chapter is spread over, in their order."""
    asks = {name: [*session["before"], *session["after"], *session["exercises"]] for name, session in SESSIONS.items()}
    return [name for name, places in asks.items() if chapter in {teaching.parts_of(place)[0] for place in places}]


@pytest.mark.parametrize("name", SESSIONS)
class TestSession:
    def test_has_all_that_a_session_has_and_nothing_else(self, name):
        keys = {"title", "about", "needs", "before", "after", "plan", "exercises"}
        assert keys <= SESSIONS[name].keys() <= keys | {"essentials"}
        assert re.fullmatch(r"\d\d-[a-z-]+", name)

    def test_fills_its_ninety_minutes(self, name):
        plan = SESSIONS[name]["plan"]
        assert sum(minutes for minutes, _ in plan) == teaching.SLOT
        assert all(minutes <= 21 for minutes, _ in plan), "nobody listens to one thing for longer"

    def test_needs_sessions_that_stand_before_it(self, name):
        order = list(SESSIONS)
        assert all(order.index(need) < order.index(name) for need in SESSIONS[name]["needs"])

    def test_reads_sections_that_exist(self, name):
        for place in [*SESSIONS[name]["before"], *SESSIONS[name]["after"], *SESSIONS[name].get("essentials", [])]:
            chapter, key = teaching.parts_of(place)
            assert key in reading.sections(chapter), f"{place}: there is no such section"

    def test_what_stands_in_for_it_is_its_own_reading(self, name):
        own = {teaching.parts_of(place) for when in ("before", "after") for place in SESSIONS[name][when]}
        for chapter, key in map(teaching.parts_of, SESSIONS[name].get("essentials", [])):
            keys = list(reading.sections(chapter))
            above_it = [k for k in keys[: keys.index(key) + 1] if reading.sections(chapter)[k].level <= 2]
            assert (chapter, key) in own or (chapter, above_it[-1]) in own

    def test_what_a_chapter_says_it_needs_was_taught(self, name):
        """The links after "You need" of each chapter that begins in this session."""
        for chapter in CHAPTERS:
            if taught(chapter)[0] != name:
                continue
            text = (ROOT / "book" / f"{chapter}.ipynb").read_text("utf-8")
            needed = re.findall(r"\(([\w-]+)\.ipynb\)", re.search(r"\*\*You need\*\*.*?\*\*Reading\*\*", text)[0])
            missed = {session for other in needed for session in taught(other)} - above(name) - {name}
            assert not missed, f"{chapter} needs {needed}, so that {name} needs {missed}"

    def test_its_deck_fits(self, name):
        deck = (ROOT / "teach" / "slides" / f"{name}.md").read_text("utf-8")
        minutes = [int(found) for found in re.findall(r"^(\d+) min\b", deck, re.MULTILINE)]
        assert 45 <= sum(minutes) <= teaching.SLOT, f"the notes of {name} ask for {sum(minutes)} minutes"


def test_every_section_is_read_once_or_said_to_be_optional():
    asked = [teaching.parts_of(place) for s in SESSIONS.values() for when in ("before", "after") for place in s[when]]
    asked += [teaching.parts_of(place) for place in DATA["optional"]]
    whole = [
        (chapter, key)
        for chapter in CHAPTERS
        for key, section in reading.sections(chapter).items()
        if section.level == 2 and section.title not in BESIDE
    ]
    once = [place for place in asked if place in whole]
    assert sorted(once) == sorted(whole), {*whole} ^ {*once}


def test_the_minutes_of_all_sessions_are_those_of_the_chapters():
    read = sum(
        teaching.to_read(s["before"]) + teaching.to_read(s["after"]) for n, s in SESSIONS.items() if n[:2] != "00"
    )
    optional = teaching.to_read(DATA["optional"])
    beside = sum(
        section.minutes
        for chapter in CHAPTERS
        for section in reading.sections(chapter).values()
        if section.title in BESIDE or section.level == 1
    ) - sum(section.minutes for c in CHAPTERS for s, section in reading.sections(c).items() if section.level == 2)
    everything = sum(reading.minutes(chapter) for chapter in reading.names())
    assert abs(everything - read - optional - beside) < 1e-6


def test_every_exercise_belongs_to_one_session():
    found = [(name, key) for s in SESSIONS.values() for name, keys in s["exercises"].items() for key in keys]
    assert sorted(found) == sorted((name, key) for name in CHAPTERS for key in reading.exercises(name))


@pytest.mark.parametrize("name", SYLLABI)
class TestSyllabus:
    def test_knows_its_sessions_sets_and_kinds(self, name):
        syllabus = SYLLABI[name]
        keys = {"title", "about", "part", "hours", "kinds", "skip", "parts"}
        assert keys <= syllabus.keys() <= keys | {"class", "worked", "reads"}
        for part in syllabus["parts"]:
            assert {*part["sessions"], *part.get("instead", [])} <= SESSIONS.keys()
            assert {*part.get("sets", [])} <= {"autoregression", "made", "flows", "graphaf"}
        assert {*syllabus["kinds"]} <= {"drill", "middle", "advanced", "open-ended"}

    def test_no_part_asks_for_more_than_the_hours_it_states(self, name):
        totals = [part["total"] for part in teaching.at_home(SYLLABI[name])]
        assert max(totals) <= 60 * SYLLABI[name]["hours"], [round(total) for total in totals]
        assert max(totals) > 30 * SYLLABI[name]["hours"], "nobody plans twice the hours for nothing"

    def test_nothing_is_used_before_it_was_taught(self, name):
        known = set()
        for part in SYLLABI[name]["parts"]:
            assert all("essentials" in SESSIONS[left] for left in part.get("instead", []))
            known |= {*part.get("instead", [])}  # read before the part begins
            for session in part["sessions"]:
                missed = {*SESSIONS[session]["needs"]} - known
                assert not missed, f"{session} needs {missed}"
                known.add(session)

    def test_a_set_is_handed_out_when_its_exercises_have_been_taught(self, name):
        known, taught_ = [], set()
        for part in SYLLABI[name]["parts"]:
            for graded in set(part.get("sets", [])) - {*known}:
                missed = teaching.in_set(graded) - taught_
                assert not missed, f"{graded} asks for {missed}"
                known.append(graded)
            taught_ |= {
                (c, key) for s in part["sessions"] for c, keys in SESSIONS[s]["exercises"].items() for key in keys
            }

    def test_an_exercise_class_fills_its_ninety_minutes(self, name):
        if "class" in SYLLABI[name]:
            assert sum(minutes for minutes, _ in SYLLABI[name]["class"]) == teaching.SLOT
            assert SYLLABI[name]["worked"] in [minutes for minutes, _ in SYLLABI[name]["class"]]


def test_the_courses_are_those_that_were_promised():
    counts = {name: [len(part["sessions"]) for part in syllabus["parts"]] for name, syllabus in SYLLABI.items()}
    assert counts["lecture"] == [1] and counts["two-days"] == [4, 4]
    assert counts["six-weeks"] == [2] * 6 + [0] and counts["twelve-weeks"] == [1] * 12 + [0]
    for name in ("six-weeks", "twelve-weeks"):
        run = [session for part in SYLLABI[name]["parts"] for session in part["sessions"]]
        assert run == list(SESSIONS)[1:], "the whole book, in its order"


def test_a_subsection_asked_for_elsewhere_does_not_count_twice():
    whole = reading.sections("dequantization")["below-the-exact-probability"].minutes
    part = reading.sections("dequantization")["noise-that-knows-the-cell"].minutes
    assert abs(teaching.to_read(["dequantization#below-the-exact-probability"]) - (whole - part)) < 1e-9
    assert abs(teaching.to_read(["dequantization#noise-that-knows-the-cell"]) - part) < 1e-9


def test_clocks_are_rounded_to_five_minutes():
    assert [teaching.clock(minutes) for minutes in (0, 12.6, 57.6, 97)] == ["0 min", "15 min", "1 h 00", "1 h 35"]


def test_a_plan_says_when_each_row_begins():
    begins = [line.split("|")[1].strip() for line in teaching.plan([[10, "a"], [55, "b"], [25, "c"]])[2:]]
    assert begins == ["0:00", "0:10", "1:05"]
    assert all(a < b for a, b in pairwise(begins))


def columns(lines):
    """Tables among the lines of a page -> the numbers of columns in each."""
    tables, inside = [], False
    for line in lines:
        if line.startswith("|"):
            tables = tables if inside else [*tables, set()]
            tables[-1].add(len(re.findall(r"(?<!\\)\|", line)) - 1)
        inside = line.startswith("|")
    return tables


def test_every_row_of_a_table_has_its_columns():
    pages = [teaching.shown_syllabus(syllabus) for syllabus in SYLLABI.values()]
    pages += [teaching.shown_session(name, session) for name, session in SESSIONS.items()]
    pages += [teaching.shown_questions(asked) for asked in teaching.data("questions").values()]
    found = [table for lines in pages for table in columns(lines)]
    assert len(found) == len(SYLLABI) + 1 + len(SESSIONS) + len(reading.names())
    assert all(len(table) == 1 for table in found), found


def test_a_link_leads_to_its_section():
    made = teaching.link("made#which-degrees")
    assert made == '<a href="../made.html#which-degrees">chapter 5, Which degrees?</a>'
    assert teaching.link("introduction") == '<a href="../introduction.html">the introduction</a>'

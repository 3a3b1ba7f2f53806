"""The pages for teachers, made from the data in teach/ while the site is built, so that they cannot differ from it.

`{syllabi}` and `{sessions}` show teach/syllabi.yml, `{beside}` shows teach/questions.yml, and `{prerequisites}` shows
teach/prerequisites.yml.
"""

from functools import cache
from html import escape
from pathlib import Path

import reading
import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

TEACH = Path(__file__).resolve().parent.parent / "teach"
SLOT = 90  # minutes of a session


@cache
def data(name):
    """What teach/NAME.yml says."""
    return yaml.safe_load((TEACH / f"{name}.yml").read_text("utf-8"))


def number(name):
    """A chapter as people call it: "made" -> "chapter 5"; the introduction has no number."""
    return "introduction" if name == "introduction" else f"chapter {reading.names().index(name)}"


def parts_of(place):
    """A section, written CHAPTER#ID or CHAPTER -> (chapter, id); an id of its own is the title's."""
    name, _, key = place.partition("#")
    return name, key or next(iter(reading.sections(name)))


def asked_for():
    """Every section that a session asks for before or after it -> set of (chapter, id)."""
    sessions = data("syllabi")["sessions"].values()
    return {parts_of(place) for session in sessions for when in ("before", "after") for place in session[when]}


def to_read(places):
    """Minutes for sections. A subsection that is asked for in another place does not count with its section."""
    total = 0
    for name, key in map(parts_of, places):
        found = reading.sections(name)
        total += found[key].minutes
        keys = list(found)
        for below in keys[keys.index(key) + 1 :]:
            if found[below].level <= found[key].level:
                break
            total -= found[below].minutes * ((name, below) in asked_for())
    return total


def to_solve(session, kinds, graded=()):
    """The exercises of a session of some kinds that are in no graded set -> [(chapter, ex1), ...]."""
    return [
        (name, key)
        for name, keys in session["exercises"].items()
        for key in keys
        if reading.exercises(name)[key].kind in kinds and (name, key) not in graded
    ]


def in_set(name):
    """The exercises of chapters in a graded set -> {(chapter, ex1), ...}."""
    chosen = data("assignments")[name]["exercises"]
    return {(item["from"], item["exercise"]) for item in chosen if item["from"] in reading.names()}


def at_home(syllabus):
    """What each part of a syllabus asks for outside of the room -> a list of dicts of minutes and exercises."""
    sessions, found = data("syllabi")["sessions"], []
    given = [name for part in syllabus["parts"] for name in part.get("sets", [])]
    graded = set().union(*map(in_set, given))
    for part in syllabus["parts"]:
        own = [sessions[name] for name in part["sessions"]]
        reads = syllabus.get("reads", ["before", "after"])
        places = [place for session in own for when in reads for place in session[when]]
        places += [place for name in part.get("instead", []) for place in sessions[name]["essentials"]]
        work = [exercise for session in own for exercise in to_solve(session, syllabus["kinds"], graded)]
        solve = sum(reading.exercises(name)[key].minutes for name, key in work)
        handed = sum(60 * data("assignments")[name]["hours"] / given.count(name) for name in part.get("sets", []))
        left = max(0, solve - (syllabus.get("worked", 0) if part["sessions"] else 0))
        found.append({"read": to_read(places), "solve": solve, "left": left, "graded": handed})
        found[-1]["total"] = found[-1]["read"] + left + handed
    return found


def clock(minutes):
    """Minutes in words, to the next five: 95 -> "1 h 35"."""
    five = 5 * round(minutes / 5)
    return f"{five // 60} h {five % 60:02}" if five >= 60 else f"{five} min"


def link(place):
    """A section as a link of the page, with its chapter in front."""
    name, key = parts_of(place)
    anchor = f"#{key}" if "#" in place else ""
    title = f"{number(name)}, {reading.sections(name)[key].title}" if anchor else f"the {number(name)}"
    return f'<a href="../{name}.html{anchor}">{title}</a>'


def session_link(name):
    return f'<a href="#session-{name}">{name[:2]} {escape(data("syllabi")["sessions"][name]["title"])}</a>'


def shown_syllabus(syllabus):
    """A syllabus as text for the page: what it is for, a table of its parts, the plan of its exercise class."""
    most = f"{syllabus['hours']} hours" if syllabus["hours"] >= 1 else f"{60 * syllabus['hours']:.0f} minutes"
    most = f"At home {most} are enough for each {syllabus['part'].lower()}."
    lines = [f"{syllabus['about']} {most}", "", f"**What to skip.** {syllabus['skip']}", ""]
    lines += [f"| {syllabus['part']} | sessions | reading | exercises | graded set | at home |", "|--|--|--|--|--|--|"]
    home = at_home(syllabus)
    for count, (part, minutes) in enumerate(zip(syllabus["parts"], home), 1):
        own = "<br>".join(map(session_link, part["sessions"])) or "none: the last set"
        if part.get("instead"):
            own += "<br>read instead: " + ", ".join(map(session_link, part["instead"]))
        row = [str(count) if part["sessions"] else "after", own, clock(minutes["read"]), clock(minutes["solve"])]
        row += [", ".join(part.get("sets", [])) or "none", clock(minutes["total"])]
        lines.append(f"| {' | '.join(row)} |")
    whole = {key: sum(minutes[key] for minutes in home) for key in home[0]}
    count = sum(len(part["sessions"]) for part in syllabus["parts"])
    total = [f"{count} of {clock(SLOT)}", clock(whole["read"]), clock(whole["solve"]), "", clock(whole["total"])]
    lines += [f"| all | {' | '.join(total)} |", ""]
    if "class" in syllabus:
        worked = f"of which {syllabus['worked']} minutes are spent on exercises and are not counted again at home"
        lines += [f"The exercise class of each week, {worked}:", "", *plan(syllabus["class"]), ""]
    return lines


def plan(rows):
    """A minute plan as a table, with the clock of the lesson beside each row."""
    lines, begun = ["| from | minutes | what |", "|--|--|--|"], 0
    for minutes, what in rows:
        lines.append(f"| {begun // 60}:{begun % 60:02} | {minutes} | {what} |")
        begun += minutes
    return lines


def shown_session(name, session):
    """A session as text for the page: its minute plan, and what to read and to solve."""
    lines = [session["about"], ""]
    if session["needs"]:
        lines += [f"**Needs** {', '.join(map(session_link, session['needs']))}.", ""]
    lines += [*plan(session["plan"]), ""]
    for when in ("before", "after"):
        if session[when]:
            lines += [f"**Read {when}**, {clock(to_read(session[when]))}: {'; '.join(map(link, session[when]))}.", ""]
    if "essentials" in session:
        spent, places = clock(to_read(session["essentials"])), "; ".join(map(link, session["essentials"]))
        lines += [f"**If the session is left out**, read at least, {spent}: {places}.", ""]
    work = []
    for chapter, keys in session["exercises"].items():
        for key in keys:
            item = reading.exercises(chapter)[key]
            title = f"{number(chapter)}, exercise {key[2:]}, {item.title}"
            work.append(f'<a href="../{chapter}.html#{item.id}">{title}</a> ({item.kind}, {item.minutes} min)')
    if work:
        spent = sum(reading.exercises(c)[key].minutes for c, keys in session["exercises"].items() for key in keys)
        lines += [f"**Exercises**, {clock(spent)}: {'; '.join(work)}.", ""]
    lines += [f"**Slides** `teach/slides/{name}.md`, built by `make teach`.", ""]
    return lines


def shown_questions(asked):
    """What stands beside a chapter as text for the page: discussion, exam question with a folded rubric, and cures."""
    lines = ["**To discuss**", ""]
    for item in asked["discussion"]:
        lines += [f"1. {item['ask']}", "", f"   *A good discussion touches:* {item['touches']}", ""]
    points = sum(worth for worth, _ in asked["exam"]["rubric"])
    lines += [f"**For an exam**, {points} points", "", asked["exam"]["ask"], ""]
    lines += ["<details><summary>Rubric, and how to vary the question</summary>", ""]
    rubric = [(worth, what.replace("|", r"\|")) for worth, what in asked["exam"]["rubric"]]  # bars would be columns
    lines += ["| points | for |", "|--|--|", *(f"| {worth} | {what} |" for worth, what in rubric), ""]
    lines += [
        f"*To vary it:* {asked['exam']['vary']}",
        "",
        "</details>",
        "",
        "**What people believe, and what cures it**",
        "",
    ]
    for item in asked["misconceptions"]:
        lines += [f"- *{item['belief'].rstrip('.')}.* {item['cure']} Shown in {link(item['place'])}.", ""]
        if "code" in item:
            lines += ["  ```python", *(f"  {line}".rstrip() for line in item["code"].splitlines()), "  ```", ""]
            lines += [
                "  It prints:",
                "",
                "  ```text",
                *(f"  {line}" for line in item["prints"].splitlines()),
                "  ```",
                "",
            ]
    return lines


class FromData(SphinxDirective):
    """A directive whose text comes from teach/ and from the chapters: the page is built again when one changes."""

    files = ()

    def parsed(self, lines, into):
        self.state.nested_parse(StringList(lines, "teach"), 0, into)

    def section(self, ident, title, lines):
        """A section of the page, with a heading and an address of its own."""
        made = nodes.section(ids=[ident], names=[ident])
        made += nodes.title(title, title)
        self.parsed(lines, made)
        return made

    def run(self):
        for path in [*(TEACH / f"{name}.yml" for name in self.files), *(TEACH.parent / "book").glob("*.ipynb")]:
            self.env.note_dependency(str(path))
        return self.shown()


class Syllabi(FromData):
    files = ("syllabi", "assignments")

    def shown(self):
        known = data("syllabi")["syllabi"]
        return [self.section(name, known[name]["title"], shown_syllabus(known[name])) for name in known]


class Sessions(FromData):
    files = ("syllabi",)

    def shown(self):
        known = data("syllabi")["sessions"]
        return [
            self.section(f"session-{name}", f"{name[:2]} {session['title']}", shown_session(name, session))
            for name, session in known.items()
        ]


class Beside(FromData):
    files = ("questions",)

    def shown(self):
        asked = data("questions")
        titles = {name: next(iter(reading.sections(name).values())).title for name in asked}
        return [self.section(f"beside-{name}", titles[name], shown_questions(asked[name])) for name in asked]


class Prerequisites(FromData):
    files = ("prerequisites",)

    def shown(self):
        from hybridlib.page import widgets
        from hybridlib.teach import lms

        asked = data("prerequisites")
        quiz = widgets.quiz([lms.without_link(item) for item in asked], title="Ten questions")
        refresh = [f"1. [{item['refresh']['text']}]({item['refresh']['href']})" for item in asked]
        below = nodes.container()
        self.parsed(
            ["Where the subject of each question can be read again, in the sequence of the questions:", "", *refresh],
            below,
        )
        return [nodes.raw("", quiz.html(), format="html"), *below.children]


def setup(app):
    """Called by site_fixes, the extension of the site."""
    for directive in (Syllabi, Sessions, Beside, Prerequisites):
        app.add_directive(directive.__name__.lower(), directive)

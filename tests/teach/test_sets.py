"""The sets of the book are whole and fit their hours; a wrong entry is one clear error."""

import builtins
import copy
import os
import re
import symtable

import pytest
import small_kit
import yaml

from hybridlib.teach import sets


def test_the_sets_of_the_book_are_four_to_eight_hours_long():
    found = sets.assignments()
    assert all(4 <= one.hours <= 8 for one in found.values())
    for one in found.values():
        assert all(exercise.rubric.strip() for exercise in one.exercises)


def test_parts_of_an_exercise(kit):
    first, second, third = sets.assignment("doubles").exercises
    assert first.text == "### 1. Twice (drill)\n\nReturn the double of a tensor."
    assert first.asked == ["doubled"] and first.stub_id == "ex1-stub"
    assert first.part("hint").startswith("<details>") and second.part("hint") is None
    assert (second.stub_id, third.stub_id) == ("ex2", "ex3") and third.is_open and not second.is_open


def written(kit, change):
    table = {"doubles": copy.deepcopy(small_kit.SET)}
    change(table)
    (kit / sets.PLACE).write_text(yaml.safe_dump(table))


WRONG = {
    "minutes do not fit": (
        lambda t: t["doubles"].update(hours=4),
        "90 minutes together, which does not fit its 4",
    ),
    "too many minutes": (lambda t: t["doubles"].update(hours=1), "does not fit its 1 hours"),
    "no hours": (lambda t: t["doubles"].update(hours=None), "does not fit its None hours"),
    "chapter": (lambda t: t["doubles"]["exercises"][0].update({"from": "smal"}), "there is no book/smal.ipynb"),
    "exercise": (lambda t: t["doubles"]["exercises"][0].update(exercise="ex9"), "no exercise 'ex9'; it has ex1, ex2"),
    "no exercise": (lambda t: t["doubles"]["exercises"][0].update(exercise="setup"), "no exercise 'setup'"),
    "cell": (lambda t: t["doubles"]["exercises"][0].update(needs=["stup"]), "no cell of code with the id 'stup'"),
    "text": (lambda t: t["doubles"]["exercises"][0].update(needs=["title"]), "no cell of code with the id 'title'"),
    "points": (lambda t: t["doubles"]["exercises"][0].update(points=0), "points must be a positive number, got 0"),
    "minutes": (
        lambda t: t["doubles"]["exercises"][0].update(minutes="ten"),
        "must be a positive number, got 'ten'",
    ),
    "needs": (lambda t: t["doubles"]["exercises"][0].update(needs="setup"), "needs is a list"),
    "twice": (lambda t: t["doubles"]["exercises"].append(t["doubles"]["exercises"][0]), "small ex1 stands there twice"),
    "field": (lambda t: t["doubles"]["exercises"][0].update(pionts=3), "no more and no less"),
    "set field": (lambda t: t["doubles"].pop("title"), "a set has title, hours, about and exercises"),
    "no exercises": (lambda t: t["doubles"].update(exercises=[]), "at least one"),
    "name": (lambda t: t.update({"../up": t.pop("doubles")}), "small letters, digits and hyphens"),
    "empty": (lambda t: t.clear(), "must hold sets by name"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_entry_is_one_clear_error(kit, name):
    change, told = WRONG[name]
    written(kit, change)
    with pytest.raises(ValueError, match=r"\Ateach/assignments.yml") as error:
        sets.assignments()
    assert told in str(error.value) and "\n" not in str(error.value)


def test_what_is_no_table_is_told(kit):
    (kit / sets.PLACE).write_text("a: [")
    with pytest.raises(ValueError, match="is no YAML"):
        sets.assignments()
    os.chdir(kit / "book")
    with pytest.raises(ValueError, match="at the top of a clone"):
        sets.assignments()


def test_minutes_are_those_that_the_chapters_and_the_longer_exercises_say():
    longer = {}
    for chosen in sets.assignments().values():
        for one in chosen.exercises:
            if one.notebook.parent == sets.LONGER:
                longer.setdefault(one.notebook, []).append(one)
            else:
                assert f", {one.minutes} minutes)" in one.text.splitlines()[0], one.title
        assert len({one.notebook for one in chosen.exercises if one.notebook.parent == sets.LONGER}) == 2
    for path, parts in longer.items():
        said = re.search(r"Time: about (\d+ minutes|two hours)", path.read_text("utf-8"))[1]
        minutes = 120 if said == "two hours" else int(said.split()[0])
        assert sum(one.minutes for one in parts) == minutes, path.stem
        assert [one.name for one in parts] == [f"ex{n}" for n in range(1, len(parts) + 1)], "all parts of it"


def globals_of(code, name):
    """Global names that a piece of code uses, and those that it makes."""
    used, made, tables = set(), set(), [symtable.symtable(code, name, "exec")]
    for table in tables:  # which grows
        tables += table.get_children()
        top = table.get_type() == "module"
        for symbol in table.get_symbols():
            if top and (symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()):
                made.add(symbol.get_name())
            if symbol.is_referenced() and (top or symbol.is_global()):
                used.add(symbol.get_name())
    return used, made


def test_an_exercise_needs_all_cells_whose_names_it_uses():
    for chosen in sets.assignments().values():
        for one in chosen.exercises:
            if not one.is_open:
                stubs = [sets.text_of(one.cells[name]) for name in one.needs if sets.STUBS.fullmatch(name)]
                codes = [one.given_code(name) for name in one.given] + [*stubs, one.part("stub"), one.part("check")]
                if not chosen.withheld:
                    codes.append(sets.as_answer(one))
                used, made = map(set().union, *(globals_of(code, one.title) for code in codes))
                # what the solution of an earlier part defines, this one's may use
                for earlier in chosen.exercises:
                    if earlier.notebook == one.notebook and earlier.stub_id in one.needs and not chosen.withheld:
                        made |= globals_of(sets.as_answer(earlier), one.title)[1]
                assert not (lost := used - made - {*dir(builtins)}), f"{one.title}: nothing that it needs makes {lost}"

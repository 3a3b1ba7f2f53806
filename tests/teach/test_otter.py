"""A set for Otter-Grader: blocks that are opened and closed, tests that stand alone, prompts without solutions."""

import ast
import json

import pytest

from hybridlib.teach import handouts, otter, sets


def test_blocks_are_those_of_otter(kit):
    (path,) = otter.export_otter(sets.assignment("doubles"), kit / "out")
    cells = json.loads(path.read_text())["cells"]
    raw = [cell["source"].splitlines()[0] for cell in cells if cell["cell_type"] == "raw"]
    solution, tests = ["# BEGIN SOLUTION", "# END SOLUTION"], ["# BEGIN TESTS", "# END TESTS"]
    question = ["# BEGIN QUESTION", *solution, *tests, "# END QUESTION"]
    by_hand = ["# BEGIN QUESTION", *solution, "# END QUESTION"]
    assert raw == ["# ASSIGNMENT CONFIG", *question * 2, *by_hand]
    assert cells[-4]["cell_type"] == "raw" and "manual: true" in "".join(cell["source"] for cell in cells)


def test_what_otter_leaves_to_students_is_the_stub(kit):
    for one in sets.assignment("doubles").exercises[:2]:
        text = next(cell["source"] for cell in otter._question(one) if "# BEGIN PROMPT" in cell["source"])
        assert one.part("stub") in text and text.index("# END PROMPT") < text.index("# BEGIN SOLUTION NO PROMPT")
        names = {"torch": __import__("torch")}
        exec(text, names)  # the master's own run: the prompt is a string
        assert names[one.asked[0]](3) == {"doubled": 6, "fourfold": 12}[one.asked[0]]


@pytest.mark.parametrize(("code", "holds"), [(None, True), ("def doubled(x):\n    return 3 * x", False), ("", False)])
def test_a_test_is_one_function_that_judges_the_names_of_a_notebook(kit, code, holds):
    one = sets.assignment("doubles").exercises[0]
    env, found = {}, []
    exec(one.part("stub"), env)
    exec(sets.as_answer(one) if code is None else code, env)
    for text in otter._tests(one):
        (function,) = ast.parse(text).body
        names = {}
        exec(text, names)
        try:
            names[function.name](env)
            found.append(True)
        except AssertionError:
            found.append(False)
    assert len(found) == 3 and all(found) is holds


def test_without_solutions_nothing_is_written(kit):
    handouts.withhold([sets.assignment("doubles")])
    with pytest.raises(ValueError, match="small ex1 is withheld"):
        otter.export_otter(sets.assignment("doubles"), kit / "out")
    assert not (kit / "out").exists()

"""The longer exercises of teach/exercises: what the grader and the reader of their cells rely on."""

import json
import re

import answers
import chapters
import pytest

from hybridlib.page import exercise

EXERCISES = sorted((answers.ROOT / "teach" / "exercises").glob("*.ipynb"))
# what its set is called in teach/assignments.yml
SETS = "autoregression", "made", "flows", "graphaf"


def loaded(path):
    notebook = json.loads(path.read_text("utf-8"))
    return notebook, {cell["id"]: cell for cell in notebook["cells"]}


@pytest.mark.parametrize("path", EXERCISES, ids=lambda path: path.stem)
class TestLonger:
    def test_what_the_teacher_needs_stands_in_its_metadata(self, path):
        teach = loaded(path)[0]["metadata"]["teach"]
        assert set(teach) == {"set", "points", "minutes", "parts", "rubric"}
        assert teach["set"] in SETS and 45 <= teach["minutes"] <= 120
        assert sum(teach["parts"].values()) == teach["points"]

    def test_parts_follow_the_convention(self, path):
        notebook, cells = loaded(path)
        parts = notebook["metadata"]["teach"]["parts"]
        assert {"question", "imports", "data"} <= set(cells)
        assert [name for name in cells if re.fullmatch(r"ex\d+", name)] == list(parts)
        for name, points in parts.items():
            text = "".join(cells[f"{name}-text"]["source"])
            assert f"({points} points)" in text.splitlines()[0], f"{name}: the heading says other points"
            if cells[name]["cell_type"] == "markdown":  # answered in words: judged by the rubric
                assert f"{name}-check" not in cells and f"{name}-solution" in cells
                assert f"Part {name[2:]}" in notebook["metadata"]["teach"]["rubric"]
                continue
            check = "".join(cells[f"{name}-check"]["source"]).splitlines()
            assert re.fullmatch(rf"exercise\.check\(.+, {name}_properties\)", check[-1]), check[-1]
            assert cells[f"{name}-check"]["metadata"] == {"tags": ["hide-input"]}
            assert cells[f"{name}-solution"]["metadata"] == {"cellView": "form", "tags": ["hide-cell"]}
            assert f"{name}-hint" in cells

    def test_is_one_page_with_one_title_and_no_output(self, path):
        notebook, cells = loaded(path)
        assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
        assert len(cells) == len(notebook["cells"]), "two cells have the same id"
        for cell in cells.values():
            assert cell["cell_type"] == "markdown" or not (cell["outputs"] or cell["execution_count"])
        prose = "\n".join("".join(c["source"]) for c in cells.values() if c["cell_type"] == "markdown")
        assert len(re.findall(r"^# ", prose, flags=re.MULTILINE)) == 1 and "**Hand in**" in prose


@pytest.mark.parametrize("path", EXERCISES, ids=lambda path: path.stem)
def test_each_check_needs_imports_and_data_alone(path):
    cells = {name: (tags, source) for _, name, tags, source in chapters.cells(path)}
    given = {"__name__": "__main__"}
    for name, (_, source) in cells.items():
        if name == "imports" or name.split("-")[0] == "data":
            exec(compile(source, f"<{name}>", "exec"), given)
    for name in answers.exercises(path.stem):
        names = dict(given)
        exec(compile(cells[name][1], f"<{name}>", "exec"), names)
        feedback = answers.outcome("", cells[f"{name}-check"][1], names, f"<{name}>")
        assert isinstance(feedback, exercise.Result) and feedback.summary.startswith("Not written yet"), feedback


def test_every_set_has_two():
    sets = [loaded(path)[0]["metadata"]["teach"]["set"] for path in EXERCISES]
    assert sorted(sets) == sorted(2 * SETS)

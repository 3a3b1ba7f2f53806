"""Hand-outs: nothing of a solution for students, all of it for teachers, and chapters from which it was taken."""

import json

import nbformat
import pytest

from hybridlib.teach import handouts, sets


def cells(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return {cell.id: cell for cell in notebook.cells}


class TestBuild:
    @pytest.fixture
    def built(self, kit):
        paths = handouts.write_handouts(sets.assignment("doubles"), kit / "out", 20)
        assert [path.name for path in paths] == ["student.ipynb", "instructor.ipynb", "rubric.md"]
        return paths

    def test_a_student_finds_all_but_the_solution(self, built):
        found = cells(built[0])
        assert [*found] == [
            *("colab", "instructions", "small-setup", "small-ex1-text", "small-ex1", "small-ex1-check"),
            *("small-ex2-text", "small-ex2", "small-ex2-check", "small-ex3-text", "small-ex3"),
        ]
        assert found["small-ex1"].source.startswith("# answer: small ex1 (leave this line)\ndef helper(x):")
        assert found["small-ex3"].cell_type == "markdown" and "answer: small ex3" in found["small-ex3"].source
        assert "blob/term/handouts/doubles.ipynb" in found["instructions"].source
        assert "11 points, about 2 hours" in found["instructions"].source
        assert not [text for text in ("itself", "x + x", "solution(") if text in built[0].read_text()]

    def test_a_teacher_finds_the_solution_and_the_rubric(self, built):
        found = cells(built[1])
        assert found["small-ex1-solution"].source == (
            "def solution(x):\n    return x + x  # to itself\n\n\nexercise.check(solution, ex1_properties)"
        )
        assert "6 points from the grader, 0 for the stub" in found["small-ex1-rubric"].source

    def test_the_rubric_names_the_properties(self, built):
        text = built[2].read_text()
        assert "- it is twice as much\n" in text and "## small ex3: 3 points, 30 minutes\n\nGraded by hand." in text

    def test_the_students_notebook_runs_from_top_to_bottom(self, built):
        names = {}
        for cell in cells(built[0]).values():
            if cell.cell_type == "code":
                exec(cell.source, names)

    def test_links_lead_to_the_site(self):
        text = handouts._outside("[a](#term-a), [b](flows.ipynb#c) and {cite:p}`d`.", "x/")
        assert text == "[a](x/glossary.html#term-a), [b](x/flows.html#c) and."


@pytest.mark.parametrize("name", [name for name, one in sets.assignments().items() if not one.withheld])
def test_no_line_of_a_solution_is_in_a_students_notebook(name, tmp_path):
    """A line of a solution that is found there must stand in a cell that is given, in the stub or in the check."""
    chosen = sets.assignment(name)
    student, _, _ = handouts.write_handouts(chosen, tmp_path, 20)
    told = {line.strip() for cell in cells(student).values() for line in cell.source.splitlines()}
    known = {line.strip() for one in chosen.exercises for cell in one.cells.values()
             if not cell["id"].endswith(("solution", "hint")) for line in sets.text_of(cell).splitlines()}  # fmt: skip
    for one in chosen.exercises:
        if not one.is_open:
            lines = {line.strip() for line in sets.solution_code(one).splitlines()} - known
            assert lines and not lines & told, f"{one.title}: {lines & told}"


class TestWithhold:
    def test_takes_solutions_hints_and_tried_answers(self, kit):
        tried = kit / "tests/answers/small.yml"
        tried.parent.mkdir(parents=True)
        tried.write_text("ex1:\n  - is: right\n    code: |\n      x = 1\n\n      y = 2\n# more\nex9:\n  - is: right\n")
        before = json.loads((kit / "book/small.ipynb").read_text())
        chosen = sets.assignment("doubles")
        assert [path.name for path in handouts.withhold([chosen])] == ["small.ipynb", "small.yml"]
        after = json.loads((kit / "book/small.ipynb").read_text())
        assert tried.read_text() == "ex9:\n  - is: right\n"
        changed = [cell["id"] for cell, old in zip(after["cells"], before["cells"], strict=True) if cell != old]
        assert changed == ["ex1-hint", "ex1-solution", "ex2-solution"]
        assert "x + x" not in (kit / "book/small.ipynb").read_text()
        told = cells(kit / "book/small.ipynb")["ex1-solution"].source
        assert told == "*The solution comes after the deadline.*"
        assert handouts.withhold([sets.assignment("doubles")]) == []

    def test_build_says_that_it_needs_the_solutions(self, kit):
        handouts.withhold([sets.assignment("doubles")])
        with pytest.raises(ValueError, match="small ex1 is withheld here"):
            handouts.write_handouts(sets.assignment("doubles"), kit / "out", 20)
        assert not (kit / "out").exists()

    def test_the_layout_of_the_books_notebooks_is_kept(self):
        for path in {one.notebook for each in sets.assignments().values() for one in each.exercises}:
            text = path.read_text("utf-8")
            assert json.dumps(json.loads(text), indent=1, ensure_ascii=False) + "\n" == text, path

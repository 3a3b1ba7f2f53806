"""Hand in for a class that does not exist: notebooks with the tried answers of tests/answers, to try the grader on.

    python tools/made_up_class.py made submissions          thirty students; the folder must not be there

Student 01 answers everything as the kit does, student 02 leaves the stubs; the others take right, half right and wrong
answers and cheats in turn. Three hand in as life has it: a copy without ids, no notebook, an endless loop.
"""

import json
import sys
import tempfile
from pathlib import Path

import answers

from hybridlib.teach import handouts, sets

STUDENTS = 30


def notebook(chosen, text, student):
    """What a student hands in for a hand-out, as text; students are counted from 0."""
    if student == STUDENTS - 1:
        return "%PDF-1.7"
    made = json.loads(text)
    cells = {cell["id"]: cell for cell in made["cells"]}
    for one in chosen.exercises:
        if not one.is_open and student != 1:
            tried = answers.corpus(one.notebook.stem)[one.name]
            code = tried[(student - 2) % len(tried)]["code"] if student else sets.as_answer(one)
            loop = "while True:\n    pass\n" if student == STUDENTS - 2 and one is chosen.exercises[0] else ""
            cells[handouts.cell_id(one)]["source"] = f"# {handouts.marker(one)}\n{loop}{code}"
    if student == STUDENTS - 3:
        made["nbformat_minor"] = 4
        for cell in made["cells"]:
            del cell["id"]
    return json.dumps(made)


def main(name, folder):
    chosen, folder = sets.assignment(name), Path(folder)  # ValueError below where its solutions are withheld
    with tempfile.TemporaryDirectory() as scratch:
        text = handouts.write_handouts(chosen, Path(scratch), 20)[0].read_text("utf-8")
    folder.mkdir(parents=True)
    for student in range(STUDENTS):
        (folder / f"student-{student + 1:02}.ipynb").write_text(notebook(chosen, text, student), "utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python tools/made_up_class.py SET FOLDER")
    try:
        main(*sys.argv[1:])
    except (ValueError, OSError) as error:
        sys.exit(str(error))

"""Every tried answer to a graded exercise, right, half right, wrong or a cheat, gets the points that it deserves.

With a teacher's seed, in the sandbox. Runs cells of the chapters, so `make quick` leaves it out.
"""

import json
import os
import subprocess
import sys

import answers
import pytest

from hybridlib.teach import grading, handouts, sandbox, sets

SEED = 8513
PLACES = [(name, path) for name, one in sets.assignments().items() if not one.withheld
          for path in dict.fromkeys(exercise.notebook for exercise in one.exercises)]  # fmt: skip


@pytest.mark.parametrize(("name", "path"), PLACES, ids=lambda value: getattr(value, "stem", value))
def test_answers_get_what_they_deserve(name, path):
    chosen = sets.assignment(name)
    trials = []
    for one in chosen.exercises:
        if one.notebook == path and not one.is_open:
            tried = [{"is": "right", "about": "the solution", "code": sets.as_answer(one)}]
            tried += [{"is": "stub", "about": "as it is found", "code": one.part("stub")}]
            trials += [(one, answer) for answer in tried + answers.corpus(path.stem)[one.name]]
    rows = []
    for one, answer in trials:
        codes = sets.with_those_before(one, chosen.exercises, sets.as_answer)
        rows.append({"exercise": one.name, "codes": [*codes[:-1], answer["code"]]})
    job = {"set": name, "notebook": str(path), "seed": SEED, "extra": "", "seconds": 60, "bytes": grading.MEMORY}
    wrong = []
    for (one, answer), verdict in zip(trials, sandbox.ask(job | {"answers": rows}), strict=True):
        points = grading.points_of(one, verdict["outcomes"])
        fits = {"right": points == one.points, "stub": points == 0}.get(answer["is"], points < one.points)
        if not fits or verdict["remark"]:
            wrong.append(f"{one.title}, {answer['is']} ({answer['about']}): {points} of {one.points}, {verdict}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", [name for name, one in sets.assignments().items() if not one.withheld])
def test_a_students_notebook_runs_from_top_to_bottom(name, tmp_path):
    """With its stubs, in a process of its own, and in two minutes of a processor."""
    path, *_ = handouts.write_handouts(sets.assignment(name), tmp_path, 20)
    cells = [sets.text_of(cell) for cell in sets.cells_of(path).values() if cell["cell_type"] == "code"]
    run = "import json, sys, time\nfor code in json.load(sys.stdin): exec(code)\nassert time.process_time() < 120"
    quiet = {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "TQDM_DISABLE": "1"}
    how = {"cwd": tmp_path, "text": True, "capture_output": True, "env": os.environ | quiet}
    done = subprocess.run([sys.executable, "-c", run], input=json.dumps(cells), **how)
    assert done.returncode == 0, done.stderr

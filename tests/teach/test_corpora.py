"""Every tried answer to a graded exercise, right, half right, wrong or a cheat, gets the points that it deserves.

With a teacher's seed, in the sandbox. Runs cells of the chapters, so `make quick` leaves it out.
"""

import answers
import pytest

from hybridlib.teach import grading, sandbox, sets

SEED = 8513
PLACES = [(name, path) for name, one in sets.assignments().items()
          for path in dict.fromkeys(exercise.notebook for exercise in one.exercises)]  # fmt: skip


@pytest.mark.parametrize(("name", "path"), PLACES, ids=lambda value: getattr(value, "stem", value))
def test_answers_get_what_they_deserve(name, path):
    chosen = sets.assignment(name)
    trials = []
    for one in chosen.exercises:
        if one.notebook == path and not one.is_open and one.part("solution"):
            tried = [{"is": "right", "about": "the solution", "code": sandbox.as_answer(one)}]
            tried += [{"is": "stub", "about": "as it is found", "code": one.part("stub")}]
            trials += [(one, answer) for answer in tried + answers.corpus(path.stem)[one.name]]
    rows = []
    for one, answer in trials:
        codes = sandbox.with_those_before(one, chosen.exercises, sandbox.as_answer)
        rows.append({"exercise": one.name, "codes": [*codes[:-1], answer["code"]]})
    job = {"set": name, "notebook": str(path), "seed": SEED, "extra": "", "seconds": 60, "bytes": grading.MEMORY}
    wrong = []
    for (one, answer), verdict in zip(trials, sandbox.ask(job | {"answers": rows}), strict=True):
        points = grading.points_of(one, verdict["outcomes"])
        fits = {"right": points == one.points, "stub": points == 0}.get(answer["is"], points < one.points)
        if not fits or verdict["remark"]:
            wrong.append(f"{one.title}, {answer['is']} ({answer['about']}): {points} of {one.points}, {verdict}")
    assert not wrong, "\n".join(wrong)

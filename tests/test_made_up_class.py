"""A class that does not exist hands in: everybody something, most of it to be found."""

import json

import made_up_class
import pytest

from hybridlib.teach import grading, sets


@pytest.mark.skipif(bool(sets.assignment("made").withheld), reason="its solutions come after the deadline")
def test_thirty_students_hand_in(tmp_path):
    made_up_class.main("made", tmp_path / "in")
    handed_in = grading.submissions(tmp_path / "in")
    assert len(handed_in) == made_up_class.STUDENTS and sum(each.cells is None for each in handed_in) == 1
    for one in sets.assignment("made").exercises:
        found = {grading.answer_in(each.cells, one)[0] for each in handed_in if each.cells}
        assert None not in found and (one.is_open or len(found) > 5), one.title
    assert '"id"' not in json.dumps(handed_in[-3].cells)
    with pytest.raises(OSError):
        made_up_class.main("made", tmp_path / "in")

"""README and every chapter run from top to bottom on a pretend GPU, their trainings cut short.

`make gpu-rehearsal` prints the same as a table; its FULL=--full trains as long as the chapters say.
"""

import json

import chapters
import pytest
import torch

NOTEBOOK = {
    "import torch\nx = torch.ones(3)": [],
    "assert x.sum() == 4, 'told, not raised'\ny = x.to('cuda')": [],
    "def f():\n    return x + y\nf()": [],
    "z = x * 2": [],
    "raise ValueError('meant')": ["raises-exception"],
    "1 / 0": ["skip-execution"],
    "q = x.to('cuda').numpy()": [],
    "q.sum()": [],
    "from hybridlib import train\nfrom hybridlib.made import MADE\n"
    "h = train.fit(MADE(3), x[None], lambda m, x: -m.log_prob(x).mean(), epochs=9)\nlen(h), h[-1]['epoch']": [],
    "%%time\nwhile True: pass": [],
}  # fmt: skip


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card: make gpu-test asks that")
@pytest.mark.parametrize("path", chapters.chapters(), ids=lambda path: path.stem)
def test_runs_on_a_pretend_gpu(path):
    result = chapters.report(path, "--pretend", "--short", limit=1200, environment={"OMP_NUM_THREADS": "1"})
    assert result["device"] == "pretend GPU", result
    assert not result["errors"], "\n".join(chapters.failures(result))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card: make gpu-test asks that")
def test_tells_which_cells_fail_and_goes_on(tmp_path):
    cells = [
        {"cell_type": "code", "id": f"c{i}", "metadata": {"tags": tags}, "source": source}
        for i, (source, tags) in enumerate(NOTEBOOK.items())
    ]
    path = tmp_path / "small.ipynb"
    path.write_text(json.dumps({"cells": cells}))
    result = chapters.report(path, "--pretend", "--short", limit=20)
    told = [(error["cell"], error["line"], error["error"].split(":")[0]) for error in result["errors"]]
    assert told == [(2, 2, "RuntimeError"), (6, 1, "TypeError"), (7, 1, "NameError"), (9, 2, "OutOfTimeError")]
    assert [error["consequence"] for error in result["errors"]] == [False, False, True, False]
    assert [(entry["cell"], entry["error"]) for entry in result["missed"]] == [(1, "x.sum() == 4")]
    assert result["cells"] == 9 and result["chapter"] == "small"


def test_a_process_that_dies_is_a_report_too(tmp_path):
    path = tmp_path / "dies.ipynb"
    path.write_text('{"cells": [{"cell_type": "code", "metadata": {}, "source": "import os; os._exit(3)"}]}')
    result = chapters.report(path, limit=60)
    assert chapters.failures(result)[0].startswith("dies, cell -1 (), line 0: the process ended with 3")

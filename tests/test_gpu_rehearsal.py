"""README and every chapter run from top to bottom on a pretend GPU, their trainings cut short.

`make gpu-rehearsal` prints the same as a table; its FULL=--full trains as long as the chapters say.
"""

import json

import chapters
import gpu_test
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
}  # fmt: skip


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card: make gpu-test asks that")
@pytest.mark.parametrize("path", chapters.chapters(), ids=lambda path: path.stem)
def test_runs_on_a_pretend_gpu(path):
    result = chapters.report(path, "--pretend", "--short", limit=1200, environment={"OMP_NUM_THREADS": "1"})
    assert result["device"] == "pretend GPU", result
    assert not result["errors"], "\n".join(chapters.failures(result))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card: make gpu-test asks that")
def test_tells_which_cells_fail_and_goes_on(tmp_path):
    path = written(NOTEBOOK, tmp_path / "small.ipynb")
    result = chapters.report(path, "--pretend", "--short", limit=600)
    told = [(error["cell"], error["line"], error["error"].split(":")[0]) for error in result["errors"]]
    assert told == [(2, 3, "RuntimeError"), (6, 1, "TypeError"), (7, 1, "NameError")]
    assert [error["consequence"] for error in result["errors"]] == [False, False, True]
    assert [(entry["cell"], entry["error"]) for entry in result["missed"]] == [(1, "x.sum() == 4")]
    assert result["cells"] == 8 and result["chapter"] == "small"


def test_a_chapter_that_hangs_and_a_process_that_dies_are_reports_too(tmp_path):
    path = written({"while True: pass": []}, tmp_path / "hangs.ipynb")
    assert "hangs, cell 0 (c0), line 1: OutOfTimeError" in chapters.failures(chapters.report(path, limit=1))[0]
    path = written({"import os; os._exit(3)": []}, tmp_path / "dies.ipynb")
    assert "dies, cell -1 (), line 0: the process ended with 3" in chapters.failures(chapters.report(path, limit=60))[0]


def written(cells, path):
    """A notebook of cells with these sources and tags."""
    cells = [
        {"cell_type": "code", "id": f"c{i}", "metadata": {"tags": tags}, "source": source}
        for i, (source, tags) in enumerate(cells.items())
    ]
    path.write_text(json.dumps({"cells": cells}))
    return path


def test_the_table_of_a_real_card(tmp_path):
    error = {"cell": 3, "id": "c3", "line": 1, "error": "ValueError: no", "place": "", "consequence": False}
    report = {"chapter": "flows", "cells": 9, "seconds": 61.4, "peak_bytes": 3 * 2**30, "errors": [error]}
    found = {"card": "a card", "torch": "2", "python": "3", "date": "2026-11-28", "jobs": 2, "chapters": [report]}
    gpu_test.write(found | {"tests": {"output": "...\n7 passed"}}, tmp_path)
    text = (tmp_path / "gpu_test.md").read_text("utf-8")
    assert "| flows | 9 | 61 | 3,072 | 3 |" in text and "- flows, cell 3 (c3), line 1: ValueError: no" in text
    assert text.endswith("Contract test: 7 passed\n")
    assert json.loads((tmp_path / "gpu_test.json").read_text("utf-8"))["chapters"] == [report]

"""The tool that executes notebooks: it names what failed and where, and shifts every seed without touching the text."""

import execute
import nbformat
import pytest
from jupyter_cache import get_cache

DRAWS = """\
import random, numpy as np, torch
from torch import Generator
from hybridlib.noise import seeded
torch.manual_seed({seed}); np.random.seed({seed}); random.seed({seed})
drawn = [torch.rand(1).item(), np.random.rand(), random.random(), random.Random({seed}).random()]
drawn += [np.random.default_rng({seed}).random(), np.random.RandomState({seed}).rand()]
drawn += [torch.rand(1, generator=g.manual_seed({seed})).item() for g in (Generator(), torch.Generator("cpu"))]
with seeded({seed}):
    drawn += torch.nn.Linear(2, 2).weight.flatten().tolist()
print(drawn)"""


BUSY = """\
stop = time.process_time() + 3
while time.process_time() < stop:
    pass"""


def notebook(folder, *sources):
    cells = [nbformat.v4.new_code_cell(source, id=f"cell-{n}") for n, source in enumerate(sources)]
    path = folder / "small.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def test_seeds_are_shifted_where_generators_take_them(tmp_path):
    three = execute.run(notebook(tmp_path, DRAWS.format(seed=3)), shift=4)
    seven = execute.run(notebook(tmp_path, DRAWS.format(seed=7)))
    assert three.error is seven.error is None
    printed = [ran.notebook.cells[-1].outputs[0].text for ran in (three, seven)]
    assert printed[0] == printed[1] and printed[0].count(",") == 11


@pytest.mark.parametrize("source", ["1 / 0", "import os; os._exit(1)"], ids=["raises", "dies"])
def test_names_notebook_and_cell_that_fail(tmp_path, source):
    ran = execute.run(notebook(tmp_path, "1 + 1", source, "2 + 2"), shift=1)
    assert ran.error.startswith("small, cell-1 (cell 2): ")


def test_text_on_stderr_is_an_error(tmp_path):
    ran = execute.run(notebook(tmp_path, "1 + 1", "import warnings; warnings.warn('careful')"))
    assert ran.error.startswith("small, cell-1 writes to stderr: ") and "careful" in ran.error


def test_a_cell_that_should_raise_may(tmp_path):
    path = notebook(tmp_path, "1 / 0", "3")
    written = nbformat.read(path, as_version=4)
    written.cells[0].metadata["tags"] = ["raises-exception"]
    nbformat.write(written, path)
    ran = execute.run(path)
    assert ran.error is None and ran.notebook.cells[1].outputs[0].data["text/plain"] == "3"


def test_measures_the_processor_and_not_the_clock(tmp_path):
    ran = execute.run(notebook(tmp_path, "import time; time.sleep(1)", BUSY))
    (asleep, _), (awake, name) = ran.cells
    assert awake > 2.5 and asleep < awake / 2 and name == "cell-1 (cell 1)"
    assert "cell-1 (cell 1)" in execute.told(ran)


def test_kernels_are_quiet(tmp_path, capfd):
    execute.run(notebook(tmp_path, "1"))
    assert capfd.readouterr() == ("", ""), "warnings of every kernel fill the log of the build"


def test_all_that_fail_are_named_at_the_end(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "good").mkdir()
    bad, good, kept = notebook(tmp_path, "1 / 0"), notebook(tmp_path / "good", "1"), []
    with pytest.raises(SystemExit, match=r"stopped, see above: small, cell-0 \(cell 0\)$"):
        execute.run_all([(bad,), (good,)], kept.append)
    assert [ran.path for ran in kept] == [good]
    assert "ZeroDivisionError" in capsys.readouterr().out


def test_side_by_side_fills_the_cores(monkeypatch):
    monkeypatch.setattr(execute.os, "sched_getaffinity", lambda pid: range(6), raising=False)
    for threads, together in (("1", 6), ("2", 3), ("16", 1)):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        assert execute.side_by_side() == together


def test_the_cache_gets_what_it_lacks_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    path, deck, folder = notebook(tmp_path, "print(6 * 7)"), tmp_path / "deck.md", tmp_path / "cache"
    deck.write_text("---\nkernelspec: {name: python3}\n---\n# Deck\n\n```{code-cell}\nprint(6 * 8)\n```\n")
    execute.into_the_cache([path, deck], folder)
    told = capsys.readouterr().out
    assert "small; slowest: cell-0 (cell 0)" in told and "deck; slowest: line-7 (cell 1)" in told, told
    for file, text in ((path, "42\n"), (deck, "48\n")):
        cached = get_cache(folder).merge_match_into_notebook(execute.read(file))[1]
        assert cached.cells[-1].outputs[0].text == text
    execute.into_the_cache([path, deck], folder)
    assert capsys.readouterr().out == ""

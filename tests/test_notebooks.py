"""Every notebook ran from top to bottom while the site was built, and what it printed is what a reader should see.

The build executes the notebooks and fails when one does; running them here again would only cost minutes. These tests
look at what it left in the notebook cache.
"""

import json
import re
from pathlib import Path

import first_cells
import nbformat
import pytest
import reading
from jupyter_cache import get_cache
from test_reading import HEADER

ROOT = Path(__file__).resolve().parent.parent


def executed(path):
    """The notebook with the outputs of its execution; the cache finds them by the text of all code cells."""
    notebook = nbformat.read(path, as_version=4)
    try:
        return get_cache(ROOT / "_build" / ".jupyter_cache").merge_match_into_notebook(notebook)[1]
    except KeyError:
        pytest.fail(f"{path.name} was not executed as it stands: run `make book` first", pytrace=False)


@pytest.mark.parametrize("path", first_cells.notebooks(), ids=lambda path: path.stem)
def test_ran_to_the_end(path):
    for cell in executed(path).cells:
        if cell.cell_type == "code" and "skip-execution" not in cell.metadata.get("tags", []):
            if cell.source.strip():
                assert cell.execution_count, f"not executed: {cell.source[:80]}"
            shown = [output for output in cell.outputs if output.output_type == "error"]
            if "raises-exception" in cell.metadata.get("tags", []):
                assert shown, f"should raise, and did not: {cell.source[:80]}"
            else:
                assert not shown, f"{shown[0].ename}: {shown[0].evalue}"
            for output in cell.outputs:
                assert output.get("name") != "stderr", f"on stderr: {output.text[:200]}"


@pytest.mark.parametrize("path", first_cells.notebooks(), ids=lambda path: path.stem)
def test_outputs_are_small_enough_to_load(path):
    sizes = [
        (len(json.dumps(output)), cell.source[:60])
        for cell in executed(path).cells
        for output in cell.get("outputs", [])
    ]
    assert sum(size for size, _ in sizes) < 4_000_000, sorted(sizes, reverse=True)[:3]


@pytest.mark.parametrize("name", reading.names()[1:])
def test_computing_takes_about_what_the_header_says(name):
    """Processors differ: a page is off if it needs ten times as long, or a tenth, of what it says."""
    cells = executed(ROOT / "book" / f"{name}.ipynb").cells
    words = re.search(HEADER, "\n".join(cell.source for cell in cells if cell.cell_type == "markdown"))[3]
    said = {"under a": 0.5, "about a": 1, "about two": 2, "about three": 3}[words]
    printed = "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))
    seconds = int(re.search(r"This page (?:computed for|took) (\d+) (?:CPU|seconds)", printed)[1])
    assert said / 10 < seconds / 60 < said * 10, f"{seconds} CPU seconds; {name} says {words} CPU minute(s)"

"""Every notebook ran from top to bottom while the site was built, and what it printed is what a reader should see.

The build executes the notebooks and fails when one does; running them here again would only cost minutes. These tests
look at the executed copies that it left.
"""

import json
from pathlib import Path

import first_cells
import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
EXECUTED = ROOT / "_build" / "jupyter_execute"


def executed(path):
    copy = EXECUTED / path.relative_to(ROOT)
    if not copy.exists():
        pytest.fail(f"{path.name} was not executed: run `make book` first", pytrace=False)
    return nbformat.read(copy, as_version=4)


@pytest.mark.parametrize("path", first_cells.notebooks(), ids=lambda path: path.stem)
def test_ran_to_the_end(path):
    source = nbformat.read(path, as_version=4)
    result = executed(path)
    assert [cell.source for cell in result.cells] == [cell.source for cell in source.cells], "stale: run `make book`"
    for cell in result.cells:
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

"""The first cell of every notebook, written here once.

On Colab it installs hybridlib from the repository and whatever of its needs Colab lacks; elsewhere it only says what to
install, if hybridlib is missing. Without dependencies, so that nothing which Colab brings can be replaced: a new
mlxtend, for one, asks for a new numpy, and with that the running kernel breaks. `make first-cells` puts it at the top
of every notebook; a test checks that it is there.

It installs the branch of _config.yml, which the buttons open as well, so chapter and library come from one state of the
repository. A copy that a reader keeps would meet a later library: a release sets that `branch` to its tag first, and
its chapters then install just that (CONTRIBUTING.md).
"""

from pathlib import Path

import nbformat
import yaml

ROOT = Path(__file__).resolve().parent.parent

TEMPLATE = """\
# On Colab: install the book's library and what Colab lacks for it;
# --no-deps leaves everything that Colab brings as it is.
import os
import subprocess
import sys
from importlib.util import find_spec

on_colab = find_spec("google") and find_spec("google.colab")
if not find_spec("hybridlib"):
    library = "git+{url}@{branch}"  # fmt: skip
    if not on_colab:
        raise ModuleNotFoundError(
            f'the library of the book is missing: %pip install "hybridlib[book] @ {{library}}"'
        )
    library = os.environ.get("HYBRIDLIB_WHEEL", library)
    needs = "accelerate anywidget chemicals mlxtend pooch psygnal rdkit safetensors".split()
    missing = [name for name in needs if not find_spec(name)]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, library, *missing], check=True)"""


def first_cell_source() -> str:
    repository = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]
    return TEMPLATE.format(url=repository["url"], branch=repository["branch"])


def notebooks() -> list[Path]:
    return sorted((ROOT / "book").rglob("*.ipynb"))


def put_first_cell(notebook) -> None:
    """Write the cell over the one that carries the id "colab", or insert it as the first."""
    cell = nbformat.v4.new_code_cell(first_cell_source(), id="colab", metadata={"tags": ["remove-cell"]})
    notebook.cells = [cell, *(other for other in notebook.cells if other.id != "colab")]


def main() -> None:
    for path in notebooks():
        before = path.read_text()
        notebook = nbformat.reads(before, as_version=4)
        put_first_cell(notebook)
        after = nbformat.writes(notebook) + "\n"
        if after != before:
            path.write_text(after)
            print(f"first cell written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

"""The first cell of every notebook, written here once.

On Colab it installs hybridlib from the repository and whatever of its needs Colab lacks; elsewhere it only says what to
install, if hybridlib is missing. Without dependencies, so that nothing which Colab brings can be replaced: a new
mlxtend, for one, asks for a new numpy, and with that the running kernel breaks. `make first-cells` puts it at the top
of every notebook; a test checks that it is there.

It installs the tag of this edition, and the buttons and README's links open the notebooks of the same tag, so chapter
and library come from one state of the repository, also for a copy that a reader keeps. The edition is the `branch` of
_config.yml. A version's tag (v0.1.0) follows the version, which is written by hand in hybridlib/__init__.py with its
date in the newest heading of CHANGELOG.md; any other name, such as a term's 2027-spring, stays until
`make repository BRANCH=...` changes it. _config.yml, CITATION.cff, README.md and `__edition__` follow here.
"""

import re
from pathlib import Path

import nbformat
import yaml

import hybridlib

ROOT = Path(__file__).resolve().parent.parent


def edition(branch: str) -> str:
    """The tag that chapters install: a term's own as it is, a version's always that of this version."""
    return f"v{hybridlib.__version__}" if re.fullmatch(r"v\d+(\.\d+)+", branch) else branch


CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]
TAG = edition(str(CONFIG["branch"]))
FILES = ("_config.yml", "CITATION.cff", "README.md", "hybridlib/__init__.py")  # that name version, date or tag

TEMPLATE = """\
# On Colab: install the book's library and what Colab lacks for it;
# --no-deps leaves everything that Colab brings as it is.
import os
import subprocess
import sys
from importlib.util import find_spec

on_colab = find_spec("google") and find_spec("google.colab")
if not find_spec("hybridlib"):
    library = "git+{url}@{tag}"  # fmt: skip
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
    return TEMPLATE.format(url=CONFIG["url"], tag=TAG)


def released() -> tuple[str, str]:
    """Version and date of the newest entry of CHANGELOG.md. ValueError where its heading has no date."""
    heading = re.search(r"^## .*", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)[0]
    if not (found := re.fullmatch(r"## (\S+) \((\d{4}-\d\d-\d\d)\)", heading)):
        raise ValueError(f"the newest heading of CHANGELOG.md is {heading!r}; write '## VERSION (YYYY-MM-DD)'")
    return found.groups()


def at_tag(text: str, url: str, tag: str) -> str:
    """The text of any file, with the tag wherever one of the repository at `url` is named."""
    place = re.escape(url.removeprefix("https://github.com/"))
    rules = [
        (rf'(git\+https://github\.com/{place})(?:@[\w.-]+)?(?=\\?")', f"@{tag}"),  # \\": inside a notebook
        (rf"((?:github\.com|colab\.research\.google\.com/github)/{place}/(?:blob|tree)/)[\w.-]+", tag),
        (r"(?m)^(  branch: )\S+", f'"{tag}"'),  # of _config.yml; quoted, because 2027 would be a number
        (r"(?m)^(__edition__ = )\S+", f'"{tag}"'),
    ]
    for pattern, value in rules:
        text = re.sub(pattern, lambda found, value=value: found[1] + value, text)
    return text


def at_this_version(text: str) -> str:
    """The text of one of FILES, with version, date and tag wherever they belong."""
    version, date = released()
    text = re.sub(r"(?m)^(version: )\S+", rf"\g<1>{version}", text)
    text = re.sub(r"(?m)^(date-released: )\S+", rf"\g<1>{date}", text)
    return at_tag(text, CONFIG["url"], TAG)


def notebooks() -> list[Path]:
    return sorted((ROOT / "book").rglob("*.ipynb"))


def put_first_cell(notebook) -> None:
    """Write the cell over the one that carries the id "colab", or insert it as the first."""
    cell = nbformat.v4.new_code_cell(first_cell_source(), id="colab", metadata={"tags": ["remove-cell"]})
    notebook.cells = [cell, *(other for other in notebook.cells if other.id != "colab")]


def main() -> None:
    for path in notebooks():
        notebook = nbformat.reads(path.read_text(), as_version=4)
        put_first_cell(notebook)
        write(path, nbformat.writes(notebook) + "\n")
    for name in FILES:
        write(ROOT / name, at_this_version((ROOT / name).read_text("utf-8")))


def write(path: Path, text: str) -> None:
    if text != path.read_text("utf-8"):
        path.write_text(text, "utf-8")
        print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

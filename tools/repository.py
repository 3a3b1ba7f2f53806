"""Change the repository's address wherever it stands: settings, metadata, README, citation, first cells.

    make repository URL=https://github.com/you/your-fork

It is written by hand in _config.yml only; every other place is found by searching for that address. Links that the
library prints come from the installed package's metadata, so the next `make book` shows the new one.
"""

import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
PLACES = [
    "_config.yml",
    "pyproject.toml",
    "*.md",
    "CITATION.cff",
    "book/**/*.md",
    "book/**/*.ipynb",
    ".github/**/*.yml",
]


def addresses(url: str) -> list[str]:
    """The repository itself, its notebooks in Colab, and its site on GitHub Pages."""
    owner, name = url.removeprefix("https://github.com/").split("/")
    return [url, f"colab.research.google.com/github/{owner}/{name}", f"https://{owner}.github.io/{name}"]


def change(root: Path, url: str) -> list[Path]:
    """Replace the address in all files under `root` -> the files changed. ValueError unless Colab can open it."""
    url = url.rstrip("/").removesuffix(".git")
    # GitHub's own rules for names; "." and ".." would lead out of them
    if not re.fullmatch(r"https://github\.com/[A-Za-z\d](-?[A-Za-z\d])*/(?!\.{1,2}$)[\w.-]+", url, re.ASCII):
        raise ValueError(
            f"the address must look like https://github.com/OWNER/NAME (Colab opens no other), got {url!r}"
        )
    old = yaml.safe_load((root / "_config.yml").read_text("utf-8"))["repository"]["url"]
    changed = []
    for path in sorted({path for place in PLACES for path in root.glob(place)}):
        before = after = path.read_text("utf-8")
        for was, becomes in zip(addresses(old), addresses(url), strict=True):
            after = re.sub(re.escape(was) + r"(?![\w-])", becomes, after)  # not the start of a longer name
        if after != before:
            path.write_text(after, "utf-8")
            changed.append(path)
    return changed


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make repository URL=https://github.com/OWNER/NAME")
    try:
        for changed_path in change(ROOT, sys.argv[1]):
            print(f"changed: {changed_path.relative_to(ROOT)}")
    except ValueError as error:
        sys.exit(str(error))

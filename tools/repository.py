"""Change the repository's address, the edition, or both, wherever they stand: settings, README, citation, first cells.

    make repository URL=https://github.com/you/your-fork BRANCH=2027-spring

Either may be left out. Both are written by hand in _config.yml only; every other place is found by searching for them.
The same command goes back: the address of the original and the version's tag give the files of the original. Nothing
is written unless everything can be.

What stays is the line that CC BY 4.0 asks for (ATTRIBUTION): README and LICENSE must have it, and the foot of a fork's
pages says it too. If the book itself moves to another address, ORIGINAL is changed by hand first.
"""

import os
import re
import sys
from pathlib import Path

import first_cells
import yaml

ROOT = Path(__file__).resolve().parent.parent
ORIGINAL = "https://github.com/hybrid-generative-models/book"
ATTRIBUTION = (
    f"Based on *Hybrid Generative Models* by its authors and contributors, <{ORIGINAL}>, CC BY 4.0 (text), MIT (code)."
)
PLACES = [
    "_config.yml",
    "pyproject.toml",
    "*.md",
    "CITATION.cff",
    "LICENSE",
    "hybridlib/__init__.py",
    *(f"{folder}/**/*.{kind}" for folder in ("book", "benchmarks", "teach") for kind in ("md", "ipynb", "yml")),
    ".github/**/*.yml",
]
# What a fork's CITATION.cff says besides: the book is what its readers should cite.
CITED = f"""\
preferred-citation:  # the book that this edition is based on; by `make repository`
  type: software
  title: "Hybrid Generative Models: where autoregression meets autoencoding, from MADE to GraphAF"
  authors:
    - name: The authors and contributors of Hybrid Generative Models
  repository-code: {ORIGINAL}
  license: [MIT, CC-BY-4.0]
"""


def addresses(url: str) -> list[str]:
    """The repository itself, its notebooks in Colab, and its site on GitHub Pages."""
    owner, name = url.removeprefix("https://github.com/").split("/")
    return [url, f"colab.research.google.com/github/{owner}/{name}", f"https://{owner}.github.io/{name}"]


def accepted(url: str, branch: str) -> tuple[str, str]:
    """Address and tag as they will be written. ValueError unless Colab can open the one and git and pip the other."""
    url = url.rstrip("/").removesuffix(".git")
    # GitHub's own rules for names; "." and ".." would lead out of them
    if not re.fullmatch(r"https://github\.com/[A-Za-z\d](-?[A-Za-z\d])*/(?!\.{1,2}$)[\w.-]+", url, re.ASCII):
        raise ValueError(
            f"the address must look like https://github.com/OWNER/NAME (Colab opens no other), got {url!r}"
        )
    # git allows more; with a slash, an address would not say where the name ends
    if not re.fullmatch(r"[A-Za-z\d](?:[\w-]|\.(?!\.))*(?<!\.)(?<!\.lock)", branch, re.ASCII) or branch == "HEAD":
        raise ValueError(
            f"the edition must be the name of a tag such as 2027-spring: letters, digits, '-', '_' and single dots, "
            f"got {branch!r}"
        )
    if first_cells.edition(branch) != branch:
        raise ValueError(
            f"{branch} is not the tag of this version, which is {first_cells.edition(branch)}; name that one, or "
            "choose a term's tag that does not look like a version's"
        )
    return url, branch


def changed(text: str, old: str, url: str, branch: str) -> str:
    """The text of a file, with the new address and edition everywhere but in the attribution."""
    lines = text.split(ATTRIBUTION)
    for was, becomes in zip(addresses(old), addresses(url), strict=True):
        # not the start of a longer name
        lines = [re.sub(re.escape(was) + r"(?![\w-])", becomes, line) for line in lines]
    text = ATTRIBUTION.join(first_cells.at_tag(line, url, branch) for line in lines)
    clone = re.escape(f"git clone {url} && cd ")
    return re.sub(rf"({clone})[\w.-]+", lambda found: found[1] + url.rsplit("/", 1)[1], text)


def change(root: Path, url: str = "", branch: str = "") -> list[Path]:
    """Replace address, edition or both in all files under `root` -> the files changed; none if anything is wrong.

    ValueError for what is no address or no tag, and where README or LICENSE have lost the attribution.
    """
    if not url and not branch:
        raise ValueError("usage: make repository URL=https://github.com/OWNER/NAME BRANCH=TAG, or one of the two")
    settings = yaml.safe_load((root / "_config.yml").read_text("utf-8"))["repository"]
    url, branch = accepted(url or settings["url"], branch or str(settings["branch"]))
    for name in ("README.md", "LICENSE"):
        if ATTRIBUTION not in (root / name).read_text("utf-8"):
            raise ValueError(f"{name} has lost the line that the licence asks for; put it back:\n{ATTRIBUTION}")
    texts = {}
    paths = {path for place in PLACES for path in root.glob(place)}
    for path in sorted(paths, key=lambda path: (path.name == "_config.yml", path)):  # last: it says what is replaced
        before = path.read_text("utf-8")
        cited = CITED if path.name == "CITATION.cff" and url != ORIGINAL else ""
        after = changed(before.replace(CITED, ""), settings["url"], url, branch) + cited
        if after != before:
            texts[path] = after
    write(texts)
    return list(texts)


def write(texts: dict[Path, str]) -> None:
    """Write all files or none: first beside them, then, when every one is there, into their places."""
    beside = {path: path.with_name(f"{path.name}.new") for path in texts}
    try:
        for path, text in texts.items():
            beside[path].write_text(text, "utf-8")
        for path in texts:
            os.replace(beside[path], path)
    finally:
        for path in beside.values():
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    try:
        for path in change(ROOT, *sys.argv[1:3]):
            print(f"changed: {path.relative_to(ROOT)}")
    except ValueError as error:
        sys.exit(str(error))
    tag = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]["branch"]
    print(f"Chapters install, and links open, the tag {tag}. Commit, then: git tag {tag} && git push origin HEAD {tag}")

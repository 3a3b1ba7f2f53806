"""Constraints for pip: the oldest version that pyproject.toml declares of everything that the library needs.

    python tools/oldest.py > constraints.txt        NAME==VERSION a line; `make oldest` runs the tests with them

The extra "dev" is left out: what builds and tests may be new.
"""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOWEST = re.compile(r"([A-Za-z\d][\w.-]*)>=([\d.]+)")


def oldest(project: dict) -> list[str]:
    """The table [project] of a pyproject.toml -> lines NAME==VERSION. ValueError for a need without a lower bound."""
    extras = {name: needs for name, needs in project["optional-dependencies"].items() if name != "dev"}
    pins = set()
    for need in [*project["dependencies"], *(need for needs in extras.values() for need in needs)]:
        if need.startswith(f"{project['name']}["):  # an extra of our own, which is on the list itself
            continue
        if not (bound := LOWEST.match(need)):
            raise ValueError(f"{need!r} names no oldest version: write NAME>=VERSION")
        pins.add("==".join(bound.groups()))
    return sorted(pins)


if __name__ == "__main__":
    print("\n".join(oldest(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"])))

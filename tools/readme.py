"""The Python examples of README, each with the extras of the `pip install` that stands above it.

python tools/readme.py --install      what pip has to install for the first, from this folder instead of GitHub
python tools/readme.py | PYTHON -     run them all in another environment
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = re.compile(
    r'^    pip install "hybridlib(?:\[([\w,]+)\])? @ git\+|^```python\n(.*?)^```', re.MULTILINE | re.DOTALL
)


def examples() -> list[tuple[list[str], str]]:
    """All blocks of Python -> pairs (extras, code). ValueError for a block without an installation above it."""
    found, extras = [], None
    for part in PARTS.finditer((ROOT / "README.md").read_text("utf-8")):
        if part[2] is None:
            extras = part[1].split(",") if part[1] else []
        elif extras is None:
            raise ValueError(f"README shows code before it says what to install: {part[2][:60]!r}")
        else:
            found.append((extras, part[2]))
    return found


if __name__ == "__main__":
    if sys.argv[1:] == ["--install"]:
        print(f"hybridlib[{','.join(examples()[0][0])}] @ {ROOT.as_uri()}")
    else:
        print("\n".join(code for _, code in examples()))

"""Write requirements.txt: the newest versions that pyproject.toml allows, for the oldest Python supported.

    python tools/lock.py [PACKAGE==VERSION ...]     what to hold back; `make lock` does it with the book's own choice

The oldest Python, because its set is a superset: packages drop old Pythons and need fewer backports on new ones.

No hashes: pip reports the one file that it would install here, and `--require-hashes` would refuse that package's files
for another Python, for macOS or for a PyTorch without CUDA. A list of all files of each version would have to be asked
of every index in use. Versions are exact, and indexes do not let a file be replaced under its name.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GPU_ONLY = re.compile(r"nvidia-|triton|cuda-")  # torch asks for these itself where they belong

HEADER = """\
# The exact environment in which the book is built and tested, for Python 3.11 to 3.13. Written by `make lock`
# from the ranges in pyproject.toml; to change it, change those. Using hybridlib alone needs none of these pins.
"""


def main() -> None:
    if sys.version_info[:2] != (3, 11):
        sys.exit("Lock with the oldest Python the book supports: make lock PYTHON=python3.11")
    held = sys.argv[1:]
    if wrong := [pin for pin in held if not re.fullmatch(r"[\w.-]+==[\w.!+-]+", pin, re.ASCII)]:
        sys.exit(f"what is held back is written PACKAGE==VERSION, got {wrong}")
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "-qq", "--report", "-"]
    report = subprocess.run([*command, f"{ROOT}[dev]", *held], check=True, stdout=subprocess.PIPE)
    metadata = [entry["metadata"] for entry in json.loads(report.stdout)["install"]]
    pins = {
        re.sub(r"[-_.]+", "-", package["name"]).lower(): package["version"].split("+")[0]
        for package in metadata
        if package["name"] != "hybridlib" and not GPU_ONLY.match(package["name"])
    }
    lines = [f"{name}=={version}\n" for name, version in sorted(pins.items())]
    (ROOT / "requirements.txt").write_text(HEADER + "".join(lines))


if __name__ == "__main__":
    main()

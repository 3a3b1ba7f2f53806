"""Make .venv from requirements.txt with the Python that runs this file; do nothing when it is up to date."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
STAMP = os.path.join(VENV, "made-from.txt")


def fingerprint():
    """What the environment is made from, a line each: interpreter, place (it remembers its own), lock and metadata."""
    digest = hashlib.sha256()
    for name in ("requirements.txt", "pyproject.toml"):
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    return [platform.python_version(), ROOT, digest.hexdigest()]


def main():
    if sys.version_info < (3, 11):
        sys.exit(
            f"The book needs Python 3.11 or newer, and {sys.executable} is {platform.python_version()}.\n"
            "Name a newer one, for example: make book PYTHON=python3.12"
        )
    wanted, found = fingerprint(), None
    if os.path.exists(STAMP):
        with open(STAMP) as file:
            found = file.read().splitlines()
    if found == wanted:
        return
    if found and found[:2] != wanted[:2]:
        shutil.rmtree(VENV)
    if not os.path.exists(os.path.join(VENV, "bin", "pip")):
        print(f"Making .venv with Python {platform.python_version()}", flush=True)
        if subprocess.call([sys.executable, "-m", "venv", VENV]):
            shutil.rmtree(VENV, ignore_errors=True)
            sys.exit("`python -m venv` failed, see above. On Debian and Ubuntu: apt-get install python3-venv")
    print("Installing requirements.txt (the first time takes some minutes)", flush=True)
    pip = [os.path.join(VENV, "bin", "python"), "-m", "pip", "--disable-pip-version-check", "install", "-qq"]
    for arguments in (["-r", "requirements.txt"], ["--no-deps", "--no-build-isolation", "--editable", "."]):
        status = subprocess.call([*pip, *arguments], cwd=ROOT)
        if status:
            sys.exit(f"pip stopped with status {status}, see above; the same command takes it up again.")
    with open(STAMP, "w") as file:  # last, so that an interrupted installation is taken up again
        file.write("\n".join(wanted))


if __name__ == "__main__":
    main()

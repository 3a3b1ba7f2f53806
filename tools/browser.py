"""Find the browser for the site tests, or get it: Debian's chromium where this may install, else say how."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

STALLED = 300_000  # milliseconds until a test gives up: what takes a tenth of a second takes a minute on a busy machine
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")


def find_browser() -> str | None:
    """The path in the environment variable BROWSER_PATH, else the first Chromium or Chrome installed, else None."""
    named = os.environ.get("BROWSER_PATH")
    if named:
        if not os.access(named, os.X_OK):
            raise FileNotFoundError(f"BROWSER_PATH names {named!r}, which is not a program")
        return named
    found = (shutil.which(name) for name in NAMES)
    return next((path for path in found if path), str(MAC) if MAC.exists() else None)


def main() -> None:
    if find_browser():
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print("Installing chromium for the site tests", flush=True)
        subprocess.run(["apt-get", "-qq", "update"], check=True)
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        command = ["apt-get", "-qq", "install", "--yes", "--no-install-recommends", "chromium"]
        subprocess.run(command, check=True, env=quiet, stdout=subprocess.DEVNULL)
    if not find_browser():
        sys.exit(
            "The site tests need Chromium or Chrome, and none was found.\n"
            "  Debian, Ubuntu:  sudo apt-get install chromium\n"
            "  macOS:           brew install --cask google-chrome\n"
            "  elsewhere:       install either, and set BROWSER_PATH=/path/to/it"
        )


if __name__ == "__main__":
    main()

"""Forget executed notebooks and built pages that no longer follow from their sources.

The notebook cache compares cells only. A page also depends on hybridlib, on the installed versions and on the data
folder, so a fingerprint of those is kept beside the cache, and both go when it changes.
"""

import hashlib
import os
import platform
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build"


def digest(paths) -> str:
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return total.hexdigest()


def data_folder() -> list[str]:
    """Names and sizes in HYBRIDLIB_DATA: enough to notice another or a completed folder without reading gigabytes."""
    folder = os.environ.get("HYBRIDLIB_DATA")
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file()) if folder else []
    return [str(folder), *(f"{path} {path.stat().st_size}" for path in files)]


def forget_unless(name: str, fingerprint: str, *made: Path) -> None:
    """Delete what was `made` unless the fingerprint noted under `name` still holds."""
    note = BUILD / name
    if note.exists() and note.read_text() == fingerprint:
        return
    for path in made:
        shutil.rmtree(path, ignore_errors=True)
    BUILD.mkdir(exist_ok=True)
    note.write_text(fingerprint)


def executed_with() -> str:
    """The fingerprint of all that outputs follow from, but for the cells themselves."""
    aside = {"__pycache__", "teach"}  # no page needs what a course does
    files = [path for path in (ROOT / "hybridlib").rglob("*") if path.is_file()]
    library = [path for path in files if not aside & {*path.relative_to(ROOT).parts}]
    sources = digest([*library, ROOT / "requirements.txt", ROOT / "tools/fresh.py"])
    data = hashlib.sha256("\n".join(data_folder()).encode()).hexdigest()
    return "\n".join([sources, platform.python_version(), platform.machine(), data])


def main() -> None:
    html, doctrees = BUILD / "html", BUILD / ".doctrees"
    forget_unless("executed-with.txt", executed_with(), BUILD / ".jupyter_cache", html, doctrees)
    # Pages that left the table of contents would stay in the site, and unchanged pages would keep an old layout.
    looks = [
        path for folder in ("assets", "templates") for path in (ROOT / "book" / folder).rglob("*") if path.is_file()
    ]
    layout = [ROOT / "_config.yml", ROOT / "_toc.yml", *looks]
    forget_unless("laid-out-with.txt", digest(layout), html, doctrees)


if __name__ == "__main__":
    main()

"""Run every chapter as Google Colab would: its versions, an empty folder, hybridlib through the first cell.

    make colab-test                              all chapters
    make colab-test CHAPTERS="made bug-hunt"     some

Colab's packages are installed once into .cache/colab-PYTHON, several gigabytes with torch. COLAB_PYTHON names an
interpreter; without it the newest of python3.13, python3.12 and python3.11 that starts is taken (Colab has 3.13).
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from execute import CONFIG, chosen
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
STAMP = "made-from.txt"

# What Colab's image of August 2026 has, as far as the chapters can notice.
PINS = ["torch==2.11.0", "numpy==2.1.3", "scipy==1.16.3", "matplotlib==3.10.0", "networkx==3.6.1"]
PINS += ["ipython==7.34.0", "ipykernel==6.17.1", "ipywidgets==7.7.1", "anywidget==0.9.21"]
PINS += ["accelerate", "pandas", "requests", "safetensors", "scikit-learn", "setuptools", "tqdm"]
# What the first cell has to fetch. Colab has some of these today; the chapters must not depend on it.
ABSENT = ["chemicals", "hybridlib", "mlxtend", "pooch", "rdkit"]
UNTOUCHED = [pin.split("==")[0] for pin in PINS if "==" in pin]


def interpreter() -> str:
    candidates = [os.environ["COLAB_PYTHON"]] if "COLAB_PYTHON" in os.environ else []
    candidates += ["python3.13", "python3.12", "python3.11", sys.executable]
    for name in candidates:
        # asked, because a name on the PATH may be a shim for a version that is not there
        if shutil.which(name) and subprocess.run([name, "-c", ""], capture_output=True).returncode == 0:
            return name
    raise FileNotFoundError(f"none of {candidates} starts")


def environment(python: str) -> Path:
    """A virtual environment with Colab's versions, made once per interpreter and list of pins -> its interpreter."""
    tag = "import sys; print('%d.%d' % sys.version_info[:2])"
    version = subprocess.run([python, "-c", tag], check=True, capture_output=True, text=True).stdout.strip()
    folder = CACHE / f"colab-{version}"
    stamp, wanted = folder / STAMP, hashlib.sha256(" ".join(PINS).encode()).hexdigest()
    inside = folder / "bin" / "python"
    if stamp.exists() and stamp.read_text() == wanted:
        return inside
    print(f"Installing Colab's versions into {folder.relative_to(ROOT)} (once)", flush=True)
    subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
    subprocess.run([inside, "-m", "pip", "install", "-qq", *PINS], check=True)
    stamp.write_text(wanted)
    return inside


def wheel(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*command, str(ROOT)], check=True)
    return next(folder.glob("hybridlib-*.whl"))


def kernel(folder: Path, python: Path, library: Path) -> None:
    """A kernel named "colab" that finds a stub of google.colab, and nothing of this repository."""
    stub = folder / "stub" / "google" / "colab"
    stub.mkdir(parents=True)
    (stub.parent / "__init__.py").touch()
    (stub / "__init__.py").write_text("from . import output\n")
    (stub / "output.py").write_text("def enable_custom_widget_manager():\n    pass\n")
    spec = {
        "argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Colab",
        "language": "python",
        "env": {
            "HYBRIDLIB_WHEEL": str(library),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # else the old kernel complains about its own debugger
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "PYTHONPATH": str(stub.parent.parent),
        },
    }
    place = folder / "jupyter" / "kernels" / "colab"
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(json.dumps(spec))
    os.environ["JUPYTER_PATH"] = str(folder / "jupyter")


def state(python: Path) -> dict[str, str]:
    """Version and a fingerprint of every installed file (name, size, time) of the packages that must not change."""
    script = f"""
import hashlib, importlib.metadata, json
found = {{}}
for name in {UNTOUCHED}:
    package = importlib.metadata.distribution(name)
    stats = [(str(file), file.locate().stat()) for file in package.files if file.suffix != ".pyc"]
    files = sorted((file, stat.st_size, stat.st_mtime_ns) for file, stat in stats)
    found[name] = package.version + " " + hashlib.sha256(repr(files).encode()).hexdigest()
print(json.dumps(found))
"""
    return json.loads(subprocess.run([python, "-c", script], check=True, capture_output=True, text=True).stdout)


def run(path: Path, python: Path) -> float:
    """Execute one notebook from a fresh, empty folder -> seconds, first cell included."""
    subprocess.run([python, "-m", "pip", "uninstall", "-qq", "--yes", *ABSENT], check=True)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        notebook = nbformat.read(path, as_version=4)
        limit = CONFIG["execute"]["timeout"]  # seconds a cell and the start of the kernel, for stalls only
        options = dict(kernel_name="colab", timeout=limit, startup_timeout=limit, iopub_timeout=limit)
        NotebookClient(notebook, resources={"metadata": {"path": folder}}, **options).execute()
    return time.perf_counter() - start


def main(names: list[str]) -> None:
    for variable in ("HYBRIDLIB_DATA", "PYTHONPATH"):
        os.environ.pop(variable, None)
    chapters = chosen(names)
    python = environment(interpreter())
    before = state(python)
    print("Colab's versions: " + ", ".join(f"{name} {found.split()[0]}" for name, found in before.items()), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        kernel(Path(folder), python, wheel(Path(folder)))
        for path in chapters:
            seconds = run(path, python)
            after = state(python)
            if after != before:
                (python.parent.parent / STAMP).unlink()  # so that the next run makes the environment anew
                sys.exit(f"{path.name} changed {[name for name in before if after[name] != before[name]]}")
            print(f"{path.name}: {seconds:.0f} s, torch, numpy and the others untouched", flush=True)
    print(f"{len(chapters)} chapters ran as on Colab, with {python.parent.parent.name}")


if __name__ == "__main__":
    main(sys.argv[1:])

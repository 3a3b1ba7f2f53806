"""Ask a real card: the contract test, README and every chapter at full length, side by side.

    python tools/gpu_test.py [--limit 600] [--jobs 8] [--out .] [flows graphaf ...]        also: make gpu-test

Needs PyTorch with CUDA, pytest, IPython and what the chapters import, but neither Jupyter nor an installed hybridlib.
Writes gpu_test.json (all that was found) and gpu_test.md (the table of benchmarks/README.md). A cell that fails does
not stop its chapter, and `--limit` ends a chapter, in seconds. Ends with 1 if anything failed.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import chapters
import torch

TESTS = ["tests/test_pretend_gpu.py", "tests/test_promise.py", "tests/test_everywhere.py"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="chapter", help="README or the name of a notebook; all if none")
    parser.add_argument("--limit", type=float, default=1800, help="seconds for a chapter, and for the contract test")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="chapters side by side")
    parser.add_argument("--out", type=Path, default=Path(), help="folder for gpu_test.json and gpu_test.md")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("no card found; where there is none: make gpu-rehearsal")
    paths = [path for path in chapters.chapters() if path.stem in arguments.names or not arguments.names]
    jobs = max(1, min(arguments.jobs, len(paths)))
    threads = str(max(1, os.cpu_count() // jobs))
    search = os.pathsep.join([str(chapters.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {"OMP_NUM_THREADS": threads, "PYTHONPATH": search}
    found = {
        "card": torch.cuda.get_device_name(0),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
        "jobs": jobs,
        "chapters": [],
    }
    with ThreadPoolExecutor(1) as pool:
        tests = pool.submit(contract_test, environment, arguments.limit)
        for result in chapters.reports(paths, limit=arguments.limit, jobs=jobs, environment=environment):
            print(row(result), *chapters.failures(result), sep="\n", flush=True)
            found["chapters"].append(result)
            write(found, arguments.out)  # whatever happens next
        found["tests"] = tests.result()
    print(found["tests"]["output"])
    write(found, arguments.out)
    sys.exit(bool(found["tests"]["failed"] or any(result["errors"] for result in found["chapters"])))


def contract_test(environment, limit):
    """The tests that run on a card as well -> {failed, seconds, output}."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "filterwarnings=", *TESTS]
    begun = time.perf_counter()
    try:
        done = subprocess.run(
            command, cwd=chapters.ROOT, env=os.environ | environment, timeout=limit, capture_output=True, text=True
        )
        failed, output = done.returncode != 0, done.stdout[-4000:] + done.stderr[-1000:]
    except subprocess.TimeoutExpired as stop:
        failed, output = True, f"{(stop.stdout or b'').decode()[-3000:]}\nthe tests have used their {limit:g} seconds"
    return {"failed": failed, "seconds": round(time.perf_counter() - begun, 1), "output": output}


def row(result):
    """A chapter's line of the table."""
    cells = ", ".join(str(error["cell"]) for error in result["errors"]) or "none"
    size = result["peak_bytes"] / 2**20
    return f"| {result['chapter']} | {result['cells']} | {result['seconds']:.0f} | {size:,.0f} | {cells} |"


def write(found, folder):
    """gpu_test.json and gpu_test.md."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gpu_test.json").write_text(json.dumps(found, indent=1), "utf-8")
    done = found["chapters"]
    lines = [
        f"{found['card']}, torch {found['torch']}, Python {found['python']}, {found['date']}, {found['jobs']} chapters",
        "side by side (seconds are wall time of a shared machine; memory is the most that PyTorch had allocated).",
        "",
        "| chapter | cells | seconds | peak memory (MiB) | cells that failed |",
        "| --- | ---: | ---: | ---: | --- |",
        *map(row, sorted(done, key=lambda result: result["chapter"])),
        "",
        *(f"- {failure}" for result in done for failure in chapters.failures(result)),
    ]
    if "tests" in found:
        last = (found["tests"]["output"].strip().splitlines() or ["no output"])[-1]
        lines += ["", f"Contract test: {last}"]
    (folder / "gpu_test.md").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()

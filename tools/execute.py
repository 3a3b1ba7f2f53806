"""Execute the notebooks, as many side by side as there are cores: into the cache for the build, or elsewhere.

    python tools/execute.py                                  those that the build's cache does not know, into the cache
    python tools/execute.py --shift 1 [CHAPTER ...]          all or some, in scratch folders, without the cache, every
                                                             seed larger by one (0: the seeds as they are)

The second asks whether a chapter holds elsewhere: with other seeds, with other kernels of PyTorch for the processor
(ATEN_CPU_CAPABILITY=default or avx2), with more threads (OMP_NUM_THREADS). `make elsewhere` calls it. Both print the
processor time of each notebook with its slowest cells, and name notebook and cell where one fails or writes to stderr.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import psutil
import yaml
from first_cells import notebooks
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from myst_nb.core.read import read_myst_markdown_notebook
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

ROOT = Path(__file__).resolve().parent.parent
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
SHIFT = """\
from hybridlib.teach.seeds import shift
shift({by})
del shift"""


@dataclass
class Ran:
    path: Path
    notebook: nbformat.NotebookNode
    seconds: float = 0.0  # on the clock, start of the kernel included
    cells: list[tuple[float, str]] = field(default_factory=list)  # seconds of the processor, name
    error: str | None = None


def read(path: Path) -> nbformat.NotebookNode:
    """A notebook, or a deck of slides in Markdown, whose cells are named by their lines."""
    if path.suffix != ".md":
        return nbformat.read(path, as_version=4)
    notebook = read_myst_markdown_notebook(path.read_text("utf-8"), add_source_map=True, path=path)
    for line, cell in zip(notebook.metadata.source_map, notebook.cells):
        cell.id = f"line-{line + 1}"
    return notebook


def run(path: Path, folder: str | Path | None = None, shift: int = 0) -> Ran:
    """Execute one notebook in `folder` (default: a scratch folder), seeds larger by `shift`; errors are returned."""
    if folder is None:
        with tempfile.TemporaryDirectory() as scratch:
            return run(path, scratch, shift)
    ran = Ran(path, read(path))
    if shift:
        source = SHIFT.format(by=shift)
        ran.notebook.cells.insert(0, nbformat.v4.new_code_cell(source, id="shift"))
    client = NotebookClient(
        ran.notebook,
        resources={"metadata": {"path": str(folder)}},
        timeout=CONFIG["execute"]["timeout"],
        # For stalls as well: on a busy machine a kernel may take minutes to start, and outputs that come late would
        # by default be dropped without a word.
        startup_timeout=CONFIG["execute"]["timeout"],
        iopub_timeout=CONFIG["execute"]["timeout"],
        raise_on_iopub_timeout=True,
        record_timing=False,  # it would be written into the cells, and the cache would not know them again
        extra_arguments=["--log-level=ERROR"],  # else every kernel warns that it talks to us over TCP
    )

    def used() -> float:
        times = psutil.Process(client.km.provisioner.pid).cpu_times()
        return times.user + times.system + times.children_user + times.children_system

    def started(cell, cell_index):
        ran.cells.append((used(), f"{cell.id} (cell {cell_index})"))

    def ended(cell, cell_index, execute_reply):
        ran.cells[-1] = (used() - ran.cells[-1][0], ran.cells[-1][1])

    client.on_cell_execute, client.on_cell_executed = started, ended
    clock = time.perf_counter()
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        ran.error = f"{path.stem}, {ran.cells[-1][1] if ran.cells else 'before its first cell'}: {error}"
    ran.seconds = time.perf_counter() - clock
    if ran.error is None:
        ran.error = complaint(ran.notebook, path.stem)
    return ran


def complaint(notebook, name: str) -> str | None:
    """The first text on stderr, which the build takes for an error, with its place; None if there is none."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                return f"{name}, {cell.id} writes to stderr: {output.text[:2000]}"
    return None


def side_by_side() -> int:
    """Notebooks at a time, so that all their threads together fill the cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, cores // int(os.environ["OMP_NUM_THREADS"]))


def told(ran: Ran) -> str:
    slowest = ", ".join(f"{name} {seconds:.0f}" for seconds, name in sorted(ran.cells, reverse=True)[:3])
    total = sum(seconds for seconds, _ in ran.cells)
    return f"{total:6.0f} s of the processor, {ran.seconds:6.0f} s in all  {ran.path.stem}; slowest: {slowest}"


def ask(arguments) -> Ran:
    return run(*arguments)  # a function of the module, because other processes look it up by name


def run_all(jobs: list[tuple], each) -> None:
    """run(*job) for all jobs, `each` of the results as it comes; exits with the errors once all have run."""
    errors = []
    fresh = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    with fresh.Pool(min(side_by_side(), len(jobs)) or 1) as pool:
        for ran in pool.imap_unordered(ask, jobs):
            if ran.error is None:
                print(told(ran), flush=True)
                each(ran)
            else:
                print(ran.error, flush=True)
                errors.append(ran.error.partition(":")[0])
    if errors:
        sys.exit("stopped, see above: " + "; ".join(errors))


def into_the_cache(paths: list[Path], folder: Path) -> None:
    """Execute what the cache in `folder` does not know, and keep it there."""
    cache = get_cache(folder)

    def known(path):
        try:
            return cache.match_cache_notebook(read(path))
        except KeyError:
            return None

    def keep(ran):
        bundle = CacheBundleIn(ran.notebook, str(ran.path), data={"execution_seconds": ran.seconds})
        cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)

    run_all([(path, path.parent) for path in sorted(paths) if not known(path)], keep)


def chosen(names: list[str]) -> list[Path]:
    """Notebooks by their names, all of them for none; exits with a sentence for a name that no notebook has."""
    known = {path.stem: path for path in notebooks()}
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"no chapter is called {', '.join(map(repr, unknown))}; there are {', '.join(known)}")
    return [known[name] for name in names or known]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shift", type=int, help="how much larger every seed becomes; nothing goes into the cache")
    parser.add_argument("chapters", nargs="*", metavar="CHAPTER", help="with --shift: which notebooks, default all")
    options = parser.parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # a notebook for each core: more threads would only wait
    if options.shift is None:
        if options.chapters:
            parser.error("chapters are chosen together with --shift; the build needs all")
        into_the_cache(notebooks(), ROOT / "_build" / ".jupyter_cache")
        return
    paths = chosen(options.chapters)
    capability = os.environ.get("ATEN_CPU_CAPABILITY", "the processor's own")
    print(f"seeds + {options.shift}, {os.environ['OMP_NUM_THREADS']} threads, capability: {capability}", flush=True)
    run_all([(path, None, options.shift) for path in paths], lambda ran: None)
    print(f"{len(paths)} notebooks hold with these")


if __name__ == "__main__":
    main(sys.argv[1:])

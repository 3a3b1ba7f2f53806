"""Run the cells of a chapter without Jupyter, and say what went wrong in which of them.

Used by the rehearsal on a pretend GPU (gpu_rehearsal.py) and by the test on a real one (gpu_test.py), which give each
chapter a process of its own, and by answers.py, which tries answers to exercises. README's blocks of code count as a
chapter.

    python tools/chapters.py book/flows.ipynb --short --pretend --limit 600        prints the report as JSON

A cell that stops does not stop the chapter: the report names every cell that fails, with its line and its message.
Where a name is missing that stands in a cell which failed before, the report calls it a consequence.
"""

import argparse
import ast
import builtins
import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import wraps
from pathlib import Path

import readme

ROOT = Path(__file__).resolve().parent.parent
ROWS, EPOCHS, STEPS = 200, 2, 5  # of a training cut short: rows, passes through them, and steps of audit.fitted


class OutOfTimeError(BaseException):
    """The chapter has used its seconds. No `except Exception` of a cell may catch it."""


def chapters():
    """README and the notebooks, the longest first."""
    return sorted([ROOT / "README.md", *(ROOT / "book").glob("*.ipynb")], key=lambda path: -path.stat().st_size)


def report(path, *options, limit, environment=()):
    """What a process of its own reports about a chapter, also if it dies: path, options of `main` -> as `run`."""
    command = [sys.executable, __file__, str(path), *options, f"--limit={limit}"]
    begun, tail = time.perf_counter(), ""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=limit + 60, env=os.environ | dict(environment)
        )
        if done.returncode == 0:
            return json.loads(done.stdout)
        why, tail = f"the process ended with {done.returncode}", done.stderr[-300:]
    except subprocess.TimeoutExpired:
        why = "the process did not heed its limit"
    entry = {"cell": -1, "id": "", "line": 0, "error": f"{why} {tail}".strip(), "place": "", "consequence": False}
    unknown = {"device": "?", "cells": 0, "cpu_seconds": 0.0, "peak_bytes": 0, "slowest": [], "missed": []}
    return {"chapter": path.stem, "seconds": round(time.perf_counter() - begun, 1), "errors": [entry]} | unknown


def reports(paths, *options, limit, jobs, environment=()):
    """Chapters side by side, `jobs` at a time -> their reports, in the order in which they end."""
    with ThreadPoolExecutor(jobs) as pool:
        tasks = [pool.submit(report, path, *options, limit=limit, environment=environment) for path in paths]
        for task in as_completed(tasks):
            yield task.result()


def failures(result):
    """A line for each cell of a report that failed -> list of str."""
    return [
        f"{result['chapter']}, cell {e['cell']} ({e['id']}), line {e['line']}: {e['error']}"
        + (f" [{e['place']}]" if e["place"] else "")
        + (" (a consequence)" if e["consequence"] else "")
        for e in result["errors"]
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--pretend", action="store_true", help="on a pretend GPU; else wherever Accelerate goes")
    parser.add_argument("--short", action="store_true", help="cut trainings short, and excuse asserts")
    parser.add_argument("--limit", type=float, default=3600, help="seconds for the whole chapter")
    arguments = parser.parse_args()
    notebook = arguments.notebook.resolve()
    with aside():
        report = run(notebook, pretend=arguments.pretend, short=arguments.short, limit=arguments.limit)
    json.dump(report, sys.stdout)


@contextlib.contextmanager
def aside():
    """Where cells may write and print: a folder for a while, and no stdout."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        os.environ |= {"IPYTHONDIR": folder, "MPLBACKEND": "agg", "TQDM_DISABLE": "1"}
        os.chdir(folder)
        yield
        os.chdir(ROOT)


def run(notebook, *, pretend=False, short=False, limit, then=None):
    """A chapter -> {chapter, device, cells, seconds, cpu_seconds, peak_bytes, slowest, errors, missed}.

    errors: a dict for each cell that failed, with cell (counted from 0), id, line, error, place (where in hybridlib)
    and consequence. missed: the same for asserts, which `short` excuses. slowest: five cells, [CPU seconds, cell].
    peak_bytes: the card's memory at its fullest. then: called after each cell with its id, its source and the names
    that the cells have made; the chapter ends where it says True.
    """
    with contextlib.ExitStack() as stack:
        if pretend:
            from pretend_gpu import PretendGPU

            stack.enter_context(PretendGPU())
        missed = []
        shell = _shell(missed if short else None)
        if short:
            cut_short()
        start, cpu = time.perf_counter(), time.process_time()
        stack.enter_context(_alarm(limit))
        errors, times, failed = [], [], set()
        for number, name, tags, source in cells(notebook):
            begun, told = time.process_time(), len(missed)
            error = _error(shell, source)
            times.append([round(time.process_time() - begun, 1), number])
            if "raises-exception" in tags and not isinstance(error, OutOfTimeError):
                error = None if error else RuntimeError("the cell should raise an error, and did not")
            here = {"cell": number, "id": name}
            missed[told:] = [here | entry for entry in missed[told:]]
            if error is not None:
                entry = here | _told(error)
                entry["consequence"] = isinstance(error, NameError) and error.name in failed
                failed |= set(re.findall(r"\w+", source))
                (missed if short and isinstance(error, AssertionError) else errors).append(entry)
            if isinstance(error, OutOfTimeError) or (then and then(name, source, shell.user_ns)):
                break
        import torch

        card = torch.cuda.is_available()
        return {
            "chapter": notebook.stem,
            "device": torch.cuda.get_device_name(0) if card else "CPU",
            "cells": len(times),
            "seconds": round(time.perf_counter() - start, 1),
            "cpu_seconds": round(time.process_time() - cpu, 1),
            "peak_bytes": torch.cuda.max_memory_allocated() if card else 0,
            "slowest": sorted(times, reverse=True)[:5],
            "errors": errors,
            "missed": missed,
        }


def cells(path):
    """The cells to execute: (number from 0, id, tags, source) of a notebook, or README's blocks of Python."""
    if path.name == "README.md":
        yield from ((number, "", [], source) for number, (_, source) in enumerate(readme.examples()))
        return
    for number, cell in enumerate(json.loads(path.read_text("utf-8"))["cells"]):
        tags = cell["metadata"].get("tags", [])
        if cell["cell_type"] == "code" and "skip-execution" not in tags:
            yield number, cell.get("id", ""), tags, "".join(cell["source"])


def _shell(missed):
    """IPython without its history and its tracebacks. missed: a list that takes the asserts which do not hold."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    shell.showtraceback = shell.showsyntaxerror = lambda *args, **kwargs: None  # the report has them
    if missed is not None:
        builtins.__missed__ = lambda line, text: missed.append({"line": line, "error": text, "place": ""})
        shell.ast_transformers.append(_Excused())
    return shell


class _Excused(ast.NodeTransformer):
    """Asserts of a cell, though not of the functions in it, are told instead of raised."""

    def visit_Assert(self, node):
        test = ast.unparse(node.test)
        told = f"__missed__({node.lineno}, {test!r})"
        return ast.copy_location(ast.If(ast.UnaryOp(ast.Not(), node.test), ast.parse(told).body, []), node)

    def visit_FunctionDef(self, node):
        return node

    visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda = visit_FunctionDef


def _error(shell, source):
    """Run a cell -> the exception that ended it, or None."""
    with contextlib.redirect_stderr(io.StringIO()):
        result = shell.run_cell(source)
    return result.error_before_exec or result.error_in_exec


def _told(error):
    """Where an exception came from: {line (of the cell), error, place (in hybridlib)}."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename.startswith("<ipython-input")]
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames if "/hybridlib/" in frame.filename]
    text = f"{type(error).__name__}: {error}"
    return {"line": lines[0] if lines else 0, "error": text[:300], "place": places[-1] if places else ""}


@contextlib.contextmanager
def _alarm(seconds):
    def ring(*_):
        raise OutOfTimeError(f"the chapter has used its {seconds:g} seconds")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def cut_short():
    """Let `train.fit` and `audit.fitted` take a few steps only, in this process from now on."""
    from torch import Tensor

    from hybridlib import audit, report, train

    fit, fitted = train.fit, audit.fitted

    @wraps(fit)
    def few_steps(model, batches, loss, *, epochs=1, **options):
        if isinstance(batches, Tensor):
            batches = batches[:ROWS]
        elif isinstance(batches, (tuple, list)):
            batches = tuple(part[:ROWS] for part in batches)
        history = fit(model, batches, loss, epochs=min(epochs, EPOCHS), **options)
        # as long as was asked, for those who draw it
        return history + [history[-1] | {"epoch": epoch} for epoch in range(len(history) + 1, epochs + 1)]

    @wraps(fitted)
    def few_fitted(*arguments, steps=STEPS, **options):
        return fitted(*arguments, steps=min(steps, STEPS), **options)

    train.fit, audit.fitted, report.fitted = few_steps, few_fitted, few_fitted  # report has a name of its own for it


if __name__ == "__main__":
    main()

"""Published results: the records that came with this version of the library, written by its recipes and benchmarks.

    published("nltcs")["test"]["nll"]      # what a chapter's table shows

A record says how to get it (command, seeds, settings, data), where it is from (date, hardware, versions) and what was
found. benchmarks/README.md explains its layout. Chapter 3 shows the first one.
"""

import datetime
import importlib.metadata
import importlib.util
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from . import __version__

RESULTS = Path(__file__).parent / "results"  # in the package, so that chapters have them wherever they run
WIDTH = 160  # characters of a line in a record


def published(name: str) -> dict:
    """The record of a recipe, or of a benchmark such as "made_speed", that came with this version of the library.

    ValueError, with the names that there are, for any other.

    >>> published("nltcs")["command"]
    'python -m hybridlib.recipes nltcs'
    """
    known = {found.stem: found for found in RESULTS.glob("*.json")}
    if name not in known:
        raise ValueError(f"there is no record {name!r}; there are {', '.join(sorted(known))}")
    return json.loads(known[name].read_text())


def rows(found: Mapping[str, dict], columns: Mapping[str, str]) -> list[dict]:
    """Rows for `viz.table` from records, one for each name -> [{"": name, title: value, ...}, ...].

    ``columns``: title -> what it shows, a key of the records' protocol, such as "w", or the path of a result, such as
    "test.nll". Of a record with several seeds that is the mean over them, and "+-test.nll" is how far the seeds are
    apart, as a standard deviation; a path that a record lacks leaves the place empty.

    ValueError if the protocols differ in a key that no column shows: such numbers cannot be compared.

    >>> one, other = ({"protocol": {"w": w}, "test": {"nll": 2.0}} for w in (0.9, 0.5))
    >>> rows({"one": one, "other": other}, {"NLL (nats)": "test.nll", "width of the noise": "w"})[0]
    {'': 'one', 'NLL (nats)': 2.0, 'width of the noise': 0.9}
    >>> rows({"one": one, "other": other}, {"NLL (nats)": "test.nll"})
    Traceback (most recent call last):
    ValueError: these records differ in 'w': ...
    """
    protocols = {name: record["protocol"] for name, record in found.items()}
    for key in dict.fromkeys(key for protocol in protocols.values() for key in protocol):
        values = {name: protocol.get(key) for name, protocol in protocols.items()}
        if key not in columns.values() and len({*map(json.dumps, values.values())}) > 1:
            raise ValueError(f"these records differ in {key!r}: {values}; show it in a column, or leave a row out")
    return [{"": name} | {t: _result(record, path) for t, path in columns.items()} for name, record in found.items()]


def _result(record: dict, path: str) -> object:
    if path in record["protocol"]:
        return record["protocol"][path]
    spread, runs = path.startswith("+-"), record.get("runs", [record])
    values = [_at(run, path.removeprefix("+-")) for run in runs]
    if None in values or (spread and len(runs) < 2):
        return None
    return statistics.stdev(values) if spread else statistics.fmean(values)


def _at(part: object, path: str) -> float | None:
    for key in path.split("."):
        part = part.get(key) if isinstance(part, dict) else None
    return part


def drawn(record: dict, label: str) -> dict:
    """The record of GraphAF as of one of its sets of samples, "samples_paper" for instance, which becomes "samples".

    >>> drawn(published("zinc_exact"), "samples_checked")["protocol"]["check"]
    'reject'
    """
    how = {key: record[label][key] for key in ("temperature", "check")}
    runs = {"runs": [{**run, "samples": run[label]} for run in record["runs"]]} if "runs" in record else {}
    return {**record, "samples": record[label], **runs, "protocol": {**record["protocol"], **how}}


def head(name: str, command: str, *, device: torch.device | str = "cpu", packages: tuple[str, ...] = ()) -> dict:
    """What every record begins with: how to get it, and where it comes from; versions of ``packages`` as well.

    >>> list(head("nltcs", "python -m hybridlib.recipes nltcs"))
    ['name', 'command', 'date', 'hardware', 'versions']
    """
    found = {package: importlib.metadata.version(package) for package in packages if importlib.util.find_spec(package)}
    versions = {"python": platform.python_version(), "torch": torch.__version__, **found, "hybridlib": __version__}
    date = datetime.date.today().isoformat()
    return {"name": name, "command": command, "date": date, "hardware": hardware(device), "versions": versions}


def hardware(device: torch.device | str = "cpu") -> str:
    """The card that a device is, or else the threads in use and the cores of this machine.

    >>> "CPU cores" in hardware()
    True
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{threads} thread{'s' * (threads > 1)} of {os.cpu_count()} CPU cores, {platform.machine()}"


def clock() -> Callable[[], dict]:
    """A function that tells the seconds since now, wall and CPU.

    >>> list(clock()())
    ['wall_seconds', 'cpu_seconds']
    """
    wall, cpu = time.perf_counter(), time.process_time()
    return lambda: {
        "wall_seconds": round(time.perf_counter() - wall, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
    }


def score(log_prob: Tensor, D: int | None = None) -> dict:
    """Held-out log-likelihoods (n,) -> mean negative log-likelihood, its standard error, nats; bits per D dimensions.

    >>> score(torch.tensor([-2.0, -4.0]), D=8)
    {'nll': 3.0, 'se': 1.0, 'bits_per_dim': 0.54101}
    """
    mean, se = -log_prob.double().mean().item(), log_prob.std().item() / len(log_prob) ** 0.5
    bits = {"bits_per_dim": round(mean / D / math.log(2), 5)} if D else {}
    return {"nll": round(mean, 4), "se": round(se, 4), **bits}


def share(k: int, n: int) -> dict:
    """k of n as a share with its 95 % interval (Wilson 1927), which keeps its promise near 0 and 1, too.

    ValueError for more than there are, or for nothing to count.

    >>> share(10, 10)
    {'value': 1.0, 'low': 0.7225, 'high': 1.0}
    """
    if not 0 <= k <= n or not n:
        raise ValueError(f"{k} of {n} is no share")
    z, p = 1.96, k / n
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = ((middle + side * half) / (1 + z * z / n) for side in (-1, 1))
    return {"value": round(p, 4), "low": round(max(low, 0), 4), "high": round(min(high, 1), 4)}


def as_json(value: object, indent: str = "") -> str:
    """JSON in which what fits on a line stands on one: a score, an epoch of a curve; lists of plain values always do.

    >>> print(as_json({"test": {"nll": 5.98}, "curve": [{"epoch": 1, "loss": 6.6}]}))
    {"test": {"nll": 5.98}, "curve": [{"epoch": 1, "loss": 6.6}]}
    """
    line, inner = json.dumps(value), indent + " "
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {as_json(part, inner)}" for key, part in value.items()]
    elif isinstance(value, list) and any(isinstance(part, dict | list) for part in value):
        parts = [as_json(part, inner) for part in value]
    else:
        return line
    if len(indent + line) < WIDTH:
        return line
    return f",\n{inner}".join(parts).join((f"{line[0]}\n{inner}", f"\n{indent}{line[-1]}"))


def write(record: dict, path: Path) -> None:
    """The record as JSON, in a folder that is made if need be.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write({"name": "nltcs"}, Path(folder) / "nltcs.json")
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_json(json.loads(json.dumps(record))) + "\n")

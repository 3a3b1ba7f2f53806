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
import time
from collections.abc import Callable
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
    """k of n as a share with its standard error; of nothing, 0.

    >>> share(80, 100)
    {'share': 0.8, 'se': 0.04}
    """
    p = k / max(n, 1)
    return {"share": round(p, 4), "se": round(math.sqrt(p * (1 - p) / max(n, 1)), 4)}


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

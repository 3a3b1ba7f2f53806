"""What the benchmarks share: clocks, ratios, tables, and the record that every run writes.

Time is the CPU time of this process, because others may use the machine too.
"""

import statistics
import time

import torch

from hybridlib import records


def seconds(f, repeats=1):
    """CPU seconds of this process for one call."""
    start = time.process_time()
    for _ in range(repeats):
        f()
    return (time.process_time() - start) / repeats


def draw(sampler, n, seed):
    """-> CPU seconds, samples."""
    generator = torch.Generator().manual_seed(seed)
    start = time.process_time()
    samples = sampler(n, generator=generator)
    return time.process_time() - start, samples


def ratio(slow, fast, digits=1):
    """Median and rounds of the ratios within each round."""
    rounds = [a / b for a, b in zip(slow, fast, strict=True)]
    return {"median": round(statistics.median(rounds), digits), "rounds": [round(r, digits) for r in rounds]}


def table(header, rows):
    """Print rows under a header, columns as wide as they need."""
    rows = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    for row in rows:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    print()


def head(name, **arguments):
    """What every record begins with; the arguments are those of the command line."""
    options = " ".join(f"--{key.replace('_', '-')} {value}" for key, value in arguments.items())
    return records.head(name, f"python benchmarks/{name}.py {options}")


def write(result, path):
    """The record as JSON."""
    records.write(result, path)
    print(f"wrote {path}")

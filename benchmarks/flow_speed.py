"""How much faster a flow of 784 variables is inverted when each unit is computed once, and MAF beside IAF, in one run.

    python benchmarks/flow_speed.py     # one thread, minutes; writes flow_speed.json

Both inversions get the same noise and must agree to 1e-5. Rounds interleave everything that is compared, time is the
CPU time of this process, and a ratio is formed within each round, so that a busy machine slows both alike.
"""

import argparse
import statistics
from pathlib import Path

import torch
from _measure import head, ratio, seconds, table, write

from hybridlib import flows
from hybridlib.autoregressive import Autoregressive
from hybridlib.made import MADE

D, HIDDEN = 784, {"one layer": (500,), "two layers": (500, 500)}


def inversion(hidden, n, rounds):
    """CPU seconds of the two ways to invert one affine layer, for n rows."""
    made = MADE(D, hidden, output=flows.Affine()).eval()
    with torch.no_grad():
        for p in made.parameters():  # small, or 784 steps multiply what they differ by
            p.normal_(0, 0.01, generator=torch.Generator().manual_seed(p.numel()))
    noise, results = torch.randn(n, D, generator=torch.Generator().manual_seed(0)), {}

    def run(way, name):
        with torch.no_grad():
            results[name] = way(made, noise, made.output.from_noise)

    run(MADE.generate, "fast")  # warm up
    turns = []
    for _ in range(rounds):
        fast = statistics.median(seconds(lambda: run(MADE.generate, "fast")) for _ in range(3))
        turns.append((fast, seconds(lambda: run(Autoregressive.generate, "plain"))))
    difference = (results["fast"] - results["plain"]).abs().max().item()
    assert difference < 1e-5, f"the two inversions differ by {difference}"
    fast, plain = zip(*turns, strict=True)
    return {
        "fast_seconds": round(statistics.median(fast), 4), "plain_seconds": round(statistics.median(plain), 3),
        "difference": difference, "ratio": ratio(plain, fast),
    }  # fmt: skip


def directions(n, rounds):
    """CPU seconds of density and samples, MAF and IAF of three layers, 64 variables."""
    models = {"MAF": flows.maf(64, 3, (128,)), "IAF": flows.iaf(64, 3, (128,))}
    x, rows = torch.randn(n, 64, generator=torch.Generator().manual_seed(0)), []
    ways = {"density": lambda m: m.log_prob(x), "sampling": lambda m: m.sample(n)}
    times = {(name, way): [] for name in models for way in ways}
    with torch.no_grad():
        for _ in range(rounds + 1):  # the first one warms up
            for name, way in times:
                times[name, way].append(seconds(lambda name=name, way=way: ways[way](models[name])))
    for name in models:
        median = {way: round(statistics.median(times[name, way][1:]), 5) for way in ways}
        rows.append({"model": name, **{f"{way}_seconds": value for way, value in median.items()}})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--samples", type=int, default=1000, help="rows at once (default 1000)")
    parser.add_argument("--output", type=Path, default=Path("flow_speed.json"), help="where the numbers go")
    args = parser.parse_args()
    torch.set_num_threads(1)
    result = head("flow_speed", rounds=args.rounds, samples=args.samples) | {
        "settings": {"D": D, "n": args.samples},
        "inversion": {name: inversion(hidden, args.samples, args.rounds) for name, hidden in HIDDEN.items()},
        "directions": directions(args.samples, 5),
    }
    print(f"{args.samples} rows of {D} variables: each unit once, and {D} full passes")
    lines = [
        [name, row["plain_seconds"], row["fast_seconds"], f"{row['ratio']['median']:.0f}x", f"{row['difference']:.0e}"]
        for name, row in result["inversion"].items()
    ]
    table(["network", "passes (s)", "once (s)", "faster", "difference"], lines)
    table(["flow of 64 variables", "density (s)", "sampling (s)"], [list(row.values()) for row in result["directions"]])
    write(result, args.output)


if __name__ == "__main__":
    main()

"""How much faster a Transformer samples when it keeps keys and values, at growing lengths, in one run.

    python benchmarks/transformer_speed.py     # one thread, minutes; writes transformer_speed.json

Both samplers are given the same random numbers and must return the same symbols, in 64 bits: in 32 a processor may
round their products differently, and a symbol can turn over. Rounds interleave them and the lengths, time is the CPU
time of this process, and a ratio is formed within each round, so that a busy machine slows both alike. Beside them
stands one training step on as many sequences of the same length: it handles all positions at once, while a sampler must
go through them one after the other.
"""

import argparse
import copy
import statistics
from pathlib import Path

import torch
from _measure import draw, head, ratio, seconds, table, write

from hybridlib.noise import seeded
from hybridlib.transformer import Transformer

LENGTHS = 16, 32, 64, 128, 256
K = 35  # symbols, as in the SMILES of ZINC
SIZES = {"width": 128, "layers": 4, "heads": 4}


def stepper(model, n):
    """-> a function that does one training step on n random sequences."""
    x = torch.randint(K, (n, model.T), generator=torch.Generator().manual_seed(0)).float()
    optimizer = torch.optim.Adam(model.parameters())

    def step():
        optimizer.zero_grad()
        (-model.log_prob(x).mean()).backward()
        optimizer.step()

    return step


def one_round(model, n, seed):
    """-> CPU seconds of the two samplers, each for n samples."""
    drawn = [draw(model.sample, n, seed) for _ in range(3)]
    plain, _ = draw(model.sample_plain, n, seed)
    return statistics.median(took for took, _ in drawn), plain


def measure(rounds, n):
    with seeded(0):
        models = {T: Transformer(T, K, **SIZES) for T in LENGTHS}
    for model in models.values():
        exact = copy.deepcopy(model).double()
        (_, kept), (_, full) = draw(exact.sample, n, seed=0), draw(exact.sample_plain, n, seed=0)
        assert torch.equal(kept, full), f"the two samplers disagree at T = {model.T}"
        draw(model.sample, n, seed=0)  # warm up
    turns = [{T: one_round(model, n, seed) for T, model in models.items()} for seed in range(rounds)]
    # training changes the weights, so it comes last
    steps = {T: stepper(model, n) for T, model in models.items()}
    for step in steps.values():
        step()
    stepped = [{T: seconds(step) for T, step in steps.items()} for _ in range(max(rounds, 5))]
    rows = []
    for T in LENGTHS:
        kept, plain = zip(*(turn[T] for turn in turns), strict=True)
        rows.append({
            "T": T, "identical": True,
            "sample_seconds": round(statistics.median(kept), 4),
            "plain_seconds": round(statistics.median(plain), 3),
            "ratio": ratio(plain, kept, 2),
            "step_seconds": round(statistics.median(turn[T] for turn in stepped), 4),
        })  # fmt: skip
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--samples", type=int, default=20, help="sequences at once (default 20)")
    parser.add_argument("--output", type=Path, default=Path("transformer_speed.json"), help="where the numbers go")
    args = parser.parse_args()
    torch.set_num_threads(1)
    result = head("transformer_speed", rounds=args.rounds, samples=args.samples) | {
        "settings": {"K": K, **SIZES, "n": args.samples},
        "sampling": measure(args.rounds, args.samples),
    }
    print(f"{args.samples} samples with keys and values kept, and by full passes; the same samples in 64 bits")
    lines = [
        [row["T"], row["plain_seconds"], row["sample_seconds"], f"{row['ratio']['median']:.1f}x", row["step_seconds"]]
        for row in result["sampling"]
    ]
    table(["length", "plain (s)", "sample (s)", "faster", "training step (s)"], lines)
    write(result, args.output)


if __name__ == "__main__":
    main()

"""How long a training step and 1,000 samples of MADE take, beside other libraries, in one run.

    python benchmarks/made_speed.py            # one thread, a few minutes; writes hybridlib/results/made_speed.json

Training: the same step for all (784 variables, hidden ReLU layers, binary cross-entropy, Adam with PyTorch's defaults),
as a ratio to the network without any masks. Rounds interleave the contestants, time is the CPU time of this process,
and a ratio is formed within each round, so that a busy machine slows all alike. Sampling: computing each hidden unit
once against 784 full passes, which must give the same bits.
"""

import argparse
import importlib.metadata
import importlib.util
import itertools
import statistics
from pathlib import Path

import torch
import torch.nn.functional as F
from _measure import draw, head, ratio, seconds, table, write
from torch import nn

from hybridlib import recipes
from hybridlib.made import MADE

D = 784
RESULTS = recipes.RESULTS / "made_speed.json"


def unmasked(hidden):
    """The yardstick: a plain multilayer perceptron."""
    sizes = [D, *hidden, D]
    layers = [layer for a, b in itertools.pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def ours(hidden):
    model = MADE(D, hidden, direct=False)
    return Logits(model, lambda x: model.theta(x).squeeze(-1))


class PlainMaskedLinear(nn.Linear):
    """The usual way: all weights exist and are multiplied by a fixed mask in every pass."""

    def __init__(self, mask):
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask)

    def forward(self, x):
        return F.linear(x, self.mask * self.weight, self.bias)


def masked(linear, hidden):
    """linear(mask) for each of our masks, with ReLUs between."""
    layers = [layer for mask in MADE(D, hidden, direct=False).masks() for layer in (linear(mask), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def plain_masked_layers(hidden):
    return masked(PlainMaskedLinear, hidden)


def nflows(hidden):
    from nflows.transforms.made import MADE

    return MADE(D, hidden[0], num_blocks=len(hidden) - 1, use_residual_blocks=False)


def normflows(hidden):
    from normflows.nets.made import MADE

    return MADE(D, hidden[0], num_blocks=len(hidden) - 1, use_residual_blocks=False)


def zuko(hidden):
    from zuko.nn import MaskedMLP

    return MaskedMLP(torch.ones(D, D).tril(-1).bool(), hidden)


def pyro(hidden):
    from pyro.nn.auto_reg_nn import MaskedLinear  # AutoRegressiveNN refuses fewer hidden units than variables

    return masked(lambda mask: MaskedLinear(mask.shape[1], mask.shape[0], mask), hidden)


PEERS = {"nflows": nflows, "normflows": normflows, "zuko": zuko, "pyro": pyro}  # import name -> network
PACKAGES = {"pyro": "pyro-ppl"}  # where the package has another name


class Logits(nn.Module):
    """A model as the network that it is: x (B, D) -> logits (B, D)."""

    def __init__(self, model, logits):
        super().__init__()
        self.model, self.logits = model, logits

    def forward(self, x):
        return self.logits(x)


def stepper(network, x):
    """-> a function that does one training step on the batch x."""
    optimizer = torch.optim.Adam(network.parameters())

    def step():
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(network(x), x, reduction="sum").div(len(x)).backward()
        optimizer.step()

    return step


def spread(values):
    """Median and quartiles."""
    low, median, high = statistics.quantiles(values, n=4)
    return {"median": round(median, 4), "quartiles": [round(low, 4), round(high, 4)], "rounds": len(values)}


def training(peers, rounds):
    networks = {"unmasked": unmasked, "hybridlib": ours, "plain masked layers": plain_masked_layers, **peers}
    rows = []
    for hidden in ((500,), (500, 500)):
        for batch, repeats in ((100, 8), (1000, 2)):
            torch.manual_seed(0)
            x = torch.bernoulli(torch.full((batch, D), 0.13))
            steps = {name: stepper(make(hidden), x) for name, make in networks.items()}
            for step in steps.values():  # warm up: memory, Adam's state
                seconds(step, 3)
            turns = [{name: seconds(step, repeats) for name, step in steps.items()} for _ in range(rounds)]
            for name in networks:
                relative = spread([turn[name] / turn["unmasked"] for turn in turns])
                milliseconds = round(1000 * statistics.median(turn[name] for turn in turns), 2)
                rows.append({"name": name, "hidden": hidden, "batch": batch, "ms": milliseconds, "ratio": relative})
    return rows


def sampling(rounds, n=1000):
    rows = []
    for hidden, direct in itertools.product(((500,), (500, 500)), (False, True)):
        model = MADE(D, hidden, direct=direct)
        draw(model.sample, n, seed=0)  # warm up
        fast, plain = [], []
        for seed in range(rounds):
            drawn = [draw(model.sample, n, seed) for _ in range(5)]
            took, samples = draw(model.sample_plain, n, seed)
            assert all(torch.equal(samples, one) for _, one in drawn), "the two samplers disagree"
            fast.append(statistics.median(one for one, _ in drawn))
            plain.append(took)
        rows.append({
            "hidden": hidden, "direct": direct, "n": n, "identical": True,
            "sample_seconds": round(statistics.median(fast), 4),
            "plain_seconds": round(statistics.median(plain), 2),
            "ratio": ratio(plain, fast),
        })  # fmt: skip
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=30, help="rounds of training steps (default 30)")
    parser.add_argument("--sampling-rounds", type=int, default=3, help="rounds of sampling (default 3)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the numbers go")
    args = parser.parse_args()
    torch.set_num_threads(1)

    peers = {name: make for name, make in PEERS.items() if importlib.util.find_spec(name)}
    for name in PEERS.keys() - peers.keys():
        print(f"{name} is left out: pip install -r benchmarks/requirements.txt")
    packages = [PACKAGES.get(name, name) for name in peers]
    result = head("made_speed", rounds=args.rounds, sampling_rounds=args.sampling_rounds)
    result["versions"] |= {p: importlib.metadata.version(p) for p in packages}
    result["D"] = D
    print(f"{result['hardware']}, {', '.join(f'{name} {version}' for name, version in result['versions'].items())}\n")

    result["training"] = training(peers, args.rounds)
    print("One training step as a ratio to the unmasked network: median over rounds (quartiles)")
    settings = sorted({(len(r["hidden"]), r["hidden"], r["batch"]) for r in result["training"]})
    lines = []
    for name in dict.fromkeys(r["name"] for r in result["training"]):
        cells = {(r["hidden"], r["batch"]): r["ratio"] for r in result["training"] if r["name"] == name}
        found = [cells[hidden, batch] for _, hidden, batch in settings]
        lines.append([name] + ["{:.2f} ({:.2f}-{:.2f})".format(c["median"], *c["quartiles"]) for c in found])
    table(["", *(f"{'+'.join(map(str, hidden))}, batch {batch}" for _, hidden, batch in settings)], lines)

    result["sampling"] = sampling(args.sampling_rounds)
    print("1,000 samples: 784 full passes against each hidden unit once; the samples are identical")
    lines = [
        ["+".join(map(str, r["hidden"])), "yes" if r["direct"] else "no", r["plain_seconds"], r["sample_seconds"],
         f"{r['ratio']['median']:.0f}x"]
        for r in result["sampling"]
    ]  # fmt: skip
    table(["hidden", "direct", "plain (s)", "sample (s)", "faster"], lines)
    write(result, args.output)


if __name__ == "__main__":
    main()

"""How long a training step and 1,000 samples of MADE take, beside other libraries, in one run.

    python benchmarks/made_speed.py            # some minutes; writes made_speed.json

Training: the same step for all (zero_grad, loss, backward, Adam with PyTorch's defaults; 784 binary variables, hidden
ReLU layers), at one and at two threads. The model as users get it, MADE's default with its direct connections and
``log_prob`` as the loss, stands beside the same network without any masks and with direct connections; the other
libraries have none, so they stand beside the plain multilayer perceptron, and so does MADE without them. Small models
stand beside the same models whose layers are plain masked products.

Rounds interleave the contestants and a ratio is formed within each round, so that a busy machine slows all alike. Time
is the CPU time of this process at one thread. At two it is wall time, which needs two quiet cores: threads that wait
for each other spend CPU time too.

Sampling: computing each hidden unit once against 784 full passes, at one thread. The two add up the same products in
different orders, so they are compared in float64, where fewer than one sample in 10^9 has a uniform that falls between
two roundings of its probability; how many samples differ in float32 depends on the processor and is only recorded.
"""

import argparse
import copy
import importlib.metadata
import importlib.util
import itertools
import os
import platform
import statistics
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from _measure import draw, head, ratio, table, write
from torch import nn

from hybridlib.flows import maf
from hybridlib.layers import Staircase, mlp
from hybridlib.made import MADE
from hybridlib.noise import seeded

D = 784
THREADS = (1, 2)


class Direct(nn.Module):
    """A network plus a linear layer from its inputs to its outputs, neither with a mask."""

    def __init__(self, network):
        super().__init__()
        self.network, self.direct = network, nn.Linear(D, D)

    def forward(self, x):
        return self.network(x) + self.direct(x)


class PlainMaskedLinear(nn.Linear):
    """The usual way: all weights exist and are multiplied by a fixed mask in every pass."""

    def __init__(self, mask):
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask)

    def forward(self, x, *_degrees):
        return F.linear(x, self.mask * self.weight, self.bias)


def plain(model):
    """The model with a plain masked layer in place of every staircase: the same function and the same gradients."""
    for module in list(model.modules()):
        for name, stair in list(module.named_children()):
            if isinstance(stair, Staircase):
                ones = copy.deepcopy(stair)
                nn.init.ones_(ones.weight)
                layer = PlainMaskedLinear(ones.dense().detach())
                layer.weight.data, layer.bias.data = stair.dense().detach(), stair.bias.detach().clone()
                setattr(module, name, layer)
    return model


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

    masks = MADE(D, hidden, direct=False).masks()
    layers = [layer for m in masks for layer in (MaskedLinear(m.shape[1], m.shape[0], m), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


PEERS = {"nflows": nflows, "normflows": normflows, "zuko": zuko, "pyro": pyro}  # import name -> network
PACKAGES = {"pyro": "pyro-ppl"}  # where the package has another name


def cross_entropy(network, x):
    """The loss of a network whose outputs are logits."""
    return F.binary_cross_entropy_with_logits(network(x), x, reduction="sum").div(len(x))


def nll(model, x):
    """The loss of a model."""
    return -model.log_prob(x).mean()


def contestants(peers, hidden):
    """-> {(name, direct connections or not): (network, loss)}; the first of each kind is the yardstick."""
    return {
        ("unmasked", True): (Direct(mlp(D, *hidden, D)), cross_entropy),
        ("hybridlib", True): (MADE(D, hidden), nll),
        ("plain masked layers", True): (plain(MADE(D, hidden)), nll),
        ("unmasked", False): (mlp(D, *hidden, D), cross_entropy),
        ("hybridlib", False): (MADE(D, hidden, direct=False), nll),
        ("plain masked layers", False): (plain(MADE(D, hidden, direct=False)), nll),
        **{(name, False): (make(hidden), cross_entropy) for name, make in peers.items()},
    }


def stepper(network, loss, x):
    """-> a function that does one training step on the batch x."""
    optimizer = torch.optim.Adam(network.parameters())

    def step():
        optimizer.zero_grad()
        loss(network, x).backward()
        optimizer.step()

    return step


def clock():
    """The time that counts at the current number of threads, seconds."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def rounds_of(steps, rounds, repeats):
    """Take turns: {name: step} -> one {name: seconds a step} for each round."""
    for step in steps.values():  # warm up: memory, Adam's state
        for _ in range(3):
            step()
    turns = []
    for _ in range(rounds):
        turn = {}
        for name, step in steps.items():
            start = clock()
            for _ in range(repeats):
                step()
            turn[name] = (clock() - start) / repeats
        turns.append(turn)
    return turns


def median_ms(turns, name):
    return round(1000 * statistics.median(turn[name] for turn in turns), 3)


def spread(turns, name, yardstick):
    """Median and quartiles of the ratios within each round."""
    low, median, high = statistics.quantiles([turn[name] / turn[yardstick] for turn in turns], n=4)
    return {"median": round(median, 4), "quartiles": [round(low, 4), round(high, 4)], "rounds": len(turns)}


def training(peers, rounds):
    rows = []
    for threads, hidden, (batch, repeats) in itertools.product(THREADS, ((500,), (500, 500)), ((100, 4), (1000, 1))):
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        x = torch.bernoulli(torch.full((batch, D), 0.13))
        steps = {key: stepper(network, loss, x) for key, (network, loss) in contestants(peers, hidden).items()}
        turns = rounds_of(steps, rounds, repeats)
        rows += [
            {
                "name": name, "direct": direct, "threads": threads, "hidden": hidden, "batch": batch,
                "ms": median_ms(turns, (name, direct)),
                "ratio": spread(turns, (name, direct), ("unmasked", direct)),
                "ratio_mlp": spread(turns, (name, direct), ("unmasked", False)),
            }
            for name, direct in steps
        ]  # fmt: skip
    return rows


SMALL = {
    "MADE(64, (256,))": (lambda: MADE(64, (256,)), torch.bernoulli),
    "maf(2)": (lambda: maf(2), torch.logit),
    "maf(6, 5, (128, 128))": (lambda: maf(6, 5, (128, 128)), torch.logit),
}  # name -> model, and its data from uniforms


def small(rounds, batch=100):
    rows = []
    for threads, (name, (make, data)) in itertools.product(THREADS, SMALL.items()):
        torch.set_num_threads(threads)
        x = data(torch.rand(batch, make().D, generator=torch.Generator().manual_seed(0)))
        steps = {"hybridlib": stepper(make(), nll, x), "plain masked layers": stepper(plain(make()), nll, x)}
        turns = rounds_of(steps, rounds, 10)
        rows.append({
            "name": name, "threads": threads, "batch": batch,
            "ms": median_ms(turns, "hybridlib"), "plain_ms": median_ms(turns, "plain masked layers"),
            "ratio": spread(turns, "hybridlib", "plain masked layers"),
        })  # fmt: skip
    return rows


def differing(model, n, seed):
    """How many of n samples by the two samplers differ, from the same seed."""
    (_, fast), (_, slow) = (draw(sampler, n, seed) for sampler in (model.sample, model.sample_plain))
    return int((fast != slow).any(1).sum())


def sampling(rounds, n=1000):
    torch.set_num_threads(1)
    rows = []
    for hidden, direct in itertools.product(((500,), (500, 500)), (False, True)):
        with seeded(0):
            model = MADE(D, hidden, direct=direct)
        draw(model.sample, n, seed=0)  # warm up
        fast, slow, different = [], [], 0
        for seed in range(rounds):
            drawn = [draw(model.sample, n, seed) for _ in range(5)]
            took, samples = draw(model.sample_plain, n, seed)
            different += int((samples != drawn[0][1]).any(1).sum())
            fast.append(statistics.median(one for one, _ in drawn))
            slow.append(took)
        exact = differing(copy.deepcopy(model).double(), n // 10, seed=0)
        if exact:
            raise RuntimeError(f"{exact} of {n // 10} samples in float64 differ between the two samplers of {model}")
        rows.append({
            "hidden": hidden, "direct": direct, "n": n,
            "compared": {"float64": n // 10, "differing": exact},
            "compared_float32": {"float32": n * rounds, "differing": different},
            "sample_seconds": round(statistics.median(fast), 4),
            "plain_seconds": round(statistics.median(slow), 2),
            "ratio": ratio(slow, fast),
        })  # fmt: skip
    return rows


def settings(hidden, batch):
    return f"{'+'.join(map(str, hidden))}, batch {batch}"


def print_training(rows):
    columns = list(dict.fromkeys((len(r["hidden"]), r["hidden"], r["batch"]) for r in rows))
    for threads, key in itertools.product(THREADS, ("ratio", "ratio_mlp")):
        against = "the unmasked network with the same connections" if key == "ratio" else "the plain MLP"
        print(f"One training step at {threads} thread(s) as a ratio to {against}: median over rounds (quartiles)")
        lines = []
        for name, direct in dict.fromkeys((r["name"], r["direct"]) for r in rows):
            mine = [r for r in rows if (r["name"], r["direct"], r["threads"]) == (name, direct, threads)]
            found = {(r["hidden"], r["batch"]): r[key] for r in mine}
            cells = [found[hidden, batch] for _, hidden, batch in columns]
            lines.append(
                [name, "yes" if direct else "no"]
                + ["{:.2f} ({:.2f}-{:.2f})".format(c["median"], *c["quartiles"]) for c in cells]
            )
        table(["", "direct", *(settings(hidden, batch) for _, hidden, batch in columns)], lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=30, help="rounds of training steps (default 30)")
    parser.add_argument("--sampling-rounds", type=int, default=3, help="rounds of sampling (default 3)")
    parser.add_argument("--output", type=Path, default=Path("made_speed.json"), help="where the numbers go")
    args = parser.parse_args()

    peers = {name: make for name, make in PEERS.items() if importlib.util.find_spec(name)}
    for name in PEERS.keys() - peers.keys():
        print(f"{name} is left out: pip install -r benchmarks/requirements.txt")
    packages = [PACKAGES.get(name, name) for name in peers]
    result = head("made_speed", rounds=args.rounds, sampling_rounds=args.sampling_rounds)
    result["hardware"] = f"1 and 2 threads of {os.cpu_count()} CPU cores, {platform.machine()}"
    result["versions"] |= {p: importlib.metadata.version(p) for p in packages}
    result["D"] = D
    print(f"{result['hardware']}, {', '.join(f'{name} {version}' for name, version in result['versions'].items())}\n")

    result["training"] = training(peers, args.rounds)
    print_training(result["training"])

    result["small"] = small(args.rounds)
    print("One training step of a small model as a ratio to plain masked layers: median over rounds (quartiles)")
    lines = [
        [r["name"], r["threads"], r["ms"], r["plain_ms"],
         "{:.2f} ({:.2f}-{:.2f})".format(r["ratio"]["median"], *r["ratio"]["quartiles"])]
        for r in result["small"]
    ]  # fmt: skip
    table(["batch 100", "threads", "ms", "plain (ms)", "ratio"], lines)

    result["sampling"] = sampling(args.sampling_rounds)
    print("1,000 samples at 1 thread: 784 full passes against each hidden unit once; rows that differ in float32")
    lines = [
        ["+".join(map(str, r["hidden"])), "yes" if r["direct"] else "no", r["plain_seconds"], r["sample_seconds"],
         f"{r['ratio']['median']:.0f}x", "{differing} of {float32}".format(**r["compared_float32"])]
        for r in result["sampling"]
    ]  # fmt: skip
    table(["hidden", "direct", "plain (s)", "sample (s)", "faster", "differ"], lines)
    write(result, args.output)


if __name__ == "__main__":
    main()

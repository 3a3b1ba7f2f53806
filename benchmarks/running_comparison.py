"""The running comparison: every model of chapters 1 to 5 on the same 5,000 pictures, trained as its page trains it.

The data come inside a package, so that anybody can run it; minutes. What a row says:

    nll, se          test negative log-likelihood with its standard error, nats; for the VAE a bound of `bound` samples
    gain, gain_se    how much better than the FVSBN, picture by picture: the paired difference and its standard error
    train_seconds    CPU seconds of this process
    sample_seconds   CPU seconds for one sample, drawn twenty at once

    python benchmarks/running_comparison.py --output hybridlib/results/running_comparison.json
"""

import argparse
import functools
import time
from pathlib import Path

import torch
from _measure import draw, head, table, write
from torch.nn import Module

from hybridlib import datasets, made, train
from hybridlib.fvsbn import FVSBN
from hybridlib.independent import Independent
from hybridlib.layers import mlp
from hybridlib.made import MADE
from hybridlib.nade import NADE
from hybridlib.noise import seeded
from hybridlib.pixelcnn import PixelCNN
from hybridlib.transformer import InBlocks, Transformer
from hybridlib.vae import VAE

BOUND = 50  # samples of the VAE's bound
SMOOTH = {"schedule": "cosine", "ema": 0.999}  # where the page does

# model -> (chapter, how to make it, how it is trained)
MODELS = {
    "independent": (1, None, None),
    "FVSBN": (1, lambda: FVSBN(784), {"epochs": 20, "batch_size": 200, "lr": 0.02}),
    "NADE": (2, lambda: NADE(784, 100), {"epochs": 6, "batch_size": 25, "lr": 0.03, **SMOOTH}),
    "PixelCNN": (2, lambda: PixelCNN((28, 28), 16, layers=4), {"epochs": 3, "batch_size": 50, "lr": 5e-3, **SMOOTH}),
    "Transformer": (
        2, lambda: InBlocks(Transformer(112, 128, width=64, layers=2), 7),
        {"epochs": 3, "batch_size": 25, "lr": 3e-3, **SMOOTH},
    ),
    "VAE (bound)": (3, lambda: VAE(mlp(784, 400, 32), mlp(16, 400, 784), 16), {"epochs": 25, "lr": 2e-3, **SMOOTH}),
    "MADE": (5, lambda: MADE(784, (500,), dropout=0.5), {"epochs": 16, "lr": 0.02, **SMOOTH}),
}  # fmt: skip


def log_prob(model: Module, x: torch.Tensor, samples: int = BOUND) -> torch.Tensor:
    """Held-out log-likelihoods, or their bound, of each row: (n,), nats."""
    if not isinstance(model, VAE):
        return train.evaluate(model, x)
    bound = functools.partial(VAE.importance_bound, K=samples, generator=torch.Generator().manual_seed(0))
    return train.evaluate(model, x, bound, batch_size=100)


def loss(model, x):
    """What training lowers."""
    return -(model.elbo(x) if isinstance(model, VAE) else model.log_prob(x)).mean()


def fitted(make, how, data, seed):
    """-> a model trained as its page does, CPU seconds."""
    start = time.process_time()
    coins = Independent.fitted(data.train)
    if make is None:
        return coins, time.process_time() - start
    with seeded(seed):
        model = make()
    if isinstance(model, MADE):
        made.start_from_frequencies(model, data.train)
    for bias in ("bias", "b"):  # those of FVSBN and NADE can start as the coins
        if isinstance(model, FVSBN | NADE) and hasattr(model, bias):
            getattr(model, bias).data.copy_(coins.logits)
    validate = lambda model: -log_prob(model, data.valid, samples=1).mean().item()  # noqa: E731
    train.fit(model, data.train, loss, validate=validate, seed=seed, progress=False, **how)
    return model, time.process_time() - start


def main():
    """Train all, print the table, write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("running_comparison.json"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    data, rows, logs = datasets.load("mnist5k", binarize="threshold"), [], {}
    for name, (chapter, make, how) in MODELS.items():
        model, seconds = fitted(make, how, data, arguments.seed)
        logs[name] = log_prob(model, data.test).double()
        took, _ = draw(model.sample, 20, 0)
        rows.append({
            "model": name, "chapter": chapter, "nll": round(-logs[name].mean().item(), 2),
            "se": round(logs[name].std().item() / len(data.test) ** 0.5, 2),
            "parameters": sum(p.numel() for p in model.parameters()),
            "train_seconds": round(seconds, 1), "sample_seconds": round(took / 20, 5), "training": how,
        })  # fmt: skip
    for row in rows:
        gain = logs[row["model"]] - logs["FVSBN"]
        row["gain"], row["gain_se"] = round(gain.mean().item(), 2), round(gain.std().item() / len(gain) ** 0.5, 2)
    shown = "model", "nll", "se", "gain", "gain_se", "parameters", "train_seconds", "sample_seconds"
    table(shown, [[row[key] for key in shown] for row in rows])
    about = {
        "data": {"name": "mnist5k", "about": datasets.about("mnist5k"), "binarize": "threshold"},
        "seed": arguments.seed,
    }
    write(
        {
            **head("running_comparison", seed=arguments.seed),
            "data": about,
            "seed": arguments.seed,
            "bound": BOUND,
            "rows": rows,
        },
        arguments.output,
    )


if __name__ == "__main__":
    main()

"""The book's one running comparison: every chapter adds a row, measured here in the same way on the same data.

    data = datasets.load("mnist5k", binarize="threshold")
    rows.append(comparison.row("FVSBN", model, data, seconds=sum(epoch["seconds"] for epoch in history)))
    viz.table(rows, caption="...", formats=comparison.FORMATS)

Begun in chapter 1.
"""

import math
import time

import torch

from .train import evaluate

FORMATS = {
    "NLL (nats)": ".2f", "±": ".2f", "bits/dim": ".4f", "parameters": ",d", "train (s)": ".1f", "samples/s": ",.0f",
}  # fmt: skip


def row(name, model, data, *, seconds, samples=100, seed=0):
    """One row, measured: a model with log_prob and sample, a `datasets.Data` -> dict for `viz.table`.

    The NLL is the mean over the test rows, in nats; its standard error (±) says how far another test set of this size
    would move it. Parameters are all stored numbers. `seconds` is the training time, which the caller has measured;
    samples are drawn here, as many as `samples` at once.
    """
    log_p = evaluate(model, data.test).double()
    generator = torch.Generator().manual_seed(seed)
    start = time.perf_counter()
    model.sample(samples, generator=generator).cpu()  # .cpu() waits for a GPU to finish
    rate = samples / (time.perf_counter() - start)
    nll = -log_p.mean().item()
    return {
        "model": name,
        "NLL (nats)": nll,
        "±": log_p.std().item() / math.sqrt(len(log_p)),
        "bits/dim": nll / (data.test.shape[1] * math.log(2)),
        "parameters": sum(p.numel() for p in model.parameters()),
        "train (s)": float(seconds),
        "samples/s": rate,
    }

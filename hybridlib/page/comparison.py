"""The book's one running comparison: every chapter adds a row, measured here in the same way on the same data.

    data = datasets.load("mnist5k", binarize="threshold")
    rows.append(comparison.row("FVSBN", model, data, seconds=sum(epoch["seconds"] for epoch in history)))
    viz.table(rows, caption="...", formats=comparison.FORMATS)

Begun in chapter 1.
"""

import math
import time

import torch

from ..extras import optional
from ..train import evaluate

FORMATS = {
    "NLL (nats)": ".2f", "±": ".2f", "bits/dim": ".4f", "parameters": ",d", "train (s)": ".1f", "samples/s": ",.0f",
}  # fmt: skip


def row(name, model, data, *, seconds, log_prob=None, samples=100, seed=0):
    """One row, measured: a model with log_prob and sample, a `datasets.Data` -> dict for `viz.table`.

    The NLL is the mean over the test rows, in nats; its standard error (±) says how far another test set of this size
    would move it. `log_prob`, (model, x) -> (B,), stands in for model.log_prob where a model has only a bound: say so
    in its name. Parameters are all stored numbers. `seconds` is the training time, which the caller has measured;
    samples are drawn here, as many as `samples` at once.
    """
    log_p = evaluate(model, data.test, log_prob).double()
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


def probe(features, labels):
    """A linear probe: how well does logistic regression read labels off features? -> (accuracy, standard error).

    features: (train (n, F), test (m, F)); labels: (train (n,), test (m,)), tensors of any device. Features are
    standardized by the train rows.
    `ValueError` for features that are not finite or not as many as the labels.
    """
    with optional("comparison.probe"):  # heavy to import, needed only here
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

    for x, y in zip(features, labels, strict=True):
        if x.dim() != 2 or len(x) != len(y):
            raise ValueError(f"features {tuple(x.shape)} do not fit {len(y)} labels; they need shape ({len(y)}, F)")
        if not torch.isfinite(x).all():
            raise ValueError("the features hold NaN or infinite entries; remove them")
    (x, x_test), (y, y_test) = ([part.detach().cpu() for part in pair] for pair in (features, labels))
    x, x_test = x.double().numpy(), x_test.double().numpy()  # numpy knows no bfloat16
    right = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(x, y).score(x_test, y_test)
    return right, math.sqrt(right * (1 - right) / len(y_test))

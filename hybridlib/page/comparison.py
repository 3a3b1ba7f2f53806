"""The book's one running comparison: every chapter adds a row, measured here in the same way on the same data.

    rows.append(comparison.row("FVSBN", model, data, seconds=sum(epoch["seconds"] for epoch in history)))
    viz.table(rows, caption="...", formats=comparison.FORMATS)

Begun in chapter 1.
"""

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..datasets import Data
from ..extras import optional
from ..train import evaluate

FORMATS = {
    "NLL (nats)": ".2f", "±": ".2f", "bits/dim": ".4f", "parameters": ",d", "train (s)": ".1f", "samples/s": ",.0f",
}  # fmt: skip


def row(
    name: str, model: nn.Module, data: Data, *, seconds: float,
    log_prob: Callable[[nn.Module, Tensor], Tensor] | None = None, samples: int = 100,
) -> dict[str, str | float]:  # fmt: skip
    """One row, measured: a model with log_prob and sample -> dict for `viz.table`.

    The NLL is the mean over the test rows, in nats; its standard error (±) says how far another test set of this size
    would move it. `log_prob`, (model, x) -> (B,), stands in for model.log_prob where a model has only a bound: say so
    in its name. Parameters are all stored numbers. `seconds` is the training time, which the caller has measured;
    samples are drawn here, as many as `samples` at once.

    >>> from hybridlib.independent import Independent
    >>> data = Data(*[torch.zeros(9, 4)] * 3, None, None, None, shape=(2, 2), levels=2)
    >>> round(row("coins", Independent(4), data, seconds=0)["bits/dim"], 4)
    1.0
    """
    log_p = evaluate(model, data.test, log_prob).double()
    start = time.perf_counter()
    model.sample(samples, generator=torch.Generator().manual_seed(0)).cpu()  # .cpu() waits for a GPU to finish
    rate = samples / (time.perf_counter() - start)
    nll = -log_p.mean().item()
    bits, size = nll / (data.test.shape[1] * math.log(2)), sum(p.numel() for p in model.parameters())
    measured = {
        "NLL (nats)": nll,
        "±": log_p.std().item() / math.sqrt(len(log_p)),
        "bits/dim": bits,
        "parameters": size,
    }
    return {"model": name} | measured | {"train (s)": float(seconds), "samples/s": rate}


def probe(features: tuple[Tensor, Tensor], labels: tuple[Tensor, Tensor]) -> Tensor:
    """A linear probe: which test rows does logistic regression read correctly off features? -> (m,), 1.0 or 0.0.

    The mean is its accuracy; the differences of two probes, row by row, are paired.
    features: (train (n, F), test (m, F)), which are standardized by the train rows; labels: (train (n,), test (m,)),
    tensors of any device. `ValueError` for features that are not finite or not as many as the labels.

    >>> x = torch.tensor([[0.0], [1.0]])
    >>> probe((x, x), (x[:, 0], x[:, 0]))
    tensor([1., 1.])
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
    fitted = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(x, y)
    return torch.from_numpy(fitted.predict(x_test) == y_test.numpy()).float()

"""The rows of the running comparison."""

import math
from types import SimpleNamespace

import pytest
import torch

from hybridlib import datasets
from hybridlib.independent import Independent
from hybridlib.page import comparison, viz


def test_a_row_says_what_was_measured(monkeypatch):
    data = datasets.load("digits", binarize="threshold")
    coins = Independent(64)  # fair: 64 ln 2 nats for every picture, one bit per dimension, no spread
    row = comparison.row("fair coins", coins, data, seconds=2, samples=7)
    assert row["NLL (nats)"] == pytest.approx(64 * math.log(2), rel=1e-6)
    assert row["bits/dim"] == pytest.approx(1, rel=1e-6)
    assert row["±"] == pytest.approx(0, abs=1e-5)
    assert (row["parameters"], row["train (s)"]) == (64, 2)
    assert row["samples/s"] > 0
    assert comparison.FORMATS.keys() == row.keys() - {"model"}
    bundles = []
    monkeypatch.setattr(viz, "display", lambda bundle, raw: bundles.append(bundle))
    viz.table([row], caption="a row", formats=comparison.FORMATS)
    assert "fair coins" in bundles[0]["text/plain"]


def test_a_row_is_of_the_test_rows():
    data = datasets.load("digits", binarize="threshold")
    model = Independent.fitted(data.train)
    row = comparison.row("independent", model, data, seconds=0, samples=1)
    with torch.no_grad():
        log_p = model.log_prob(data.test)
    assert row["NLL (nats)"] == pytest.approx(-log_p.mean().item(), rel=1e-6)
    assert row["±"] == pytest.approx(log_p.std().item() / len(data.test) ** 0.5, rel=1e-5)


def test_a_row_of_a_bound_is_of_the_bound():
    data = datasets.load("digits", binarize="threshold")
    row = comparison.row("two nats less", Independent(64), data, seconds=0, log_prob=lambda m, x: m.log_prob(x) - 2)
    assert row["NLL (nats)"] == pytest.approx(64 * math.log(2) + 2, rel=1e-6)


def test_a_probe_reads_what_is_linear_and_guesses_what_is_not():
    x = torch.randn(1200, 5, generator=torch.Generator().manual_seed(0))
    linear, knot = (x[:, 0] > x[:, 1]).long(), (x[:, 0] * x[:, 1] > 0).long()
    features = x[:1000], x[1000:]
    asked = torch.cat([linear[1000:1100], 1 - linear[1100:]])  # the last hundred labels are wrong
    right = comparison.probe(features, (linear[:1000], asked))
    assert right[:100].mean() > 0.95 and right[100:].mean() < 0.05
    assert 0.35 < comparison.probe(features, (knot[:1000], knot[1000:])).mean() < 0.65
    few = x[:4], x[1000:]  # four rows in five dimensions can be told apart whatever their labels: test rows decide
    assert comparison.probe(few, (torch.tensor([0, 1, 0, 1]), linear[1000:])).mean() < 0.95


def test_a_probe_refuses_what_does_not_fit():
    x, y = torch.zeros(4, 3), torch.zeros(4)
    with pytest.raises(ValueError, match=r"\(4, 3\) do not fit 3 labels"):
        comparison.probe((x, x), (y[:3], y))
    with pytest.raises(ValueError, match="NaN or infinite"):
        comparison.probe((x / 0, x), (y, y))


def test_rows_and_probes_take_any_device(device):
    x = torch.randint(0, 2, (60, 4), generator=torch.Generator().manual_seed(0)).float()
    data = SimpleNamespace(test=x)
    model = Independent.fitted(x)
    expected = comparison.row("coins", model, data, seconds=1)
    found = comparison.row("coins", model.to(device), data, seconds=1)
    assert found["NLL (nats)"] == pytest.approx(expected["NLL (nats)"]) and found.keys() == expected.keys()
    labels = x[:, 0].long()
    right = comparison.probe((x.to(device).bfloat16(), x), (labels, labels.to(device)))
    assert right.equal(torch.ones(60))

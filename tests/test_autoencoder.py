"""The autoencoder against principal components and against the score of a known density."""

import math

import pytest
import torch
from shaken import rng
from torch import nn

from hybridlib import train
from hybridlib.autoencoder import Autoencoder, corrupt, largest_angle
from hybridlib.layers import mlp


def test_a_linear_autoencoder_finds_the_principal_subspace():
    x = torch.randn(500, 8, generator=rng()).double() @ torch.randn(8, 8, generator=rng(1)).double()
    x = x - x.mean(0)
    torch.manual_seed(0)
    model = Autoencoder(nn.Linear(8, 3, bias=False), nn.Linear(3, 8, bias=False)).double()
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=2000, tolerance_grad=1e-12, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def loss():
        optimizer.zero_grad()
        value = model.error(x).mean()
        value.backward()
        return value

    optimizer.step(loss)
    components = torch.linalg.svd(x, full_matrices=False).Vh[:3].T
    assert largest_angle(model.decoder.weight.detach(), components) < 1e-3
    assert largest_angle(model.encoder.weight.detach().T, components) < 1e-3
    rest = torch.linalg.svdvals(x)[3:].square().sum() / len(x)  # what no plane of three dimensions can keep
    assert model.error(x).mean().item() == pytest.approx(rest.item(), rel=1e-6)


def test_angles_between_planes():
    e = torch.eye(4).double()
    assert largest_angle(e[:, :2], e[:, :2] @ torch.tensor([[2.0, 1], [0, -3]]).double()) == pytest.approx(0, abs=1e-12)
    assert largest_angle(e[:, :2], e[:, 1:3]) == pytest.approx(math.pi / 2)
    for angle in (1e-7, 0.3, 1.2):
        turned = torch.stack([e[:, 0], math.cos(angle) * e[:, 1] + math.sin(angle) * e[:, 3]], 1)
        assert largest_angle(e[:, :2], turned) == pytest.approx(angle, rel=1e-6)


def test_the_residual_of_a_denoiser_points_along_the_score():
    """On N(0, s^2) with noise t the best reconstruction shrinks by s^2 / (s^2 + t^2): a step of t^2 times the score."""
    s, t = 1.5, 0.5
    x = s * torch.randn(20_000, 1, generator=rng())
    torch.manual_seed(0)
    model = Autoencoder(mlp(1, 16, activation=nn.Tanh), mlp(16, 1))
    train.fit(model, x, lambda m, x: m.error(x, corrupt(x, t)).mean(), epochs=10, lr=1e-2, schedule="cosine", ema=0.99)
    at = torch.linspace(-3, 3, 13)[:, None]
    score = -at / (s**2 + t**2)
    residual = (model(at) - at).detach()
    assert (residual / t**2 - score).abs().max() < 0.15
    assert torch.nn.functional.cosine_similarity(residual, score, dim=0).item() > 0.995


@pytest.mark.parametrize(
    ("kind", "amount", "changed", "spread"),
    [("mask", 0.3, 0.15, None), ("flip", 0.2, 0.2, None), ("gaussian", 0.7, 1, 0.7)],
)
def test_corruption_is_of_the_size_that_was_asked_for(kind, amount, changed, spread):
    x = torch.bernoulli(torch.full((400, 50), 0.5), generator=rng())
    spoiled = corrupt(x, amount, kind=kind, generator=rng(1))
    assert (spoiled != x).float().mean().item() == pytest.approx(changed, abs=0.01)
    if spread:
        assert (spoiled - x).std().item() == pytest.approx(spread, rel=0.02)
    if kind == "mask":
        assert (spoiled[spoiled != x] == 0).all()
    assert torch.equal(spoiled, corrupt(x, amount, kind=kind, generator=rng(1)))
    assert torch.equal(x, corrupt(x, 0, kind=kind))


def test_a_denoiser_is_judged_by_the_clean_input():
    model = Autoencoder(nn.Identity(), nn.Identity())
    x = torch.randn(5, 3, generator=rng())
    assert (model.error(x) == 0).all()
    torch.testing.assert_close(model.error(x, x + 2), torch.full((5,), 12.0))


X = torch.zeros(4, 3)
MODEL = Autoencoder(mlp(3, 2), mlp(2, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MODEL.error(torch.full((2, 3), math.nan)), "NaN or infinite"),
        (lambda: MODEL.error(X, torch.full((4, 3), math.inf)), "NaN or infinite"),
        (lambda: MODEL.error(X, X[:2]), "x has 4 rows, what the encoder sees has 2"),
        (lambda: MODEL.error(X[0]), r"shape \(B, D\), got \(3,\)"),
        (lambda: corrupt(X, 0.1, kind="salt"), "gaussian, mask, flip"),
        (lambda: corrupt(X, -1), "amount is -1"),
        (lambda: corrupt(X, math.nan), "amount is nan"),
        (lambda: corrupt(X, 1.5, kind="mask"), "amount is 1.5"),
        (lambda: Autoencoder(mlp(3, 2), mlp(2, 1)).error(X), r"gave \(4, 1\) for x of shape \(4, 3\)"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()

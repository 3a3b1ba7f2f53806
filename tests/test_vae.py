"""The VAE's bounds against exact values: quadrature over z, enumeration over x, and a model that can be solved."""

import math

import pytest
import torch
from shaken import rng, shaken
from torch import nn

from hybridlib import audit, checkpoints
from hybridlib.layers import mlp
from hybridlib.made import MADE
from hybridlib.nade import NADE
from hybridlib.outputs import Categorical, Normal
from hybridlib.vae import VAE

D = 4
MODELS = {
    "one latent": lambda: VAE(mlp(D, 8, 2), mlp(1, 8, D), 1),
    "two latents": lambda: VAE(mlp(D, 8, 4), mlp(2, 8, D), 2),
    "categorical": lambda: VAE(mlp(D, 8, 2), mlp(1, 8, 3 * D), 1, output=Categorical(3)),
    "autoregressive decoder": lambda: VAE(mlp(D, 8, 4), MADE(D, (8,), context=2), 2),
}


def levels(model):
    return 3 if isinstance(model.output, Categorical) else 2


@pytest.mark.parametrize("name", MODELS)
class TestBounds:
    def test_probabilities_on_the_grid_sum_to_one(self, name):
        model = shaken(MODELS[name](), scale=0.7)
        assert audit.total_probability(model.log_prob_on_grid, D, levels=levels(model)) == pytest.approx(1, abs=1e-9)

    def test_the_elbo_stays_below_and_more_samples_come_closer(self, name):
        model = shaken(MODELS[name](), scale=0.7)
        x = audit.states(D, levels=levels(model)).double()[:12]
        exact, n = model.log_prob_on_grid(x), 4000
        with torch.no_grad():
            elbos = model.elbo(x.repeat(n, 1), generator=rng()).view(n, -1)
            bounds = {K: model.importance_bound(x.repeat(n, 1), K, generator=rng(K)).view(n, -1) for K in (1, 4, 16)}
        means = [elbos.mean(0), *(bound.mean(0) for bound in bounds.values())]
        errors = [b.std(0) / n**0.5 for b in (elbos, *bounds.values())]
        # one sample of the weights estimates the same number as the ELBO with its divergence in closed form
        assert ((means[0] - means[1]).abs() < 5 * (errors[0] + errors[1])).all()
        for lower, higher, e in zip(means[1:], [*means[2:], exact], errors[1:]):
            assert (lower < higher + 5 * e).all() and lower.mean() < higher.mean() - 1e-3
        assert (exact - means[-1]).mean() < 0.7 * (exact - means[1]).mean()

    def test_samples_follow_the_probabilities(self, name):
        model = shaken(MODELS[name](), scale=0.7)
        p_value, _ = audit.sample_test(
            model.sample, lambda x: model.log_prob_on_grid(x), D, levels=levels(model), generator=rng()
        )
        assert p_value > 1e-4

    def test_gradients_reach_every_parameter_and_weights_are_kept(self, name, tmp_path):
        model = shaken(MODELS[name](), scale=0.7)
        x = model.sample(20, generator=rng())
        (-model.elbo(x)).mean().backward()
        for parameter, p in model.named_parameters():
            assert p.grad is not None and p.grad.isfinite().all() and p.grad.any(), parameter
        checkpoints.save(model, tmp_path / "vae.safetensors")
        other = shaken(MODELS[name](), seed=5)
        checkpoints.load(other, tmp_path / "vae.safetensors")
        assert torch.equal(model.elbo(x, generator=rng(3)), other.elbo(x, generator=rng(3)))
        assert torch.equal(model.sample(9, generator=rng(4)), other.sample(9, generator=rng(4)))
        assert model.sample(0).shape == (0, D)


def test_the_divergence_is_that_of_torch():
    model = shaken(MODELS["two latents"]())
    x = audit.states(D).double()
    _, kl = model.terms(x)
    torch.testing.assert_close(kl.sum(-1), torch.distributions.kl_divergence(model.encode(x), model.prior(len(x))))


def probabilistic_pca():
    """x = W z + b + noise, with the encoder of its exact posterior, which is diagonal: W has orthogonal columns."""
    W = torch.linalg.qr(torch.randn(5, 2, generator=rng()).double())[0] * torch.tensor([2.0, 0.7])
    b, sigma = torch.randn(5, generator=rng(1)).double(), 0.4

    def bounded_to(log_scale):  # outputs.bounded turned around
        return 7 * math.atanh(log_scale / 7)

    decoder = nn.Linear(2, 10).double()
    encoder = nn.Linear(5, 4).double()
    precision = 1 + W.square().sum(0) / sigma**2
    with torch.no_grad():
        decoder.weight.zero_()
        decoder.weight[::2], decoder.bias[::2] = W, b
        decoder.bias[1::2] = bounded_to(math.log(sigma))
        encoder.weight.zero_()
        encoder.weight[:2] = (W / sigma**2 / precision).T
        encoder.bias[:2] = -encoder.weight[:2] @ b
        encoder.bias[2:] = torch.tensor([bounded_to(-math.log(p) / 2) for p in precision.tolist()])
    covariance = W @ W.T + sigma**2 * torch.eye(5).double()
    return VAE(encoder, decoder, 2, output=Normal()), torch.distributions.MultivariateNormal(b, covariance)


def test_with_the_exact_posterior_the_bound_is_the_likelihood():
    model, exact = probabilistic_pca()
    x = exact.sample((20,))
    log_p = exact.log_prob(x)
    torch.testing.assert_close(model.importance_bound(x, 1).detach(), log_p)  # every weight is p(x): no chance is left
    torch.testing.assert_close(model.log_prob_on_grid(x, points=401).detach(), log_p)
    with torch.no_grad():
        elbo = model.elbo(x.repeat(4000, 1), generator=rng()).view(4000, -1)
    assert ((elbo.mean(0) - log_p).abs() < 5 * elbo.std(0) / 4000**0.5).all()


def test_the_gradient_of_the_elbo_goes_through_the_sample():
    """At the optimum of a solvable model the mean gradient vanishes; without reparameterization it would not."""
    model, exact = probabilistic_pca()
    torch.manual_seed(0)
    x = exact.sample((200_000,))
    (-model.elbo(x, generator=rng())).mean().backward()
    for p in model.encoder.parameters():
        assert p.grad.abs().max() < 0.03
    scale = {id(p): p.detach().abs().max() for p in model.decoder.parameters()}
    for p in model.decoder.parameters():
        assert p.grad.abs().max() < 0.05 * (1 + scale[id(p)])


@pytest.mark.parametrize(("activation", "close"), [(nn.Tanh, 1e-9), (nn.ReLU, 1e-3)])
def test_the_grid_is_fine_enough(activation, close):
    model = shaken(VAE(mlp(D, 8, 4), mlp(2, 8, D, activation=activation), 2), scale=0.7)
    x = audit.states(D).double()
    coarse, fine = model.log_prob_on_grid(x, points=101), model.log_prob_on_grid(x, points=401, reach=9)
    torch.testing.assert_close(coarse, fine, atol=close, rtol=0)


def test_no_rows_have_no_bound():
    for bound in (SMALL.elbo, SMALL.log_prob_on_grid, lambda x: SMALL.importance_bound(x, 3)):
        with pytest.raises(ValueError, match=r"at least one row, got shape \(0, 4\)"):
            bound(torch.zeros(0, D))


SMALL = VAE(mlp(D, 4), mlp(2, D), 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SMALL.elbo(torch.full((2, D), 0.5)), "values 0 or 1, found 0.5"),
        (lambda: SMALL.elbo(torch.full((2, D), math.nan)), "found nan"),
        (lambda: SMALL.elbo(torch.zeros(D)), r"\(B, D\), got \(4,\)"),
        (lambda: SMALL.importance_bound(torch.zeros(2, D), 0), "K = 0"),
        (lambda: SMALL.sample(-1), "-1"),
        (lambda: VAE(mlp(D, 3), mlp(2, D), 2).elbo(torch.zeros(1, D)), r"not \(1, 2 Z = 4\)"),
        (lambda: VAE(mlp(D, 6), mlp(3, D), 3).log_prob_on_grid(torch.zeros(1, D)), "Z = 3 dimensions"),
        (lambda: VAE(mlp(D, 4), MADE(D, (4,), context=3), 2), "context of 3 numbers, z has Z = 2"),
        (lambda: VAE(mlp(D, 4), NADE(D, 4), 2), "context of 0 numbers"),
        (lambda: VAE(mlp(D, 4), MADE(D, (4,), context=2), 2).decode(torch.zeros(1, 2)), "use log_likelihood"),
        (lambda: VAE(mlp(6, 2), mlp(1, 6), 1).log_prob_on_grid(torch.zeros(2, 6), points=1), "at least two points"),
        (lambda: VAE(mlp(6, 2), mlp(1, 1), 1).elbo(torch.zeros(2, 6)), "decoder speaks of 1 variables, x has 6"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()

"""The promise that every discrete model keeps: log_prob(x) -> (B,) in nats and sample(n), of one distribution."""

import pytest
import torch
from every import MODELS
from shaken import rng, shaken

from hybridlib import audit, checkpoints
from hybridlib.autoregressive import Autoregressive
from hybridlib.noise import seeded
from hybridlib.outputs import Categorical


def levels(model):
    """How many values a variable has."""
    output = getattr(model, "output", None)
    return output.P if isinstance(output, Categorical) else 2


def possible(model):
    """All states that the model does not exclude by construction (nothing comes after the end)."""
    x = audit.states(model.D, levels=levels(model)).double()
    if getattr(model, "end", None) is not None:
        over = (x == model.end).cummax(1).values
        x = x[(~over | (x == model.end)).all(1)]
    return x


@pytest.mark.parametrize("name", MODELS)
class TestPromise:
    def test_shapes_and_finite_gradients_to_every_parameter(self, name):
        model = shaken(MODELS[name]())
        x = possible(model)
        log_prob = model.log_prob(x)
        assert log_prob.shape == (len(x),) and log_prob.isfinite().all()
        (-log_prob).mean().backward()
        for parameter_name, p in model.named_parameters():
            assert p.numel() == 0 or (p.grad is not None and p.grad.isfinite().all()), parameter_name

    def test_probabilities_sum_to_one(self, name):
        model = shaken(MODELS[name]())
        assert audit.total_probability(model.log_prob, model.D, levels=levels(model)) == pytest.approx(1, abs=1e-9)

    def test_samples_follow_the_probabilities(self, name):
        model = shaken(MODELS[name]())
        x = audit.states(model.D, levels=levels(model)).double()
        p = model.log_prob(x).exp().detach()
        samples = model.sample(40_000, generator=rng(1))
        index = (samples.long() * levels(model) ** torch.arange(model.D - 1, -1, -1)).sum(1)
        found = torch.bincount(index, minlength=len(x)) / len(samples)
        powers = levels(model) ** torch.arange(model.D - 1, -1, -1)
        assert torch.equal((x.long() * powers).sum(1), torch.arange(len(x)))  # states are listed in counting order
        sigma = (p * (1 - p) / len(samples)).sqrt()
        assert ((found - p).abs() < 5 * sigma + 1e-4).all()

    def test_save_and_load(self, name, tmp_path):
        model = shaken(MODELS[name]())
        x = model.sample(20, generator=rng())
        checkpoints.save(model, tmp_path / "model.safetensors")
        other = shaken(MODELS[name](), seed=9)
        checkpoints.load(other, tmp_path / "model.safetensors")
        assert torch.equal(model.log_prob(x), other.log_prob(x))

    def test_first_weights_come_from_the_global_generator(self, name):
        weights = []
        for seed in (3, 3, 4):
            with seeded(seed):
                first = dict(MODELS[name]().named_parameters())
                weights.append(torch.cat([p.flatten() for p in first.values() if p.any()] or [torch.zeros(0)]))
        assert torch.equal(*weights[:2])
        assert name in ("independent", "fvsbn") or not torch.equal(*weights[1:]), "a model with a seed of its own"

    def test_one_generator_one_result(self, name):
        model = MODELS[name]()
        assert torch.equal(model.sample(30, generator=rng(4)), model.sample(30, generator=rng(4)))
        assert model.sample(0).shape == (0, model.D)


# An independent model sees nothing, mixtures and blocks have no conditionals of single bits, one convolution has few.
CHAINS = sorted(MODELS.keys() - {"independent", "mixture", "mixture of pools", "one layer of convolution", "in blocks"})


@pytest.mark.parametrize("name", CHAINS)
def test_sees_what_comes_before_and_nothing_else(name):
    model = shaken(MODELS[name](), scale=0.5)
    for number, order in enumerate(model.orders):
        theta = model.theta if len(model.orders) == 1 else lambda x, m=number: model.theta(x, None, m)
        seen = audit.sees(theta, possible(model), levels=levels(model))
        assert audit.leaks(seen, order) == [], "a variable sees itself or what comes later"
        if name not in ("narrow", "two layers"):  # few units, no direct connections: some pairs share none
            assert audit.missing(seen, order) == [], "an earlier variable is not seen"


@pytest.mark.parametrize("name", ["nade", "nade order", "transformer", "transformer with end"])
def test_the_recursive_samplers_equal_full_passes(name):
    model = shaken(MODELS[name](), seed=3)
    plain = getattr(model, "sample_plain", lambda *a, **k: Autoregressive.sample(model, *a, **k))
    assert torch.equal(model.sample(500, generator=rng(2)), plain(500, generator=rng(2)))

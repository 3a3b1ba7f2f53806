"""Argmax decoding: Gaussians whose largest decides, exactly and by their bound."""

import math

import pytest
import torch
from scipy import integrate, stats
from shaken import rng, shaken

from hybridlib import audit
from hybridlib.argmax import Argmax, ArgmaxNormal, argmax_elbo
from hybridlib.made import MADE

LOC = torch.tensor([[0.3, -0.4, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0], [3.0, -2.0, 0.0, 1.0]]).double()
SCALE = torch.tensor([[1.0, 0.5, 0.2, 0.9], [0.3, 0.3, 0.3, 0.3], [0.12, 0.9, 0.5, 0.9]]).double()


def test_sums_to_one():
    torch.testing.assert_close(ArgmaxNormal(LOC, SCALE).logits.exp().sum(-1), torch.ones(3).double(), atol=1e-6, rtol=0)
    loc = 2 * torch.randn(500, 9, generator=rng(), dtype=torch.double)
    scale = 0.3 * (2.2 * torch.rand(500, 9, generator=rng(1), dtype=torch.double) - 1.1).exp()
    total = ArgmaxNormal(loc, scale).logits.exp().sum(-1)
    torch.testing.assert_close(total, torch.ones(500).double(), atol=2e-5, rtol=0)


def test_agrees_with_adaptive_quadrature_and_with_sampling():
    p = ArgmaxNormal(LOC, SCALE).logits.exp()
    torch.manual_seed(0)
    drawn = ArgmaxNormal(LOC, SCALE).sample((100_000,))
    for row in range(3):
        for k in range(4):
            others = [j for j in range(4) if j != k]

            def integrand(t, row=row, k=k, others=others):
                own = stats.norm.pdf(t, LOC[row, k], SCALE[row, k])
                return own * math.prod(stats.norm.cdf(t, LOC[row, j], SCALE[row, j]) for j in others)

            centre, reach = LOC[row, k].item(), 9 * SCALE[row, k].item()
            marks = [v for v in LOC[row].tolist() if abs(v - centre) < reach]
            exact, _ = integrate.quad(integrand, centre - reach, centre + reach, points=marks, limit=400)
            assert p[row, k].item() == pytest.approx(exact, abs=1e-6)
            share = (drawn[:, row] == k).double().mean().item()
            assert share == pytest.approx(exact, abs=5 * (exact / 1e5) ** 0.5 + 1e-4)


def test_the_largest_of_gaussians_has_no_probability_above_one():
    loc, scale = 3 * torch.randn(5000, 4, generator=rng()), torch.full((5000, 4), 0.2)
    log_p = ArgmaxNormal(loc, scale).logits
    assert (log_p <= 0).all()
    assert torch.allclose(log_p.exp().sum(-1), torch.ones(5000), atol=1e-5)


def test_gradients_are_right():
    loc, scale = LOC.clone().requires_grad_(), SCALE.clone().requires_grad_()
    value = torch.tensor([0, 3, 1])
    assert torch.autograd.gradcheck(lambda a, b: ArgmaxNormal(a, b).log_prob(value), (loc, scale))


def test_rare_events_keep_finite_probabilities_and_gradients():
    loc = torch.tensor([[0.0, 8.0]]).requires_grad_()
    log_p = ArgmaxNormal(loc, torch.full((1, 2), 0.3)).log_prob(torch.tensor([0]))
    log_p.backward()
    assert log_p.isfinite().all() and log_p < -50 and loc.grad.isfinite().all() and loc.grad.abs().max() > 1


@pytest.mark.parametrize("w", [1.0, 0.5])
def test_bound_is_below_the_exact_value(w):
    distribution = ArgmaxNormal(LOC.repeat(2000, 1), SCALE.repeat(2000, 1))
    for k in range(4):
        value = torch.full((6000,), k)
        bound = distribution.elbo(value, w=w, generator=rng()).view(2000, 3)
        exact = distribution.log_prob(value).view(2000, 3)[0]
        assert (bound.mean(0) - 4 * bound.std(0) / 2000**0.5 < exact).all()


@pytest.mark.parametrize("w", [1.0, 0.5])
def test_bound_has_the_mean_that_integration_gives(w):
    """E_u log N(y + u; loc, scale) by hand: the square has the mean (y + w/2 - loc)^2 + w^2 / 12."""
    n = 20_000
    distribution = ArgmaxNormal(LOC.repeat(n, 1), SCALE.repeat(n, 1))
    for k in range(4):
        each = distribution.elbo(torch.full((3 * n,), k), w=w, generator=rng(k)).view(n, 3)
        away = torch.eye(4)[k].double() + w / 2 - LOC
        square = (away**2 + w**2 / 12) / SCALE**2
        expected = (-square / 2 - SCALE.log() - math.log(2 * math.pi) / 2 + math.log(w)).sum(-1)
        assert ((each.mean(0) - expected).abs() < 5 * each.std(0) / n**0.5).all()


def test_scales_of_the_output_keep_the_integral_exact():
    theta = torch.tensor([[[0.0, 0.0, 0.0, -1e6, 0.0, 1e6]]])
    scale = Argmax(3).distribution(theta).scale[0, 0]
    torch.testing.assert_close(scale, 0.3 * torch.tensor([-1.1, 0, 1.1]).exp())


def test_largest_of_gumbels_is_a_softmax():
    """The same integral with Gumbel noise: exactly softmax, whatever the locations are."""
    loc = torch.tensor([0.3, -1.0, 2.0]).double()
    t = torch.linspace(-12, 40, 20_001, dtype=torch.double)
    gumbel = torch.distributions.Gumbel(loc[:, None], torch.ones(3, 1).double(), validate_args=False)
    log_f, log_F = gumbel.log_prob(t), -torch.exp(-(t - loc[:, None]))
    p = torch.trapezoid((log_f - log_F + log_F.sum(0)).exp(), t)
    torch.testing.assert_close(p, loc.softmax(0), atol=1e-8, rtol=0)


@pytest.mark.parametrize("w", [1.0, 0.9, 0.5])
def test_a_model_with_argmax_outputs_has_both(w):
    made = shaken(MADE(3, (16,), output=Argmax(3)), scale=0.5)
    assert audit.total_probability(made.log_prob, 3, levels=3) == pytest.approx(1, abs=1e-5)
    x = audit.states(3, levels=3).double()
    bound = torch.stack([argmax_elbo(made, x, w=w, generator=rng(s)) for s in range(60)])
    exact = made.log_prob(x)
    assert (bound.mean(0) - 4 * bound.std(0) / 60**0.5 < exact).all()
    assert audit.sample_test(made.sample, made.log_prob, 3, levels=3, generator=rng())[0] > 1e-4


def test_the_generator_decides_all_chance_and_each_row_has_its_own():
    made, distribution = MADE(2, (8,), output=Argmax(3)), ArgmaxNormal(torch.zeros(4, 3), torch.ones(4, 3))
    calls = [
        lambda g: distribution.elbo(torch.zeros(4), generator=g),
        lambda g: argmax_elbo(made, torch.ones(4, 2), generator=g),
    ]
    for call in calls:
        first, again, other = call(rng(1)), call(rng(1)), call(rng(2))
        assert torch.equal(first, again) and not torch.equal(first, other)
        assert len(first.unique(dim=0)) == 4


@pytest.mark.parametrize("w", [0.5, 1.0])
def test_bound_of_a_model_is_that_of_its_variables(w):
    made = shaken(MADE(3, (8,), output=Argmax(3)))
    x = made.sample(5, generator=rng())
    expected = made(x).elbo(x, w=w, generator=rng(1)).sum(-1)
    assert torch.equal(argmax_elbo(made, x, w=w, generator=rng(1)), expected)


def test_what_is_not_allowed_takes_no_part():
    loc, scale = torch.randn(4, 5, generator=rng()).double(), 0.2 + 0.4 * torch.rand(4, 5, generator=rng(1)).double()
    allowed = torch.tensor([True, False, True, True, False]).expand(4, 5)
    masked = ArgmaxNormal(loc, scale, allowed=allowed)
    fewer = ArgmaxNormal(loc[:, [0, 2, 3]], scale[:, [0, 2, 3]])
    assert torch.allclose(masked.logits[:, [0, 2, 3]], fewer.logits)
    assert (masked.logits[:, [1, 4]] == -math.inf).all()
    assert torch.isin(masked.sample((200,)), torch.tensor([0, 2, 3])).all()
    bounds = torch.stack([masked.elbo(torch.full((4,), 2), generator=rng(s)) for s in range(400)])
    assert (bounds.mean(0) < fewer.logits[:, 1]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MADE(2, output=Argmax(3)).log_prob(torch.tensor([[0.0, 3.0]])), "whole numbers 0..2, found 3"),
        (lambda: argmax_elbo(MADE(2, output=Argmax(3)), torch.tensor([[0.0, 3.0]])), "numbers 0..2, found 3"),
        (lambda: ArgmaxNormal(torch.zeros(1, 2), torch.ones(1, 2)).elbo(torch.tensor([0]), w=2), "w = 2"),
        (lambda: Argmax(3, points=0), "at least two points"),
    ],
)
def test_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()

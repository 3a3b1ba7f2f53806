"""Outputs: probabilities to the last digit, quantiles, and values that are refused."""

import math

import pytest
import torch
from shaken import rng

from hybridlib.argmax import Argmax
from hybridlib.dequantization import Dequantized
from hybridlib.flows import maf
from hybridlib.made import MADE
from hybridlib.outputs import Bernoulli, Categorical, Logistic, LogisticMixture, Normal, outcome


class TestProbabilities:
    @pytest.mark.parametrize("shift", [0.0, 1e4, -1e8, 1e8])
    def test_categories_do_not_notice_a_shift(self, shift):
        theta = torch.zeros(1, 1, 3) + shift
        p = Categorical(3).distribution(theta).log_prob(torch.arange(3)[:, None]).exp()
        assert p.sum().item() == pytest.approx(1, abs=1e-6)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_what_is_impossible_is_never_drawn(self, dtype):
        generator = rng()
        for K in (3, 21, 100):
            p = torch.rand(2000, K, generator=generator, dtype=dtype) ** 3
            p[torch.rand(2000, K, generator=generator) < 0.5] = 0
            p[:, K // 2] += 0.1
            p = p / p.sum(-1, keepdim=True)
            for u in (0.0, 0.5, 1 - torch.finfo(dtype).eps, 1 - torch.finfo(dtype).eps / 2):
                k = outcome(p, torch.full((2000,), u, dtype=dtype))
                assert (p.gather(1, k[:, None]) > 0).all()

    def test_every_number_of_eight_bits(self):
        x = torch.tensor([[0, 17, 200, 255]], dtype=torch.uint8)
        made = MADE(4, (8,), output=Categorical(256))
        assert torch.equal(made.log_prob(x), made.log_prob(x.float()))
        assert torch.equal(Dequantized(maf(4, 1), 256).elbo(x, generator=rng()).isfinite(), torch.tensor([True]))
        with pytest.raises(ValueError, match=r"whole numbers 0\.\.254, found 255"):
            Categorical(255).check(x)

    def test_a_rare_pixel_is_as_rare_in_bfloat16(self):
        theta = torch.full((200_000, 1), -10.0, dtype=torch.bfloat16)
        made = MADE(1, ()).to(torch.bfloat16)
        with torch.no_grad():
            made.net.direct.bias.fill_(-8.0)  # p = 3.4e-4, 67 of 200,000 expected, with a deviation of 8
        assert 25 <= made.sample(200_000, generator=rng()).sum() <= 110
        assert Bernoulli().distribution(theta).log_prob(torch.zeros(200_000)).dtype == torch.float32


class TestChoices:
    """What is allowed, and how warm: the same for a softmax and for the largest of Gaussians."""

    def test_categories_that_are_not_allowed_are_impossible_and_the_others_share(self):
        theta = torch.randn(5, 3, 4, generator=rng(1)).double()
        allowed = torch.rand(5, 3, 4, generator=rng(2)) < 0.6
        allowed[..., 1] = True
        p = Categorical(4).distribution(theta, allowed=allowed, temperature=0.7).probs
        expected = (theta / 0.7).exp() * allowed
        assert torch.allclose(p, expected / expected.sum(-1, keepdim=True), atol=1e-12)
        assert torch.equal(p == 0, ~allowed)

    @pytest.mark.parametrize("output", [Categorical(3), Argmax(3)])
    @pytest.mark.parametrize("temperature", [0, -1.0, math.inf, math.nan, 1e300, None, "1", torch.ones(2)])
    def test_temperatures_are_positive_and_finite(self, output, temperature):
        with pytest.raises(ValueError, match=r"temperature is .*; it must be positive and finite, from 1e-30 to 1e30"):
            output.distribution(torch.zeros(1, output.P), temperature=temperature)

    @pytest.mark.parametrize("output", [Categorical(3), Argmax(3)])
    def test_a_temperature_may_be_a_tensor(self, output):
        theta = torch.randn(2, output.P, generator=rng())
        one, other = (output.distribution(theta, temperature=t).logits for t in (0.5, torch.tensor(0.5)))
        assert torch.equal(one, other)


@pytest.mark.parametrize("output", [Normal(), LogisticMixture(3)])
def test_real_outputs_integrate_to_one_and_pick_by_quantile(output):
    theta = torch.randn(1, 1, output.P, dtype=torch.float64, generator=rng(2))
    grid = torch.linspace(-60, 60, 200_001, dtype=torch.float64)
    density = output.distribution(theta).log_prob(grid[:, None]).exp().squeeze(-1)
    assert torch.trapezoid(density, grid).item() == pytest.approx(1, abs=1e-4)
    u = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    picked = output.icdf(theta[0, 0].expand(20_000, -1), u)
    mean = torch.trapezoid(density * grid, grid)
    assert picked.mean().item() == pytest.approx(mean.item(), abs=5e-3)


def test_a_unit_measures_a_mixture_of_logistics():
    theta = torch.randn(4, 6, generator=rng(), dtype=torch.double)
    x = torch.randn(4, generator=rng(1), dtype=torch.double)
    plain, small = LogisticMixture(2), LogisticMixture(2, unit=0.1)
    a, b = plain.distribution(theta).log_prob(x), small.distribution(theta).log_prob(x / 10)
    torch.testing.assert_close(b, a + math.log(10))


def test_logistic_agrees_with_the_derivative_of_its_cdf():
    dist = Logistic(torch.tensor(0.3, dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64))
    x = torch.linspace(-4, 4, 9, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(dist.cdf(x).sum(), x)
    torch.testing.assert_close(dist.log_prob(x).exp(), slope)
    torch.testing.assert_close(dist.icdf(dist.cdf(x)), x)


def test_a_log_scale_cannot_run_away():
    theta = torch.tensor([[[0.0, -1e6]]])
    assert Normal().distribution(theta).log_prob(torch.zeros(1, 1)).item() < 7 + 1


def test_values_that_an_output_does_not_have():
    for output, x in (
        (Categorical(3), torch.full((1, 2), 3.0)),
        (Categorical(3), torch.full((1, 2), 0.5)),
        (Normal(), torch.full((1, 2), float("inf"))),
        (LogisticMixture(2), torch.full((1, 2), float("nan"))),
    ):
        with pytest.raises(ValueError, match=r"found|NaN"):
            MADE(2, (3,), output=output).log_prob(x)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Categorical(1), "at least K = 2"),
        (lambda: LogisticMixture(0), "at least K = 1"),
    ],
)
def test_bad_input(build, message):
    with pytest.raises(ValueError, match=message):
        build()

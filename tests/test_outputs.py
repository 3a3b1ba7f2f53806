"""Outputs and what the models refuse: probabilities to the last digit, and one clear error for odd arguments."""

import math
import warnings

import pytest
import torch
from shaken import rng, shaken

from hybridlib.argmax import Argmax, ArgmaxNormal
from hybridlib.autoencoder import Autoencoder
from hybridlib.dequantization import Dequantized, VariationalDequantizer
from hybridlib.ensembles import Mixture, Pool
from hybridlib.flows import Flow, Linear, Spline, iaf, maf, realnvp
from hybridlib.fvsbn import FVSBN
from hybridlib.layers import mlp
from hybridlib.made import MADE, random_orders
from hybridlib.nade import NADE
from hybridlib.outputs import Bernoulli, Categorical, LogisticMixture, Normal, outcome
from hybridlib.pixelcnn import PixelCNN
from hybridlib.transformer import Transformer
from hybridlib.vae import VAE

X = torch.tensor([[1.0, 0.0, 1.0, 1.0, 0.0, 0.0]])


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

    def test_the_largest_of_gaussians_has_no_probability_above_one(self):
        loc, scale = 3 * torch.randn(5000, 4, generator=rng()), torch.full((5000, 4), 0.2)
        log_p = ArgmaxNormal(loc, scale).logits
        assert (log_p <= 0).all()
        assert torch.allclose(log_p.exp().sum(-1), torch.ones(5000), atol=1e-5)

    def test_a_rare_pixel_is_as_rare_in_bfloat16(self):
        theta = torch.full((200_000, 1), -10.0, dtype=torch.bfloat16)
        made = MADE(1, ()).to(torch.bfloat16)
        with torch.no_grad():
            made.net.direct.bias.fill_(-8.0)  # p = 3.4e-4, 67 of 200,000 expected, with a deviation of 8
        assert 25 <= made.sample(200_000, generator=rng()).sum() <= 110
        assert Bernoulli().distribution(theta).log_prob(torch.zeros(200_000)).dtype == torch.float32

    def test_a_steep_spline_gives_back_what_was_put_in(self):
        """x comes back as far as z tells it: the z of the x that comes back is z, to rounding."""
        spline, generator = Spline(8), rng(1)
        theta = 6 * torch.randn(20_000, spline.P, generator=generator)
        z = 8 * torch.rand(20_000, generator=generator) - 4
        for dtype, digits in ((torch.float32, 3e-4), (torch.float64, 1e-11)):
            again = spline.to_noise(theta.to(dtype), spline.from_noise(theta.to(dtype), z.to(dtype)))[0]
            slope = spline.to_noise(theta.to(dtype), spline.from_noise(theta.to(dtype), z.to(dtype)))[1].exp()
            assert ((again - z).abs() <= digits * (1 + slope)).all()  # rounding x moves z by as much as it is steep


def test_nade_a_few_rows_at_a_time_is_the_same():
    nade = shaken(NADE(7, 2**20))  # two rows at a time
    x = torch.bernoulli(torch.full((5, 7), 0.5), generator=rng())
    assert torch.allclose(nade.log_prob(x), torch.cat([nade.log_prob(row[None]) for row in x]))


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


class TestRefused:
    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: MADE(784, output=Categorical(256)), r"would have 40,\d+,\d+,\d+ weights.*LogisticMixture"),
            (lambda: Spline(1500), "K = 2 to 500 bins, got 1500"),
            (lambda: MADE(3, orders=[0.9, 1.2, 2.5]), "permutation of 0..2"),
            (lambda: MADE(6, orders=X[0]), "permutation of 0..5"),
            (lambda: MADE(6).log_prob(X, order=5), "1 orders, numbered from 0; there is no order 5"),
            (lambda: MADE(6).log_prob(X, order=-1), "no order -1"),
            (lambda: MADE(6).masks(2), "no order 2"),
            (lambda: MADE(6).log_prob(X, order=[0, 1]), "must be a permutation"),
            (lambda: MADE(6, context=-1), "no negative context"),
            (lambda: maf(3, context=-1), "negative"),
            (lambda: Mixture([]), "at least one model, got none"),
            (lambda: Pool([]), "at least one model, got none"),
            (lambda: Mixture([MADE(6)]).sample(-1), "must not be negative, got -1"),
            (lambda: MADE(6, context=2)(X, [[0.0, 1.0]]), r"context of shape \(1, 2\), got shape \(\) of list"),
            (lambda: MADE(6, context=2).log_prob(X), r"context of shape \(1, 2\), got none"),
            (lambda: MADE(6)(X + 0.5), "values 0 or 1, found 1.5"),
            (lambda: MADE(6).inpaint(X.tolist(), torch.ones(6).bool()), "got list"),
            (lambda: MADE(6).inpaint(X / 0, torch.ones(6).bool()), "values 0 or 1"),
            (lambda: Transformer(3, 4, width=8, heads=2).sample(1, temperature=math.inf), "positive and finite"),
            (lambda: LogisticMixture(2, unit=math.nan), "positive unit"),
        ],
    )
    def test_one_clear_error(self, call, message):
        with pytest.raises(ValueError, match=message):
            call()

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: MADE(6, context=2).log_prob(X, torch.zeros(1, 2).cfloat()), "context needs real numbers"),
            (lambda: MADE(6, context=2).log_prob(X, torch.zeros(1, 2).numpy()), r"got shape \(1, 2\) of ndarray"),
            (
                lambda: maf(6, 1, context=2).rsample_and_log_prob(1, context=torch.zeros(1, 2).cfloat()),
                "context needs real numbers",
            ),
            (lambda: MADE(6, context=2).theta(X), r"context of shape \(1, 2\), got none"),
            (lambda: MADE(6, context=2).generate(X, Bernoulli().icdf), r"context of shape \(1, 2\), got none"),
            (lambda: MADE(6).generate(X[:, :5], Bernoulli().icdf), r"shape \(B, 6\), got \(1, 5\)"),
            (lambda: NADE(6).theta(X[:, :5]), r"shape \(B, 6\), got \(1, 5\)"),
            (lambda: MADE(6, output=Categorical), "must be an object such as"),
            (lambda: MADE(6, output="bernoulli"), "output is 'bernoulli'"),
            (lambda: MADE(6, orders=torch.zeros(0, 6)), "give at least one"),
            (lambda: random_orders(0, 6), "M = 0, D = 6"),
            (lambda: MADE(6).sample(2.5), "whole number, got 2.5"),
            (lambda: Mixture([MADE(6)]).sample("3"), "whole number, got '3'"),
            (lambda: maf(2, 1).sample(None), "whole number, got None"),
            (lambda: MADE(6).sample(True), "whole number, got True"),
            (lambda: Pool([MADE(6), MADE(6, output=Categorical(3))]), "Bernoulli of 1 .* Categorical of 3"),
            (lambda: Pool([MADE(6), MADE(6, context=2)]), "one output and one context"),
            (lambda: Pool([MADE(6)], sharpness=math.nan), "sharpness is nan"),
            (lambda: Mixture([MADE(6), MADE(6, output=Normal())]), "add densities to probabilities"),
            (lambda: Categorical(2.5), "whole number of categories"),
            (lambda: LogisticMixture(1.5), "whole number"),
            (lambda: Spline(2.5), "got 2.5"),
            (lambda: Argmax(3, points=0), "at least two points"),
            (lambda: Transformer(3, 2, layers=-1), "at least 1, got 128, -1 and 4"),
            (lambda: Transformer(3, 2, heads=0), "heads of at least 1"),
            (lambda: Transformer(4, 2_000_000_000), "weights, more than"),
            (lambda: NADE(100_000, 100_000), "20,000,000,000 weights, more than"),
            (lambda: FVSBN(1_000_000), "weights, more than"),
            (lambda: PixelCNN((2, 3), 0), "one channel"),
            (lambda: maf(3, -1), "negative number of layers, got -1"),
            (lambda: realnvp(3, -1), "negative number of layers, got -1"),
            (lambda: Linear([1.0, 2.0], [1.0]), r"shift must be finite, of shape \(2,\)"),
            (lambda: Flow(3, [Linear([1.0, 2.0])]).log_prob(X[:, :3]), r"Linear needs data of shape \(B, 2\)"),
            (lambda: VariationalDequantizer(3, 1), "at least 2, got 1"),
            (lambda: Dequantized(maf(2, 1), 4).importance_bound(X[:, :2], 2.5), "whole number of samples"),
            (lambda: Dequantized(maf(2, 1), 4).log_prob_on_grid(X[:, :2], points=0), "at least one point"),
            (lambda: VAE(mlp(6, 2), mlp(1, 6), 1).log_prob_on_grid(X, points=1), "at least two points"),
            (lambda: VAE(mlp(6, 2), mlp(1, 1), 1).elbo(X), "decoder speaks of 1 variables, x has 6"),
            (lambda: Autoencoder(mlp(6, 2), mlp(2, 1)).error(X), r"gave \(1, 1\) for x of shape \(1, 6\)"),
        ],
    )
    def test_what_was_answered_in_silence_or_from_deep_inside(self, call, message):
        with pytest.raises(ValueError, match=message):
            call()

    def test_an_order_of_a_whole_page_is_not_spelled_out(self):
        for call in (
            lambda: MADE(784, (4,), orders=torch.zeros(784)),
            lambda: MADE(784, (4,)).inpaint(torch.zeros(1, 784), torch.arange(784) > 400),
            lambda: Pool([MADE(784, (4,)), MADE(784, (4,), orders=torch.arange(784).flip(0))]),
        ):
            with pytest.raises(ValueError) as error:
                call()
            assert len(str(error.value)) < 300

    def test_no_rows(self):
        vae = VAE(torch.nn.Linear(6, 2), torch.nn.Linear(1, 6), 1)
        for bound in (vae.elbo, vae.log_prob_on_grid, lambda x: vae.importance_bound(x, 3)):
            with pytest.raises(ValueError, match=r"at least one row, got shape \(0, 6\)"):
                bound(X[:0])
        assert MADE(6).log_prob(X[:0]).shape == (0,)
        assert Dequantized(maf(2, 1), 4).log_prob_on_grid(X[:0, :2]).shape == (0,)


def test_a_spline_says_that_the_data_lie_beyond_its_reach():
    x = 20 + torch.randn(50, 2, generator=rng())
    for flow in (
        iaf(2, 2, (16,), univariate=Spline()),
        maf(2, 2, (16,), univariate=Spline()),
        maf(2, 2, (16,), univariate=Spline(reach=3)),
    ):
        with pytest.warns(UserWarning, match=r"variable 0 lies outside .* standardize the data"):
            flow.train().log_prob(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flow.log_prob(x - 20)
        flow.eval().log_prob(x)  # a tail may be asked about

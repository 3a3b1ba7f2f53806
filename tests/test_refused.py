"""What the models refuse: one clear error for odd arguments, whichever room they enter."""

import math

import pytest
import torch

from hybridlib.autoencoder import Autoencoder
from hybridlib.dequantization import Dequantized
from hybridlib.ensembles import Mixture, Pool
from hybridlib.flows import maf
from hybridlib.fvsbn import FVSBN
from hybridlib.layers import mlp
from hybridlib.made import MADE, random_orders
from hybridlib.nade import NADE
from hybridlib.outputs import Bernoulli, Categorical, LogisticMixture, Normal
from hybridlib.pixelcnn import PixelCNN
from hybridlib.transformer import Transformer
from hybridlib.vae import VAE

X = torch.tensor([[1.0, 0.0, 1.0, 1.0, 0.0, 0.0]])


class TestRefused:
    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: MADE(784, output=Categorical(256)), r"would have 40,\d+,\d+,\d+ weights.*LogisticMixture"),
            (lambda: MADE(3, orders=[0.9, 1.2, 2.5]), "permutation of 0..2"),
            (lambda: MADE(6, orders=X[0]), "permutation of 0..5"),
            (lambda: MADE(6).log_prob(X, order=5), "1 orders, numbered from 0; there is no order 5"),
            (lambda: MADE(6).log_prob(X, order=-1), "no order -1"),
            (lambda: MADE(6).masks(2), "no order 2"),
            (lambda: MADE(6).log_prob(X, order=[0, 1]), "must be a permutation"),
            (lambda: MADE(6, context=-1), "no negative context"),
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
            (lambda: MADE(6).sample(True), "whole number, got True"),
            (lambda: Pool([MADE(6), MADE(6, output=Categorical(3))]), "Bernoulli of 1 .* Categorical of 3"),
            (lambda: Pool([MADE(6), MADE(6, context=2)]), "one output and one context"),
            (lambda: Pool([MADE(6)], sharpness=math.nan), "sharpness is nan"),
            (lambda: Mixture([MADE(6), MADE(6, output=Normal())]), "add densities to probabilities"),
            (lambda: Categorical(2.5), "whole number of categories"),
            (lambda: LogisticMixture(1.5), "whole number"),
            (lambda: Transformer(3, 2, layers=-1), "at least 1, got 128, -1 and 4"),
            (lambda: Transformer(3, 2, heads=0), "heads of at least 1"),
            (lambda: Transformer(4, 2_000_000_000), "weights, more than"),
            (lambda: NADE(100_000, 100_000), "20,000,000,000 weights, more than"),
            (lambda: FVSBN(1_000_000), "weights, more than"),
            (lambda: PixelCNN((2, 3), 0), "one channel"),
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

"""Pools and mixtures: probabilities are averaged across orders, parameters within one."""

import itertools

import pytest
import torch
from shaken import shaken

from hybridlib import audit
from hybridlib.ensembles import Mixture, Pool
from hybridlib.made import MADE
from hybridlib.outputs import Bernoulli

ORDER = torch.tensor([2, 0, 4, 1, 3])


def test_three_models_of_one_kind_are_three_models():
    states = audit.states(4)
    models = Mixture([MADE(4, (6,)) for _ in range(3)]).models
    first = [torch.cat([p.flatten() for p in model.parameters()]) for model in models]
    for a, b in itertools.combinations(range(3), 2):
        assert not torch.equal(first[a], first[b])
        assert not torch.equal(models[a].log_prob(states), models[b].log_prob(states))


def test_logits_may_be_averaged_within_one_order_only():
    same = [shaken(MADE(5, (8,)), seed) for seed in (1, 2)]
    other = shaken(MADE(5, (8,), orders=ORDER), 2)
    x = audit.states(5).double()
    assert Pool(same).log_prob(x).exp().sum().item() == pytest.approx(1)
    sharp = Pool(same, sharpness=1.5)
    torch.testing.assert_close(sharp.theta(x), 0.75 * (same[0].theta(x) + same[1].theta(x)))
    sums = []
    for seed in range(8):  # in two orders the sum is off, for one pair of networks more than for another
        across = (shaken(same[0], seed).theta(x) + shaken(other, seed + 8).theta(x)) / 2
        sums.append(Bernoulli().distribution(across).log_prob(x).sum(-1).exp().sum().item())
    assert max(abs(total - 1) for total in sums) > 0.02


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Mixture([MADE(2, (3,)), MADE(3, (3,))]), "one size"),
        (lambda: Pool([MADE(2, (3,)), MADE(2, (3,), orders=[1, 0])]), "same order"),
        (lambda: Pool([MADE(2, (3,), orders=[[1, 0], [0, 1]])]), "same order"),
    ],
)
def test_bad_input(build, message):
    with pytest.raises(ValueError, match=message):
        build()

"""Pools and mixtures: probabilities are averaged across orders, parameters within one."""

import itertools

import torch

from hybridlib import audit
from hybridlib.ensembles import Mixture
from hybridlib.made import MADE


def test_three_models_of_one_kind_are_three_models():
    states = audit.states(4)
    models = Mixture([MADE(4, (6,)) for _ in range(3)]).models
    first = [torch.cat([p.flatten() for p in model.parameters()]) for model in models]
    for a, b in itertools.combinations(range(3), 2):
        assert not torch.equal(first[a], first[b])
        assert not torch.equal(models[a].log_prob(states), models[b].log_prob(states))

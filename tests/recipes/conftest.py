"""Toy data of every kind that recipes take."""

import pytest
import torch

from hybridlib import datasets, recipes
from hybridlib.molecules import from_smiles


@pytest.fixture
def toy():
    """4 x 4 pictures whose right half repeats the left: 8 coins of probability 0.3, so 4.886 nats."""
    generator = torch.Generator().manual_seed(0)

    def draw(n):
        left = torch.bernoulli(torch.full((n, 4, 2), 0.3), generator=generator)
        return torch.cat([left, left], 2).flatten(1)

    return datasets.Data(draw(3000), draw(100), draw(100), None, None, None, shape=(4, 4), levels=2)


@pytest.fixture
def shapes():
    """4 x 4 pictures, dark on the left or on the right, each pixel turned over with probability 0.05: 3.9 nats."""
    generator = torch.Generator().manual_seed(0)
    left = (torch.arange(16) % 4 < 2).float()

    def draw(n):
        flips = torch.randint(2, (n, 1), generator=generator) + (torch.rand(n, 16, generator=generator) < 0.05)
        return (left + flips) % 2

    return datasets.Data(draw(3000), draw(100), draw(100), None, None, None, shape=(4, 4), levels=2)


@pytest.fixture
def chains():
    """SMILES of one to three carbons that end in an oxygen, a nitrogen, or two more carbons."""
    alphabet, generator = datasets.Alphabet("CNO"), torch.Generator().manual_seed(0)

    def draw(n):
        choices = torch.randint(3, (n, 2), generator=generator).tolist()
        return alphabet.encode(["C" * (1 + carbons) + ("O", "N", "CC")[last] for carbons, last in choices], 8)

    parts = draw(1000), draw(100), draw(100)
    return datasets.Data(*parts, None, None, None, shape=(8,), levels=4, alphabet=alphabet)


@pytest.fixture
def few_molecules():
    smiles = ["CCO", "CC=O", "C1CC1", "N#CC", "COC", "CC(C)C"]
    return datasets.Molecules(*(from_smiles(smiles * k, A=4, N=6) for k in (40, 4, 4)), 4)


SMALL = {  # options that make a recipe of one model take seconds
    "static_vae": {"channels": 16, "Z": 4, "epochs": 6, "samples": 50},
    "static_transformer": {"k": 4, "width": 16, "layers": 1, "epochs": 4, "rows": 1500},
    "zinc_smiles": {"width": 16, "layers": 1, "epochs": 4, "rows": 1000, "samples": 200},
}


@pytest.fixture(params=SMALL)
def small(request, shapes, chains):
    """A recipe of one model at toy scale: a function (folder, changes) -> (model, record), with name, data, options."""

    def train(folder, **changes):
        return recipes.run(train.name, train.data, folder=folder, **{**train.options, **changes})

    train.name, train.options = request.param, SMALL[request.param]
    train.data = chains if request.param == "zinc_smiles" else shapes
    return train

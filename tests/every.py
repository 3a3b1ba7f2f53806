"""Every model of the book, small: what the tests of the contract run over."""

from dataclasses import dataclass, field

import torch
from shaken import rng
from torch import nn

from hybridlib.argmax import Argmax, argmax_elbo
from hybridlib.autoencoder import Autoencoder
from hybridlib.dequantization import (
    Dequantized,
    DequantizedLevels,
    Levels,
    UniformDequantizer,
    VariationalDequantizer,
)
from hybridlib.ensembles import Mixture, Pool
from hybridlib.flows import Flow, Linear, Logit, Spline, iaf, maf, realnvp
from hybridlib.fvsbn import FVSBN
from hybridlib.graphaf import GraphAF
from hybridlib.graphs import Graph
from hybridlib.independent import Independent
from hybridlib.layers import mlp
from hybridlib.made import MADE, random_orders
from hybridlib.molecules import from_smiles
from hybridlib.nade import NADE
from hybridlib.outputs import Categorical, LogisticMixture, Normal
from hybridlib.pixelcnn import PixelCNN
from hybridlib.transformer import InBlocks, Transformer
from hybridlib.vae import VAE

ORDER = torch.tensor([2, 0, 4, 1, 3])
# discrete models with log_prob and sample, no context: their probabilities can be listed
MODELS = {
    "independent": lambda: Independent(4),
    "fvsbn": lambda: FVSBN(5),
    "nade": lambda: NADE(5, 7),
    "nade order": lambda: NADE(5, 7, orders=ORDER),
    "transformer": lambda: Transformer(4, 3, width=8, layers=2, heads=2, dropout=0.2),
    "transformer of bits": lambda: Transformer(5, 2, width=8, layers=1, heads=1),
    "transformer with end": lambda: Transformer(4, 3, width=8, layers=2, heads=4, end=1),
    "pixelcnn": lambda: PixelCNN((2, 3), 6, layers=2),
    "one layer of convolution": lambda: PixelCNN((3, 2), 6, layers=1),
    "pixelcnn of grey": lambda: PixelCNN((2, 2), 6, layers=3, output=Categorical(4)),
    "in blocks": lambda: InBlocks(Transformer(3, 4, width=8, layers=1, heads=2), 2),
    "made": lambda: MADE(5, (16,)),
    "order": lambda: MADE(5, (16,), orders=ORDER),
    "two layers": lambda: MADE(5, (12, 9), direct=False),
    "residual": lambda: MADE(5, (12, 12, 12), residual=True, dropout=0.2),
    "narrow": lambda: MADE(5, (2,)),
    "no hidden": lambda: MADE(5, ()),
    "one variable": lambda: MADE(1, (4,)),
    "several orders": lambda: MADE(5, (16, 9), orders=random_orders(3, 5, generator=rng())),
    "connectivity": lambda: MADE(5, (16, 16), orders=random_orders(3, 5, generator=rng()), connectivity=True),
    "residual connectivity": lambda: MADE(
        5, (9, 9), orders=random_orders(3, 5, generator=rng()), connectivity=True, residual=True
    ),
    "categorical": lambda: MADE(4, (16,), output=Categorical(3)),
    "categorical orders": lambda: MADE(4, (16,), output=Categorical(3), orders=random_orders(2, 4, generator=rng())),
    "pool": lambda: Pool([MADE(5, (8,), orders=ORDER) for _ in range(2)]),
    "sharp pool": lambda: Pool([MADE(5, (8,), orders=ORDER)], sharpness=1.3),
    "mixture of pools": lambda: Mixture([MADE(4, (6,)), Pool([MADE(4, (6,), orders=[3, 1, 0, 2]) for _ in range(2)])]),
    "mixture": lambda: Mixture([MADE(5, (8,)), MADE(5, (8,), orders=ORDER)]),
}


@dataclass
class Subject:
    """A model, examples for it, and the number (B,) that it gives to each, in nats."""

    make: object  # () -> model
    data: tuple  # tensors of one length, on the CPU
    value: object = lambda model, *data: model.log_prob(*data)
    sample: object = lambda model, **options: model.sample(7, **options)
    whole: bool = True  # the first of the data holds whole numbers
    options: dict = field(default_factory=dict)


def bits(D, K=2):
    return torch.randint(K, (12, D), generator=rng(5)).float()


def reals(D):
    return torch.randn(12, D, generator=rng(6))


def elbo(model, *data):
    return model.elbo(*data, generator=rng(3))


def nats_of_graph(model, atoms, bonds):
    return model.log_prob(Graph(atoms, bonds))


def bound_of_graph(model, atoms, bonds):
    return model.elbo(Graph(atoms, bonds), generator=rng(3))


def with_end(x):
    """Nothing but the end (1) comes after the end."""
    return torch.where((x == 1).cummax(1).values, 1, x)


def small_vae():
    return VAE(mlp(5, 8, 4, activation=nn.Tanh), mlp(2, 8, 5, activation=nn.Tanh), 2)


_molecules = from_smiles(["CC(=O)N", "c1ccncc1", "C#N", "OCCF", "CN(C)C"], A=4, N=8)
GRAPHS = _molecules.atoms, _molecules.bonds
CONTEXT = torch.randn(12, 2, generator=rng(7))


def drawn(model, **options):
    """A sample of a conditional model."""
    return model.sample(12, context=CONTEXT, **options)


def grown(model, **options):
    return model.sample(7, **options).bonds


def discrete(name):
    model = MODELS[name]()
    K = model.output.P if isinstance(getattr(model, "output", None), Categorical) else 2
    x = bits(model.D, K)
    return Subject(MODELS[name], (with_end(x) if name == "transformer with end" else x,))


SUBJECTS = {name: discrete(name) for name in MODELS} | {
    "made with context": Subject(lambda: MADE(5, (9,), context=2), (bits(5), CONTEXT), sample=drawn),
    "made of normals": Subject(lambda: MADE(4, (9,), output=Normal()), (reals(4),), whole=False),
    "made of logistics": Subject(
        lambda: MADE(3, (9,), output=LogisticMixture(2, unit=0.5)), (reals(3),), whole=False
    ),
    "made of argmax": Subject(lambda: MADE(3, (9,), output=Argmax(3)), (bits(3, 3),)),
    "bound of argmax": Subject(
        lambda: MADE(3, (9,), output=Argmax(3)), (bits(3, 3),), lambda m, x: argmax_elbo(m, x, generator=rng(3))
    ),
    "pixelcnn of logistics": Subject(
        lambda: PixelCNN((2, 2), 5, layers=2, output=LogisticMixture(2)), (reals(4),), whole=False
    ),
    "maf": Subject(lambda: maf(3, 2, (8,)), (reals(3),), whole=False),
    "maf of splines": Subject(lambda: maf(3, 2, (8,), univariate=Spline(4)), (reals(3),), whole=False),
    "maf with context": Subject(
        lambda: maf(3, 2, (8,), context=2), (reals(3), CONTEXT), sample=drawn, whole=False
    ),
    "iaf": Subject(lambda: iaf(3, 2, (8,)), (reals(3),), whole=False),
    "realnvp": Subject(lambda: realnvp(3, 2, (8,)), (reals(3),), whole=False),
    "realnvp of splines": Subject(lambda: realnvp(3, 2, (8,), univariate=Spline(4)), (reals(3),), whole=False),
    "fixed maps": Subject(
        lambda: Flow(2, [Logit(), Linear([[2.0, 1.0], [0.0, 1.0]], [0.5, 0.0]), *maf(2, 1, (8,)).transforms]),
        (reals(2).sigmoid(),), whole=False,
    ),
    "dequantized": Subject(
        lambda: Dequantized(maf(3, 1, (8,)), 4, UniformDequantizer(0.5)), (bits(3, 4),), elbo
    ),
    "dequantized levels": Subject(
        lambda: DequantizedLevels(MADE(3, (8,), output=Levels(4, 2)), 4), (bits(3, 4),)
    ),
    "dequantized variationally": Subject(
        lambda: Dequantized(
            Flow(3, [Logit(), *maf(3, 1, (8,)).transforms]), 4,
            VariationalDequantizer(3, 4, flow=iaf(3, 1, (8,), context=3)),
        ),
        (bits(3, 4),), elbo,
    ),
    "vae": Subject(small_vae, (bits(5),), elbo),
    "bound of a vae": Subject(
        small_vae, (bits(5),), lambda m, x: m.importance_bound(x, 5, generator=rng(3))
    ),
    "vae with made": Subject(lambda: VAE(mlp(5, 8, 4), MADE(5, (8,), context=2), 2), (bits(5),), elbo),
    "autoencoder": Subject(
        lambda: Autoencoder(mlp(3, 5, 2), mlp(2, 5, 3)), (reals(3),), lambda m, x: m.error(x), None, whole=False
    ),
    "graphaf": Subject(lambda: GraphAF(4, 8, H=8, layers=2), GRAPHS, nats_of_graph, grown),
    "graphaf of flows": Subject(
        lambda: GraphAF(4, 8, H=8, layers=2, reading="flow"), GRAPHS, bound_of_graph, grown
    ),
    "graphaf of categories": Subject(
        lambda: GraphAF(4, 8, H=8, layers=2, reading="categorical"), GRAPHS, nats_of_graph, grown
    ),
    "graphaf with valences": Subject(
        lambda: GraphAF(4, 8, H=8, layers=2, masked=True), GRAPHS, nats_of_graph, grown
    ),
}  # fmt: skip

"""One command per published result: data, networks, training, held-out likelihood, and a record of all of it.

    python -m hybridlib.recipes                            # lists them, a line each
    python -m hybridlib.recipes static_mnist --out runs    # an interrupted run goes on where it was

`RECIPES` is the table of them; `run` does in Python what the command does. A recipe gives the trained model and its
record, whose layout benchmarks/README.md explains; `records.published` reads those that came with the library. Every
recipe takes data of your own, and its record says so. Chapters 2, 3, 5, 8, 9 and 10 show the results.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from torch import nn

from .. import datasets
from .molecules import graph_readings, graphaf_recipe, round_trips, small_universe, string_recipe
from .training import RUNS, Job
from .vectors import (
    averaged_logits,
    dequantized_recipe,
    mixture_recipe,
    transformer_recipe,
    uniform_noise,
    vae_recipe,
    variational_noise,
)


@dataclass(frozen=True)
class Recipe:
    """A line of the table: the function that does the work, its data set, the minutes it takes on one core, a sentence.

    ``settings`` are what differs from the defaults of the function.

    >>> RECIPES["plants"].dataset, RECIPES["plants"].options()["members"]
    ('plants', 4)
    """

    kind: Callable
    dataset: str | None
    minutes: int
    about: str
    settings: dict = field(default_factory=dict)

    def options(self) -> dict:
        """All that can be set, with the values that it has unless one sets it; None where there is no default."""
        parameters = inspect.signature(self.kind).parameters.values()
        named = [parameter for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
        return {parameter.name: self.settings.get(parameter.name, parameter.default) for parameter in named}

    def load(self) -> datasets.Data | datasets.Molecules | None:
        """The data set, as text and pictures or as graphs; None for a recipe that makes its own."""
        if self.dataset is None:
            return None
        if self.kind in (graphaf_recipe, graph_readings):
            # of a million and a half, two passes for a training
            most = {"rows": 400_000, "held_out": 10_000} if self.dataset == "moses" else {}
            return datasets.load_graphs(self.dataset, **most)
        return datasets.load(self.dataset)


ZINC = {"rows": 20_000}  # of drug-like molecules an epoch: one epoch in a minute or two

RECIPES = {
    # The first way to read has two networks, which are pooled: another order helps more than another network of one.
    "static_mnist": Recipe(
        mixture_recipe, "static_mnist", 55, "binarized MNIST: a mixture of MADEs that read the page in five ways",
        {"hidden": (800, 800), "residual": True, "dropout": 0.2, "lr": 1e-3, "epochs": 24, "sharpen": True,
         "reads": (0, 1, 2, 0, 3, 4)},
    ),
    "made_dna": Recipe(
        mixture_recipe, "made_dna", 2, "DNA, the MADE paper's split: a MADE under 256 masks, a mixture of all of them",
        {"connectivity": True, "dropout": 0.4, "epochs": 450, "members": 1, "masks": 256},
    ),
    "mushrooms": Recipe(
        mixture_recipe, "mushrooms", 3, "Mushrooms, the MADE paper's split: a mixture of MADEs in eight random orders",
        {"epochs": 100},
    ),
    "nltcs": Recipe(
        mixture_recipe, "nltcs", 4, "NLTCS: a mixture of MADEs in eight random orders", {"hidden": (200,), "epochs": 30}
    ),
    "plants": Recipe(
        mixture_recipe, "plants", 5, "Plants: a mixture of MADEs in four random orders",
        {"lr": 2e-3, "epochs": 60, "members": 4},
    ),
    "averaged_logits": Recipe(
        averaged_logits, "static_mnist", 10, "binarized MNIST: averaged logits of ten orders, and their mixture"
    ),
    "static_vae": Recipe(vae_recipe, "static_mnist", 36, "binarized MNIST: a convolutional VAE"),
    "static_transformer": Recipe(
        transformer_recipe, "static_mnist", 26, "binarized MNIST, seven pixels a symbol: a Transformer"
    ),
    "zinc_smiles": Recipe(string_recipe, "zinc_smiles", 35, "ZINC's molecules as SMILES: a Transformer"),
    "mnist_uniform": Recipe(
        partial(dequantized_recipe, uniform_noise), "mnist", 10,
        "MNIST's 256 grey levels: a flow of one layer, uniform noise",
    ),
    "mnist_variational": Recipe(
        partial(dequantized_recipe, variational_noise), "mnist", 12,
        "MNIST's 256 grey levels: a flow makes the noise, given the picture",
    ),
    "mnist_box": Recipe(
        partial(dequantized_recipe, uniform_noise), "mnist", 5,
        "MNIST's 256 grey levels: uniform noise, and a density with a box for level 0", {"box": True},
    ),
    "mnist_large": Recipe(
        partial(dequantized_recipe, uniform_noise), "mnist", 60,
        "MNIST's 256 grey levels: the density with a box, larger and trained four times as long",
        {"box": True, "channels": 48, "lr": 2e-3, "epochs": 32, "rows": 15_000},
    ),
    "zinc_exact": Recipe(
        graphaf_recipe, "zinc_smiles", 60, "GraphAF on ZINC250k: the exact probability of Gaussians and argmax", ZINC
    ),
    "zinc_categorical": Recipe(
        graphaf_recipe, "zinc_smiles", 50, "GraphAF on ZINC250k: softmax decisions", {**ZINC, "reading": "categorical"}
    ),
    "zinc_masked": Recipe(
        graphaf_recipe, "zinc_smiles", 60, "GraphAF on ZINC250k: valences inside the likelihood, every sample is valid",
        {**ZINC, "masked": True},
    ),
    "zinc_flow": Recipe(
        graphaf_recipe, "zinc_smiles", 50, "GraphAF on ZINC250k: the dequantized bound, noise of the paper's width",
        {**ZINC, "reading": "flow"},
    ),
    "zinc_flow_narrow": Recipe(
        graphaf_recipe, "zinc_smiles", 50, "GraphAF on ZINC250k: the dequantized bound, narrower noise",
        {**ZINC, "reading": "flow", "w": 0.5},
    ),
    "zinc_neutral": Recipe(
        graphaf_recipe, "zinc_smiles", 60, "GraphAF on ZINC250k without charges, as the literature has it: nine types",
        {**ZINC, "neutral": True},
    ),
    "qm9_exact": Recipe(graphaf_recipe, "qm9", 11, "GraphAF on QM9: the exact probability of Gaussians and argmax"),
    "qm9_categorical": Recipe(
        graphaf_recipe, "qm9", 9, "GraphAF on QM9: softmax decisions", {"reading": "categorical"}
    ),
    "qm9_masked": Recipe(
        graphaf_recipe, "qm9", 11, "GraphAF on QM9: valences inside the likelihood, every sample is valid",
        {"masked": True},
    ),
    "qm9_flow": Recipe(
        graphaf_recipe, "qm9", 9, "GraphAF on QM9: the dequantized bound, noise of the paper's width",
        {"reading": "flow"},
    ),
    "qm9_flow_narrow": Recipe(
        graphaf_recipe, "qm9", 9, "GraphAF on QM9: the dequantized bound, narrower noise",
        {"reading": "flow", "w": 0.5},
    ),
    "moses_exact": Recipe(
        graphaf_recipe, "moses", 60, "GraphAF on MOSES: the exact probability of Gaussians and argmax",
        {**ZINC, "samples": 30_000},
    ),
    "graph_readings": Recipe(
        graph_readings, "smiles", 13, "small molecules: GraphAF in three readings by three seeds"
    ),
    "small_universe": Recipe(
        small_universe, None, 11, "all molecules of at most six atoms: GraphAF in three readings, exact distances"
    ),
    "round_trips": Recipe(round_trips, None, 42, "four sets of molecules, text to graphs to text: what is lost"),
}  # fmt: skip


def run(
    name: str, data: datasets.Data | datasets.Molecules | None = None, *, folder: str | Path = RUNS, **changes: object
) -> tuple[nn.Module | None, dict]:
    """The recipe of a name, on its data set or on data of your own -> (trained model, record).

    ``changes`` are options of this recipe with values of your own, ``folder`` keeps finished models. ValueError for a
    name or an option that there is not, and for data where a recipe makes its own.

    >>> run("nltcs", epoch=3)
    Traceback (most recent call last):
    ValueError: nltcs has no option 'epoch'; its options are hidden, epochs, lr, dropout, ...
    """
    if name not in RECIPES:
        raise ValueError(f"there is no recipe {name!r}; there are {', '.join(RECIPES)}")
    recipe = RECIPES[name]
    options = recipe.options()
    for unknown in changes.keys() - options.keys():
        raise ValueError(f"{name} has no option {unknown!r}; its options are {', '.join(options)}")
    if data is not None and recipe.dataset is None:
        raise ValueError(f"{name} makes its own data; run it without")
    source = (recipe.load(), recipe.dataset) if data is None else (data, None)
    job = Job(name, command(name, changes), *source, Path(folder))
    return recipe.kind(job, **{**options, **changes})


def command(name: str, changes: dict) -> str:
    """What runs a recipe with options of these values on the command line.

    >>> command("zinc_exact", {"epochs": 30, "masked": True})
    'python -m hybridlib.recipes zinc_exact --epochs 30 --masked'
    """
    words = ["python -m hybridlib.recipes", name]
    for option, value in changes.items():
        if isinstance(value, bool):
            words.append(f"--{'' if value else 'no-'}{option}")
        else:
            words += [f"--{option}", *map(str, value if isinstance(value, tuple | list) else (value,))]
    return " ".join(words)

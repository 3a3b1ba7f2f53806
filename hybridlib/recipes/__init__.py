"""One function per published result: data, networks, training, held-out likelihood, and a record of all of it.

    python -m hybridlib.recipes static_mnist out=runs      # an interrupted run goes on where it was

A recipe returns the trained model and its record; the command also writes the record to NAME.json in the folder
``out``, the current one unless given, and says where it lies. benchmarks/README.md explains its layout. `published`
reads the records that came with the library, in hybridlib/results: only out=hybridlib/results rewrites them. Chapters 2
and 3 show the Transformers and the VAE, chapter 5 the mixtures beside the table of Germain et al. (2015),
arXiv:1502.03509. Weights and settings are chosen on the validation rows.

Every recipe takes data of your own, and its record says so. Finished models are kept in ``folder`` by the fingerprint
of their data: other data never get them.
"""

import datetime
import functools
import importlib.metadata
import importlib.util
import json
import math
import os
import platform
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from .. import __version__, checkpoints, datasets, train
from ..dequantization import Dequantized, UniformDequantizer, VariationalDequantizer
from ..described import Described, fingerprint
from ..ensembles import Mixture, Pool
from ..flows import iaf
from ..graphaf import READINGS, GraphAF
from ..graphs import Graph
from ..made import MADE, random_orders
from ..noise import seeded
from ..outputs import LogisticMixture
from ..pixelcnn import PixelCNN
from ..transformer import InBlocks, Transformer
from ..vae import VAE

FOLDER = Path(".cache/recipes")  # finished models and the state of the one in training
SHARPNESS = 1, 1.02, 1.04, 1.06, 1.08, 1.1  # factors on all logits that are tried on validation rows


def static_mnist(data=None, *, hidden=(800, 800), epochs=24, reads=(0, 1, 2, 0, 3, 4), folder=FOLDER):
    """Static binarized MNIST: a mixture of MADEs that read the page in five ways; about an hour on one core.

    The first way has two networks, which are pooled: another order helps more than another network of the same order.
    """
    data, source = _data(data, "static_mnist")
    network = {"hidden": hidden, "residual": True, "dropout": 0.2}
    training = {"epochs": epochs, "batch_size": 100, "lr": 1e-3, "schedule": "cosine", "ema": 0.999}
    pages = scans(data.shape)
    return mixture(
        "static_mnist", data, [pages[way] for way in reads], network, training, folder, source=source, sharpen=True
    )


def made_dna(data=None, *, hidden=(500,), epochs=450, masks=256, folder=FOLDER):
    """DNA, the MADE paper's split: one network under 256 masks, a mixture of all of them; a few minutes on one core."""
    data, source = _data(data, "made_dna")
    network = {"hidden": hidden, "connectivity": True, "dropout": 0.4}
    training = {"epochs": epochs, "batch_size": 100, "lr": 5e-3, "schedule": "cosine", "ema": 0.999}
    return mixture("made_dna", data, [shuffles(data, masks)], network, training, folder, source=source)


def mushrooms(data=None, *, hidden=(500,), epochs=100, members=8, folder=FOLDER):
    """Mushrooms, the MADE paper's split: a mixture of eight random orders; a minute or two on one core."""
    data, source = _data(data, "mushrooms")
    network = {"hidden": hidden, "dropout": 0.3}
    training = {"epochs": epochs, "batch_size": 100, "lr": 5e-3, "schedule": "cosine", "ema": 0.999}
    return mixture("mushrooms", data, shuffles(data, members), network, training, folder, source=source)


def nltcs(data=None, *, hidden=(200,), epochs=30, members=8, folder=FOLDER):
    """NLTCS: a mixture of eight random orders; a minute or two on one core."""
    data, source = _data(data, "nltcs")
    network = {"hidden": hidden, "dropout": 0.3}
    training = {"epochs": epochs, "batch_size": 100, "lr": 5e-3, "schedule": "cosine", "ema": 0.999}
    return mixture("nltcs", data, shuffles(data, members), network, training, folder, source=source)


def plants(data=None, *, hidden=(500,), epochs=60, members=4, folder=FOLDER):
    """Plants: a mixture of four random orders; a few minutes on one core."""
    data, source = _data(data, "plants")
    network = {"hidden": hidden, "dropout": 0.3}
    training = {"epochs": epochs, "batch_size": 100, "lr": 2e-3, "schedule": "cosine", "ema": 0.999}
    return mixture("plants", data, shuffles(data, members), network, training, folder, source=source)


def static_vae(data=None, *, channels=32, blocks=2, Z=40, dropout=0.0, epochs=60, samples=1000, folder=FOLDER):
    """Static binarized MNIST: a convolutional VAE, trained on the ELBO and judged by its bound of 1,000 samples.

    About 36 minutes on one core, a third of them for the bound. The validation rows are given fewer samples.
    """
    data, source = _data(data, "static_mnist")
    network = {"channels": channels, "blocks": blocks, "Z": Z, "dropout": dropout}
    training = {"epochs": epochs, "batch_size": 100, "lr": 3e-3, "schedule": "cosine", "ema": 0.999}
    with seeded(0):
        model = convolutional_vae(data.shape, **network)

    def score():
        for part, K in ("valid", 50), ("test", samples):
            x = getattr(data, part)
            elbo = -importance_bound(model, x, 1).double().mean().item()
            yield part, _score(importance_bound(model, x, K), x.shape[1]) | {"samples": K, "elbo": round(elbo, 4)}

    return single(
        "static_vae", source, data, model, data.train, {**network, "samples": samples}, training, folder, score,
        loss=lambda model, x: -model.elbo(x).mean(),
        validate=lambda model: -importance_bound(model, data.valid[:2000], 10).mean().item(),
    )  # fmt: skip


def static_transformer(
    data=None, *, k=7, width=128, layers=3, heads=4, dropout=0.0, lr=2e-3, epochs=30, rows=4000, folder=FOLDER
):
    """Static binarized MNIST, k pixels a symbol: a Transformer that one core trains in about half an hour.

    That is too short to learn all it could. On a GPU choose more, for instance
    width=256 layers=8 heads=8 dropout=0.1 lr=1e-3 epochs=100 rows=50000, which is a guess: it has not been tuned.
    """
    data, source = _data(data, "static_mnist")
    network = {"width": width, "layers": layers, "heads": heads, "dropout": dropout}
    training = {"epochs": epochs, "batch_size": 16, "lr": lr, "schedule": "cosine", "ema": 0.999}
    with seeded(0):
        model = InBlocks(Transformer(data.train.shape[1] // k, 2**k, **network), k)

    def score():
        for part in ("valid", "test"):
            x = getattr(data, part)
            yield part, _score(train.evaluate(model, x, batch_size=100), x.shape[1])

    batches, settings = (
        portions(data.train, rows=rows, batch_size=training["batch_size"]),
        {"k": k, **network, "rows_per_epoch": rows},
    )
    return single("static_transformer", source, data, model, batches, settings, training, folder, score)


def zinc_smiles(
    data=None, *, width=128, layers=3, heads=4, lr=2e-3, epochs=30, rows=10_000, samples=10_000, folder=FOLDER
):
    """ZINC's molecules as SMILES: a Transformer's likelihood, and what RDKit says to its samples; 35 minutes."""
    data, source = _data(data, "zinc_smiles")
    network = {"width": width, "layers": layers, "heads": heads}
    training = {"epochs": epochs, "batch_size": 16, "lr": lr, "schedule": "cosine", "ema": 0.999}
    with seeded(0):
        model = Transformer(*data.shape, data.levels, end=0, **network)

    def score():
        for part in ("valid", "test"):
            x = getattr(data, part)
            yield part, _text_score(train.evaluate(model, x, batch_size=100), (x != 0).sum(1) + 1)  # and the end
        yield "samples", _molecules(model, data, samples)

    batches = portions(data.train, rows=rows, batch_size=training["batch_size"])
    settings = {**network, "rows_per_epoch": rows, "samples": samples}
    return single("zinc_smiles", source, data, model, batches, settings, training, folder, score)


def mnist_uniform(data=None, *, folder=FOLDER, **options):
    """MNIST with 256 grey levels and uniform dequantization: bits per dimension of a bound."""
    data, source = _data(data, "mnist")
    return _dequantized("mnist_uniform", source, data, UniformDequantizer(), folder, **options)


def mnist_variational(data=None, *, folder=FOLDER, **options):
    """The same with variational dequantization: an inverse autoregressive flow makes the noise, given the picture."""
    data, source = _data(data, "mnist")
    D = data.train.shape[1]
    with seeded(0):
        dequantizer = VariationalDequantizer(D, data.levels, flow=iaf(D, 1, (64,), context=D))
    return _dequantized("mnist_variational", source, data, dequantizer, folder, **options)


def _dequantized(
    name, source, data, dequantizer, folder, *, channels=24, layers=4, K=5, lr=3e-3, epochs=24, rows=5000, samples=4
):
    """A causal convolution whose pixels are mixtures of logistics: a flow of one layer, trained on a bound.

    Validation and test rows are scored by that bound with one noise each, test rows also with ``samples`` of them.
    """
    network = {"channels": channels, "layers": layers, "K": K}
    training = {"epochs": epochs, "batch_size": 16, "lr": lr, "schedule": "cosine", "ema": 0.999}
    with seeded(0):
        density = PixelCNN(data.shape, channels, layers=layers, output=LogisticMixture(K, unit=1 / 16))
    model = Dequantized(density, data.levels, dequantizer)

    def score():
        parts = ("valid", data.valid[:1000], 1), ("test", data.test, 1), ("test_bound_of_samples", data.test, samples)
        for part, x, K in parts:
            bound = importance_bound(model, x, K, batch_size=100)
            yield part, _score(bound, x.shape[1]) | {"samples": K}

    batches, settings = (
        portions(data.train, rows=rows, batch_size=training["batch_size"]),
        {**network, "rows_per_epoch": rows},
    )
    return single(
        name, source, data, model, batches, settings, training, folder, score,
        loss=lambda model, x: -model.elbo(x).mean(),
        validate=lambda model: -importance_bound(model, data.valid[:500], 1, batch_size=100).mean().item(),
    )  # fmt: skip


def zinc_exact(data=None, *, rows=20_000, folder=FOLDER, **options):
    """GraphAF on ZINC250k, trained on the exact probability of Gaussians and argmax; 45 minutes on one core."""
    return _graphaf("zinc_exact", "zinc_smiles", data, folder, rows=rows, **options)


def zinc_flow(data=None, *, w=0.5, rows=20_000, folder=FOLDER, **options):
    """The same network, trained on the dequantized bound; noise of width 0.5, for 0.9 leaves no decision certain."""
    return _graphaf("zinc_flow", "zinc_smiles", data, folder, rows=rows, reading="flow", w=w, **options)


def zinc_categorical(data=None, *, rows=20_000, folder=FOLDER, **options):
    """The same network with softmax decisions."""
    return _graphaf("zinc_categorical", "zinc_smiles", data, folder, rows=rows, reading="categorical", **options)


def zinc_masked(data=None, *, rows=20_000, folder=FOLDER, **options):
    """The exact reading with valences inside the likelihood: every sample is valid."""
    return _graphaf("zinc_masked", "zinc_smiles", data, folder, rows=rows, masked=True, **options)


def qm9_exact(data=None, *, folder=FOLDER, **options):
    """GraphAF on QM9, trained on the exact probability of Gaussians and argmax; about ten minutes on one core."""
    return _graphaf("qm9_exact", "qm9", data, folder, **options)


def qm9_flow(data=None, *, w=0.5, folder=FOLDER, **options):
    """The same on the dequantized bound."""
    return _graphaf("qm9_flow", "qm9", data, folder, reading="flow", w=w, **options)


def qm9_categorical(data=None, *, folder=FOLDER, **options):
    """The same with softmax decisions."""
    return _graphaf("qm9_categorical", "qm9", data, folder, reading="categorical", **options)


def qm9_masked(data=None, *, folder=FOLDER, **options):
    """The same with valences inside the likelihood."""
    return _graphaf("qm9_masked", "qm9", data, folder, masked=True, **options)


def _graphaf(
    name, source, data, folder, *, reading="exact", w=0.9, masked=False, H=128, layers=3, lr=2e-3, epochs=24,
    rows=10_000, samples=10_000,
):  # fmt: skip
    """Nats per molecule in canonical order, and the quality of samples at T = 1 and at the T of best validation."""
    from .. import metrics, molecules  # need RDKit

    data, source = _data(data, source, datasets.load_graphs)
    network = {"A": data.A, "N": data.train.atoms.shape[1], "H": H, "layers": layers}
    network |= {"reading": reading, "w": w, "masked": masked}
    training = {"epochs": epochs, "batch_size": 32, "lr": lr, "schedule": "cosine", "ema": 0.999}
    with seeded(0):
        model = GraphAF(**network)
    generator = torch.Generator().manual_seed(0)

    def bound(model, atoms, bonds):
        return model.elbo(Graph(atoms, bonds), generator=generator)

    def nats(graph, f, model=model):  # while it trains, the averaged weights are a model of their own
        return train.evaluate(model, (graph.atoms, graph.bonds), f, batch_size=200)

    def score():
        by_temperature = {
            T: -nats(data.valid[:2000], functools.partial(_exact, temperature=T)).mean().item()
            for T in (0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15)
        }
        best = min(by_temperature, key=by_temperature.get)
        for part in "valid", "test":
            graph = getattr(data, part)
            yield part, _nats(nats(graph, _exact))
        yield "test_at_best_temperature", _nats(nats(data.test, functools.partial(_exact, temperature=best)))
        if reading != "categorical":
            yield "test_bound", _nats(nats(data.test, bound))
        yield "temperatures", {str(T): round(value, 4) for T, value in by_temperature.items()}
        known = molecules.to_smiles(data.train)
        sizes = data.test.sizes.double()
        buckets = [int(sizes.quantile(q)) for q in (0.1, 0.5, 0.9)]
        yield "data_size", {"mean": round(sizes.mean().item(), 3)}
        for label, T, check in (
            ("samples", 1.0, None), ("samples_best_temperature", best, None), ("samples_checked", 1.0, "reject"),
            ("samples_paper", 0.7, None),
        ):  # fmt: skip
            graph = model.sample(samples, temperature=T, check=check, generator=torch.Generator().manual_seed(0))
            found = metrics.quality(graph, known=known, buckets=buckets)
            yield label, {"temperature": T, "check": check, **found, "examples": molecules.to_smiles(graph[:10])}
            if label == "samples":
                yield from _shapes(graph, data.test)

    batches = portions(data.train.atoms, data.train.bonds, rows=rows, batch_size=training["batch_size"])
    settings = {**network, "rows_per_epoch": rows, "samples": samples}
    return single(
        name, source, data, model, batches, settings, training, folder, score, loss=_objective,
        validate=lambda model: -nats(data.valid[:1000], _exact, model).mean().item(),
    )  # fmt: skip


def _shapes(graph, test):
    """Pairs key, result: how samples and test molecules of as many places differ beyond the shares that are valid."""
    from .. import metrics, molecules  # need RDKit

    yield (
        "sizes",
        {
            name: (torch.bincount(part.sizes, minlength=part.atoms.shape[1] + 1) / len(part)).round(decimals=5).tolist()
            for name, part in (("samples", graph), ("data", test))
        },
    )
    valid, real = [text for text in molecules.to_smiles(graph) if text], molecules.to_smiles(test)
    if len(valid) > 1:
        yield "properties", metrics.property_distances(valid, real)
        yield "scaffolds", {"samples": metrics.scaffolds(valid), "data": metrics.scaffolds(real)}
        if importlib.util.find_spec("fcd_torch"):  # an optional package
            yield "fcd", round(metrics.fcd(valid, real), 3)


def _exact(model: GraphAF, atoms: Tensor, bonds: Tensor, temperature: float = 1.0) -> Tensor:
    return model.log_prob(Graph(atoms, bonds), temperature=temperature)


def _objective(model: GraphAF, atoms: Tensor, bonds: Tensor) -> Tensor:
    return model.objective(Graph(atoms, bonds))


def graph_readings(data=None, *, seeds=3, epochs=10, H=64, samples=5000, folder=FOLDER):
    """The price of dequantization on graphs: three readings of one network, by seeds, on the book's own molecules."""
    from .. import metrics, molecules  # need RDKit

    data, source = _data(data, "smiles", datasets.load_graphs)
    training = {"epochs": epochs, "batch_size": 64, "lr": 3e-3, "schedule": "cosine", "ema": 0.999}
    network = {"A": data.A, "N": data.train.atoms.shape[1], "H": H, "layers": 3, "w": 0.9}
    known, test, found = molecules.to_smiles(data.train), (data.test.atoms, data.test.bonds), {}

    for reading in READINGS:
        for seed in range(seeds):
            model, run = _grown(
                f"graph_readings_{reading}", data, seed, folder, training, network | {"reading": reading}
            )
            entry = {"seed": seed, "nll": -train.evaluate(model, test, _exact).mean().item()}
            if reading != "categorical":
                generator = torch.Generator().manual_seed(seed)
                with torch.no_grad():
                    entry["bound"] = -model.elbo(data.test, generator=generator).mean().item()
            drawn = model.sample(samples, generator=torch.Generator().manual_seed(seed))
            quality = metrics.quality(drawn, known=known)
            entry |= {key: quality[key]["value"] for key in ("valid", "unique", "novel", "size")}
            entry = {key: round(value, 4) for key, value in entry.items()} | {"cpu_seconds": run["cpu_seconds"]}
            found.setdefault(reading, []).append(entry)
    sizes = {"data_size": round(data.test.sizes.double().mean().item(), 3), "samples": samples}
    settings = {**network, **training}
    return model, {**_head("graph_readings"), "data": source, "settings": settings, **sizes, "readings": found}


def small_universe(*, n=6, epochs=30, H=128, folder=FOLDER):
    """Three readings of one network, trained on every molecule of at most n atoms: exact distances to the truth."""
    from .. import molecules, universe  # need RDKit

    strict, possible = (
        [text for k in range(1, n + 1) for text in universe.members(k, strict=strict)] for strict in (True, False)
    )
    graph = molecules.from_smiles(strict, A=4, N=n)
    data = datasets.Molecules(graph, graph, graph, 4)
    training = {"epochs": epochs, "batch_size": 64, "lr": 3e-3, "schedule": "cosine", "ema": 0.999}
    network, found = {"A": 4, "N": n, "H": H, "layers": 3, "w": 0.9}, {}
    for reading in READINGS:
        model, run = _grown(f"small_universe_{reading}", data, 0, folder, training, network | {"reading": reading})
        exact = universe.exact_scores(model, strict, possible=possible)
        found[reading] = {key: round(value, 5) for key, value in exact.items()} | {"cpu_seconds": run["cpu_seconds"]}
    counts = {"molecules": len(strict), "possible": len(possible)}
    return model, {**_head("small_universe"), "settings": {**network, **training}, **counts, "readings": found}


def round_trips(*, names=("smiles", "qm9", "zinc_smiles", "moses"), folder=FOLDER):
    """Text -> graphs -> text for every molecule of some sets: how many there are, and which do not come back."""
    from .. import metrics  # needs RDKit

    found = {}
    for name in names:
        A, N, _ = datasets.GRAPHS[name]
        clock, strings = _clock(), datasets.load_strings(name)
        found[name] = {"molecules": len(strings), "lost": metrics.lost(strings, A=A, N=N), **clock()}
    return None, {**_head("round_trips"), "sets": found}


def _grown(name, data, seed, folder, training, network):
    """Train one small GraphAF, or read it where it is finished -> (model, its part of the record)."""
    with seeded(seed):
        model = GraphAF(**network)

    def validate(model):
        return -train.evaluate(model, (data.valid.atoms, data.valid.bonds), _exact).mean().item()

    path = Path(folder) / f"{name}_{seed}.safetensors"
    batches = portions(data.train.atoms, data.train.bonds, rows=len(data.train), batch_size=training["batch_size"])
    return model, _trained(model, data, batches, _objective, validate, training, seed, {**network, **training}, path)


RECIPES = (
    static_mnist, made_dna, mushrooms, nltcs, plants, static_vae, static_transformer, zinc_smiles,
    mnist_uniform, mnist_variational, zinc_exact, zinc_flow, zinc_categorical, zinc_masked, qm9_exact, qm9_flow,
    qm9_categorical, qm9_masked, graph_readings, small_universe, round_trips,
)  # fmt: skip


def scans(shape: tuple[int, int]) -> list[Tensor]:
    """The eight ways to read a page (height, width) line by line: rows or columns, from each corner. Orders (D,)."""
    page = torch.arange(math.prod(shape)).view(shape)
    turns = (), (0, 1), (0,), (1,)
    return [lines.flip(turn).flatten() for turn in turns for lines in (page, page.t())]


def shuffles(data, M: int) -> Tensor:
    """M random orders (M, D) of the data's variables, always the same."""
    return random_orders(M, data.train.shape[1], generator=torch.Generator().manual_seed(0))


def nll(model: MADE, x: Tensor) -> Tensor:
    """The loss, nats: a MADE of several orders (order-agnostic) is trained in one of them, drawn anew in every step."""
    order = int(torch.randint(len(model.orders), ()))
    return -model.log_prob(x, order=order).mean()


def held_out(model: MADE, x: Tensor) -> float:
    """Mean negative log-likelihood, nats, of rows x (n, D); eight orders stand for all where there are more."""
    each = [train.evaluate(model, x, functools.partial(_under, order=m)) for m in range(min(8, len(model.orders)))]
    return float(math.log(len(each)) - torch.stack(each).logsumexp(0).mean())


@torch.no_grad()
def start_from_frequencies(model: MADE, x: Tensor) -> None:
    """Begin as independent coins with the frequencies of x (n, D): training need not learn what counting tells."""
    frequency = (x.sum(0) + 0.5) / (len(x) + 1)  # half an observation of each value: no logit is infinite
    for layer in (model.net.out, model.net.direct):
        layer.weight.zero_()
        layer.bias.zero_()
    # a network of one order numbers its outputs in that order
    model.net.out.bias.copy_((frequency if model.several else frequency[model.order]).logit())


class Residual(Described, nn.Sequential):
    """x + f(x), where f is the layers in turn."""

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


def convolutional_vae(shape: tuple[int, int], *, channels: int, blocks: int, Z: int, dropout: float) -> VAE:
    """A VAE for pages (height, width) of bits, which works on squares of 4 x 4 pixels: few places, so it is fast.

    Weights are shared between places, which on 50,000 fixed rows matters more than their number.
    """
    C, (height, width) = channels, (side // 4 for side in shape)

    def residual():
        return [Residual(nn.SiLU(), nn.Dropout(dropout), nn.Conv2d(C, C, 3, padding=1)) for _ in range(blocks)]

    encoder = nn.Sequential(
        nn.Unflatten(1, (1, *shape)), nn.PixelUnshuffle(4), nn.Conv2d(16, C, 3, padding=1), *residual(),
        nn.SiLU(), nn.Flatten(), nn.Linear(C * height * width, 2 * Z),
    )  # fmt: skip
    decoder = nn.Sequential(
        nn.Linear(Z, C * height * width), nn.Unflatten(1, (C, height, width)), *residual(),
        nn.SiLU(), nn.Conv2d(C, 16, 3, padding=1), nn.PixelShuffle(4), nn.Flatten(),
    )  # fmt: skip
    return VAE(encoder, decoder, Z)


def importance_bound(model: VAE | Dequantized, x: Tensor, K: int, *, batch_size: int | None = None) -> Tensor:
    """The bound with K samples a row, always the same ones: (n, D) -> (n,), nats. A row is computed K times.

    ``batch_size`` rows at once; as many as make about 2,000 with their samples unless given.
    """
    generator = torch.Generator().manual_seed(0)

    def bound(model, x):
        return model.importance_bound(x, K, generator=generator)

    return train.evaluate(model, x, bound, batch_size=batch_size or max(1, 2000 // K))


def portions(*tensors: Tensor, rows: int, batch_size: int) -> DataLoader:
    """Batches of some rows of tensors (n, ...), drawn anew for every epoch, where a pass through all takes too long."""
    sampler = RandomSampler(tensors[0], num_samples=min(rows, len(tensors[0])))
    return DataLoader(TensorDataset(*tensors), batch_size=batch_size, sampler=sampler)


def mixture(name: str, data, orders, network: dict, training: dict, folder: Path, *, source=None, sharpen=False):
    """Train one MADE for each entry of orders, which may hold several (M, D) -> (their Mixture, its record).

    Members of the same order are pooled (`ensembles.Pool`) before the pools are mixed. With ``sharpen`` all logits are
    multiplied by one number, chosen on the validation rows. ``source`` is what the record says about the data.
    """
    D = data.train.shape[1]
    models = []
    for m, order in enumerate(orders):
        with seeded(m):
            models.append(MADE(D, orders=order, **network))
    settings = {**network, **training, "orders_per_member": len(models[0].orders)}
    members = []
    for m, model in enumerate(models):
        start_from_frequencies(model, data.train)
        validate = functools.partial(held_out, x=data.valid)
        path = Path(folder) / f"{name}-{m}.safetensors"
        members.append(_trained(model, data, data.train, nll, validate, training, m, settings, path))
    clock = _clock()
    for part in ("valid", "test"):
        x, pools = getattr(data, part), {}  # log-likelihoods of the pool of each order, as far as members go
        for m, (member, model) in enumerate(zip(members, models, strict=True)):
            alone = train.evaluate(model, x)
            peers = [other for other in models[: m + 1] if torch.equal(other.orders, model.orders)]
            pools[str(model.orders.tolist())] = train.evaluate(Pool(peers), x) if len(peers) > 1 else alone
            so_far = torch.stack(list(pools.values())).logsumexp(0) - math.log(len(pools))
            member |= {part: _score(alone, D), f"mixture_{part}": _score(so_far, D)}
    by_order = {}
    for model in models:
        by_order.setdefault(str(model.orders.tolist()), []).append(model)

    def mixed(sharpness):
        if sharpness == 1:
            return Mixture(Pool(peers) if len(peers) > 1 else peers[0] for peers in by_order.values())
        return Mixture(Pool(peers, sharpness=sharpness) for peers in by_order.values())

    final, sharpness = mixed(1), 1
    if sharpen:
        sharpness = min(SHARPNESS, key=lambda s: -train.evaluate(mixed(s), data.valid).mean().item())
        final = mixed(sharpness)
    scores = {part: _score(train.evaluate(final, getattr(data, part)), D) for part in ("valid", "test")}
    source = source or _data(data, name)[1]
    record = _record(name, source, data, settings, models, {"sharpness": sharpness, **scores}, members, clock())
    return final.eval(), {**record, "members": members}  # a new Mixture is in training mode, with dropout


def single(name, source, data, model, batches, network, training, folder, score, *, loss=None, validate=None):
    """Train one model on data from ``source`` -> (model, its record); ``score()`` yields pairs key, result.

    The loss is the mean negative log-likelihood unless given, and so is the validation, on 1,000 rows.
    """
    loss = loss or (lambda model, x: -model.log_prob(x).mean())
    validate = validate or (lambda model: -train.evaluate(model, data.valid[:1000], batch_size=100).mean().item())
    settings, path = {**network, **training}, Path(folder) / f"{name}.safetensors"
    run = _trained(model, data, batches, loss, validate, training, 0, settings, path)
    clock = _clock()
    scores = dict(score())
    record = _record(name, source, data, settings, [model], scores, [run], clock())
    return model, {**record, "best_epoch": run["best_epoch"], "curve": run["curve"]}


def _record(name, source, data, settings, models, scores, runs, evaluation):
    """The record of trained models; runs are the trainings, evaluation the seconds that came after them."""
    rows = {part: len(getattr(data, part)) for part in ("train", "valid", "test")}
    if isinstance(data.train, Tensor):  # graphs have no fixed number of variables
        rows = {"D": data.train.shape[1], **rows}
    return {
        **_head(name),
        "data": {**source, **rows},
        "seeds": [run["seed"] for run in runs],
        "settings": settings,
        "parameters": sum(p.numel() for model in models for p in model.parameters()),
        **scores,
        **{key: round(took + sum(run[key] for run in runs), 1) for key, took in evaluation.items()},
    }


def _data(own, name, load=None):
    """Data of one's own, or else the set ``name`` -> (data, what a record says about them)."""
    if own is None:
        data, told = (load or datasets.load)(name), {"name": name, "about": datasets.about(name)}
    else:
        data, told = own, {"name": "own", "about": "given by the caller, known by their fingerprint"}
    return data, {**told, "fingerprint": _fingerprint(data)}


def _fingerprint(data) -> str:
    """A hash of all that data hold, 16 characters: the same for the same data, wherever they are from."""
    parts = [
        tensor
        for part in (data.train, data.valid, data.test)
        for tensor in ((part,) if isinstance(part, Tensor) else (part.atoms, part.bonds))
    ]
    return fingerprint(*parts).split()[-1]


def _head(name):
    """What every record begins with: how to get it, and where it comes from."""
    return {
        "name": name,
        "command": f"python -m hybridlib.recipes {name}",
        "date": datetime.date.today().isoformat(),
        "hardware": _hardware(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            # what a canonical string is depends on it
            **({"rdkit": importlib.metadata.version("rdkit")} if importlib.util.find_spec("rdkit") else {}),
            "hybridlib": __version__,
        },
    }


def _trained(model, data, batches, loss, validate, training, seed, settings, path):
    """Train one model, or read it where it is finished for the same data -> its part of the record."""
    data_key = _fingerprint(data)
    path = path.with_name(f"{path.stem}-{data_key[:8]}{path.suffix}")
    settings = json.loads(json.dumps({**settings, "rows": len(data.train), "data": data_key}))
    if path.exists():
        found = checkpoints.meta(path)
        if found["settings"] != settings:
            raise ValueError(f"{path} was trained with {found['settings']}: delete it or name another folder")
        checkpoints.load(model, path)
        return found["member"]
    clock = _clock()
    unfinished = path.with_suffix(".training")
    curve = train.fit(model, batches, loss, validate=validate, seed=seed, checkpoint=unfinished, **training)
    best = min(curve, key=lambda epoch: epoch["valid"])["epoch"]
    curve = [{key: round(value, 4) for key, value in epoch.items()} for epoch in curve]
    member = {"seed": seed, "best_epoch": best, **clock(), "curve": curve}
    checkpoints.save(model, path, settings=settings, member=member)
    unfinished.unlink()
    return member


def _molecules(model: Transformer, data, n: int) -> dict:
    """What n samples are worth: the share that is valid, and of these the shares that differ and that are new."""
    from .. import molecules  # needs RDKit, which only this recipe asks for

    generator = torch.Generator().manual_seed(0)
    batches = (model.sample(100, generator=generator) for _ in range(math.ceil(n / 100)))
    strings = [smiles for batch in batches for smiles in data.alphabet.decode(batch)]
    valid = [smiles for smiles in map(molecules.canonical, strings) if smiles]
    known = set(map(molecules.canonical, data.alphabet.decode(data.train)))
    novel = [smiles for smiles in valid if smiles not in known]
    return {
        "n": len(strings),
        "valid": _share(len(valid), len(strings)),
        "unique": _share(len(set(valid)), len(valid)),
        "novel": _share(len(novel), len(valid)),
        "examples": strings[:10],
    }


def _share(k: int, n: int) -> dict:
    """k of n as a share with its standard error."""
    share = k / max(n, 1)
    return {"share": round(share, 4), "se": round(math.sqrt(share * (1 - share) / max(n, 1)), 4)}


def _text_score(log_prob: Tensor, characters: Tensor) -> dict:
    """Log-likelihoods (n,) of strings with so many characters (n,), end counted -> nats a string and a character."""
    each = -log_prob.double().sum().item() / characters.sum().item()
    # a ratio of two means: its error is that of what is left after the length has explained its part
    left = (-log_prob.double() - each * characters).std().item() / characters.double().mean().item()
    score = _score(log_prob, 1)
    return {
        "nll": score["nll"], "se": score["se"], "nats_per_character": round(each, 5),
        "nats_per_character_se": round(left / len(log_prob) ** 0.5, 5), "characters": int(characters.sum()),
    }  # fmt: skip


def _under(model, x, order):
    return model.log_prob(x, order=order)


def _nats(log_prob: Tensor) -> dict:
    """Log-likelihoods (n,) of molecules -> mean negative log-likelihood with its standard error, nats."""
    return {key: value for key, value in _score(log_prob, 1).items() if key != "bits_per_dim"}


def _score(log_prob: Tensor, D: int) -> dict:
    """Held-out log-likelihoods (n,) -> mean negative log-likelihood with its standard error, and bits per dimension."""
    mean, se = -log_prob.double().mean().item(), log_prob.std().item() / len(log_prob) ** 0.5
    return {"nll": round(mean, 4), "se": round(se, 4), "bits_per_dim": round(mean / D / math.log(2), 5)}


def _clock():
    """-> a function that tells the seconds since now, wall and CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    return lambda: {
        "wall_seconds": round(time.perf_counter() - wall, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
    }


def _hardware() -> str:
    if train.device().type == "cuda":
        return torch.cuda.get_device_name()
    return f"{torch.get_num_threads()} thread(s) of {os.cpu_count()} CPU cores, {platform.machine()}"

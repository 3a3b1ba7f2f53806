"""Recipes for molecules: strings by a Transformer, graphs by GraphAF in three readings, text to graphs and back.

Chapters 2, 9 and 10 show them. Only running one needs RDKit.
"""

import dataclasses
import functools
import importlib.util
import math
import re
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from .. import datasets, records, train
from ..graphaf import READINGS, GraphAF
from ..graphs import ATOMS, Graph
from ..noise import seeded
from ..transformer import Transformer
from . import training
from .training import Job, portions, schedule

# the samples that a record's first numbers are about, and what they are compared with
DRAWN = {
    "temperature": 1.0, "check": None, "novel of": "different valid samples",
    "reference": "test molecules with stereo marks",
}  # fmt: skip
TEMPERATURES = 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15  # that are tried on validation rows


def string_recipe(
    job: Job, *, width: int = 128, layers: int = 3, heads: int = 4, lr: float = 2e-3, epochs: int = 30,
    rows: int = 10_000, samples: int = 10_000, seeds: int = 1,
) -> tuple[Transformer, dict]:  # fmt: skip
    """Molecules as SMILES: a Transformer's likelihood, and what RDKit says to its samples.

    >>> from hybridlib.recipes import RECIPES
    >>> RECIPES["zinc_smiles"].options()["rows"]
    10000
    """
    data = job.data
    network = {"width": width, "layers": layers, "heads": heads}

    def make():
        return Transformer(*data.shape, data.levels, end=0, **network)

    def results(model):
        for part in ("valid", "test"):
            x = getattr(data, part)
            yield part, _text_score(train.evaluate(model, x, batch_size=100), (x != 0).sum(1) + 1)  # and the end
        yield from _written(model, job, samples)

    batches = portions(data.train, rows=rows, batch_size=16)
    settings = {**network, "rows_per_epoch": rows}
    spelled = {"alphabet": f"{data.levels - 1} characters", "stereo": "spelled", "likelihood": "one spelling: a bound"}
    protocol = {"test molecules": len(data.test), **spelled, **DRAWN, "samples": samples}
    return training.single(
        job, make, batches, settings, schedule(epochs, lr, 16), results, seeds=seeds, protocol=protocol
    )


def _text_score(log_prob: Tensor, characters: Tensor) -> dict:
    """Log-likelihoods (n,) of strings with so many characters (n,), end counted -> nats a string and a character."""
    each = -log_prob.double().sum().item() / characters.sum().item()
    # a ratio of two means: its error is that of what is left after the length has explained its part
    left = (-log_prob.double() - each * characters).std().item() / characters.double().mean().item()
    return {
        **records.score(log_prob), "nats_per_character": round(each, 5),
        "nats_per_character_se": round(left / len(log_prob) ** 0.5, 5), "characters": int(characters.sum()),
    }  # fmt: skip


def _written(model: Transformer, job: Job, n: int) -> Iterator[tuple[str, object]]:
    """Pairs key, result: what n samples are worth, as of graphs, but that a string may be no molecule at all."""
    from .. import metrics  # needs RDKit

    generator, alphabet = torch.Generator().manual_seed(0), job.data.alphabet
    batches = (model.sample(100, generator=generator) for _ in range(math.ceil(n / 100)))
    strings = [smiles for batch in batches for smiles in alphabet.decode(batch)]
    known = tuple(alphabet.decode(job.data.train))
    found = metrics.moses(strings, train=known, test=(), device=None)
    shares = {key: found[key] for key in found if key in ("n", "valid", "novel") or key.startswith("unique")}
    yield "samples", {**shares, "examples": strings[:10]}
    if job.dataset:
        yield from _apart(job, strings, known[:n])


def graphaf_recipe(
    job: Job, *, reading: str = "exact", w: float = 0.9, masked: bool = False, neutral: bool = False,
    H: int = 128, layers: int = 3, lr: float = 2e-3, epochs: int = 40, rows: int = 10_000, samples: int = 10_000,
    seeds: int = 3,
) -> tuple[GraphAF, dict]:  # fmt: skip
    """GraphAF: nats per molecule in canonical order, and the quality of samples at T = 1 and the T of best validation.

    >>> from hybridlib.recipes import RECIPES
    >>> [RECIPES[name].options()["w"] for name in ("zinc_flow", "zinc_flow_narrow")]
    [0.9, 0.5]
    """
    if neutral:
        job = dataclasses.replace(job, data=_neutral(job.data))
    data = job.data
    network = {"A": data.A, "N": data.train.atoms.shape[1], "H": H, "layers": layers}
    network |= {"reading": reading, "w": w, "masked": masked}
    return training.single(
        job, functools.partial(GraphAF, **network),
        portions(data.train.atoms, data.train.bonds, rows=rows, batch_size=32),
        {**network, "rows_per_epoch": rows}, schedule(epochs, lr, 32),
        functools.partial(_judged, job=job, samples=samples), seeds=seeds, loss=_objective,
        protocol={
            "test molecules": len(data.test), "stereo": "dropped",
            "alphabet": f"{_kinds(data.A, neutral)} atom types" + ", charges dropped" * neutral,
            "likelihood": "one order: a bound",
            "reading": reading, "w": w if reading == "flow" else None, "masked": masked, **DRAWN, "samples": samples,
        },
        # while it trains, the averaged weights are a model of their own
        validate=lambda model: -_nats(model, data.valid[:1000], _exact).mean().item(),
    )  # fmt: skip


def _neutral(data: datasets.Molecules) -> datasets.Molecules:
    """The same molecules with every charged atom as its neutral element: what most of the literature is trained on."""
    element = torch.tensor([ATOMS.index(kind.rstrip("+-")) for kind in ATOMS])
    parts = (
        Graph(element[part.atoms.long()].to(part.atoms), part.bonds) for part in (data.train, data.valid, data.test)
    )
    return datasets.Molecules(*parts, A=max(ATOMS.index(kind.rstrip("+-")) for kind in ATOMS[: data.A + 1]))


def _kinds(A: int, neutral: bool) -> int:
    """Of the first A atom types, how many a training without charges can meet."""
    return len({kind.rstrip("+-") if neutral else kind for kind in ATOMS[1 : A + 1]})


def _judged(model: GraphAF, job: Job, samples: int) -> Iterator[tuple[str, object]]:
    """Pairs key, result: nats of validation and test molecules, then samples under four conditions."""
    from .. import metrics, molecules  # need RDKit

    data = job.data

    def at(T):
        return functools.partial(_exact, temperature=T)

    by_temperature = {T: -_nats(model, data.valid[:2000], at(T)).mean().item() for T in TEMPERATURES}
    best = min(by_temperature, key=by_temperature.get)
    for part in "valid", "test":
        yield part, records.score(_nats(model, getattr(data, part), _exact))
    yield "test_at_best_temperature", records.score(_nats(model, data.test, at(best)))
    if model.reading != "categorical":
        bound = functools.partial(_dequantized, generator=torch.Generator().manual_seed(0))
        yield "test_bound", records.score(_nats(model, data.test, bound))
    yield "temperatures", {str(T): round(value, 4) for T, value in by_temperature.items()}
    known = _spelled(job, "train")
    sizes = data.test.sizes.double()
    buckets = [int(sizes.quantile(q)) for q in (0.1, 0.5, 0.9)]
    yield "data_size", {"mean": round(sizes.mean().item(), 3)}
    drawn = {}
    for label, T, check in (
        ("samples", 1.0, None), ("samples_best_temperature", best, None), ("samples_checked", 1.0, "reject"),
        ("samples_paper", 0.7, None),
    ):  # fmt: skip
        if (T, check) not in drawn:  # the best temperature may be 1
            graph = model.sample(samples, temperature=T, check=check, generator=torch.Generator().manual_seed(0))
            found = metrics.quality(graph, known=known, buckets=buckets)
            drawn[T, check] = {"temperature": T, "check": check, **found, "examples": molecules.to_smiles(graph[:10])}
        yield label, drawn[T, check]
        if label == "samples":
            yield "sizes", {name: _sizes(part) for name, part in (("samples", graph), ("data", data.test))}
            yield from _apart(job, molecules.to_smiles(graph), molecules.to_smiles(data.train[:samples]))


def _sizes(graph: Graph) -> list[float]:
    return [round(k / len(graph), 5) for k in torch.bincount(graph.sizes, minlength=graph.atoms.shape[1] + 1).tolist()]


def _spelled(job: Job, part: str) -> tuple[str, ...]:
    """A part of the data as text: of a set by name as its file spells it, all of it, also what no training saw."""
    from .. import molecules  # needs RDKit

    if job.dataset:
        return tuple(datasets.load_strings(job.dataset, part))
    return tuple(filter(None, molecules.to_smiles(getattr(job.data, part))))


def _apart(job: Job, smiles: list[str | None], real: Sequence[str | None]) -> Iterator[tuple[str, object]]:
    """Pairs key, result: how far samples are from the test molecules, and real training molecules, the floor.

    The test molecules are as their file spells them, with stereochemistry: the protocol of the literature. The real
    ones are as the model could draw them: a graph drops the stereochemistry, and an alphabet without charges the
    validity of some.
    """
    from .. import metrics, molecules  # need RDKit

    valid, real_valid = (
        tuple(text for text in map(molecules.canonical, filter(None, part)) if text) for part in (smiles, real)
    )
    if len(valid) < 2:
        return
    test = _spelled(job, "test")
    yield "properties", metrics.property_distances(valid, test)
    yield "distribution", _distances(valid, test, job.dataset)
    yield "floor", {"valid": round(len(real_valid) / len(real), 5), **_distances(real_valid, test, job.dataset)}
    yield "strings", [text or "" for text in smiles]


@functools.lru_cache(maxsize=2)  # the floor is that of all seeds
def _distances(smiles: tuple[str, ...], test: tuple[str, ...], dataset: str | None) -> dict[str, float]:
    """The metrics of MOSES that compare with test molecules, and NSPDK; FCD where its package is installed."""
    from .. import metrics  # needs RDKit

    scaffolds = datasets.load_strings("moses", "test_scaffolds") if dataset == "moses" else ()
    device = str(train.device()) if importlib.util.find_spec("fcd_torch") else None
    found = metrics.moses(smiles, train=(), test=test, scaffolds=scaffolds, device=device)
    found = {key: value for key, value in found.items() if isinstance(value, float) or key == "Filters"}
    found["NSPDK"] = metrics.nspdk(smiles, test[:10_000])
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in found.items()}


def _exact(model: GraphAF, atoms: Tensor, bonds: Tensor, temperature: float = 1.0) -> Tensor:
    return model.log_prob(Graph(atoms, bonds), temperature=temperature)


def _objective(model: GraphAF, atoms: Tensor, bonds: Tensor) -> Tensor:
    return model.objective(Graph(atoms, bonds))


def _nats(model: GraphAF, graph: Graph, f) -> Tensor:
    return train.evaluate(model, (graph.atoms, graph.bonds), f, batch_size=200)


def _dequantized(model: GraphAF, atoms: Tensor, bonds: Tensor, generator: torch.Generator) -> Tensor:
    return model.elbo(Graph(atoms, bonds), generator=generator)


def _grown(job: Job, reading: str, seed: int, network: dict, how: dict) -> tuple[GraphAF, dict]:
    """Train one small GraphAF, or read it where it is finished -> (model, its part of the record)."""
    data, network = job.data, network | {"reading": reading}
    with seeded(seed):
        model = GraphAF(**network)

    def validate(model):
        return -train.evaluate(model, (data.valid.atoms, data.valid.bonds), _exact).mean().item()

    batches = portions(data.train.atoms, data.train.bonds, rows=len(data.train), batch_size=how["batch_size"])
    run = training.trained(
        job, model, batches, {**network, **how}, how, loss=_objective, validate=validate, seed=seed,
        label=f"_{reading}_{seed}",
    )  # fmt: skip
    return model, run


def graph_readings(
    job: Job, *, seeds: int = 3, epochs: int = 10, H: int = 64, samples: int = 5000
) -> tuple[GraphAF, dict]:
    """The price of dequantization on graphs: three readings of one network, by seeds, on the book's own molecules.

    >>> from hybridlib.recipes import RECIPES
    >>> RECIPES["graph_readings"].options()["seeds"]
    3
    """
    from .. import metrics, molecules  # need RDKit

    data, how = job.data, schedule(epochs, 3e-3, 64)
    network = {"A": data.A, "N": data.train.atoms.shape[1], "H": H, "layers": 3, "w": 0.9}
    known, test, found = molecules.to_smiles(data.train), (data.test.atoms, data.test.bonds), {}
    for reading in READINGS:
        for seed in range(seeds):
            model, run = _grown(job, reading, seed, network, how)
            entry = {"seed": seed, "nll": -train.evaluate(model, test, _exact).mean().item()}
            if reading != "categorical":
                with torch.no_grad():
                    bound = model.elbo(data.test, generator=torch.Generator().manual_seed(seed))
                entry["bound"] = -bound.mean().item()
            drawn = model.sample(samples, generator=torch.Generator().manual_seed(seed))
            quality = metrics.quality(drawn, known=known)
            entry |= {key: quality[key]["value"] for key in ("valid", "unique", "novel", "size")}
            entry = {key: round(value, 4) for key, value in entry.items()} | {"cpu_seconds": run["cpu_seconds"]}
            found.setdefault(reading, []).append(entry)
    sizes = {"data_size": round(data.test.sizes.double().mean().item(), 3), "samples": samples}
    record = {**job.head(), "data": job.source(), "settings": {**network, **how}, **sizes, "readings": found}
    return model, record


def small_universe(job: Job, *, n: int = 6, epochs: int = 30, H: int = 128) -> tuple[GraphAF, dict]:
    """Three readings of one network, trained on every molecule of at most n atoms: exact distances to the truth.

    >>> from hybridlib.recipes import RECIPES
    >>> RECIPES["small_universe"].options()["n"]
    6
    """
    from .. import molecules, universe  # need RDKit

    strict, possible = (
        [text for k in range(1, n + 1) for text in universe.members(k, strict=strict)] for strict in (True, False)
    )
    graph = molecules.from_smiles(strict, A=4, N=n)
    job = dataclasses.replace(job, data=datasets.Molecules(graph, graph, graph, 4))
    network, how, found = {"A": 4, "N": n, "H": H, "layers": 3, "w": 0.9}, schedule(epochs, 3e-3, 64), {}
    for reading in READINGS:
        model, run = _grown(job, reading, 0, network, how)
        exact = universe.exact_scores(model, strict, possible=possible)
        found[reading] = {key: round(value, 5) for key, value in exact.items()} | {"cpu_seconds": run["cpu_seconds"]}
    counts = {"molecules": len(strict), "possible": len(possible)}
    return model, {**job.head(), "settings": {**network, **how}, **counts, "readings": found}


def round_trips(job: Job, *, names: tuple[str, ...] = ("smiles", "qm9", "zinc_smiles", "moses")) -> tuple[None, dict]:
    """Text -> graphs -> text for every molecule of some sets: how many there are, and which do not come back.

    Beside them how many strings hold what graphs drop (marks of stereochemistry) and what many papers drop (charges).

    >>> from hybridlib.recipes import RECIPES
    >>> RECIPES["round_trips"].options()["names"]
    ('smiles', 'qm9', 'zinc_smiles', 'moses')
    """
    from .. import metrics  # needs RDKit

    found = {}
    for name in names:
        A, N, _ = datasets.GRAPHS[name]
        clock, strings = records.clock(), datasets.load_strings(name)
        stereo = sum(any(mark in text for mark in "@/\\") for text in strings)
        charged = sum(re.search(r"[+-]\d*\]", text) is not None for text in strings)
        lost = metrics.lost(strings, A=A, N=N)
        found[name] = {"molecules": len(strings), "stereo": stereo, "charged": charged, "lost": lost, **clock()}
    return None, {**job.head(), "sets": found}

"""One function per published result: data, networks, training, held-out likelihood, and a record of all of it.

    python -m hybridlib.recipes static_mnist      # from the repository's root; an interrupted run goes on where it was

A recipe returns the trained mixture and its record; the command also writes the record to
hybridlib/results/NAME.json, whose layout benchmarks/README.md explains, and `published` reads it. Chapter 5 shows the
records beside the table of Germain et al. (2015), arXiv:1502.03509. Weights and settings are chosen on the
validation rows.
"""

import datetime
import functools
import json
import math
import os
import platform
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from . import __version__, datasets, train
from .made import MADE, Mixture, Pool, random_orders

FOLDER = Path(".cache/recipes")  # finished members and the state of the one in training
SHARPNESS = 1, 1.02, 1.04, 1.06, 1.08, 1.1  # factors on all logits that are tried on validation rows
RESULTS = Path(__file__).parent / "results"  # in the package, so that chapters have them wherever they run


def static_mnist(data=None, *, hidden=(800, 800), epochs=24, reads=(0, 1, 2, 0, 3, 4), folder=FOLDER):
    """Static binarized MNIST: a mixture of MADEs that read the page in five ways; about an hour on one core.

    The first way has two networks, which are pooled: another order helps more than another network of the same order.
    """
    data = data or datasets.load("static_mnist")
    network = {"hidden": hidden, "residual": True, "dropout": 0.2}
    training = {"epochs": epochs, "batch_size": 100, "lr": 1e-3, "schedule": "cosine", "ema": 0.999}
    pages = readings(data.shape)
    return mixture("static_mnist", data, [pages[way] for way in reads], network, training, folder, sharpen=True)


def made_dna(data=None, *, hidden=(500,), epochs=450, masks=256, folder=FOLDER):
    """DNA, the MADE paper's split: one network under 256 masks, a mixture of all of them; a few minutes on one core."""
    data = data or datasets.load("made_dna")
    network = {"hidden": hidden, "connectivity": True, "dropout": 0.4}
    training = {"epochs": epochs, "batch_size": 100, "lr": 5e-3, "schedule": "cosine", "ema": 0.999}
    return mixture("made_dna", data, [shuffles(data, masks)], network, training, folder)


def mushrooms(data=None, *, hidden=(500,), epochs=100, members=8, folder=FOLDER):
    """Mushrooms, the MADE paper's split: a mixture of eight random orders; a minute or two on one core."""
    data = data or datasets.load("mushrooms")
    network = {"hidden": hidden, "dropout": 0.3}
    training = {"epochs": epochs, "batch_size": 100, "lr": 5e-3, "schedule": "cosine", "ema": 0.999}
    return mixture("mushrooms", data, shuffles(data, members), network, training, folder)


def nltcs(data=None, *, hidden=(200,), epochs=30, members=8, folder=FOLDER):
    """NLTCS: a mixture of eight random orders; a minute or two on one core."""
    data = data or datasets.load("nltcs")
    network = {"hidden": hidden, "dropout": 0.3}
    training = {"epochs": epochs, "batch_size": 100, "lr": 5e-3, "schedule": "cosine", "ema": 0.999}
    return mixture("nltcs", data, shuffles(data, members), network, training, folder)


def plants(data=None, *, hidden=(500,), epochs=60, members=4, folder=FOLDER):
    """Plants: a mixture of four random orders; a few minutes on one core."""
    data = data or datasets.load("plants")
    network = {"hidden": hidden, "dropout": 0.3}
    training = {"epochs": epochs, "batch_size": 100, "lr": 2e-3, "schedule": "cosine", "ema": 0.999}
    return mixture("plants", data, shuffles(data, members), network, training, folder)


RECIPES = (static_mnist, made_dna, mushrooms, nltcs, plants)


def published(name: str) -> dict:
    """The record of a recipe, or of the benchmark "made_speed", that came with this version of the library."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        known = sorted(found.stem for found in RESULTS.glob("*.json"))
        raise ValueError(f"there is no record {name!r}; there are {', '.join(known)}")
    return json.loads(path.read_text())


def readings(shape: tuple[int, int]) -> list[Tensor]:
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


def mixture(name: str, data, orders, network: dict, training: dict, folder: Path, *, sharpen: bool = False):
    """Train one MADE for each entry of orders, which may hold several (M, D) -> (their Mixture, its record).

    Members of the same order are pooled (``made.Pool``) before the pools are mixed. With ``sharpen`` all logits are
    multiplied by one number, chosen on the validation rows.
    """
    D = data.train.shape[1]
    models = [MADE(D, orders=order, seed=m, **network) for m, order in enumerate(orders)]
    settings = {**network, **training, "orders_per_member": len(models[0].orders)}
    members = [
        _member(model, data, training, m, settings, Path(folder) / f"{name}-{m}.safetensors")
        for m, model in enumerate(models)
    ]
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
    evaluation = clock()
    rows = {part: len(getattr(data, part)) for part in ("train", "valid", "test")}
    record = {
        "name": name,
        "command": f"python -m hybridlib.recipes {name}",
        "date": datetime.date.today().isoformat(),
        "hardware": _hardware(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "hybridlib": __version__},
        "data": {"name": name, "about": datasets.about(name), "D": D, **rows},
        "seeds": [member["seed"] for member in members],
        "settings": settings,
        "parameters": sum(p.numel() for model in models for p in model.parameters()),
        "sharpness": sharpness,
        **scores,
        **{key: round(took + sum(member[key] for member in members), 1) for key, took in evaluation.items()},
        "members": members,
    }
    return final.eval(), record  # a new Mixture is in training mode, with dropout


def _member(model, data, training, seed, settings, path):
    """Train one model, or read it where it is finished -> its part of the record."""
    settings = json.loads(json.dumps({**settings, "rows": len(data.train)}))
    if path.exists():
        found = train.load(model, path)
        if found["settings"] != settings:
            raise ValueError(f"{path} was trained with {found['settings']}: delete it or name another folder")
        return found["member"]
    clock = _clock()
    start_from_frequencies(model, data.train)
    unfinished = path.with_suffix(".training")
    validate = functools.partial(held_out, x=data.valid)
    curve = train.fit(model, data.train, nll, validate=validate, seed=seed, checkpoint=unfinished, **training)
    best = min(curve, key=lambda epoch: epoch["valid"])["epoch"]
    curve = [{key: round(value, 4) for key, value in epoch.items()} for epoch in curve]
    member = {"seed": seed, "best_epoch": best, **clock(), "curve": curve}
    train.save(model, path, settings=settings, member=member)
    unfinished.unlink()
    return member


def _under(model, x, order):
    return model.log_prob(x, order=order)


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


def main(name: str = "", folder: str = str(FOLDER)) -> None:
    """Run one recipe and write its record to hybridlib/results/NAME.json."""
    recipes = {recipe.__name__: recipe for recipe in RECIPES}
    if name not in recipes:
        raise SystemExit(f"there is no recipe {name!r}; choose one of {', '.join(recipes)}")
    _, record = recipes[name](folder=folder)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    test = record["test"]
    print(f"{name}: test {test['nll']:.3f} +- {test['se']:.3f} nats, {test['bits_per_dim']:.4f} bits/dim; wrote {path}")


if __name__ == "__main__":
    main(*sys.argv[1:])

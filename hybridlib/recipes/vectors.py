"""Recipes for bit vectors and pictures: mixtures of MADEs, a VAE, a Transformer, dequantized grey levels.

Chapters 2 and 3 show the Transformer and the VAE, chapter 5 the mixtures beside the table of Germain et al. (2015),
arXiv:1502.03509, chapter 8 the grey levels. Weights and settings are chosen on the validation rows.
"""

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .. import records, train
from ..datasets import Data
from ..dequantization import Dequantized, DequantizedLevels, Levels, UniformDequantizer, VariationalDequantizer
from ..described import Described
from ..ensembles import Mixture, Pool
from ..flows import iaf
from ..made import MADE, random_orders, start_from_frequencies
from ..noise import seeded
from ..outputs import LogisticMixture
from ..pixelcnn import PixelCNN
from ..transformer import InBlocks, Transformer
from ..vae import VAE
from . import training
from .training import Job, portions, schedule

SHARPNESS = 1, 1.02, 1.04, 1.06, 1.08, 1.1  # factors on all logits that are tried on validation rows


ONE_ORDER = {"likelihood": "exact", "orders": "one order", "networks": 1, "chosen on": "validation rows"}


def mixture_recipe(
    job: Job, *, hidden: tuple[int, ...] = (500,), epochs: int, lr: float = 5e-3, dropout: float = 0.3,
    residual: bool = False, connectivity: bool = False, members: int = 8, masks: int = 1, reads: tuple[int, ...] = (),
    sharpen: bool = False,
) -> tuple[Mixture, dict]:  # fmt: skip
    """A mixture of MADEs, each with ``masks`` random orders, or one for every way to read a page in ``reads``.

    Members of the same order are pooled (`ensembles.Pool`) before the pools are mixed. With ``sharpen`` all logits are
    multiplied by one number, chosen on the validation rows.

    >>> from hybridlib.recipes import RECIPES
    >>> RECIPES["made_dna"].settings["masks"]
    256
    """
    data = job.data
    switches = {"residual": residual, "connectivity": connectivity}
    network = {"hidden": hidden, **{name: on for name, on in switches.items() if on}, "dropout": dropout}
    how = schedule(epochs, lr, 100)
    if reads:
        pages = scans(data.shape)
        orders = [pages[way] for way in reads]
    else:
        orders = shuffles(data, members * masks).unflatten(0, (members, masks)).squeeze(1)
    models, runs = [], []
    for m, order in enumerate(orders):
        with seeded(m):
            models.append(MADE(data.train.shape[1], orders=order, **network))
    settings = {**network, **how, "orders_per_member": len(models[0].orders)}
    for m, model in enumerate(models):
        start_from_frequencies(model, data.train)
        run = training.trained(
            job, model, data.train, settings, how, loss=nll_of_an_order,
            validate=functools.partial(held_out, x=data.valid), seed=m, label=f"-{m}",
        )  # fmt: skip
        runs.append(run)
    clock = records.clock()
    progress = _progress(models, data)
    final, sharpness = _mixed(models, data if sharpen else None)
    scores = {part: _score(final, getattr(data, part)) for part in ("valid", "test")}
    orders = f"{len({*reads})} ways to read the page" if reads else f"{members * masks} random orders"
    # what was settled with smaller mixtures' test results in view is said, not only what the validation rows chose
    chosen = "validation rows" + (", members and sharpness with test rows in view" if sharpen else "")
    protocol = {"likelihood": "exact", "orders": orders, "networks": len(models), "chosen on": chosen, "seeds": 1}
    record = training.record_of(job, settings, models, {"sharpness": sharpness, **scores}, runs, clock(), protocol)
    # a new Mixture is in training mode, with dropout
    return final.eval(), {**record, "members": [run | scores for run, scores in zip(runs, progress, strict=True)]}


def _score(model: nn.Module, x: Tensor) -> dict:
    return records.score(train.evaluate(model, x), x.shape[1])


def _progress(models: list[MADE], data: Data) -> list[dict]:
    """For each member, what it reaches alone, and the mixture so far, up to and with it."""
    found = [{} for _ in models]
    for part in ("valid", "test"):
        x, pools = getattr(data, part), {}  # log-likelihoods of the pool of each order, as far as members go
        for m, (entry, model) in enumerate(zip(found, models, strict=True)):
            alone = train.evaluate(model, x)
            peers = [other for other in models[: m + 1] if torch.equal(other.orders, model.orders)]
            pools[str(model.orders.tolist())] = train.evaluate(Pool(peers), x) if len(peers) > 1 else alone
            so_far = torch.stack(list(pools.values())).logsumexp(0) - math.log(len(pools))
            entry |= {part: records.score(alone, data.train.shape[1])}
            entry |= {f"mixture_{part}": records.score(so_far, data.train.shape[1])}
    return found


def _mixed(models: list[MADE], data: Data | None) -> tuple[Mixture, float]:
    """The mixture of the pools of each order, and its sharpness: 1, or that of the best validation on given data."""
    by_order = {}
    for model in models:
        by_order.setdefault(str(model.orders.tolist()), []).append(model)

    def mixed(sharpness):
        if sharpness == 1:
            return Mixture(Pool(peers) if len(peers) > 1 else peers[0] for peers in by_order.values())
        return Mixture(Pool(peers, sharpness=sharpness) for peers in by_order.values())

    if data is None:
        return mixed(1), 1
    sharpness = min(SHARPNESS, key=lambda s: -train.evaluate(mixed(s), data.valid).mean().item())
    return mixed(sharpness), sharpness


def averaged_logits(
    job: Job, *, hidden: tuple[int, ...] = (500,), masks: int = 10, epochs: int = 50, lr: float = 2e-3,
    samples: int = 20_000,
) -> tuple[MADE, dict]:  # fmt: skip
    """What an average of logits over random orders claims, beside the mixture of the same orders and one order alone.

    Two networks: one of a single order, and one that serves ``masks`` orders, each with its own deal of degrees, as in
    Karpathy's pytorch-made. The sum over all states of f, what the averaged logits claim, is the mean of f(x) / p(x)
    over pictures x of the mixture p. ``samples`` of these estimate it without bias, so that the sum is below a
    twentieth of the estimate with probability at most 1/20 (Markov's inequality).

    >>> from hybridlib.recipes import RECIPES
    >>> RECIPES["averaged_logits"].options()["masks"]
    10
    """
    data, how = job.data, schedule(epochs, lr, 100)
    network = {"hidden": hidden, "direct": False, "connectivity": True}
    settings, models, runs = {**network, "masks": masks, **how}, [], []
    for m, orders in enumerate((shuffles(data, 1), shuffles(data, masks))):
        with seeded(m):
            models.append(MADE(data.train.shape[1], orders=orders, **network))
        run = training.trained(
            job, models[m], data.train, settings, how, loss=nll_of_an_order,
            validate=functools.partial(held_out, x=data.valid[:1000]), seed=m, label=f"-{len(orders)}",
        )  # fmt: skip
        runs.append(run)
    clock = records.clock()
    alone, many = models
    scores = {}
    for part in ("valid", "test"):
        x = getattr(data, part)
        each = [train.evaluate(many, x, functools.partial(_under, order=m)).mean().item() for m in range(masks)]
        scores[f"one_order_{part}"] = _score(alone, x)
        scores[f"each_order_{part}"] = [round(-nats, 4) for nats in each]
        scores[f"claimed_{part}"] = records.score(train.evaluate(many, x, log_of_averaged_logits), x.shape[1])
        scores[part] = _score(many, x)
    drawn = many.sample(samples, generator=torch.Generator().manual_seed(0))
    excess = train.evaluate(many, drawn, log_of_averaged_logits) - train.evaluate(many, drawn)
    estimate = excess.double().logsumexp(0).item() - math.log(samples)
    least = round(estimate - math.log(20), 4)
    scores["log_sum"] = {"nats": round(estimate, 4), "at_least": least, "confidence": 0.95, "samples": samples}
    protocol = {**ONE_ORDER, "orders": f"1 and {masks} random orders", "networks": 2, "seeds": 1}
    return many, {**training.record_of(job, settings, models, scores, runs, clock(), protocol), "members": runs}


def log_of_averaged_logits(model: MADE, x: Tensor) -> Tensor:
    """What pytorch-made reports: the logits averaged over all orders, taken for conditionals. No distribution.

    (B, D) -> (B,).

    >>> log_of_averaged_logits(MADE(3, orders=[[0, 1, 2], [2, 0, 1]]), torch.ones(5, 3)).shape
    torch.Size([5])
    """
    theta = torch.stack([model.theta(x, order=m) for m in range(len(model.orders))]).mean(0)
    return model.output.distribution(theta).log_prob(x).sum(-1)


def scans(shape: tuple[int, int]) -> list[Tensor]:
    """The eight ways to read a page (height, width) line by line: rows or columns, from each corner. Orders (D,).

    >>> scans((3, 2))[1]  # column by column
    tensor([0, 2, 4, 1, 3, 5])
    """
    page = torch.arange(math.prod(shape)).view(shape)
    turns = (), (0, 1), (0,), (1,)
    return [lines.flip(turn).flatten() for turn in turns for lines in (page, page.t())]


def shuffles(data: Data, M: int) -> Tensor:
    """M random orders (M, D) of the data's variables, always the same.

    >>> from hybridlib import datasets
    >>> shuffles(datasets.load("digits"), 3).shape
    torch.Size([3, 64])
    """
    return random_orders(M, data.train.shape[1], generator=torch.Generator().manual_seed(0))


def nll_of_an_order(model: MADE, x: Tensor) -> Tensor:
    """The loss, nats: a MADE of several orders (order-agnostic) is trained in one of them, drawn anew in every step.

    >>> nll_of_an_order(MADE(3, (4,)), torch.ones(5, 3)).shape
    torch.Size([])
    """
    order = int(torch.randint(len(model.orders), ()))
    return -model.log_prob(x, order=order).mean()


def held_out(model: MADE, x: Tensor) -> float:
    """Mean negative log-likelihood, nats, of rows x (n, D); eight orders stand for all where there are more.

    >>> start_from_frequencies(model := MADE(4, (8,)), torch.tensor([[0.0] * 4, [1.0] * 4]))
    >>> round(held_out(model, torch.ones(5, 4)), 4)  # four fair coins
    2.7726
    """
    each = [train.evaluate(model, x, functools.partial(_under, order=m)) for m in range(min(8, len(model.orders)))]
    return float(math.log(len(each)) - torch.stack(each).logsumexp(0).mean())


def _under(model, x, order):
    return model.log_prob(x, order=order)


class Residual(Described, nn.Sequential):
    """x + f(x), where f is the layers in turn.

    >>> Residual(nn.Identity())(torch.ones(2))
    tensor([2., 2.])
    """

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


def convolutional_vae(shape: tuple[int, int], *, channels: int, blocks: int, Z: int, dropout: float) -> VAE:
    """A VAE for pages (height, width) of bits, which works on squares of 4 x 4 pixels: few places, so it is fast.

    Weights are shared between places, which on 50,000 fixed rows matters more than their number.

    >>> convolutional_vae((8, 8), channels=2, blocks=1, Z=3, dropout=0.0).sample(5).shape
    torch.Size([5, 64])
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


def _bound(model: VAE | Dequantized, x: Tensor, K: int, *, batch_size: int | None = None) -> Tensor:
    """The bound with K samples a row, always the same ones: (n, D) -> (n,), nats. A row is computed K times.

    ``batch_size`` rows at once; as many as make about 2,000 with their samples unless given.
    """
    generator = torch.Generator().manual_seed(0)

    def bound(model, x):
        return model.importance_bound(x, K, generator=generator)

    return train.evaluate(model, x, bound, batch_size=batch_size or max(1, 2000 // K))


def _negative_elbo(model, x):
    return -model.elbo(x).mean()


def vae_recipe(
    job: Job, *, channels: int = 32, blocks: int = 2, Z: int = 40, dropout: float = 0.0, lr: float = 3e-3,
    epochs: int = 60, samples: int = 1000,
) -> tuple[VAE, dict]:  # fmt: skip
    """A convolutional VAE, trained on the ELBO and judged by its bound of ``samples`` samples.

    A third of the time goes into the bound. The validation rows are given fewer samples.

    >>> from hybridlib.recipes import RECIPES
    >>> RECIPES["static_vae"].options()["Z"]
    40
    """
    network = {"channels": channels, "blocks": blocks, "Z": Z, "dropout": dropout}

    def results(model):
        for part, K in ("valid", 50), ("test", samples):
            x = getattr(job.data, part)
            elbo = -_bound(model, x, 1).double().mean().item()
            yield part, records.score(_bound(model, x, K), x.shape[1]) | {"samples": K, "elbo": round(elbo, 4)}

    make = functools.partial(convolutional_vae, job.data.shape, **network)
    return training.single(
        job, make, job.data.train, {**network, "samples": samples}, schedule(epochs, lr, 100), results,
        protocol={**ONE_ORDER, "likelihood": f"a bound, {samples} samples", "orders": None}, loss=_negative_elbo,
        validate=lambda model: -_bound(model, job.data.valid[:2000], 10).mean().item(),
    )  # fmt: skip


def transformer_recipe(
    job: Job, *, k: int = 7, width: int = 128, layers: int = 3, heads: int = 4, dropout: float = 0.0, lr: float = 2e-3,
    epochs: int = 30, rows: int = 4000,
) -> tuple[InBlocks, dict]:  # fmt: skip
    """A Transformer with k pixels a symbol, trained on ``rows`` rows an epoch: too short to learn all it could.

    On a GPU choose more, for instance --width 256 --layers 8 --heads 8 --dropout 0.1 --lr 1e-3 --epochs 100
    --rows 50000, which is a guess: it has not been tuned.

    >>> from hybridlib.recipes import RECIPES
    >>> RECIPES["static_transformer"].options()["k"]
    7
    """
    network = {"width": width, "layers": layers, "heads": heads, "dropout": dropout}

    def make():
        return InBlocks(Transformer(job.data.train.shape[1] // k, 2**k, **network), k)

    def results(model):
        for part in ("valid", "test"):
            x = getattr(job.data, part)
            yield part, records.score(train.evaluate(model, x, batch_size=100), x.shape[1])

    batches = portions(job.data.train, rows=rows, batch_size=16)
    settings = {"k": k, **network, "rows_per_epoch": rows}
    return training.single(job, make, batches, settings, schedule(epochs, lr, 16), results, protocol=ONE_ORDER)


def dequantized_recipe(
    noise: Callable[[Data], nn.Module], job: Job, *, channels: int = 24, layers: int = 4, K: int = 5, box: bool = False,
    lr: float = 3e-3, epochs: int = 24, rows: int = 5000, samples: int = 4,
) -> tuple[Dequantized, dict]:  # fmt: skip
    """A causal convolution whose pixels are mixtures of logistics: a flow of one layer, trained on a bound.

    Validation and test rows are scored by that bound with one noise each, test rows also with ``samples`` of them. With
    ``box`` the mixtures have a part that is flat on the cell of level 0, the network sees levels without their noise,
    and the record holds the exact likelihood beside its bound.

    >>> from hybridlib.recipes import RECIPES
    >>> RECIPES["mnist_uniform"].options()["K"]
    5
    """
    data = job.data
    network = {"channels": channels, "layers": layers, "K": K}

    def make():
        dequantizer = noise(data)
        output = Levels(data.levels, K, box=True) if box else LogisticMixture(K, unit=1 / 16)
        density = PixelCNN(data.shape, channels, layers=layers, output=output)
        return (DequantizedLevels if box else Dequantized)(density, data.levels, dequantizer)

    def results(model):
        parts = ("valid", data.valid[:1000], 1), ("test", data.test, 1), ("test_bound_of_samples", data.test, samples)
        for part, x, K in parts:
            yield part, records.score(_bound(model, x, K, batch_size=100), x.shape[1]) | {"samples": K}
        if box:
            exact = train.evaluate(model, data.test, batch_size=100)
            yield "test_exact", records.score(exact, data.test.shape[1])

    settings = {**network, **({"box": True} if box else {}), "rows_per_epoch": rows}
    return training.single(
        job, make, portions(data.train, rows=rows, batch_size=16), settings, schedule(epochs, lr, 16), results,
        loss=_negative_elbo,
        protocol={
            **ONE_ORDER, "likelihood": "a bound, 1 sample", "noise": noise.__name__.removesuffix("_noise"),
            **({"density": "with a box"} if box else {}),
        },
        validate=lambda model: -_bound(model, data.valid[:500], 1, batch_size=100).mean().item(),
    )  # fmt: skip


def uniform_noise(data: Data) -> UniformDequantizer:
    """Noise that is uniform in every cell.

    >>> from hybridlib import datasets
    >>> type(uniform_noise(datasets.load("digits"))).__name__
    'UniformDequantizer'
    """
    return UniformDequantizer()


def variational_noise(data: Data) -> VariationalDequantizer:
    """Noise that an inverse autoregressive flow makes, given the picture.

    >>> from hybridlib import datasets
    >>> type(variational_noise(datasets.load("digits"))).__name__
    'VariationalDequantizer'
    """
    D = data.train.shape[1]
    with seeded(0):
        flow = iaf(D, 1, (64,), context=D)
    with seeded(0):
        return VariationalDequantizer(D, data.levels, flow=flow)

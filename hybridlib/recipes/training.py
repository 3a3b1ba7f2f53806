"""Training that an interruption does not undo: what is finished is read, what was begun goes on where it was.

Finished models lie in a folder under the name of their recipe and the fingerprint of their data: other data never get
them. The records of chapters 2 to 5, 9 and 10 come from here.
"""

import dataclasses
import functools
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from .. import checkpoints, datasets, records, train
from ..described import fingerprint
from ..noise import seeded

RUNS = Path(".cache/recipes")  # finished models and the state of the one in training


@dataclasses.dataclass
class Job:
    """A recipe at work: its name, the command that repeats it, its data, and the folder of finished models.

    ``dataset`` names the data, or is None where the caller gave them; ``data`` may be None for recipes without any.

    >>> Job("nltcs", "python -m hybridlib.recipes nltcs", None, None).folder.name
    'recipes'
    """

    name: str
    command: str
    data: datasets.Data | datasets.Molecules | None
    dataset: str | None
    folder: Path = RUNS

    @functools.cached_property  # every member of a mixture asks, and data may be large
    def fingerprint(self) -> str:
        """A hash of all that the data hold, 16 characters: the same for the same data, wherever they are from."""
        parts = [
            tensor
            for part in (self.data.train, self.data.valid, self.data.test)
            for tensor in ((part,) if isinstance(part, Tensor) else (part.atoms, part.bonds))
        ]
        return fingerprint(*parts).split()[-1]

    def head(self) -> dict:
        """What the record begins with."""
        return records.head(self.name, self.command, device=train.device(), packages=("rdkit",))

    def source(self) -> dict:
        """What the record says about the data."""
        if self.dataset:
            told = {"name": self.dataset, "about": datasets.about(self.dataset)}
        else:
            told = {"name": "own", "about": "given by the caller, known by their fingerprint"}
        return {**told, "fingerprint": self.fingerprint}


def schedule(epochs: int, lr: float, batch_size: int) -> dict:
    """How every recipe trains, as arguments of `train.fit`: rates fall along half a cosine, weights are averaged.

    >>> schedule(24, 1e-3, 100)["ema"]
    0.999
    """
    return {"epochs": epochs, "batch_size": batch_size, "lr": lr, "schedule": "cosine", "ema": 0.999}


def portions(*tensors: Tensor, rows: int, batch_size: int) -> DataLoader:
    """Batches of some rows of tensors (n, ...), drawn anew for every epoch, where a pass through all takes too long.

    >>> import torch
    >>> len(portions(torch.ones(50, 1), rows=20, batch_size=8))
    3
    """
    sampler = RandomSampler(tensors[0], num_samples=min(rows, len(tensors[0])))
    return DataLoader(TensorDataset(*tensors), batch_size=batch_size, sampler=sampler)


def trained(
    job: Job, model: nn.Module, batches: Tensor | DataLoader, settings: dict, training: dict, *, loss: Callable,
    validate: Callable, seed: int = 0, label: str = "",
) -> dict:  # fmt: skip
    """Train one model, or read it where it is finished for the same data and settings -> its part of the record.

    ``settings`` are what must be the same, ``training`` the arguments of `train.fit` among them, ``label`` what the
    file's name adds to the recipe's. ValueError for a finished model of other settings.

    >>> import tempfile, torch
    >>> from hybridlib.made import MADE
    >>> x, how = torch.ones(20, 3), schedule(2, 1e-3, 10)
    >>> data = datasets.Data(x, x, x, None, None, None, shape=(3,), levels=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     job = Job("toy", "", data, None, Path(folder))
    ...     len(trained(job, MADE(3), x, how, how, loss=mean_nll, validate=lambda model: 0)["curve"])
    2
    """
    data = job.fingerprint
    path = Path(job.folder) / f"{job.name}{label}-{data[:8]}.safetensors"
    settings = json.loads(json.dumps({**settings, "rows": len(job.data.train), "data": data}))
    if path.exists():
        found = checkpoints.meta(path)
        if found["settings"] != settings:
            raise ValueError(f"{path} was trained with {found['settings']}: delete it or name another folder")
        checkpoints.load(model, path)
        return found["member"]
    clock = records.clock()
    unfinished = path.with_suffix(".training")
    curve = train.fit(model, batches, loss, validate=validate, seed=seed, checkpoint=unfinished, **training)
    best = min(curve, key=lambda epoch: epoch["valid"])["epoch"]
    curve = [{key: round(value, 4) for key, value in epoch.items()} for epoch in curve]
    member = {"seed": seed, "best_epoch": best, **clock(), "curve": curve}
    checkpoints.save(model, path, settings=settings, member=member)
    unfinished.unlink()
    return member


def mean_nll(model: nn.Module, x: Tensor) -> Tensor:
    """The loss of most recipes: mean negative log-likelihood of rows x (B, ...), nats.

    >>> import torch
    >>> from hybridlib.independent import Independent
    >>> round(mean_nll(Independent(4), torch.zeros(5, 4)).item(), 4)  # four fair coins
    2.7726
    """
    return -model.log_prob(x).mean()


def single(
    job: Job, make: Callable[[], nn.Module], batches: Tensor | DataLoader, network: dict, training: dict,
    results: Callable[[nn.Module], Iterable[tuple[str, object]]], *, protocol: dict, seeds: int = 1,
    loss: Callable = mean_nll, validate: Callable | None = None,
) -> tuple[nn.Module, dict]:  # fmt: skip
    """Train a model once for each seed -> (the first, its record, with what the others found under "runs").

    ``make()`` gives the model, ``results(model)`` pairs key, result for the record; "strings" go to a file
    NAME_SEED.smi in the folder, a line each, an empty one for what is no molecule. It is validated by its mean negative
    log-likelihood on 1,000 rows unless ``validate`` is given. ``protocol`` is this recipe's part of it.

    >>> from hybridlib import recipes
    >>> recipes.RECIPES["static_vae"].kind.__name__  # one of those that call it
    'vae_recipe'
    """
    valid = job.data.valid[:1000]
    validate = validate or (lambda model: -train.evaluate(model, valid, batch_size=100).mean().item())
    settings, runs, models = {**network, **training}, [], []
    for seed in range(seeds):
        with seeded(seed):
            models.append(make())
        how = dict(loss=loss, validate=validate, seed=seed, label=f"_{seed}")
        run = trained(job, models[-1], batches, settings, training, **how)
        clock = records.clock()
        scores = dict(results(models[-1]))
        if strings := scores.pop("strings", ()):
            (Path(job.folder) / f"{job.name}_{seed}.smi").write_text("\n".join(strings) + "\n")
        runs.append((run, scores, clock()))
    (run, scores, evaluation), *_ = runs
    record = record_of(job, settings, models[:1], scores, [run], evaluation, {**protocol, "seeds": seeds})
    record |= {"best_epoch": run["best_epoch"], "curve": run["curve"]}
    if seeds > 1:
        record |= {"seeds": [*range(seeds)], "runs": [_headline(*run) for run in runs]}
    return models[0], record


def _headline(run: dict, scores: dict, evaluation: dict) -> dict:
    """Of one run what tables compare: scores and shares, no curves, histograms or examples."""
    heavy = "by_size", "examples", "sizes", "properties", "temperatures", "floor"
    found = {key: part for key, part in scores.items() if key not in heavy}
    for key, part in found.items():
        if isinstance(part, dict):
            found[key] = {name: value for name, value in part.items() if name not in heavy}
    return {"seed": run["seed"], "best_epoch": run["best_epoch"], **found, "cpu_seconds": run["cpu_seconds"]}


def record_of(
    job: Job, settings: dict, models: list[nn.Module], scores: dict, runs: list[dict], evaluation: dict, protocol: dict
) -> dict:
    """The record of trained models; ``runs`` are their trainings, ``evaluation`` the seconds that came after them.

    Its protocol says how its numbers came about: where it differs, they cannot be compared without saying so.

    >>> import torch
    >>> from hybridlib.made import MADE
    >>> x = torch.ones(20, 3)
    >>> job = Job("toy", "", datasets.Data(x, x, x, None, None, None, shape=(3,), levels=2), None)
    >>> record_of(job, {"epochs": 2}, [MADE(3, ())], {}, [{"seed": 0}], {}, {"likelihood": "exact"})["protocol"]
    {'data': 'own', 'likelihood': 'exact', 'rows trained on': 40, 'threads': 1}
    """
    rows = {part: len(getattr(job.data, part)) for part in ("train", "valid", "test")}
    epoch = min(settings.get("rows_per_epoch", rows["train"]), rows["train"])
    seen = {"rows trained on": settings["epochs"] * epoch * len(runs), "threads": torch.get_num_threads()}
    if isinstance(job.data.train, Tensor):  # graphs have no fixed number of variables
        rows = {"D": job.data.train.shape[1], **rows}
    return {
        **job.head(),
        "data": {**job.source(), **rows},
        "seeds": [run["seed"] for run in runs],
        "protocol": {"data": job.source()["name"], **protocol, **seen},
        "settings": settings,
        "parameters": sum(p.numel() for model in models for p in model.parameters()),
        **scores,
        **{key: round(took + sum(run[key] for run in runs), 1) for key, took in evaluation.items()},
    }

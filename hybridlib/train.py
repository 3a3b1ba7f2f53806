"""Train any model of the book, on one processor or many.

    fit(model, data.train, lambda m, x: -m.log_prob(x).mean(), epochs=20)     # the loss is the chapter's equation
    nll = -evaluate(model, data.test).mean()                                  # nats per row, held out

`fit` is a plain loop; Hugging Face Accelerate places it (CPU, GPU, or many of them under `accelerate launch` or
`torchrun`) and mixes the precision. `hybridlib.checkpoints` keeps what it learned. First used in chapter 1.
"""

import itertools
import json
import math
import os
import random
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.data_loader import prepare_data_loader
from accelerate.state import AcceleratorState, GradientState, PartialState
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Subset, TensorDataset
from tqdm.auto import tqdm

from . import checkpoints
from .described import code_of, fingerprint
from .noise import seeded


@contextmanager
def _no_trace():
    """Accelerate's settings are global: forget those made in here, so that others may build an Accelerator later."""
    place, settings = not PartialState._shared_state, not AcceleratorState._shared_state
    try:
        yield
    finally:
        if settings and AcceleratorState._shared_state:
            # several processes stay in touch
            AcceleratorState._reset_state(reset_partial_state=place and PartialState().num_processes == 1)
            GradientState._reset_state()


def _accelerator():
    """Several processes on CPUs share their work only if Accelerate is told that there is nothing else."""
    accelerator = Accelerator(cpu=not (torch.cuda.is_available() or torch.backends.mps.is_available()))
    told = os.environ.keys() & {"ACCELERATE_MIXED_PRECISION", "MASTER_ADDR", "LOCAL_RANK", "WORLD_SIZE"}
    if told == {"ACCELERATE_MIXED_PRECISION", "MASTER_ADDR"} and accelerator.num_processes == 1:
        warnings.warn(
            "accelerate launch was asked for several processes, but on CPUs it starts one; "
            "use torchrun --nproc-per-node 2 script.py",
            stacklevel=4,
        )
    return accelerator


@_no_trace()
def fit(
    model: nn.Module, batches: Tensor | Sequence[Tensor] | DataLoader, loss: Callable[..., Tensor], *, epochs: int = 1,
    batch_size: int = 100, lr: float = 1e-3, optimizer: Callable | None = None, schedule: str | None = None,
    ema: float | None = None, validate: Callable[[nn.Module], float] | None = None, seed: int = 0,
    checkpoint: str | Path | None = None, resume: bool = True, progress: bool = True,
) -> list[dict]:  # fmt: skip
    """Minimize the loss over `epochs` passes through the data -> history, one dict an epoch.

    - batches: a tensor (n, ...) or a tuple of tensors of the same n, e.g. (x, context), moved to the device as a whole
      and shuffled by the seed; or a DataLoader, for data that do not fit. Processes share the rows of every batch.
    - loss: loss(model, x), or loss(model, x, context) -> scalar, the mean over the rows of a batch.
    - batch_size: rows in a step, all processes together (a DataLoader has its own).
    - optimizer: called as optimizer(parameters, lr=lr); Adam unless given.
    - schedule: None for a constant rate, "cosine" to let it fall from lr to zero along half a cosine.
    - ema: decay of an exponential moving average of the weights, e.g. 0.999, which becomes the result. While the
      training is short the average reaches back over about a tenth of it, whatever the decay.
    - validate: model -> number, the lower the better; called after every epoch, in eval mode, without gradients, on the
      averaged weights where there are such. The model ends with the weights of the best epoch.
    - seed: decides the order of the rows and what the model draws (dropout). Global random states are left alone.
    - checkpoint: a file, written after every epoch: Ctrl-C costs at most one. Where it exists and `resume` is true,
      training goes on after the last finished epoch, on a CPU to the same bits as if it had never stopped. A file of
      another model, data set, loss or validation (known by their code), batch size, option or set of frozen weights is
      refused, and so are other epochs under a schedule. Of a DataLoader without tensors, only the length is known.
    - progress: False hides the bar, and so does the environment variable TQDM_DISABLE=1.

    History holds epoch (from 1), loss (mean over the steps), valid (or None), seconds. The model ends on the device, in
    eval mode. ValueError for a loss, validation or weights that are not finite (the checkpoint still holds the last
    good epoch), and for a checkpoint that is damaged or belongs to another training.

    >>> from hybridlib.made import MADE
    >>> fit(MADE(3), torch.ones(20, 3), lambda m, x: -m.log_prob(x).mean(), epochs=2, progress=False)[1]["epoch"]
    2
    """
    _check_arguments(model, optimizer, schedule, ema, validate, epochs)
    accelerator = _accelerator()
    batches = batches if isinstance(batches, DataLoader) else _tensors(batches)
    steps, feed = _feed(batches, batch_size, seed, accelerator)
    rate = _rate(schedule, lr, epochs, steps)
    state = _State(model.to(accelerator.device), loss, accelerator, optimizer, lr, ema)
    if checkpoint:
        settings = {"lr": lr, "schedule": schedule, "ema": ema, "seed": seed, "steps": steps}
        settings |= _options(state.optimizer) | _data(batches, batch_size)
        settings |= _known(model, loss, validate, epochs if schedule else None)
        state.open(checkpoint, settings, resume)
    with _bar(epochs, steps, len(state.history), progress and accelerator.is_main_process) as bar:
        for epoch in range(len(state.history) + 1, epochs + 1):
            start = time.perf_counter()
            # All chance in an epoch follows from (seed, epoch, process): a resumed epoch is the same epoch.
            with seeded(_mix(seed, epoch, accelerator.process_index)):
                mean = _pass(epoch, feed(epoch), state, rate, bar)
                valid = _judge(epoch, state, validate)
            entry = {"epoch": epoch, "loss": mean, "valid": valid, "seconds": time.perf_counter() - start}
            state.history.append(entry)
            if checkpoint and accelerator.is_main_process:
                state.save(checkpoint, settings)
    model.load_state_dict(state.best or state.result.state_dict())
    model.eval()
    return state.history


@torch.no_grad()
def evaluate(
    model: nn.Module,
    x: Tensor | Sequence[Tensor] | DataLoader,
    f: Callable[..., Tensor] | None = None,
    *,
    batch_size: int = 1000,
) -> Tensor:
    """f(model, x) -> (B,) over all rows, in eval mode, without gradients, batch by batch -> (n,) on the CPU.

    x is a tensor (n, ...), a tuple of tensors, on any device, or a DataLoader; f is the log-likelihood in nats,
    model.log_prob, unless given. Answers of low precision become float32. ValueError for an f without an entry a row.

    >>> from hybridlib.made import MADE
    >>> evaluate(MADE(3), torch.ones(20, 3)).shape
    torch.Size([20])
    """
    _check_batch_size(batch_size)
    f = f or (lambda model, *x: model.log_prob(*x))
    batches = map(_tensors, x) if isinstance(x, DataLoader) else zip(*(t.split(batch_size) for t in _tensors(x)))
    own, training, values = next(itertools.chain(model.parameters(), model.buffers()), None), model.training, []
    model.eval()
    try:
        for batch in batches:
            value = f(model, *(t if own is None else t.to(own.device) for t in batch))
            if not isinstance(value, torch.Tensor) or value.shape[:1] != batch[0].shape[:1]:
                got = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
                raise ValueError(f"f returned {got} for {len(batch[0])} rows; it needs one entry a row")
            values.append(value.cpu().float() if value.dtype in (torch.bfloat16, torch.float16) else value.cpu())
    finally:
        model.train(training)
    if not values:
        raise ValueError("the DataLoader gives no batch")
    return torch.cat(values)


@_no_trace()
def device() -> torch.device:
    """Where `fit` puts models: cuda, mps or cpu (ACCELERATE_USE_CPU=1 insists on the last).

    >>> device().type in ("cuda", "mps", "cpu")
    True
    """
    return _accelerator().device


def _check_arguments(model, optimizer, schedule, ema, validate, epochs):
    if not isinstance(model, nn.Module):
        name = model.__name__ if isinstance(model, type) else type(model).__name__
        raise ValueError(f"{name} is no model; fit trains an object that is a nn.Module, e.g. MADE(784)")
    if ema is not None and not 0 <= ema < 1:
        raise ValueError(f"ema is {ema}; it is a decay, at least 0 and below 1, or None")
    if validate is not None and not callable(validate):
        raise ValueError(f"validate is a {type(validate).__name__}, not a function of the model")
    if schedule not in (None, "cosine"):
        raise ValueError(f'schedule is {schedule!r}; choose None or "cosine"')
    if not isinstance(epochs, (int, np.integer)) or epochs < 0:
        raise ValueError(f"epochs is {epochs}; it must be a whole number, at least 0")
    if optimizer is not None and not callable(optimizer):
        raise ValueError(
            f"optimizer is a {type(optimizer).__name__}, not a function of (parameters, lr); "
            "pass the class, e.g. optimizer=torch.optim.SGD, or a lambda with more options"
        )
    if not any(p.requires_grad for p in model.parameters()):
        name, count = type(model).__name__, sum(1 for _ in model.parameters())
        raise ValueError(
            f"nothing can be trained: all {count} parameters of this {name} are frozen; set requires_grad"
            if count
            else f"nothing can be trained: this {name} has no parameters"
        )


def _check_batch_size(batch_size):
    if not isinstance(batch_size, (int, np.integer)) or isinstance(batch_size, bool) or batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; it must be a whole number, at least 1")


class _Objective(nn.Module):
    def __init__(self, model, loss):
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, *batch):
        value = self.loss(self.model, *batch)
        if not isinstance(value, torch.Tensor) or value.ndim:
            shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise ValueError(f"the loss returned {shape}, not a scalar tensor; average over the batch with .mean()")
        if not value.requires_grad:
            raise ValueError("the loss does not depend on the parameters: it was detached, or the model was not used")
        return value


class _State:
    """What a training changes, and what an interrupted one needs to go on."""

    def __init__(self, model, loss, accelerator, optimizer, lr, ema):
        self.model, self.accelerator = model, accelerator
        self.average = AveragedModel(model, multi_avg_fn=_moving_average(ema)) if ema else None
        self.result = self.average.module if ema else model
        # DistributedDataParallel sees forward only: the loss becomes the forward of a module.
        self.objective = accelerator.prepare(_Objective(model, loss))
        # The fused Adam computes the same with a quarter of the passes through memory; the plain one takes half a step.
        self.optimizer = (optimizer or partial(torch.optim.Adam, fused=True))(model.parameters(), lr=lr)
        # only float16 needs the scaler, and it is slow on small models
        self.stepper = accelerator.prepare(self.optimizer) if accelerator.scaler else self.optimizer
        self.history, self.best = [], {}

    def save(self, path, settings):
        state = self.optimizer.state_dict()["state"]
        parts = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict() if self.average else {},
            "best": self.best,
            "optimizer": {f"{i} {key}": t for i, entry in state.items() for key, t in entry.items()},
        }
        checkpoints.save_training(path, self.model, parts, settings, self.history)

    def open(self, path, settings, resume):
        """Go on where the training of a file stopped, all or nothing; where there is none, or not `resume`, begin."""
        checkpoints.sweep(path)
        if not resume or not Path(path).exists():
            return
        parts, self.history = checkpoints.load_training(path, self.model, settings)
        self.model.load_state_dict(parts["model"])
        if self.average:
            self.average.load_state_dict(parts["average"])
        self.best = parts.get("best", {})
        state = {}
        for name, t in parts.get("optimizer", {}).items():
            i, key = name.split(" ")
            state.setdefault(int(i), {})[key] = t
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})


def _rate(schedule, lr, epochs, steps):
    """-> function (epoch, step), both from 1 -> the learning rate; None where it stays as the optimizer has it."""
    if not schedule:
        return None
    if steps is None:
        raise ValueError("a schedule needs the number of steps, which a stream does not tell; leave schedule=None")
    return lambda epoch, step: lr * (1 + math.cos(math.pi * ((epoch - 1) * steps + step - 1) / (epochs * steps))) / 2


def _bar(epochs, steps, done, wanted):
    # tqdm's bar for notebooks does not heed TQDM_DISABLE by itself
    quiet = not wanted or os.environ.get("TQDM_DISABLE", "0") not in ("", "0")
    known = {"total": epochs * steps, "initial": done * steps} if steps else {}
    return tqdm(**known, unit="step", disable=quiet)


def _pass(epoch, batches, state, rate, bar):
    """One step for every batch -> the mean of their losses, over all processes."""
    state.model.train()
    total, step = 0.0, 0
    for step, (batch, weight) in enumerate(batches, start=1):
        if rate:
            for group in state.optimizer.param_groups:
                group["lr"] = rate(epoch, step)
        value = state.objective(*batch) * weight
        total += _finite(value.item(), f"the loss of epoch {epoch}, batch {step}")
        state.stepper.zero_grad()
        state.accelerator.backward(value)
        state.stepper.step()
        if state.average:
            state.average.update_parameters(state.model)
        bar.set_postfix_str(f"epoch {epoch}, loss {total / step:.4g}", refresh=False)
        bar.update()
    if not step:
        raise ValueError("the DataLoader gives no batch: its data are empty, or less than a batch, and dropped")
    weights = sum(p.detach().sum().item() for p in state.model.parameters())
    _finite(weights, f"the sum of all weights after epoch {epoch}")
    return state.accelerator.reduce(torch.tensor(total / step, device=state.accelerator.device), "mean").item()


def _judge(epoch, state, validate):
    """The validation after an epoch, if there is one; the weights of the best one are kept."""
    if not validate:
        return None
    state.result.eval()
    with torch.no_grad():
        valid = _finite(float(validate(state.result)), f"the validation of epoch {epoch}")
    if all(valid < entry["valid"] for entry in state.history):
        state.best = {name: t.clone() for name, t in state.result.state_dict().items()}
    return valid


def _feed(batches, batch_size, seed, accelerator):
    """-> (steps in an epoch or None, function epoch -> iterator over (batch, weight)).

    Every process sees the same batches and takes its rows of each; weights make unequal shares one mean.
    """
    rank, world = accelerator.process_index, accelerator.num_processes

    def share(batch):
        rows = len(batch[0]) if world > 1 else 0
        if rows < world:  # one process, or fewer rows than processes: all of them do the same
            return batch, 1.0
        batch = [t[rank::world] for t in batch]
        return batch, len(batch[0]) * world / rows

    if isinstance(batches, DataLoader):
        loader = prepare_data_loader(
            batches, accelerator.device, 1, 0, put_on_device=True, dispatch_batches=False, use_seedable_sampler=True,
            data_seed=_mix(seed),
        )  # fmt: skip
        try:
            steps = len(loader)
        except TypeError:  # a stream: its end comes when it comes
            steps = None

        def feed(epoch):
            loader.set_epoch(epoch)
            if steps != 0:  # accelerate before 1.6 would give a batch of nothing
                yield from (share(_batch(batch)) for batch in loader)

        return steps, feed

    _check_batch_size(batch_size)
    # A DataLoader would collect a batch row by row; indexing by a permutation costs next to nothing.
    tensors = [t.to(accelerator.device) for t in batches]

    def feed(epoch):
        order = torch.randperm(len(tensors[0]), generator=torch.Generator().manual_seed(_mix(seed, epoch)))
        for rows in order.to(accelerator.device).split(batch_size):
            (rows,), weight = share([rows])
            yield [t[rows] for t in tensors], weight

    return math.ceil(len(tensors[0]) / batch_size), feed


def _batch(batch):
    """What a DataLoader gives, as the arguments of a loss behind the model."""
    return batch if isinstance(batch, (tuple, list)) else (batch,)


def _tensors(x):
    tensors = (x,) if isinstance(x, torch.Tensor) else tuple(x) if isinstance(x, (list, Iterator)) else x
    if not isinstance(tensors, tuple) or not tensors or not all(isinstance(t, torch.Tensor) for t in tensors):
        held = f" of {type(tensors[0]).__name__}" if isinstance(tensors, tuple) and tensors else ""
        raise ValueError(
            f"the data are a {type(x).__name__}{held}; pass a tensor or a tuple of them, as torch.as_tensor makes of "
            "an array, or a DataLoader"
        )
    if {t.shape[:1] for t in tensors} != {tensors[0].shape[:1]} or not tensors[0].shape or not len(tensors[0]):
        shapes = [tuple(t.shape) for t in tensors]
        raise ValueError(f"the data have shapes {shapes}; every tensor needs the same number of rows, at least one")
    return tensors


def _data(batches, batch_size):
    """What identifies the data of a training. Of a DataLoader that is not made of tensors, its length must do."""
    if not isinstance(batches, DataLoader):
        return {"batch_size": batch_size, "data": fingerprint(*batches)}
    data, rows = batches.dataset, ()
    if isinstance(data, Subset):
        data, rows = data.dataset, (torch.as_tensor(data.indices),)
    tensors = data.tensors if isinstance(data, TensorDataset) else [data] if isinstance(data, torch.Tensor) else []
    length = len(data) if hasattr(data, "__len__") else "unknown"
    told = fingerprint(*tensors, *rows) if tensors else f"{type(data).__qualname__} of length {length}"
    return {"batch_size": batches.batch_size, "data": f"{told}, {type(batches.sampler).__name__}"}


def _mix(*numbers):
    """One seed from several numbers; the same on every machine, and no two epochs or processes share a stream."""
    return random.Random(str(numbers)).getrandbits(62)


def _moving_average(decay):
    @torch.no_grad()
    def update(averages, weights, n):
        forget = 1 - min(decay, (1 + int(n)) / (10 + int(n)))
        for average, weight in zip(averages, weights):
            average.lerp_(weight, forget)

    return update


def _finite(value, what):
    if not math.isfinite(value):
        raise ValueError(
            f"{what} is {value}. Lower lr, look for NaN or extreme values in the data, bound log-scales; "
            "a checkpoint, if one is written, still holds the last good epoch"
        )
    return value


def _options(optimizer):
    groups = [{k: v for k, v in group.items() if k not in ("params", "lr")} for group in optimizer.param_groups]
    return {"optimizer": type(optimizer).__name__, "options": json.loads(json.dumps(groups, default=str))}


def _known(model, loss, validate, epochs):
    """What else identifies a training: code, whatever it is called, and what is frozen; epochs under a schedule."""
    return {
        "loss": code_of(loss),
        "epochs": epochs,
        "validate": code_of(validate) if validate else None,
        "frozen": [name for name, p in model.named_parameters() if not p.requires_grad],
    }

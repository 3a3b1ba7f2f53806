"""Train any model of the book, on one processor or many, and keep what it learned in files that cannot execute code.

    fit(model, data.train, lambda m, x: -m.log_prob(x).mean(), epochs=20)     # the loss is the chapter's equation
    nll = -evaluate(model, data.test).mean()                                  # nats per row, held out

`fit` is a plain loop; Hugging Face Accelerate places it (CPU, GPU, or many of them under `accelerate launch` or
`torchrun`) and mixes the precision. Files are safetensors with JSON in their header, never pickle. First used in
chapter 1.
"""

import glob
import itertools
import json
import math
import os
import random
import time
import uuid
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.data_loader import prepare_data_loader
from accelerate.state import AcceleratorState, GradientState, PartialState
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Subset, TensorDataset
from tqdm.auto import tqdm

from . import __version__
from .described import Described, code_of, describe, differences, fingerprint, rebuild
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
    model,
    batches,
    loss,
    *,
    epochs=1,
    batch_size=100,
    lr=1e-3,
    optimizer=None,
    schedule=None,
    ema=None,
    validate=None,
    seed=0,
    checkpoint=None,
    resume=True,
    progress=True,
):
    """Minimize the loss over `epochs` passes through the data -> history, one dict an epoch.

    - batches: a tensor (n, ...) or a tuple of tensors of the same n, e.g. (x, context), moved to the device as a whole
      and shuffled by the seed; or a DataLoader, for data that do not fit. Every process reads all of its batches, and
      trains on a share of each.
    - loss: loss(model, x), or loss(model, x, context) -> scalar, the mean over the rows of a batch.
    - batch_size: rows in a step, all processes together (a DataLoader has its own).
    - optimizer: called as optimizer(parameters, lr=lr); Adam unless given.
    - schedule: None for a constant rate, "cosine" to let it fall from lr to zero along half a cosine.
    - ema: decay of an exponential moving average of the weights, e.g. 0.999, which becomes the result. While the
      training is short the average reaches back over about a tenth of it, whatever the decay.
    - validate: model -> number, the lower the better; called after every epoch, in eval mode, without gradients, on the
      averaged weights where there are such. The model ends with the weights of the best epoch.
    - seed: decides the order of the rows and what the model draws (dropout). Global random states are left alone.
    - checkpoint: a file, written after every epoch. Where it exists and `resume` is true, training goes on after the
      last finished epoch, on a CPU to the same bits as if it had never stopped. Ctrl-C costs at most one epoch. A file
      of another model, data set, loss or validation (known by their code), batch size, option or set of frozen weights
      is refused, and so are other epochs under a schedule. Of a DataLoader whose data are not tensors, only their
      length is known.
    - progress: False hides the bar, and so does the environment variable TQDM_DISABLE=1.

    History holds epoch (from 1), loss (mean over the steps), valid (or None), seconds. The model ends on the device, in
    eval mode. Raises ValueError for a loss, validation or weights that are not finite (the checkpoint then still holds
    the last good epoch), and for a checkpoint that is damaged or belongs to another training.
    """
    _check_arguments(model, optimizer, schedule, ema, validate, epochs)
    accelerator = _accelerator()
    if not isinstance(batches, DataLoader):
        batches = _tensors(batches)
    steps, feed = _feed(batches, batch_size, seed, accelerator)
    if schedule and steps is None:
        raise ValueError("a schedule needs the number of steps, which a stream does not tell; leave schedule=None")
    model.to(accelerator.device)
    average = AveragedModel(model, multi_avg_fn=_moving_average(ema)) if ema else None
    result = average.module if ema else model
    # DistributedDataParallel sees forward only: the loss becomes the forward of a module.
    objective = accelerator.prepare(_Objective(model, loss))
    # The fused Adam computes the same with a quarter of the passes through memory; the plain one takes half of a step.
    optimizer = (optimizer or partial(torch.optim.Adam, fused=True))(model.parameters(), lr=lr)
    history, best = [], {}
    settings = {"lr": lr, "schedule": schedule, "ema": ema, "seed": seed, "steps": steps}
    settings.update(_options(optimizer))
    if checkpoint:
        settings.update(_data(batches, batch_size), loss=code_of(loss), epochs=epochs if schedule else None)
        settings["validate"] = code_of(validate) if validate else None
        settings["frozen"] = [name for name, p in model.named_parameters() if not p.requires_grad]
        _sweep(checkpoint)
        if resume and Path(checkpoint).exists():
            history, best = _resume(checkpoint, settings, model, average, optimizer)
    if accelerator.scaler:  # only float16 needs it, and it is slow on small models
        optimizer = accelerator.prepare(optimizer)

    # tqdm's bar for notebooks does not heed TQDM_DISABLE by itself
    quiet = not progress or not accelerator.is_main_process or os.environ.get("TQDM_DISABLE", "0") not in ("", "0")
    known = {"total": epochs * steps, "initial": len(history) * steps} if steps else {}
    bar = tqdm(**known, unit="step", disable=quiet)
    with bar, seeded(_mix(seed)):
        for epoch in range(len(history) + 1, epochs + 1):
            # All chance in an epoch follows from (seed, epoch, process): a resumed epoch is the same epoch.
            torch.manual_seed(_mix(seed, epoch, accelerator.process_index))
            model.train()
            start, total, step = time.perf_counter(), 0.0, 0
            for step, (batch, weight) in enumerate(feed(epoch), start=1):
                if schedule:
                    done = ((epoch - 1) * steps + step - 1) / (epochs * steps)
                    for group in optimizer.param_groups:
                        group["lr"] = lr * (1 + math.cos(math.pi * done)) / 2
                value = objective(*batch) * weight
                total += _finite(value.item(), f"the loss of epoch {epoch}, batch {step}")
                optimizer.zero_grad()
                accelerator.backward(value)
                optimizer.step()
                if ema:
                    average.update_parameters(model)
                bar.set_postfix_str(f"epoch {epoch}, loss {total / step:.4g}", refresh=False)
                bar.update()
            if not step:
                raise ValueError("the DataLoader gives no batch: its data are empty, or less than a batch, and dropped")
            weights = sum(p.detach().sum().item() for p in model.parameters())
            _finite(weights, f"the sum of all weights after epoch {epoch}")
            valid = None
            if validate:
                result.eval()
                with torch.no_grad():
                    valid = _finite(float(validate(result)), f"the validation of epoch {epoch}")
                if all(valid < entry["valid"] for entry in history):
                    best = {name: t.clone() for name, t in result.state_dict().items()}
            mean = accelerator.reduce(torch.tensor(total / step, device=accelerator.device), "mean").item()
            history.append({"epoch": epoch, "loss": mean, "valid": valid, "seconds": time.perf_counter() - start})
            if checkpoint and accelerator.is_main_process:
                _checkpoint(checkpoint, settings, model, average, optimizer, history, best)
    model.load_state_dict(best or result.state_dict())
    model.eval()
    return history


@torch.no_grad()
def evaluate(model, x, f=None, *, batch_size=1000):
    """f(model, x) -> (B,) over all rows, in eval mode, without gradients, batch by batch -> (n,) on the CPU.

    x is a tensor (n, ...), a tuple of tensors, on any device, or a DataLoader; f is the log-likelihood in nats,
    model.log_prob, unless given. Answers of low precision become float32.
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


def save(model, path, **meta):
    """Write the model and `meta` (anything JSON can hold) to one file, which appears whole or not at all.

    The file holds the weights, and in its header what the model is (`hybridlib.described`) and the library's version.
    """
    _write(path, model, model.state_dict(), meta)


def load(model, path=None):
    """With a path alone, the model that a file of `save` holds; with a model and a path, its weights into that -> meta.

    Both end in eval mode. A model is built from a file if its classes are those of hybridlib, or plain layers of torch;
    any other must be given. A given model must be of the class, the arguments (but for seeds) and the precision of the
    one that was saved: raises ValueError, which names both values, and leaves it as it was. So it does for a file that
    is damaged, that holds NaN or infinite weights, or that was written before files said what they hold.
    """
    if path is None:
        if isinstance(model, torch.nn.Module):
            raise ValueError("load takes a path, or a model and a path")
        return _rebuilt(model)
    tensors, meta, header = _read(path)
    _check(path, model, tensors, header["model"])
    model.load_state_dict(tensors)
    model.eval()
    return meta


def meta(path):
    """What `save` was told beside the model. ValueError for a damaged file."""
    return _read(path)[1]


@_no_trace()
def device():
    """Where `fit` puts models: cuda, mps or cpu (ACCELERATE_USE_CPU=1 insists on the last)."""
    return _accelerator().device


def _check_arguments(model, optimizer, schedule, ema, validate, epochs):
    if not isinstance(model, torch.nn.Module):
        name = model.__name__ if isinstance(model, type) else type(model).__name__
        raise ValueError(f"{name} is no model; fit trains an object that is a torch.nn.Module, e.g. MADE(784)")
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


class _Objective(torch.nn.Module):
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


def _checkpoint(path, settings, model, average, optimizer, history, best):
    state = optimizer.state_dict()["state"]
    parts = {
        "model": model.state_dict(),
        "average": average.state_dict() if average else {},
        "best": best,
        "optimizer": {f"{i} {key}": t for i, entry in state.items() for key, t in entry.items()},
    }
    tensors = {f"{part} {name}": t for part, tensors in parts.items() for name, t in tensors.items()}
    _write(path, model, tensors, {"settings": settings, "history": history})


def _resume(path, settings, model, average, optimizer):
    """Put a checkpoint into model, average and optimizer, all or nothing -> (history, best weights)."""
    tensors, meta, header = _read(path)
    remedy = "give it as it was, choose another file, or start afresh with resume=False"
    if "settings" not in meta:
        raise ValueError(f"{path} holds a model, not a training; {remedy}")
    for name, value in settings.items():
        then = meta["settings"].get(name)
        if then != value:
            raise ValueError(f"{path} was written with {name}={then!r}, now it is {value!r}; {remedy}")
    parts = {part: {} for part in ("model", "average", "best", "optimizer")}
    for name, t in tensors.items():
        part, name = name.split(" ", 1)
        parts[part][name] = t
    _check(path, model, parts["model"], header["model"])
    model.load_state_dict(parts["model"])
    if average:
        average.load_state_dict(parts["average"])
    state = {}
    for name, t in parts["optimizer"].items():
        i, key = name.split(" ")
        state.setdefault(int(i), {})[key] = t
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return meta["history"], parts["best"]


def _sweep(path):
    """Remove what a training that was killed while it wrote left beside its checkpoint."""
    for part in Path(path).parent.glob(f"{glob.escape(Path(path).name)}.*.part"):
        part.unlink(missing_ok=True)


def _rebuilt(path):
    """The model that a file describes, with the weights of the file."""
    tensors, _, header = _read(path)
    try:
        with seeded(0):  # the file brings the weights
            model = rebuild(header["model"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{path} cannot build its model by itself ({error}; written by hybridlib {header['version']}): "
            "build it as it was, and use load(model, path)"
        ) from error
    precisions = {t.dtype for t in tensors.values() if t.is_floating_point()}
    if len(precisions) == 1:
        model.to(*precisions)
    _check(path, model, tensors, header["model"])
    model.load_state_dict(tensors)
    return model.eval()


def _check(path, model, tensors, description):
    """ValueError unless these are good weights of this very model."""
    own = model.state_dict()
    wrong = [f"{name} {tuple(t.shape)} is missing" for name, t in own.items() if name not in tensors]
    wrong += [f"{name} {tuple(t.shape)} has no place" for name, t in sorted(tensors.items()) if name not in own]
    both = [(name, tensors[name], t) for name, t in own.items() if name in tensors]
    wrong += [f"{name} is {tuple(t.shape)}, the model's {tuple(m.shape)}" for name, t, m in both if t.shape != m.shape]
    told = list(differences(description, json.loads(json.dumps(describe(model)))))
    if told or wrong:
        faults = "; ".join(_few(texts) for texts in (told, wrong) if texts)
        raise ValueError(
            f"{path} does not fit this model: {faults}. Build the model with the arguments it had when the file was "
            "written, or have it built: load(path)"
        )
    if wrong := [f"{name} is {t.dtype}, the model's {m.dtype}" for name, t, m in both if t.dtype != m.dtype]:
        raise ValueError(
            f"{path} has another precision than this model: {_few(wrong)}. Convert the model before it is loaded, "
            "e.g. with model.double(), and back afterwards"
        )
    learned = {name for name, _ in model.named_parameters()}
    bad = [name for name, t, _ in both if t.isnan().any() or (name in learned and t.isinf().any())]
    if bad:
        raise ValueError(f"{path} holds NaN or infinite weights: {_few(bad)}. Train the model again")
    for prefix, module in model.named_modules():
        # whole numbers in a model of ours are places: an order, who passes
        for name, t in module.named_buffers(prefix, recurse=False) if isinstance(module, Described) else []:
            if t.dtype == torch.long and name in own and not torch.equal(_sorted(tensors[name]), _sorted(t.cpu())):
                raise ValueError(f"{path} holds {name} = {tensors[name].tolist()!s:.80}, which is no permutation")


def _sorted(t):
    return t.sort(-1).values if t.dim() else t


def _few(texts):
    return "; ".join(texts[:3]) + (f" and {len(texts) - 3} more" if len(texts) > 3 else "")


def _write(path, model, tensors, meta):
    path = Path(path)
    tensors = {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}
    header = {"model": json.dumps(describe(model)), "version": __version__, "meta": json.dumps(meta, default=_plain)}
    header["crc32"] = str(_crc32(tensors, header))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:12]}.part")  # no other process writes to this name
    try:
        with part.open("xb") as file:
            file.write(safetensors.save(tensors, header))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)  # atomic: a kill leaves the old file or the new one
    finally:
        part.unlink(missing_ok=True)


def _plain(value):
    """Numbers and arrays of NumPy as JSON's own."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is not JSON serializable; save its numbers, e.g. with .item()")


def _read(path):
    """-> (tensors, what `save` was told beside, header: the model's description and the version that wrote it)."""
    raw = Path(path).read_bytes()
    try:
        size = int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8 : 8 + size])["__metadata__"]
        tensors, old = safetensors.load(raw), header.keys() == {"meta", "crc32"}
        if not old:
            if str(_crc32(tensors, header)) != header["crc32"]:
                raise ValueError("checksum")
            meta, header["model"] = json.loads(header["meta"]), json.loads(header["model"])
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(f"{path} is truncated, altered or not of this library; delete it and write it again") from None
    if old:
        raise ValueError(f"{path} was written before files said which model they hold; write it again")
    return tensors, meta, header


def _crc32(tensors, header):
    """safetensors notices a truncated file but not a changed weight."""
    crc = zlib.crc32(json.dumps({key: header[key] for key in ("model", "version", "meta")}).encode())
    for name, t in sorted(tensors.items()):
        crc = zlib.crc32(f"{name} {t.dtype} {tuple(t.shape)}".encode(), crc)
        crc = zlib.crc32(t.reshape(-1).view(torch.uint8).numpy(), crc)
    return crc

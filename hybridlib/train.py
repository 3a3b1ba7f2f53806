"""Train any model of the book, on one processor or many, and keep what it learned in files that cannot execute code.

    fit(model, data.train, lambda m, x: -m.log_prob(x).mean(), epochs=20)     # the loss is the chapter's equation
    nll = -evaluate(model, data.test).mean()                                  # nats per row, held out

`fit` is a plain loop; Hugging Face Accelerate places it (CPU, GPU, or many of them under `accelerate launch` or
`torchrun`) and mixes the precision. Files are safetensors with JSON in their header, never pickle. First used in
chapter 1.
"""

import json
import math
import os
import random
import time
import zlib
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader
from tqdm.auto import tqdm


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
      and shuffled by the seed; or a DataLoader, for data that do not fit.
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
      last finished epoch, on a CPU to the same bits as if it had never stopped. Ctrl-C costs at most one epoch.
    - progress: False hides the bar, and so does the environment variable TQDM_DISABLE=1.

    History holds epoch (from 1), loss (mean over the steps), valid (or None), seconds. The model ends on the device, in
    eval mode. Raises ValueError for a loss, validation or weights that are not finite (the checkpoint then still holds
    the last good epoch), and for a checkpoint that is damaged or belongs to another training.
    """
    if schedule not in (None, "cosine"):
        raise ValueError(f'schedule is {schedule!r}; choose None or "cosine"')
    sharing = DataLoaderConfiguration(split_batches=True, use_seedable_sampler=True, data_seed=_mix(seed))
    accelerator = Accelerator(cpu=_only_cpu(), dataloader_config=sharing)
    steps, feed = _feed(batches, batch_size, seed, accelerator)
    model.to(accelerator.device)
    average = AveragedModel(model, multi_avg_fn=_moving_average(ema)) if ema else None
    result = average.module if ema else model
    # DistributedDataParallel sees forward only: the loss becomes the forward of a module.
    objective = accelerator.prepare(_Objective(model, loss))
    # The fused Adam computes the same with a quarter of the passes through memory; the plain one takes half of a step.
    optimizer = (optimizer or partial(torch.optim.Adam, fused=True))(model.parameters(), lr=lr)
    history, best = [], {}
    settings = {"lr": lr, "schedule": schedule, "ema": ema, "seed": seed, "steps": steps, "validate": bool(validate)}
    settings.update(_options(optimizer))
    if checkpoint and resume and Path(checkpoint).exists():
        history, best = _resume(checkpoint, settings, model, average, optimizer)
    if accelerator.scaler:  # only float16 needs it, and it is slow on small models
        optimizer = accelerator.prepare(optimizer)

    # tqdm's bar for notebooks does not heed TQDM_DISABLE by itself
    quiet = not progress or not accelerator.is_main_process or os.environ.get("TQDM_DISABLE", "0") not in ("", "0")
    bar = tqdm(total=epochs * steps, initial=len(history) * steps, unit="step", disable=quiet)
    with bar, torch.random.fork_rng([accelerator.device] if accelerator.device.type == "cuda" else []):
        for epoch in range(len(history) + 1, epochs + 1):
            # All chance in an epoch follows from (seed, epoch, process): a resumed epoch is the same epoch.
            torch.manual_seed(_mix(seed, epoch, accelerator.process_index))
            model.train()
            start, total = time.perf_counter(), 0.0
            for step, (batch, weight) in enumerate(feed(epoch), start=1):
                if schedule:
                    done = ((epoch - 1) * steps + step - 1) / (epochs * steps)
                    for group in optimizer.param_groups:
                        group["lr"] = lr * (1 + math.cos(math.pi * done)) / 2
                value = objective(*batch)
                total += _finite(value.item(), f"the loss of epoch {epoch}, batch {step}")
                optimizer.zero_grad()
                accelerator.backward(value * weight)
                optimizer.step()
                if ema:
                    average.update_parameters(model)
                bar.set_postfix_str(f"epoch {epoch}, loss {total / step:.4g}", refresh=False)
                bar.update()
            weights = sum(p.detach().sum().item() for p in model.parameters())
            _finite(weights, f"the sum of all weights after epoch {epoch}")
            valid = None
            if validate:
                result.eval()
                with torch.no_grad():
                    valid = _finite(float(validate(result)), f"the validation of epoch {epoch}")
                if all(valid < entry["valid"] for entry in history):
                    best = {name: t.clone() for name, t in result.state_dict().items()}
            mean = accelerator.reduce(torch.tensor(total / steps, device=accelerator.device), "mean").item()
            history.append({"epoch": epoch, "loss": mean, "valid": valid, "seconds": time.perf_counter() - start})
            if checkpoint and accelerator.is_main_process:
                _checkpoint(checkpoint, settings, model, average, optimizer, history, best)
    model.load_state_dict(best or result.state_dict())
    model.eval()
    return history


@torch.no_grad()
def evaluate(model, x, f=None, *, batch_size=1000):
    """f(model, x) -> (B,) over all rows, in eval mode, without gradients, batch by batch -> (n,) on the CPU.

    x is a tensor (n, ...) or a tuple of tensors; f is the log-likelihood in nats, model.log_prob, unless given.
    """
    f = f or (lambda model, *x: model.log_prob(*x))
    tensors, training = _tensors(x), model.training
    place = next(model.parameters(), tensors[0]).device
    model.eval()
    try:
        batches = zip(*(t.split(batch_size) for t in tensors))
        return torch.cat([f(model, *(t.to(place) for t in batch)).cpu() for batch in batches])
    finally:
        model.train(training)


def save(model, path, **meta):
    """Write the weights and `meta` (anything JSON can hold) to one file, which appears whole or not at all."""
    _write(path, model.state_dict(), meta)


def load(model, path):
    """Read weights written by `save` into the model, which ends in eval mode -> meta.

    Raises ValueError, and leaves the model as it was, for a file that is damaged or belongs to a model of other shapes.
    """
    tensors, meta = _read(path)
    _check_names(path, model.state_dict(), tensors)
    model.load_state_dict(tensors)
    model.eval()
    return meta


def meta(path):
    """What `save` was told beside the weights. ValueError for a damaged file."""
    return _read(path)[1]


def device():
    """Where `fit` puts models: cuda, mps or cpu (ACCELERATE_USE_CPU=1 insists on the last)."""
    return Accelerator(cpu=_only_cpu()).device


def _only_cpu():
    """Several processes on CPUs share their work only if Accelerate is told that there is nothing else."""
    return not (torch.cuda.is_available() or torch.backends.mps.is_available())


class _Objective(torch.nn.Module):
    def __init__(self, model, loss):
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, *batch):
        value = self.loss(self.model, *batch)
        if not isinstance(value, torch.Tensor) or value.ndim:
            shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise ValueError(f"the loss returned {shape}, not a scalar tensor; average over the batch with .mean()")
        return value


def _feed(batches, batch_size, seed, accelerator):
    """-> (steps in an epoch, function epoch -> iterator over (batch, weight)); weights make unequal shares one mean."""
    if isinstance(batches, DataLoader):
        loader = accelerator.prepare(batches)

        def feed(epoch):
            loader.set_epoch(epoch)
            for batch in loader:
                yield batch if isinstance(batch, (tuple, list)) else (batch,), 1.0

        return len(loader), feed

    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
    # A DataLoader would collect a batch row by row; indexing by a permutation costs next to nothing.
    tensors = [t.to(accelerator.device) for t in _tensors(batches)]
    rank, world = accelerator.process_index, accelerator.num_processes

    def feed(epoch):
        order = torch.randperm(len(tensors[0]), generator=torch.Generator().manual_seed(_mix(seed, epoch)))
        for rows in order.to(accelerator.device).split(batch_size):
            share = rows[rank::world] if len(rows) >= world else rows
            weight = len(share) * world / len(rows) if len(rows) >= world else 1.0
            yield [t[share] for t in tensors], weight

    return math.ceil(len(tensors[0]) / batch_size), feed


def _tensors(x):
    tensors = (x,) if isinstance(x, torch.Tensor) else x
    if not isinstance(tensors, (tuple, list)) or not tensors or not all(isinstance(t, torch.Tensor) for t in tensors):
        raise ValueError(f"the data are a {type(x).__name__}; pass a tensor or a tuple of them (fit: or a DataLoader)")
    if {len(t) for t in tensors} != {len(tensors[0])} or not len(tensors[0]):
        shapes = [tuple(t.shape) for t in tensors]
        raise ValueError(f"the data have shapes {shapes}; every tensor needs the same number of rows, at least one")
    return tensors


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
    _write(path, tensors, {"settings": settings, "history": history})


def _resume(path, settings, model, average, optimizer):
    """Put a checkpoint into model, average and optimizer, all or nothing -> (history, best weights)."""
    tensors, meta = _read(path)
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
    _check_names(path, model.state_dict(), parts["model"])
    model.load_state_dict(parts["model"])
    if average:
        average.load_state_dict(parts["average"])
    state = {}
    for name, t in parts["optimizer"].items():
        i, key = name.split(" ")
        state.setdefault(int(i), {})[key] = t
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return meta["history"], parts["best"]


def _check_names(path, expected, found):
    wrong = [f"{name} {tuple(t.shape)} is missing" for name, t in expected.items() if name not in found]
    wrong += [f"{name} {tuple(t.shape)} has no place" for name, t in sorted(found.items()) if name not in expected]
    wrong += [
        f"{name} is {tuple(found[name].shape)}, the model's {tuple(t.shape)}"
        for name, t in expected.items()
        if name in found and found[name].shape != t.shape
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ValueError(
            f"{path} does not fit this model: {'; '.join(wrong[:3])}{more}. Build the model with the "
            "arguments it had when the file was written"
        )


def _write(path, tensors, meta):
    path = Path(path)
    tensors = {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}
    meta = json.dumps(meta)
    header = {"meta": meta, "crc32": str(_crc32(tensors, meta))}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(safetensors.save(tensors, header))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)  # atomic: a kill leaves the old file or the new one
    finally:
        part.unlink(missing_ok=True)


def _read(path):
    raw = Path(path).read_bytes()
    try:
        size = int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8 : 8 + size])["__metadata__"]
        tensors, meta = safetensors.load(raw), header["meta"]
        if str(_crc32(tensors, meta)) != header["crc32"]:
            raise ValueError("checksum")
    except (SafetensorError, ValueError, KeyError, TypeError):
        raise ValueError(f"{path} is truncated, altered or not of this library; delete it and write it again") from None
    return tensors, json.loads(meta)


def _crc32(tensors, meta):
    """safetensors notices a truncated file but not a changed weight."""
    crc = zlib.crc32(meta.encode())
    for name, t in sorted(tensors.items()):
        crc = zlib.crc32(f"{name} {t.dtype} {tuple(t.shape)}".encode(), crc)
        crc = zlib.crc32(t.reshape(-1).view(torch.uint8).numpy(), crc)
    return crc

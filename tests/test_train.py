"""Training is exact where it can be: the same step as by hand, as on two processes, and as before an interruption."""

import math
import os
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset

from hybridlib import checkpoints, train
from hybridlib.noise import seeded

STALLED = 3600  # seconds that another process may take, however busy the machine is: a limit for what hangs

# What the tests train, also in other processes: dropout, and 23 rows in batches of 5, so that the last one is smaller.


def net(seed=0, hidden=8):
    with seeded(seed):
        return nn.Sequential(nn.Linear(6, hidden), nn.Tanh(), nn.Dropout(0.3), nn.Linear(hidden, 6))


def square(model, x):
    return ((model(x) - x) ** 2).mean()


x = torch.rand(23, 6, generator=torch.Generator().manual_seed(1))
held_out = torch.rand(9, 6, generator=torch.Generator().manual_seed(2))
settings = dict(batch_size=5, lr=0.03, ema=0.9, validate=lambda model: square(model, held_out))


def start(folder, body, *arguments, **environment):
    """Run `body` in another process, with everything of this file at hand."""
    script = folder / "script.py"
    here = str(Path(__file__).parent)
    script.write_text(f"import sys\nsys.path.insert(0, {here!r})\nfrom test_train import *\n{body}")
    return subprocess.Popen(
        [sys.executable, script, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def weights(model):
    return torch.cat([t.detach().reshape(-1).double() for t in model.state_dict().values()])


def same(a, b):
    return torch.equal(weights(a), weights(b))


def without_time(history):
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in history]


# --- the step -------------------------------------------------------------------------------------------------------


def test_steps_are_those_of_a_hand_written_loop():
    ours, by_hand = net(), net()
    ours[2].p = by_hand[2].p = 0.0
    adam = torch.optim.Adam(by_hand.parameters(), lr=0.01)
    losses = []
    for step in range(20):
        adam.param_groups[0]["lr"] = 0.01 * 0.5 * (1 + math.cos(math.pi * step / 20))
        adam.zero_grad()
        value = square(by_hand, x)
        value.backward()
        adam.step()
        losses.append(value.item())
    history = train.fit(ours, x, square, epochs=20, batch_size=23, lr=0.01, schedule="cosine")
    assert [entry["loss"] for entry in history] == pytest.approx(losses, rel=1e-4)
    assert torch.allclose(weights(ours), weights(by_hand), atol=1e-5)
    assert [entry["epoch"] for entry in history] == list(range(1, 21))
    assert all(entry["valid"] is None and entry["seconds"] > 0 for entry in history)
    assert not ours.training


@pytest.mark.parametrize("kind", ["tensors", "loader"])
def test_every_row_once_an_epoch_beside_its_context(kind):
    row, context = torch.arange(23.0)[:, None], 100 + torch.arange(23)
    data = (row, context)
    if kind == "loader":
        data = DataLoader(TensorDataset(row, context), batch_size=5, shuffle=True)
    seen = []

    def loss(model, x, c):
        seen.append((x[:, 0].tolist(), c.tolist()))
        return model(x).mean()

    train.fit(nn.Linear(1, 1), data, loss, epochs=2, batch_size=5)
    assert [len(rows) for rows, _ in seen] == [5, 5, 5, 5, 3] * 2
    epochs = [[row for rows, _ in part for row in rows] for part in (seen[:5], seen[5:])]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(23)) and epochs[0] != epochs[1]
    assert all([100 + r for r in rows] == context for rows, context in seen)


def test_loader_of_plain_tensors():
    model = net()
    history = train.fit(model, DataLoader(x, batch_size=5), square, epochs=2, lr=0.03)
    assert history[1]["loss"] < history[0]["loss"]


def test_seed_decides_and_global_chance_is_left_alone():
    before = torch.get_rng_state()
    models = [net(), net(), net()]
    for model, seed in zip(models, (0, 0, 1)):
        torch.rand(seed + 3)  # whatever happened before must not matter
        train.fit(model, x, square, epochs=2, batch_size=5, seed=seed)
    assert same(models[0], models[1]) and not same(models[0], models[2])
    torch.set_rng_state(before)
    train.fit(net(), x, square, epochs=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_moving_average():
    model, seen = nn.Linear(1, 1, bias=False), []

    def loss(model, x):
        seen.append(model.weight.item())
        return (model(x) ** 2).mean()

    train.fit(model, torch.ones(4, 1), loss, epochs=30, batch_size=1, ema=0.9, lr=0.01)
    # seen[k] is the weight after k steps; the last one is reached by one more step, so rebuild it from a plain run
    plain = nn.Linear(1, 1, bias=False)
    plain.weight.data.fill_(seen[0])
    train.fit(plain, torch.ones(4, 1), loss, epochs=30, batch_size=1, lr=0.01)
    after = [*seen[1:120], plain.weight.item()]
    average = after[0]
    for n, weight in enumerate(after[1:], start=1):
        keep = min(0.9, (1 + n) / (10 + n))
        average = keep * average + (1 - keep) * weight
    assert model.weight.item() == pytest.approx(average, rel=1e-5)


def test_best_epoch_is_kept():
    model, states, calls = net().eval(), [], []

    def loss(m, x):
        assert m.training and torch.is_grad_enabled()
        return square(m, x)

    def validate(m):
        assert not m.training and not torch.is_grad_enabled()
        states.append(weights(m))
        calls.append([3.0, 1.0, 2.0, 1.0][len(calls)])
        return torch.tensor(calls[-1])

    history = train.fit(model, x, loss, epochs=4, batch_size=5, validate=validate)
    assert [entry["valid"] for entry in history] == [3.0, 1.0, 2.0, 1.0]
    assert torch.equal(weights(model), states[1])


def test_progress_bar(capsys, monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    train.fit(net(), x, square, epochs=2, batch_size=5)
    shown = capsys.readouterr().err
    assert "10/10" in shown and "step/s" in shown and "epoch 2, loss 0." in shown
    train.fit(net(), x, square, epochs=2, batch_size=5, progress=False)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    train.fit(net(), x, square, epochs=2, batch_size=5)
    assert capsys.readouterr().err == ""


# --- many processes -------------------------------------------------------------------------------------------------


def steady(seed=0):
    model = net(seed)
    model[2].p = 0.0  # every process draws its own dropout
    return model


def share_of_the_work():
    """Train on tensors and on a DataLoader -> two models and their losses."""
    models, losses, data = [steady(), steady()], [], x * torch.arange(1, 24)[:, None]  # no row like another
    for model, rows in zip(models, (data[:22], DataLoader(data[:17], batch_size=5, shuffle=True))):
        history = train.fit(model, rows, square, epochs=2, batch_size=5, lr=1e-4, optimizer=torch.optim.SGD)
        losses.append([entry["loss"] for entry in history])
    return models, losses


DISTRIBUTED = """
from accelerate import PartialState
assert train.device().type == "cpu"
models, losses = share_of_the_work()
if PartialState().is_main_process:
    for model, loss, path in zip(models, losses, sys.argv[1:]):
        checkpoints.save(model, path, processes=PartialState().num_processes, loss=loss)
PartialState().destroy_process_group()
"""


def test_two_processes_make_the_steps_of_one(tmp_path):
    """Batches of 5 rows are shared 3 to 2, the last one 1 to 1: the mean over all rows must come out even so.

    Of the weights and of what is reported.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    paths = [tmp_path / "tensors", tmp_path / "loader"]
    common = dict(WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port, CUDA_VISIBLE_DEVICES="")
    if torch.backends.mps.is_available():
        common["ACCELERATE_USE_CPU"] = "true"
    both = [start(tmp_path, DISTRIBUTED, *paths, **common, RANK=rank, LOCAL_RANK=rank) for rank in ("0", "1")]
    told = [process.communicate(timeout=STALLED)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    for one, loss, path in zip(*share_of_the_work(), paths):
        two = steady(seed=5)
        meta = checkpoints.load(two, path)
        assert meta["processes"] == 2 and meta["loss"] == pytest.approx(loss, rel=1e-5)
        assert torch.allclose(weights(one), weights(two), atol=1e-6)
        assert not torch.allclose(weights(one), weights(steady()), atol=1e-3)


def test_a_launch_that_starts_one_process_of_two_is_named(monkeypatch):
    """accelerate launch --cpu --num_processes 2 script.py sets these, and starts one process."""
    for name, value in {"ACCELERATE_MIXED_PRECISION": "no", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.warns(UserWarning, match="starts one; use torchrun --nproc-per-node 2"):
        train.fit(net(), x, square)


def test_accelerate_is_left_as_it_was(monkeypatch):
    """Its settings are global: a fit in full precision must not forbid an Accelerator of one's own afterwards."""
    train.fit(net(), x, square)
    train.device()
    mine = Accelerator(mixed_precision="bf16")
    train.fit(net(), x, square)  # works with what is there, and leaves it
    assert Accelerator().state is not None and mine.mixed_precision == Accelerator().mixed_precision == "bf16"
    mine.state._reset_state(reset_partial_state=True)


def test_bfloat16(monkeypatch):
    """The network computes in bfloat16, the weights and what is reported stay in float32."""
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    model, seen = net(), set()
    model[0].register_forward_hook(lambda layer, x, y: seen.add(y.dtype))

    def loss(model, x):
        return ((model(x).float() - x) ** 2).mean()

    history = train.fit(
        model, x, loss, epochs=30, batch_size=5, lr=0.01, validate=lambda model: square(model, held_out)
    )
    assert seen == {torch.bfloat16, torch.float32}, "the validation is in full precision"
    assert history[-1]["loss"] < 0.7 * history[0]["loss"] and weights(model).isfinite().all()
    values = train.evaluate(model.bfloat16(), x.bfloat16(), lambda m, x: m(x).mean(1))
    assert values.dtype == torch.float32 and values.shape == (23,)


# --- interruptions --------------------------------------------------------------------------------------------------


class Stop(KeyboardInterrupt):
    pass


def stopping(model, step):
    """The same model, but training stops as by Ctrl-C in its step number `step`."""
    calls = []

    def count(module, x):
        calls.append(module.training)
        if sum(calls) == step:
            raise Stop

    model.register_forward_pre_hook(count)
    return model


@pytest.mark.parametrize("kind", ["tensors", "loader"])
@pytest.mark.parametrize("optimizer", [None, torch.optim.AdamW, lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9)])
def test_resumed_training_is_the_same_to_the_bit(tmp_path, kind, optimizer):
    def data():
        return x if kind == "tensors" else DataLoader(TensorDataset(x), batch_size=5, shuffle=True)

    options = {**settings, "optimizer": optimizer, "epochs": 5, "schedule": "cosine"}
    whole = net()
    history = train.fit(whole, data(), square, **options)
    options["checkpoint"] = tmp_path / "run" / "training.safetensors"
    with pytest.raises(Stop):
        train.fit(stopping(net(), 13), data(), square, **options)  # in the middle of the third epoch
    torch.rand(7)
    resumed = net(seed=3)  # its weights come from the checkpoint
    told = train.fit(resumed, data(), square, **options)
    assert same(whole, resumed) and without_time(told) == without_time(history)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["training.safetensors"]
    again = stopping(net(seed=4), 1)  # a finished training is read, not repeated
    assert train.fit(again, data(), square, **options) == told and same(again, whole)
    with pytest.raises(Stop):
        train.fit(stopping(net(), 1), data(), square, **options, resume=False)


KILLED = """
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores Ctrl-C, and so its children
big = net(hidden=5000)  # the file takes longer to write than an epoch to compute
train.fit(big, x, square, epochs=100000, progress=False, checkpoint=sys.argv[1], **settings)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_kill_leaves_a_whole_checkpoint(tmp_path, how):
    path = tmp_path / "training.safetensors"
    # as many threads as here: sums over other numbers of threads round otherwise
    process = start(tmp_path, KILLED, path, OMP_NUM_THREADS=str(torch.get_num_threads()))
    while process.poll() is None and not path.exists():
        time.sleep(0.01)
    time.sleep(0.05)
    process.send_signal(how)
    error = process.communicate(timeout=STALLED)[1]
    assert process.returncode != 0 and ("KeyboardInterrupt" in error) == (how == signal.SIGINT), error
    done = len(checkpoints.meta(path)["history"])
    resumed, whole = net(seed=3, hidden=5000), net(hidden=5000)
    options = {**settings, "epochs": done + 1}
    told, history = train.fit(resumed, x, square, checkpoint=path, **options), train.fit(whole, x, square, **options)
    assert same(resumed, whole) and without_time(told) == without_time(history)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["script.py", path.name]


# --- what is not finite ---------------------------------------------------------------------------------------------


def spoil(step, value):
    calls = []

    def loss(model, x):
        calls.append(step)
        return square(model, x) * (value if len(calls) == step else 1)

    return loss


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_loss_that_is_not_finite(tmp_path, value):
    path, model = tmp_path / "training.safetensors", net()
    with pytest.raises(ValueError, match=rf"loss of epoch 2, batch 3 is {value}. Lower lr.*last good epoch"):
        train.fit(model, x, spoil(8, value), epochs=3, batch_size=5, checkpoint=path)
    assert weights(model).isfinite().all()
    assert len(checkpoints.meta(path)["history"]) == 1


def test_weights_or_validation_that_are_not_finite(tmp_path):
    """An infinite gradient under a finite loss would show in the next batch only: here there is none."""
    path = tmp_path / "training.safetensors"
    options = dict(batch_size=23, checkpoint=path, optimizer=torch.optim.SGD)
    spoilt = []

    def loss(model, x):
        return (model(x) * 0).abs().sqrt().sum() if spoilt else square(model, x)

    train.fit(net(), x, loss, epochs=1, **options)
    spoilt.append(True)
    with pytest.raises(ValueError, match="sum of all weights after epoch 2 is nan"):
        train.fit(net(), x, loss, epochs=2, **options)
    assert len(checkpoints.meta(path)["history"]) == 1
    with pytest.raises(ValueError, match="validation of epoch 1 is nan"):
        train.fit(net(), x, square, validate=lambda model: math.nan)


# --- checkpoints that do not fit ------------------------------------------------------------------------------------


def test_checkpoint_of_another_training(tmp_path):
    path = tmp_path / "training.safetensors"
    options = {**settings, "epochs": 1, "checkpoint": path}
    train.fit(net(), x, square, **options)
    before = path.read_bytes()
    careful = partial(torch.optim.Adam, fused=True, betas=(0.5, 0.9))
    changes = dict(lr=0.01, seed=1, ema=None, schedule="cosine", validate=None, optimizer=torch.optim.SGD)
    for told, change in [
        *((name, {name: value}) for name, value in changes.items()),
        ("steps", {"batch_size": 4}),
        ("options", {"optimizer": careful}),
    ]:
        model = net(seed=1)
        with pytest.raises(ValueError, match=f"training.safetensors was written with {told}=.*resume=False"):
            train.fit(model, x, square, **{**options, **change})
        assert same(model, net(seed=1))
    with pytest.raises(ValueError, match="does not fit this model"):
        train.fit(net(hidden=9), x, square, **options)
    other = x.clone()
    other[22, 5] += 1e-6
    for told, changed in [
        ("data='float32", {"batches": other}),
        ("data='float32", {"batches": (x, x)}),
        ("loss='square", {"loss": lambda model, x: ((model(x) - x) ** 2).sum()}),
    ]:
        with pytest.raises(ValueError, match=f"training.safetensors was written with {told}.*resume=False"):
            train.fit(**{"model": net(), "batches": x, "loss": square, **changed}, **options)
    assert path.read_bytes() == before
    checkpoints.save(net(), path)
    with pytest.raises(ValueError, match="holds a model, not a training"):
        train.fit(net(), x, square, **options)
    path.write_bytes(before[:-100])
    with pytest.raises(ValueError, match="truncated, altered"):
        train.fit(net(), x, square, **options)
    train.fit(net(), x, square, **options, resume=False)
    assert len(checkpoints.meta(path)["history"]) == 1


def test_what_a_killed_training_left_is_swept_away(tmp_path):
    for name in ("run.safetensors.1a2b.part", "run.safetensors", "other.safetensors.1a2b.part"):
        (tmp_path / name).write_bytes(b"half")
    train.fit(net(), x, square, checkpoint=tmp_path / "run.safetensors", resume=False)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["other.safetensors.1a2b.part", "run.safetensors"]


def test_checkpoint_of_another_batch_size_length_or_loader(tmp_path):
    """As many steps, or as many rows, and still another training."""
    options = {"checkpoint": tmp_path / "training.safetensors", "schedule": "cosine"}
    train.fit(net(), x[:20], square, epochs=2, batch_size=5, **options)
    with pytest.raises(ValueError, match="was written with batch_size=5, now it is 6"):
        train.fit(net(), x[:20], square, epochs=2, batch_size=6, **options)
    with pytest.raises(ValueError, match="was written with epochs=2, now it is 3"):
        train.fit(net(), x[:20], square, epochs=3, batch_size=5, **options)
    options["checkpoint"] = tmp_path / "frozen.safetensors"
    train.fit(net(), x, square, **options)
    half = net()
    next(half.parameters()).requires_grad_(False)
    with pytest.raises(ValueError, match="was written with frozen="):
        train.fit(half, x, square, **options)
    options["checkpoint"] = tmp_path / "judged.safetensors"
    train.fit(net(), x, square, validate=lambda model: square(model, x), **options)
    with pytest.raises(ValueError, match="was written with validate="):  # another number to compare the best one with
        train.fit(net(), x, square, validate=lambda model: -square(model, x), **options)
    options["checkpoint"] = tmp_path / "subset.safetensors"
    train.fit(net(), DataLoader(Subset(TensorDataset(x), range(10)), batch_size=5), square, **options)
    with pytest.raises(ValueError, match="was written with data='float32"):
        train.fit(net(), DataLoader(Subset(TensorDataset(x), range(10, 20)), batch_size=5), square, **options)
    options["checkpoint"] = tmp_path / "loader.safetensors"
    train.fit(net(), DataLoader(TensorDataset(x), batch_size=5), square, epochs=2, **options)
    with pytest.raises(ValueError, match="was written with data='float32"):
        train.fit(net(), DataLoader(TensorDataset(x + 1), batch_size=5), square, epochs=2, **options)
    with pytest.raises(ValueError, match=r"was written with data=.* SequentialSampler', now it is .* RandomSampler'"):
        train.fit(net(), DataLoader(TensorDataset(x), batch_size=5, shuffle=True), square, epochs=2, **options)


def test_a_loss_that_was_edited_does_not_get_the_old_model_back(tmp_path):
    """What counts is what a loss computes, also by way of values around it: not its name, its place or its spaces."""

    def power(exponent):
        return lambda model, x: ((model(x) - x).abs() ** exponent).mean()

    def weighted(model, x, *, by=1.0):
        return by * square(model, x)

    def trained(loss):
        return train.fit(net(), x, loss, checkpoint=tmp_path / "training.safetensors")

    trained(power(2))
    trained(lambda model, x: ((model(x) - x).abs() ** exponent).mean()) if (exponent := 2) else None
    for loss in (power(3), partial(weighted, by=2.0), square):
        with pytest.raises(ValueError, match="was written with loss="):
            trained(loss)
    (tmp_path / "training.safetensors").unlink()
    trained(partial(weighted, by=2.0))
    trained(partial(weighted, by=2.0))
    with pytest.raises(ValueError, match="was written with loss="):
        trained(partial(weighted, by=3.0))


# --- the rest -------------------------------------------------------------------------------------------------------


def test_evaluate():
    model = net()
    values = train.evaluate(model, x, lambda m, x: m(x).sum(1), batch_size=4)
    assert model.training and not values.requires_grad
    model.eval()
    assert torch.allclose(values, model(x).sum(1), atol=1e-6)
    pairs = train.evaluate(model, (x, x[:, :1]), lambda m, x, c: m(x).sum(1) * c[:, 0], batch_size=23)
    assert torch.allclose(pairs, values * x[:, 0], atol=1e-6) and not model.training

    class Fair(nn.Module):
        def log_prob(self, x):
            return torch.full((len(x),), -x.shape[1] * math.log(2))

    assert train.evaluate(Fair(), x).tolist() == pytest.approx([-6 * math.log(2)] * 23)


def test_evaluate_on_anything():
    model = net().eval()
    values = train.evaluate(model, x, lambda m, x: m(x).sum(1))
    for data in (DataLoader(x, batch_size=5), [x], iter([x]), DataLoader(TensorDataset(x), batch_size=23)):
        assert torch.allclose(train.evaluate(model, data, lambda m, x: m(x).sum(1)), values, atol=1e-6)
    assert train.evaluate(model.double(), x.double(), lambda m, x: m(x).sum(1)).dtype == torch.float64
    for f, told in [
        (lambda m, x: m(x).sum(), r"f returned \(\) for 23 rows; it needs one entry a row"),
        (lambda m, x: m(x).sum().item(), "f returned float for 23 rows"),
        (lambda m, x: m(x).sum(0), r"f returned \(6,\) for 23 rows"),
    ]:
        with pytest.raises(ValueError, match=told):
            train.evaluate(model.float(), x, f)
    with pytest.raises(ValueError, match="the DataLoader gives no batch"):
        train.evaluate(model, DataLoader(x[:3], batch_size=5, drop_last=True))


class Stream(IterableDataset):
    def __iter__(self):
        return iter(x)


def test_a_stream(tmp_path):
    """Data that have no length: no number of steps is known, and none is needed."""
    streamed, whole = steady(), steady()
    options = {"epochs": 3, "lr": 0.1, "optimizer": torch.optim.SGD}
    told = train.fit(streamed, DataLoader(Stream(), batch_size=5), square, **options, checkpoint=tmp_path / "file")
    history = train.fit(whole, DataLoader(x, batch_size=5), square, **options)
    assert same(streamed, whole) and without_time(told) == without_time(history)
    with pytest.raises(ValueError, match=r"a schedule needs the number of steps.*schedule=None"):
        train.fit(net(), DataLoader(Stream(), batch_size=5), square, schedule="cosine")


def test_whole_numbers_are_taken_as_they_are():
    def loss(model, x):
        assert x.dtype == torch.uint8
        return square(model, x.float() / 255)

    train.fit(net(), (255 * x).byte(), loss)


def test_device():
    assert train.device() == torch.device("cpu") or train.device().type in ("cuda", "mps")


def test_arguments_that_were_taken_in_silence_or_failed_deep_inside():
    for told, change in [
        ("ema is 1.5", {"ema": 1.5}),
        ("ema is -1", {"ema": -1}),
        ("batch_size is True", {"batch_size": True}),
        ("validate is a int", {"validate": 3}),
    ]:
        with pytest.raises(ValueError, match=told):
            train.fit(net(), x, square, **change)
    for model in (nn.Linear, square):
        with pytest.raises(ValueError, match="is no model; fit trains"):
            train.fit(model, x, square)
    with pytest.raises(ValueError, match="batch_size is 0"):
        train.evaluate(net(), x, square, batch_size=0)


def test_bad_arguments():
    model = net()
    before = weights(model)
    for data, told in [
        (x.numpy(), "the data are a ndarray; pass a tensor or a tuple of them, as torch.as_tensor makes of an array"),
        ((x.numpy(), x.numpy()), "the data are a tuple of ndarray; pass a tensor"),
        ({"x": x}, "the data are a dict; pass a tensor"),
        ([], "the data are a list"),
        (torch.tensor(1.0), r"shapes \[\(\)\]; every tensor needs"),
        ((x, x[:5]), r"shapes \[\(23, 6\), \(5, 6\)\]; every tensor needs the same number of rows"),
        (x[:0], "at least one"),
    ]:
        with pytest.raises(ValueError, match=told):
            train.fit(model, data, square)
        with pytest.raises(ValueError, match=told):
            train.evaluate(model, data)
    for size in (0, 2.5, 5.0):
        with pytest.raises(ValueError, match=f"batch_size is {size}; it must be a whole number, at least 1"):
            train.fit(model, x, square, batch_size=size)
    for epochs in (-1, 1.5):
        with pytest.raises(ValueError, match=f"epochs is {epochs}; it must be a whole number, at least 0"):
            train.fit(model, x, square, epochs=epochs)
    with pytest.raises(ValueError, match="the DataLoader gives no batch: its data are empty, or less than a batch"):
        train.fit(model, DataLoader(x[:3], batch_size=5, drop_last=True), square)
    for optimizer, told in (torch.optim.SGD(model.parameters(), lr=0.1), "SGD"), ("adam", "str"):
        with pytest.raises(ValueError, match=f"optimizer is a {told}, not a function of .*optimizer=torch.optim.SGD"):
            train.fit(model, x, square, optimizer=optimizer)
    with pytest.raises(ValueError, match="all 4 parameters of this Sequential are frozen; set requires_grad"):
        train.fit(net().requires_grad_(False), x, square)
    with pytest.raises(ValueError, match="this Flatten has no parameters"):
        train.fit(nn.Flatten(), x, square)
    with pytest.raises(ValueError, match="the loss does not depend on the parameters"):
        train.fit(model, x, lambda m, x: square(m, x).detach())
    with pytest.raises(ValueError, match="schedule is 'cosin'; choose None or \"cosine\""):
        train.fit(model, x, square, schedule="cosin")
    with pytest.raises(ValueError, match=r"the loss returned \(23,\), not a scalar tensor; .*mean"):
        train.fit(model, x, lambda m, x: ((m(x) - x) ** 2).mean(1))
    with pytest.raises(ValueError, match="the loss returned float"):
        train.fit(model, x, lambda m, x: square(m, x).item())
    assert torch.equal(weights(model), before)

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
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from hybridlib import train

# What the tests train, also in other processes: dropout, and 23 rows in batches of 5, so that the last one is smaller.


def net(seed=0, hidden=8):
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
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


def share_of_the_work():
    """Train on tensors and on a DataLoader -> two models and their last losses."""
    models, losses = [net(), net()], []
    for model, data in zip(models, (x[:22], DataLoader(x[:18], batch_size=6))):
        model[2].p = 0.0  # every process draws its own dropout
        history = train.fit(model, data, square, epochs=2, batch_size=5, lr=0.1, optimizer=torch.optim.SGD)
        losses.append(history[-1]["loss"])
    return models, losses


DISTRIBUTED = """
from accelerate import PartialState
assert train.device().type == "cpu"
models, losses = share_of_the_work()
if PartialState().is_main_process:
    for model, loss, path in zip(models, losses, sys.argv[1:]):
        train.save(model, path, processes=PartialState().num_processes, loss=loss)
PartialState().destroy_process_group()
"""


def test_two_processes_make_the_steps_of_one(tmp_path):
    """Batches of 5 rows are shared 3 to 2, the last one 1 to 1: the mean over all rows must come out even so."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    paths = [tmp_path / "tensors", tmp_path / "loader"]
    common = dict(WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port, CUDA_VISIBLE_DEVICES="")
    if torch.backends.mps.is_available():
        common["ACCELERATE_USE_CPU"] = "true"
    both = [start(tmp_path, DISTRIBUTED, *paths, **common, RANK=rank, LOCAL_RANK=rank) for rank in ("0", "1")]
    told = [process.communicate(timeout=240)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    for one, loss, path in zip(*share_of_the_work(), paths):
        two = net(seed=5)
        meta = train.load(two, path)
        assert meta["processes"] == 2 and meta["loss"] == pytest.approx(loss, rel=0.05)
        assert torch.allclose(weights(one), weights(two), atol=1e-6)
        assert not torch.allclose(weights(one), weights(net()), atol=1e-2)


# --- interruptions --------------------------------------------------------------------------------------------------


class Stop(KeyboardInterrupt):
    pass


def stop_at(step):
    calls = []

    def loss(model, *batch):
        calls.append(step)
        if len(calls) == step:
            raise Stop
        return square(model, batch[0])

    return loss


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
        train.fit(net(), data(), stop_at(13), **options)  # in the middle of the third epoch
    torch.rand(7)
    resumed = net(seed=3)  # its weights come from the checkpoint
    told = train.fit(resumed, data(), square, **options)
    assert same(whole, resumed) and without_time(told) == without_time(history)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["training.safetensors"]
    again = net(seed=4)  # a finished training is read, not repeated
    assert train.fit(again, data(), stop_at(1), **options) == told and same(again, whole)
    with pytest.raises(Stop):
        train.fit(net(), data(), stop_at(1), **options, resume=False)


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
    error = process.communicate(timeout=240)[1]
    assert process.returncode != 0 and ("KeyboardInterrupt" in error) == (how == signal.SIGINT), error
    done = len(train._read(path)[1]["history"])
    resumed, whole = net(seed=3, hidden=5000), net(hidden=5000)
    options = {**settings, "epochs": done + 1}
    told, history = train.fit(resumed, x, square, checkpoint=path, **options), train.fit(whole, x, square, **options)
    assert same(resumed, whole) and without_time(told) == without_time(history)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["script.py", path.name]


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch, where):
    path = tmp_path / "model.safetensors"
    train.save(net(), path, which="old")

    def full(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(train.os, where, full)
        train.save(net(seed=1), path, which="new")
    model = net(seed=2)
    assert train.load(model, path) == {"which": "old"} and same(model, net())
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


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
    assert len(train._read(path)[1]["history"]) == 1


def test_weights_or_validation_that_are_not_finite(tmp_path):
    """An infinite gradient under a finite loss would show in the next batch only: here there is none."""
    path = tmp_path / "training.safetensors"
    options = dict(batch_size=23, checkpoint=path, optimizer=torch.optim.SGD)
    good = net()
    train.fit(good, x, square, epochs=1, **options)
    with pytest.raises(ValueError, match="sum of all weights after epoch 2 is nan"):
        train.fit(net(), x, lambda model, x: (model(x) * 0).abs().sqrt().sum(), epochs=2, **options)
    assert len(train._read(path)[1]["history"]) == 1
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
    assert path.read_bytes() == before
    train.save(net(), path)
    with pytest.raises(ValueError, match="holds a model, not a training"):
        train.fit(net(), x, square, **options)
    path.write_bytes(before[:-100])
    with pytest.raises(ValueError, match="truncated, altered"):
        train.fit(net(), x, square, **options)
    train.fit(net(), x, square, **options, resume=False)
    assert len(train._read(path)[1]["history"]) == 1


# --- saved models ---------------------------------------------------------------------------------------------------


class Odd(nn.Module):
    """Tied weights, a whole number, a truth value, half precision, nothing at all."""

    def __init__(self, fill=0.5):
        super().__init__()
        self.a = nn.Parameter(torch.full((3, 2), fill))
        self.tied = self.a
        self.register_buffer("count", torch.tensor(int(10 * fill)))
        self.register_buffer("flag", torch.tensor([fill > 0.6, True]))
        self.register_buffer("low", torch.tensor([fill], dtype=torch.bfloat16))
        self.register_buffer("empty", torch.zeros(0, 4))
        self.register_buffer("slanted", torch.full((2, 3), fill).T)


def test_save_and_load(tmp_path):
    path = tmp_path / "new" / "folder" / "model.safetensors"
    written, read = Odd(0.7), Odd()
    meta = {"nll": 88.04, "hidden": [500, 500], "name": "a « ü » 中", "none": None}
    train.save(written, path, **meta)
    assert train.load(read, str(path)) == meta and not read.training
    for (name, a), b in zip(written.state_dict().items(), read.state_dict().values()):
        assert torch.equal(a, b) and a.dtype == b.dtype, name
    with pytest.raises(TypeError, match="not JSON serializable"):
        train.save(written, tmp_path / "other", nll=torch.tensor(1.0))
    assert not (tmp_path / "other").exists()


def test_damaged_file(tmp_path):
    """Cut anywhere or changed anywhere, also within a weight, where the format itself would not notice."""
    path = tmp_path / "model.safetensors"
    train.save(net(), path, note="x")
    raw = path.read_bytes()
    damaged = [raw[:length] for length in (0, 4, 8, 40, len(raw) // 2, len(raw) - 1)]
    damaged += [raw[:i] + bytes([raw[i] ^ 1]) + raw[i + 1 :] for i in range(len(raw))]
    damaged += [raw + b"more", b"\x80\x04\x95 a pickle", b"{}", b"\x02" + bytes(7) + b"{}", b"\x02" + bytes(7) + b"[]"]
    model = net(seed=1)
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"model.safetensors is truncated, altered .*write it again"):
            train.load(model, path)
    assert same(model, net(seed=1))
    path.write_bytes(raw)
    assert train.load(model, path) == {"note": "x"} and same(model, net())


@pytest.mark.parametrize(
    "other, told",
    [
        (lambda: net(hidden=9), r"0.weight is \(8, 6\), the model's \(9, 6\)"),
        (lambda: nn.Sequential(nn.Linear(6, 8)), r"3.bias \(6,\) has no place; 3.weight \(6, 8\) has no place"),
        (lambda: nn.Sequential(*net(), nn.Linear(6, 6)), r"4.weight \(6, 6\) is missing"),
    ],
)
def test_file_of_another_model(tmp_path, other, told):
    path, model = tmp_path / "model.safetensors", other()
    train.save(net(), path)
    before = weights(model)
    with pytest.raises(ValueError, match=rf"model.safetensors does not fit this model: .*{told}.* arguments it had"):
        train.load(model, path)
    assert torch.equal(weights(model), before)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        train.load(model, tmp_path / "nowhere")


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


def test_device():
    assert train.device() == torch.device("cpu") or train.device().type in ("cuda", "mps")


def test_bad_arguments():
    model = net()
    before = weights(model)
    for data, told in [
        (x.numpy(), "the data are a ndarray; pass a tensor"),
        ([], "the data are a list"),
        ((x, x[:5]), r"shapes \[\(23, 6\), \(5, 6\)\]; every tensor needs the same number of rows"),
        (x[:0], "at least one"),
    ]:
        with pytest.raises(ValueError, match=told):
            train.fit(model, data, square)
        with pytest.raises(ValueError, match=told):
            train.evaluate(model, data)
    with pytest.raises(ValueError, match="batch_size is 0; it must be at least 1"):
        train.fit(model, x, square, batch_size=0)
    with pytest.raises(ValueError, match="schedule is 'cosin'; choose None or \"cosine\""):
        train.fit(model, x, square, schedule="cosin")
    with pytest.raises(ValueError, match=r"the loss returned \(23,\), not a scalar tensor; .*mean"):
        train.fit(model, x, lambda m, x: ((m(x) - x) ** 2).mean(1))
    with pytest.raises(ValueError, match="the loss returned float"):
        train.fit(model, x, lambda m, x: square(m, x).item())
    assert torch.equal(weights(model), before)

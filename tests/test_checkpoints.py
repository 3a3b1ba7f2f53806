"""Files hold what was saved or are refused; the networks that come with the library load, and draw molecules."""

import json
import math
import time

import numpy as np
import pytest
import torch
from shaken import rng
from test_train import STALLED, net, same, start, weights
from torch import nn

from hybridlib import __version__, checkpoints
from hybridlib.flows import Coupling, Spline, maf
from hybridlib.graphaf import GraphAF
from hybridlib.made import MADE, random_orders
from hybridlib.molecules import from_smiles, to_smiles
from hybridlib.outputs import LogisticMixture
from hybridlib.transformer import Transformer

FILES = sorted(checkpoints.FOLDER.glob("*.safetensors"))


# --- saved models -----------------------------------------------------------------------------------------------------


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
    checkpoints.save(written, path, **meta)
    assert checkpoints.load(read, str(path)) == meta and not read.training
    for (name, a), b in zip(written.state_dict().items(), read.state_dict().values()):
        assert torch.equal(a, b) and a.dtype == b.dtype, name
    with pytest.raises(TypeError, match="not JSON serializable"):
        checkpoints.save(written, tmp_path / "other", nll=torch.tensor(1.0))
    assert not (tmp_path / "other").exists()
    checkpoints.save(written, path, nll=np.float32(1), n=np.int64(3), curve=np.arange(2.0))
    assert checkpoints.meta(path) == {"nll": 1.0, "n": 3, "curve": [0.0, 1.0]}


def test_a_file_builds_its_model(tmp_path):
    """Also in float64, and global chance is left alone."""
    path = tmp_path / "model.safetensors"
    for model in (net(), maf(3, 2, (8,), univariate=Spline(4, reach=3.0)).double(), MADE(4, (8,)).bfloat16()):
        checkpoints.save(model.train(), path, note="x")
        before = torch.get_rng_state()
        again = checkpoints.load(path)
        assert torch.equal(torch.get_rng_state(), before)
        assert type(again) is type(model) and same(again, model) and not again.training
        assert {t.dtype for t in again.state_dict().values()} == {t.dtype for t in model.state_dict().values()}
        assert checkpoints.meta(path) == {"note": "x"}
    bits = torch.ones(5, 4)
    assert torch.equal(again.log_prob(bits), model.eval().log_prob(bits))
    assert checkpoints._read(path)[2]["version"] == __version__
    with pytest.raises(ValueError, match="takes a path, or a model and a path"):
        checkpoints.load(model)


class Heads(nn.Module):
    """A reader's own model: the number of heads is in no shape."""

    def __init__(self, heads):
        super().__init__()
        self.heads, self.layer = heads, nn.Linear(4, 4)


class Mine(MADE):
    def __init__(self, D, *, sharpness):
        super().__init__(D, (8,))
        self.sharpness = sharpness


@pytest.mark.parametrize(
    "saved, given, told",
    [
        (
            MADE(3, (4,), output=LogisticMixture(2, unit=0.0625)),
            MADE(3, (4,), output=LogisticMixture(2)),
            "output.unit was 0.0625, this model's is 1.0",
        ),
        (
            maf(3, 1, (4,), univariate=Spline(reach=4.0)),
            maf(3, 1, (4,), univariate=Spline(reach=8.0)),
            "reach was 4.0, .* 8.0",
        ),
        (Transformer(4, 2, width=8, heads=2), Transformer(4, 2, width=8, heads=4), "heads was 2, this model's is 4"),
        (MADE(3, (4, 4), residual=True), MADE(3, (4, 4)), "residual was True, this model's is False"),
        (MADE(3, (4,), orders=[0, 2, 1]), MADE(3, (4,)), r"orders was \[0, 2, 1\], this model's is None"),
        (nn.Sequential(nn.Linear(2, 2), nn.ReLU()), nn.Sequential(nn.Linear(2, 2), nn.Tanh()), "1 was a torch.nn.ReLU"),
        (Heads(2), Heads(4), "heads was 2, this model's is 4"),
        (Mine(3, sharpness=1), Mine(3, sharpness=2), "sharpness was 1, this model's is 2"),
        (MADE(3, (8,)), Mine(3, sharpness=2), "the model was a hybridlib.made.MADE, this is a Mine"),
    ],
)
def test_file_of_a_model_of_the_same_shapes(tmp_path, saved, given, told):
    path = tmp_path / "model.safetensors"
    checkpoints.save(saved, path)
    before = weights(given)
    with pytest.raises(ValueError, match=rf"does not fit this model: .*{told}"):
        checkpoints.load(given, path)
    assert torch.equal(weights(given), before)


def test_first_weights_and_dealing_do_not_count(tmp_path):
    """The file replaces them."""
    path, orders = tmp_path / "model.safetensors", random_orders(2, 4, generator=torch.Generator().manual_seed(0))
    saved, given = (MADE(4, (8,), orders=orders, connectivity=True) for _ in range(2))
    checkpoints.save(saved, path)
    checkpoints.load(given, path)
    assert same(saved, given) and torch.equal(saved.log_prob(torch.ones(1, 4)), given.log_prob(torch.ones(1, 4)))


def test_a_model_that_only_its_author_can_build(tmp_path):
    path = tmp_path / "model.safetensors"
    for model, name in (Heads(2), "Heads"), (Mine(3, sharpness=1), "Mine"), (nn.Sequential(Heads(2)), "Heads"):
        checkpoints.save(model, path)
        with pytest.raises(ValueError, match=f"{name} is neither a class of hybridlib nor .*use load\\(model, path\\)"):
            checkpoints.load(path)
        assert checkpoints.load(model, path) == {}


@pytest.mark.parametrize(
    "name", ["os.system", "hybridlib.checkpoints.os", "hybridlib.recipes.run", "hybridlib.made.Autoregressive",
             "torch.nn.Module", "hybridlib.../made.MADE", "subprocess.Popen", "hybridlib.made.nn", 7, None, ["made"]]
)  # fmt: skip
def test_nothing_else_is_built_from_a_file(tmp_path, monkeypatch, name):
    path = tmp_path / "model.safetensors"
    monkeypatch.setattr(checkpoints, "describe", lambda model: {"class": name, "arguments": {}})
    checkpoints.save(net(), path)
    with pytest.raises(ValueError, match="is neither a class of hybridlib nor"):
        checkpoints.load(path)


def test_arguments_that_no_model_takes(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    for arguments in ({"D": 0}, {"E": 3}, [], None):
        monkeypatch.setattr(
            checkpoints, "describe", lambda model, a=arguments: {"class": "hybridlib.made.MADE", "arguments": a}
        )
        checkpoints.save(net(), path)
        with pytest.raises(ValueError, match=r"cannot build its model by itself .*use load\(model, path\)"):
            checkpoints.load(path)


def test_weights_that_no_training_leaves(tmp_path):
    path = tmp_path / "model.safetensors"

    def refused(model, told, given=None):
        checkpoints.save(model, path)
        with pytest.raises(ValueError, match=told):
            checkpoints.load(given or MADE(4, (8,), orders=[3, 1, 0, 2]), path)
        if "float16" not in told and given is None:  # what is built takes the precision of the file
            with pytest.raises(ValueError, match=told):
                checkpoints.load(path)

    def changed(name, value):
        model = MADE(4, (8,), orders=[3, 1, 0, 2])
        model.state_dict()[name].view(-1)[0] = value
        return model

    refused(changed("net.out.bias", math.nan), "holds NaN or infinite weights: net.out.bias")
    refused(changed("net.out.bias", math.inf), "holds NaN or infinite weights: net.out.bias")
    refused(changed("orders", 2), r"orders = \[\[2, 1, 0, 2\]\], which is no permutation")
    refused(changed("orders", 7), r"orders = \[\[7, 1, 0, 2\]\], which is no permutation")
    half = MADE(4, (8,), orders=[3, 1, 0, 2]).half()
    refused(half, r"net.hidden.0.weight is torch.float16, the model's torch.float32.*model.double\(\)")
    whole = nn.Linear(2, 2)
    whole.weight = nn.Parameter(torch.ones(2, 2, dtype=torch.int8), requires_grad=False)
    refused(whole, "weight is torch.int8, the model's torch.float32", nn.Linear(2, 2))
    coupling = Coupling([True, False], nn.Linear(1, 2))
    coupling.passing += 1
    refused(coupling, "passing = ", Coupling([True, False], nn.Linear(1, 2)))
    masked = nn.Linear(2, 2)
    masked.register_buffer("mask", torch.tensor([[0.0, -math.inf], [0.0, 0.0]]))  # a buffer may be infinite
    checkpoints.save(masked, path)
    assert checkpoints.load(masked, path) == {}


def test_nested_without_end(tmp_path, monkeypatch):
    """Thousands of brackets, with a right checksum, would be too deep for Python."""
    path, deep = tmp_path / "model.safetensors", "[" * 100_000 + "]" * 100_000
    monkeypatch.setattr(checkpoints.json, "dumps", lambda value, **_: deep)
    checkpoints.save(net(), path)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="truncated, altered or not of this library"):
        checkpoints.load(net(), path)
    path.write_bytes(len(deep).to_bytes(8, "little") + deep.encode())
    with pytest.raises(ValueError, match="truncated, altered or not of this library"):
        checkpoints.meta(path)


def test_a_file_from_before_files_said_what_they_hold(tmp_path):
    path = tmp_path / "model.safetensors"
    header = {"meta": json.dumps({"which": "old"}), "crc32": "0"}
    path.write_bytes(checkpoints.safetensors.save(net().state_dict(), header))
    with pytest.raises(ValueError, match="was written before files said which model they hold"):
        checkpoints.load(net(), path)


SAVING = """
for i in range(150):
    checkpoints.save(net(seed=i), sys.argv[1], i=i)
"""


def test_two_processes_that_save_to_one_path(tmp_path):
    path = tmp_path / "model.safetensors"
    checkpoints.save(net(), path, i=0)
    both = [start(tmp_path, SAVING, path) for _ in range(2)]
    while any(process.poll() is None for process in both):
        checkpoints.load(path)  # whole at every moment
        time.sleep(0.01)
    told = [process.communicate(timeout=STALLED)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert same(checkpoints.load(path), net(seed=149))
    assert sorted(file.name for file in tmp_path.iterdir()) == [path.name, "script.py"]


def test_damaged_file(tmp_path):
    """Cut anywhere or changed anywhere, also within a weight, where the format itself would not notice."""
    path = tmp_path / "model.safetensors"
    checkpoints.save(net(), path, note="x")
    raw = path.read_bytes()
    damaged = [raw[:length] for length in (0, 4, 8, 40, len(raw) // 2, len(raw) - 1)]
    damaged += [raw[:i] + bytes([raw[i] ^ 1]) + raw[i + 1 :] for i in range(len(raw))]
    damaged += [raw + b"more", b"\x80\x04\x95 a pickle", b"{}", b"\x02" + bytes(7) + b"{}", b"\x02" + bytes(7) + b"[]"]
    model = net(seed=1)
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"model.safetensors is truncated, altered .*write it again"):
            checkpoints.load(model, path)
    assert same(model, net(seed=1))
    path.write_bytes(raw)
    assert checkpoints.load(model, path) == {"note": "x"} and same(model, net())


@pytest.mark.parametrize(
    "other, told",
    [
        (
            lambda: net(hidden=9),
            r"0.out_features was 8, this model's is 9; .*0.weight is \(8, 6\), the model's \(9, 6\)",
        ),
        (lambda: nn.Sequential(nn.Linear(6, 8)), r"3.bias \(6,\) has no place; 3.weight \(6, 8\) has no place"),
        (lambda: nn.Sequential(*net(), nn.Linear(6, 6)), r"4.weight \(6, 6\) is missing"),
    ],
)
def test_file_of_another_model(tmp_path, other, told):
    path, model = tmp_path / "model.safetensors", other()
    checkpoints.save(net(), path)
    before = weights(model)
    with pytest.raises(ValueError, match=rf"model.safetensors does not fit this model: .*{told}.* arguments it had"):
        checkpoints.load(model, path)
    assert torch.equal(weights(model), before)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        checkpoints.load(model, tmp_path / "nowhere")


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch, where):
    path = tmp_path / "model.safetensors"
    checkpoints.save(net(), path, which="old")

    def full(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(checkpoints.os, where, full)
        checkpoints.save(net(seed=1), path, which="new")
    model = net(seed=2)
    assert checkpoints.load(model, path) == {"which": "old"} and same(model, net())
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


# --- what comes with the library --------------------------------------------------------------------------------------


def test_there_is_one():
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_draws_molecules_and_knows_its_training(path):
    model = checkpoints.pretrained(path.stem)
    assert not model.training and path.stat().st_size < 4e6
    graph = model.sample(200, generator=rng())
    smiles = to_smiles(graph)
    assert sum(text is not None for text in smiles) > 160
    assert 20 < graph.sizes.double().mean() < 26, "ZINC250k has 23 atoms"
    aspirin, other = (
        model.log_prob(from_smiles([text], A=model.A, N=model.N)) for text in ("CC(=O)Oc1ccccc1C(=O)O", "FN=NOSI")
    )
    assert aspirin > other + 10
    curve = checkpoints.meta(path)["member"]["curve"]
    assert len(curve) == checkpoints.meta(path)["settings"]["epochs"] and curve[-1]["valid"] < curve[0]["valid"]
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values()) and torch.is_grad_enabled()


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="no checkpoint 'graphaf', nor a file of this name; there are zinc_exact"):
        checkpoints.pretrained("graphaf")
    with pytest.raises(ValueError, match="there is no checkpoint 'aaa") as error:
        checkpoints.pretrained("a" * 5000)
    assert len(str(error.value)) < 400
    for odd in (None, 5, b"zinc_exact", ["zinc_exact"]):
        with pytest.raises(ValueError, match=f"a name or a path, got {type(odd).__name__}"):
            checkpoints.pretrained(odd)


def test_no_way_out_of_the_folder(tmp_path, monkeypatch):
    """A name is a name: it is not glued to a folder, from which dots would lead anywhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoints, "FOLDER", tmp_path / "inside" / "checkpoints")
    checkpoints.save(GraphAF(H=4), tmp_path / "x.safetensors")
    for name in ("../../x", str(tmp_path / "x"), "", ".", "../x.safetensors"):
        with pytest.raises(ValueError, match="there is no checkpoint"):
            checkpoints.pretrained(name)


def test_a_file_of_ones_own(tmp_path):
    model, path = GraphAF(3, 5, H=8, reading="categorical", masked=True), tmp_path / "mine.safetensors"
    checkpoints.save(model, path)
    for name in (path, str(path)):
        mine = checkpoints.pretrained(name)
        assert (mine.A, mine.N, mine.reading, mine.masked) == (3, 5, "categorical", True) and not mine.training
        assert all(torch.equal(a, b) for a, b in zip(mine.state_dict().values(), model.state_dict().values()))
    checkpoints.save(MADE(4, (8,)), path)
    assert type(checkpoints.pretrained(path)) is MADE, "whatever a file holds"

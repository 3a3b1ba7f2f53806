"""An interruption costs nothing, and no recipe takes a model of other data or settings for its own."""

import json

import pytest
import torch

from hybridlib import datasets, recipes, train
from hybridlib.molecules import from_smiles
from hybridlib.recipes import training, vectors


def test_every_single_model_runs_and_learns(small, tmp_path):
    name, data = small.name, small.data
    model, record = small(tmp_path)
    test, curve = record["test"], [epoch["valid"] for epoch in record["curve"]]
    assert len(curve) == small.options["epochs"] and curve[record["best_epoch"] - 1] == min(curve) < curve[0]
    assert record["name"] == name and record["data"]["train"] == len(data.train) and record["seeds"] == [0]
    assert record["parameters"] == sum(p.numel() for p in model.parameters())
    assert json.loads(json.dumps(record)) == record
    if name == "zinc_smiles":
        nats, length = -train.evaluate(model, data.test), (data.test != 0).sum(1) + 1
        assert test["characters"] == length.sum() and test["nll"] == pytest.approx(nats.mean().item(), abs=1e-3)
        assert test["nats_per_character"] == pytest.approx((nats.sum() / length.sum()).item(), abs=1e-4)
        assert test["nats_per_character"] < 1, "ln 4 would be a guess"
        samples = record["samples"]
        assert samples["n"] == 200 and samples["valid"]["value"] > 0.8
        assert samples["unique"]["value"] < 0.5, "there are only nine strings to learn, and a few by mistake"
    else:
        assert test["nll"] < 8, "16 ln 2 = 11.1 by frequencies, whose pixels are fair coins"
        assert test["bits_per_dim"] == pytest.approx(test["nll"] / 16 / 0.693147, abs=1e-4)
    if name == "static_vae":
        assert (test["samples"], record["valid"]["samples"]) == (50, 50)
        assert test["nll"] < test["elbo"], "many samples bound more tightly than one"
        bound = -vectors._bound(model, data.test, 50).mean().item()
        assert test["nll"] == pytest.approx(bound, abs=1e-3)
    if name == "static_transformer":
        assert test["nll"] == pytest.approx(-train.evaluate(model, data.test).mean().item(), abs=1e-3)


def test_portions_differ_from_epoch_to_epoch():
    x = torch.arange(50.0).view(-1, 1)
    loader = training.portions(x, rows=20, batch_size=8)
    drawn = [torch.cat([batch for (batch,) in loader]).flatten().tolist() for _ in range(2)]
    assert [len(set(rows)) for rows in drawn] == [20, 20] and drawn[0] != drawn[1]


def test_finished_members_are_read_back_and_other_settings_refused(toy, tmp_path, monkeypatch):
    options = {"hidden": (8,), "epochs": 2, "folder": tmp_path}
    model, record = recipes.run("nltcs", toy, members=2, **options)

    def fit(*args, seed, **kwargs):
        trained.append(seed)
        return train_fit(*args, seed=seed, **kwargs)

    trained, train_fit = [], train.fit
    monkeypatch.setattr(train, "fit", fit)
    again, longer = recipes.run("nltcs", toy, members=3, **options)
    assert trained == [2], "only the third member was left to train"
    for one, other in zip(record["members"], longer["members"], strict=False):
        assert one["curve"] == other["curve"] and one["mixture_test"] == other["mixture_test"]
    x = toy.test
    assert torch.equal(model.models[1].log_prob(x), again.models[1].log_prob(x))
    with pytest.raises(ValueError, match=r"was trained with.*delete it or name another folder"):
        recipes.run("nltcs", toy, members=2, **{**options, "epochs": 3})
    assert not list(tmp_path.glob("*.training")), "the state of a finished training is not kept"


@pytest.mark.filterwarnings("ignore:the Frechet ChemNet distance")  # of a few molecules
def test_data_of_ones_own_are_named_so_and_train_a_model_of_their_own(few_molecules, tmp_path):
    """Another set of as many molecules: neither its model nor its record may come from the first."""
    options = {"H": 8, "layers": 1, "epochs": 1, "rows": 64, "samples": 20, "seeds": 1, "folder": tmp_path}
    first, told = recipes.run("qm9_exact", few_molecules, **options)
    others = ["CCC", "OC=O", "C1CN1", "N#CN", "CNC", "CC(C)O"]
    others = datasets.Molecules(*(from_smiles(others * k, A=4, N=6) for k in (40, 4, 4)), 4)
    second, record = recipes.run("qm9_exact", others, **options)
    again, same = recipes.run("qm9_exact", few_molecules, **options)
    assert record["data"]["name"] == "own" and "Ramakrishnan" not in json.dumps(record)
    assert record["data"]["fingerprint"] != told["data"]["fingerprint"] == same["data"]["fingerprint"]
    assert record["curve"] != told["curve"] == same["curve"] and len(list(tmp_path.glob("*.safetensors"))) == 2
    weights = [torch.cat([t.flatten() for t in model.parameters()]) for model in (first, second, again)]
    assert torch.equal(weights[0], weights[2]) and not torch.equal(weights[0], weights[1])


def test_data_of_the_book_are_named_so(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "load", lambda name: toy)
    _, record = recipes.run("nltcs", hidden=(4,), epochs=1, members=1, folder=tmp_path)
    assert record["data"]["name"] == "nltcs" and record["data"]["about"] == datasets.about("nltcs")


def test_an_interrupted_training_goes_on_where_it_was(small, tmp_path, monkeypatch):
    _, whole = small(tmp_path / "whole")
    count, evaluate = [], train.evaluate

    def interrupted(*args, **kwargs):
        count.append(1)
        if len(count) == 3:
            raise KeyboardInterrupt
        return evaluate(*args, **kwargs)

    monkeypatch.setattr(train, "evaluate", interrupted)  # which validates
    with pytest.raises(KeyboardInterrupt):
        small(tmp_path / "cut")
    _, resumed = small(tmp_path / "cut")
    assert resumed["test"] == whole["test"]
    with pytest.raises(ValueError, match=r"was trained with.*delete it or name another folder"):
        small(tmp_path / "cut", epochs=5)

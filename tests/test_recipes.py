"""Recipes at toy scale, and the committed records of the full runs."""

import json
import re
from pathlib import Path

import pytest
import torch

from hybridlib import datasets, recipes, train
from hybridlib.made import MADE

ROOT = Path(__file__).resolve().parent.parent
# test negative log-likelihood in nats that a full run must not exceed
GOALS = {"made_dna": 79.6, "mushrooms": 9.66, "nltcs": 6.0, "plants": 12.5, "static_mnist": 88.0}


@pytest.fixture
def toy():
    """4 x 4 pictures whose right half repeats the left: 8 coins of probability 0.3, so 4.886 nats."""
    generator = torch.Generator().manual_seed(0)

    def draw(n):
        left = torch.bernoulli(torch.full((n, 4, 2), 0.3), generator=generator)
        return torch.cat([left, left], 2).flatten(1)

    return datasets.Data(draw(3000), draw(100), draw(100), None, None, None, shape=(4, 4), levels=2)


@pytest.mark.parametrize("recipe", recipes.RECIPES, ids=lambda recipe: recipe.__name__)
def test_every_recipe_runs_and_learns(recipe, toy, tmp_path):
    members = {"masks": 3} if recipe is recipes.made_dna else {"members": 2}
    if recipe is recipes.static_mnist:
        members = {"reads": (0, 1, 0)}  # a pool of two and a single one
    hidden = (32, 32) if recipe is recipes.static_mnist else (32,)
    model, record = recipe(toy, hidden=hidden, epochs=4, folder=tmp_path, **members)
    coins = MADE(16, (1,))
    recipes.start_from_frequencies(coins, toy.train)
    assert record["test"]["nll"] < recipes.held_out(coins, toy.test) - 0.1, "there is more to learn than frequencies"
    nll = -train.evaluate(model, toy.test)
    assert record["test"]["nll"] == pytest.approx(nll.mean().item(), abs=1e-3)
    assert record["test"]["se"] == pytest.approx(nll.std().item() / 10, abs=1e-3)
    assert record["test"]["bits_per_dim"] == pytest.approx(nll.mean().item() / 16 / 0.693147, abs=1e-4)
    assert record["parameters"] == sum(p.numel() for p in model.parameters())
    assert record["name"] == recipe.__name__ == record["data"]["name"]
    assert len(record["members"]) == len(record["seeds"])
    for member in record["members"]:
        curve = [epoch["valid"] for epoch in member["curve"]]
        assert len(curve) == 4 and curve[member["best_epoch"] - 1] == min(curve)
    if record["sharpness"] == 1:
        assert json.loads(json.dumps(record))["test"] == record["members"][-1]["mixture_test"]


def test_finished_members_are_read_back_and_other_settings_refused(toy, tmp_path, monkeypatch):
    small = {"hidden": (8,), "epochs": 2, "folder": tmp_path}
    model, record = recipes.nltcs(toy, members=2, **small)

    def fit(*args, seed, **kwargs):
        trained.append(seed)
        return train_fit(*args, seed=seed, **kwargs)

    trained, train_fit = [], train.fit
    monkeypatch.setattr(train, "fit", fit)
    again, longer = recipes.nltcs(toy, members=3, **small)
    assert trained == [2], "only the third member was left to train"
    for one, other in zip(record["members"], longer["members"], strict=False):
        assert one["curve"] == other["curve"] and one["mixture_test"] == other["mixture_test"]
    x = toy.test
    assert torch.equal(model.models[1].log_prob(x), again.models[1].log_prob(x))
    with pytest.raises(ValueError, match=r"was trained with.*delete it or name another folder"):
        recipes.nltcs(toy, members=2, **{**small, "epochs": 3})
    assert not list(tmp_path.glob("*.training")), "the state of a finished training is not kept"


def test_an_interrupted_member_goes_on_where_it_was(toy, tmp_path, monkeypatch):
    small = {"hidden": (8,), "epochs": 4, "members": 1}
    _, whole = recipes.nltcs(toy, folder=tmp_path / "whole", **small)
    calls, held_out = [], recipes.held_out

    def interrupted(model, x):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return held_out(model, x)

    monkeypatch.setattr(recipes, "held_out", interrupted)
    with pytest.raises(KeyboardInterrupt):
        recipes.nltcs(toy, folder=tmp_path / "cut", **small)
    _, resumed = recipes.nltcs(toy, folder=tmp_path / "cut", **small)
    assert len(calls) == 5, "two epochs were done, two were left"
    assert resumed["test"] == whole["test"]


@pytest.mark.parametrize("orders", [None, "one", "several"])
def test_models_start_as_independent_coins(toy, orders):
    frequency = (toy.train.sum(0) + 0.5) / (len(toy.train) + 1)
    coins = torch.distributions.Bernoulli(frequency).log_prob(toy.test).sum(1)
    order = {None: None, "one": recipes.shuffles(toy, 1)[0], "several": recipes.shuffles(toy, 3)}[orders]
    model = MADE(16, (8, 8), orders=order)
    recipes.start_from_frequencies(model, toy.train)
    assert torch.allclose(model.eval().log_prob(toy.test), coins, atol=1e-5)


def test_a_variable_that_never_changes_starts_with_a_finite_logit():
    model = MADE(3, (4,))
    recipes.start_from_frequencies(model, torch.tensor([[0.0, 1.0, 0.0]] * 50))
    assert torch.isfinite(model.log_prob(torch.tensor([[1.0, 0.0, 1.0]]))).all()


def test_the_eight_readings_of_a_page():
    orders = recipes.readings((3, 2))
    assert [order.tolist() for order in orders[:4]] == [
        [0, 1, 2, 3, 4, 5], [0, 2, 4, 1, 3, 5], [5, 4, 3, 2, 1, 0], [5, 3, 1, 4, 2, 0],
    ]  # fmt: skip
    assert len({tuple(order.tolist()) for order in orders}) == 8


def test_an_order_agnostic_model_is_trained_in_all_its_orders(toy):
    model = MADE(16, (8,), orders=recipes.shuffles(toy, 3)).eval()
    each = [round(-model.log_prob(toy.test, order=m).mean().item(), 4) for m in range(3)]
    torch.manual_seed(0)
    assert {round(recipes.nll(model, toy.test).item(), 4) for _ in range(50)} == set(each)


def test_the_command_writes_the_record(toy, tmp_path, monkeypatch, capsys):
    def nltcs(folder):
        return recipes.mixture("nltcs", toy, [None], {"hidden": (8,)}, {"epochs": 1}, folder)

    monkeypatch.setattr(recipes, "RESULTS", tmp_path)
    monkeypatch.setattr(recipes, "RECIPES", (nltcs,))
    recipes.main("nltcs", str(tmp_path / "runs"))
    record = recipes.published("nltcs")
    assert record["command"] == "python -m hybridlib.recipes nltcs"
    assert f"{record['test']['nll']:.3f}" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="no recipe 'mnist'; choose one of nltcs"):
        recipes.main("mnist")


@pytest.mark.parametrize("name", GOALS)
def test_the_committed_record_is_complete_and_meets_the_goal(name):
    found = recipes.published(name)
    assert found["command"] == f"python -m hybridlib.recipes {name}"
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", found["date"])
    assert "core" in found["hardware"] or "GPU" in found["hardware"] or "NVIDIA" in found["hardware"]
    assert found["data"]["about"] == datasets.about(name) and found["versions"]["torch"]
    assert found["seeds"] == list(range(len(found["members"])))
    assert {"hidden", "epochs", "batch_size", "lr", "ema", "dropout"} <= set(found["settings"])
    for member in found["members"]:
        assert len(member["curve"]) == found["settings"]["epochs"], "the whole training is on record"
    if found.get("sharpness", 1) == 1:
        assert found["test"] == found["members"][-1]["mixture_test"]
    assert 0 < found["test"]["se"] < found["test"]["nll"] <= GOALS[name]


@pytest.mark.parametrize("name", GOALS)
def test_the_record_is_of_todays_recipe(name, toy, tmp_path, monkeypatch):
    """A recipe that is changed needs a new run: the settings on record are those that the function would use."""

    class Enough(Exception):
        pass

    def member(model, data, training, seed, settings, path):
        seen.update(settings)
        raise Enough

    seen = {}
    monkeypatch.setattr(recipes, "_member", member)
    with pytest.raises(Enough):
        getattr(recipes, name)(toy, folder=tmp_path)
    assert json.loads(json.dumps(seen)) == recipes.published(name)["settings"]


def test_the_readme_table_says_what_the_records_say():
    table = (ROOT / "benchmarks" / "README.md").read_text()
    for name in GOALS:
        test = recipes.published(name)["test"]
        assert f"| {name} | {test['nll']:.2f} ± {test['se']:.2f} |" in table

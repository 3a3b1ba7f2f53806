"""Bit vectors and pictures at toy scale: every recipe learns, and its record says what its model does."""

import json
import math

import pytest
import torch

from hybridlib import audit, recipes, train
from hybridlib.made import MADE, start_from_frequencies
from hybridlib.recipes import vectors

MIXTURES = [name for name, recipe in recipes.RECIPES.items() if recipe.kind is vectors.mixture_recipe]


@pytest.mark.parametrize("name", MIXTURES)
def test_every_mixture_runs_and_learns(name, toy, tmp_path):
    hidden, members = (32,), {"made_dna": {"masks": 3}}.get(name, {"members": 2})
    if name == "static_mnist":
        hidden, members = (32, 32), {"reads": (0, 1, 0)}  # a pool of two and a single one
    model, record = recipes.run(name, toy, hidden=hidden, epochs=4, folder=tmp_path, **members)
    coins = MADE(16, (1,))
    start_from_frequencies(coins, toy.train)
    assert record["test"]["nll"] < vectors.held_out(coins, toy.test) - 0.1, "there is more to learn than frequencies"
    nll = -train.evaluate(model, toy.test)
    assert record["test"]["nll"] == pytest.approx(nll.mean().item(), abs=1e-3)
    assert record["test"]["se"] == pytest.approx(nll.std().item() / 10, abs=1e-3)
    assert record["test"]["bits_per_dim"] == pytest.approx(nll.mean().item() / 16 / 0.693147, abs=1e-4)
    assert record["parameters"] == sum(p.numel() for p in model.parameters())
    assert record["name"] == name and record["data"]["name"] == "own"
    assert len(record["members"]) == len(record["seeds"])
    for member in record["members"]:
        curve = [epoch["valid"] for epoch in member["curve"]]
        assert len(curve) == 4 and curve[member["best_epoch"] - 1] == min(curve)
    if record["sharpness"] == 1:
        assert json.loads(json.dumps(record))["test"] == record["members"][-1]["mixture_test"]


def test_averaged_logits_claim_more_than_there_is(toy, tmp_path):
    model, record = recipes.run("averaged_logits", toy, hidden=(64,), masks=3, epochs=6, lr=0.02, folder=tmp_path)
    x = toy.test
    claimed, mixture = train.evaluate(model, x, vectors.log_of_averaged_logits), train.evaluate(model, x)
    assert record["claimed_test"]["nll"] == pytest.approx(-claimed.mean().item(), abs=1e-3)
    assert record["test"]["nll"] == pytest.approx(-mixture.mean().item(), abs=1e-3) and len(record["seeds"]) == 2
    each = [-model.log_prob(x, order=m).mean().item() for m in range(3)]
    assert record["each_order_test"] == pytest.approx(each, abs=1e-3) and record["test"]["nll"] < sum(each) / 3
    assert record["claimed_test"]["nll"] < record["test"]["nll"] - 1, "it flatters itself"
    # 16 variables: the sum can be had in full
    total = math.log(audit.total_probability(lambda x: vectors.log_of_averaged_logits(model, x), 16))
    assert record["log_sum"]["nats"] == pytest.approx(total, abs=0.1) and total > 1
    assert record["log_sum"]["at_least"] == pytest.approx(record["log_sum"]["nats"] - math.log(20), abs=1e-3)


@pytest.mark.parametrize("orders", [None, "one", "several"])
def test_models_start_as_independent_coins(toy, orders):
    frequency = (toy.train.sum(0) + 0.5) / (len(toy.train) + 1)
    coins = torch.distributions.Bernoulli(frequency).log_prob(toy.test).sum(1)
    order = {None: None, "one": vectors.shuffles(toy, 1)[0], "several": vectors.shuffles(toy, 3)}[orders]
    model = MADE(16, (8, 8), orders=order)
    start_from_frequencies(model, toy.train)
    assert torch.allclose(model.eval().log_prob(toy.test), coins, atol=1e-5)


def test_a_variable_that_never_changes_starts_with_a_finite_logit():
    model = MADE(3, (4,))
    start_from_frequencies(model, torch.tensor([[0.0, 1.0, 0.0]] * 50))
    assert torch.isfinite(model.log_prob(torch.tensor([[1.0, 0.0, 1.0]]))).all()


def test_the_eight_readings_of_a_page():
    orders = vectors.scans((3, 2))
    assert [order.tolist() for order in orders[:4]] == [
        [0, 1, 2, 3, 4, 5], [0, 2, 4, 1, 3, 5], [5, 4, 3, 2, 1, 0], [5, 3, 1, 4, 2, 0],
    ]  # fmt: skip
    assert len({tuple(order.tolist()) for order in orders}) == 8


def test_an_order_agnostic_model_is_trained_in_all_its_orders(toy):
    model = MADE(16, (8,), orders=vectors.shuffles(toy, 3)).eval()
    each = [round(-model.log_prob(toy.test, order=m).mean().item(), 4) for m in range(3)]
    torch.manual_seed(0)
    assert {round(vectors.nll_of_an_order(model, toy.test).item(), 4) for _ in range(50)} == set(each)


def test_an_interrupted_member_goes_on_where_it_was(toy, tmp_path, monkeypatch):
    small = {"hidden": (8,), "epochs": 4, "members": 1}
    _, whole = recipes.run("nltcs", toy, folder=tmp_path / "whole", **small)
    calls, held_out = [], vectors.held_out

    def interrupted(model, x):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return held_out(model, x)

    monkeypatch.setattr(vectors, "held_out", interrupted)
    with pytest.raises(KeyboardInterrupt):
        recipes.run("nltcs", toy, folder=tmp_path / "cut", **small)
    _, resumed = recipes.run("nltcs", toy, folder=tmp_path / "cut", **small)
    assert len(calls) == 5, "two epochs were done, two were left"
    assert resumed["test"] == whole["test"]


@pytest.mark.parametrize("name", ["mnist_uniform", "mnist_variational"])
def test_dequantized_pictures(name, toy, tmp_path):
    small = {"channels": 4, "layers": 1, "K": 2, "epochs": 2, "rows": 200}
    model, record = recipes.run(name, toy, folder=tmp_path, **small)
    assert record["test_bound_of_samples"]["nll"] < record["test"]["nll"], "more samples tighten the bound"
    assert model.sample(3).shape == (3, 16)

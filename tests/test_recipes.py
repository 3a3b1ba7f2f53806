"""Recipes at toy scale, and the committed records of the full runs."""

import json
import re
from pathlib import Path

import pytest
import torch

from hybridlib import datasets, recipes, records, train
from hybridlib.made import MADE
from hybridlib.molecules import from_smiles

ROOT = Path(__file__).resolve().parent.parent
# test negative log-likelihood in nats that a full run must not exceed
MIXTURES = {"made_dna": 79.6, "mushrooms": 9.66, "nltcs": 6.0, "plants": 12.5, "static_mnist": 88.0}
SINGLE = {"static_vae": 88.0, "static_transformer": 84.5, "zinc_smiles": 27.5}
GOALS = MIXTURES | SINGLE
# recipe -> nats that its test molecules may cost, share of samples that must be valid without check (flow: the paper's)
GRAPHS = {
    "qm9_exact": (16, 0.9), "qm9_categorical": (16, 0.9), "qm9_masked": (16, 1), "qm9_flow": (99, 0.68),
    "zinc_exact": (38, 0.9), "zinc_categorical": (38, 0.9), "zinc_masked": (38, 1), "zinc_flow": (99, 0.68),
}  # fmt: skip
SMALL = {  # arguments that make a recipe take seconds
    "static_vae": {"channels": 16, "Z": 4, "epochs": 6, "samples": 50},
    "static_transformer": {"k": 4, "width": 16, "layers": 1, "epochs": 4, "rows": 1500},
    "zinc_smiles": {"width": 16, "layers": 1, "epochs": 4, "rows": 1000, "samples": 200},
}


@pytest.fixture
def toy():
    """4 x 4 pictures whose right half repeats the left: 8 coins of probability 0.3, so 4.886 nats."""
    generator = torch.Generator().manual_seed(0)

    def draw(n):
        left = torch.bernoulli(torch.full((n, 4, 2), 0.3), generator=generator)
        return torch.cat([left, left], 2).flatten(1)

    return datasets.Data(draw(3000), draw(100), draw(100), None, None, None, shape=(4, 4), levels=2)


def shapes():
    """4 x 4 pictures, dark on the left or on the right, each pixel turned over with probability 0.05: 3.9 nats."""
    generator = torch.Generator().manual_seed(0)
    left = (torch.arange(16) % 4 < 2).float()

    def draw(n):
        flips = torch.randint(2, (n, 1), generator=generator) + (torch.rand(n, 16, generator=generator) < 0.05)
        return (left + flips) % 2

    return datasets.Data(draw(3000), draw(100), draw(100), None, None, None, shape=(4, 4), levels=2)


def chains():
    """SMILES of one to three carbons that end in an oxygen, a nitrogen, or two more carbons."""
    alphabet, generator = datasets.Alphabet("CNO"), torch.Generator().manual_seed(0)

    def draw(n):
        choices = torch.randint(3, (n, 2), generator=generator).tolist()
        return alphabet.encode(["C" * (1 + carbons) + ("O", "N", "CC")[last] for carbons, last in choices], 8)

    parts = draw(1000), draw(100), draw(100)
    return datasets.Data(*parts, None, None, None, shape=(8,), levels=4, alphabet=alphabet)


def small(name, folder, **changes):
    """A recipe of one model at toy scale -> (its data, model, record)."""
    data = chains() if name == "zinc_smiles" else shapes()
    return data, *getattr(recipes, name)(data, folder=folder, **(SMALL[name] | changes))


@pytest.mark.parametrize("name", MIXTURES)
def test_every_mixture_runs_and_learns(name, toy, tmp_path):
    recipe = getattr(recipes, name)
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
    assert record["name"] == recipe.__name__ and record["data"]["name"] == "own"
    assert len(record["members"]) == len(record["seeds"])
    for member in record["members"]:
        curve = [epoch["valid"] for epoch in member["curve"]]
        assert len(curve) == 4 and curve[member["best_epoch"] - 1] == min(curve)
    if record["sharpness"] == 1:
        assert json.loads(json.dumps(record))["test"] == record["members"][-1]["mixture_test"]


@pytest.mark.parametrize("name", SINGLE)
def test_every_single_model_runs_and_learns(name, tmp_path):
    data, model, record = small(name, tmp_path)
    test, curve = record["test"], [epoch["valid"] for epoch in record["curve"]]
    assert len(curve) == SMALL[name]["epochs"] and curve[record["best_epoch"] - 1] == min(curve) < curve[0]
    assert record["name"] == name and record["data"]["train"] == len(data.train) and record["seeds"] == [0]
    assert record["parameters"] == sum(p.numel() for p in model.parameters())
    assert json.loads(json.dumps(record)) == record
    if name == "zinc_smiles":
        nats, length = -train.evaluate(model, data.test), (data.test != 0).sum(1) + 1
        assert test["characters"] == length.sum() and test["nll"] == pytest.approx(nats.mean().item(), abs=1e-3)
        assert test["nats_per_character"] == pytest.approx((nats.sum() / length.sum()).item(), abs=1e-4)
        assert test["nats_per_character"] < 1, "ln 4 would be a guess"
        samples = record["samples"]
        assert samples["n"] == 200 and samples["valid"]["share"] > 0.8
        assert samples["unique"]["share"] < 0.5, "there are only nine strings to learn, and a few by mistake"
    else:
        assert test["nll"] < 8, "16 ln 2 = 11.1 by frequencies, whose pixels are fair coins"
        assert test["bits_per_dim"] == pytest.approx(test["nll"] / 16 / 0.693147, abs=1e-4)
    if name == "static_vae":
        assert (test["samples"], record["valid"]["samples"]) == (50, 50)
        assert test["nll"] < test["elbo"], "many samples bound more tightly than one"
        bound = -recipes.importance_bound(model, data.test, 50).mean().item()
        assert test["nll"] == pytest.approx(bound, abs=1e-3)
    if name == "static_transformer":
        assert test["nll"] == pytest.approx(-train.evaluate(model, data.test).mean().item(), abs=1e-3)


@pytest.mark.parametrize("name", SINGLE)
def test_an_interrupted_training_goes_on_where_it_was(name, tmp_path, monkeypatch):
    _, _, whole = small(name, tmp_path / "whole")
    count, evaluate = [], train.evaluate

    def interrupted(*args, **kwargs):
        count.append(1)
        if len(count) == 3:
            raise KeyboardInterrupt
        return evaluate(*args, **kwargs)

    monkeypatch.setattr(train, "evaluate", interrupted)  # which validates
    with pytest.raises(KeyboardInterrupt):
        small(name, tmp_path / "cut")
    _, _, resumed = small(name, tmp_path / "cut")
    assert resumed["test"] == whole["test"]
    with pytest.raises(ValueError, match=r"was trained with.*delete it or name another folder"):
        small(name, tmp_path / "cut", epochs=5)


def test_portions_differ_from_epoch_to_epoch():
    x = torch.arange(50.0).view(-1, 1)
    loader = recipes.portions(x, rows=20, batch_size=8)
    drawn = [torch.cat([batch for (batch,) in loader]).flatten().tolist() for _ in range(2)]
    assert [len(set(rows)) for rows in drawn] == [20, 20] and drawn[0] != drawn[1]


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


@pytest.fixture
def few_molecules():
    smiles = ["CCO", "CC=O", "C1CC1", "N#CC", "COC", "CC(C)C"]
    return datasets.Molecules(*(from_smiles(smiles * k, A=4, N=6) for k in (40, 4, 4)), 4)


@pytest.mark.filterwarnings("ignore:the Frechet ChemNet distance")  # of two dozen molecules
@pytest.mark.parametrize("recipe", [recipes.qm9_exact, recipes.qm9_flow, recipes.zinc_categorical, recipes.zinc_masked])
def test_graphs_run_learn_and_are_judged(recipe, few_molecules, tmp_path):
    data = few_molecules
    options = {"H": 16, "layers": 2, "epochs": 8, "rows": 240, "samples": 100, "lr": 1e-2}
    model, record = recipe(data, folder=tmp_path, **options)
    exact = -model.log_prob(data.test).mean().item()
    assert record["test"]["nll"] == pytest.approx(exact, abs=1e-3) and exact < 8
    if model.reading != "categorical":
        assert record["test_bound"]["nll"] > record["test"]["nll"]
    assert record["samples_checked"]["valid"]["value"] == 1
    best = record["test_at_best_temperature"]["nll"]
    assert min(record["temperatures"].values()) <= record["temperatures"]["1.0"] and best < exact + 0.5
    assert record["samples"]["novel"]["value"] < 0.9, "six molecules are known"
    assert record["samples"]["valid"]["value"] == 1 or not model.masked
    for shares in record["sizes"].values():
        assert sum(shares) == pytest.approx(1, abs=1e-3)
    assert record["sizes"]["data"][:5] == pytest.approx([0, 0, 0, 5 / 6, 1 / 6], abs=1e-4)
    assert record["scaffolds"]["data"] == pytest.approx(2 / 24) and record["fcd"] > 0
    # what a recipe leaves is a checkpoint
    (path,) = tmp_path.glob("*.safetensors")
    assert train.meta(path)["settings"]["A"] == 4


def test_three_readings_by_seeds(few_molecules, tmp_path):
    model, record = recipes.graph_readings(few_molecules, seeds=2, epochs=3, H=8, samples=50, folder=tmp_path)
    assert list(record["readings"]) == ["flow", "exact", "categorical"]
    for reading, found in record["readings"].items():
        assert [entry["seed"] for entry in found] == [0, 1] and found[0]["nll"] != found[1]["nll"]
        assert all(("bound" in entry) == (reading != "categorical") for entry in found)
        assert all(entry["bound"] > entry["nll"] for entry in found if "bound" in entry)
    last = record["readings"]["categorical"][1]["nll"]
    assert last == pytest.approx(-model.log_prob(few_molecules.test).mean().item(), abs=1e-3)


def test_small_universe_accounts_for_all_probability(tmp_path):
    _, record = recipes.small_universe(n=3, epochs=8, H=8, folder=tmp_path)
    assert record["molecules"] == 4 + 10 + 27 and record["possible"] == 4 + 19 + 94
    for found in record["readings"].values():
        assert found["kl"] > 0 and 0 < found["invalid"] < found["outside"] < 1


def test_round_trips_name_what_is_lost(monkeypatch):
    found = {"smiles": ["CCO", "F[C@H](Cl)Br", "CC.O", "c1ccccc1"], "qm9": ["C", "O"]}
    monkeypatch.setattr(datasets, "load_strings", found.get)
    _, record = recipes.round_trips(names=("smiles", "qm9"))
    assert record["sets"]["smiles"]["lost"] == ["F[C@H](Cl)Br", "CC.O"], "four atom types hold no chlorine"
    assert record["sets"]["qm9"]["molecules"] == 2 and record["sets"]["qm9"]["lost"] == []


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_on_record_meet_the_goal(name):
    found, (nats, valid) = records.published(name), GRAPHS[name]
    assert found["test"]["nll"] <= nats and found["command"] == f"python -m hybridlib.recipes {name}"
    assert len(found["curve"]) == found["settings"]["epochs"] and found["samples"]["n"] == 10_000
    samples = found["samples"]
    off = abs(samples["size"]["value"] / found["data_size"]["mean"] - 1)
    assert samples["valid"]["value"] >= valid and off < (0.1 if name.endswith("flow") else 0.03)
    if name.endswith("flow"):  # at the paper's temperature too
        cold = found["samples_paper"]
        assert cold["valid"]["value"] > valid and abs(cold["size"]["value"] / found["data_size"]["mean"] - 1) < 0.1
    assert found["samples_checked"]["valid"]["value"] == 1
    row = (
        f"| {name} | {found['test']['nll']:.2f} ± {found['test']['se']:.2f} | {100 * samples['valid']['value']:.1f} % |"
    )
    assert row in (ROOT / "benchmarks" / "README.md").read_text()


def test_readings_on_record_are_ranked_by_three_seeds():
    found = records.published("graph_readings")["readings"]
    exact, flow = found["exact"], found["flow"]
    assert len(exact) == len(flow) == len(found["categorical"]) == 3
    # each seed of one before each seed of the other, but the bound says the opposite
    assert max(run["nll"] for run in exact) < min(run["nll"] for run in flow)
    assert min(run["valid"] for run in exact) > max(run["valid"] for run in flow)
    assert min(run["bound"] for run in exact) > max(run["bound"] for run in flow)


def test_universe_on_record():
    found = records.published("small_universe")
    assert found["molecules"] == 4 + 10 + 27 + 137 + 799 + 5911
    assert found["possible"] == 4 + 19 + 94 + 621 + 4715 + 42068
    assert found["readings"]["exact"]["kl"] < 0.15 < found["readings"]["flow"]["kl"]
    assert all(0 <= row["invalid"] < row["outside"] for row in found["readings"].values())


def test_every_molecule_on_record_came_back():
    found = records.published("round_trips")["sets"]
    assert {name: part["molecules"] for name, part in found.items()} == {
        "smiles": 13_872, "qm9": 133_885, "zinc_smiles": 249_455, "moses": 1_584_663,
    }  # fmt: skip
    assert not any(part["lost"] for part in found.values())


def test_the_eight_readings_of_a_page():
    orders = recipes.scans((3, 2))
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
    """To the current folder, or where one says; the published records stay as they are."""

    def nltcs(folder, epochs=1):
        return recipes.mixture("nltcs", toy, [None], {"hidden": (8,)}, {"epochs": epochs}, folder)

    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "nltcs.json").write_text('"published"')
    monkeypatch.setattr(recipes, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(recipes, "RECIPES", (nltcs,))
    monkeypatch.chdir(tmp_path)
    recipes.main("nltcs", f"folder={tmp_path / 'runs'}")
    record = json.loads((tmp_path / "nltcs.json").read_text())
    told = capsys.readouterr().out
    assert f"{record['test']['nll']:.3f}" in told and f"wrote {tmp_path / 'nltcs.json'}" in told
    assert record["command"] == "python -m hybridlib.recipes nltcs" and record["data"]["name"] == "own"
    recipes.main("nltcs", f"folder={tmp_path / 'more'}", "epochs=2", "out=some/where")
    record = json.loads((tmp_path / "some" / "where" / "nltcs.json").read_text())
    assert record["command"] == "python -m hybridlib.recipes nltcs epochs=2"
    monkeypatch.chdir(tmp_path / "results")
    with pytest.raises(SystemExit, match=r"is the published record; name a folder with out="):
        recipes.main("nltcs", f"folder={tmp_path / 'runs'}")
    assert records.published("nltcs") == "published"
    recipes.main("nltcs", f"folder={tmp_path / 'runs'}", f"out={tmp_path / 'results'}")
    assert records.published("nltcs")["name"] == "nltcs"
    with pytest.raises(SystemExit, match="no recipe 'mnist'; choose one of nltcs"):
        recipes.main("mnist")
    with pytest.raises(SystemExit, match="'10' sets nothing"):
        recipes.main("nltcs", "10")
    with pytest.raises(SystemExit, match=r"hidden=wide.*: values are JSON"):
        recipes.main("nltcs", "hidden=wide", f"out={tmp_path}")


def test_only_records_are_published(tmp_path, monkeypatch):
    """A name is a name: it is not glued to a folder, from which dots and strokes would lead anywhere."""
    (tmp_path / "results").mkdir()
    (tmp_path / "x.json").write_text("{}")
    monkeypatch.setattr(recipes, "RESULTS", tmp_path / "results")
    for name in ("../x", str(tmp_path / "x"), "", "x"):
        with pytest.raises(ValueError, match="there is no record"):
            records.published(name)


@pytest.mark.filterwarnings("ignore:the Frechet ChemNet distance")  # of a few molecules
def test_data_of_ones_own_are_named_so_and_train_a_model_of_their_own(few_molecules, tmp_path):
    """Another set of as many molecules: neither its model nor its record may come from the first."""
    options = {"H": 8, "layers": 1, "epochs": 1, "rows": 64, "samples": 20, "folder": tmp_path}
    first, told = recipes.qm9_exact(few_molecules, **options)
    others = ["CCC", "OC=O", "C1CN1", "N#CN", "CNC", "CC(C)O"]
    others = datasets.Molecules(*(from_smiles(others * k, A=4, N=6) for k in (40, 4, 4)), 4)
    second, record = recipes.qm9_exact(others, **options)
    again, same = recipes.qm9_exact(few_molecules, **options)
    assert record["data"]["name"] == "own" and "Ramakrishnan" not in json.dumps(record)
    assert record["data"]["fingerprint"] != told["data"]["fingerprint"] == same["data"]["fingerprint"]
    assert record["curve"] != told["curve"] == same["curve"] and len(list(tmp_path.glob("*.safetensors"))) == 2
    weights = [torch.cat([t.flatten() for t in model.parameters()]) for model in (first, second, again)]
    assert torch.equal(weights[0], weights[2]) and not torch.equal(weights[0], weights[1])


def test_data_of_the_book_are_named_so(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "load", lambda name: toy)
    _, record = recipes.nltcs(hidden=(4,), epochs=1, members=1, folder=tmp_path)
    assert record["data"]["name"] == "nltcs" and record["data"]["about"] == datasets.about("nltcs")


@pytest.mark.parametrize("name", GOALS)
def test_the_committed_record_is_complete_and_meets_the_goal(name):
    found = records.published(name)
    assert found["command"] == f"python -m hybridlib.recipes {name}"
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", found["date"])
    assert "core" in found["hardware"] or "GPU" in found["hardware"] or "NVIDIA" in found["hardware"]
    assert found["data"]["about"] == datasets.about(found["data"]["name"]) and found["versions"]["torch"]
    trainings = found.get("members", [found])
    assert found["seeds"] == list(range(len(trainings)))
    assert {"epochs", "batch_size", "lr", "ema"} <= set(found["settings"])
    for training in trainings:
        assert len(training["curve"]) == found["settings"]["epochs"], "the whole training is on record"
    if "members" in found and found.get("sharpness", 1) == 1:
        assert found["test"] == found["members"][-1]["mixture_test"]
    assert 0 < found["test"]["se"] < found["test"]["nll"] <= GOALS[name]


def test_the_bound_on_record_is_that_of_a_thousand_samples():
    test = records.published("static_vae")["test"]
    assert test["samples"] == 1000 and test["nll"] < test["elbo"]


def test_the_strings_on_record_are_molecules():
    samples = records.published("zinc_smiles")["samples"]
    assert samples["n"] >= 1000 and samples["valid"]["share"] >= 0.8
    assert samples["novel"]["share"] >= 0.7 and samples["unique"]["share"] >= 0.9


def test_keeping_keys_and_values_pays_and_more_so_in_longer_sequences():
    rows = records.published("transformer_speed")["sampling"]
    ratios = {row["T"]: row["ratio"]["median"] for row in rows if row["identical"]}
    assert list(ratios) == [16, 32, 64, 128, 256] and ratios[64] >= 4
    assert list(ratios.values()) == sorted(ratios.values())


@pytest.mark.parametrize("name", GOALS)
def test_the_record_is_of_todays_recipe(name, toy, tmp_path, monkeypatch):
    """A recipe that is changed needs a new run: the settings on record are those that the function would use."""

    class Enough(Exception):
        pass

    def trained(model, data, batches, loss, validate, training, seed, settings, path):
        seen.update(settings)
        raise Enough

    seen = {}
    monkeypatch.setattr(recipes, "_trained", trained)
    with pytest.raises(Enough):
        data = chains() if name == "zinc_smiles" else toy
        getattr(recipes, name)(data, folder=tmp_path, **({"k": 4} if name == "static_transformer" else {}))
    settings = json.loads(json.dumps(seen))
    assert settings | ({"k": 7} if name == "static_transformer" else {}) == records.published(name)["settings"]


def test_the_readme_says_what_the_records_say():
    text = " ".join((ROOT / "benchmarks" / "README.md").read_text().split())
    for name in GOALS:
        test = records.published(name)["test"]
        assert f"| {name} | {test['nll']:.2f} ± {test['se']:.2f} |" in text
    assert f"(ELBO {records.published('static_vae')['test']['elbo']:.2f})" in text
    strings = records.published("zinc_smiles")
    valid, novel = (strings["samples"][key] for key in ("valid", "novel"))
    assert f"{strings['test']['nats_per_character']:.3f} nats a character" in text
    assert f"{100 * valid['share']:.1f} ± {100 * valid['se']:.1f} % are molecules" in text
    assert f"{100 * novel['share']:.1f} % of them are not among" in text
    *some, last = (f"{row['ratio']['median']:.1f}" for row in records.published("transformer_speed")["sampling"])
    assert f"it is {', '.join(some)} and {last} times as fast" in text


@pytest.mark.parametrize("name", ["mnist_uniform", "mnist_variational"])
def test_dequantized_pictures(name, toy, tmp_path):
    small = {"channels": 4, "layers": 1, "K": 2, "epochs": 2, "rows": 200}
    model, record = getattr(recipes, name)(toy, folder=tmp_path, **small)
    assert record["test_bound_of_samples"]["nll"] < record["test"]["nll"], "more samples tighten the bound"
    assert model.sample(3).shape == (3, 16)


def test_variational_noise_pays_on_grey_levels():
    uniform, variational = (records.published(f"mnist_{kind}") for kind in ("uniform", "variational"))
    assert variational["test"]["bits_per_dim"] < uniform["test"]["bits_per_dim"] < 1.5
    text = (ROOT / "benchmarks" / "README.md").read_text()
    for record in (uniform, variational):
        assert f"| {record['name']} | {record['test']['bits_per_dim']:.3f} |" in text


def test_each_unit_once_inverts_a_flow_much_faster():
    for row in records.published("flow_speed")["inversion"].values():
        assert row["ratio"]["median"] >= 50 and row["difference"] < 1e-5


def test_sharing_sub_graphs_pays():
    found = records.published("graphaf_speed")
    assert found["ratio"]["training"] >= 100 and min(found["ratio"].values()) >= 80 and found["peak_memory_mb"] < 1000
    text = (ROOT / "benchmarks" / "README.md").read_text()
    for name, rate in found["ratio"].items():
        assert f"| {rate:.0f}x |" in text, name

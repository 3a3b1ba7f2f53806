"""The table of recipes is that of the published records, and the command line says what can be set."""

import inspect
import json
import subprocess
import sys

import pytest
import torch

from hybridlib import datasets, recipes, records, universe
from hybridlib.graphs import Graph
from hybridlib.recipes import training
from hybridlib.recipes.__main__ import OPTIONS, main

# Recipes whose trainings on the public test sets take hours and are still to come: what is on record of them, if
# anything, is of the earlier split, and says so. A test below says when a record that arrives should leave this list.
AWAITED = {f"qm9_{kind}" for kind in ("exact", "categorical", "masked", "flow", "flow_narrow")} | {
    f"zinc_{kind}" for kind in ("exact", "categorical", "masked", "flow", "flow_narrow", "neutral", "smiles")
} | {"moses_exact", "mnist_large"}  # fmt: skip


class Enough(Exception):
    pass


def data_like(record, graphs):
    """Two rows of the sizes of the data of a record."""
    settings = record["settings"]
    if graphs:
        N = settings["N"]
        graph = Graph(torch.zeros(2, N, dtype=torch.long), torch.zeros(2, N, N, dtype=torch.long))
        return datasets.Molecules(graph, graph, graph, settings["A"])
    x, side = torch.zeros(2, record["data"]["D"]), round(record["data"]["D"] ** 0.5)
    levels = 256 if record["data"]["name"] == "mnist" else 2
    shape = x.shape[1:] if record["name"] == "zinc_smiles" else (side, side)
    return datasets.Data(x, x, x, None, None, None, shape=shape, levels=levels)


def on_record():
    """Names of the recipes that have a record."""
    commands = {path.stem: records.published(path.stem)["command"] for path in records.RESULTS.glob("*.json")}
    return {name for name, command in commands.items() if "hybridlib.recipes" in command}


def test_awaited_are_those_without_a_record_of_today():
    earlier = {name for name in on_record() if "novel of" in records.published(name).get("protocol", {})}
    earlier = {name for name in earlier if records.published(name)["protocol"]["novel of"] == "valid samples"}
    assert earlier | (recipes.RECIPES.keys() - on_record()) == AWAITED


@pytest.mark.parametrize("name", sorted(recipes.RECIPES.keys() - {"round_trips"} - AWAITED))
def test_the_record_is_of_todays_recipe(name, tmp_path, monkeypatch):
    """A recipe that is changed needs a new run: the settings on record are those that the table would use."""

    def trained(job, model, batches, settings, how, **_):
        seen.update(settings)
        raise Enough

    seen, record, recipe = {}, records.published(name), recipes.RECIPES[name]
    monkeypatch.setattr(training, "trained", trained)
    monkeypatch.setattr(universe, "members", lambda n, strict: ("C",))
    data = data_like(record, "A" in record["settings"]) if recipe.dataset else None
    with pytest.raises(Enough):
        recipes.run(name, data, folder=tmp_path)
    if "readings" in record:  # three networks, which differ in this
        assert seen.pop("reading") in record["readings"]
    assert json.loads(json.dumps(seen)) == record["settings"]


def test_every_published_recipe_is_in_the_table():
    assert on_record() <= recipes.RECIPES.keys()
    for name in on_record():
        assert records.published(name)["command"] == recipes.command(name, {})


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_the_table_says_what_a_recipe_takes(name):
    recipe = recipes.RECIPES[name]
    assert recipe.settings.keys() <= recipe.options().keys() <= OPTIONS.keys()
    assert inspect.Parameter.empty not in recipe.options().values()
    record = records.published(name) if name in on_record() else {}
    if "data" in record:
        assert record["data"]["name"] == recipe.dataset
    if "cpu_seconds" in record and name not in AWAITED:
        assert abs(record["cpu_seconds"] / 60 - recipe.minutes) <= 1


def test_what_is_no_recipe_and_no_option(tmp_path, toy):
    with pytest.raises(ValueError, match="no recipe 'mnist'; there are static_mnist, made_dna"):
        recipes.run("mnist")
    with pytest.raises(ValueError, match="nltcs has no option 'epoch'; its options are hidden, epochs"):
        recipes.run("nltcs", toy, epoch=3)
    with pytest.raises(ValueError, match="small_universe makes its own data; run it without"):
        recipes.run("small_universe", toy)


def test_the_command_writes_the_record(toy, tmp_path, monkeypatch, capsys):
    """To the current folder, or where one says; the published records stay as they are."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "nltcs.json").write_text('"published"')
    monkeypatch.setattr(records, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(datasets, "load", lambda name: toy)
    monkeypatch.chdir(tmp_path)
    quick = ["nltcs", "--folder", "runs", "--hidden", "8", "--members", "1", "--epochs"]
    main([*quick, "1"])
    record = json.loads((tmp_path / "nltcs.json").read_text())
    told = capsys.readouterr().out
    assert f"{record['test']['nll']:.3f}" in told and f"wrote {tmp_path / 'nltcs.json'}" in told
    assert record["command"] == "python -m hybridlib.recipes nltcs --hidden 8 --members 1 --epochs 1"
    assert record["settings"]["hidden"] == [8] and list((tmp_path / "runs").glob("nltcs-0-*.safetensors"))
    main([*quick, "2", "--folder", "more", "--out", "some/where"])
    assert len(json.loads((tmp_path / "some" / "where" / "nltcs.json").read_text())["members"][0]["curve"]) == 2
    monkeypatch.chdir(tmp_path / "results")
    quick[2] = str(tmp_path / "runs")
    with pytest.raises(SystemExit):
        main([*quick, "1"])
    assert "is the published record; name a folder with --out" in capsys.readouterr().err
    assert records.published("nltcs") == "published"
    main([*quick, "1", "--out", str(tmp_path / "results")])
    assert records.published("nltcs")["name"] == "nltcs"


def test_the_command_of_options_of_every_kind():
    told = recipes.command("static_mnist", {"lr": 0.01, "residual": False, "sharpen": True, "reads": (0, 3)})
    assert told == "python -m hybridlib.recipes static_mnist --lr 0.01 --no-residual --sharpen --reads 0 3"


@pytest.mark.parametrize(
    "arguments, told",
    [
        ("mnist", "invalid choice: 'mnist' (choose from"),
        ("nltcs 10", "unrecognized arguments: 10"),
        ("nltcs epochs=10", "unrecognized arguments: epochs=10"),
        ("nltcs --epoch 10", "unrecognized arguments: --epoch 10"),
        ("nltcs --epochs 0", "argument --epochs: '0' is not a whole number, at least 1"),
        ("nltcs --epochs ten", "argument --epochs: 'ten' is not a whole number"),
        ("nltcs --hidden wide", "argument --hidden: 'wide' is not a whole number"),
        ("nltcs --lr nan", "argument --lr: 'nan' is not a positive number"),
        ("nltcs --dropout 1", "argument --dropout: '1' is not a number from 0, and below 1"),
        ("static_mnist --reads 0 8", "argument --reads: '8' is not a way to read a page"),
        ("qm9_flow --w 2", "argument --w: '2' is not a number above 0, at most 1"),
        ("qm9_flow --reading argmax", "argument --reading: invalid choice: 'argmax'"),
        ("nltcs --out taken", "--out taken can be no folder"),
    ],
)
def test_values_are_checked_before_anything_is_trained(arguments, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(SystemExit) as stopped:
        main(arguments.split())
    assert stopped.value.code == 2 and told in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize("arguments", [[], ["list"], ["--help"]])
def test_the_command_line_lists_what_there_is(arguments):
    told = subprocess.check_output([sys.executable, "-m", "hybridlib.recipes", *arguments], text=True)
    assert all(f" {name} " in " ".join(told.split()) for name in recipes.RECIPES) and "static_mnist --epochs 10" in told


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_help_says_what_an_option_is_unless_one_sets_it(name, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert all(f"--{option}" in told for option in recipes.RECIPES[name].options()) and "%" not in told

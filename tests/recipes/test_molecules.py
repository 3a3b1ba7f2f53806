"""Molecules at toy scale: graphs are learned and judged, and nothing is lost between text and graphs."""

import pytest
import torch

from hybridlib import checkpoints, datasets, recipes, records
from hybridlib.graphs import ATOMS
from hybridlib.molecules import from_smiles, to_smiles
from hybridlib.recipes.molecules import _neutral


@pytest.mark.filterwarnings("ignore:the Frechet ChemNet distance")  # of two dozen molecules
@pytest.mark.parametrize("name", ["qm9_exact", "qm9_flow", "zinc_categorical", "zinc_masked"])
def test_graphs_run_learn_and_are_judged(name, few_molecules, tmp_path):
    data = few_molecules
    options = {"H": 16, "layers": 2, "epochs": 8, "rows": 240, "samples": 100, "lr": 1e-2, "seeds": 1}
    model, record = recipes.run(name, data, folder=tmp_path, **options)
    exact = -model.log_prob(data.test).mean().item()
    assert record["test"]["nll"] == pytest.approx(exact, abs=1e-3) and exact < 8
    if model.reading != "categorical":
        assert record["test_bound"]["nll"] > record["test"]["nll"]
    assert record["samples_checked"]["valid"]["value"] == 1
    best = record["test_at_best_temperature"]["nll"]
    assert min(record["temperatures"].values()) <= record["temperatures"]["1.0"] and best < exact + 0.5
    assert record["samples"]["novel"]["value"] < 1, "six molecules are known"
    assert record["samples"]["valid"]["value"] == 1 or not model.masked
    for shares in record["sizes"].values():
        assert sum(shares) == pytest.approx(1, abs=1e-3)
    assert record["sizes"]["data"][:5] == pytest.approx([0, 0, 0, 5 / 6, 1 / 6], abs=1e-4)
    distances = {"FCD/Test", "SNN/Test", "Frag/Test", "Scaf/Test", "IntDiv", "IntDiv2", "Filters", "NSPDK"}
    assert set(record["distribution"]) == distances and set(record["floor"]) == {"valid", *distances}
    assert record["floor"]["valid"] == 1
    if record["temperatures"]["1.0"] == min(record["temperatures"].values()):
        assert record["samples_best_temperature"] == record["samples"]
    assert record["distribution"]["FCD/Test"] > 0 and record["floor"]["SNN/Test"] == 1, "six molecules, in each part"
    lines = (tmp_path / f"{name}_0.smi").read_text().splitlines()
    assert len(lines) == 100 and sum(map(bool, lines)) == round(100 * record["samples"]["valid"]["value"])
    # what a recipe leaves is a checkpoint
    (path,) = tmp_path.glob("*.safetensors")
    assert checkpoints.meta(path)["settings"]["A"] == 4


@pytest.mark.filterwarnings("ignore:the Frechet ChemNet distance")  # of a few molecules
def test_seeds_are_trainings_of_their_own(few_molecules, tmp_path):
    """What is finished is not trained again, and a table sees the mean."""
    options = {"H": 8, "layers": 1, "epochs": 1, "rows": 64, "samples": 30, "folder": tmp_path}
    _, alone = recipes.run("qm9_exact", few_molecules, seeds=1, **options)
    _, record = recipes.run("qm9_exact", few_molecules, seeds=2, **options)
    assert alone["protocol"] | {"seeds": 2} == record["protocol"] and "runs" not in alone
    assert alone["curve"] == record["curve"] and alone["test"] == record["test"] == record["runs"][0]["test"]
    nats = [run["test"]["nll"] for run in record["runs"]]
    assert [run["seed"] for run in record["runs"]] == record["seeds"] == [0, 1] and nats[0] != nats[1]
    (row,) = records.rows({"GraphAF": record}, {"nats": "test.nll", "±": "+-test.nll"})
    assert row["nats"] == pytest.approx(sum(nats) / 2) and row["±"] == pytest.approx(abs(nats[0] - nats[1]) / 2**0.5)


def test_neutral_molecules_have_nine_types(tmp_path):
    charged = from_smiles(["C[NH3+]", "CC(=O)[O-]", "C[N+](=O)[O-]", "CSCCl"] * 8, A=17, N=6)
    data = _neutral(datasets.Molecules(charged, charged, charged, 17))
    neutral = ("C", "N", "O", "F", "S", "Cl", "Br", "I", "P")
    assert data.A == 13 and {ATOMS[code] for code in data.train.atoms.unique()} <= {"", *neutral}
    assert torch.equal(data.train.bonds, charged.bonds)
    assert to_smiles(data.train[1:2]) == ["CC(=O)O"] and to_smiles(data.train[2:3]) == [None], "N with four bonds"


@pytest.mark.filterwarnings("ignore:the Frechet ChemNet distance")  # of a few molecules
def test_the_floor_of_a_model_without_charges_is_what_it_could_draw(tmp_path):
    charged = from_smiles(["C[NH3+]", "CC(=O)[O-]", "C[N+](=O)[O-]", "CSCCl"] * 8, A=17, N=6)
    options = {"H": 16, "layers": 1, "epochs": 8, "rows": 240, "samples": 50, "lr": 1e-2, "seeds": 1}
    _, record = recipes.run(
        "zinc_neutral", datasets.Molecules(charged, charged, charged, 17), folder=tmp_path, **options
    )
    assert record["protocol"]["alphabet"] == "9 atom types, charges dropped"
    assert record["floor"]["valid"] == 0.75, "without its charges nitromethane is no molecule"


def test_three_readings_by_seeds(few_molecules, tmp_path):
    model, record = recipes.run("graph_readings", few_molecules, seeds=2, epochs=3, H=8, samples=50, folder=tmp_path)
    assert list(record["readings"]) == ["flow", "exact", "categorical"]
    for reading, found in record["readings"].items():
        assert [entry["seed"] for entry in found] == [0, 1] and found[0]["nll"] != found[1]["nll"]
        assert all(("bound" in entry) == (reading != "categorical") for entry in found)
        assert all(entry["bound"] > entry["nll"] for entry in found if "bound" in entry)
    last = record["readings"]["categorical"][1]["nll"]
    assert last == pytest.approx(-model.log_prob(few_molecules.test).mean().item(), abs=1e-3)


def test_small_universe_accounts_for_all_probability(tmp_path):
    _, record = recipes.run("small_universe", n=3, epochs=8, H=8, folder=tmp_path)
    assert record["molecules"] == 4 + 10 + 27 and record["possible"] == 4 + 19 + 94
    for found in record["readings"].values():
        assert found["kl"] > 0 and 0 < found["invalid"] < found["outside"] < 1


def test_round_trips_name_what_is_lost(monkeypatch):
    found = {"smiles": ["CCO", "F[C@H](Cl)Br", "CC.O", "c1ccc(-c2ccccc2)cc1"], "qm9": ["C", "O", "C[NH3+]", "F/C=C/F"]}
    monkeypatch.setattr(datasets, "load_strings", found.get)
    _, record = recipes.run("round_trips", names=("smiles", "qm9"))
    assert record["sets"]["smiles"]["lost"] == ["F[C@H](Cl)Br", "CC.O"], "four atom types hold no chlorine"
    assert record["sets"]["smiles"]["stereo"] == 1 and record["sets"]["smiles"]["charged"] == 0
    other = record["sets"]["qm9"]
    assert [other[key] for key in ("molecules", "stereo", "charged", "lost")] == [4, 1, 1, []]

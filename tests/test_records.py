"""Records are written by one writer, read by name, and say where they are from."""

import json
import math
import re
from pathlib import Path

import pytest
import torch

from hybridlib import datasets, records

ROOT = Path(__file__).resolve().parent.parent
RECORDS = sorted(records.RESULTS.glob("*.json"))


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_published_records_are_as_the_writer_writes_them(path, tmp_path):
    """Whatever wrote one, only what was found differs between two versions of a file."""
    records.write(json.loads(path.read_text()), tmp_path / "again.json")
    assert path.read_text() == (tmp_path / "again.json").read_text()


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_every_record_says_how_to_get_it(path):
    record = records.published(path.stem)
    command = "python -m hybridlib.recipes NAME|python benchmarks/NAME.py( --[a-z-]+ ([0-9]+|PATH))+"
    assert record["name"] == path.stem and re.fullmatch(command.replace("NAME", path.stem), record["command"])
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", record["date"]) and record["versions"]["torch"]
    assert "core" in record["hardware"] or "GPU" in record["hardware"] or "NVIDIA" in record["hardware"]


def test_only_records_are_published(tmp_path, monkeypatch):
    """A name is a name: it is not glued to a folder, from which dots and strokes would lead anywhere."""
    (tmp_path / "results").mkdir()
    (tmp_path / "x.json").write_text("{}")
    monkeypatch.setattr(records, "RESULTS", tmp_path / "results")
    for name in ("../x", str(tmp_path / "x"), "", "x"):
        with pytest.raises(ValueError, match="there is no record"):
            records.published(name)


ANYTHING = [
    {}, [], "text", None, 1.5, {"a": {}, "b": []}, [[], {}], {"long": "x" * 500}, {"numbers": list(range(500))},
    {"curve": [{"epoch": epoch, "loss": epoch / 7, "sizes": [1, 2]} for epoch in range(40)], "é": "«中»"},
    [[{"deep": [{"deeper": list(range(60))}] * 3}] * 2],
]  # fmt: skip


@pytest.mark.parametrize("value", ANYTHING)
def test_compact_json_is_json(value):
    text = records.as_json(value)
    assert json.loads(text) == value and json.dumps(json.loads(text)) == json.dumps(value)


def test_what_belongs_together_stands_on_a_line():
    lines = records.as_json(ANYTHING[-2]).splitlines()
    assert (
        lines[1] == ' "curve": [' and lines[2] == '  {"epoch": 0, "loss": 0.0, "sizes": [1, 2]},' and len(lines) == 45
    )
    assert len(records.as_json(ANYTHING[-3]).splitlines()) == 3, "plain values are never broken"


def test_names_that_are_numbers_and_tuples_are_written_too(tmp_path):
    records.write({"hidden": (8, 8), "by": {1: 0.5}}, tmp_path / "new" / "record.json")
    assert json.loads((tmp_path / "new" / "record.json").read_text()) == {"hidden": [8, 8], "by": {"1": 0.5}}


def test_the_score_is_a_mean_with_its_standard_error():
    log_prob = -torch.rand(400, generator=torch.Generator().manual_seed(0))
    found = records.score(log_prob, D=2)
    assert found["nll"] == pytest.approx(-log_prob.mean().item(), abs=1e-4)
    assert found["se"] == pytest.approx(log_prob.std().item() / 20, abs=1e-4)
    assert found["bits_per_dim"] == pytest.approx(found["nll"] / 2 / 0.693147, abs=1e-4)


def test_a_share_has_the_interval_of_wilson():
    # Newcombe (1998), Statistics in Medicine 17, table I, method 3
    for k, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert records.share(k, n) == {"value": round(k / n, 4), "low": low, "high": high}
    for k, n in ((0, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="is no share"):
            records.share(k, n)


def two(**changes):
    """Records of two models whose protocols differ in what is given."""
    one = {"protocol": {"data": "toy", "w": 0.9}, "test": {"nll": 2.0}}
    return {"one": one, "other": {"protocol": one["protocol"] | changes, "test": {"nll": 3.0}}}


def test_a_table_of_records_shows_where_their_protocols_differ():
    assert records.rows(two(), {"NLL": "test.nll"}) == [{"": "one", "NLL": 2.0}, {"": "other", "NLL": 3.0}]
    for changes in ({"w": 0.5}, {"reading": "flow"}):  # another value, and a key that one of them lacks
        (key,) = changes
        with pytest.raises(ValueError, match=f"differ in '{key}'"):
            records.rows(two(**changes), {"NLL": "test.nll"})
        rows = records.rows(two(**changes), {"NLL": "test.nll", key: key})
        assert [row[key] for row in rows] == [two()["one"]["protocol"].get(key), changes[key]]


def test_a_table_shows_the_mean_over_seeds_and_their_spread():
    some = two()
    some["one"]["runs"] = [{"test": {"nll": value}} for value in (1.0, 2.0, 6.0)]
    rows = records.rows(some, {"NLL": "test.nll", "seeds": "+-test.nll", "FCD": "fcd"})
    assert rows[0] == {"": "one", "NLL": 3.0, "seeds": pytest.approx(7**0.5), "FCD": None}
    assert rows[1] == {"": "other", "NLL": 3.0, "seeds": None, "FCD": None}


def test_the_running_comparison_ranks_by_pairs():
    found = {row["model"]: row for row in records.published("running_comparison")["rows"]}
    base = found["FVSBN"]
    for name, row in found.items():
        assert row["gain"] == pytest.approx(base["nll"] - row["nll"], abs=0.02), "the same test pictures"
        if name not in ("FVSBN", "independent"):  # the same pictures are hard for both
            assert row["gain_se"] < math.hypot(row["se"], base["se"])
    assert found["PixelCNN"]["gain"] > found["MADE"]["gain"] + 2 > 2 > found["NADE"]["gain"]


@pytest.mark.parametrize("path", sorted((ROOT / "book").glob("*.ipynb")), ids=lambda path: path.stem)
def test_chapters_make_tables_of_records_with_their_protocol(path):
    """A cell that reads a recipe's record and prints a table has its rows from `records.rows`, which may refuse."""
    sets = {name.partition("_")[0] for name in GRAPHS} | {*GOALS, "mnist_uniform", "mnist_variational", "mnist_box"}
    for cell in json.loads(path.read_text())["cells"]:
        source = "".join(cell["source"]) if cell["cell_type"] == "code" else ""
        source = source.replace('published("round_trips")', "")  # which names the same sets, and has no protocol
        if "published(" in source and "viz.table(" in source and any(f'"{name}' in source for name in sets):
            assert "records.rows(" in source, cell["id"]


def test_every_record_of_a_recipe_with_data_carries_its_protocol():
    for name in (*GOALS, *GRAPHS, "mnist_uniform", "mnist_variational", "mnist_box"):
        found = records.published(name)
        protocol = found["protocol"]
        assert protocol["data"] == found["data"]["name"] and protocol["seeds"] >= 1, name
        assert str(protocol["threads"]) == found["hardware"].split()[0], name


# --- what was found ---------------------------------------------------------------------------------------------------

# test negative log-likelihood in nats that a full run must not exceed
MIXTURES = {"made_dna": 79.6, "mushrooms": 9.66, "nltcs": 6.0, "plants": 12.5, "static_mnist": 88.0}
SINGLE = {"static_vae": 88.0, "static_transformer": 84.5, "zinc_smiles": 27.5}
GOALS = MIXTURES | SINGLE
# recipe -> nats that its test molecules may cost, share of samples that must be valid without check (flow: the paper's)
GRAPHS = {
    "qm9_exact": (16, 0.9), "qm9_categorical": (16, 0.9), "qm9_masked": (16, 1), "qm9_flow_narrow": (99, 0.68),
    "zinc_exact": (38, 0.9), "zinc_categorical": (38, 0.9), "zinc_masked": (38, 1), "zinc_flow_narrow": (99, 0.68),
}  # fmt: skip


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_on_record_meet_the_goal(name):
    found, (nats, valid) = records.published(name), GRAPHS[name]
    assert found["test"]["nll"] <= nats and found["command"] == f"python -m hybridlib.recipes {name}"
    assert len(found["curve"]) == found["settings"]["epochs"] and found["samples"]["n"] == 10_000
    samples = found["samples"]
    off = abs(samples["size"]["value"] / found["data_size"]["mean"] - 1)
    assert samples["valid"]["value"] >= valid and off < (0.1 if "flow" in name else 0.03)
    if "flow" in name:  # at the paper's temperature too
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
    assert [name for name, part in found.items() if part["stereo"]] == ["zinc_smiles"]
    assert [name for name, part in found.items() if part["charged"]] == ["qm9", "zinc_smiles"]


@pytest.mark.parametrize("name", GOALS)
def test_the_committed_record_is_complete_and_meets_the_goal(name):
    found = records.published(name)
    assert found["command"] == f"python -m hybridlib.recipes {name}"
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", found["date"])
    assert "core" in found["hardware"] or "GPU" in found["hardware"] or "NVIDIA" in found["hardware"]
    # the record of strings is older than the public split; its protocol says how many test molecules it had
    about = datasets.about(found["data"]["name"])
    assert found["data"]["about"] == about or found["protocol"].get("test molecules") == 10_000
    assert found["versions"]["torch"]
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
    assert samples["n"] >= 1000 and samples["valid"]["value"] >= 0.8
    assert samples["novel"]["value"] >= 0.7 and samples["unique"]["value"] >= 0.9


def test_keeping_keys_and_values_pays_and_more_so_in_longer_sequences():
    rows = records.published("transformer_speed")["sampling"]
    ratios = {row["T"]: row["ratio"]["median"] for row in rows if row["identical"]}
    assert list(ratios) == [16, 32, 64, 128, 256] and ratios[64] >= 4
    assert list(ratios.values()) == sorted(ratios.values())


def test_the_readme_says_what_the_records_say():
    text = " ".join((ROOT / "benchmarks" / "README.md").read_text().split())
    for name in GOALS:
        test = records.published(name)["test"]
        assert f"| {name} | {test['nll']:.2f} ± {test['se']:.2f} |" in text
    assert f"(ELBO {records.published('static_vae')['test']['elbo']:.2f})" in text
    strings = records.published("zinc_smiles")
    valid, novel = (strings["samples"][key] for key in ("valid", "novel"))
    assert f"{strings['test']['nats_per_character']:.3f} nats a character" in text
    low, high = 100 * valid["low"], 100 * valid["high"]
    assert f"{100 * valid['value']:.1f} % are molecules (95 % interval {low:.1f} to {high:.1f})" in text
    assert f"{100 * novel['value']:.1f} % of them are not among" in text
    *some, last = (f"{row['ratio']['median']:.1f}" for row in records.published("transformer_speed")["sampling"])
    assert f"it is {', '.join(some)} and {last} times as fast" in text


def test_averaged_logits_flatter_and_the_readme_says_so():
    found = records.published("averaged_logits")
    alone, claimed, mixture = (found[key]["nll"] for key in ("one_order_test", "claimed_test", "test"))
    assert claimed < 80 < alone < mixture < min(found["each_order_test"]) and found["log_sum"]["at_least"] > 9
    told = f"one order needs {alone:.2f} nats, the averaged logits claim {claimed:.2f}, the mixture needs {mixture:.2f}"
    assert told in " ".join((ROOT / "benchmarks" / "README.md").read_text().split())


def test_variational_noise_pays_on_grey_levels():
    uniform, variational, box = (records.published(f"mnist_{kind}") for kind in ("uniform", "variational", "box"))
    assert variational["test"]["bits_per_dim"] < uniform["test"]["bits_per_dim"] < 1.5
    assert box["test_exact"]["bits_per_dim"] < box["test"]["bits_per_dim"] < 1.2, "a cliff at level 0 costs no more"
    text = (ROOT / "benchmarks" / "README.md").read_text()
    for record in (uniform, variational, box):
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

"""Measures of generated molecules, against molecules whose answers are known."""

import sys

import numpy as np
import pytest
import torch

from hybridlib import metrics
from hybridlib.graphs import Graph
from hybridlib.molecules import from_smiles

GOOD = ["CCO", "CCO", "c1ccccc1", "CC(=O)O"]


def with_a_bad_one():
    graph = from_smiles([*GOOD, "CCCCC"], N=6)
    graph.bonds[4, 0, 1] = graph.bonds[4, 1, 0] = 3
    graph.bonds[4, 1, 2] = graph.bonds[4, 2, 1] = 3
    return graph


def test_quality():
    found = metrics.quality(with_a_bad_one(), known=["CCO", "CC(=O)O"], buckets=[2, 4, 6])
    assert found["n"] == 5
    assert found["valid"]["value"] == 0.8 and found["valid"]["low"] < 0.8 <= found["valid"]["high"]
    assert found["unique"]["value"] == 0.75 and found["novel"]["value"] == 0.25
    assert found["size"]["value"] == pytest.approx((3 + 3 + 6 + 4 + 5) / 5)
    assert [(b["from"], b["below"], b["n"], b["valid"]["value"]) for b in found["by_size"]] == [
        (2, 4, 2, 1), (4, 6, 2, 0.5), (6, None, 1, 1),
    ]  # fmt: skip


def test_known_molecules_are_known_in_any_spelling():
    graph = from_smiles(GOOD)
    raw = ["OCC\n", "C1=CC=CC=C1", "[CH3:1]C(O)=O"]
    assert metrics.quality(graph, known=raw)["novel"]["value"] == 0
    assert metrics.quality(graph, known=(text for text in raw[:2]))["novel"]["value"] == 0.25
    assert metrics.quality(from_smiles(["CC(N)O"]), known=["C[C@H](N)O"])["novel"]["value"] == 0
    with pytest.raises(ValueError, match=r"row 1 of known: 'C\(C' is no molecule"):
        metrics.quality(graph, known=["CC", "C(C"])
    with pytest.raises(ValueError, match=r"row 1 of known: .* too long"):
        metrics.quality(graph, known=["CC", "C" * 5000])
    with pytest.raises(ValueError, match=r"row 1: quality\(known=\) takes strings, got float nan"):
        metrics.quality(graph, known=["CC", float("nan")])


def test_molecules_without_atoms_are_nothing_to_measure():
    with pytest.raises(ValueError, match="none of the 3 molecules has an atom"):
        metrics.quality(Graph(torch.zeros(3, 2, dtype=torch.long), torch.zeros(3, 2, 2, dtype=torch.long)))


def test_every_list_may_be_an_iterator():
    smiles = ["OCC", "CC", "c1ccccc1C", "CC(=O)O"]
    assert metrics.scaffolds(iter(smiles)) == metrics.scaffolds(smiles)
    assert metrics.properties(iter(smiles), ["QED"])["QED"].tolist() == metrics.properties(smiles)["QED"].tolist()
    assert metrics.property_distances(iter(smiles), iter(smiles), bins=2) == metrics.property_distances(
        smiles, smiles, bins=2
    )
    assert metrics.lost(iter([*smiles, "C.C"]), at_once=2) == ["C.C"]
    assert (
        metrics.bootstrap(iter([1.0, 2.0])) == metrics.bootstrap([1.0, 2.0]) == metrics.bootstrap(torch.tensor([1, 2]))
    )


@pytest.mark.parametrize(
    "measure", [metrics.scaffolds, metrics.properties, lambda part: metrics.property_distances(part, ["CC"])]
)
def test_what_is_no_molecule_is_named_by_its_row(measure):
    with pytest.raises(ValueError, match=r"row 1: 'C\(C' is no molecule"):
        measure(["CC", "C(C"])
    with pytest.raises(ValueError, match="takes strings, got NoneType None"):
        measure(["CC", None])
    with pytest.raises(ValueError, match="a list of strings, got the string 'CC'"):
        measure("CC")
    with pytest.raises(ValueError, match="nothing to measure"):
        measure([])


def test_an_unknown_property_is_named():
    with pytest.raises(ValueError, match="no property 'SA'; choose among logP, QED, weight"):
        metrics.properties(["CC"], ["SA"])


def test_quality_of_nothing_valid():
    found = metrics.quality(with_a_bad_one()[4], known=["CCO"])
    assert found["valid"]["value"] == 0 and found["size"]["value"] == 5
    assert "unique" not in found and "novel" not in found


def test_bootstrap_has_the_width_of_theory():
    values = np.random.default_rng(0).normal(size=4000)
    found = metrics.bootstrap(values)
    assert found["value"] == values.mean()
    assert (found["high"] - found["low"]) / 2 == pytest.approx(1.96 * values.std() / 4000**0.5, rel=0.1)
    assert metrics.bootstrap(values, np.median)["value"] == np.median(values)
    # the interval is that of the statistic: nearly every resample of these has the median 0
    assert metrics.bootstrap(np.repeat([0, 1], [90, 10]), np.median) == {"value": 0, "low": 0, "high": 0}


def test_bootstrap_follows_its_seed_and_its_number_of_draws():
    values = np.random.default_rng(0).normal(size=50)
    assert metrics.bootstrap(values, seed=1) == metrics.bootstrap(values, seed=1) != metrics.bootstrap(values, seed=2)
    single = metrics.bootstrap(values, draws=1)
    assert single["low"] == single["high"] != single["value"]


def test_scaffolds_count_different_rings():
    assert metrics.scaffolds(["CCc1ccccc1", "Oc1ccccc1", "C1CC1", "CCO", "CCO"]) == 3 / 5


def test_properties_of_known_molecules():
    found = metrics.properties(["CCO", "c1ccccc1"])
    assert found["weight"] == pytest.approx([46.07, 78.11], abs=0.01)
    assert found["logP"][0] < 0 < found["logP"][1] and ((found["QED"] > 0) & (found["QED"] < 1)).all()
    assert list(metrics.properties(["C"], ["QED"])) == ["QED"]


def test_lost_molecules_are_named():
    smiles = ["OCC", "CC.O", "F[C@H](O)C", "C[N+](C)(C)C", "c1ccccc1", "C(C"]
    assert metrics.lost(smiles) == ["CC.O", "C(C"]
    assert metrics.lost(smiles, A=4, at_once=2) == ["CC.O", "C[N+](C)(C)C", "C(C"]
    assert metrics.lost(["CCO", "CCCO"], N=3) == ["CCCO"]


def test_a_repaired_molecule_is_lost(monkeypatch):
    monkeypatch.setattr(metrics, "to_smiles", lambda graph: ["CCO", None])
    assert metrics.lost(["OCC", "CC"]) == ["CC"]


def test_properties_of_two_sets_side_by_side():
    one, other = ["CCO", "CCCO", "CCCCO", "CCCCCO"], ["CO", "CCO", "CCCO", "CCCCO"]
    found = metrics.property_distances(one, other, bins=4)
    assert list(found) == ["logP", "QED", "weight"]
    for part in found.values():
        assert len(part["edges"]) == 5 and sum(part["samples"]) == pytest.approx(1) == sum(part["reference"])
    assert found["weight"]["distance"] == pytest.approx(14.03, abs=0.05), "one CH2 more"
    assert found["weight"]["samples"] == [0, 0.25, 0.25, 0.5], "the heaviest lies beyond the edges"
    assert metrics.property_distances(one, one)["QED"]["distance"] == 0


def test_nothing_to_measure():
    empty = Graph(torch.zeros(0, 2, dtype=torch.long), torch.zeros(0, 2, 2, dtype=torch.long))
    for call in (lambda: metrics.quality(empty), lambda: metrics.scaffolds([]), lambda: metrics.bootstrap([])):
        with pytest.raises(ValueError, match="nothing to measure"):
            call()


def test_frechet_chemnet_distance():
    alcohols = ["C" * k + "O" for k in range(1, 9)]
    acids = ["C" * k + "C(=O)O" for k in range(1, 9)]
    with pytest.warns(UserWarning, match=r"of 8 molecules says little: as many real ones, of ZINC250k, are at 54;"):
        assert metrics.fcd(iter(alcohols), alcohols) == pytest.approx(0, abs=1e-3)
    with pytest.warns(UserWarning, match="says little"):
        assert metrics.fcd(alcohols, iter(acids)) > 1


def test_a_distance_needs_molecules():
    for part in ([], ["C"]):
        with pytest.raises(ValueError, match=f"needs two molecules of each set or more, got {len(part)}"):
            metrics.fcd(part, ["C", "CC", "CCC"])
    with pytest.warns(UserWarning), pytest.raises(ValueError, match=r"'C\(' is no molecule"):
        metrics.fcd(["C", "C("], ["C", "CC"])


def test_floors_fall_as_one_over_the_number_of_molecules_or_slower():
    n, floor = np.array(list(metrics.FLOORS)), np.array(list(metrics.FLOORS.values()))
    assert (np.diff(n) > 0).all() and (np.diff(floor) < 0).all() and (np.diff(n * floor) > 0).all()


def test_the_distance_names_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "fcd_torch", None)
    with pytest.raises(ImportError, match=r"hybridlib\[fcd\]"):
        metrics.fcd(["C"], ["C"])

"""Measures of generated molecules, against molecules whose answers are known."""

import numpy as np
import pytest
import torch

from hybridlib import metrics
from hybridlib.molecules import Graph, from_smiles

GOOD = ["CCO", "CCO", "c1ccccc1", "CC(=O)O"]


def with_a_bad_one():
    graph = from_smiles([*GOOD, "CCCCC"], N=6)
    graph.bonds[4, 0, 1] = graph.bonds[4, 1, 0] = 3
    graph.bonds[4, 1, 2] = graph.bonds[4, 2, 1] = 3
    return graph


def test_quality():
    found = metrics.quality(with_a_bad_one(), known=["CCO"], buckets=[4, 6])
    assert found["n"] == 5
    assert found["valid"]["value"] == 0.8 and found["valid"]["low"] < 0.8 <= found["valid"]["high"]
    assert found["unique"]["value"] == 0.75 and found["novel"]["value"] == 0.5
    assert found["size"]["value"] == pytest.approx((3 + 3 + 6 + 4 + 5) / 5)
    assert [(b["from"], b["below"], b["n"], b["valid"]["value"]) for b in found["by_size"]] == [
        (0, 4, 2, 1), (4, 6, 2, 0.5), (6, None, 1, 1),
    ]  # fmt: skip


def test_bootstrap_has_the_width_of_theory():
    values = np.random.default_rng(0).normal(size=4000)
    found = metrics.bootstrap(values)
    assert found["value"] == values.mean()
    assert (found["high"] - found["low"]) / 2 == pytest.approx(1.96 * values.std() / 4000**0.5, rel=0.1)
    assert metrics.bootstrap(values, np.median)["value"] == np.median(values)


def test_scaffolds_count_different_rings():
    assert metrics.scaffolds(["CCc1ccccc1", "Oc1ccccc1", "C1CC1", "CCO"]) == 3 / 4


def test_properties_of_known_molecules():
    found = metrics.properties(["CCO", "c1ccccc1"])
    assert found["weight"] == pytest.approx([46.07, 78.11], abs=0.01)
    assert found["logP"][0] < 0 < found["logP"][1] and ((found["QED"] > 0) & (found["QED"] < 1)).all()


def test_reconstruction():
    graph = from_smiles(GOOD)
    assert metrics.reconstruction(graph, GOOD) == 1
    assert metrics.reconstruction(graph, ["CCO", "CCO", "c1ccccc1", "CCO"]) == 0.75


def test_nothing_to_measure():
    empty = Graph(torch.zeros(0, 2, dtype=torch.long), torch.zeros(0, 2, 2, dtype=torch.long))
    for call in (lambda: metrics.quality(empty), lambda: metrics.scaffolds([]), lambda: metrics.bootstrap([])):
        with pytest.raises(ValueError, match="nothing to measure"):
            call()

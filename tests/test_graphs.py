"""Graphs of tensors: valences are hydrogens, another numbering is the same molecule, and breadth-first orders are."""

import numpy as np
import pytest
import torch
from rdkit import Chem
from shaken import rng
from test_molecules import CHARGED, drawn, plain

from hybridlib.graphs import ATOMS, VALENCE, Graph, bandwidth, bfs_order, in_bfs_order, parents
from hybridlib.molecules import from_smiles, to_smiles


class TestGraph:
    graph = from_smiles(CHARGED, N=13)

    def test_free_valences_are_hydrogens(self):
        for row, smiles in enumerate(["CC(=O)N", "c1cc[nH]c1", "C[NH2+]C", "[O-]C=O"]):
            molecule = Chem.MolFromSmiles(smiles)
            hydrogens = sum(atom.GetTotalNumHs() for atom in molecule.GetAtoms())
            assert from_smiles([smiles]).free_valence.sum() == hydrogens, row

    def test_valences_are_those_of_rdkit(self):
        for code, name in enumerate(ATOMS[1:], start=1):
            fluorine = [(0, 1 + k, 1) for k in range(VALENCE[code])]
            full = drawn([code] + [4] * len(fluorine), fluorine)
            assert to_smiles(full) != [None], name
            if name not in ("I", "S-", "S+", "P", "P+"):  # RDKit, or an older one, would let these have more
                one_more = drawn([code] + [4] * (len(fluorine) + 1), [*fluorine, (0, len(fluorine) + 1, 1)])
                assert to_smiles(one_more) == [None], name

    def test_another_order_is_the_same_molecule(self):
        order = torch.stack([torch.randperm(13, generator=rng(k)) for k in range(len(CHARGED))])
        order = order.gather(
            1, (self.graph.atoms.gather(1, order) == 0).int().argsort(dim=1, stable=True)
        )  # padding last
        permuted = self.graph.permute(order)
        assert not torch.equal(permuted.atoms, self.graph.atoms)
        assert to_smiles(permuted) == to_smiles(self.graph)

    def test_rows(self):
        assert len(self.graph[3]) == 1 and len(self.graph[-1]) == 1 and len(self.graph[2:5]) == 3
        assert to_smiles(self.graph[-1]) == [plain(CHARGED[-1])]

    @pytest.mark.parametrize("odd", [[[1]], None, np.ones((1, 1), int)])
    def test_that_are_no_tensors_are_refused_at_once(self, odd):
        with pytest.raises(ValueError, match=f"the atoms of a Graph are a tensor, got {type(odd).__name__}"):
            Graph(odd, odd)


class TestBreadthFirst:
    graph = from_smiles(CHARGED)

    def test_canonical_order_is_one(self):
        assert in_bfs_order(self.graph).all()

    def test_random_orders_are_and_reach_all_of_them(self):
        ethers = from_smiles(["CCO"] * 500)
        shuffled = ethers.permute(bfs_order(ethers, generator=rng()))
        assert in_bfs_order(shuffled).all()
        words = ["".join(ATOMS[code] for code in row) for row in shuffled.atoms.tolist()]
        # from an end there is one order, from the middle there are two
        shares = {word: words.count(word) / 500 for word in set(words)}
        assert set(shares) == {"CCO", "OCC", "COC"} or set(shares) == {"CCO", "OCC"}
        assert abs(shares["OCC"] - 1 / 3) < 0.08
        # an atom that two others could find belongs to the first of them: rings of an even size beside others
        rings = from_smiles([*CHARGED, *["C1CC2CCC1CC2", "c1ccc2ccccc2c1"] * 50])
        many = rings.permute(bfs_order(rings, generator=rng(1)))
        assert in_bfs_order(many).all() and to_smiles(many) == to_smiles(rings)

    def test_random_orders_follow_their_generator(self):
        one, same, other = (bfs_order(self.graph, generator=rng(seed)) for seed in (3, 3, 4))
        assert torch.equal(one, same) and not torch.equal(one, other)

    def test_other_orders_are_refused(self):
        ring = [(0, 1, 1), (1, 2, 1), (2, 3, 1), (3, 0, 1)]
        assert not in_bfs_order(drawn([1] * 4, ring))  # goes round the ring: 3 was found by 0, before 2 by 1
        assert in_bfs_order(drawn([1] * 4, [(0, 1, 1), (0, 2, 1), (1, 3, 1), (2, 3, 1)]))
        assert not in_bfs_order(drawn([1] * 3, [(0, 1, 1)]))  # in two parts
        assert not in_bfs_order(drawn([1] * 3, [(0, 2, 1), (1, 2, 1)]))  # the second atom joins nothing

    def test_parents_and_bandwidth(self):
        graph = drawn([1] * 4, [(0, 1, 1), (0, 2, 2), (1, 3, 1), (2, 3, 1)])
        assert parents(graph).tolist() == [[-1, 0, 0, 1]] and bandwidth(graph).tolist() == [2]
        assert bandwidth(drawn([1] * 4, [(0, 1, 3), (0, 3, 1), (1, 2, 1)])).tolist() == [3]  # whatever its order

"""Molecules as graphs: text -> tensors -> text is the identity, and nothing is repaired on the way."""

import pytest
import torch
from rdkit import Chem
from shaken import rng

from hybridlib import datasets
from hybridlib.molecules import (
    ATOMS,
    VALENCE,
    Graph,
    bandwidth,
    bfs_order,
    from_smiles,
    in_bfs_order,
    parents,
    sequences,
    to_smiles,
)

# every atom type of the alphabet, aromatic rings, all bond orders
CHARGED = [
    "C[NH+](C)CC(=O)[O-]", "O=[N+]([O-])c1ccccc1", "CC(=O)[N-]S(C)(=O)=O", "[CH-]=C=O", "CS(=O)(=O)c1ccc(Cl)cc1Br",
    "FC(F)(F)I", "CP(=O)(O)O", "[S-]c1nnc[nH]1", "C[OH+]C", "C[S+](C)C", "C[P+](C)(C)C", "C#CC#N", "c1ccc2[nH]ccc2c1",
]  # fmt: skip


def plain(smiles):
    return Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=False)


def drawn(atoms, bonds):
    """A graph from its codes and its bonds (i, j, order)."""
    matrix = torch.zeros(len(atoms), len(atoms), dtype=torch.long)
    for i, j, order in bonds:
        matrix[i, j] = matrix[j, i] = order
    return Graph(torch.tensor([atoms]), matrix[None])


class TestRoundTrip:
    def test_of_the_embedded_molecules(self):
        smiles = list(datasets._smiles())[::9]
        assert to_smiles(from_smiles(smiles, A=4, N=12)) == smiles

    def test_of_every_atom_type(self):
        graph = from_smiles(CHARGED)
        assert to_smiles(graph) == [plain(smiles) for smiles in CHARGED]
        assert set(graph.atoms.flatten().tolist()) == set(range(len(ATOMS)))

    def test_phosphorus_with_a_double_bonded_oxygen_has_five_bonds(self):
        smiles = ["C[PH2]=O", "C[PH](C)=O", "C[PH](=O)O", "CP(C)(C)=O", "CP(C)C", "CP", "C[P+](C)(C)C"]
        assert to_smiles(from_smiles(smiles)) == [plain(text) for text in smiles]
        assert to_smiles(from_smiles(["CP=O"])) == ["C[PH2]=O"]  # the same graph, and not what the data mean

    def test_forgets_stereochemistry_alone(self):
        assert to_smiles(from_smiles(["C[C@H](N)C(=O)O", "F/C=C/F"])) == ["CC(N)C(=O)O", "FC=CF"]

    @pytest.mark.parametrize("smiles", CHARGED)
    def test_canonical_tensors_do_not_depend_on_the_spelling(self, smiles):
        molecule = Chem.MolFromSmiles(smiles)
        other = Chem.MolToRandomSmilesVect(molecule, 5, randomSeed=1)
        graph = from_smiles([smiles, *other])
        assert (graph.atoms == graph.atoms[:1]).all() and (graph.bonds == graph.bonds[:1]).all()

    def test_canonical_tensors_do_not_depend_on_stereochemistry(self):
        ring = from_smiles(["CC1CC(C)C(C)C1C", "C[C@H]1[C@H](C)[C@@H](C)C[C@H]1C"])  # handedness would move the ranks
        assert torch.equal(*ring.atoms) and torch.equal(*ring.bonds)

    def test_given_order_keeps_the_order_of_the_string(self):
        graph = from_smiles(["OCC#N"], order="given")
        assert [ATOMS[code] for code in graph.atoms[0]] == ["O", "C", "C", "N"]
        assert graph.bonds[0, 2, 3] == graph.bonds[0, 3, 2] == 3


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
            if name not in ("I", "S-", "S+"):  # RDKit would let these have more
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


class TestSequences:
    @pytest.mark.parametrize(
        "smiles", ["CCO", "CC(C)C", "C1CC1", "c1ccoc1", "C#N", "c1ccnnc1", "CN=O", "C[N+](=O)[O-]"]
    )
    def test_are_all_graphs_of_a_molecule(self, smiles):
        graph = sequences(smiles)
        assert in_bfs_order(graph).all() and set(to_smiles(graph)) == {smiles}
        rows = {(*a, *b) for a, b in zip(graph.atoms.tolist(), graph.bonds.flatten(1).tolist())}
        assert len(rows) == len(graph)
        # many random orders of both alternating forms find the same ones, and no more
        many = from_smiles([smiles] * 1500, order="given")
        if smiles == "c1ccnnc1":  # a ring of six alternates in two ways
            swapped = torch.where(many.bonds > 0, 3 - many.bonds, 0)
            many = Graph(torch.cat([many.atoms] * 2), torch.cat([many.bonds, swapped]))
        many = many.permute(bfs_order(many, generator=rng(2)))
        found = {(*a, *b) for a, b in zip(many.atoms.tolist(), many.bonds.flatten(1).tolist())}
        assert found == rows

    def test_are_padded_to_the_places_asked_for(self):
        narrow, wide = sequences("CN=O"), sequences("CN=O", N=5)
        assert wide.atoms.shape == (len(narrow), 5) and wide.bonds.shape == (len(narrow), 5, 5)
        assert torch.equal(wide.atoms[:, :3], narrow.atoms) and not wide.atoms[:, 3:].any()
        assert torch.equal(wide.bonds[:, :3, :3], narrow.bonds) and wide.bonds.sum() == narrow.bonds.sum()


class TestNothingIsRepaired:
    def test_five_bonds_of_nitrogen(self):
        assert to_smiles(drawn([1, 2, 3, 3], [(0, 1, 1), (1, 2, 2), (1, 3, 2)])) == [
            None
        ]  # CN(=O)=O: RDKit would mend it

    def test_too_many_bonds_two_parts_and_no_atoms(self):
        assert to_smiles(drawn([4, 1, 1], [(0, 1, 1), (0, 2, 1)])) == [None]
        assert to_smiles(drawn([1, 1], [])) == [None]
        assert to_smiles(Graph(torch.zeros(1, 2, dtype=torch.long), torch.zeros(1, 2, 2, dtype=torch.long))) == [None]


@pytest.mark.parametrize(
    "smiles, options, message",
    [
        ("CC", {}, "takes a list"),
        ([], {}, "empty list"),
        (["CC", "C(C"], {}, r"'C\(C' is no molecule"),
        ([""], {}, "is no molecule"),
        (["CC.O"], {}, "'CC.O' is disconnected"),
        (["C[Si](C)C"], {}, r"'C\[Si\]\(C\)C' holds"),
        (["CS"], {"A": 4}, "'CS' holds S, outside the alphabet C N O F"),
        (["C[NH3+]"], {"A": 4}, "outside the alphabet"),
        (["[13CH4]"], {}, "outside the alphabet"),
        (["[CH3]"], {}, "outside the alphabet"),
        (["CCCC"], {"N": 3}, "'CCCC' has 4 heavy atoms; at most N = 3"),
        (["CC"], {"order": "random"}, "order is 'random'"),
    ],
)
def test_bad_input_names_molecule_and_reason(smiles, options, message):
    with pytest.raises(ValueError, match=message):
        from_smiles(smiles, **options)

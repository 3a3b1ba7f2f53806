"""Molecules as graphs: text -> tensors -> text is the identity, and nothing is repaired on the way."""

import random

import networkx as nx
import numpy as np
import pytest
import torch
from rdkit import Chem
from shaken import rng

from hybridlib import checkpoints, datasets, molecules
from hybridlib.graphs import ATOMS, Graph, bfs_order, in_bfs_order
from hybridlib.molecules import from_smiles, read, sequences, to_smiles

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
        with pytest.raises(ValueError, match="'CP=O' holds P with 0 hydrogens where a graph would imply 2"):
            from_smiles(["CP=O"])  # the same graph, and not what the data mean

    def test_forgets_stereochemistry_alone(self):
        assert to_smiles(from_smiles(["C[C@H](N)C(=O)O", "F/C=C/F"])) == ["CC(N)C(=O)O", "FC=CF"]

    def test_given_order_keeps_the_order_of_the_string(self):
        graph = from_smiles(["OCC#N"], order="given")
        assert [ATOMS[code] for code in graph.atoms[0]] == ["O", "C", "C", "N"]
        assert graph.bonds[0, 2, 3] == graph.bonds[0, 3, 2] == 3


# drug-like molecules of ZINC250k, and the log_prob that the shipped network gives them: nats, in float64
FROZEN = [
    ("CCOc1ccccc1NC(=O)[C@H](C)[S@](=O)Cc1ccccc1F", -19.648313),
    ("COc1ccc([C@@H](O)[C@]2([NH+](C)C)CCC[C@@H](C)C2)cc1", -18.001240),
    ("Fc1cnc(N[C@H]2C[C@H]3CCCc4cccc2c43)nc1", -24.584068),
    ("C[C@@H](NC(=O)NCCn1cccc1)c1ccc(NC(=O)NC2CC2)cc1", -27.292134),
    ("O=C(CCc1cccc(Cl)c1)N1CCC[C@H](c2[nH]cc[nH+]2)C1", -23.611304),
    ("CCCc1cc(NC(=O)Nc2ccnn2C(C)C)n(C)n1", -19.570790),
    ("Cc1nc(C[NH+]2CCC(N3CCO[C@@H](C)C3)CC2)cs1", -20.413186),
    ("CC(C)OC(=O)Cn1c(CN(C)C(=O)c2cccnc2)nc2ccccc21", -29.297303),
    ("CCOc1nc(N)n(-c2cccc(F)c2)n1", -21.475267),
    ("Cc1ncc(C[NH2+]CC(C)C)n1Cc1ccc(O)cc1", -29.204817),
    ("CC(C)CC[C@H](C)NC(=O)OCCO", -23.896809),
    ("Cc1cc(NC(=O)[C@@H]2C[C@@H]2c2ccccc2)n(-c2ccc(F)cc2)n1", -20.979927),
    ("O=c1[nH]nc(-c2ccncc2)s1", -18.840006),
    ("COc1ccc(C2=C(O)C(=O)N(c3nnn[n-]3)[C@@H]2c2ccc(Br)cc2)cc1", -30.303821),
    ("Cc1ccc(/[NH+]=c2\\oc3ccccc3cc2C(=O)Nc2nccs2)c(F)c1", -30.001984),
    ("CC[C@@H]1CC[C@](C#N)([C@]2(O)CCc3cc(Br)ccc3C2)C1", -26.028699),
    ("Cc1cccc(-n2c3c(c(=O)[nH]c2=O)CN([C@@H](C)c2ccccc2)CN3)c1C", -41.753308),
    ("CC(C)(C)C(=O)N1CCCC[C@@H]1C(=O)[O-]", -16.423306),
    ("COc1ccc(Cl)cc1NC(=O)CN(C)C(=O)[C@H]1CCO[C@@H]1C", -19.823618),
    ("CCN1C(=O)[C@@](C)(C(=O)N2CCN(c3ccc(F)cc3)CC2)Oc2ccccc21", -25.110278),
    ("N#Cc1ccc(NC(=O)CN2C(=O)CSc3ccccc32)cc1Cl", -21.437297),
    ("COC(=O)C1=C(C)N(c2cccc(OC)c2)C(=O)/C1=C\\c1ccc(C(=O)[O-])cc1", -30.121003),
    ("COc1ccc(C)cc1[C@@H](C)NC(=O)N1CC[NH+](CC(C)C)CC1", -22.097583),
    ("Cc1sc2nc(/C(C#N)=C/c3cccc(O)c3)[nH]c(=O)c2c1C", -21.964567),
]  # fmt: skip

# fused and charged aromatic rings, hydrogens that the string must tell, rings that alternate without being aromatic,
# a triple bond in an aromatic ring, cages, marks of stereochemistry
RINGS = [
    "CC1=CC=CC(C)=C1N", "c1ccc2c(c1)ccc1ccccc12", "c1cc2ccc3cccc4ccc(c1)c2c34", "c1ccc2cccccc12", "C[n+]1ccccc1",
    "[O-][n+]1ccc(Cl)cc1C", "Cn1c(=O)c2c(ncn2C)n(C)c1=O", "c1ccc2c(c1)[nH]c1ccccc12", "c1cnc2nc[nH]c2n1",
    "O=c1cc[nH]cc1",
    "CCCSc1nnc2c(n1)O[C@H](c1ccc(OC)c(O)c1)Nc1ccccc1-2", "C1=CC=CC=CC=C1", "C1=CC=C1", "c1ccccc#1", "O=S1C=CC=CC1",
    "C1C2CC3CC1CC(C2)C3", "C12C3C4C1C5C2C3C45", "c1cc2ccc3ccc4ccc5ccc6ccc1c7c2c3c4c5c67", "[S-]c1nnc(N)s1",
    "C[C@H](N)C(=O)O", "F/C=C/Cl", "[H]/N=C(/C)c1ccccc1", "C[C@H]1[C@H](C)[C@@H](C)C[C@H]1C", "c1ccc(cc1)[S@](=O)C",
]  # fmt: skip


def spellings(smiles, seed):
    """One molecule, as others would write it: from other atoms on, with alternating bonds, labelled, flat."""
    molecule = Chem.MolFromSmiles(smiles)
    yield from Chem.MolToRandomSmilesVect(molecule, 3, randomSeed=seed)
    yield Chem.MolToSmiles(molecule, isomericSmiles=False)
    yield Chem.MolToSmiles(molecule, allBondsExplicit=True, allHsExplicit=True)
    alternating = Chem.Mol(molecule)
    Chem.Kekulize(alternating)
    yield from Chem.MolToRandomSmilesVect(alternating, 3, randomSeed=seed, kekuleSmiles=True)
    for atom in molecule.GetAtoms():
        atom.SetAtomMapNum(random.Random(seed + atom.GetIdx()).randrange(9))
    yield Chem.MolToSmiles(molecule)


class TestCanonicalTensors:
    """They depend on the molecule alone. The weekly run repeats these tests with the oldest RDKit allowed."""

    def check(self, smiles):
        for seed, text in enumerate(smiles):
            same = from_smiles([text, *spellings(text, seed + 1)])
            assert (same.atoms == same.atoms[:1]).all() and (same.bonds == same.bonds[:1]).all(), text

    def test_whatever_the_spelling(self):
        self.check(RINGS + CHARGED + [text for text, _ in FROZEN])

    def test_of_the_embedded_molecules_whatever_the_spelling(self):
        self.check(list(datasets._smiles())[::70])

    @pytest.mark.parametrize(
        "one, other",
        [
            ("CC1=CC=CC(C)=C1N", "c1cc(C)c(N)c(C)c1"),
            ("CC1CC(C)C(C)C1C", "C[C@H]1[C@H](C)[C@@H](C)C[C@H]1C"),
            ("CC(=N)CC", "[H]/N=C(/C)CC"),
            ("c1c#cc#cc#1", "c1#cc#cc#c1"),
            ("CC", "[CH3:4][CH3]"),
        ],
    )
    def test_whatever_a_graph_drops(self, one, other):
        graph = from_smiles([one, other])
        assert torch.equal(*graph.atoms) and torch.equal(*graph.bonds)

    def test_alternating_form_is_one_of_the_molecule(self):
        graph = from_smiles(RINGS)
        assert to_smiles(graph) == [molecules.canonical(text, stereo=False) for text in RINGS]

    def test_the_shipped_network_gives_frozen_molecules_their_stored_nats(self):
        """In float64 the order of additions moves the ninth digit, another form or order of atoms moves the first."""
        model = checkpoints.pretrained().double()
        expected = torch.tensor([nats for _, nats in FROZEN], dtype=torch.float64)
        for k in range(3):
            texts = [[*spellings(text, 5)][2 * k] for text, _ in FROZEN]
            found = model.log_prob(from_smiles(texts, A=model.A)).detach()
            assert torch.allclose(found, expected, rtol=0, atol=1e-5), (found - expected).abs().max()


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


class TestForms:
    def test_ways_of_charged_and_hypervalent_molecules(self):
        assert len(sequences("C=[N+]=[N-]")) == 4  # one from each end, two from the middle
        # with a benzene ring two forms; the chain ends in it, so that each order exists in both
        two, one = sequences("C1=CC=C(C=C1)N=S=O"), sequences("C1CCC(CC1)N=S=O")
        assert len(two) > len(one) and set(to_smiles(two)) == {"O=S=Nc1ccccc1"}

    @pytest.mark.parametrize(
        "smiles", ["C1=CC=C(C=C1)N=S=O", "C[n+]1ccccc1", "c1ccc2ccccc2c1", "C1=CC=C1", "c1ccccc#1", "c1ccc2cccccc12",
                   "C[N+](C)=C[O-]", "CC(=O)[O-]", "O=S1C=CC=CC1", "O=c1cc[nH]cc1"]
    )  # fmt: skip
    def test_are_all_assignments_of_orders_that_keep_sums_and_molecule(self, smiles):
        """Against the slow way: every bond 1, 2 or 3, judged by the sum of bonds at each atom and by the string."""
        graph = from_smiles([smiles], order="given")
        bonds, n = graph.bonds[0], int(graph.sizes[0])
        pairs = [(i, j) for i in range(n) for j in range(i) if bonds[i, j]]
        forms = [torch.zeros(n, n, dtype=torch.uint8)]
        for i, j in pairs:
            grown = []
            for form in forms:
                for order in range(1, 4):
                    new = form.clone()
                    new[i, j] = new[j, i] = order
                    if (new.sum(0) <= bonds.sum(0)).all():
                        grown.append(new)
            forms = grown
        forms = [form for form in forms if torch.equal(form.sum(0), bonds.sum(0))]
        same = [form for form in forms if to_smiles(Graph(graph.atoms, form[None])) == to_smiles(graph)]
        assert any(torch.equal(form, bonds) for form in same)
        expected = set()
        for form in same:
            near = [set(row.nonzero().flatten().tolist()) for row in form]
            for order in molecules._all_bfs_orders(near, n):
                expected.add((*graph.atoms[0, order].tolist(), *form[order][:, order].flatten().tolist()))
        ways = sequences(smiles)
        found = {(*a, *b) for a, b in zip(ways.atoms.tolist(), ways.bonds.flatten(1).tolist())}
        assert found == expected and len(found) == len(ways)

    def test_the_form_that_was_read_is_one_of_them(self):
        for smiles in RINGS[:6]:
            graph = from_smiles([smiles])
            if graph.sizes < 10:
                ways = sequences(smiles)
                assert ((ways.atoms == graph.atoms).all(1) & (ways.bonds == graph.bonds).all((1, 2))).any()

    def test_of_a_cage_are_all_perfect_matchings(self):
        ball = nx.truncated_tetrahedron_graph()  # 12 atoms, each with three neighbours
        matrix = torch.zeros(12, 12, dtype=torch.uint8).numpy()
        for i, j in nx.max_weight_matching(ball, maxcardinality=True):
            matrix[i, j] = matrix[j, i] = 2
        edges = list(ball.edges)
        for i, j in edges:
            matrix[i, j] = matrix[j, i] = max(1, matrix[i, j])
        forms = {form.tobytes() for form in molecules._forms(matrix, edges, range(12))}
        pairings = {frozenset(m) for m in _perfect(edges, 12)}
        assert len(forms) == len(pairings) and matrix.tobytes() in forms

    @pytest.mark.parametrize(
        "smiles", ["c1cc2ccc3ccc4ccc5ccc6ccc1c7c2c3c4c5c67", "C" * 1000, "c1ccccc1" + "-c1ccccc1" * 6]
    )
    def test_too_many_ways_are_refused_in_time(self, smiles):
        with pytest.raises(ValueError, match="too many ways to list them"):
            sequences(smiles)


def _perfect(edges, n):
    """Perfect matchings by brute force."""
    if not n:
        yield ()
        return

    def grow(free):
        if not free:
            yield ()
            return
        first = min(free)
        for i, j in edges:
            if first in (i, j) and {i, j} <= free:
                yield from ((*more, (i, j)) for more in grow(free - {i, j}))

    yield from grow(frozenset(range(n)))


class TestNothingIsRepaired:
    def test_five_bonds_of_nitrogen(self):
        assert to_smiles(drawn([1, 2, 3, 3], [(0, 1, 1), (1, 2, 2), (1, 3, 2)])) == [
            None
        ]  # CN(=O)=O: RDKit would mend it

    def test_too_many_bonds_two_parts_and_no_atoms(self):
        assert to_smiles(drawn([4, 1, 1], [(0, 1, 1), (0, 2, 1)])) == [None]
        assert to_smiles(drawn([1, 1], [])) == [None]
        assert to_smiles(Graph(torch.zeros(1, 2, dtype=torch.long), torch.zeros(1, 2, 2, dtype=torch.long))) == [None]


class TestTables:
    def test_that_are_no_graph_are_refused_by_row(self):
        good = from_smiles(["CCO", "CC"], N=4)

        def refused(message, change):
            atoms, bonds = good.atoms.clone().double(), good.bonds.clone().double()
            change(atoms[1], bonds[1])
            with pytest.raises(ValueError, match=f"row 1 has {message}"):
                to_smiles(Graph(atoms, bonds))

        refused("a bond order that is no whole number", lambda a, b: b[:2, :2].mul_(1.5))
        refused("a bond order that is no whole number", lambda a, b: b[:2, :2].fill_(float("nan")))
        refused("an atom type that is no whole number", lambda a, b: a.mul_(0.5))
        refused(r"an atom type outside 0\.\.17", lambda a, b: a.mul_(99))
        refused(r"a bond order outside 0\.\.3", lambda a, b: b.mul_(4))
        refused("bonds that are not symmetric", lambda a, b: b[0].zero_())
        refused("a bond of an atom with itself", lambda a, b: b[0, 0].fill_(1))
        refused("an atom after an empty place", lambda a, b: a[3].fill_(1))
        refused("a bond of an empty place", lambda a, b: (b[0, 3].fill_(1), b[3, 0].fill_(1)))
        assert to_smiles(Graph(good.atoms.double(), good.bonds.float())) == ["CCO", "CC"]
        with pytest.raises(ValueError, match=r"need bonds of shape \(2, 4, 4\), got \(2, 3, 3\)"):
            to_smiles(Graph(good.atoms, good.bonds[:, :3, :3]))

    def test_rows_far_down_keep_their_number(self):
        graph = from_smiles(["CC"] * 1500)
        graph.bonds[1234] = 4
        with pytest.raises(ValueError, match="row 1234 has a bond order"):
            to_smiles(graph)


class TestMoleculesOfRDKit:
    def test_are_left_as_they_were(self):
        for text in ("Cc1ccccc1C", "CP(C)(C)=O", "C[NH+](C)C"):
            molecule = molecules.parsed(text)
            before = molecule.ToBinary()
            codes, orders = molecules.tables(molecule, 17, None, "canonical")
            assert molecule.ToBinary() == before
            graph = from_smiles([text])
            assert graph.atoms[0].tolist() == codes and np.array_equal(graph.bonds[0], orders)

    def test_are_spelled_where_they_are_valid_and_in_one_piece(self):
        for codes, bonds in (([1, 1], []), ([1, 4, 4], [(0, 1, 2), (0, 2, 1)]), ([], [])):
            assert molecules.spelled(molecules.build(codes, bonds)) is None
        assert molecules.spelled(molecules.build([3, 1, 1], [(0, 1, 1), (1, 2, 1)])) == "CCO"


class TestRows:
    def test_come_from_anything_that_gives_strings(self, tmp_path):
        (tmp_path / "my.smi").write_text("CCO\nCC\n")
        with open(tmp_path / "my.smi") as lines:
            assert to_smiles(from_smiles(lines)) == ["CCO", "CC"]
        assert to_smiles(from_smiles(text for text in ["CCO", "CC"])) == ["CCO", "CC"]
        assert to_smiles(from_smiles({"CCO": 1, "CC": 2}.keys())) == ["CCO", "CC"]
        assert molecules.canonical(" OCC\n") == "CCO"

    @pytest.mark.parametrize("odd", [float("nan"), 1.5, b"CC", None, ["C"], Chem.MolFromSmiles("C")])
    def test_that_are_no_strings_are_named(self, odd):
        with pytest.raises(ValueError, match="takes a list of strings, got ndarray"):
            from_smiles(np.array("CC"))
        with pytest.raises(ValueError, match="takes a list of strings, got bytes b'CC'"):
            from_smiles(b"CC")
        kind = type(odd).__name__
        for take in (from_smiles, read):
            with pytest.raises(ValueError, match=f"row 1: {take.__name__} takes strings, got {kind} "):
                take(["C", odd])
        for take in (molecules.canonical, molecules.small, molecules.parsed):
            with pytest.raises(ValueError, match=f"written as a string, got {kind} "):
                take(odd)

    @pytest.mark.parametrize("text", ["C" * 100_000, "C(" * 100_000, "[" * 5000, "C1" * 600])
    def test_without_end_are_refused_at_once_and_quoted_briefly(self, text):
        for take in (molecules.canonical, molecules.small, molecules.parsed, lambda t: from_smiles([t]), sequences):
            with pytest.raises(ValueError, match="too long: at most 1,000 characters") as error:
                take(text)
            assert len(str(error.value)) < 250

    def test_no_text_is_read_in_part(self):
        for text in ("CC junk", "CC |^1:0|", "C\0C", "C\tC", "Cé", "\udc80", "C\nC"):
            assert molecules.canonical(text) is None
            with pytest.raises(ValueError, match="row 0: "):
                from_smiles([text])


class TestAccount:
    LINES = [
        "CCO ethanol", "[Na+].CC(=O)[O-]\tsodium acetate", "", "C[C@H](N)O", "[CH3:1]C", "C(C", "CCCCCCC too large",
        "C[Si]", "CO v.1 -2.52\n",
    ]  # fmt: skip

    def test_keeps_what_can_be_kept_and_says_what_cannot(self):
        found = read(iter(self.LINES), N=5)
        assert to_smiles(found.graph) == ["CCO", "CC(N)O", "CC", "CO"] and found.graph.atoms.shape == (4, 5)
        assert found.rows == [0, 3, 4, 8] and found.names == ["ethanol", "", "", "v.1 -2.52"]
        assert [(row, text) for row, text, _ in found.refused] == [
            (1, "[Na+].CC(=O)[O-]"), (2, ""), (5, "C(C"), (6, "CCCCCCC"), (7, "C[Si]"),
        ]  # fmt: skip
        reasons = [reason for *_, reason in found.refused]
        for reason, words in zip(reasons, ("disconnected", "empty", "cannot read", "7 heavy atoms", "radical")):
            assert words in reason
        assert found.changed == [(3, "C[C@H](N)O", "stereochemistry"), (4, "[CH3:1]C", "labels of atoms")]
        assert repr(found) == "Account(4 graphs, 2 of them changed; 5 refused)"

    def test_what_it_keeps_is_what_from_smiles_would_read(self):
        found = read(RINGS + CHARGED, N=30)
        expected = from_smiles(RINGS + CHARGED, N=30)
        assert torch.equal(found.graph.atoms, expected.atoms) and torch.equal(found.graph.bonds, expected.bonds)

    def test_salts_leave_their_largest_part_whatever_the_spelling(self):
        found = read(["[Na+].CC(=O)[O-]", "CC(=O)[O-].[Na+]", "Cl.CCN.O"], salts="largest")
        assert to_smiles(found.graph) == ["CC(=O)[O-]", "CC(=O)[O-]", "CCN"] and not found.refused
        assert [what for *_, what in found.changed] == ["the part [Na+]", "the part [Na+]", "the part Cl, the part O"]
        same = read(["CCO.CCN", "NCC.OCC", "CCO.OCC"], salts="largest")  # the heavier one of equally many atoms
        assert to_smiles(same.graph) == ["CCO"] * 3
        lost = read(["C[C@H](F)O.CCCCCC"], salts="largest", stereo="refuse")  # what is dropped has no say
        assert to_smiles(lost.graph) == ["CCCCCC"]

    def test_stereochemistry_can_be_refused(self):
        found = read(["C[C@H](N)O", "F/C=C/F", "CCO", "C[C@H](C)C"], stereo="refuse")
        assert found.rows == [2, 3] and [row for row, *_ in found.refused] == [0, 1]  # the last one has a mark only
        with pytest.raises(ValueError, match=r"row 1: 'F/C=C/F' has stereochemistry"):
            from_smiles(["CC", "F/C=C/F"], stereo="refuse")

    def test_of_nothing_is_one_too(self):
        assert len(read([]).graph) == 0 and to_smiles(read(["?"]).graph) == []

    @pytest.mark.parametrize("option, value", [("salts", "split"), ("stereo", "keep"), ("order", "random")])
    def test_options_are_named(self, option, value):
        with pytest.raises(ValueError, match=f"{option} is '{value}'"):
            read(["C"], **{option: value})


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
        (["[13CH4]"], {}, r"holds the isotope \[13CH4\]"),
        (["[2H]C"], {}, r"holds the isotope \[2H\]"),
        (["[CH3]"], {}, r"holds the radical \[CH3\]"),
        (["CCCC"], {"N": 3}, "'CCCC' has 4 heavy atoms; at most N = 3"),
        (["CC"], {"order": "random"}, "order is 'random'"),
        (["CC"], {"A": 18}, "A is a number of atom types from 1 to 17, got 18"),
        (["CC"], {"A": 4.0}, "A is a number of atom types from 1 to 17, got 4.0"),
        (["CC"], {"N": True}, "N is a number of places, at least 1, got True"),
        (["CC"], {"N": 0}, "N is a number of places, at least 1, got 0"),
        (5, {}, "takes a list of strings, got int 5"),
        (["C", "CCO -2.52"], {}, "row 1: 'CCO -2.52' holds white space"),
        (["C", "\ufeffCC"], {}, r"row 1: .* holds '\\ufeff', which is no character of SMILES"),
        (["C~C"], {}, "'C~C' holds a bond of type unspecified"),
        (["N->N"], {}, "bond of type dative"),
        (["C$C"], {}, "bond of type quadruple"),
        (["C:C"], {}, "bond of type aromatic"),
        (["N#C[IH2]1OC(=O)c2ccccc21"], {}, "holds I with 3 bonds; the table of valences allows 1"),
        (["FI(F)F"], {}, "holds I with 3 bonds"),
        (["[PH5]"], {}, "holds P with 5 hydrogens where a graph would imply 3"),
        (["C[SH](=O)=O", "[SH4]"], {}, r"row 1: '\[SH4\]' holds S with 4 hydrogens where a graph would imply 2"),
    ],
)
def test_bad_input_names_molecule_and_reason(smiles, options, message):
    with pytest.raises(ValueError, match=message):
        from_smiles(smiles, **options)

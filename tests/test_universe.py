"""The countable universe: its counts, a second way to enumerate it, and every strict rule by examples."""

import itertools
import math

import pytest
import torch
from rdkit import Chem
from shaken import shaken

from hybridlib import molecules, universe
from hybridlib.graphaf import GraphAF

VALENCE = [4, 19, 94, 621, 4715]  # molecules of exactly 1, 2, ... heavy atoms, by valence alone
STRICT = [4, 10, 27, 137, 799]


@pytest.mark.parametrize("strict, counts", [(False, VALENCE), (True, STRICT)])
def test_counts(strict, counts):
    assert [len(universe.members(n, strict=strict)) for n in range(1, 6)] == counts


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("n", range(1, 6))
def test_every_molecule_is_canonical_unique_and_of_the_small_set(n, strict):
    found = universe.members(n, strict=strict)
    assert list(found) == sorted(set(found))
    assert all(molecules.small(smiles) == smiles for smiles in found)
    assert {Chem.MolFromSmiles(smiles).GetNumHeavyAtoms() for smiles in found} == {n}


@pytest.mark.parametrize("n", [0, 8, -1, 2.5, "three"])
def test_a_size_out_of_reach_is_refused(n):
    with pytest.raises(ValueError, match=f"from 1 to 7, got {n!r}"):
        universe.members(n)


def grown(n):
    """Another way to valence alone: take the molecules of n - 1 atoms, bind one atom more to free hydrogens.

    Bond orders stay as they are (no aromatic rings), so that no Kekule form of a smaller molecule is lost.
    """
    if n == 1:
        return {"C", "N", "O", "F"}
    found = set()
    for parent in grown(n - 1):
        start = Chem.MolFromSmiles(parent, sanitize=False)
        start.UpdatePropertyCache()
        free = [range(min(3, atom.GetTotalNumHs()) + 1) for atom in start.GetAtoms()]
        for bonds in itertools.product(*free):
            for element, valence in zip("CNOF", (4, 3, 2, 1)):
                if 1 <= sum(bonds) <= valence:
                    child = Chem.RWMol(start)
                    new = child.AddAtom(Chem.Atom(element))
                    for atom, order in enumerate(bonds):
                        if order:
                            child.AddBond(atom, new, Chem.BondType.values[order])
                    found.add(Chem.MolToSmiles(child))
    return found


def test_growing_atom_by_atom_finds_the_same_molecules():
    for n in range(1, 6):
        other = {Chem.CanonSmiles(smiles) for smiles in grown(n)}
        assert other == set(universe.members(n, strict=False))
        assert {smiles for smiles in other if not [*universe.broken(smiles)]} == set(universe.members(n))


# rule -> molecules that break this rule and no other one, and near relatives that break none
EXAMPLES = {
    1: ("C12=C3C4C1C3C24", "C12C3C1C1C2C31"),  # the graph K(3, 3), and a prism
    2: ("C=C=C C=C=O CN=C=O O=C=O", "C=CC=C C=CC=O"),
    3: ("C1=CC1 C1=CO1 c1co[nH]1 c1c[nH][nH]1 C1CC1=C1CC1", "C=C1CC1 C1=CCC1 c1cc[nH]n1 c1ccccc1"),
    4: ("C1#CCC1 C1#CCCC1", "C#CC1CC1 CC#CC"),
    5: ("FF OO NF FO N=N N#N CN=O O=O CN=NC NNN CONOC", "NN NO CNN C=NO C=NN c1ccnnc1 c1nnn[nH]1"),
    6: ("C=N CC=N", "CC(N)=N C=NC"),
    7: ("OCO NCF COCO CNCOC", "COCOC FCF COCF C1OCO1 OCCO"),
    8: ("C#CO C#CN N#CN N#CO", "C#CF N#CF N#CCO"),
    9: ("C=CO C=CN CNC=C CN=C(C)O", "C=COC C=CN(C)C Oc1ccccc1 CN=C(C)OC"),
    10: ("NC(=O)O OC(=O)O COC(=O)O O=C(O)F", "CC(=O)O COC(=O)OC NC(N)=O O=C(F)F"),
    11: ("C1C2CC12 C1C2OC12", "C1CC2CC12 C1CC12CC2"),
}


@pytest.mark.parametrize("rule", range(1, 12))
def test_a_rule_forbids_what_it_names_and_spares_its_relatives(rule):
    out, kept = (text.split() for text in EXAMPLES[rule])
    assert {smiles: [*universe.broken(smiles)] for smiles in out} == {smiles: [rule] for smiles in out}
    assert {smiles: [*universe.broken(smiles)] for smiles in kept} == {smiles: [] for smiles in kept}


def test_well_known_molecules_are_in_and_unstable_ones_are_out():
    known = "C N O F CO CC#N CCO CC(N)=O C1CC1 c1ccoc1 c1cc[nH]c1 c1cn[nH]c1 COCOC NC(N)=O"
    for smiles in map(Chem.CanonSmiles, known.split()):
        assert smiles in universe.members(Chem.MolFromSmiles(smiles).GetNumHeavyAtoms())
    unstable = "FF OO N#N O=O C=C=C C1=CC1 OCO C=CO O=C=O"
    for smiles in map(Chem.CanonSmiles, unstable.split()):
        n = Chem.MolFromSmiles(smiles).GetNumHeavyAtoms()
        assert smiles in universe.members(n, strict=False) and smiles not in universe.members(n)


class Uniform:
    """Every sequence of one atom, or of two carbons or oxygens with a single bond, has probability 1/6."""

    A, N = 3, 2

    def log_prob(self, graph):
        return torch.full((len(graph),), -math.log(6))


def test_a_molecule_has_the_probability_of_all_its_sequences():
    log_p = universe.log_marginal(Uniform(), ["C", "CO", "CC"])
    assert log_p.exp().tolist() == pytest.approx([1 / 6, 2 / 6, 1 / 6])  # CO begins with either atom


def test_a_molecule_is_read_in_any_spelling_and_from_any_iterable():
    log_p = universe.log_marginal(Uniform(), (text for text in ["C\n", "OC", "C[CH3:1]"]))
    assert log_p.tolist() == universe.log_marginal(Uniform(), ["C", "CO", "CC"]).tolist()
    assert log_p.dtype == torch.float64
    found = universe.exact_scores(Uniform(), iter(["C", "OC"]), possible=iter(["CO", "C", "N"]))
    assert found == universe.exact_scores(Uniform(), ["C", "CO"], possible=["C", "CO", "N"])
    assert found["invalid"] == pytest.approx(1 - 4 / 6)
    everything = universe.exact_scores(Uniform(), ["C", "OC"], possible=["C", "CO"])
    assert everything["invalid"] == everything["outside"]
    with pytest.raises(ValueError, match="'OC' is among the molecules twice"):
        universe.exact_scores(Uniform(), ["OC", "C", "CO"])
    with pytest.raises(ValueError, match="needs at least one molecule"):
        universe.log_marginal(Uniform(), [])
    with pytest.raises(ValueError, match=r"^row 1: 'C\(C' is no molecule"):
        universe.log_marginal(Uniform(), ["C", "C(C"])
    with pytest.raises(ValueError, match=r"^row 1 of possible: 'C\(C' is no molecule"):
        universe.exact_scores(Uniform(), ["C"], possible=["C", "C(C"])
    with pytest.raises(ValueError, match="row 1: log_marginal takes strings, got float nan"):
        universe.log_marginal(Uniform(), ["C", float("nan")])
    with pytest.raises(ValueError, match=r"'C\(C' is no molecule"):
        list(universe.broken("C(C"))


def test_comparison_with_the_uniform_distribution():
    found = universe.exact_scores(Uniform(), ["C", "N", "O"])
    assert found["kl"] == pytest.approx(math.log(6 / 3)) and found["outside"] == pytest.approx(1 / 2)
    assert found["coverage"] == pytest.approx(1 - (5 / 6) ** 3) and found["ideal"] == pytest.approx(1 - (2 / 3) ** 3)
    assert universe.exact_scores(Uniform(), ["C"])["outside"] == pytest.approx(5 / 6)
    found = universe.exact_scores(Uniform(), ["C", "CO"])  # probabilities 1/6 and 2/6
    assert found["kl"] == pytest.approx((math.log(6 / 2) + math.log(3 / 2)) / 2)
    assert found["coverage"] == pytest.approx(1 - ((5 / 6) ** 2 + (4 / 6) ** 2) / 2)


def test_the_rest_is_invalid():
    smiles, possible = ["C", "N", "O"], ["C", "N", "O", "CC", "CO"]
    found = universe.exact_scores(Uniform(), smiles, possible=possible)
    assert found["outside"] == pytest.approx(3 / 6) and found["invalid"] == pytest.approx(
        3 / 6 - 1 / 6 - 2 / 6, abs=1e-6
    )
    assert "invalid" not in universe.exact_scores(Uniform(), smiles)


def test_all_molecules_of_a_masked_model_sum_to_one():
    net = shaken(GraphAF(4, 3, H=8, masked=True))
    everything = [smiles for n in (1, 2, 3) for smiles in universe.members(n, strict=False)]
    log_p = universe.log_marginal(net, everything)
    assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert torch.allclose(universe.log_marginal(net, everything[:9], at_once=4), log_p[:9])

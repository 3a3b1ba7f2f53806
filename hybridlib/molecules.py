"""Molecules as text and as graphs: which strings are molecules, and the tensors of atoms and bonds that stand for them.

Weininger (1988), "SMILES, a chemical language and information system". A graph has arithmetic codes: atom codes are
places in ``ATOMS`` (0 is no atom), bond codes are bond orders (0 is no bond), so that free valences are sums. Chapter 2
judges sampled strings here, chapter 9 builds the graphs.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .extras import optional

with optional(__name__):
    from rdkit import Chem, rdBase

ELEMENTS = "CNOF"
LARGEST = 12  # heavy atoms of a molecule of the book's small set

# Charged atoms are types of their own. The first 4 make the book's small set, the first 8 QM9, all of them ZINC250k.
ATOMS = ("", "C", "N", "O", "F", "N+", "O-", "N-", "C-", "S", "Cl", "Br", "I", "P", "S-", "O+", "S+", "P+")
# How many bonds an atom can have, a double bond counting twice; hydrogens, which are not drawn, take what is left.
VALENCE = torch.tensor([0, 4, 3, 2, 1, 4, 1, 2, 3, 6, 1, 1, 1, 5, 1, 3, 3, 4])

_CHARGE = {"+": 1, "-": -1}
_PARTS = [(name.rstrip("+-"), _CHARGE.get(name[-1:], 0)) for name in ATOMS]  # (element, charge) of each code
_CODE = {part: code for code, part in enumerate(_PARTS) if code}
_PHOSPHORYL = Chem.MolFromSmarts("[#15;+0;D2](=O)-*")  # three bonds, which RDKit would take for all five
_ORDERS = (None, Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE)
# Everything RDKit checks, without its clean-up, which would turn N(=O)=O into something that was never generated.
_CHECKS = Chem.SANITIZE_ALL ^ Chem.SANITIZE_CLEANUP ^ Chem.SANITIZE_CLEANUP_ORGANOMETALLICS


def canonical(smiles: str) -> str | None:
    """The one spelling that RDKit gives to a molecule, stereochemistry kept; None if the string is no valid molecule.

    Valid means: RDKit parses it and its check of valences and aromatic rings passes. The empty string is no molecule.
    """
    molecule = _parse(smiles)
    return None if molecule is None else Chem.MolToSmiles(molecule)


def small(smiles: str) -> str | None:
    """The canonical spelling without stereochemistry if the molecule belongs to the book's small set, else None.

    Members are single, uncharged molecules of 1 to 12 atoms of C, N, O and F beside hydrogen, without radicals and
    without named isotopes.
    """
    molecule = _parse(smiles)
    if molecule is None or "." in smiles or not 1 <= molecule.GetNumHeavyAtoms() <= LARGEST:
        return None
    for atom in molecule.GetAtoms():
        odd = atom.GetFormalCharge() or atom.GetNumRadicalElectrons() or atom.GetIsotope()
        if odd or atom.GetSymbol() not in (*ELEMENTS, "H"):
            return None
    return Chem.MolToSmiles(Chem.RemoveHs(molecule), isomericSmiles=False)


def _parse(smiles: str):
    with rdBase.BlockLogs():  # None says it all
        return Chem.MolFromSmiles(smiles) if smiles else None


@dataclass(frozen=True, repr=False)
class Graph:
    """A batch of molecules: atoms (B, N) are codes of `ATOMS`, bonds (B, N, N) bond orders 0..3, symmetric.

    Atoms stand first in their row, the places after them hold 0.
    """

    atoms: Tensor
    bonds: Tensor

    def __len__(self):
        return len(self.atoms)

    def __getitem__(self, rows) -> "Graph":
        """Some of the molecules: an index keeps the batch, of one."""
        rows = slice(rows, rows + 1 or None) if isinstance(rows, int) else rows
        return Graph(self.atoms[rows], self.bonds[rows])

    def __repr__(self):
        return f"Graph({len(self)} molecules of at most {self.atoms.shape[1]} atoms)"

    @property
    def sizes(self) -> Tensor:
        """Number of atoms of each molecule (B,)."""
        return (self.atoms > 0).sum(1)

    @property
    def free_valence(self) -> Tensor:
        """Bonds that each atom could still have (B, N); hydrogens sit there. Negative where there are too many."""
        return VALENCE.to(self.atoms.device)[self.atoms.long()] - self.bonds.sum(-1)

    def permute(self, order: Tensor) -> "Graph":
        """The same molecules with their atoms in another order: place t takes atom order[:, t]; order is (B, N)."""
        order = order.to(self.atoms.device)
        rows = order.unsqueeze(-1).expand_as(self.bonds)
        bonds = self.bonds.gather(1, rows).gather(2, order.unsqueeze(1).expand_as(self.bonds))
        return Graph(self.atoms.gather(1, order), bonds)


def from_smiles(smiles: list[str], *, A: int = len(ATOMS) - 1, N: int | None = None, order: str = "canonical") -> Graph:
    """Strings -> Graph of the first ``A`` types, padded to N places (to the largest molecule unless given).

    Aromatic rings get alternating bonds (kekulized); stereochemistry is dropped, charges are kept. With
    order="canonical" the tensors depend on the molecule alone, not on its spelling: atoms are in breadth-first order
    and ties follow RDKit's canonical ranks. order="given" keeps the order of the string.

    ValueError names molecule and reason: no molecule, several molecules, elements or charges outside the alphabet,
    isotopes, radicals, too many atoms.
    """
    if isinstance(smiles, str):
        raise ValueError(f"from_smiles takes a list of strings, got the string {smiles!r}; write [{smiles!r}]")
    if order not in ("canonical", "given"):
        raise ValueError(f'order is {order!r}; choose "canonical" or "given"')
    parts = [_arrays(text, A, order == "canonical") for text in smiles]
    if not parts:
        raise ValueError("from_smiles needs at least one molecule, got an empty list")
    largest = max(len(codes) for codes, _ in parts)
    N = largest if N is None else N
    atoms, bonds = np.zeros((len(parts), N), np.uint8), np.zeros((len(parts), N, N), np.uint8)
    for row, (text, (codes, matrix)) in enumerate(zip(smiles, parts)):
        n = len(codes)
        if n > N:
            raise ValueError(f"{text!r} has {n} heavy atoms; at most N = {N} fit")
        atoms[row, :n], bonds[row, :n, :n] = codes, matrix
    return Graph(torch.from_numpy(atoms).long(), torch.from_numpy(bonds))


def _arrays(text: str, A: int, in_canonical_order: bool) -> tuple[list[int], np.ndarray]:
    """One string -> codes of its n atoms and matrix (n, n) of bond orders."""
    molecule = _parse(text)
    if molecule is None:
        raise ValueError(f"{text!r} is no molecule: RDKit cannot read it")
    if "." in text:
        raise ValueError(f"{text!r} is disconnected; a graph holds one molecule: keep one of its parts")
    codes = []
    for atom in molecule.GetAtoms():
        code = _CODE.get((atom.GetSymbol(), atom.GetFormalCharge()), A + 1)
        if code > A or atom.GetIsotope() or atom.GetNumRadicalElectrons():
            raise ValueError(f"{text!r} holds {atom.GetSmarts()}, outside the alphabet {' '.join(ATOMS[1 : A + 1])}")
        codes.append(code)
    if in_canonical_order:
        Chem.RemoveStereochemistry(molecule)
        molecule = Chem.RenumberAtoms(molecule, _canonical_order(molecule))
        codes = [_CODE[atom.GetSymbol(), atom.GetFormalCharge()] for atom in molecule.GetAtoms()]
    Chem.Kekulize(molecule, clearAromaticFlags=True)
    return codes, Chem.GetAdjacencyMatrix(molecule, useBO=True)


def _canonical_order(molecule) -> list[int]:
    """Breadth-first order; it starts at the atom of lowest canonical rank and visits neighbours by rank."""
    rank = list(Chem.CanonicalRankAtoms(molecule))
    order = [rank.index(min(rank))]
    for atom in order:  # grows while it is read: a queue
        near = sorted((b.GetIdx() for b in molecule.GetAtomWithIdx(atom).GetNeighbors()), key=rank.__getitem__)
        order += [other for other in near if other not in order]
    return order


def to_molecule(graph: Graph, row: int = 0) -> Chem.Mol:
    """Row of a Graph -> RDKit molecule, exactly as drawn: nothing is checked and nothing is repaired."""
    codes = [code for code in graph.atoms[row].tolist() if code]
    bonds = graph.bonds[row].tolist()
    return build(codes, [(i, j, bonds[i][j]) for i in range(len(codes)) for j in range(i) if bonds[i][j]])


def build(codes: Iterable[int], bonds: Iterable[tuple[int, int, int]]) -> Chem.Mol:
    """Atom codes and bonds (i, j, order) -> RDKit molecule, unchecked; hydrogens are RDKit's, but for O=[PH2]-R."""
    molecule = Chem.RWMol()
    for code in codes:
        element, charge = _PARTS[code]
        atom = Chem.Atom(element)
        atom.SetFormalCharge(charge)
        molecule.AddAtom(atom)
    for i, j, order in bonds:
        molecule.AddBond(i, j, _ORDERS[order])
    for match in molecule.GetSubstructMatches(_PHOSPHORYL):
        molecule.GetAtomWithIdx(match[0]).SetNumExplicitHs(2)
    return molecule.GetMol()


def to_smiles(graph: Graph) -> list[str | None]:
    """Graph -> canonical strings, None for what is no valid molecule.

    Valid means: in one piece, and RDKit's check passes on exactly this graph, with hydrogens on free valences.
    """
    texts = []
    for row in range(len(graph)):
        molecule = to_molecule(graph, row)
        with rdBase.BlockLogs():
            problem = Chem.SanitizeMol(molecule, _CHECKS, catchErrors=True)
        text = None if problem or not molecule.GetNumAtoms() else Chem.MolToSmiles(molecule)
        texts.append(None if text is None or "." in text else text)
    return texts


def parents(graph: Graph) -> Tensor:
    """First earlier neighbour of each atom: (B, N), -1 where there is none."""
    earlier = graph.bonds.tril(-1) > 0
    return torch.where(earlier.any(-1), earlier.int().argmax(-1), -1)


def in_bfs_order(graph: Graph) -> Tensor:
    """Is every molecule connected and its atoms in some breadth-first order? (B,).

    They are if every atom but the first has an earlier neighbour, and these parents never step back.
    """
    parent, exists = parents(graph)[:, 1:], graph.atoms[:, 1:] > 0
    steps_back = (parent[:, 1:] < parent[:, :-1]) & exists[:, 1:]
    return ~((parent < 0) & exists).any(1) & ~steps_back.any(1)


def bfs_order(graph: Graph, *, generator: torch.Generator | None = None) -> Tensor:
    """A random breadth-first order of each molecule, for `Graph.permute`: (B, N), padding last.

    The first atom is uniform, and so is the order of atoms that are found together.
    """
    B, N = graph.atoms.shape
    bonded, waiting = graph.bonds > 0, graph.atoms > 0
    tie = torch.rand(B, N, generator=generator).to(graph.atoms.device)
    found = torch.where(waiting, N, N + 2).float()  # place of the atom that found this one; N: not yet
    order = []
    for place in range(N):
        nearest = (found + tie).argmin(1, keepdim=True)
        order.append(nearest)
        found = found.scatter(1, nearest, 2 * N + 4)  # taken
        neighbours = bonded.gather(1, nearest.unsqueeze(-1).expand(-1, -1, N)).squeeze(1) & (found <= N)
        found = torch.where(neighbours, found.clamp(max=place), found)
    return torch.cat(order, 1)


def sequences(smiles: str, *, A: int = len(ATOMS) - 1, N: int | None = None) -> Graph:
    """Every graph in breadth-first order that is this molecule, each once: all ways to generate it.

    Over all breadth-first orders and all alternating forms of aromatic rings. For small molecules: their number grows
    like a factorial.
    """
    first = from_smiles([smiles], A=A, N=N, order="given")
    n, forms = int(first.sizes[0]), {}
    molecule = _parse(smiles)
    Chem.RemoveStereochemistry(molecule)
    for form in Chem.ResonanceMolSupplier(molecule, Chem.KEKULE_ALL):
        matrix = torch.from_numpy(Chem.GetAdjacencyMatrix(form, useBO=True)).to(first.bonds.dtype)
        if to_smiles(Graph(first.atoms[:, :n], matrix[None])) == to_smiles(first):  # others move charges about
            forms[tuple(matrix.flatten().tolist())] = matrix
    found = {}
    for matrix in forms.values():
        near = [set(row.nonzero().flatten().tolist()) for row in matrix]
        for order in _all_bfs_orders(near, n):
            atoms, bonds = first.atoms[0, order], matrix[order][:, order]
            found[tuple(atoms.tolist()), tuple(bonds.flatten().tolist())] = atoms, bonds
    room = first.atoms.shape[1] - n
    atoms, bonds = (torch.stack(parts) for parts in zip(*found.values()))
    return Graph(F.pad(atoms, (0, room)), F.pad(bonds, (0, room, 0, room)))


def _all_bfs_orders(near: list[set[int]], n: int):
    """Every breadth-first order of a connected graph, given as the neighbours of each atom."""

    def grow(order, place):
        if len(order) == n:
            yield order
            return
        for block in itertools.permutations(near[order[place]] - set(order)):
            yield from grow(order + list(block), place + 1)

    for start in range(n):
        yield from grow([start], 0)


def bandwidth(graph: Graph) -> Tensor:
    """The longest bond, measured in places between its atoms: (B,)."""
    place = torch.arange(graph.atoms.shape[1], device=graph.atoms.device)
    return torch.where(graph.bonds > 0, (place[:, None] - place).abs(), 0).amax((1, 2))

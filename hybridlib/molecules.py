"""Molecules as text and as graphs: which strings are molecules, and the tensors of atoms and bonds that stand for them.

Weininger (1988), "SMILES, a chemical language and information system". A graph has arithmetic codes: atom codes are
places in ``ATOMS`` (0 is no atom), bond codes are bond orders (0 is no bond), so that free valences are sums. Chapter 9
builds it, chapter 2 judges sampled strings with it.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np
import torch
import torch.nn.functional as F

from .extras import optional
from .graphs import ATOMS, VALENCE, Graph

with optional(__name__):
    from rdkit import Chem, rdBase
    from rdkit.Chem.rdMolDescriptors import CalcExactMolWt

ELEMENTS = "CNOF"  # of the book's small molecules, beside hydrogen
MOST_HEAVY_ATOMS = 12  # of one of the book's small molecules
LONGEST = 1000  # characters of a string that is read: RDKit needs seconds for ten thousand, and hours for a million
MOST_CELLS = 10_000_000  # of all the tables that `sequences` looks at: a second or two

_VALENCE = VALENCE.tolist()
_CHARGE = {"+": 1, "-": -1}
_PARTS = [(name.rstrip("+-"), _CHARGE.get(name[-1:], 0)) for name in ATOMS]  # (element, charge) of each code
_CODE = {part: code for code, part in enumerate(_PARTS) if code}
_PHOSPHORYL = Chem.MolFromSmarts("[#15;+0;D2](=O)-*")  # three bonds, which RDKit would take for all five
_ORDERS = (None, Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE)
_NUMBER = {kind: order for order, kind in enumerate(_ORDERS) if order}
# Everything RDKit checks, without its clean-up, which would turn N(=O)=O into something that was never generated.
_CHECKS = Chem.SANITIZE_ALL ^ Chem.SANITIZE_CLEANUP ^ Chem.SANITIZE_CLEANUP_ORGANOMETALLICS


def canonical(smiles: str, *, stereo: bool = True) -> str | None:
    """The one spelling that RDKit gives to a molecule; None if the string is no valid molecule.

    Valid means: RDKit parses it and its check of valences and aromatic rings passes. The empty string is no molecule,
    nor is text with white space in it. ``stereo=False`` drops stereochemistry and labels of atoms, as graphs do.

    ValueError for what is no string, and for more than `LONGEST` characters.

    >>> canonical("OCC"), canonical("F/C=C/F", stereo=False), canonical("C(C")
    ('CCO', 'FC=CF', None)
    """
    molecule = _parse(smiles)
    if molecule is None:
        return None
    return Chem.MolToSmiles(molecule) if stereo else _flat_smiles(molecule)


def small(smiles: str) -> str | None:
    """The canonical spelling without stereochemistry if the molecule belongs to the book's small set, else None.

    Members are single, uncharged molecules of 1 to 12 atoms of C, N, O and F beside hydrogen, without radicals and
    without named isotopes. ValueError as in `canonical`.

    >>> small("C[C@H](N)O"), small("CCl")
    ('CC(N)O', None)
    """
    molecule = _parse(smiles)
    if (
        molecule is None
        or len(Chem.GetMolFrags(molecule)) > 1
        or not 1 <= molecule.GetNumHeavyAtoms() <= MOST_HEAVY_ATOMS
    ):
        return None
    for atom in molecule.GetAtoms():
        odd = atom.GetFormalCharge() or atom.GetNumRadicalElectrons() or atom.GetIsotope()
        if odd or atom.GetSymbol() not in (*ELEMENTS, "H"):
            return None
    return _flat_smiles(molecule)


def quoted(value: object) -> str:
    """How a message shows what it is about: strings in quotes, cut after 60 characters.

    >>> print(quoted("C" * 1000))
    'CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC'... (1,000 characters)
    """
    if isinstance(value, str | bytes) and len(value) > 60:
        return f"{value[:60]!r}... ({len(value):,} characters)"
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:60]}... ({len(text):,} characters)"


def listed(strings: Iterable[str], taker: str) -> list[str]:
    """The rows of a list, a generator or an open file, without the white space around them; ``taker`` asks for them.

    ValueError for a single string, and for a row that is no string, by its number.

    >>> listed(iter(["CC\\n", " CO"]), "read")
    ['CC', 'CO']
    """
    if isinstance(strings, str):
        text = quoted(strings)
        raise ValueError(f"{taker} takes a list of strings, got the string {text}; write [...] around it")
    if isinstance(strings, bytes) or not isinstance(strings, Iterable) or getattr(strings, "ndim", 1) == 0:
        raise ValueError(f"{taker} takes a list of strings, got {type(strings).__name__} {quoted(strings)}")
    rows = []
    for row, text in enumerate(strings):
        if not isinstance(text, str):
            raise ValueError(f"row {row}: {taker} takes strings, got {type(text).__name__} {quoted(text)}")
        rows.append(text.strip())
    return rows


def parsed(smiles: str) -> Chem.Mol:
    """A string -> RDKit molecule. ValueError for what is no molecule, and as in `canonical`.

    >>> parsed("CCO").GetNumAtoms()
    3
    """
    molecule = _parse(smiles)
    if molecule is None:
        raise ValueError(f"{quoted(smiles)} is no molecule: RDKit cannot read it")
    return molecule


def _parse(smiles: str) -> Chem.Mol | None:
    if not isinstance(smiles, str):
        raise ValueError(f"a molecule is written as a string, got {type(smiles).__name__} {quoted(smiles)}")
    smiles = smiles.strip()
    if len(smiles) > LONGEST:
        raise ValueError(f"{quoted(smiles)} is too long: at most {LONGEST:,} characters are read")
    if not (smiles.isascii() and smiles.isprintable()) or " " in smiles:  # RDKit would read up to there
        return None
    with rdBase.BlockLogs():  # None says it all
        return Chem.MolFromSmiles(smiles) if smiles else None


def _flat(molecule: Chem.Mol) -> Chem.Mol:
    """The molecule without stereochemistry, and without the hydrogens that RDKit keeps as atoms for its sake."""
    Chem.RemoveStereochemistry(molecule)
    with rdBase.BlockLogs():  # lonely hydrogens stay, without a word
        return molecule if molecule.GetNumAtoms() == molecule.GetNumHeavyAtoms() else Chem.RemoveHs(molecule)


def _flat_smiles(molecule: Chem.Mol) -> str:
    molecule = _flat(molecule)
    for atom in molecule.GetAtoms():
        atom.SetAtomMapNum(0)
    return Chem.MolToSmiles(molecule)


def from_smiles(
    smiles: Iterable[str],
    *,
    A: int = len(ATOMS) - 1,
    N: int | None = None,
    order: str = "canonical",
    stereo: str = "drop",
) -> Graph:
    """Strings -> Graph of the first ``A`` types, padded to N places (to the largest molecule unless given).

    Strings come as a list, from a generator or from an open file, one a line. Aromatic rings get alternating bonds
    (kekulized); charges are kept. Stereochemistry and labels of atoms are dropped: stereo="refuse" makes the first an
    error, and `read` lists both. With order="canonical" the tensors depend on the molecule alone, not on its spelling:
    atoms are in breadth-first order and ties follow RDKit's canonical ranks. order="given" keeps the order of the
    string.

    ValueError names row, string and reason: no molecule, several molecules, white space in the string, elements or
    charges outside the alphabet, isotopes, radicals, bonds that are not single, double or triple, more bonds than
    `VALENCE` allows, hydrogens that the graph does not imply, too many atoms, more than `LONGEST` characters. `read`
    goes on where this function stops.

    >>> graph = from_smiles(["CC#N"], N=4, order="given")
    >>> graph.atoms.tolist(), graph.bonds[0].tolist()
    ([[1, 1, 2, 0]], [[0, 1, 0, 0], [1, 0, 3, 0], [0, 3, 0, 0], [0, 0, 0, 0]])
    """
    rows = listed(smiles, "from_smiles")
    if not rows:
        raise ValueError("from_smiles needs at least one molecule, got an empty list")
    _check_options(A, N, order, stereo=stereo)
    parts = []
    for row, text in enumerate(rows):
        try:
            molecule, _ = _plain(text, order, stereo=stereo)
            parts.append(tables(molecule, A, N, order))
        except ValueError as error:
            raise ValueError(f"row {row}: {quoted(text)} {error}") from None
    return _stacked(parts, N)


def tables(molecule: Chem.Mol, A: int, N: int | None, order: str) -> tuple[list[int], np.ndarray]:
    """An RDKit molecule, flat and in one piece -> codes of its n atoms, bond orders (n, n).

    Options as in `from_smiles`, which checks them. ValueError, with the reason, for a molecule that the tables cannot
    hold: `to_molecule` would build another one from them.

    >>> codes, orders = tables(parsed("OC=O"), A=4, N=None, order="given")
    >>> codes, orders.tolist()
    ([3, 1, 3], [[0, 1, 0], [1, 0, 2], [0, 2, 0]])
    """
    molecule = Chem.Mol(molecule)  # a copy, to be changed
    atoms = list(molecule.GetAtoms())
    codes = _codes(atoms, A, N)
    # Ranks and alternating forms follow from the molecule alone: RDKit's own choice of a form follows the spelling in
    # versions before 2026.3. Those of later versions are the same as here, for all but one molecule of a thousand.
    rank = list(Chem.CanonicalRankAtoms(molecule, includeAtomMaps=False))
    orders = _bond_orders(molecule, rank)
    _check_valences(codes, orders)
    _check_hydrogens(molecule, atoms)
    if order == "canonical":
        places = _canonical_order(orders, rank)
        codes, orders = [codes[atom] for atom in places], orders[np.ix_(places, places)]
    return codes, orders


@dataclass(frozen=True, repr=False)
class Account:
    """What `read` made of some lines: the graphs, and an account of every line that is not what it was.

    rows, names    for each graph the number of its line, from 0, and what followed the string on it
    refused        (line, text, reason) of each line without a graph
    changed        (line, text, what was dropped) of each graph that holds less than its line

    >>> read(["CCO ethanol", "C[C@H](N)O", "C(C"])
    Account(2 graphs, 1 of them changed; 1 refused)
    """

    graph: Graph
    rows: list[int]
    names: list[str]
    refused: list[tuple[int, str, str]]
    changed: list[tuple[int, str, str]]

    def __repr__(self):
        return f"Account({len(self.rows)} graphs, {len(self.changed)} of them changed; {len(self.refused)} refused)"


def read(
    lines: Iterable[str], *, A: int = len(ATOMS) - 1, N: int | None = None, order: str = "canonical",
    salts: str = "refuse", stereo: str = "drop",
) -> Account:  # fmt: skip
    """Lines of a file of molecules -> Account: what `from_smiles` accepts as graphs, everything else with its reason.

    A line is a string and, after white space, a name. salts="largest" keeps the largest part of a molecule in several
    parts (most heavy atoms, then the heaviest); stereo="refuse" refuses molecules with stereochemistry instead of
    dropping it. Nothing is silent: what was dropped is listed. ValueError for a line that is no text.

    >>> account = read(["CCO ethanol", "[Na+].CC(=O)[O-]", "C(C"], salts="largest")
    >>> account.names, account.changed, account.refused
    (['ethanol', ''], [(1, '[Na+].CC(=O)[O-]', 'the part [Na+]')], [(2, 'C(C', 'is no molecule: RDKit cannot read it')])
    """
    _check_options(A, N, order, salts, stereo)
    parts, rows, names, refused, changed = [], [], [], [], []
    for row, line in enumerate(listed(lines, "read")):
        text, name, *_ = *line.split(None, 1), "", ""
        try:
            molecule, dropped = _plain(text, order, salts, stereo)
            parts.append(tables(molecule, A, N, order))
        except ValueError as error:
            refused.append((row, text, str(error)))
            continue
        rows.append(row)
        names.append(name)
        if dropped:
            changed.append((row, text, ", ".join(dropped)))
    return Account(_stacked(parts, N), rows, names, refused, changed)


def _check_options(A: int, N: int | None, order: str, salts: str = "refuse", stereo: str = "drop"):
    if not isinstance(A, Integral) or A not in range(1, len(ATOMS)):
        raise ValueError(f"A is a number of atom types from 1 to {len(ATOMS) - 1}, got {A!r}")
    if N is not None and not (isinstance(N, Integral) and not isinstance(N, bool) and N > 0):
        raise ValueError(f"N is a number of places, at least 1, got {N!r}")
    for name, value, known in (
        ("order", order, ("canonical", "given")), ("salts", salts, ("refuse", "largest")),
        ("stereo", stereo, ("refuse", "drop")),
    ):  # fmt: skip
        if value not in known:
            raise ValueError(f'{name} is {value!r}; choose "{known[0]}" or "{known[1]}"')


def _stacked(parts: list[tuple[list[int], np.ndarray]], N: int | None) -> Graph:
    """Codes and matrix of each molecule -> Graph of N places, or of as many as the largest needs."""
    N = max((len(codes) for codes, _ in parts), default=1) if N is None else N
    atoms, bonds = np.zeros((len(parts), N), np.uint8), np.zeros((len(parts), N, N), np.uint8)
    for row, (codes, matrix) in enumerate(parts):
        n = len(codes)
        atoms[row, :n], bonds[row, :n, :n] = codes, matrix
    return Graph(torch.from_numpy(atoms).long(), torch.from_numpy(bonds))


def _plain(text: str, order: str, salts: str = "refuse", stereo: str = "drop") -> tuple[Chem.Mol, list[str]]:
    """One string -> its molecule as a graph can hold it, what was dropped. ValueError with a reason."""
    molecule, dropped = _whole(text, salts)
    if ("@" in text or "/" in text or "\\" in text) and _has_stereo(molecule):
        if stereo == "refuse":
            raise ValueError("has stereochemistry, which a graph does not hold")
        dropped.append("stereochemistry")
    if ":" in text and any(atom.GetAtomMapNum() for atom in molecule.GetAtoms()):
        dropped.append("labels of atoms")
    molecule = _flat(molecule)
    if "#" in text and order == "canonical" and any(map(_is_benzyne, molecule.GetBonds())):
        molecule = _parse(_flat_smiles(molecule))  # RDKit's ranks of such rings follow the string: take RDKit's own one
    return molecule, dropped


def _whole(text: str, salts: str) -> tuple[Chem.Mol, list[str]]:
    """The one molecule that a string names, and what was left of it; ValueError with a reason."""
    if len(text) > LONGEST:
        raise ValueError(f"is too long: at most {LONGEST:,} characters are read")
    if len(text.split()) > 1:
        raise ValueError("holds white space, which ends a string: what follows is a name, and `read` keeps it")
    if not (text.isascii() and text.isprintable()):
        odd = next(character for character in text if not (character.isascii() and character.isprintable()))
        raise ValueError(f"is no molecule: it holds {odd!a}, which is no character of SMILES")
    molecule = _parse(text)
    if molecule is None:
        raise ValueError("is no molecule: RDKit cannot read it" if text else "is no molecule: it is empty")
    if len(Chem.GetMolFrags(molecule)) == 1:
        return molecule, []
    if salts == "refuse":
        raise ValueError("is disconnected; a graph holds one molecule: keep one part (`read` can)")
    parts = Chem.GetMolFrags(molecule, asMols=True)
    size = {part: (part.GetNumHeavyAtoms(), CalcExactMolWt(part), Chem.MolToSmiles(part)) for part in parts}
    largest, *others = sorted(parts, key=size.get, reverse=True)
    return largest, [f"the part {size[part][-1]}" for part in others]


def _has_stereo(molecule: Chem.Mol) -> bool:
    return any(atom.GetChiralTag() for atom in molecule.GetAtoms()) or any(b.GetStereo() for b in molecule.GetBonds())


def _is_benzyne(bond: Chem.Bond) -> bool:
    return bond.GetIsAromatic() and bond.GetBondType() == Chem.BondType.TRIPLE


def _codes(atoms: list[Chem.Atom], A: int, N: int | None) -> list[int]:
    """The code of each atom; ValueError with a reason for what is none of the first A types, and for more than N."""
    codes = []
    for atom in atoms:
        if atom.GetIsotope():
            raise ValueError(f"holds the isotope {atom.GetSmarts()}; graphs do not tell isotopes apart")
        if atom.GetNumRadicalElectrons():
            raise ValueError(f"holds the radical {atom.GetSmarts()}; in a graph hydrogens fill every valence")
        code = _CODE.get((atom.GetSymbol(), atom.GetFormalCharge()), A + 1)
        if code > A:
            raise ValueError(f"holds {atom.GetSmarts()}, outside the alphabet {' '.join(ATOMS[1 : A + 1])}")
        codes.append(code)
    if N is not None and len(codes) > N:
        raise ValueError(f"has {len(codes)} heavy atoms; at most N = {N} fit")
    return codes


def _bond_orders(molecule: Chem.Mol, rank: Sequence[int]) -> np.ndarray:
    """The orders (n, n) of a molecule's bonds, aromatic rings in the form that the ranks choose; kekulizes it."""
    bonds = list(molecule.GetBonds())  # RDKit's own sequence is slow
    pairs = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in bonds]
    rings = [pair for pair, bond in zip(pairs, bonds) if bond.GetBondType() == Chem.BondType.AROMATIC]
    if rings:
        Chem.Kekulize(molecule, clearAromaticFlags=True)
    orders = np.zeros((len(rank), len(rank)), np.uint8)
    for (i, j), bond in zip(pairs, bonds):
        kind = bond.GetBondType()
        if kind not in _NUMBER:
            raise ValueError(f"holds a bond of type {kind.name.lower()}; graphs have single, double and triple ones")
        orders[i, j] = orders[j, i] = _NUMBER[kind]
    return next(_forms(orders, rings, rank)) if rings else orders


def _check_valences(codes: list[int], orders: np.ndarray):
    for code, used in zip(codes, orders.sum(1).tolist()):
        if used > _VALENCE[code]:
            raise ValueError(f"holds {ATOMS[code]} with {used} bonds; the table of valences allows {_VALENCE[code]}")


def _check_hydrogens(molecule: Chem.Mol, atoms: list[Chem.Atom]):
    """ValueError unless the graph implies the hydrogens of the atoms whose string says how many; changes the molecule.

    Phosphorus is always in doubt: `build` has a rule of its own.
    """
    doubtful = [atom for atom in atoms if atom.GetNoImplicit() or atom.GetAtomicNum() == 15]
    if not doubtful:
        return
    told = [atom.GetTotalNumHs() for atom in doubtful]
    for atom in doubtful:
        atom.SetNoImplicit(False)
        atom.SetNumExplicitHs(0)
    _fill(molecule)
    molecule.UpdatePropertyCache(strict=False)
    for atom, hydrogens in zip(doubtful, told):
        if (implied := atom.GetTotalNumHs()) != hydrogens:
            raise ValueError(f"holds {atom.GetSymbol()} with {hydrogens} hydrogens where a graph would imply {implied}")


def _forms(matrix: np.ndarray, rings: list[tuple[int, int]], rank: Sequence[int]) -> Iterator[np.ndarray]:
    """Every way to alternate the aromatic bonds ``rings`` of a matrix (n, n) that leaves each atom its sum of bonds.

    The first is canonical if the ranks are: breadth-first through each ring system from its atom of lowest rank, every
    atom takes as its double bond the one to the free neighbour of lowest rank with which the rest can be completed.
    """
    near = {}
    for i, j in rings:
        near.setdefault(i, []).append(j)
        near.setdefault(j, []).append(i)
    for others in near.values():
        others.sort(key=rank.__getitem__)
    order = {}  # keeps its keys in sequence
    for start in sorted(near, key=rank.__getitem__):
        if start not in order:
            order |= dict.fromkeys(_breadth_first(start, near))
    paired = {atom for i, j in rings if matrix[i, j] == 2 for atom in (i, j)}
    order = [atom for atom in order if atom in paired]
    near = {atom: [other for other in near[atom] if other in paired] for atom in order}
    for mate in _matchings(order, near, {}):
        form = matrix.copy()
        for i, j in rings:
            form[i, j] = form[j, i] = 1 + (mate.get(i) == j)
        yield form


def _matchings(order: list[int], near: dict[int, list[int]], mate: dict[int, int]) -> Iterator[dict[int, int]]:
    """Every way to pair the atoms of ``order`` with neighbours, in lexicographic order -> {atom: its mate}."""
    atom = next((atom for atom in order if atom not in mate), None)
    if atom is None:
        yield mate
        return
    for other in near[atom]:
        if other not in mate:
            yield from _matchings(order, near, {**mate, atom: other, other: atom})


def _canonical_order(orders: np.ndarray, rank: Sequence[int]) -> list[int]:
    """Breadth-first order; it starts at the atom of lowest canonical rank and visits neighbours by rank."""
    by_rank = sorted(range(len(rank)), key=rank.__getitem__)
    near = [[atom for atom in by_rank if row[atom]] for row in orders.tolist()]
    return _breadth_first(by_rank[0], near)


def _breadth_first(start: int, near) -> list[int]:
    order, found = [start], {start}
    for atom in order:  # grows while it is read: a queue
        new = [other for other in near[atom] if other not in found]
        order += new
        found.update(new)
    return order


def to_molecule(graph: Graph, row: int = 0) -> Chem.Mol:
    """Row of a Graph -> RDKit molecule, exactly as drawn: nothing is checked and nothing is repaired.

    >>> to_molecule(from_smiles(["CC#N"])).GetNumBonds()
    2
    """
    codes = [code for code in graph.atoms[row].tolist() if code]
    bonds = graph.bonds[row].tolist()
    return build(codes, [(i, j, bonds[i][j]) for i in range(len(codes)) for j in range(i) if bonds[i][j]])


def build(codes: Iterable[int], bonds: Iterable[tuple[int, int, int]]) -> Chem.Mol:
    """Atom codes and bonds (i, j, order) -> RDKit molecule, unchecked; hydrogens are RDKit's, but for O=[PH2]-R.

    >>> build([1, 3], [(0, 1, 2)]).GetNumAtoms()
    2
    """
    molecule = Chem.RWMol()
    for code in codes:
        element, charge = _PARTS[code]
        atom = Chem.Atom(element)
        atom.SetFormalCharge(charge)
        molecule.AddAtom(atom)
    for i, j, order in bonds:
        molecule.AddBond(i, j, _ORDERS[order])
    _fill(molecule)
    return molecule.GetMol()


def _fill(molecule: Chem.Mol):
    """The one rule of hydrogens that is not RDKit's."""
    for match in molecule.GetSubstructMatches(_PHOSPHORYL):
        molecule.GetAtomWithIdx(match[0]).SetNumExplicitHs(2)


def to_smiles(graph: Graph) -> list[str | None]:
    """Graph -> canonical strings, None for what is no valid molecule.

    Valid means: in one piece, and RDKit's check passes on exactly this graph, with hydrogens on free valences.
    ValueError names the row of tables that are no graph (`Graph.faults`).

    >>> to_smiles(from_smiles(["OCC", "C=O"]))
    ['CCO', 'C=O']
    """
    _check_tables(graph)
    graph = Graph(graph.atoms.long().cpu(), graph.bonds.byte().cpu())
    return [spelled(to_molecule(graph, row)) for row in range(len(graph))]


def _check_tables(graph: Graph):
    for start in range(0, len(graph), 1000):  # a million molecules at once would fill the memory
        for fault, where in graph[start : start + 1000].faults().items():
            if where.any():
                raise ValueError(f"row {start + int(where.int().argmax())} has {fault}")


def spelled(molecule: Chem.Mol) -> str | None:
    """The canonical string of a molecule that was built and not checked; None where it is none, or not in one piece.

    >>> spelled(build([1, 3], [(0, 1, 2)])), spelled(build([1, 4], [(0, 1, 2)]))
    ('C=O', None)
    """
    with rdBase.BlockLogs():  # None says it all
        problem = Chem.SanitizeMol(molecule, _CHECKS, catchErrors=True)
    whole = not problem and len(Chem.GetMolFrags(molecule)) == 1  # an empty one has no part
    return Chem.MolToSmiles(molecule) if whole else None


def sequences(smiles: str, *, A: int = len(ATOMS) - 1, N: int | None = None) -> Graph:
    """Every graph in breadth-first order that is this molecule, each once: all ways to generate it.

    Over all breadth-first orders and all alternating forms of aromatic rings. For small molecules: their number grows
    like a factorial, and ValueError says so where the orders would fill tables of more than `MOST_CELLS` cells.

    >>> [len(sequences(smiles)) for smiles in ("CC", "CCO", "C1CC1")]
    [1, 4, 1]
    """
    first = from_smiles([smiles], A=A, N=N, order="given")
    n, found, cells = int(first.sizes[0]), {}, 0
    for form in _same(Graph(first.atoms[:, :n], first.bonds[:, :n, :n])):
        near = [set(row.nonzero()[0].tolist()) for row in form]
        for order in _all_bfs_orders(near, n):
            cells += n * n
            if cells > MOST_CELLS:
                raise ValueError(
                    f"{quoted(smiles)} can be generated in too many ways to list them: it has {n} atoms and more than "
                    f"{MOST_CELLS // n**2:,} orders, where looking ends"
                )
            found.setdefault((tuple(first.atoms[0, order].tolist()), form[np.ix_(order, order)].tobytes()))
    atoms, bonds = zip(*found)
    room = first.atoms.shape[1] - n
    bonds = torch.tensor(list(map(list, bonds)), dtype=torch.uint8).unflatten(1, (n, n))
    return Graph(F.pad(torch.tensor(atoms), (0, room)), F.pad(bonds, (0, room, 0, room)))


def _same(graph: Graph) -> Iterator[np.ndarray]:
    """The bonds (n, n) of a molecule without empty places, in each alternating form of its aromatic rings.

    Nothing else can differ: with the same string, and the same sum of bonds at every atom, the rest is the same graph.
    """
    molecule = to_molecule(graph)
    Chem.SanitizeMol(molecule, _CHECKS)
    aromatic = [bond for bond in molecule.GetBonds() if bond.GetBondType() == Chem.BondType.AROMATIC]
    rings = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in aromatic]
    text = Chem.MolToSmiles(molecule)
    for form in _forms(graph.bonds[0].numpy(), rings, range(graph.atoms.shape[1])):
        if to_smiles(Graph(graph.atoms, torch.from_numpy(form)[None])) == [text]:  # it may not look aromatic any more
            yield form


def _all_bfs_orders(near: list[set[int]], n: int) -> Iterator[list[int]]:
    """Every breadth-first order of a connected graph, given as the neighbours of each atom."""
    begun = [([start], 0) for start in reversed(range(n))]  # a stack: a chain is longer than calls may nest
    while begun:
        order, place = begun.pop()
        if len(order) == n:
            yield order
        else:
            blocks = itertools.permutations(near[order[place]] - set(order))
            begun += reversed([(order + list(block), place + 1) for block in blocks])

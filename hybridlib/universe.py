"""The countable universe: every molecule of exactly n heavy atoms C, N, O, F, enumerated from nothing but graphs.

With ``strict=False`` valence alone decides: connected graphs of single, double and triple bonds, at most 4 bonds at C,
3 at N, 2 at O, 1 at F; hydrogens fill up. ``strict=True`` also asks for a "GDB-like" rule set, in the spirit of GDB
(Fink & Reymond 2007; Ruddigkeit et al. 2012), but shorter and not theirs:

1. The skeleton is a planar graph.
2. No atom has two double bonds (cumulenes, ketenes, isocyanates).
3. No double bond and no aromatic bond in a ring of three or between two of them, no aromatic bond in a ring of four.
4. No triple bond in a ring.
5. Of the bonds between N, O and F only the single bonds N-N and N-O (aromatic rings may hold any); no three such atoms
   in a row outside of an aromatic ring.
6. No C=N-H except in amidines and their kin (hydrolyses).
7. No N-H or O-H on a saturated carbon that bears another N, O or F (hemiacetals, aminals and the like fall apart).
8. No N or O on a carbon with a triple bond (ynols, ynamines, cyanates).
9. No O-H and no N-H on a C=C, no O-H on a C=N (tautomers of carbonyls, imines and amides).
10. No O-H on a C=O that bears another N, O or F (carbonic and carbamic acids lose CO2).
11. No two rings of three share a bond (bicyclobutane and its kin are too strained).

Aromatic means what RDKit calls so: a rule on C, N or O does not touch aromatic atoms, phenol is no enol. Chapter 9
lists it, chapter 10 measures models by it.
"""

import functools
import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from .extras import optional
from .graphs import VALENCE, Graph
from .molecules import ELEMENTS, build, canonical, listed, parsed, quoted, sequences, spelled

with optional(__name__):
    import networkx as nx
    from rdkit import Chem

MOST_ATOMS = 7  # heavy atoms: as far as networkx's atlas of graphs reaches
CODES = range(1, len(ELEMENTS) + 1)  # the first atom types: C, N, O, F
FORBIDDEN = {  # rule -> SMARTS patterns of which a strict molecule has none; rule 1 is no pattern
    2: ["*=*=*"],
    3: ["[r3]=,:[r3]", "[r4]:[r4]"],
    4: ["*#@*"],
    5: ["N=,#[N,O]", "O=O", "O-O", "F[N,O,F]", "[N,O]~[N,O]~[N,O]"],
    6: ["[C;!$(CN)]=[NH]"],
    7: ["[CX4]([N,O;!H0])[N,O,F]"],
    8: ["*#C[N,O]"],
    9: ["C=C[N,O;!H0]", "N=C[OH]"],
    10: ["[OH]C(=O)[N,O,F]"],
    11: ["*12~*~*1~*2"],
}


@functools.cache
def members(n: int, *, strict: bool = True) -> tuple[str, ...]:
    """The molecules of exactly n heavy atoms as sorted canonical SMILES without stereochemistry.

    Two Kekule forms of one aromatic molecule are two graphs but one SMILES, and count once. ValueError for n outside
    1..`MOST_ATOMS`. Each further atom takes about ten times as long.

    >>> members(1), len(members(2)), len(members(2, strict=False))
    (('C', 'F', 'N', 'O'), 10, 19)
    """
    if n not in range(1, MOST_ATOMS + 1):
        raise ValueError(f"n is a whole number of heavy atoms from 1 to {MOST_ATOMS}, got {n!r}")
    if strict:
        return tuple(smiles for smiles in members(n, strict=False) if not any(broken(smiles)))
    found = set()
    for skeleton in nx.graph_atlas_g():
        if len(skeleton) == n and nx.is_connected(skeleton):
            found |= {spelled(build(elements, bonds)) for elements, bonds in fillings(skeleton)}
    return tuple(sorted(found))


def broken(smiles: str) -> Iterator[int]:
    """The numbers of the strict rules that a molecule breaks (lazily: any(broken(...)) stops at the first).

    ValueError for a string that is no molecule.

    >>> [*broken("OCO")], [*broken("C=C=O")], [*broken("COC")]
    ([7], [2], [])
    """
    molecule = parsed(smiles)
    for rule, patterns in _patterns().items():
        if any(map(molecule.HasSubstructMatch, patterns)):
            yield rule
    edges = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in molecule.GetBonds()]
    if len(edges) >= 9 and not nx.check_planarity(nx.Graph(edges))[0]:  # with fewer edges every graph is planar
        yield 1


@functools.cache
def _patterns() -> dict:
    return {rule: [Chem.MolFromSmarts(text) for text in texts] for rule, texts in FORBIDDEN.items()}


def fillings(skeleton: nx.Graph) -> Iterator[tuple[tuple, list]]:
    """All ways to give a skeleton of nodes 0, 1, ... elements and bonds (i, j, order), as far as valences allow.

    Of fillings that symmetries of the skeleton turn into each other only the first is given.

    >>> [elements for elements, bonds in fillings(nx.path_graph(2)) if bonds == [(0, 1, 3)]]
    [(1, 1), (1, 2), (2, 2)]
    """
    valence = VALENCE.tolist()
    edges = [tuple(sorted(edge)) for edge in skeleton.edges]
    maps = list(nx.isomorphism.GraphMatcher(skeleton, skeleton).isomorphisms_iter())  # each atom -> its image
    moves = [[edges.index(tuple(sorted((m[i], m[j])))) for i, j in edges] for m in maps]  # likewise for the edges
    for orders in bond_orders(edges, (4,) * len(skeleton)):  # no atom has more than carbon's
        images = [tuple(orders[edge] for edge in move) for move in moves]
        if min(images) < orders:  # a symmetric filling comes first
            continue
        bonds = [(*edge, order) for edge, order in zip(edges, orders)]
        used = [sum(order for i, j, order in bonds if atom in (i, j)) for atom in skeleton]
        symmetries = [m for m, image in zip(maps, images) if image == orders]
        for elements in itertools.product(*([code for code in CODES if valence[code] >= bound] for bound in used)):
            if all(tuple(elements[m[atom]] for atom in skeleton) >= elements for m in symmetries):
                yield elements, bonds


def bond_orders(edges: list[tuple[int, int]], free: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """All orders 1..3 for the edges such that no atom takes more than its free bonds, in lexicographic sequence.

    >>> list(bond_orders([(0, 1), (1, 2)], (3, 3, 1)))
    [(1, 1), (2, 1)]
    """
    if not edges:
        yield ()
        return
    (i, j), *rest = edges
    for order in range(1, min(3, free[i], free[j]) + 1):
        left = tuple(bonds - order * (atom in (i, j)) for atom, bonds in enumerate(free))
        yield from ((order, *more) for more in bond_orders(rest, left))


@torch.no_grad()
def log_marginal(model: Any, smiles: Iterable[str], *, at_once: int = 2000) -> Tensor:
    """log P(molecule) of a model of graphs, the sum over every way to generate it: n strings -> (n,), nats, exact.

    ``model`` has log_prob(graph) -> (B,), and N and A, its largest size and its number of atom types. Ways that it
    excludes (-inf) add nothing. The answer is float64, on the CPU. ValueError for no strings, and for what
    `molecules.sequences` refuses.

    >>> from types import SimpleNamespace
    >>> sixths = SimpleNamespace(A=3, N=2, log_prob=lambda graph: torch.full((len(graph),), -math.log(6)))
    >>> log_marginal(sixths, ["C", "CO"]).exp().mul(6).round().tolist()  # CO begins with either atom
    [1.0, 2.0]
    """
    ways = []
    for row, text in enumerate(listed(smiles, "log_marginal")):
        try:
            ways.append(_ways(text, model.A, model.N))
        except ValueError as error:
            raise ValueError(f"row {row}: {str(error).removeprefix('row 0: ')}") from None
    if not ways:
        raise ValueError("log_marginal needs at least one molecule, got no strings")
    atoms, bonds = (torch.cat([getattr(way, part) for way in ways]) for part in ("atoms", "bonds"))
    each = [model.log_prob(Graph(a, b)) for a, b in zip(atoms.split(at_once), bonds.split(at_once))]
    parts = torch.cat(each).double().cpu().split([len(way) for way in ways])
    return torch.stack([part.logsumexp(0) for part in parts])


@functools.lru_cache(maxsize=100_000)  # several models are asked about the same molecules
def _ways(text: str, A: int, N: int) -> Graph:
    return sequences(text, A=A, N=N)


def exact_scores(model: Any, smiles: Iterable[str], *, possible: Iterable[str] = ()) -> dict[str, float]:
    """A model beside the uniform distribution on some molecules, without sampling error.

    kl        KL(uniform || model), nats: 0 if and only if they are the same
    outside   probability of anything else, valid or not
    coverage  share of the molecules that as many draws as there are molecules are expected to show at least once
    ideal     what the uniform distribution would show: about 1 - 1/e
    invalid   only where ``possible`` lists every valid molecule that the model could draw: probability of the rest

    ``model`` as in `log_marginal`. ValueError for no molecules, one that is listed twice, and what is no molecule.

    >>> from types import SimpleNamespace
    >>> sixths = SimpleNamespace(A=3, N=2, log_prob=lambda graph: torch.full((len(graph),), -math.log(6)))
    >>> found = exact_scores(sixths, ["C", "N", "O"])  # half of the probability lies elsewhere
    >>> round(math.exp(found["kl"]), 3), round(found["outside"], 3)
    (2.0, 0.5)
    """
    smiles, possible = listed(smiles, "exact_scores"), listed(possible, "exact_scores")
    log_p, n = log_marginal(model, smiles), len(smiles)
    distinct = {canonical(text, stereo=False): text for text in smiles}  # one molecule may be spelled in many ways
    if len(distinct) < n:
        twice = next(text for text in smiles if text not in distinct.values())
        raise ValueError(f"{quoted(twice)} is among the molecules twice; exact_scores counts each once")
    result = {
        "kl": (-math.log(n) - log_p.mean()).item(),
        "outside": 1 - log_p.exp().sum().item(),
        "coverage": (1 - (1 - log_p.exp()) ** n).mean().item(),
        "ideal": 1 - (1 - 1 / n) ** n,
    }
    if possible:
        spelled = [canonical(text, stereo=False) for text in possible]
        if None in spelled:
            row = spelled.index(None)
            raise ValueError(f"row {row} of possible: {quoted(possible[row])} is no molecule: RDKit cannot read it")
        others = sorted({*spelled} - distinct.keys())
        rest = log_marginal(model, others).exp().sum().item() if others else 0
        result["invalid"] = result["outside"] - rest
    return result

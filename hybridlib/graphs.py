"""Molecules as graphs of tensors: codes of atoms and bonds, and the orders in which a graph can be walked.

A graph has arithmetic codes: atom codes are places in ``ATOMS`` (0 is no atom), bond codes are bond orders (0 is no
bond), so that free valences are sums. No chemistry software is needed here; `hybridlib.molecules` reads and writes
strings. Chapter 9 builds it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# Charged atoms are types of their own. The first 4 make the book's small set, the first 8 QM9, all of them ZINC250k.
ATOMS = ("", "C", "N", "O", "F", "N+", "O-", "N-", "C-", "S", "Cl", "Br", "I", "P", "S-", "O+", "S+", "P+")

# How many bonds an atom can have, a double bond counting twice; hydrogens, which are not drawn, take what is left.
VALENCE = torch.tensor([0, 4, 3, 2, 1, 4, 1, 2, 3, 6, 1, 1, 1, 5, 1, 3, 3, 4])


@dataclass(frozen=True, repr=False)
class Graph:
    """A batch of molecules: atoms (B, N) are codes of `ATOMS`, bonds (B, N, N) bond orders 0..3, symmetric.

    Atoms stand first in their row, the places after them hold 0. ValueError for tables that are no tensors.

    >>> Graph(torch.tensor([[1, 3]]), torch.tensor([[[0, 2], [2, 0]]])).free_valence  # C=O: two hydrogens on C
    tensor([[2, 0]])
    """

    atoms: Tensor
    bonds: Tensor

    def __post_init__(self):
        for name, codes in (("atoms", self.atoms), ("bonds", self.bonds)):
            if not isinstance(codes, Tensor):
                raise ValueError(f"the {name} of a Graph are a tensor, got {type(codes).__name__}: use torch.as_tensor")

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

    def faults(self, A: int = len(ATOMS) - 1) -> dict[str, Tensor]:
        """Whatever keeps the tables from being graphs of the first A atom types -> {fault: rows that have it (B,)}.

        Connected or not, with too many bonds or not: such graphs are graphs. ValueError for bonds of another shape.
        """
        atoms, bonds = self.atoms, self.bonds
        if atoms.ndim != 2 or bonds.shape != (*atoms.shape, atoms.shape[1]):
            wanted = (*atoms.shape, *atoms.shape[1:])
            raise ValueError(
                f"atoms of shape {tuple(atoms.shape)} need bonds of shape {wanted}, got {tuple(bonds.shape)}"
            )
        whole = {  # a table of whole numbers needs no second one beside it
            f"{name} that is no whole number": (codes != codes.trunc()).flatten(1).any(1)
            for name, codes in (("an atom type", atoms), ("a bond order", bonds))
            if codes.is_floating_point()
        }
        return whole | {
            f"an atom type outside 0..{A}": ((atoms < 0) | (atoms > A)).any(1),
            "a bond order outside 0..3": ((bonds < 0) | (bonds > 3)).flatten(1).any(1),
            "bonds that are not symmetric": (bonds != bonds.mT).flatten(1).any(1),
            "a bond of an atom with itself": bonds.diagonal(dim1=1, dim2=2).any(1),
            "an atom after an empty place": ((atoms[:, 1:] > 0) & (atoms[:, :-1] == 0)).any(1),
            "a bond of an empty place": ((bonds.sum(-1) > 0) & (atoms == 0)).any(1),
        }

    def permute(self, order: Tensor) -> "Graph":
        """The same molecules with their atoms in another order: place t takes atom order[:, t]; order is (B, N)."""
        order = order.to(self.atoms.device)
        rows = order.unsqueeze(-1).expand_as(self.bonds)
        bonds = self.bonds.gather(1, rows).gather(2, order.unsqueeze(1).expand_as(self.bonds))
        return Graph(self.atoms.gather(1, order), bonds)


def parents(graph: Graph) -> Tensor:
    """First earlier neighbour of each atom: (B, N), -1 where there is none.

    >>> parents(Graph(torch.tensor([[1, 3]]), torch.tensor([[[0, 2], [2, 0]]])))
    tensor([[-1,  0]])
    """
    earlier = graph.bonds.tril(-1) > 0
    return torch.where(earlier.any(-1), earlier.int().argmax(-1), -1)


def in_bfs_order(graph: Graph) -> Tensor:
    """Is every molecule connected and its atoms in some breadth-first order? (B,).

    They are if every atom but the first has an earlier neighbour, and these parents never step back.

    >>> in_bfs_order(Graph(torch.tensor([[1, 3]]), torch.zeros(1, 2, 2)))  # two parts
    tensor([False])
    """
    parent, exists = parents(graph)[:, 1:], graph.atoms[:, 1:] > 0
    steps_back = (parent[:, 1:] < parent[:, :-1]) & exists[:, 1:]
    return ~((parent < 0) & exists).any(1) & ~steps_back.any(1)


def bfs_order(graph: Graph, *, generator: torch.Generator | None = None) -> Tensor:
    """A random breadth-first order of each molecule, for `Graph.permute`: (B, N), padding last.

    The first atom is uniform, and so is the order of atoms that are found together.

    >>> star = Graph(torch.tensor([[3, 1, 3]]), torch.tensor([[[0, 2, 0], [2, 0, 2], [0, 2, 0]]]))
    >>> in_bfs_order(star.permute(bfs_order(star)))
    tensor([True])
    """
    B, N = graph.atoms.shape
    bonded, waiting = graph.bonds > 0, graph.atoms > 0
    where = "cpu" if generator is None else generator.device  # one seed, one order, wherever the graph is
    tie = torch.rand(B, N, generator=generator, device=where).to(graph.atoms.device)
    found = torch.where(waiting, N, N + 2).float()  # place of the atom that found this one; N: not yet
    order = []
    for place in range(N):
        nearest = (found + tie).argmin(1, keepdim=True)
        order.append(nearest)
        found = found.scatter(1, nearest, 2 * N + 4)  # taken
        neighbours = bonded.gather(1, nearest.unsqueeze(-1).expand(-1, -1, N)).squeeze(1) & (found <= N)
        found = torch.where(neighbours, found.clamp(max=place), found)
    return torch.cat(order, 1)


def bandwidth(graph: Graph) -> Tensor:
    """The longest bond, measured in places between its atoms: (B,).

    >>> bandwidth(Graph(torch.tensor([[1, 3]]), torch.tensor([[[0, 2], [2, 0]]])))
    tensor([1])
    """
    place = torch.arange(graph.atoms.shape[1], device=graph.atoms.device)
    return torch.where(graph.bonds > 0, (place[:, None] - place).abs(), 0).amax((1, 2))

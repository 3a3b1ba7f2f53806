"""The distinct sub-graphs of a batch of molecules that grow, and the distinct embeddings in them: indices, no weights.

Used by `hybridlib.graphaf`, whose network runs once for each of them. Chapter 10 shows it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .graphs import Graph, parents

FAR = 12  # distances, in bonds, from here on count as one, and so does "no path yet"


class States:
    """The distinct sub-graphs of a batch, and the distinct embeddings in them: only indices, no weights.

    A sub-graph changes only when a bond appears, so that a molecule of m bonds has m + 1 of them (k = 0, ..., m). After
    ``layers`` rounds of messages a new bond has reached the atoms within layers - 1 bonds of its ends; all others keep
    their rows. Row c < A + 1 is a lonely atom of type c.
    """

    def __init__(self, graph: Graph, A: int, layers: int, R: int = 3):
        atoms, bonds = graph.atoms, graph.bonds
        B, N = atoms.shape
        made = bonds.tril(-1) > 0
        count = made.flatten(1).cumsum(1)
        self.before_bond = (count - made.flatten(1).long()).view(B, N, N)  # k when the bond (i, j) is decided
        self.before_atom = F.pad(made.sum(-1).cumsum(1), (1, 0))  # k when atom i is decided
        self.first = parents(graph)
        m = count[:, -1]
        b, i, j = made.nonzero().unbind(1)
        k = self.before_bond[b, i, j] + 1
        K = int(m.max()) + 1

        # neighbours of each atom, and the state in which each bond appears
        since = torch.full((B, N, N), K, device=atoms.device)
        since[b, i, j] = since[b, j, i] = k
        degree = max(1, int((since < K).sum(-1).max()))
        since, neighbour = since.topk(degree, largest=False)
        order = bonds.gather(-1, neighbour)
        state = torch.arange(K, device=atoms.device)
        present = since[:, None] <= state[:, None, None]  # (B, K, N, degree)

        changed = torch.zeros(B, K, N, dtype=torch.bool, device=atoms.device)
        changed[b, k, i] = changed[b, k, j] = True
        row = torch.zeros(B, K, N, dtype=torch.long, device=atoms.device)
        row[:, 0] = atoms
        types = torch.arange(A + 1, device=atoms.device)
        near = neighbour.flatten(1)[:, None].expand(-1, K, -1)
        self.pointer, self.layers = row.cummax(1).values, []
        for layer in range(layers):
            if layer:
                changed = changed | (changed.gather(2, near).view_as(present) & present).any(-1)
            rb, rk, rv = changed.nonzero().unbind(1)
            own = self.pointer[rb, rk, rv]
            heard = self.pointer[rb[:, None], rk[:, None], neighbour[rb, rv]] * (R + 1) + order[rb, rv]
            bags = torch.cat([own[:, None] * (R + 1), heard], 1)
            keep = F.pad(present[rb, rk, rv], (1, 0), value=True)
            flat, to = _bags(bags, keep)
            self.layers.append(
                (torch.cat([types, own]), torch.cat([types * (R + 1), flat]), torch.cat([types, to + A + 1]))
            )
            row = row.masked_scatter(changed, torch.arange(A + 1, A + 1 + len(rb), device=atoms.device))
            self.pointer = row.cummax(1).values

        # the sub-graphs one under another: S of them
        top = torch.zeros(B, K, dtype=torch.long, device=atoms.device)  # last atom
        top[b, k] = i
        b, k = (state <= m[:, None]).nonzero().unbind(1)
        self.row = torch.zeros(B, K, dtype=torch.long, device=atoms.device)
        self.row[b, k] = torch.arange(len(b), device=atoms.device)
        top = top[b, k]
        start = self.first[b, top].clamp(min=0)
        place, rows = torch.arange(N, device=atoms.device), self.pointer[b, k]
        inside = place <= top[:, None]
        self.sums = [_bags(rows, inside), _bags(rows, inside & (place >= start[:, None]))]
        self.first_row, self.last_row = rows.gather(1, torch.stack([start, top], 1)).unbind(1)
        self.size = top + 1


def _bags(values: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """Those of values (T, J) that are kept, one after the other, and the row of each."""
    return values[keep], keep.nonzero()[:, 0]


def distances(bonds: Tensor) -> Tensor:
    """How far is j when the bond i, j < i is decided, through bonds of i that came before? (B, N, N), FAR if nowhere.

    One plus this number is the size of the ring that the bond would close.
    """
    N = bonds.shape[1]
    far = (1 - torch.eye(N, dtype=torch.int8, device=bonds.device)) * FAR
    within = far.expand_as(bonds).clone()  # distances within the atoms before i
    answer = torch.full_like(within, FAR)
    earlier = torch.ones(N, N, dtype=torch.bool, device=bonds.device).triu(1)  # [q, j]: q < j
    for i in range(1, N):
        step = torch.where(bonds[:, i, :i] > 0, 1, FAR).to(torch.int8)
        via = within[:, :i, :i] + step[:, :, None]
        answer[:, i, :i] = via.masked_fill(~earlier[:i, :i], FAR).amin(1)
        whole = via.amin(1)
        within[:, i, :i] = within[:, :i, i] = whole
        within[:, :i, :i] = torch.minimum(within[:, :i, :i], whole[:, :, None] + whole[:, None]).clamp(max=FAR)
    return answer.clamp(max=FAR).long()

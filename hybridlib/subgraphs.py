"""The distinct sub-graphs of a batch of molecules that grow, and the distinct embeddings in them: indices, no weights.

A sub-graph changes only when a bond appears, so that a molecule of m bonds has m + 1 of them, k = 0, ..., m. After L
rounds of messages a new bond has reached the atoms within L - 1 bonds of its ends; all others keep their embeddings.
So `hybridlib.graphaf` computes, in each round, one under another::

    row 0, ..., A       lonely atoms, one of each type (0 is no atom)
    row A + 1, ...      the atoms of molecule 0 that its bond 1 has changed, then those that its bond 2 has changed, ...
    ...                 the same of molecule 1, and so on

Chapter 10 shows it.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .graphs import Graph, parents

FAR = 12  # distances, in bonds, from here on count as one, and so does "no path yet"


@dataclass(frozen=True)
class Subgraphs:
    """The S distinct sub-graphs of a batch, one molecule's after another's, as `distinct` finds them.

    >>> distinct(Graph(torch.ones(1, 2).long(), torch.tensor([[[0, 2], [2, 0]]])), A=1, layers=3).for_atom
    tensor([[0, 0, 1]])
    """

    rounds: list[tuple[Tensor, Tensor, Tensor]]  # of each round of messages (own, message, hearer), for `RGCN.gather`
    rows: Tensor  # (S, N), of every atom's embedding after the last round
    first: Tensor  # (S,), the place of the first atom that the next one asks for a bond
    last: Tensor  # (S,), the place of the last atom
    for_atom: Tensor  # (B, N + 1), the sub-graph on which atom i is decided
    for_bond: Tensor  # (B, N, N), and bond i, j


def distinct(graph: Graph, A: int, layers: int, R: int = 3) -> Subgraphs:
    """All sub-graphs of molecules of A atom types, in breadth-first order, for ``layers`` rounds of messages.

    >>> chain = Graph(torch.ones(1, 3).long(), torch.tensor([[[0, 1, 0], [1, 0, 1], [0, 1, 0]]]))
    >>> [len(own) for own, _, _ in distinct(chain, A=1, layers=2).rounds]
    [6, 7]
    """
    atoms, bonds = graph.atoms, graph.bonds
    B, N = atoms.shape
    made = bonds.tril(-1) > 0
    count = made.flatten(1).cumsum(1)
    k_atom = F.pad(made.sum(-1).cumsum(1), (1, 0))  # bonds before atom i: (B, N + 1)
    k_bond = (count - made.flatten(1).long()).view_as(bonds)  # and before bond i, j
    m = count[:, -1]
    K = int(m.max()) + 1

    b, i, j = made.nonzero().unbind(1)
    k = k_bond[b, i, j] + 1  # with this bond sub-graph k begins
    since = torch.full((B, N, N), K, device=atoms.device)
    since[b, i, j] = since[b, j, i] = k
    changed = torch.zeros(B, K, N, dtype=torch.bool, device=atoms.device)
    changed[b, k, i] = changed[b, k, j] = True
    last = torch.zeros(B, K, dtype=torch.long, device=atoms.device)
    last[b, k] = i
    rows, rounds = _rounds(graph, changed, since, A, layers, R)

    b, k = (torch.arange(K, device=atoms.device) <= m[:, None]).nonzero().unbind(1)  # those that exist
    start = F.pad((m + 1).cumsum(0), (1, 0))[:-1]  # where a molecule's begin
    last = last[b, k]
    first = parents(graph)[b, last].clamp(min=0)
    return Subgraphs(rounds, rows[b, k], first, last, start[:, None] + k_atom, start[:, None, None] + k_bond)


def _rounds(graph: Graph, changed: Tensor, since: Tensor, A: int, layers: int, R: int):
    """Rows of the embeddings after all rounds (B, K, N), and what every round computes.

    ``changed`` (B, K, N): the ends of the bond with which sub-graph k begins; ``since`` (B, N, N): the k of each bond.
    """
    B, K, N = changed.shape
    place = graph.atoms.device
    degree = max(1, int((since < K).sum(-1).max()))
    since, neighbour = since.topk(degree, largest=False)  # (B, N, degree)
    order = graph.bonds.gather(-1, neighbour)
    present = since[:, None] <= torch.arange(K, device=place)[:, None, None]  # (B, K, N, degree)
    types = torch.arange(A + 1, device=place)
    near = neighbour.flatten(1)[:, None].expand(-1, K, -1)
    new = torch.zeros(B, K, N, dtype=torch.long, device=place)  # rows where a sub-graph has new ones
    new[:, 0] = graph.atoms
    rows, rounds = new.cummax(1).values, []
    for layer in range(layers):
        if layer:
            changed = changed | (changed.gather(2, near).view_as(present) & present).any(-1)
        b, k, v = changed.nonzero().unbind(1)
        own = rows[b, k, v]
        others = rows[b[:, None], k[:, None], neighbour[b, v]]
        message, hearer = heard(own, others, order[b, v], present[b, k, v], R)
        lonely = types, types * (R + 1), types
        rounds.append(tuple(map(torch.cat, zip(lonely, (own, message, hearer + A + 1)))))
        new = new.masked_scatter(changed, torch.arange(A + 1, A + 1 + len(b), device=place))
        rows = new.cummax(1).values
    return rows, rounds


def heard(own: Tensor, others: Tensor, order: Tensor, linked: Tensor, R: int = 3) -> tuple[Tensor, Tensor]:
    """What T atoms hear, for `RGCN.gather`: (message, hearer), both (L,).

    Row own[t] tells itself, and those of the rows others[t] (J,) that are linked tell it through bonds of an order::

        message   own[0]  others[0, 0]  others[0, 2]  own[1]  others[1, 1]  ...    each as row (R + 1) + order
        hearer    0       0             0             1       1             ...

    >>> heard(torch.tensor([2]), torch.tensor([[0, 1]]), torch.tensor([[0, 3]]), torch.tensor([[False, True]]))
    (tensor([8, 7]), tensor([0, 0]))
    """
    told = torch.cat([own[:, None] * (R + 1), others * (R + 1) + order], 1)
    linked = F.pad(linked, (1, 0), value=True)
    return told[linked], linked.nonzero()[:, 0]


def distances(bonds: Tensor) -> Tensor:
    """How far is j when the bond i, j < i is decided, through bonds of i that came before? (B, N, N), FAR if nowhere.

    One plus this number is the size of the ring that the bond would close.

    >>> distances(torch.ones(1, 3, 3).long() - torch.eye(3).long())[0, 2, :2]
    tensor([12,  2])
    """
    N = bonds.shape[1]
    far = FAR * (1 - torch.eye(N, dtype=torch.int8, device=bonds.device))
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

"""GraphAF: a molecule as a sequence of decisions, each of them made by a flow that sees the sub-graph before it.

Shi et al. (2020), arXiv:2001.09382. The next atom is chosen, then its bond to each earlier atom that may still have
one, until the choice is to stop. Chapter 10 builds it, and names what differs from the published code.

The decisions on a molecule in breadth-first order, atoms i = 0, 1, ..., n - 1:
    atom i     one of the A types, or 0: stop. The first atom cannot be left out, and after N atoms there is no choice.
    bond i, j  order 0..3, for j = p, ..., i - 1, where p is the first neighbour of atom i - 1: in breadth-first order
               no later atom is bonded to an earlier one. Every atom must be bonded: its last chance is not "none".
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution

from .argmax import Argmax, ArgmaxNormal
from .autoregressive import sampling
from .described import Described
from .graphs import ATOMS, VALENCE, Graph, in_bfs_order, parents
from .layers import mlp
from .noise import draw
from .outputs import Categorical, _open, outcome, precise
from .rgcn import RGCN, sums
from .subgraphs import FAR, Subgraphs, distances, distinct, heard

READINGS = "flow", "exact", "categorical"
CHECKS = None, "mask", "reject"


class GraphAF(Described, nn.Module):
    """p(graph, order) = prod p(decision | sub-graph before it), at most N atoms of the first A types of `ATOMS`.

    ``reading``   what a decision is: "flow", the largest of K Gaussians, trained on the dequantized bound with noise of
                  width ``w``, as in the paper; "exact", the same Gaussians, trained on their exact probabilities;
                  "categorical", a softmax
    ``masked``    decisions that break a valence are impossible, in the likelihood and in samples
    ``H, layers`` width, and rounds of messages of the RGCN

    >>> GraphAF(A=4, N=12, H=8, reading="categorical").sample(3)
    Graph(3 molecules of at most 12 atoms)
    """

    def __init__(
        self, A: int = 4, N: int = 12, *, H: int = 128, layers: int = 3, reading: str = "exact", w: float = 0.9,
        masked: bool = False,
    ):  # fmt: skip
        super().__init__()
        if reading not in READINGS:
            raise ValueError(f"reading is {reading!r}; choose one of {', '.join(READINGS)}")
        if not 1 <= A < len(ATOMS) or N < 1:
            raise ValueError(f"GraphAF needs 1 to {len(ATOMS) - 1} atom types and N >= 1, got A = {A}, N = {N}")
        self.A, self.N, self.reading, self.w, self.masked = A, N, reading, w, masked
        # scales from 0.165 on: noise of width 0.9 asks for 0.26 where a decision is certain, of 0.5 for 0.144
        make = Categorical if reading == "categorical" else partial(Argmax, spread=0.6, points=48)
        self.atom_output, self.bond_output = make(A + 1), make(4)
        self.rgcn = RGCN(A, H, layers)
        # of a sub-graph: the sum over its atoms, over those that may still be bonded, the first of these, the last atom
        # normalized, each sub-graph by itself: sums grow with the molecule, and would drown its size
        self.summary, self.norm = nn.Linear(4 * H, H), nn.LayerNorm(H)
        self.size, self.mix = nn.Embedding(N + 1, H), mlp(H, 2 * H, H)
        self.atom_head = mlp(H, H, self.atom_output.P)
        # of a bond: both atoms, their free valences, their places, their distance in bonds
        self.new, self.other = nn.Linear(H, H, bias=False), nn.Linear(H, H, bias=False)
        self.free_new, self.free_other = nn.Embedding(7, H), nn.Embedding(7, H)
        self.back, self.ahead, self.distance = nn.Embedding(N, H), nn.Embedding(N, H), nn.Embedding(FAR + 1, H)
        self.bond_head = mlp(H, H, self.bond_output.P)
        for table in (self.size, self.free_new, self.free_other, self.back, self.ahead, self.distance):
            nn.init.normal_(table.weight, std=0.3)

    # What the network sees, the same when it scores and when it draws; x (..., H) sums up a sub-graph.

    def _summary(self, everything: Tensor, open_: Tensor, first: Tensor, last: Tensor, size: Tensor) -> Tensor:
        x = self.norm(self.summary(torch.cat([everything, open_, first, last], -1))) + self.size(size)
        return x + self.mix(x.relu())

    def _atom_theta(self, x: Tensor) -> Tensor:
        return self.atom_head(x.relu())

    def _bond_theta(self, x, new, other, free_new, free_other, i, j, first, distance) -> Tensor:
        places = self.back(i - j) + self.ahead(j - first) + self.distance(distance)
        free = self.free_new(free_new.clamp(0, 6)) + self.free_other(free_other.clamp(0, 6))
        return self.bond_head((x + self.new(new) + self.other(other) + free + places).relu())

    def log_prob(self, graph: Graph, *, order: Tensor | None = None, temperature: float = 1.0) -> Tensor:
        """log p(graph, order) of all decisions at once: (B,), nats. The exact probability, whatever the reading.

        Atoms are taken in the order of their places, or in ``order`` (B, N), which must be breadth-first. It is a lower
        bound of log P(molecule), which sums over all orders. ValueError for what the model cannot draw. For molecules
        of 38 atoms float32 is right to a hundred-thousandth of it.
        """
        graph = self._checked(graph if order is None else graph.permute(order))
        total = precise(self.size.weight.new_zeros(len(graph)))
        for molecule, choice, chosen in self.choices(graph, temperature):
            total = total.index_add(0, molecule, choice.log_prob(chosen))
        return total

    def elbo(self, graph: Graph, *, order: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """The dequantized bound of `log_prob` with noise of width w: (B,), nats. For Gaussian readings."""
        if self.reading == "categorical":
            raise ValueError('a categorical reading has no noise and no bound; use log_prob, or reading="flow"')
        graph = self._checked(graph if order is None else graph.permute(order))
        total = precise(self.size.weight.new_zeros(len(graph)))
        for molecule, choice, chosen in self.choices(graph):
            total = total.index_add(0, molecule, choice.elbo(chosen, w=self.w, generator=generator))
        return total

    def objective(self, graph: Graph) -> Tensor:
        """What training lowers, averaged over the batch, a scalar: the negative bound for "flow", else -log_prob."""
        return -(self.elbo if self.reading == "flow" else self.log_prob)(graph).mean()

    def choices(self, graph: Graph, temperature: float = 1.0) -> Iterator[tuple[Tensor, Distribution, Tensor]]:
        """All choices, once those of atoms, once those of bonds: (molecule (T,), distribution (T,), chosen (T,)).

        A decision with one possible outcome is no choice. The network runs once for each distinct sub-graph, and there
        on the atoms that it has not seen like this. Graphs that the model cannot draw are not refused here.
        """
        place = self.size.weight.device
        graph = Graph(graph.atoms.to(place), graph.bonds.to(place, torch.long))
        parts = distinct(graph, self.A, len(self.rgcn.layers))
        h, x = self._see(parts)
        atoms, bonds, n, parent = graph.atoms, graph.bonds, graph.sizes[:, None], parents(graph)
        N = atoms.shape[1]
        i, j = torch.arange(N + 1, device=place)[:, None], torch.arange(N, device=place)
        first = F.pad(parent.clamp(min=0), (1, 0))  # (B, N + 1): the first that atom i asks for a bond
        valence = VALENCE.to(place)[atoms]
        # of atom j before atom i comes, (B, N + 1, N), and of atom i before it asks j: the same sums, transposed
        used = F.pad(bonds.cumsum(-1), (1, 0)).mT
        free = valence[:, None] - used
        asked = (j >= first[..., None]) & (j < i) & (i <= n[..., None])
        open_ = asked & (free > 0)

        molecule, t = ((n >= i.T) & (i.T < self.N)).nonzero().unbind(1)  # t = i, or n: to stop
        room = (t == 0) | open_[molecule, t].any(-1)
        allowed = _allowed(t > 0, self.A * room, self.A + 1, self.masked)
        molecule, t, allowed = _real(allowed, molecule, t)
        before = torch.where((t > 0)[:, None], x[parts.for_atom[molecule, t]], self.size.weight[0])
        choice = self.atom_output.distribution(self._atom_theta(before), allowed=allowed, temperature=temperature)
        yield molecule, choice, F.pad(atoms, (0, 1))[molecule, t]

        latest = N - 1 - open_.flip(-1).int().argmax(-1)  # the last that can still be bonded
        molecule, i, j = (asked & (i < n[..., None])).nonzero().unbind(1)
        free_new, free_other = valence[molecule, i] - used[molecule, j, i], free[molecule, i, j]
        due = (parent[molecule, i] >= j) & (j >= (latest[molecule, i] if self.masked else i - 1))
        allowed = _allowed(~due, torch.minimum(free_new, free_other), 4, self.masked)
        molecule, i, j, free_new, free_other, allowed = _real(allowed, molecule, i, j, free_new, free_other)
        t = parts.for_bond[molecule, i, j]
        theta = self._bond_theta(
            x[t], h[parts.rows[t, i]], h[parts.rows[t, j]], free_new, free_other, i, j, first[molecule, i],
            distances(bonds)[molecule, i, j],
        )  # fmt: skip
        choice = self.bond_output.distribution(theta, allowed=allowed, temperature=temperature)
        yield molecule, choice, bonds[molecule, i, j]

    def _see(self, parts: Subgraphs) -> tuple[Tensor, Tensor]:
        """Embeddings after the last round, one under another (M, H), and summaries of all sub-graphs (S, H)."""
        h = self.rgcn.embed.weight
        for layer, (own, message, hearer) in enumerate(parts.rounds):
            h = self.rgcn.gather(layer, h, own, message, hearer)
        place, first, last = torch.arange(parts.rows.shape[1], device=h.device), parts.first, parts.last
        inside = place <= last[:, None]
        kept = inside, inside & (place >= first[:, None])
        everything, open_ = (sums(h, parts.rows[keep], keep.nonzero()[:, 0], len(last)) for keep in kept)
        first, end = parts.rows.gather(1, torch.stack([first, last], 1)).unbind(1)
        return h, self._summary(everything, open_, h[first], h[end], last + 1)

    def _checked(self, graph: Graph) -> Graph:
        """The graph without unused places, after checking that this model could draw it."""
        place = self.size.weight.device
        graph = Graph(graph.atoms.to(place), graph.bonds.to(place))
        if not graph.atoms.numel():
            raise ValueError("the batch holds no molecules, or no places for their atoms")
        _refuse(graph, graph.faults(self.A))
        graph = Graph(graph.atoms.long(), graph.bonds.long())
        n = graph.sizes
        problems = {
            f"more than {self.N} atoms": n > self.N,
            "no atoms": n == 0,
            "atoms that are not connected in breadth-first order (see graphs.bfs_order)": ~in_bfs_order(graph),
        }
        if self.masked:
            problems["more bonds than a valence allows"] = (graph.free_valence < 0).any(1)
        _refuse(graph, problems)
        N = int(n.max())
        return Graph(graph.atoms[:, :N], graph.bonds[:, :N, :N])

    def walk(self, decide: Callable[..., Tensor], temperature: float = 1.0) -> Graph:
        """One molecule, one decision at a time, and the whole network on the sub-graph before each of them.

        ``decide(choice, i)`` says which atom comes, ``decide(choice, i, j)`` which bond. -> a batch of one.
        """
        graph, frontier = self._blank(1), 0  # where it starts: the first atom that the next one asks for a bond
        atoms, bonds = graph.atoms[0], graph.bonds[0]
        tensor = partial(torch.tensor, device=atoms.device)

        def see(n):  # embeddings of all atoms, and a summary of the first n
            h = self.rgcn(graph.atoms.clone(), graph.bonds)[0]  # a copy: autograd keeps it, and we go on
            return h, self._summary(h[:n].sum(0), h[frontier:n].sum(0), h[frontier], h[n - 1], tensor(n))

        for i in range(self.N):
            x = see(i)[1] if i else self.size.weight[0]
            room = i == 0 or not self.masked or any(graph.free_valence[0, frontier:i] > 0)
            allowed = tensor([i > 0] + [room] * self.A)  # stop, or one of the types
            choice = self.atom_output.distribution(self._atom_theta(x), allowed=allowed, temperature=temperature)
            atoms[i] = decide(choice, i)
            if atoms[i] == 0:
                break
            first, bonded = frontier, False
            for j in range(first, i):
                h, x = see(i + bonded)  # a new atom belongs to the sub-graph from its first bond on
                free = graph.free_valence[0].tolist()
                later = any(free[v] > 0 or not self.masked for v in range(j + 1, i))  # is there another chance?
                most = min(free[i], free[j]) if self.masked else 3
                allowed = tensor([bonded or later] + [order <= most for order in (1, 2, 3)])
                seen = tensor([free[i], free[j], i, j, first, distances(graph.bonds)[0, i, j]])
                theta = self._bond_theta(x, h[i], h[j], *seen)
                choice = self.bond_output.distribution(theta, allowed=allowed, temperature=temperature)
                bonds[i, j] = bonds[j, i] = decide(choice, i, j)
                if bonds[i, j] and not bonded:
                    frontier, bonded = j, True
        return graph

    def log_prob_plain(self, graph: Graph, *, temperature: float = 1.0) -> Tensor:
        """`log_prob` once more, one molecule and one decision after the other: (B,), nats. Slow, and easy to check."""

        def one(atoms, bonds):
            nats = []

            def read(choice, i, j=None):
                chosen = atoms[i] if j is None else bonds[i, j]
                nats.append(choice.log_prob(chosen))
                return chosen

            self.walk(read, temperature)
            return torch.stack(nats).sum()

        graph = self._checked(graph)
        return torch.stack([one(*molecule) for molecule in zip(F.pad(graph.atoms, (0, 1)), graph.bonds)])

    @sampling
    def sample_plain(self, n: int, *, temperature: float = 1.0, generator: torch.Generator | None = None) -> Graph:
        """n molecules as `sample` draws them, one molecule and one decision after the other. Slow, easy to check."""
        graph = self._blank(n)
        for b in range(n):
            one = self.walk(lambda choice, *_: contest(choice, generator).argmax(-1), temperature)
            graph.atoms[b], graph.bonds[b] = one.atoms[0], one.bonds[0]
        return graph

    @sampling
    def sample(
        self, n: int, *, temperature: float = 1.0, check: str | None = None, at_once: int = 512,
        generator: torch.Generator | None = None, trace: list | None = None,
    ) -> Graph:  # fmt: skip
        """n molecules, ``at_once`` of them in flight. ``temperature`` multiplies the noise (or divides the logits).

        ``check``  what happens when a bond would break a valence. None: it is drawn, and the molecule is invalid;
                   "mask": the largest among the possible outcomes wins; "reject": the noise is drawn anew until the
                   outcome is possible. For Gaussians the last two are different distributions.
        ``trace``  a list that receives a dict for every decision of the first molecule.
        """
        if check not in CHECKS:
            raise ValueError(f'check is {check!r}; choose None, "mask" or "reject"')
        if at_once < 1:
            raise ValueError(f"at_once is {at_once}; at least one molecule must grow")
        graph = self._blank(n)
        choose = partial(self._choose, temperature=temperature, check=check, generator=generator)
        for done in range(0, n or 1, at_once):
            B = min(at_once, n - done)
            part = self._grow(B, partial(choose, trace=None if done else trace), self.masked or check is not None)
            graph.atoms[done : done + B], graph.bonds[done : done + B] = part.atoms, part.bonds
        return graph

    def _grow(self, B: int, choose: Callable[..., Tensor], valences: bool) -> Graph:
        """B molecules side by side, one decision of each at a time."""
        (N, H), place = (self.N, self.size.weight.shape[1]), self.size.weight.device
        lonely, types = [self.rgcn.embed.weight], torch.arange(self.A + 1, device=place)
        for layer in range(len(self.rgcn.layers)):
            lonely.append(self.rgcn.gather(layer, lonely[-1], types, types * (self.rgcn.R + 1), types))
        far, alive = FAR * (1 - torch.eye(N, dtype=torch.int8, device=place)), torch.arange(B, device=place)
        g = _Growing(
            self._blank(B), torch.zeros(B, N, dtype=torch.long, device=place), torch.zeros_like(alive),
            far.expand(B, N, N).clone(), lonely, [h.new_zeros(B, N, H) for h in lonely],
            self.size.weight[0].expand(B, H).clone(), choose, valences,
        )  # fmt: skip
        for i in range(N):
            alive = self._add_atom(g, alive, i)
            if not len(alive):
                break
            self._add_bonds(g, alive, i)
        return g.graph

    def _add_atom(self, g: "_Growing", alive: Tensor, i: int) -> Tensor:
        """Decide atom i of the molecules ``alive`` (T,) -> those that do not stop."""
        asked = torch.arange(i, device=alive.device) >= g.first[alive, None]
        room = (asked & (g.free[alive, :i] > 0)).any(-1) | (i == 0)
        begun = torch.full_like(room, i > 0)
        allowed = {v: _allowed(begun, self.A * room, self.A + 1, v) for v in {self.masked, g.valences}}
        theta = self._atom_theta(g.x[alive])
        chosen = g.choose(self.atom_output, theta, allowed[self.masked], allowed[g.valences], alive, i)
        g.graph.atoms[alive, i] = chosen
        alive, chosen = alive[chosen > 0], chosen[chosen > 0]
        g.free[alive, i] = VALENCE.to(alive.device)[chosen]
        for h, lonely in zip(g.h, g.lonely):
            h[alive, i] = lonely[chosen]
        if i == 0:
            self._sum_up(g, alive, 0)
        return alive

    def _add_bonds(self, g: "_Growing", alive: Tensor, i: int) -> None:
        """Decide the bonds of atom i to the atoms from the frontier on, in all molecules ``alive`` side by side."""
        frontier, place = g.first[alive], torch.arange(i, device=alive.device)
        bonded = torch.zeros(len(g.first), dtype=torch.bool, device=alive.device)
        for ahead in range(int((i - frontier).max()) if i else 0):
            here = frontier + ahead < i
            rows, first = alive[here], frontier[here]
            j = first + ahead
            free_new, free_other = g.free[rows, i], g.free[rows, j]
            theta = self._bond_theta(
                g.x[rows], g.h[-1][rows, i], g.h[-1][rows, j], free_new, free_other, torch.full_like(j, i), j, first,
                g.distance[rows, i, j].long(),
            )  # fmt: skip
            later, most = place > j[:, None], torch.minimum(free_new, free_other)
            allowed = {}  # "none", if another atom can still be asked; where valences count, one that has one free
            for v in {self.masked, g.valences}:
                spare = later & (g.free[rows, :i] > 0) if v else later
                allowed[v] = _allowed(bonded[rows] | spare.any(-1), most, 4, v)
            chosen = g.choose(self.bond_output, theta, allowed[self.masked], allowed[g.valences], rows, i, j)
            rows, j, chosen = (part[chosen > 0] for part in (rows, j, chosen))
            if len(rows):
                g.first[rows] = torch.where(bonded[rows], g.first[rows], j)
                bonded[rows] = True
                self._add_bond(g, rows, i, j, chosen)
        to = g.distance[alive, i]  # through atom i the others may have come nearer
        g.distance[alive] = torch.minimum(g.distance[alive], to[:, :, None] + to[:, None]).clamp(max=FAR)

    def _add_bond(self, g: "_Growing", rows: Tensor, i: int, j: Tensor, order: Tensor) -> None:
        """Bonds i, j of these molecules change embeddings near them, an atom farther with every round of messages."""
        g.graph.bonds[rows, i, j] = g.graph.bonds[rows, j, i] = order
        g.free[rows, i] -= order
        g.free[rows, j] -= order
        g.distance[rows, i] = torch.minimum(g.distance[rows, i], g.distance[rows, j] + 1)
        bonds, R = g.graph.bonds[rows, : i + 1, : i + 1], self.rgcn.R
        linked, place = bonds > 0, torch.arange(i + 1, device=rows.device)
        changed = (place == i) | (place == j[:, None])
        for layer in range(len(self.rgcn.layers)):
            around = changed | (linked & changed[:, None]).any(-1)
            changed = around if layer else changed
            needed = (around | (linked & changed[:, None]).any(-1)) if layer else around
            row = needed.flatten().cumsum(0).view_as(needed) - 1  # of what is needed, one under another
            b, v = needed.nonzero().unbind(1)
            h = g.h[layer][rows[b], v]
            b, v = changed.nonzero().unbind(1)
            own, others = row[b, v], row[b]
            message, hearer = heard(own, others, bonds[b, v], linked[b, v], R)
            g.h[layer + 1][rows[b], v] = self.rgcn.gather(layer, h, own, message, hearer).to(h)
        self._sum_up(g, rows, i)

    def _sum_up(self, g: "_Growing", rows: Tensor, i: int) -> None:
        """Sum up the sub-graphs of these molecules anew; atom i is their last."""
        h, first = g.h[-1][rows, : i + 1], g.first[rows]
        open_ = h * (torch.arange(i + 1, device=rows.device) >= first[:, None]).unsqueeze(-1)
        each = torch.arange(len(rows), device=rows.device)
        size = torch.full_like(rows, i + 1)
        g.x[rows] = self._summary(h.sum(1), open_.sum(1), h[each, first], h[:, i], size).to(g.x)

    def _choose(
        self, output, theta: Tensor, allowed: Tensor, possible: Tensor, rows: Tensor, i: int, j: Tensor | None = None,
        *, temperature, check, generator, trace,
    ) -> Tensor:  # fmt: skip
        """Draw one outcome for each row (T,): from the allowed ones, then what the check says about impossible ones."""
        say = allowed if check != "mask" else possible
        choice = output.distribution(theta, allowed=say, temperature=temperature)
        y = contest(choice, generator)
        drawn = chosen = y.argmax(-1)
        if check == "reject":
            wrong = ~possible.gather(1, drawn[:, None]).squeeze(1)
            if wrong.any():  # drawing anew until it is possible is drawing from what is possible
                anew = output.distribution(theta[wrong], allowed=allowed[wrong], temperature=temperature)
                p = anew.logits.masked_fill(~possible[wrong], -math.inf).softmax(-1)
                chosen = drawn.clone()
                chosen[wrong] = outcome(p, draw(torch.rand, (len(p),), like=p, generator=generator))
        if trace is not None and len(rows) and rows[0] == 0:
            trace.append({
                "i": i, "j": None if j is None else int(j[0]), "p": choice.logits[0].exp().tolist(),
                "y": y[0].tolist(), "drawn": int(drawn[0]), "chosen": int(chosen[0]),
                "possible": possible[0].tolist(),
            })  # fmt: skip
        return chosen

    def _blank(self, n: int) -> Graph:
        """n rows of N empty places."""
        size = self.size.weight
        draw(torch.rand, (n,), like=size, generator=torch.Generator())  # refuses a negative n
        atoms = torch.zeros(n, self.N, dtype=torch.long, device=size.device)
        return Graph(atoms, torch.zeros(n, self.N, self.N, dtype=torch.long, device=size.device))


@dataclass
class _Growing:
    """B molecules that grow side by side, and what the network has computed of them so far.

    ``choose(output, theta, allowed, possible, rows, i, j)`` takes one decision of each of the molecules ``rows`` (T,),
    on atom i or on bond i, j. If ``valences`` count, ``possible`` (T, K) is what they leave of ``allowed``.
    """

    graph: Graph
    free: Tensor  # (B, N), free valences
    first: Tensor  # (B,), the first that the next atom asks for a bond: the frontier
    distance: Tensor  # (B, N, N), in bonds
    lonely: list[Tensor]  # (A + 1, H) after each round of messages: atoms without bonds
    h: list[Tensor]  # (B, N, H) after each round: the atoms
    x: Tensor  # (B, H), summaries
    choose: Callable[..., Tensor]
    valences: bool


def contest(choice: Distribution, generator: torch.Generator | None = None) -> Tensor:
    """The values of which the largest is drawn, (..., K): Gaussians, or the logits of a softmax and Gumbel noise.

    >>> contest(Categorical(2).distribution(torch.tensor([[0.0, 99.0]]))).argmax(-1)
    tensor([1])
    """
    if isinstance(choice, ArgmaxNormal):
        noise = draw(torch.randn, choice.loc.shape, like=choice.loc, generator=generator)
        return (choice.loc + choice.scale * noise).masked_fill(~choice.allowed, -math.inf)
    u = draw(torch.rand, choice.logits.shape, like=choice.logits, generator=generator)
    return choice.logits - torch.log(-torch.log(_open(u)))


def _allowed(zero: Tensor, most: Tensor, K: int, valences: bool) -> Tensor:
    """Possible ones of K outcomes, (T, K): 0 where ``zero`` (T,), and where valences count, no more than ``most``."""
    outcomes = torch.arange(K, device=most.device)
    return torch.where(outcomes > 0, (outcomes <= most[:, None]) | (not valences), zero[:, None])


def _real(allowed: Tensor, *parts: Tensor) -> list[Tensor]:
    """Those rows of the parts, and of allowed (T, K), that leave a choice."""
    real = allowed.sum(-1) > 1
    return [part[real] for part in (*parts, allowed)]


def _refuse(graph: Graph, problems: dict[str, Tensor]) -> None:
    """ValueError for the first of the problems, name -> bool (B,), that a molecule has."""
    for problem, where in problems.items():
        if where.any():
            row = int(where.int().argmax())
            atoms = [ATOMS[int(a)] if a in range(len(ATOMS)) else str(a) for a in graph.atoms[row].tolist() if a]
            raise ValueError(f"molecule {row} ({' '.join(atoms)[:60] or 'empty'}) has {problem}")

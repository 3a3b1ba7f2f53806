"""GraphAF: a molecule as a sequence of decisions, each of them made by a flow that sees the sub-graph before it.

Shi et al. (2020), arXiv:2001.09382. The next atom is chosen, then its bond to each earlier atom that may still have
one, until the choice is to stop. Chapter 10 builds it, and names what differs from the published code.

The decisions on a molecule in breadth-first order, atoms i = 0, 1, ..., n - 1:
    atom i     one of the A types, or 0: stop. The first atom cannot be left out, and after N atoms there is no choice.
    bond i, j  order 0..3, for j = p, ..., i - 1, where p is the first neighbour of atom i - 1: in breadth-first order
               no later atom is bonded to an earlier one. Every atom must be bonded: its last chance is not "none".
"""

import math
from functools import partial
from numbers import Real

import torch
import torch.nn.functional as F
from torch import Tensor, distributions, nn

from .argmax import Argmax
from .autoregressive import sampling
from .described import Described
from .graphs import ATOMS, VALENCE, Graph, in_bfs_order
from .layers import mlp
from .noise import draw
from .outputs import Categorical, _open, outcome, precise
from .rgcn import RGCN, sums
from .subgraphs import FAR, States, _bags, distances

READINGS = "flow", "exact", "categorical"
CHECKS = None, "mask", "reject"


class GraphAF(Described, nn.Module):
    """p(graph, order) = prod p(decision | sub-graph before it), at most N atoms of the first A types of `ATOMS`.

    ``reading``   what a decision is: "flow", the largest of K Gaussians, trained on the dequantized bound with noise of
                  width ``w``, as in the paper; "exact", the same Gaussians, trained on their exact probabilities;
                  "categorical", a softmax
    ``masked``    decisions that break a valence are impossible, in the likelihood and in samples
    ``H, layers`` width, and rounds of messages of the RGCN
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

    def _bond_theta(self, x, new, other, *, free_new, free_other, i, j, first, distance) -> Tensor:
        places = self.back(i - j) + self.ahead(j - first) + self.distance(distance)
        free = self.free_new(free_new.clamp(0, 6)) + self.free_other(free_other.clamp(0, 6))
        return self.bond_head((x + self.new(new) + self.other(other) + free + places).relu())

    def _distribution(self, output, theta: Tensor, allowed: Tensor, temperature: float):
        """The choice that theta (T, P) means where only some outcomes (T, K) are allowed."""
        number = isinstance(temperature, Real) or (isinstance(temperature, Tensor) and not temperature.ndim)
        if not (number and 1e-30 <= temperature <= 1e30):  # beyond, float32 has 0 and infinity alone
            raise ValueError(f"temperature is {temperature!r}; it must be positive and finite, from 1e-30 to 1e30")
        if self.reading == "categorical":
            logits = (precise(theta) / temperature).masked_fill(~allowed, -math.inf)
            return distributions.Categorical(logits=logits.log_softmax(-1), validate_args=False)
        return output.distribution(theta, allowed=allowed, temperature=temperature)

    def log_prob(self, graph: Graph, *, order: Tensor | None = None, temperature: float = 1.0) -> Tensor:
        """log p(graph, order) of all decisions at once: (B,), nats. The exact probability, whatever the reading.

        Atoms are taken in the order of their places, or in ``order`` (B, N), which must be breadth-first. It is a lower
        bound of log P(molecule), which sums over all orders. ValueError for what the model cannot draw. For molecules
        of 38 atoms float32 is right to a hundred-thousandth of it.
        """
        return self._total(
            graph, order, lambda output, theta, allowed, chosen: self._distribution(
                output, theta, allowed, temperature
            ).log_prob(chosen)
        )  # fmt: skip

    def elbo(self, graph: Graph, *, order: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """The dequantized bound of `log_prob` with noise of width w: (B,), nats. For Gaussian readings."""
        if self.reading == "categorical":
            raise ValueError('a categorical reading has no noise and no bound; use log_prob, or reading="flow"')
        return self._total(
            graph, order, lambda output, theta, allowed, chosen: self._distribution(
                output, theta, allowed, 1.0
            ).elbo(chosen, w=self.w, generator=generator)
        )  # fmt: skip

    def objective(self, graph: Graph) -> Tensor:
        """What training lowers, averaged over the batch: the negative bound for "flow", else -log_prob."""
        return -(self.elbo if self.reading == "flow" else self.log_prob)(graph).mean()

    def _total(self, graph: Graph, order: Tensor | None, value) -> Tensor:
        """Sum over the decisions of each molecule of value(output, theta, allowed, chosen)."""
        graph = self._checked(graph if order is None else graph.permute(order))
        total = precise(self.summary.weight.new_zeros(len(graph)))
        for output, molecule, theta, allowed, chosen in self.decisions(graph):
            open_ = allowed.sum(-1) > 1  # the others are no decisions
            theta, allowed, chosen = theta[open_], allowed[open_], chosen[open_]
            total = total.index_add(0, molecule[open_], value(output, theta, allowed, chosen))
        return total

    def decisions(self, graph: Graph):
        """All decisions, once for atoms and once for bonds -> (output, molecule (T,), theta (T, P), allowed (T, K),
        chosen (T,)).

        The network runs once for each distinct sub-graph, and there on the atoms that it has not seen like this.
        """
        place = self.size.weight.device
        graph = Graph(graph.atoms.to(place), graph.bonds.to(place))
        states = States(graph, self.A, len(self.rgcn.layers))
        x, h = self._states(states)
        atoms, bonds, n = graph.atoms, graph.bonds.long(), graph.sizes
        N = atoms.shape[1]
        i, j = torch.arange(N + 1, device=n.device)[:, None], torch.arange(N, device=n.device)
        first = F.pad(states.first.clamp(min=0), (1, 0))  # (B, N + 1): where the bonds of atom i begin
        # free valences before atom i comes: (B, N + 1, N), and of atom i before it asks j: the same sums, transposed
        used = F.pad(bonds.cumsum(-1), (1, 0))
        valence = VALENCE.to(n.device)[atoms]
        free = valence[:, None] - used.mT
        asked = (j >= first[..., None]) & (j < i) & (i <= n[:, None, None])
        open_ = asked & (free > 0)

        molecule, i = ((n[:, None] >= i.T) & (i.T < self.N)).nonzero().unbind(1)
        chosen = F.pad(atoms, (0, 1))[molecule, i]
        allowed = torch.ones(len(i), self.A + 1, dtype=torch.bool, device=n.device)
        allowed[:, 0] = i > 0
        if self.masked:
            allowed[:, 1:] = ((i == 0) | open_[molecule, i].any(-1))[:, None]
        before = torch.where(
            (i > 0)[:, None], x[states.row[molecule, states.before_atom[molecule, i]]], self.size.weight[0]
        )
        yield self.atom_output, molecule, self._atom_theta(before), allowed, chosen

        molecule, i, j = (
            (asked & (torch.arange(N + 1, device=n.device)[:, None] < n[:, None, None])).nonzero().unbind(1)
        )
        chosen = bonds[molecule, i, j]
        free_new, free_other = valence[molecule, i] - used[molecule, i, j], free[molecule, i, j]
        last = (N - 1 - open_.flip(-1).int().argmax(-1))[molecule, i] if self.masked else i - 1
        unbonded = states.first[molecule, i] >= j
        allowed = self._allowed_bonds(free_new, free_other, unbonded & (j >= last))
        k = states.before_bond[molecule, i, j]
        theta = self._bond_theta(
            x[states.row[molecule, k]], h[states.pointer[molecule, k, i]], h[states.pointer[molecule, k, j]],
            free_new=free_new, free_other=free_other, i=i, j=j, first=first[molecule, i],
            distance=distances(bonds)[molecule, i, j],
        )  # fmt: skip
        yield self.bond_output, molecule, theta, allowed, chosen

    def _allowed_bonds(self, free_new: Tensor, free_other: Tensor, must: Tensor, masked: bool | None = None) -> Tensor:
        """(T,) -> (T, 4): "none" unless a bond is due, and where valences count, no more than both atoms can have."""
        masked = self.masked if masked is None else masked
        allowed = torch.ones(len(must), 4, dtype=torch.bool, device=must.device)
        if masked:
            allowed = torch.arange(4, device=must.device) <= torch.minimum(free_new, free_other)[:, None]
        allowed[:, 0] = ~must
        return allowed

    def _states(self, states: "States") -> tuple[Tensor, Tensor]:
        """Embeddings of every row of the last layer (M, H), and summaries of all sub-graphs (S, H)."""
        h = self.rgcn.embed.weight
        for layer, (own, bags, to) in enumerate(states.layers):
            h = self.rgcn.gather(layer, h, own, bags, to)
        everything, open_ = (sums(h, bags, to, len(states.size)) for bags, to in states.sums)
        x = self._summary(everything, open_, h[states.first_row], h[states.last_row], states.size)
        return x, h

    @sampling
    def sample(
        self,
        n: int,
        *,
        temperature: float = 1.0,
        check: str | None = None,
        at_once: int = 512,
        generator: torch.Generator | None = None,
        trace: list | None = None,
    ) -> Graph:
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
        draw(torch.rand, (n,), like=self.size.weight[0], generator=torch.Generator())  # refuses a negative n
        sizes = [min(at_once, n - done) for done in range(0, n, at_once)] or [0]
        parts = [
            Growth(self, B, temperature, check, generator, trace if k == 0 else None).graph for k, B in enumerate(sizes)
        ]
        return Graph(torch.cat([part.atoms for part in parts]), torch.cat([part.bonds for part in parts]))

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


class Growth:
    """Molecules that grow side by side, one decision at a time, with the embeddings of what they are so far."""

    def __init__(self, model: GraphAF, B: int, temperature: float, check, generator, trace):
        self.model, self.temperature, self.generator, self.trace = model, temperature, generator, trace
        self.check, self.masked = check, model.masked or check is not None
        place, N, H = model.size.weight.device, model.N, model.size.weight.shape[1]
        self.valence = VALENCE.to(place)
        self.atoms = torch.zeros(B, N, dtype=torch.long, device=place)
        self.bonds = torch.zeros(B, N, N, dtype=torch.long, device=place)
        self.within = ((1 - torch.eye(N, device=place)) * FAR).to(torch.int8).expand(B, N, N).clone()
        lonely = [model.rgcn.embed.weight]  # embeddings of atoms without bonds, after each layer
        types = torch.arange(model.A + 1, device=place)
        for layer in range(len(model.rgcn.layers)):
            lonely.append(model.rgcn.gather(layer, lonely[-1], types, types * (model.rgcn.R + 1), types))
        self.lonely = lonely
        self.h = [torch.zeros(B, N, H, device=place, dtype=lonely[0].dtype) for _ in lonely]
        self.x = model.size.weight[0].expand(B, H).clone()
        self.first = torch.zeros(B, dtype=torch.long, device=place)  # where the bonds of the next atom begin
        alive = torch.arange(B, device=place)
        for i in range(N):
            alive = self.add_atom(alive, i)
            if not len(alive):
                break
            self.add_bonds(alive, i)
        self.graph = Graph(self.atoms, self.bonds)

    def add_atom(self, alive: Tensor, i: int) -> Tensor:
        """Decide atom i of the molecules that go on -> those that still do."""
        model = self.model
        allowed = torch.ones(len(alive), model.A + 1, dtype=torch.bool, device=alive.device)
        allowed[:, 0] = i > 0
        possible = allowed
        if i and self.masked:
            free = self.valence[self.atoms[alive, :i]] - self.bonds[alive, :i].sum(-1)
            place = torch.arange(i, device=alive.device)
            room = ((free > 0) & (place >= self.first[alive, None])).any(-1)
            possible = allowed.clone()
            possible[:, 1:] &= room[:, None]
            allowed = possible if model.masked else allowed
        chosen = self.choose(model.atom_output, model._atom_theta(self.x[alive]), allowed, possible, alive, i=i)
        self.atoms[alive, i] = chosen
        alive, chosen = alive[chosen > 0], chosen[chosen > 0]
        for h, lonely in zip(self.h, self.lonely):
            h[alive, i] = lonely[chosen]
        if i == 0:
            self.refresh(alive, 0, self.first[alive])
        return alive

    def add_bonds(self, alive: Tensor, i: int) -> None:
        """Decide the bonds of atom i to the atoms that may still have one, side by side."""
        model, start = self.model, self.first[alive].clone()
        first = torch.full((len(self.atoms),), i, device=alive.device)  # first neighbour of atom i
        reach = torch.full_like(self.within[:, 0], FAR)  # distances from atom i
        for ahead in range(int((i - start).max()) if i else 0):
            here = start + ahead < i
            rows, p = alive[here], start[here]
            j = p + ahead
            free_new = self.valence[self.atoms[rows, i]] - self.bonds[rows, i].sum(-1)
            free_other = self.valence[self.atoms[rows, j]] - self.bonds[rows, j].sum(-1)
            unbonded = first[rows] == i
            allowed = model._allowed_bonds(free_new, free_other, unbonded & (j == i - 1))
            possible = allowed
            if self.masked:
                place = torch.arange(i, device=alive.device)
                free = self.valence[self.atoms[rows, :i]] - self.bonds[rows, :i].sum(-1)
                later = ((free > 0) & (place > j[:, None])).any(-1)
                possible = model._allowed_bonds(free_new, free_other, unbonded & ~later, masked=True)
                allowed = possible if model.masked else allowed
            theta = model._bond_theta(
                self.x[rows], self.h[-1][rows, i], self.h[-1][rows, j], free_new=free_new, free_other=free_other,
                i=torch.full_like(j, i), j=j, first=p, distance=reach[rows, j].clamp(max=FAR).long(),
            )  # fmt: skip
            chosen = self.choose(model.bond_output, theta, allowed, possible, rows, i=i, j=j)
            bonded = chosen > 0
            rows, j, chosen = rows[bonded], j[bonded], chosen[bonded]
            if not len(rows):
                continue
            self.bonds[rows, i, j] = self.bonds[rows, j, i] = chosen
            first[rows] = torch.minimum(first[rows], j)
            reach[rows] = torch.minimum(reach[rows], self.within[rows, j] + 1)
            self.spread(rows, i, j)
            self.refresh(rows, i, first[rows])
        if i:
            self.first[alive] = first[alive]
            self.within[alive, i, :i] = self.within[alive, :i, i] = reach[alive, :i]
            whole = reach[alive]
            whole[:, i] = 0
            self.within[alive] = torch.minimum(self.within[alive], whole[:, :, None] + whole[:, None]).clamp(max=FAR)

    def spread(self, rows: Tensor, i: int, j: Tensor) -> None:
        """The new bonds i, j change the embeddings of the atoms near them, a bond farther with every layer."""
        rgcn, R = self.model.rgcn, self.model.rgcn.R
        bonds = self.bonds[rows, : i + 1, : i + 1]
        linked = bonds > 0
        place = torch.arange(i + 1, device=rows.device)
        changed = (place == i) | (place == j[:, None])
        for layer in range(len(rgcn.layers)):
            around = changed | (linked & changed[:, None]).any(-1)
            changed = around if layer else changed
            needed = (around | (linked & changed[:, None]).any(-1)) if layer else around
            place_in = needed.flatten().cumsum(0).view_as(needed) - 1
            b, v = needed.nonzero().unbind(1)
            h = self.h[layer][rows[b], v]
            b, v = changed.nonzero().unbind(1)
            own = place_in[b, v]
            heard = place_in[b] * (R + 1) + bonds[b, v]
            flat, to = _bags(torch.cat([own[:, None] * (R + 1), heard], 1), F.pad(linked[b, v], (1, 0), value=True))
            self.h[layer + 1][rows[b], v] = rgcn.gather(layer, h, own, flat, to).to(h)

    def refresh(self, rows: Tensor, i: int, first: Tensor) -> None:
        """Sum up the sub-graphs of these molecules anew."""
        h = self.h[-1][rows, : i + 1]
        open_ = h * (torch.arange(i + 1, device=rows.device) >= first[:, None]).unsqueeze(-1)
        each = torch.arange(len(rows), device=rows.device)
        size = torch.full_like(rows, i + 1)
        self.x[rows] = self.model._summary(h.sum(1), open_.sum(1), h[each, first], h[:, i], size).to(self.x)

    def choose(self, output, theta: Tensor, allowed: Tensor, possible: Tensor, rows: Tensor, **where) -> Tensor:
        """Draw one outcome for each row (T,): from the allowed ones, then what the check says about impossible ones."""
        model = self.model
        say = allowed if self.check != "mask" else possible
        choice = model._distribution(output, theta, say, self.temperature)
        if model.reading == "categorical":
            noise = -torch.log(-torch.log(_open(draw(torch.rand, say.shape, like=theta, generator=self.generator))))
            y = choice.logits + noise
        else:
            noise = draw(torch.randn, say.shape, like=theta, generator=self.generator)
            y = (choice.loc + choice.scale * noise).masked_fill(~say, -math.inf)
        drawn = chosen = y.argmax(-1)
        if self.check == "reject":
            wrong = ~possible.gather(1, drawn[:, None]).squeeze(1)
            if wrong.any():  # drawing anew until it is possible is drawing from what is possible
                logits = model._distribution(output, theta[wrong], allowed[wrong], self.temperature).logits
                p = logits.masked_fill(~possible[wrong], -math.inf).softmax(-1)
                chosen = drawn.clone()
                chosen[wrong] = outcome(p, draw(torch.rand, (len(p),), like=p, generator=self.generator))
        if self.trace is not None and len(rows) and rows[0] == 0:
            i, j = where["i"], where.get("j")
            self.trace.append({
                "i": i, "j": None if j is None else int(j[0]), "p": choice.logits[0].exp().tolist(),
                "y": y[0].tolist(), "drawn": int(drawn[0]), "chosen": int(chosen[0]),
                "possible": possible[0].tolist(),
            })  # fmt: skip
        return chosen


def _refuse(graph: Graph, problems: dict[str, Tensor]) -> None:
    """ValueError for the first of the problems, name -> bool (B,), that a molecule has."""
    for problem, where in problems.items():
        if where.any():
            row = int(where.int().argmax())
            raise ValueError(f"molecule {row} ({describe(graph, row)}) has {problem}")


def describe(graph: Graph, row: int) -> str:
    """A row of a graph for error messages: its atoms, in short."""
    codes = [code for code in graph.atoms[row].tolist() if code]
    atoms = [ATOMS[int(code)] if code in range(len(ATOMS)) else str(code) for code in codes]
    return " ".join(atoms)[:60] or "empty"

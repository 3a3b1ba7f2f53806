"""GraphAF: probabilities that sum to one, all decisions at once equal to one after the other, samples that follow."""

import contextlib
import itertools
import math

import pytest
import torch
from pretend_gpu import PretendGPU
from shaken import rng, shaken

from hybridlib import checkpoints
from hybridlib.graphaf import CHECKS, READINGS, GraphAF
from hybridlib.graphs import Graph, bfs_order, in_bfs_order
from hybridlib.molecules import from_smiles, to_smiles
from hybridlib.noise import seeded
from hybridlib.subgraphs import FAR

MOLECULES = [
    "CC(=O)Nc1ccccc1", "C", "C#N", "C1CC1C2CC2", "CC(C)(C)C", "NCC(=O)O", "C1=CC2CC2C1", "OC1COC1", "c1ccc2ccccc2c1",
    "CF",
]  # fmt: skip
KINDS = [(reading, masked) for reading in READINGS for masked in (False, True)]


def model(reading="exact", masked=False, *, A=4, N=12, seed=0, scale=1.0, **options):
    net = shaken(GraphAF(A, N, H=12, reading=reading, masked=masked, **options), seed=seed, scale=scale)
    with torch.no_grad():
        net.mix[-1].weight *= 0.1  # three wild layers in a row would make every decision certain
    return net


def undecided(net):
    """The same network, now for large molecules of few bonds, with no decision that is certain."""
    with torch.no_grad():
        net.atom_head[-1].weight *= 0.2
        net.bond_head[-1].weight *= 0.2
        net.atom_head[-1].bias[[0, 4]] -= 2
        net.bond_head[-1].bias[0] += 0.5
    return net


def all_graphs(A, N):
    """Every graph of 1..N atoms of A types in breadth-first order, whatever its valences."""
    atoms, bonds = [], []
    for n in range(1, N + 1):
        pairs = [(i, j) for i in range(n) for j in range(i)]
        for types in itertools.product(range(1, A + 1), repeat=n):
            for orders in itertools.product(range(4), repeat=len(pairs)):
                matrix = torch.zeros(N, N, dtype=torch.long)
                for (i, j), order in zip(pairs, orders):
                    matrix[i, j] = matrix[j, i] = order
                atoms.append(torch.tensor([*types, *[0] * (N - n)]))
                bonds.append(matrix)
    graph = Graph(torch.stack(atoms), torch.stack(bonds))
    return graph[in_bfs_order(graph)]


EVERYTHING = all_graphs(2, 3)


def possible(model):
    return EVERYTHING[(EVERYTHING.free_valence >= 0).all(1)] if model.masked else EVERYTHING


def told(model, graph):
    """What the decisions of the fast sampler say of molecules that it is made to draw: (B,)."""
    total = torch.zeros(len(graph), dtype=torch.float64)

    def choose(output, theta, allowed, possible, rows, i, j=None):
        chosen = graph.atoms[rows, i] if j is None else graph.bonds[rows, i, j].long()
        log_p = output.distribution(theta, allowed=allowed).log_prob(chosen)
        total[rows] += torch.where(allowed.sum(-1) > 1, log_p, 0)
        return chosen

    grown = model._grow(len(graph), choose, model.masked)
    assert torch.equal(grown.atoms, graph.atoms) and torch.equal(grown.bonds, graph.bonds.long())
    return total


def equal(one, other):
    return torch.equal(one.atoms, other.atoms) and torch.equal(one.bonds, other.bonds)


@pytest.mark.parametrize("reading, masked", KINDS)
class TestReading:
    def test_probabilities_of_all_sequences_sum_to_one(self, reading, masked):
        net = model(reading, masked, A=2, N=3)
        for temperature in (1.0, 0.8):
            total = net.log_prob(possible(net), temperature=temperature).exp().sum().item()
            assert total == pytest.approx(1, abs=1e-8 if reading == "categorical" else 1e-5)

    def test_all_at_once_equals_the_plain_likelihood(self, reading, masked):
        """To the rounding of float64: nats of some hundred, each from sums of some thousand products."""
        net, tempered = model(reading, masked), {"temperature": 1.3}
        graph = from_smiles(MOLECULES, A=4)
        graph = graph.permute(bfs_order(graph, generator=rng(3)))
        plain = net.log_prob_plain(graph, **tempered)
        assert torch.allclose(net.log_prob(graph, **tempered), plain, rtol=1e-11, atol=1e-11)
        assert not torch.allclose(net.log_prob(graph), plain)

    def test_gradients_are_those_of_the_plain_likelihood(self, reading, masked):
        net, graph = model(reading, masked, scale=0.3), from_smiles(MOLECULES[1:4], A=4)
        for parameter in (net.rgcn.embed.weight, net.distance.weight, net.bond_head[0].weight):
            fast, plain = (
                torch.autograd.grad(f(graph).sum(), parameter)[0] for f in (net.log_prob, net.log_prob_plain)
            )
            assert fast.any() and torch.allclose(fast, plain, rtol=1e-9, atol=1e-9)

    def test_one_molecule_side_by_side_is_the_plain_sample(self, reading, masked):
        """The same noise, decision by decision: the same molecules, from a model that is certain of few things."""
        net, sizes = undecided(model(reading, masked, scale=0.2)), set()
        for seed in range(15):
            fast, plain = (f(1, temperature=1.5, generator=rng(seed)) for f in (net.sample, net.sample_plain))
            assert equal(fast, plain), seed
            sizes.add(int(fast.sizes))
        assert max(sizes) > 4 and len(sizes) > 1

    @torch.no_grad()
    def test_growing_molecules_are_seen_like_whole_ones(self, reading, masked):
        net, graph = model(reading, masked), from_smiles([*MOLECULES, *["CC1CCCC1"] * 20], A=4, N=12)
        graph = graph.permute(bfs_order(graph, generator=rng(4)))
        assert torch.allclose(told(net, graph), net.log_prob(graph), rtol=1e-11, atol=1e-11)

    def test_samples_follow_the_probabilities(self, reading, masked):
        net = model(reading, masked, A=2, N=2)
        states = all_graphs(2, 2)
        if masked:
            states = states[(states.free_valence >= 0).all(1)]
        p = net.log_prob(states).exp().detach()
        found = counts(net.sample(20_000, at_once=20_000, generator=rng(1)), states)
        assert ((found - p).abs() < 5 * (p * (1 - p) / 20_000).sqrt() + 1e-4).all()

    def test_gradients_reach_every_parameter(self, reading, masked):
        net = model(reading, masked)
        net.objective(from_smiles(MOLECULES, A=4)).backward()
        for name, parameter in net.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name

    def test_temperature_flattens_a_decision(self, reading, masked):
        net = model(reading, masked, A=2, N=1)
        with torch.no_grad():  # no decision is certain
            net.atom_head[-1].weight.zero_()
            net.atom_head[-1].bias.copy_(torch.linspace(0, 1, net.atom_output.P))
        p, flat = (net.log_prob(from_smiles(["C", "N"], A=2), temperature=t).exp() for t in (1.0, 2.5))
        score = torch.logit if reading == "categorical" else torch.special.ndtri  # proportional to 1 / temperature
        assert p.sum().item() == pytest.approx(1, abs=1e-5) and p.min() < 0.45
        assert torch.allclose(score(flat), score(p) / 2.5, atol=1e-3)

    def test_training_lowers_what_the_reading_says(self, reading, masked):
        net, graph = model(reading, masked), from_smiles(MOLECULES, A=4)
        with seeded(0):
            found = net.objective(graph)
        with seeded(0):
            expected = net.elbo(graph) if reading == "flow" else net.log_prob(graph)
        assert torch.allclose(found, -expected.mean())

    def test_what_is_drawn_can_be_scored(self, reading, masked):
        net = model(reading, masked)
        graph = net.sample(50, generator=rng())
        assert net.log_prob(graph).isfinite().all()
        if masked:
            assert (graph.free_valence >= 0).all() and None not in to_smiles(graph)
        else:
            assert (graph.free_valence < 0).any()


def counts(graph, states):
    """Share of each state among the molecules of a graph."""
    same = (graph.atoms[:, None] == states.atoms).all(-1) & (graph.bonds[:, None] == states.bonds).all((-1, -2))
    assert (same.sum(1) == 1).all()
    return same.double().mean(0)


class TestLikelihood:
    net, graph = model(), from_smiles(MOLECULES, A=4)

    def test_does_not_depend_on_padding_or_company(self):
        together = self.net.log_prob(self.graph)
        alone = torch.cat([self.net.log_prob(self.graph[row]) for row in range(len(self.graph))])
        wide = self.net.log_prob(from_smiles(MOLECULES, A=4, N=30))
        assert torch.allclose(together, alone, atol=1e-10) and torch.allclose(together, wide, atol=1e-10)

    def test_order_permutes_first(self):
        order = bfs_order(self.graph, generator=rng(5))
        expected = self.net.log_prob(self.graph.permute(order))
        assert torch.equal(self.net.log_prob(self.graph, order=order), expected)
        assert not torch.allclose(expected, self.net.log_prob(self.graph))

    @pytest.mark.parametrize("masked", [False, True])
    def test_bound_is_below(self, masked):
        net = model("flow", masked, w=0.7, scale=0.3)
        graph = from_smiles(["CO"] * 2000, A=4)
        bounds = net.elbo(graph, generator=rng())
        assert bounds.mean() + 4 * bounds.std() / 2000**0.5 < net.log_prob(graph[0])

    def test_bound_is_that_of_its_decisions(self):
        net = model("flow", A=2, N=1, w=0.7)
        choice = net.atom_output.distribution(
            net._atom_theta(net.size.weight[:1]), allowed=torch.tensor([[False, True, True]])
        )
        expected = choice.elbo(torch.tensor([1]), w=0.7, generator=rng(1))
        assert torch.allclose(net.elbo(from_smiles(["C"], A=2), generator=rng(1)), expected)

    @pytest.mark.parametrize(
        "feature, values",
        [
            ("free_new", range(7)), ("free_other", range(7)), ("distance", range(2, FAR + 1)), ("i", range(4, 12)),
            ("first", range(4)),
        ],
    )  # fmt: skip
    def test_a_bond_sees(self, feature, values):
        known = {"free_new": 1, "free_other": 2, "distance": 5, "i": 5, "j": 3, "first": 1}
        atoms = torch.zeros(3, 12, dtype=torch.float64)
        thetas = [
            self.net._bond_theta(*atoms, **{k: torch.tensor(v) for k, v in (known | {feature: value}).items()})
            for value in values
        ]
        assert len({tuple(theta.tolist()) for theta in thetas}) == len(values)

    def test_choices_are_those_with_more_than_one_outcome(self):
        """Two oxygens: two atoms and a bond, then no third atom has room. Of two fluorines, the bond is clear, too."""
        net, found = model(masked=True), []
        for molecule, choice, chosen in net.choices(from_smiles(["O=O", "FF"], A=4)):
            can = choice.logits > -math.inf
            assert (can.sum(-1) > 1).all() and can.gather(-1, chosen[:, None]).all()
            found.append(molecule.tolist())
        assert found == [[0, 0, 1, 1], [0]]

    def test_a_decision_with_one_outcome_costs_nothing(self):
        net = model(A=1, N=1)
        assert net.log_prob(from_smiles(["C"], A=1)).item() == net.elbo(from_smiles(["C"], A=1)).item() == 0


class TestChecks:
    @pytest.mark.parametrize("reading", READINGS)
    def test_never_break_a_valence(self, reading):
        for check in CHECKS[1:]:
            graph = model(reading).sample(200, check=check, generator=rng())
            assert (graph.free_valence >= 0).all()
            assert None not in to_smiles(graph)

    def test_mask_and_reject_are_the_distributions_they_say(self):
        def two_oxygens(masked=False):
            net = model(A=4, N=2, seed=3, masked=masked)
            with torch.no_grad():  # no decision is certain
                for part in (net.atom_head[-1].weight, net.bond_head[-1].weight, net.atom_head[-1].bias):
                    part.zero_()
                net.bond_head[-1].bias.copy_(torch.tensor([0, 0.3, 0, 0.5, 0, 0, 2, -2]))  # means, log-scales
            return net

        net = two_oxygens()
        heat = {"temperature": 1.5}
        found = {
            check: net.sample(20_000, at_once=20_000, check=check, generator=rng(2), **heat) for check in CHECKS[1:]
        }
        state = Graph(torch.tensor([[1, 1]]), torch.zeros(1, 2, 2, dtype=torch.long))
        for bond in (1, 2, 3):
            state.bonds[0, 0, 1] = state.bonds[0, 1, 0] = bond
            # two carbons may have any bond: the checks change nothing
            p = net.log_prob(state, **heat).exp().item()
            for graph in found.values():
                share = ((graph.atoms == 1).all(1) & (graph.bonds[:, 0, 1] == bond)).double().mean().item()
                assert abs(share - p) < 5 * math.sqrt(p * (1 - p) / 20_000) + 1e-4
        oxygens = [from_smiles([text], A=4) for text in ("OO", "O=O")]
        exact = torch.cat([net.log_prob(graph, **heat) for graph in oxygens]).exp()
        ratio = {}
        for check, graph in found.items():
            both = (graph.atoms == 3).all(1)
            ratio[check] = (graph.bonds[both, 0, 1] == 1).double().mean().item(), int(both.sum())
        share, n = ratio["reject"]  # P(k) / P(possible)
        expected = (exact[0] / exact.sum()).item()
        assert n > 200 and 0.05 < expected < 0.95
        assert abs(share - expected) < 5 * math.sqrt(expected * (1 - expected) / n)
        p = torch.cat([two_oxygens(masked=True).log_prob(graph, **heat) for graph in oxygens]).exp()
        share, n = ratio["mask"]  # the largest among the possible
        assert abs(expected - (p[0] / p.sum()).item()) > 0.05
        expected = (p[0] / p.sum()).item()
        assert abs(share - expected) < 5 * math.sqrt(expected * (1 - expected) / n)

    @pytest.mark.parametrize("reading", ["exact", "categorical"])
    @pytest.mark.parametrize("check, masked", [*((check, False) for check in CHECKS), (None, True)])
    def test_drawing_sees_what_scoring_sees(self, reading, check, masked):
        """Whatever the sampler keeps as a molecule grows, its decisions have the probabilities of `log_prob`."""
        net, judge = (undecided(model(reading, part, scale=0.2)) for part in (masked, masked or check == "mask"))
        sizes = []
        for seed in range(4):
            trace = []
            graph = net.sample(2, temperature=1.5, check=check, generator=rng(seed), trace=trace)[0]
            said = sum(math.log(step["p"][step["chosen"]]) for step in trace)
            assert said == pytest.approx(judge.log_prob(graph, temperature=1.5).item(), abs=1e-6)
            sizes.append(int(graph.sizes))
        assert max(sizes) > 4

    @pytest.mark.parametrize("reading", READINGS)
    def test_mask_draws_what_a_masked_model_draws(self, reading):
        net, masked = (undecided(model(reading, part, scale=0.2)) for part in (False, True))
        for seed in range(5):
            plain = masked.sample_plain(1, generator=rng(seed))
            assert equal(net.sample(1, check="mask", generator=rng(seed)), plain)

    def test_drawing_anew_keeps_the_temperature(self):
        net = model("categorical", N=2)
        with torch.no_grad():  # two O, most often with a triple bond, which is impossible
            for head, bias in ((net.atom_head, [0, 0, 0, 99, 0]), (net.bond_head, [0, 0, 1, 5])):
                head[-1].weight.zero_()
                head[-1].bias.copy_(torch.tensor(bias))
        drawn = net.sample(4000, temperature=2.0, check="reject", generator=rng())
        double = (drawn.bonds[:, 0, 1] == 2).double().mean().item()
        assert double == pytest.approx(math.exp(0.5) / (1 + math.exp(0.5)), abs=0.03)

    def test_trace_tells_the_first_molecule(self):
        trace = []
        net = model(masked=True)
        graph = net.sample(3, generator=rng(4), trace=trace)
        atoms = [step["chosen"] for step in trace if step["j"] is None]
        size = int(graph.sizes[0])
        assert atoms[:size] == graph.atoms[0, :size].tolist()
        for step in trace:
            assert sum(step["p"]) == pytest.approx(1, abs=1e-5)
            if step["j"] is not None:
                assert graph.bonds[0, step["i"], step["j"]] == step["chosen"]

    def test_same_seed_same_molecules(self):
        net = model()
        assert equal(*(net.sample(20, generator=rng(7)) for _ in range(2)))
        assert equal(*(net.sample_plain(3, generator=rng(7)) for _ in range(2)))
        assert len(net.sample(0)) == len(net.sample_plain(0)) == 0 and len(net.sample(7, at_once=3)) == 7


@pytest.mark.parametrize("reading", ["exact", "categorical"])
def test_plain_versions_live_where_the_weights_are(reading):
    net, graph = undecided(model(reading, masked=True, scale=0.2)), from_smiles(MOLECULES[:4], A=4)
    nats, drawn = net.log_prob_plain(graph), net.sample_plain(2, generator=rng(1))
    with contextlib.nullcontext() if torch.cuda.is_available() else PretendGPU():
        net = net.to("cuda")
        found, there = net.log_prob_plain(graph), net.sample_plain(2, generator=rng(1))
        assert found.is_cuda and there.atoms.is_cuda and there.bonds.is_cuda
        assert torch.allclose(found.cpu(), nats, rtol=1e-9)
        assert equal(Graph(there.atoms.cpu(), there.bonds.cpu()), drawn)


def test_save_and_load(tmp_path):
    net, other = model(), model(seed=1)
    checkpoints.save(net, tmp_path / "net.safetensors")
    checkpoints.load(other, tmp_path / "net.safetensors")
    graph = from_smiles(MOLECULES, A=4)
    assert torch.equal(net.log_prob(graph), other.log_prob(graph))
    with pytest.raises(ValueError):
        checkpoints.load(model(A=5), tmp_path / "net.safetensors")


def changed(smiles="CCO", atoms=None, bonds=()):
    graph = from_smiles([smiles], A=17)
    graph = Graph(graph.atoms, graph.bonds.long())
    for i, j, order in bonds:
        graph.bonds[0, i, j] = order
    return graph if atoms is None else Graph(torch.tensor([atoms]), graph.bonds)


@pytest.mark.parametrize(
    "graph, message",
    [
        (Graph(torch.zeros(0, 3, dtype=torch.long), torch.zeros(0, 3, 3)), "no molecules"),
        (Graph(torch.ones(1, 3, dtype=torch.long), torch.zeros(1, 2, 2)), r"need bonds of shape \(1, 3, 3\)"),
        (from_smiles(["CO", "C" * 13]), r"molecule 1 \(C C .*more than 12 atoms"),
        (from_smiles(["CS"]), r"molecule 0 \(.*S.*\) has an atom type outside 0..4"),
        (changed(atoms=[0, 0, 0], bonds=[(0, 1, 0), (1, 0, 0), (1, 2, 0), (2, 1, 0)]), "no atoms"),
        (changed(atoms=[1, 1, -1]), "an atom type outside 0..4"),
        (changed(bonds=[(0, 1, 4), (1, 0, 4)]), "a bond order outside 0..3"),
        (changed(bonds=[(0, 2, -1), (2, 0, -1)]), "a bond order outside 0..3"),
        (changed(bonds=[(0, 2, 1)]), "not symmetric"),
        (changed(bonds=[(0, 0, 1)]), "with itself"),
        (changed(atoms=[1, 0, 1]), "after an empty place"),
        (changed(atoms=[1, 1, 0]), "a bond of an empty place"),
        (changed(bonds=[(0, 1, 0), (1, 0, 0)]), "breadth-first order"),
    ],
)
def test_bad_graphs_are_named(graph, message):
    with pytest.raises(ValueError, match=message):
        model().log_prob(graph)


def test_other_bad_input():
    with pytest.raises(ValueError, match="more bonds than a valence allows"):
        model(masked=True).log_prob(changed(bonds=[(0, 1, 3), (1, 0, 3), (1, 2, 2), (2, 1, 2)]))
    for options, message in (
        ({"reading": "probit"}, "reading is 'probit'"), ({"A": 18}, "got A = 18"), ({"A": 0}, "got A = 0"),
        ({"N": 0}, "N = 0"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            GraphAF(**options)
    for n in (-1, 2.5):
        with pytest.raises(ValueError, match="number of samples must"):
            model().sample_plain(n)
    for options, message in (
        ({"check": "repair"}, "check is 'repair'"), ({"temperature": 0}, "must be positive"), ({"n": -1}, "negative"),
        ({"at_once": -1}, "at_once is -1"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            model().sample(**({"n": 2} | options))
    for reading in READINGS:
        for temperature in (1e300, 1e-300, math.nan, None, "1", torch.ones(2)):
            with pytest.raises(ValueError, match="must be positive and finite, from 1e-30 to 1e30"):
                model(reading).log_prob(from_smiles(["C"]), temperature=temperature)
            with pytest.raises(ValueError, match="must be positive and finite, from 1e-30 to 1e30"):
                model(reading).sample(0, temperature=temperature)
    with pytest.raises(ValueError, match="no places for their atoms"):
        model().log_prob(Graph(torch.zeros(1, 0), torch.zeros(1, 0, 0)))
    with pytest.raises(ValueError, match="no bound"):
        model("categorical").elbo(from_smiles(["C"]))

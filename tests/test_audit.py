"""Each tool of the audit by itself, against masks, sources and samplers of which the answer is known."""

import math

import pytest
import torch

from hybridlib import audit, faulty
from hybridlib.audit import coins, copies, fitted, parities, states
from hybridlib.made import MADE

SHUFFLED = torch.tensor([3, 0, 5, 1, 4, 2])


def test_bit_flips_and_derivatives_agree_with_the_masks():
    model = MADE(6, (48,), orders=SHUFFLED)
    expected = audit.allowed(SHUFFLED)
    assert torch.equal(audit.sees(model.theta, states(6)), expected)
    assert torch.equal(audit.sees_by_derivative(model.theta, states(6)), expected)
    assert audit.sees(model.theta, states(6), per_parameter=True).shape == (6, 1, 6)
    assert not expected[3].any() and expected[2].sum() == 5  # SHUFFLED begins with 3 and ends with 2


def test_a_derivative_at_one_point_misses_a_leak_behind_a_relu():
    def leaky(x):  # output 0 sees input 1, but only where both bits are on
        return torch.stack([(x[:, 0] + x[:, 1] - 1.5).relu(), x[:, 0]], dim=-1)

    assert not audit.sees_by_derivative(leaky, torch.zeros(1, 2))[0].any()
    assert audit.sees_by_derivative(leaky, states(2))[0].all()
    assert audit.sees(leaky, states(2))[0].all()


def test_sees_counts_nan_as_a_change_and_takes_more_inputs_than_outputs():
    assert audit.sees(lambda x: x[:, :1] / 0 * x[:, 1:2], states(3)).tolist() == [[True, True, True]]
    assert audit.sees(lambda x: x[:, :1] * x[:, 2:], states(3)).tolist() == [[True, False, True]]


def test_find_order():
    assert audit.find_order(audit.allowed(SHUFFLED)).tolist() == SHUFFLED.tolist()
    ring = torch.tensor([[0, 1, 0], [0, 0, 1], [1, 0, 0]]).bool()
    assert audit.find_order(ring) is None
    assert audit.leaks(ring, [2, 1, 0]) == [(2, 0)]
    assert audit.missing(ring, [2, 1, 0]) == [(0, 2)]


def test_the_closest_order():
    ring = torch.tensor([[1, 1, 0], [0, 0, 1], [1, 0, 0]]).bool()
    assert audit.closest_order(ring).tolist() == [0, 2, 1]  # of the three with one leak in the ring, the first
    line = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    seen = audit.allowed(line)
    seen[line[0], line[8]] = True
    assert audit.closest_order(seen).tolist() == line.tolist()
    line = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    seen = audit.allowed(line)
    seen[3, 3] = True
    assert audit.closest_order(seen).tolist() == line.tolist()


@pytest.mark.parametrize("source", [coins, copies, parities])
@pytest.mark.parametrize(("D", "levels", "order"), [(1, 2, None), (2, 3, None), (6, 2, SHUFFLED), (4, 3, [2, 0, 3, 1])])
def test_sources_are_distributions_of_the_entropy_they_should_have(source, D, levels, order):
    x, log_p = source(D, levels=levels, order=order)
    assert x.shape == (levels**D, D) and len(x.unique(dim=0)) == levels**D
    assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-5)
    free = {coins: D, copies: 1, parities: min(D, 2)}[source]
    noisy = -0.9 * math.log(0.9) - 0.1 * math.log(0.1 / (levels - 1))
    assert -(log_p.exp() * log_p).sum().item() == pytest.approx(free * math.log(levels) + (D - free) * noisy, abs=1e-4)


def test_parities_follow_the_order():
    x, log_p = parities(3, order=[2, 0, 1])
    follows = (x[:, 2] + x[:, 0]) % 2 == x[:, 1]
    assert log_p.exp()[follows].sum().item() == pytest.approx(0.9)


def test_total_probability():
    half = torch.distributions.Bernoulli(torch.tensor(0.3))
    assert audit.total_probability(lambda x: half.log_prob(x).sum(-1), 14) == pytest.approx(1, abs=1e-5)
    assert audit.total_probability(lambda x: x.sum(-1) * 0, 3, levels=3) == 27


def test_right_samplers_are_seldom_suspected_and_wrong_ones_always():
    x, log_p = copies(4)
    p = log_p.exp()

    def sample(n, generator, p=p):
        return x[torch.multinomial(p, n, replacement=True, generator=generator)]

    def log_prob(states):
        return log_p

    rng = torch.Generator().manual_seed(0)
    values = [audit.sample_test(sample, log_prob, 4, n=2000, generator=rng)[0] for _ in range(200)]
    assert 4 <= sum(p < 0.1 for p in values) <= 40  # about 20 of 200
    wrong = p + torch.linspace(0, 0.02, 16)  # multinomial makes it sum to one
    p_value, distance = audit.sample_test(lambda n, generator: sample(n, generator, wrong), log_prob, 4, generator=rng)
    assert p_value < 1e-4 and 0.01 < distance < 0.2


def test_samples_that_cannot_be_are_wrong_and_certain_ones_right():
    certain = torch.tensor([1.0, 0, 0, 0]).log()
    p_value, distance = audit.sample_test(lambda n, generator: torch.zeros(n, 2), lambda x: certain, 2)
    assert p_value > 0.99 and distance == 0
    p_value, distance = audit.sample_test(lambda n, generator: torch.ones(n, 2), lambda x: certain, 2)
    assert p_value == 0 and distance == pytest.approx(1)


def test_rare_states_do_not_convict_a_right_sampler():
    p = torch.tensor([1 - 3e-6, 1e-6, 1e-6, 1e-6])  # among 20,000 samples one is rare in six runs of a hundred

    def sample(n, generator, often=0):
        x = torch.zeros(n, 2)
        x[:often, 1] = 1
        return x

    assert audit.sample_test(lambda n, generator: sample(n, generator, 1), lambda x: p.log(), 2)[0] > 0.05
    assert audit.sample_test(lambda n, generator: sample(n, generator, 5), lambda x: p.log(), 2)[0] < 1e-6


def test_idle_parameters():
    model = faulty.Bypass()
    assert audit.idle_parameters(model, model.log_prob(states(6))[3]) == ["b1", "W2"]
    assert audit.idle_parameters(model, 0 * model.log_prob(states(6))[3]) == ["W1", "b1", "W2", "b2"]
    model.W2.requires_grad_(False)  # frozen on purpose
    assert audit.idle_parameters(model, model.log_prob(states(6))[3]) == ["b1"]


def test_zeroed_and_fitted_are_copies():
    model = faulty.Repaired()
    first = model.W1.clone()
    assert all((p == 0).all() for p in audit.zeroed(model).parameters())
    trained, nats = fitted(model, lambda m, x: m.log_prob(x), copies(6), steps=20)
    assert -(copies(6)[1].exp() * trained.log_prob(states(6))).sum().item() == pytest.approx(nats)
    assert torch.equal(model.W1, first) and not torch.equal(trained.W1, model.W1)


@pytest.mark.parametrize(("D", "levels"), [(0, 2), (23, 2), (3, 1)])
def test_states_that_cannot_be_listed(D, levels):
    with pytest.raises(ValueError, match=f"D={D} variables with {levels} values"):
        states(D, levels=levels)

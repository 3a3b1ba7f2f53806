"""MADE and what it stands on: masks, and fast versions against plain ones. tests/test_promise.py holds the contract."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shaken import rng, shaken

from hybridlib import audit
from hybridlib.fvsbn import FVSBN
from hybridlib.made import MADE, evenly_spaced_degrees, random_orders
from hybridlib.noise import seeded
from hybridlib.outputs import Bernoulli, Categorical, LogisticMixture, Normal

ORDER = torch.tensor([2, 0, 4, 1, 3])


def sees(model, order=None, context=None):
    """Who sees whom by derivatives at many random points, on the network's real-valued inputs: bool (D, D)."""
    x = torch.randn(64, model.D, dtype=torch.float64)
    found = torch.zeros(model.D, model.D, dtype=torch.bool)
    for d in range(model.D):
        x.requires_grad_()
        (grad,) = torch.autograd.grad(model.theta(x, context, order)[:, d].sum(), x)
        found[d] = (grad != 0).any(0)
    return found


@given(
    D=st.integers(1, 9),
    hidden=st.lists(st.integers(1, 12), max_size=3),
    seed=st.integers(0, 10**6),
    direct=st.booleans(),
    several=st.booleans(),
    context=st.integers(0, 2),
)
@settings(max_examples=60, deadline=None)
def test_who_sees_whom_is_what_the_masks_promise(D, hidden, seed, direct, several, context):
    orders = random_orders(2, D, generator=rng(seed)) if several else torch.randperm(D, generator=rng(seed))
    made = shaken(MADE(D, tuple(hidden), output=Normal(), orders=orders, direct=direct, context=context), seed)
    c = torch.randn(64, context, dtype=torch.float64) if context else None
    for order in [0, 1] if several else [None]:
        sequence = made.orders[order or 0]
        rank = sequence.argsort()
        may = rank[None] < rank[:, None]  # output d may see input j
        found = sees(made, order, c)
        assert not (found & ~may).any()
        # an allowed pair is connected unless no unit's degree lies between them and there is no direct connection
        masks = made.masks(order)
        reach = torch.eye(context + D)
        for m in masks[: len(hidden)]:
            reach = (m @ reach > 0).float()
        promised = torch.zeros(D, D, dtype=torch.bool)
        if hidden:
            promised |= (masks[len(hidden)] @ reach > 0)[::2, context:]
        if made.net.direct is not None:
            promised |= (masks[-1] > 0)[::2, context:]
            assert torch.equal(promised, may)
        assert not (promised & ~may).any()
        dead = (promised & ~found).sum()  # all paths through dead relus: rare, and only without direct connections
        assert dead == 0 or (made.net.direct is None and hidden)


@given(H=st.integers(1, 60), D=st.integers(1, 60), context=st.booleans())
@settings(deadline=None)
def test_degrees_never_drop_an_input(H, D, context):
    degrees = evenly_spaced_degrees(H, D, context=context)
    low = 0 if context else min(1, D - 1)
    assert len(degrees) == H and degrees.min() >= low and degrees.max() <= D - 1
    assert (degrees.diff() >= 0).all()
    if H > 1 or not context:
        assert degrees.max() == D - 1  # so the input of degree D - 1, and all before it, reach a unit
    if context:
        assert degrees[0] == 0
    if H >= D:
        assert set(degrees.tolist()) == set(range(low, D))
        counts = degrees.bincount()[low:]
        assert counts.max() - counts.min() <= 1 or context


@given(
    D=st.integers(1, 40),
    hidden=st.lists(st.integers(1, 30), max_size=3),
    seed=st.integers(0, 10**6),
    output=st.sampled_from([Bernoulli(), Categorical(3), Normal(), LogisticMixture(2)]),
    several=st.booleans(),
    context=st.integers(0, 2),
)
@settings(max_examples=60, deadline=None)
def test_one_pass_equals_many(D, hidden, seed, output, several, context):
    orders = random_orders(2, D, generator=rng(seed)) if several else torch.randperm(D, generator=rng(seed))
    with seeded(seed):
        made = MADE(D, tuple(hidden), output=output, orders=orders, context=context).double()
    c = torch.randn(5, context, dtype=torch.float64, generator=rng(seed)) if context else None
    fast = made.sample(5, context=c, generator=rng(seed))
    plain = made.sample_plain(5, context=c, generator=rng(seed))
    if isinstance(output, Bernoulli | Categorical):
        assert torch.equal(fast, plain)
    else:
        torch.testing.assert_close(fast, plain, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(made.log_prob(plain, c), made.log_prob_plain(plain, c), rtol=1e-9, atol=1e-9)


def test_the_likelihood_of_many_passes_has_the_same_gradients():
    made = shaken(MADE(6, (9, 9), orders=random_orders(2, 6, generator=rng()), connectivity=True))
    x = torch.randint(2, (5, 6), generator=rng()).double()
    slopes = [torch.autograd.grad(f(x).sum(), made.parameters()) for f in (made.log_prob, made.log_prob_plain)]
    for fast, plain in zip(*slopes, strict=True):
        torch.testing.assert_close(fast, plain)
    with pytest.raises(ValueError, match="binarize"):
        made.log_prob_plain(x + 0.5)


def test_the_plain_versions_show_each_pass_the_earlier_variables_only(monkeypatch):
    made, seen, theta = MADE(4, (8,), orders=[2, 0, 3, 1]), [], MADE.theta
    monkeypatch.setattr(MADE, "theta", lambda self, x, *rest: seen.append(x.clone()) or theta(self, x, *rest))
    for _ in (made.log_prob_plain(torch.ones(1, 4)), made.sample_plain(1, generator=rng())):
        for t in range(4):
            assert not seen.pop(0)[0, made.order[t:]].any()
    assert not seen


def test_the_frontier_sampler_draws_the_same_bits_at_full_size():
    made = MADE(784, (100, 100), direct=False).double()  # in 64 bits rounding decides between no two samples
    assert torch.equal(made.sample(3, generator=rng()), made.sample_plain(3, generator=rng()))


def test_sampling_leaves_the_mode_alone_and_ignores_dropout():
    made = MADE(5, (16,), dropout=0.5).double().train()
    assert torch.equal(made.sample(50, generator=rng()), made.sample_plain(50, generator=rng()))
    assert made.training


def test_an_average_of_probabilities_not_of_logits():
    made = shaken(MADE(5, (8,), orders=random_orders(4, 5, generator=rng())))
    x = audit.states(5).double()
    each = torch.stack([made.log_prob(x, order=m).exp() for m in range(4)])
    torch.testing.assert_close(made.log_prob(x).exp(), each.mean(0))
    torch.testing.assert_close(each.sum(1), torch.ones(4, dtype=torch.float64))


def test_any_order_is_a_distribution():
    made = shaken(MADE(5, (8,), orders=random_orders(2, 5, generator=rng()), connectivity=True))
    x = audit.states(5).double()
    for seed in range(5):
        order = torch.randperm(5, generator=rng(seed))
        assert made.log_prob(x, order=order).exp().sum().item() == pytest.approx(1)


def test_connectivity_deals_the_degrees_anew_for_every_order():
    made = MADE(9, (30, 30), orders=random_orders(2, 9, generator=rng()), connectivity=True)
    (_, *first), (_, *second) = made.degrees(0), made.degrees(1)
    for a, b in zip(first, second, strict=True):
        assert not torch.equal(a, b) and torch.equal(a.sort().values, b.sort().values)
    x = made.sample(20, generator=rng())
    plain = MADE(9, (30, 30), orders=made.orders)
    plain.load_state_dict({name: t for name, t in made.state_dict().items() if "deal" not in name})
    assert not torch.allclose(made.log_prob(x, order=0), plain.log_prob(x, order=0))
    torch.testing.assert_close(made.log_prob(x, order=made.orders[0]), plain.log_prob(x, order=0))


def test_context_reaches_the_first_variable_and_every_other():
    for direct in (True, False):
        made = shaken(MADE(5, (3,), direct=direct, context=2, output=Normal()))
        c = torch.randn(50, 2, dtype=torch.float64, requires_grad=True)
        x = torch.randn(50, 5, dtype=torch.float64)
        for d in range(5):
            (grad,) = torch.autograd.grad(made.theta(x, c)[:, d].sum(), c)
            assert (grad != 0).any(0).all(), d


@pytest.mark.parametrize("order", [None, [2, 3, 0, 1]])
def test_inpainting_samples_the_exact_conditional(order):
    made = shaken(MADE(4, (8,), orders=random_orders(2, 4, generator=rng())))
    known = torch.tensor([False, True, False, True])
    x = torch.tensor([[float("nan"), 1.0, float("nan"), 0.0]], dtype=torch.float64).expand(30_000, 4)
    filled = made.inpaint(x, known, order=order, generator=rng(3))
    assert torch.equal(filled[:, known], x[:, known])
    # the order given, or made up from the same seed; p(x0, x2 | x1, x3) by enumeration
    order = torch.randperm(4, generator=rng(3)) if order is None else torch.tensor(order)
    order = torch.cat([order[known[order]], order[~known[order]]])
    states = audit.states(4).double()
    states = states[(states[:, 1] == 1) & (states[:, 3] == 0)]
    p = made.log_prob(states, order=order).softmax(0)
    found = torch.stack([(filled == s).all(1).double().mean() for s in states])
    assert (found - p).abs().max() < 0.015


def test_inpainting_with_one_order_needs_the_known_first():
    made = MADE(4, (8,), orders=[3, 1, 0, 2])
    x = torch.ones(2, 4)
    assert made.inpaint(x, torch.tensor([False, True, False, True])).shape == (2, 4)
    with pytest.raises(ValueError, match="several orders"):
        made.inpaint(x, torch.tensor([True, False, False, False]))


def test_a_zero_network_costs_exactly_one_bit_a_variable():
    made = MADE(7, (9,))
    for p in made.parameters():
        p.data.zero_()
    torch.testing.assert_close(made.log_prob(torch.ones(3, 7)), torch.full((3,), -7 * math.log(2)))


class TestBadInput:
    @pytest.mark.parametrize(
        ("x", "message"),
        [
            (torch.full((2, 4), 0.5), "binarize"),
            (torch.full((2, 4), float("nan")), "0 or 1"),
            (torch.zeros(2, 5), r"\(B, 4\)"),
            (torch.zeros(4), r"\(B, 4\)"),
        ],
    )
    def test_data(self, x, message):
        for model in (MADE(4, (3,)), FVSBN(4)):
            with pytest.raises(ValueError, match=message):
                model.log_prob(x)

    @pytest.mark.parametrize(
        ("build", "message"),
        [
            (lambda: MADE(0), "at least one variable"),
            (lambda: FVSBN(0), "at least one variable"),
            (lambda: MADE(3, (0,)), "at least one unit"),
            (lambda: MADE(3, orders=[0, 1, 1]), "permutation"),
            (lambda: MADE(3, orders=[0, 1]), "permutation"),
            (lambda: MADE(3, orders=[[0, 1, 2], [1, 2, 3]]), "permutation"),
            (lambda: MADE(3, (4, 5), residual=True), "one size"),
            (lambda: MADE(3, (4,)).sample(-1), "not be negative"),
            (lambda: MADE(3, (4,)).theta(torch.zeros(1, 3), order=torch.tensor([2, 1, 0])), "one order"),
            (lambda: MADE(3, (4,), context=2).log_prob(torch.zeros(1, 3)), "context of shape"),
            (lambda: MADE(3, (4,)).log_prob(torch.zeros(1, 3), torch.zeros(1, 2)), "no context"),
            (lambda: MADE(3, (4,), context=1).sample(1, context=torch.full((1, 1), float("nan"))), "NaN"),
            (lambda: MADE(3, (4,)).inpaint(torch.zeros(1, 3), torch.tensor([1, 0, 0])), "bool"),
        ],
    )
    def test_construction_and_calls(self, build, message):
        with pytest.raises(ValueError, match=message):
            build()

"""NADE, the causal Transformer and the causal convolution against naive versions of themselves."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shaken import rng, shaken

from hybridlib import audit
from hybridlib.nade import NADE
from hybridlib.pixelcnn import CausalConv2d, PixelCNN
from hybridlib.transformer import InBlocks, Transformer, adjust


def test_blocks_of_bits_are_symbols():
    inner = shaken(Transformer(3, 8, width=8, layers=1, heads=2))
    model = InBlocks(inner, 3)
    bits = torch.tensor([[1.0, 0, 1, 0, 1, 1, 0, 0, 0]])
    assert torch.equal(model.log_prob(bits), inner.log_prob(torch.tensor([[5.0, 3, 0]])))
    x = model.sample(50, generator=rng())
    symbols = inner.sample(50, generator=rng())
    assert torch.equal(4 * x[:, 0::3] + 2 * x[:, 1::3] + x[:, 2::3], symbols)


@given(D=st.integers(1, 12), H=st.integers(1, 9), seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_nade_equals_the_naive_loop(D, H, seed):
    order = torch.randperm(D, generator=rng(seed))
    nade = shaken(NADE(D, H, orders=order), seed)
    x = torch.randint(0, 2, (6, D), generator=rng(seed)).double()
    log_prob = torch.zeros(6, dtype=torch.float64)
    for t, d in enumerate(order.tolist()):  # O(D^2 H): every hidden layer from all variables before it
        earlier = order[:t]
        h = torch.sigmoid(nade.c + x[:, earlier] @ nade.W[earlier])
        p = torch.sigmoid(nade.b[d] + h @ nade.V[d])
        log_prob += torch.where(x[:, d] == 1, p, 1 - p).log()
    torch.testing.assert_close(nade.log_prob(x), log_prob)


def plain_block(block, h):
    """One block for a single sequence (t, width), head by head and step by step."""
    steps, width = h.shape
    size = width // block.heads
    q, k, v = block.qkv(block.norm1(h)).split(width, -1)
    mixed = torch.zeros_like(h)
    for head in range(block.heads):
        part = slice(head * size, (head + 1) * size)
        for t in range(steps):
            weights = (k[: t + 1, part] @ q[t, part] / math.sqrt(size)).softmax(0)
            mixed[t, part] = weights @ v[: t + 1, part]
    h = h + block.proj(mixed)
    inner = block.up(block.norm2(h))
    gelu = 0.5 * inner * (1 + torch.tanh(math.sqrt(2 / math.pi) * (inner + 0.044715 * inner**3)))
    return h + block.down(gelu)


def test_the_transformer_equals_its_equations_written_out():
    model = shaken(Transformer(7, 5, width=12, layers=3, heads=3), scale=0.4)
    x = torch.randint(0, 5, (4, 7), generator=rng()).double()
    for row, theta in zip(x, model.theta(x)):
        before = torch.cat([torch.tensor([5]), row[:-1].long()])
        h = model.symbols.weight[before] + model.positions.weight
        for block in model.blocks:
            h = plain_block(block, h)
        torch.testing.assert_close(theta, model.head(model.norm(h)))


@pytest.mark.parametrize("options", [{}, {"temperature": 0.7}, {"top_k": 3}, {"top_p": 0.8}, {"prefix": [2, 1]}])
def test_keys_and_values_kept_give_the_same_samples(options):
    """In float64: the two multiply matrices of different shapes, which processors round differently."""
    model = shaken(Transformer(20, 16, width=16, layers=2, heads=2, end=0), scale=0.3)
    cached = model.sample(200, generator=rng(1), **options)
    assert torch.equal(cached, model.sample_plain(200, generator=rng(1), **options))
    assert len(cached.unique(dim=0)) > 80 and (cached[:, 10] != 0).any()


def test_after_the_end_nothing_but_the_end():
    model = shaken(Transformer(6, 4, width=8, layers=1, heads=1, end=2))
    x = model.sample(500, generator=rng())
    over = (x == 2).cummax(1).values
    assert torch.equal(over, x == 2) and over.any() and not over.all()
    shorter = torch.tensor([[1.0, 3, 2, 2, 2, 2]])
    first_three = model(shorter).log_prob(shorter.double())
    assert (first_three[0, 3:] == 0).all()
    assert model.log_prob(shorter).item() == pytest.approx(first_three[0, :3].sum().item(), rel=1e-12)
    assert model.log_prob(torch.tensor([[1.0, 2, 3, 2, 2, 2]])).item() == -math.inf


def test_a_prefix_is_kept_and_what_follows_has_the_conditional_distribution():
    model = shaken(Transformer(4, 3, width=8, layers=1, heads=2))
    x = model.sample(30_000, prefix=torch.tensor([2.0, 0.0]), generator=rng())
    assert (x[:, 0] == 2).all() and (x[:, 1] == 0).all()
    states = audit.states(4, levels=3).double()
    states = states[(states[:, 0] == 2) & (states[:, 1] == 0)]
    p = model.log_prob(states).softmax(0)
    found = torch.stack([(x == s).all(1).double().mean() for s in states])
    assert (found - p).abs().max() < 0.012


class TestAdjust:
    theta = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()

    def p(self, **options):
        return adjust(self.theta, **options).softmax(-1)

    def test_nothing_changes_by_default(self):
        torch.testing.assert_close(self.p(), self.theta.exp())

    @pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
    def test_temperature_is_a_power_of_the_probabilities(self, temperature):
        power = self.theta.exp() ** (1 / temperature)
        torch.testing.assert_close(self.p(temperature=temperature), power / power.sum())

    @pytest.mark.parametrize(("k", "kept"), [(1, 1), (2, 2), (4, 4), (9, 4)])
    def test_top_k_keeps_k_in_their_ratios(self, k, kept):
        p = self.p(top_k=k)
        expected = torch.where(torch.arange(4) < kept, self.theta.exp(), 0)
        torch.testing.assert_close(p, expected / expected.sum())

    @pytest.mark.parametrize(("top_p", "kept"), [(0.01, 1), (0.49, 1), (0.6, 2), (0.81, 3), (0.96, 4), (1.0, 4)])
    def test_the_nucleus_is_the_smallest_set_that_holds_top_p(self, top_p, kept):
        shuffled = torch.tensor([2, 0, 3, 1])
        p = adjust(self.theta[shuffled], top_p=top_p).softmax(-1)
        expected = torch.where(torch.arange(4) < kept, self.theta.exp(), 0)[shuffled]
        torch.testing.assert_close(p, expected / expected.sum())


@pytest.mark.parametrize("rows", [True, False])
@pytest.mark.parametrize("middle", [True, False])
def test_a_causal_kernel_sees_its_side_of_the_window(rows, middle):
    conv = CausalConv2d(1, 1, 3, rows=rows, middle=middle).double()
    with torch.no_grad():
        conv.weight.fill_(1)
    x = torch.zeros(1, 1, 5, 5, dtype=torch.float64, requires_grad=True)
    (seen,) = torch.autograd.grad(conv(x)[0, 0, 2, 2], x)
    expected = torch.zeros(5, 5, dtype=torch.float64)
    if rows:
        expected[1, 1:4] = 1
        expected[2, 1:4] = float(middle)
    else:
        expected[2, 1] = 1
        expected[2, 2] = float(middle)
    assert torch.equal(seen[0, 0], expected)


def test_the_two_stacks_have_no_blind_spot():
    model = shaken(PixelCNN((6, 6), 4, layers=4), scale=0.3)
    points = torch.randint(0, 2, (200, 36), generator=rng()).double()
    seen = audit.sees(model.theta, points)
    assert audit.leaks(seen, model.order) == [] and audit.missing(seen, model.order) == []


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: NADE(4, 0), "at least one hidden unit"),
        (lambda: NADE(3, 5, orders=[[0, 1, 2], [2, 1, 0]]), "NADE has one order, got 2"),
        (lambda: NADE(3, 5).log_prob(torch.full((2, 3), math.nan)), "0 or 1"),
        (lambda: NADE(3, 5).log_prob(torch.zeros(2, 4)), r"\(B, 3\)"),
        (lambda: Transformer(4, 3, width=10, heads=4), "width 10 cannot be shared by 4 heads"),
        (lambda: Transformer(4, 3, end=3), r"end = 3 is none of the symbols 0..2"),
        (lambda: Transformer(4, 1), "at least K = 2"),
        (lambda: Transformer(4, 3, width=8).log_prob(torch.full((1, 4), 3.0)), r"whole numbers 0\.\.2, found 3"),
        (lambda: Transformer(4, 3, width=8).log_prob(torch.full((1, 4), math.nan)), "found nan"),
        (lambda: Transformer(4, 3, width=8).log_prob(torch.zeros(1, 5)), r"\(B, 4\)"),
        (lambda: Transformer(4, 3, width=8).sample(1, temperature=0), "temperature is 0"),
        (lambda: Transformer(4, 3, width=8).sample(1, top_k=0), "top_k is 0"),
        (lambda: Transformer(4, 3, width=8).sample(1, top_p=1.5), "top_p is 1.5"),
        (lambda: Transformer(4, 3, width=8).sample(1, prefix=torch.zeros(5)), "at most 4 symbols"),
        (lambda: Transformer(4, 3, width=8).sample(1, prefix=torch.tensor([7])), "found 7"),
        (lambda: InBlocks(Transformer(4, 3, width=8), 2), "symbols of K = 4 values; the model has 3"),
        (lambda: InBlocks(Transformer(4, 4, width=8), 2).log_prob(torch.zeros(1, 4)), r"\(B, 8\)"),
        (lambda: InBlocks(Transformer(4, 4, width=8), 2).log_prob(torch.full((1, 8), 2.0)), "found 2"),
        (lambda: PixelCNN((3, 3)).log_prob(torch.zeros(2, 3, 3)), r"\(B, 9\)"),
        (lambda: PixelCNN((3, 3), layers=0), "at least one layer"),
        (lambda: PixelCNN((3,)), "height and width"),
    ],
)
def test_bad_input(build, message):
    with pytest.raises(ValueError, match=message):
        build()

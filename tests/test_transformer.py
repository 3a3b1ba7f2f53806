"""The causal Transformer against its equations written out, and its two samplers against each other."""

import math

import pytest
import torch
from shaken import rng, shaken

from hybridlib import audit
from hybridlib.transformer import InBlocks, Transformer, adjust


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


def test_blocks_of_bits_are_symbols():
    inner = shaken(Transformer(3, 8, width=8, layers=1, heads=2))
    model = InBlocks(inner, 3)
    bits = torch.tensor([[1.0, 0, 1, 0, 1, 1, 0, 0, 0]])
    assert torch.equal(model.log_prob(bits), inner.log_prob(torch.tensor([[5.0, 3, 0]])))
    x = model.sample(50, generator=rng())
    symbols = inner.sample(50, generator=rng())
    assert torch.equal(4 * x[:, 0::3] + 2 * x[:, 1::3] + x[:, 2::3], symbols)


@pytest.mark.parametrize(
    ("build", "message"),
    [
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
    ],
)
def test_bad_input(build, message):
    with pytest.raises(ValueError, match=message):
        build()

"""Dequantization: bounds below the exact value, and cells that sum to one."""

import math

import pytest
import torch
from shaken import rng, shaken

from hybridlib import audit
from hybridlib.argmax import argmax_elbo
from hybridlib.dequantization import (
    Dequantized,
    DequantizedLevels,
    FlooredLogistics,
    Levels,
    UniformDequantizer,
    VariationalDequantizer,
    bits_per_dim,
)
from hybridlib.flows import Flow, Logit, iaf, maf, realnvp
from hybridlib.made import MADE
from hybridlib.outputs import Logistic, LogisticMixture


class UnitUniform(torch.nn.Module):
    """The density 1 on [0, 1]^D, for which everything is known."""

    def __init__(self, D):
        super().__init__()
        self.D, self.none = D, torch.nn.Parameter(torch.zeros(()))

    def log_prob(self, y):
        return torch.where(((y >= 0) & (y < 1)).all(-1), 0.0, -torch.inf) + self.none

    def sample(self, n, *, generator=None):
        return torch.rand(n, self.D, generator=generator)


def model(D, levels=3, w=1.0, kind="uniform", seed=0):
    density = Flow(D, [Logit(), *maf(D, 2, (8,)).transforms])
    dequantizer = UniformDequantizer(w)
    if kind != "uniform":
        build = iaf if kind == "iaf" or D == 1 else realnvp
        dequantizer = VariationalDequantizer(D, levels, flow=build(D, 2, (8,), context=D), w=w)
    return shaken(Dequantized(density, levels, dequantizer), seed, scale=0.1)


@pytest.mark.parametrize("levels", [2, 3, 17, 256])
@pytest.mark.parametrize("w", [1.0, 0.5, 0.1])
def test_fair_coins_cannot_be_beaten(levels, w):
    """A uniform density: each cell holds (w / levels)^D, and the bound is tight. All terms must be there."""
    fair = Dequantized(UnitUniform(3), levels, UniformDequantizer(w))
    x = torch.randint(levels, (5, 3), generator=rng()).float()
    expected = torch.full((5,), 3 * math.log(w / levels))
    torch.testing.assert_close(fair.elbo(x, generator=rng()).detach(), expected)
    torch.testing.assert_close(bits_per_dim(expected, 3), torch.full((5,), math.log2(levels / w)))


class Rising(UnitUniform):
    """The density prod_d 2 y_d on [0, 1]^D, for which the midpoint rule makes no error."""

    def log_prob(self, y):
        return super().log_prob(y) + (2 * y).log().sum(-1)


@pytest.mark.parametrize("D", [1, 2])
@pytest.mark.parametrize("w", [1.0, 0.5])
def test_grid_gives_the_volume_over_a_cell(D, w):
    x = audit.states(D, levels=5).double()
    expected = (((x + w) ** 2 - x**2) / 5**2).log().sum(-1)
    rising = Dequantized(Rising(D), 5, UniformDequantizer(w)).double()
    torch.testing.assert_close(rising.log_prob_on_grid(x, points=3).detach(), expected)
    many = Dequantized(UnitUniform(D), 5).log_prob_on_grid(torch.zeros(200_001, D), points=2)
    assert many.shape == (200_001,) and many[0].item() == pytest.approx(-D * math.log(5), abs=1e-5)


def test_importance_bound_is_the_logarithm_of_a_mean():
    dequantized, x = model(2), audit.states(2, levels=3).double()
    noises = rng(3)
    each = torch.stack([dequantized.elbo(x, generator=noises) for _ in range(4)])
    torch.testing.assert_close(dequantized.importance_bound(x, 4, generator=rng(3)), each.exp().mean(0).log())


@pytest.mark.parametrize("kind", ["uniform", "iaf", "realnvp"])
def test_the_generator_decides_all_chance_and_each_row_has_its_own(kind):
    dequantized, x = model(2, kind=kind), torch.ones(4, 2).double()
    calls = [
        lambda g: dequantized.dequantizer(x, generator=g)[0],
        lambda g: dequantized.elbo(x, generator=g),
        lambda g: dequantized.importance_bound(x, 2, generator=g),
    ]
    for call in calls:
        first, again, other = call(rng(1)), call(rng(1)), call(rng(2))
        assert torch.equal(first, again) and not torch.equal(first, other)
        assert len(first.unique(dim=0)) == 4
    assert torch.equal(dequantized.sample(50, generator=rng(1)), dequantized.sample(50, generator=rng(1)))
    assert not torch.equal(dequantized.sample(50, generator=rng(1)), dequantized.sample(50, generator=rng(2)))


class Spy(torch.nn.Module):
    """A flow of one variable that stays at a place and keeps the context it was given."""

    D = context = 1

    def __init__(self, place):
        super().__init__()
        self.place = place

    def rsample_and_log_prob(self, n, *, context, generator=None):
        self.seen = context
        return torch.full((n, 1), self.place), torch.zeros(n)


def test_variational_noise_knows_its_picture_and_stays_below_the_next_cell():
    for w in (1.0, 0.5):
        dequantizer = VariationalDequantizer(1, 5, flow=Spy(50.0), w=w)
        noise, _ = dequantizer(torch.arange(5.0)[:, None])
        assert dequantizer.flow.seen.flatten().tolist() == [-1, -0.5, 0, 0.5, 1]
        assert (noise < w).all() and (noise > 0.99 * w).all()
    low, high = (model(1, kind="iaf").dequantizer(torch.full((3, 1), v).double(), generator=rng())[0] for v in (0, 2))
    assert not torch.isclose(low, high).any()
    x = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert VariationalDequantizer(2, 2)(x, generator=rng())[0].shape == (2, 2)  # with the flow of its own


def test_samples_are_rounded_down_into_the_levels():
    density = UnitUniform(1)
    density.sample = lambda n, generator=None: torch.tensor([[-0.2], [0.0], [0.24], [0.26], [0.99], [1.0], [1.3]])
    assert Dequantized(density, 4).sample(7).flatten().tolist() == [0, 0, 0, 1, 3, 3, 3]


@pytest.mark.parametrize("D", [1, 2])
@pytest.mark.parametrize("kind", ["uniform", "iaf", "realnvp"])
@pytest.mark.parametrize("w", [1.0, 0.5])
def test_bounds_lie_below_the_exact_probability(D, kind, w):
    dequantized = model(D, w=w, kind=kind)
    x = audit.states(D, levels=3).double()
    with torch.no_grad():
        exact = dequantized.log_prob_on_grid(x)
        each = dequantized.elbo(x.repeat(20_000, 1), generator=rng()).view(20_000, -1)
        error, spread = each.std(0) / 20_000**0.5, each.exp().std(0) / 20_000**0.5
        # the mean of p / q over the noise is the probability itself; the mean of its logarithm lies below
        mean = each.exp().mean(0)  # with rare, large weights where q is small: they can be missed
        assert (mean < exact.exp() + 6 * spread + 1e-4).all() and (mean > 0.7 * exact.exp()).all()
        assert (each.mean(0) < exact + 4 * error).all() and (exact - each.mean(0)).max() > 0.01
        tight = dequantized.importance_bound(x, 1000, generator=rng(1))
        assert tight.mean() > each.mean() and (tight - exact).abs().max() < 0.4


@pytest.mark.parametrize("D", [1, 2])
def test_cells_of_full_width_hold_everything(D):
    total = model(D).log_prob_on_grid(audit.states(D, levels=3).double(), points=200).exp().sum().item()
    # Logit leaves a thousandth of its interval beyond either end
    assert total < 1 + 1e-3 and total > 0.97
    narrow = model(D, w=0.5).log_prob_on_grid(audit.states(D, levels=3).double()).exp().sum().item()
    assert narrow < 0.9 * total


def test_samples_follow_the_cells():
    dequantized = model(2)
    x = dequantized.sample(20_000, generator=rng())
    found = torch.bincount((x * torch.tensor([3.0, 1.0])).sum(-1).long(), minlength=9) / 20_000
    p = dequantized.log_prob_on_grid(audit.states(2, levels=3).double()).exp()
    assert ((found - p).abs() < 5 * (p / 20_000).sqrt() + 0.01).all()
    assert dequantized.sample(0).shape == (0, 2)


@pytest.mark.parametrize("kind", ["uniform", "iaf", "realnvp"])
def test_noise_stays_in_its_cell_and_has_the_stated_density(kind):
    dequantizer = model(2, w=0.5, kind=kind).dequantizer
    x = torch.tensor([[2.0, 0.0]]).double().expand(40_000, 2)
    noise, log_q = dequantizer(x, generator=rng())
    assert noise.min() >= 0 and noise.max() < 0.5
    # E_q[f / q] is the integral of f over the cell: the volume of its lower left quarter, for f its indicator
    inside = (noise < 0.25).all(-1)
    estimate = torch.where(inside, (-log_q).exp(), 0)
    assert estimate.mean().item() == pytest.approx(0.25**2, abs=5 * (estimate.std() / 200).item() + 1e-9)


def test_variational_noise_is_trained_and_tightens_the_bound():
    tight = model(1, levels=2, kind="iaf")
    for p in tight.density.parameters():
        p.requires_grad_(False)
    x = torch.tensor([[0.0], [1.0]]).double()
    optimizer = torch.optim.Adam(tight.dequantizer.parameters(), lr=0.02)
    noises = rng()

    def gap(n=400):
        with torch.no_grad():
            each = tight.elbo(x.repeat(n, 1), generator=rng(9)).view(n, 2).mean(0)
        return (tight.log_prob_on_grid(x, points=400) - each).mean().item()

    before = gap()
    for _ in range(150):
        loss = -tight.elbo(x.repeat(50, 1), generator=noises).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert before > 0.02 and gap() < before / 2


def test_any_density_will_do():
    mixture = Dequantized(shaken(MADE(3, (8,), output=LogisticMixture(2, unit=0.25))), 5)
    x = mixture.sample(20, generator=rng())
    assert mixture.elbo(x, generator=rng()).isfinite().all() and set(x.unique().tolist()) <= {0, 1, 2, 3, 4}


class TestBadInput:
    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: model(2).elbo(torch.tensor([[0.5, 1.0]])), "whole numbers 0..2, found 0.5"),
            (lambda: model(2).elbo(torch.tensor([[0.0, 3.0]])), "found 3"),
            (lambda: model(2).elbo(torch.tensor([[0.0, -1.0]])), "found -1"),
            (lambda: model(2).elbo(torch.tensor([[0.0, float("nan")]])), "found nan"),
            (lambda: model(2).elbo(torch.zeros(3, 4)), r"shape \(B, 2\), got \(3, 4\)"),
            (lambda: model(2).importance_bound(torch.zeros(1, 2), 0), "at least one, got K = 0"),
            (lambda: model(3).log_prob_on_grid(torch.zeros(1, 3)), "too many points; use importance_bound"),
            (lambda: UniformDequantizer(0), r"w = 0; it must lie in \(0, 1\]"),
            (lambda: UniformDequantizer(1.5), "wider cells overlap"),
            (lambda: UniformDequantizer(float("nan")), "w = nan"),
            (lambda: VariationalDequantizer(2, 3, flow=maf(2)), "with context=2, got 2 with context=0"),
            (lambda: Dequantized(maf(2), 1), "at least 2, got 1"),
            (lambda: Dequantized(maf(2), 2.5), "got 2.5"),
            (lambda: Dequantized(maf(2), 1.0), "at least 2, got 1"),
            (lambda: VariationalDequantizer(3, 1), "at least 2, got 1"),
            (lambda: Dequantized(maf(2, 1), 4).importance_bound(torch.zeros(1, 2), 2.5), "whole number of samples"),
            (lambda: Dequantized(maf(2, 1), 4).log_prob_on_grid(torch.zeros(1, 2), points=0), "at least one point"),
            (lambda: VariationalDequantizer(2, 3, flow=maf(3, context=2)), "got 3 with context=2"),
        ],
    )
    def test_one_clear_error(self, call, message):
        with pytest.raises(ValueError, match=message):
            call()


def test_eight_bits_and_no_rows():
    x = torch.tensor([[0, 17, 200, 255]], dtype=torch.uint8)
    assert Dequantized(maf(4, 1), 256).elbo(x, generator=rng()).isfinite().all()
    assert Dequantized(maf(2, 1), 4).log_prob_on_grid(torch.zeros(0, 2)).shape == (0,)


def test_a_density_without_parameters_will_do():
    x = torch.tensor([[0], [1]])
    assert Dequantized(Flow(1, [Logit()]), 2).elbo(x, generator=rng()).isfinite().all()


def floored(levels, *, box, K=3, n=6):
    """Mixtures of logistics of many shapes, in double precision."""
    draws = torch.randn(3, n, K, generator=rng(), dtype=torch.double)
    weight = torch.randn(n, K + box, generator=rng(1), dtype=torch.double).log_softmax(-1)
    parts = Logistic(levels * torch.sigmoid(draws[0]), (2 * draws[1]).exp())
    return FlooredLogistics(weight, parts, levels)


@pytest.mark.parametrize("box", [False, True])
@pytest.mark.parametrize("levels", [2, 5, 256])
def test_floored_logistics_sum_to_one_and_agree_with_their_density(box, levels):
    p = floored(levels, box=box)
    torch.testing.assert_close(p.logits.exp().sum(-1), torch.ones(6).double())
    u = (torch.arange(100_000, dtype=torch.double)[:, None] + 0.5) / 100_000
    middle = torch.full((6,), levels // 2).double()
    for x in [middle] if levels > 2 else []:  # the ends hold the tails as well
        mass = p.log_density(x + u).exp().mean(0)
        torch.testing.assert_close(p.log_prob(x).exp(), mass, atol=1e-6, rtol=1e-4)
    for w in (1.0, 0.3):
        bound = torch.stack([p.elbo(middle, w=w, generator=rng(k)) for k in range(400)]).mean(0)
        assert (bound <= p.log_prob(middle) + 0.05).all()


def test_floored_logistics_count_as_they_are_drawn():
    p = floored(5, box=True)
    torch.manual_seed(0)
    counted = torch.nn.functional.one_hot(p.sample((40_000,)), 5).double().mean(0)
    torch.testing.assert_close(counted, p.logits.exp(), atol=0.012, rtol=0)


def test_what_is_rare_keeps_finite_probabilities_and_gradients():
    loc = torch.tensor([[0.5]], requires_grad=True)
    p = FlooredLogistics(torch.zeros(1, 1), Logistic(loc, torch.tensor([[1e-3]])), 256)
    log_p = p.log_prob(torch.tensor([200.0]))
    log_p.sum().backward()
    assert log_p.item() == pytest.approx(-199_500, rel=1e-3) and torch.isfinite(loc.grad).all()


@pytest.mark.parametrize("box", [False, True])
def test_a_model_of_levels_is_one_discrete_model_with_many_bounds(box):
    made = shaken(MADE(3, (8,), output=Levels(4, 2, box=box)), scale=0.5)
    x = audit.states(3, levels=4)
    exact = made.log_prob(x)
    assert exact.exp().sum().item() == pytest.approx(1, abs=1e-5)
    for w in (1.0, 0.5):
        model = DequantizedLevels(made, 4, UniformDequantizer(w))
        torch.testing.assert_close(
            model.elbo(x, generator=rng()), argmax_elbo(made, x, w=w, generator=rng()), atol=1e-4, rtol=1e-4
        )
        tight = torch.stack([model.elbo(x, generator=rng(k)).exp() for k in range(600)]).mean(0)
        assert (tight <= exact.exp() * 1.5 + 3e-3).all()
    places = torch.tensor([16, 4, 1])
    drawn = (model.sample(20_000, generator=rng()).long() * places).sum(-1)
    counted = (torch.bincount(drawn, minlength=64) / 20_000)[(x.long() * places).sum(-1)]
    torch.testing.assert_close(counted, exact.exp().to(counted), atol=0.016, rtol=0)


def test_the_network_of_levels_sees_no_noise():
    made = shaken(MADE(3, (8,), output=Levels(4, 2)), scale=0.5)
    model = DequantizedLevels(made, 4)
    x = audit.states(3, levels=4)
    u = torch.rand(x.shape, generator=rng())
    same = torch.cat([u[:, :2] / 2, u[:, 2:]], 1)  # other noise on the first two: they change, the last does not
    each = [made(torch.floor(x + noise)).log_density(x + noise)[:, 2] for noise in (u, same)]
    torch.testing.assert_close(*each)
    with pytest.raises(ValueError, match="4 levels"):
        model.log_prob(x + 0.5)

"""Flows: inverse, volume, normalization, samples, orders, and another library's MAF with the same weights."""

import math
import warnings

import pytest
import torch
import zuko
from shaken import rng, shaken
from torch.distributions import AffineTransform

from hybridlib import audit, flows
from hybridlib.flows import (
    Affine,
    AutoregressiveFlow,
    Coupling,
    Flow,
    Inverse,
    Linear,
    Logit,
    Spline,
    iaf,
    maf,
    realnvp,
)
from hybridlib.layers import mlp
from hybridlib.made import MADE
from hybridlib.outputs import Bernoulli, Normal, bounded
from hybridlib.pixelcnn import PixelCNN
from hybridlib.transformer import Transformer

ORDER = [2, 0, 3, 1]
PASSES = [True, False, True, False]
TRANSFORMS = {
    "affine": lambda: AutoregressiveFlow(MADE(4, (16, 16), output=Affine())),
    "affine in an order": lambda: AutoregressiveFlow(MADE(4, (16,), output=Affine(), orders=ORDER)),
    "spline": lambda: AutoregressiveFlow(MADE(4, (16,), output=Spline(5))),
    "convolution": lambda: AutoregressiveFlow(PixelCNN((2, 2), 4, layers=2, output=Affine())),
    "coupling": lambda: Coupling(PASSES, mlp(2, 16, 4)),
    "spline coupling": lambda: Coupling(PASSES, mlp(2, 16, 2 * Spline(6).P), univariate=Spline(6)),
    "linear": lambda: Linear(torch.randn(4, 4, generator=rng(3)).double() + 2 * torch.eye(4).double(), [1.0, 2, 3, 4]),
    "scales": lambda: Linear([0.5, -2.0, 1.0, 3.0]),
    "inverse": lambda: Inverse(AutoregressiveFlow(MADE(4, (16,), output=Affine()))),
    "inverse spline": lambda: Inverse(AutoregressiveFlow(MADE(4, (16,), output=Spline(5)))),
    "inverse of logit": lambda: Inverse(Logit()),
    "maf": lambda: maf(4, 3, (16,)),
    "iaf": lambda: iaf(4, 3, (16,)),
    "realnvp": lambda: realnvp(4, 4, (16,)),
    "spline maf": lambda: maf(4, 2, (16,), univariate=Spline()),
    "flow in a flow": lambda: Flow(4, [maf(4, 1, (8,)), realnvp(4, 1, (8,))]),
    "context": lambda: maf(4, 2, (16,), context=3),
    "coupling with context": lambda: realnvp(4, 2, (16,), context=3),
}


def points(n=40, D=4):
    return 2 * torch.randn(n, D, generator=rng(1), dtype=torch.double)


def given(transform, n):
    """The context that a flow wants, as further arguments."""
    return (torch.randn(n, 3, generator=rng(5), dtype=torch.double),) if getattr(transform, "context", 0) else ()


@pytest.mark.parametrize("name", TRANSFORMS)
class TestTransform:
    def test_inverse_undoes_forward(self, name):
        transform, x = shaken(TRANSFORMS[name](), scale=0.15), points()
        assert audit.inverse_error(transform, x, *given(transform, 40)) < 1e-6
        z, _ = transform(x, *given(transform, 40))
        assert (z - x).abs().max() > 0.1, "an identity would pass this test"
        assert audit.inverse_error(Inverse(transform), z.detach(), *given(transform, 40)) < 1e-6

    def test_log_determinant_is_that_of_the_jacobian(self, name):
        transform, x = shaken(TRANSFORMS[name](), scale=0.15), points()
        assert audit.log_det_error(transform, x, *given(transform, 40)) < 1e-8

    def test_gradients_reach_every_parameter_in_both_directions(self, name):
        transform = shaken(TRANSFORMS[name](), scale=0.15)
        x = points()
        for direction in (transform.forward, transform.inverse):
            transform.zero_grad()
            y, log_det = direction(x, *given(transform, 40))
            x = y.detach()
            if list(transform.parameters()):
                (y.square().sum() + log_det.sum()).backward()
            for parameter_name, p in transform.named_parameters():
                assert p.numel() == 0 or (p.grad is not None and p.grad.isfinite().all()), parameter_name


def test_a_transformer_is_a_conditioner_of_symbols_only():
    with pytest.raises(ValueError, match="invertible map, not Categorical"):
        AutoregressiveFlow(Transformer(4, 3, width=8, layers=1, heads=1))


@pytest.mark.parametrize("name", ["affine", "affine in an order", "spline", "convolution"])
def test_jacobian_is_triangular_in_the_order(name):
    transform = shaken(TRANSFORMS[name](), scale=0.15)
    order = transform.conditioner.order
    J = audit.jacobians(transform, points())[:, order][:, :, order]
    assert torch.equal(J, J.tril()) and (J.diagonal(dim1=1, dim2=2) > 0).all()
    assert (J.abs().amax(0) > 0)[torch.ones(4, 4).tril() > 0].all(), "an earlier variable is not seen"


class TestDensity:
    @pytest.mark.parametrize("D", [1, 2])
    @pytest.mark.parametrize("build", [maf, iaf, realnvp])
    @pytest.mark.parametrize("univariate", [Affine(), Spline(6)], ids=["affine", "spline"])
    def test_integrates_to_one(self, D, build, univariate):
        if D == 1 and build is realnvp:
            with pytest.raises(ValueError, match="at least two variables, got D = 1"):
                realnvp(1)
            return
        flow = shaken(build(D, 2, (8,), univariate=univariate), scale=0.15)
        assert audit.total_density(flow.log_prob, [-14.0] * D, [14.0] * D, points=700) == pytest.approx(1, abs=2e-3)

    @pytest.mark.parametrize("build", [maf, iaf, realnvp])
    def test_samples_have_the_moments_of_the_density(self, build):
        flow = shaken(build(2, 2, (8,)), scale=0.15)
        line = torch.linspace(-14, 14, 701, dtype=torch.double)
        grid = torch.cartesian_prod(line, line)
        p = (flow.log_prob(grid).exp() * (line[1] - line[0]) ** 2).detach()
        x = flow.sample(40_000, generator=rng(2))
        for f in (lambda x: x, torch.square, lambda x: x.prod(-1, keepdim=True), torch.sin):
            expected, found = (p[:, None] * f(grid)).sum(0), f(x)
            assert ((found.mean(0) - expected).abs() < 5 * found.std(0) / 200 + 1e-3).all()

    def test_drawn_density_is_the_density(self):
        for build in (maf, iaf, realnvp):
            flow = shaken(build(3, 2, (8,)), scale=0.2)
            x, log_p = flow.rsample_and_log_prob(50, generator=rng())
            torch.testing.assert_close(flow.log_prob(x), log_p)
            torch.testing.assert_close(flow.sample(50, generator=rng()), x)
            assert log_p.requires_grad

    def test_gaussian_made_is_an_affine_flow(self):
        gaussian = shaken(MADE(4, (16,), output=Affine(), orders=ORDER), scale=0.3)
        flow = Flow(4, [AutoregressiveFlow(gaussian)])
        torch.testing.assert_close(flow.double().log_prob(points()), gaussian.log_prob(points()))
        assert isinstance(gaussian.output, Normal)

    def test_starts_as_the_identity(self):
        for flow in (maf(5), iaf(5), realnvp(5), maf(5, univariate=Spline()), realnvp(5, univariate=Spline())):
            z, log_det = flow.double()(points(D=5))
            torch.testing.assert_close(z, points(D=5))
            torch.testing.assert_close(log_det, torch.zeros(40).double(), atol=1e-12, rtol=0)

    def test_orders_alternate(self):
        orders = [part.conditioner.order.tolist() for part in maf(3, 3).transforms]
        assert orders == [[0, 1, 2], [2, 1, 0], [0, 1, 2]]
        assert all(part.conditioner.order.tolist() == [0, 1, 2] for part in maf(3, 3, reverse=False).transforms)
        assert [part.transform.conditioner.order.tolist() for part in iaf(3, 2).transforms] == [[2, 1, 0], [0, 1, 2]]
        coupled, x = shaken(realnvp(4, 2, (8,))), points()
        changed = [(part(x)[0] != x).all(0).tolist() for part in coupled.transforms]
        assert changed == [[False, True, False, True], [True, False, True, False]]

    def test_iaf_is_maf_backwards(self):
        forwards, backwards = shaken(maf(3, 2, (8,)), scale=0.3), shaken(iaf(3, 2, (8,)), scale=0.3)
        for a, b in zip(forwards.transforms, reversed(backwards.transforms), strict=True):
            b.transform.load_state_dict(a.state_dict())
        torch.testing.assert_close(forwards(points(D=3)), backwards.inverse(points(D=3)))


@pytest.mark.parametrize("build", [maf, iaf, realnvp])
def test_every_entry_of_the_context_is_used_by_its_own_row(build):
    flow = shaken(build(3, 2, (16,), context=2), scale=0.2)
    x, context = points(6, 3), torch.randn(6, 2, generator=rng(4), dtype=torch.double, requires_grad=True)
    for log_p in (flow.log_prob(x, context), flow.rsample_and_log_prob(6, context=context, generator=rng())[1]):
        (slope,) = torch.autograd.grad(log_p[2], context)
        assert (slope[2] != 0).all() and (slope[[0, 1, 3, 4, 5]] == 0).all()


@pytest.mark.parametrize("build", [maf, iaf, realnvp])
def test_no_two_layers_start_alike(build):
    first, second = ([p for p in part.parameters() if p.any()] for part in build(4, 2, (8,)).transforms)
    assert not any(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_data_are_taken_in_the_precision_of_the_flow():
    flow = shaken(maf(2, 1, (8,)), scale=0.2)
    x = points(5, 2)
    torch.testing.assert_close(flow.log_prob(x.float()), flow.log_prob(x.float().double()))
    assert flow.float().log_prob(x).dtype == torch.float32
    assert not any("zero" in name for name in flow.state_dict()), "files need not hold what is no weight"


def test_logit_moves_the_ends_by_a_thousandth():
    z, _ = Logit()(torch.tensor([[0.0, 0.5, 1.0]]).double())
    torch.testing.assert_close(z, torch.tensor([[-math.log(999), 0, math.log(999)]]).double())


def test_inverse_logit_stays_inside():
    y, _ = Inverse(Logit())(torch.tensor([[-50.0, 0.0, 50.0]]))
    assert y.min() > -0.01 and y.max() < 1.01


def test_layers_that_ignore_what_they_transform_collapse_into_one():
    """z = (x - b(c)) / a(c) twelve times is one such map; with a reversed layer between, it is not."""
    context = torch.randn(1, 3, generator=rng(4), dtype=torch.double).expand(5, 3)
    x = points(5, 1)
    flow = shaken(maf(1, 12, (8,), context=3), scale=0.2)
    z, log_det = flow(x, context)
    slope, start = (z[1] - z[0]) / (x[1] - x[0]), z[0] - (z[1] - z[0]) / (x[1] - x[0]) * x[0]
    torch.testing.assert_close(z, slope * x + start)
    torch.testing.assert_close(log_det, slope.abs().log().expand(5))
    deep = shaken(maf(2, 3, (8,)), scale=0.3)
    line = torch.stack([torch.linspace(-3, 3, 5).double(), torch.zeros(5).double()], 1)
    z, _ = deep(line)
    assert (z[2:] - 2 * z[1:-1] + z[:-2]).abs().max() > 1e-2, "the map should be curved"


class TestInversion:
    @pytest.mark.parametrize("D", [1, 7, 100])
    def test_each_unit_once_equals_D_passes(self, D):
        layer = AutoregressiveFlow(
            shaken(MADE(D, (40, 40), output=Affine(), orders=torch.arange(D).flip(0)), scale=0.05)
        )
        z = torch.randn(20, D, generator=rng(), dtype=torch.double)
        with torch.no_grad():
            fast, _ = layer.inverse(z)
            slow = super(MADE, layer.conditioner).generate(z, layer.conditioner.output.from_noise)
        torch.testing.assert_close(fast, slow)

    def test_gradients_pass_when_they_are_wanted(self):
        layer = shaken(AutoregressiveFlow(MADE(3, (8,), output=Affine())), scale=0.3)
        z = points(6, 3).requires_grad_()
        x, _ = layer.inverse(z)
        assert torch.autograd.grad(x[:, 2].sum(), z)[0].abs().sum(0).min() > 0


class TestSpline:
    def test_is_monotone_and_the_identity_outside(self):
        spline = Spline(6, reach=3)
        theta = torch.randn(1, spline.P, generator=rng(), dtype=torch.double)
        x = torch.linspace(-5, 5, 4002, dtype=torch.double)
        z, log_slope = spline.to_noise(theta.expand(4002, -1), x)
        assert (z.diff() > 0).all()
        outside = x.abs() >= 3
        assert torch.equal(z[outside], x[outside]) and (log_slope[outside] == 0).all()
        # slopes by differences: independent of the formula, and continuous across knots
        slopes = (z[2:] - z[:-2]) / (x[2:] - x[:-2])
        torch.testing.assert_close(slopes[1:-1].log(), log_slope[2:-2], atol=0.15, rtol=0)

    def test_extreme_parameters_stay_invertible(self):
        spline = Spline(8)
        theta = 1e4 * torch.randn(500, spline.P, generator=rng(), dtype=torch.double)
        x = 8 * torch.rand(500, generator=rng(1), dtype=torch.double) - 4
        z, log_slope = spline.to_noise(theta, x)
        assert z.isfinite().all() and log_slope.isfinite().all() and (z.abs() <= 4 + 1e-9).all()
        z_again, _ = spline.to_noise(theta, spline.from_noise(theta, z))
        torch.testing.assert_close(z_again, z, atol=1e-6, rtol=0)

    def test_a_steep_spline_gives_back_what_was_put_in(self):
        """x comes back as far as z tells it: the z of the x that comes back is z, to rounding."""
        spline, generator = Spline(8), rng(1)
        theta = 6 * torch.randn(20_000, spline.P, generator=generator)
        z = 8 * torch.rand(20_000, generator=generator) - 4
        for dtype, digits in ((torch.float32, 3e-4), (torch.float64, 1e-11)):
            again = spline.to_noise(theta.to(dtype), spline.from_noise(theta.to(dtype), z.to(dtype)))[0]
            slope = spline.to_noise(theta.to(dtype), spline.from_noise(theta.to(dtype), z.to(dtype)))[1].exp()
            assert ((again - z).abs() <= digits * (1 + slope)).all()  # rounding x moves z by as much as it is steep

    def test_a_spline_says_that_the_data_lie_beyond_its_reach(self):
        x = 20 + torch.randn(50, 2, generator=rng())
        for flow in (
            iaf(2, 2, (16,), univariate=Spline()),
            maf(2, 2, (16,), univariate=Spline()),
            maf(2, 2, (16,), univariate=Spline(reach=3)),
        ):
            with pytest.warns(UserWarning, match=r"variable 0 lies outside .* standardize the data"):
                flow.train().log_prob(x)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            flow.log_prob(x - 20)
            flow.eval().log_prob(x)  # a tail may be asked about


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
def test_zuko_gives_the_same_density_for_the_same_weights(order):
    made = shaken(MADE(3, (12, 12), output=Affine(), orders=order, direct=False), scale=0.3)
    (W, _, _), (U, _, _) = made.net.sorted_weights()[0]
    V = made.net.out.dense().detach()
    columns = torch.empty_like(W)
    columns[:, made.order] = W  # the network numbers its variables in the order
    rows, shifts = torch.empty(3, 2, 12).double(), torch.empty(3, 2).double()
    rows[made.order], shifts[made.order] = V.unflatten(0, (3, 2)), made.net.out.bias.detach().unflatten(0, (3, 2))

    def univariate(shift, log_scale):
        scale = (-bounded(log_scale)).exp()
        return AffineTransform(-shift * scale, scale)

    theirs = zuko.flows.MaskedAutoregressiveTransform(
        3, hidden_features=(12, 12), univariate=univariate, shapes=[(), ()]
    ).double()
    biases = [layer.bias.detach() for layer in made.net.hidden]
    linear = [layer for layer in theirs.hyper if hasattr(layer, "weight")]
    copied = zip(linear, (columns, U, rows.flatten(0, 1)), (*biases, shifts.flatten()), strict=True)
    with torch.no_grad():
        for layer, weight, bias in copied:
            layer.mask.fill_(True)  # what is zero stays zero
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
    flow = zuko.flows.Flow([theirs], zuko.flows.UnconditionalDistribution(zuko.distributions.DiagNormal, *STANDARD))
    expected = flow().log_prob(points(D=3))
    torch.testing.assert_close(Flow(3, [AutoregressiveFlow(made)]).double().log_prob(points(D=3)), expected)


STANDARD = torch.zeros(3).double(), torch.ones(3).double()


class TestBadInput:
    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: maf(3).log_prob(torch.zeros(2, 4)), r"shape \(B, 3\), got \(2, 4\)"),
            (lambda: maf(3).log_prob(torch.tensor([[0, float("nan"), float("inf")]])), "data hold 2 NaN or infinite"),
            (lambda: maf(3)(torch.zeros(2, 3), torch.zeros(2, 1)), "needs no context, got shape"),
            (lambda: maf(3, context=2).log_prob(torch.zeros(2, 3)), r"a context of shape \(2, 2\), got none"),
            (lambda: maf(3, context=1).sample(2, context=torch.full((2, 1), torch.nan)), "context hold 2 NaN"),
            (lambda: maf(3).sample(-1), "must not be negative, got -1"),
            (lambda: Linear([1.0, 0.0]), "W is singular"),
            (lambda: Linear([[1.0, 2.0], [2.0, 4.0]]), "W is singular"),
            (lambda: Linear([[1.0, 2.0]]), "square and finite"),
            (lambda: Logit()(torch.tensor([[0.5, 1.5]])), "inside .0, 1., found 0.5 to 1.5"),
            (lambda: Logit(0.5), "below 0.5"),
            (lambda: maf(3).log_prob(torch.zeros(3)), r"shape \(B, 3\), got \(3,\)"),
            (lambda: Linear([1.0, float("nan")]), "square and finite"),
            (lambda: Logit(-0.1), "at least 0"),
            (lambda: Spline(1), "K = 2 to 500 bins, got 1,"),
            (lambda: Spline(4, reach=0.0), "a positive, finite reach, got 0"),
            (lambda: Spline(4, reach=math.inf), "a positive, finite reach, got inf"),
            (lambda: Coupling([False, False], mlp(2, 2)), "both True and False"),
            (lambda: Coupling([1, 0], mlp(1, 2)), "must be a bool vector"),
            (lambda: MADE(2, output=Spline())(torch.zeros(1, 2)), "use it in a flow"),
            (lambda: Coupling([True, True], mlp(2, 2)), "both True and False"),
            (lambda: AutoregressiveFlow(MADE(3, output=Bernoulli())), "not Bernoulli; use output=Affine"),
            (lambda: AutoregressiveFlow(MADE(2, output=Affine(), orders=[[0, 1], [1, 0]])), "needs one order"),
            (lambda: Spline(1500), "K = 2 to 500 bins, got 1500"),
            (lambda: Flow(3, [], context=-1), "no negative context, got D = 3, -1"),
            (
                lambda: maf(6, 1, context=2).rsample_and_log_prob(1, context=torch.zeros(1, 2).cfloat()),
                "context needs real numbers",
            ),
            (lambda: maf(2, 1).sample(None), "whole number, got None"),
            (lambda: Spline(2.5), "got 2.5"),
            (lambda: maf(3, -1), "negative number of layers, got -1"),
            (lambda: realnvp(3, -1), "negative number of layers, got -1"),
            (lambda: Linear([1.0, 2.0], [1.0]), r"shift must be finite, of shape \(2,\)"),
            (lambda: Flow(3, [Linear([1.0, 2.0])]).log_prob(torch.zeros(2, 3)), r"Linear needs data of shape \(B, 2\)"),
            (lambda: Flow(0, []), "at least one variable .*, got D = 0"),
            (lambda: audit.total_density(maf(3).log_prob, [0.0] * 3, [1.0] * 3), "D = 1 or 2"),
        ],
    )
    def test_one_clear_error(self, call, message):
        with pytest.raises(ValueError, match=message):
            call()


def test_log_scales_are_bounded():
    """A column that never changes cannot drive the density to infinity."""
    flow = maf(2, 1, (8,))
    for p in flow.parameters():
        p.data.fill_(1e6)
    assert flow.log_prob(torch.zeros(3, 2)).isfinite().all()
    assert pytest.approx(math.log(2 * math.pi)) == flows.LOG_2PI

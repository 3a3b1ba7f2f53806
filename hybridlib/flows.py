"""Normalizing flows: a density by an invertible map to noise, and samples by its inverse.

Change of variables: log p(x) = log N(z; 0, I) + log |det dz/dx| with z = f(x). Autoregressive flows: Kingma et al.
(2016), arXiv:1606.04934 (IAF); Papamakarios, Pavlakou & Murray (2017), arXiv:1705.07057 (MAF). Coupling: Dinh,
Sohl-Dickstein & Bengio (2017), arXiv:1605.08803 (RealNVP). Splines: Durkan et al. (2019), arXiv:1906.04032. Chapter 7
builds them.

A transform is a module with ``forward(x, context=None) -> z (B, D), log |det dz/dx| (B,)`` and
``inverse(z, context=None) -> x (B, D), log |det dx/dz| (B,)``. Log-determinants are in nats.
"""

import math
import warnings
from collections.abc import Iterable, Sequence
from typing import NoReturn

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .autoregressive import Autoregressive, check_context, sampling
from .described import Described
from .layers import mlp
from .made import MADE
from .noise import draw
from .outputs import Normal, Real, beside, check_finite, check_rows, precise, through, values

LOG_2PI = math.log(2 * math.pi)


class Affine(Normal):
    """z = (x - mu) e^(-s) for each variable, theta = (mu, s). As an output of MADE: x is Gaussian, and z its noise.

    >>> Affine().to_noise(torch.tensor([[1.0, 0.0]]), torch.tensor([3.0]))[0]  # mu = 1, s = 0, x = 3
    tensor([2.])
    """

    def to_noise(self, theta: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """(..., 2), (...) -> z (...), log |dz/dx| (...)."""
        shift, log_scale = self._parts(theta)
        return (beside(x, shift) - shift) * (-log_scale).exp(), -log_scale

    def from_noise(self, theta: Tensor, z: Tensor) -> Tensor:
        """(..., 2), (...) -> x (...)."""
        shift, log_scale = self._parts(theta)
        return shift + beside(z, shift) * log_scale.exp()


class Spline(Real):
    """A monotone rational-quadratic spline of K bins on [-reach, reach], and the identity outside.

    Between two knots with bin width w, height h, slopes d0, d1, mean slope s = h / w and place t = (x - x_k) / w:
    z = z_k + h (s t^2 + d0 t (1 - t)) / (s + (d1 + d0 - 2 s) t (1 - t)). Parameters of zero give the identity.

    >>> z, log_slope = Spline(K=8).to_noise(torch.zeros(2, 23), torch.tensor([0.5, 9.0]))
    >>> z.round(decimals=4), log_slope.abs() < 1e-5
    (tensor([0.5000, 9.0000]), tensor([True, True]))
    """

    SMALLEST = 1e-3  # of widths and heights (as shares of the interval), and of slopes: no bin is ever singular

    def __init__(self, K: int = 8, *, reach: float = 4.0):
        most = 500  # of the smallest bins fill half of the interval
        if not 2 <= K <= most or int(K) != K or not 0 < reach < math.inf:
            raise ValueError(f"a spline needs K = 2 to {most} bins, got {K}, and a positive, finite reach, got {reach}")
        self.K, self.P, self.reach = K, 3 * K - 1, reach

    def distribution(self, theta: Tensor, u: Tensor | None = None) -> NoReturn:
        """A spline is a transform, not a density by itself, and nothing to draw from: ValueError."""
        raise ValueError("a spline is no distribution; use it in a flow, such as maf(D, univariate=Spline())")

    icdf = distribution

    def to_noise(self, theta: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """(..., 3K - 1), (...) -> z (...), log |dz/dx| (...)."""
        theta, x = precise(theta), beside(x, theta)
        inside = x.abs() < self.reach
        x0, w, z0, h, d0, d1 = self._bin(theta, x, inverse=False)
        s, t = h / w, ((torch.where(inside, x, 0) - x0) / w).clamp(0, 1)
        below = s + (d1 + d0 - 2 * s) * t * (1 - t)
        z = z0 + h * (s * t**2 + d0 * t * (1 - t)) / below
        log_slope = 2 * s.log() + (d1 * t**2 + 2 * s * t * (1 - t) + d0 * (1 - t) ** 2).log() - 2 * below.log()
        return torch.where(inside, z, x), torch.where(inside, log_slope, 0)

    def from_noise(self, theta: Tensor, z: Tensor) -> Tensor:
        """(..., 3K - 1), (...) -> x (...): the root of a quadratic, in the form that subtracts no equal numbers.

        Where the spline is nearly flat, many x have the same z to the last digit: x then comes back with the error of
        z over the slope, in float32 up to 1e-6 / slope, while z itself comes back.
        """
        theta, z = precise(theta), beside(z, theta)
        inside = z.abs() < self.reach
        x0, w, z0, h, d0, d1 = self._bin(theta, z, inverse=True)
        s, up = h / w, (torch.where(inside, z, 0) - z0).clamp(min=0)
        a = h * (s - d0) + up * (d1 + d0 - 2 * s)
        b = h * d0 - up * (d1 + d0 - 2 * s)
        t = 2 * s * up / (b + (b**2 + 4 * a * s * up).clamp(min=0).sqrt())
        return torch.where(inside, x0 + w * t.clamp(0, 1), z)

    def warn_outside(self, x: Tensor) -> None:
        """Warn of variables (columns of x) that lie outside in all of many rows: nothing there can be learned."""
        outside = (values(x.detach()).abs() >= self.reach).all(0)
        if len(x) >= 10 and outside.any():  # few rows may lie there by chance
            warnings.warn(
                f"variable {int(outside.int().argmax())} lies outside [-{self.reach:g}, {self.reach:g}] in every row, "
                "where a spline is the identity and learns nothing; standardize the data (hybridlib.flows.Linear), or "
                "take a larger reach",
                stacklevel=2,
            )

    def _bin(self, theta: Tensor, value: Tensor, *, inverse: bool) -> tuple[Tensor, ...]:
        """Left knot, width, left height, height, and the two slopes of the bin in which each value lies."""
        widths, heights, slopes = theta.split([self.K, self.K, self.K - 1], -1)
        low, small = -self.reach, self.SMALLEST
        widths, heights = (small + (1 - small * self.K) * part.softmax(-1) for part in (widths, heights))
        x, z = (F.pad(2 * self.reach * part.cumsum(-1), (1, 0)) + low for part in (widths, heights))
        one = math.log(math.expm1(1 - small))  # where softplus, with the smallest slope, is 1
        slopes = F.pad(small + F.softplus(slopes + one), (1, 1), value=1.0)
        knots = (z if inverse else x)[..., 1:-1]
        k = (value.unsqueeze(-1) >= knots).sum(-1, keepdim=True)

        def take(part, i):
            return part.gather(-1, i).squeeze(-1)

        x0, z0 = take(x, k), take(z, k)
        return x0, take(x, k + 1) - x0, z0, take(z, k + 1) - z0, take(slopes, k), take(slopes, k + 1)


class AutoregressiveFlow(Described, nn.Module):
    """z_d = f(x_d; theta_d(x_before(d))): MAF where the conditioner is a MADE whose output is `Affine`.

    Density in one pass, because every x is there; the inverse needs x_before(d) first, one variable after the other.
    dz/dx is triangular in the order of the conditioner: its log-determinant is the sum of log |dz_d/dx_d|.

    >>> z, log_det = AutoregressiveFlow(MADE(4, output=Affine()))(torch.randn(9, 4))
    >>> z.shape, log_det.shape
    (torch.Size([9, 4]), torch.Size([9]))
    """

    def __init__(self, conditioner: Autoregressive):
        super().__init__()
        if not hasattr(conditioner.output, "to_noise"):
            name = type(conditioner.output).__name__
            raise ValueError(f"a flow needs an invertible map, not {name}; use output=Affine() or Spline()")
        if len(conditioner.orders) > 1:
            raise ValueError(f"a flow needs one order, the conditioner has {len(conditioner.orders)}; give one")
        self.conditioner, self.univariate = conditioner, conditioner.output

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x (B, D) -> z (B, D), log |det dz/dx| (B,): one pass."""
        z, log_slope = self.univariate.to_noise(self.conditioner.theta(x, context), x)
        return z, log_slope.sum(-1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z (B, D) -> x (B, D), log |det dx/dz| (B,): D steps; a MADE computes each of its units once."""
        x = self.conditioner.generate(z, self.univariate.from_noise, context)
        return x, -self(x, context)[1]


class Coupling(Described, nn.Module):
    """Half of the variables pass unchanged and decide how the others change: z_b = f(x_b; theta(x_a)), z_a = x_a.

    ``passes`` (D,) bool marks the half that passes; ``network`` gives the parameters of the univariate map f for the
    others, (B, A + context) -> (B, (D - A) P). Both directions take one pass.

    >>> layer, x = Coupling([True, False, True], mlp(2, 8, 2)), torch.randn(5, 3)
    >>> (layer(x)[0] == x).all(0)
    tensor([ True, False,  True])
    """

    def __init__(
        self, passes: Tensor | Sequence[bool], network: nn.Module, *, univariate: Affine | Spline | None = None
    ):
        super().__init__()
        passes = torch.as_tensor(passes)
        if passes.dtype != torch.bool or passes.dim() != 1 or passes.all() or not passes.any():
            raise ValueError(f"passes must be a bool vector with both True and False, got {passes.tolist()}")
        self.network, self.univariate = network, univariate or Affine()
        self.register_buffer("passing", passes.nonzero().flatten())
        self.register_buffer("changing", (~passes).nonzero().flatten())

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x (B, D) -> z (B, D), log |det dz/dx| (B,)."""
        z, log_slope = self.univariate.to_noise(self._theta(x, context), x[:, self.changing])
        return x.index_copy(1, self.changing, z), log_slope.sum(-1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z (B, D) -> x (B, D), log |det dx/dz| (B,)."""
        theta = self._theta(z, context)
        x = self.univariate.from_noise(theta, z[:, self.changing])
        return z.index_copy(1, self.changing, x), -self.univariate.to_noise(theta, x)[1].sum(-1)

    def _theta(self, x: Tensor, context: Tensor | None) -> Tensor:
        seen = x[:, self.passing] if context is None else torch.cat([x[:, self.passing], context], 1)
        return through(self.network, seen).unflatten(-1, (len(self.changing), self.univariate.P))


class Linear(Described, nn.Module):
    """z = W x + shift with a fixed matrix W (D, D) or a vector of scales (D,). ValueError where it is singular.

    >>> Linear([2.0, 5.0])(torch.ones(1, 2))  # log 10
    (tensor([[2., 5.]]), tensor([2.3026]))
    """

    def __init__(self, W: Tensor | Sequence, shift: Tensor | Sequence[float] | None = None):
        super().__init__()
        W = torch.as_tensor(W, dtype=torch.get_default_dtype())
        W = torch.diag(W) if W.dim() == 1 else W
        if W.dim() != 2 or W.shape[0] != W.shape[1] or not torch.isfinite(W).all():
            raise ValueError(f"W must be square and finite, got shape {tuple(W.shape)}")
        if torch.linalg.matrix_rank(W) < len(W):
            raise ValueError(f"W is singular (singular values {torch.linalg.svdvals(W).tolist()}): nothing inverts it")
        shift = torch.zeros(len(W)) if shift is None else torch.as_tensor(shift).to(W)
        if shift.shape != W.shape[:1] or not torch.isfinite(shift).all():
            raise ValueError(f"the shift must be finite, of shape ({len(W)},), got shape {tuple(shift.shape)}")
        self.register_buffer("W", W)
        self.register_buffer("shift", shift)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x (B, D) -> z (B, D), log |det W| (B,)."""
        check_rows(x, len(self.W), "Linear")
        W, shift = precise(self.W), precise(self.shift)
        with torch.autocast(W.device.type, enabled=False):  # a part of the density, not of a network
            return beside(x, W) @ W.t() + shift, torch.linalg.slogdet(W).logabsdet.expand(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z (B, D) -> x (B, D), -log |det W| (B,)."""
        W, shift = precise(self.W), precise(self.shift)
        x = torch.linalg.solve(W, (beside(z, W) - shift).t()).t()
        return x, -torch.linalg.slogdet(W).logabsdet.expand(len(z))


class Logit(Described, nn.Module):
    """z = logit(a + (1 - 2a) x): stretches the interval [0, 1] over the line. ``a`` keeps its ends at finite places.

    >>> Logit()(torch.tensor([[0.0, 1.0]]))[0].round()
    tensor([[-7.,  7.]])
    """

    def __init__(self, a: float = 1e-3):
        super().__init__()
        if not 0 <= a < 0.5:
            raise ValueError(f"a is {a}; it must be at least 0 and below 0.5")
        self.a = a

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x (B, D) -> z (B, D), log |det dz/dx| (B,). ValueError outside the interval."""
        y = self.a + (1 - 2 * self.a) * x
        inside = values((y > 0) & (y < 1))
        if not inside.all():
            low, high = (end.item() for end in values(x.detach()).aminmax())
            raise ValueError(f"Logit needs values inside (0, 1), found {low:g} to {high:g}; divide by the levels")
        return y.logit(), (math.log(1 - 2 * self.a) - y.log() - (-y).log1p()).sum(-1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z (B, D) -> x (B, D), log |det dx/dz| (B,)."""
        log_slope = F.logsigmoid(z) + F.logsigmoid(-z) - math.log(1 - 2 * self.a)
        return (z.sigmoid() - self.a) / (1 - 2 * self.a), log_slope.sum(-1)


class Inverse(Described, nn.Module):
    """The same transform, read backwards: Inverse(MAF) is IAF.

    >>> Inverse(Linear([4.0]))(torch.ones(1, 1))[0]
    tensor([[0.2500]])
    """

    def __init__(self, transform: nn.Module):
        super().__init__()
        self.transform, self.univariate = transform, getattr(transform, "univariate", None)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x (B, D) -> z (B, D), log |det dz/dx| (B,)."""
        return self.transform.inverse(x, context)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z (B, D) -> x (B, D), log |det dx/dz| (B,)."""
        return self.transform.forward(z, context)


class Flow(Described, nn.Module):
    """log p(x | c) = log N(z; 0, I) + sum of the log-determinants, z = f_L(... f_1(x)): transforms in a row.

    A flow is a transform itself. ``context`` is the length C of c, which every transform is given.

    >>> flow = Flow(2, [Linear([2.0, 0.5]), *maf(2).transforms])
    >>> flow.log_prob(torch.randn(7, 2)).shape, flow.sample(3).shape
    (torch.Size([7]), torch.Size([3, 2]))
    """

    def __init__(self, D: int, transforms: Iterable[nn.Module], *, context: int = 0):
        super().__init__()
        if D < 1 or context < 0:
            raise ValueError(f"a flow needs at least one variable and no negative context, got D = {D}, {context}")
        self.D, self.context = D, context
        self.transforms = nn.ModuleList(transforms)
        self.register_buffer("zero", torch.zeros(()), persistent=False)  # tells precision and device

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x (B, D) -> noise z (B, D), log |det dz/dx| (B,)."""
        if self.training and torch.is_grad_enabled() and isinstance(x, Tensor):
            univariate = next((getattr(part, "univariate", None) for part in self.transforms), None)
            if isinstance(univariate, Spline):  # it meets the data themselves
                univariate.warn_outside(x)
        return self._run((transform.forward for transform in self.transforms), x, context)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Noise z (B, D) -> x (B, D), log |det dx/dz| (B,)."""
        return self._run((transform.inverse for transform in reversed(self.transforms)), z, context)

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x): (B, D) -> (B,), nats. ValueError for wrong shapes, NaN and infinities.

        Five layers of 784 variables in float32 are right to a hundred-thousandth of it, while no scale is extreme.
        """
        z, log_det = self(x, context)
        return _standard_normal(z) + log_det

    def rsample_and_log_prob(
        self, n: int, *, context: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """n samples x (n, D) with their log p(x) (n,), nats, through which gradients pass."""
        check_context(self, n, context)
        z = draw(torch.randn, (n, self.D), like=self.zero, generator=generator)
        x, log_det = self.inverse(z, context)
        return x, _standard_normal(z) - log_det

    @sampling
    def sample(self, n: int, *, context: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """n samples (n, D); ``context`` is (n, C) where p(x | c)."""
        return self.rsample_and_log_prob(n, context=context, generator=generator)[0]

    def _run(self, steps: Iterable, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        check_rows(x, self.D, "a flow")
        check_context(self, len(x), context)
        check_finite(x)
        x, context = beside(x, self.zero), None if context is None else beside(context, self.zero)
        total = x.new_zeros(len(x))
        for step in steps:
            x, log_det = step(x, context)
            total = total + log_det
        return x, total


def _standard_normal(z: Tensor) -> Tensor:
    """log N(z; 0, I): (B, D) -> (B,)."""
    return -(z.square() + LOG_2PI).sum(-1) / 2


def maf(
    D: int, layers: int = 5, hidden: tuple[int, ...] = (64, 64), *, univariate: Affine | Spline | None = None,
    context: int = 0, reverse: bool = True,
) -> Flow:  # fmt: skip
    """A masked autoregressive flow: fast density, sampling variable by variable.

    Layers take turns in the natural order and its reverse (``reverse``), because what a layer cannot express in one
    order the next can in the other. It starts as the identity. ValueError for D < 1 or a negative number of layers.

    >>> x = torch.randn(5, 2)
    >>> torch.equal(maf(2, layers=3)(x)[0], x)
    True
    """
    natural = torch.arange(D)
    _check_layers(layers)
    parts = []
    for layer in range(layers):
        order = natural.flip(0) if reverse and layer % 2 else natural
        conditioner = MADE(D, hidden, output=univariate or Affine(), orders=order, context=context)
        _silence(conditioner.net.out, conditioner.net.direct)
        parts.append(AutoregressiveFlow(conditioner))
    return Flow(D, parts, context=context)


def iaf(
    D: int, layers: int = 5, hidden: tuple[int, ...] = (64, 64), *, univariate: Affine | Spline | None = None,
    context: int = 0, reverse: bool = True,
) -> Flow:  # fmt: skip
    """An inverse autoregressive flow, the layers of `maf` read backwards: fast samples, slow density.

    >>> x, log_p = iaf(3, 2, context=1).rsample_and_log_prob(5, context=torch.zeros(5, 1))
    >>> x.shape, log_p.requires_grad
    (torch.Size([5, 3]), True)
    """
    flow = maf(D, layers, hidden, univariate=univariate, context=context, reverse=reverse)
    return Flow(D, [Inverse(transform) for transform in reversed(flow.transforms)], context=context)


def realnvp(
    D: int, layers: int = 6, hidden: tuple[int, ...] = (64, 64), *, univariate: Affine | Spline | None = None,
    context: int = 0,
) -> Flow:  # fmt: skip
    """Coupling layers that let the even and odd variables pass in turn, fast in both directions. ValueError for D < 2.

    >>> realnvp(4, 2, univariate=Spline(6)).sample(3).shape
    torch.Size([3, 4])
    """
    if D < 2:
        raise ValueError(f"coupling needs at least two variables, got D = {D}; use maf")
    _check_layers(layers)
    univariate, parts = univariate or Affine(), []
    for layer in range(layers):
        passes = torch.arange(D) % 2 == layer % 2
        A = int(passes.sum())
        network = mlp(A + context, *hidden, (D - A) * univariate.P)
        _silence(network[-1])
        parts.append(Coupling(passes, network, univariate=univariate))
    return Flow(D, parts, context=context)


def _check_layers(layers: int) -> None:
    if layers < 0:
        raise ValueError(f"a flow has no negative number of layers, got {layers}")


@torch.no_grad()
def _silence(*layers) -> None:
    """Weights and biases zero, so that the transform starts as the identity."""
    for layer in layers:
        if layer is not None:
            layer.weight.zero_()
            layer.bias.zero_()

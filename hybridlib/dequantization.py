"""Dequantization: a continuous density for discrete data, what its bound says, and what it costs.

Uria, Murray & Larochelle (2013), arXiv:1306.0186 (uniform noise); Theis, van den Oord & Bethge (2016), arXiv:1511.01844
(the bound); Ho et al. (2019), arXiv:1902.00275 (variational). Argmax decoding of Gaussians: Thurstone (1927), today the
multinomial probit. Chapter 8 builds it.

Data have whole numbers 0 .. levels - 1. Noise of width w turns x into v in the cell [x, x + w)^D, of volume w^D. The
density models y = v / levels, so that p(v) = p(y) / levels^D.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, distributions, nn
from torch.distributions import constraints

from .autoregressive import Autoregressive, sampling
from .described import Described
from .flows import Flow, iaf
from .noise import draw
from .outputs import Categorical, beside, bounded, check_rows, check_whole, precise


def bits_per_dim(log_prob: Tensor, D: int) -> Tensor:
    """log P(x) in nats -> bits per variable, -log2 P(x) / D: (B,) -> (B,)."""
    return -log_prob / (D * math.log(2))


def _width(w: float) -> float:
    if not 0 < w <= 1:
        raise ValueError(f"the noise has width w = {w}; it must lie in (0, 1], for wider cells overlap")
    return float(w)


def _levels(levels: int) -> int:
    if levels < 2 or levels != int(levels):
        raise ValueError(f"discrete data have a whole number of levels, at least 2, got {levels}")
    return int(levels)


class UniformDequantizer(Described, nn.Module):
    """q(v | x) uniform on [x, x + w)^D: log q = -D log w."""

    def __init__(self, w: float = 1.0):
        super().__init__()
        self.w = _width(w)

    def forward(self, x: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """x (B, D) -> noise v - x in [0, w) (B, D), log q(v | x) (B,), nats."""
        noise = self.w * draw(torch.rand, x.shape, like=x, generator=generator)
        return noise, noise.new_full((len(x),), -x.shape[1] * math.log(self.w))


class VariationalDequantizer(Described, nn.Module):
    """q(v | x) by a conditional flow: v - x = w sigmoid(e), e from a flow over the line with the context x.

    ``flow`` needs ``context=D`` and a fast inverse, such as iaf or realnvp; a small iaf unless given.
    """

    def __init__(self, D: int, levels: int, *, flow: Flow | None = None, w: float = 1.0):
        super().__init__()
        self.flow, self.levels, self.w = flow or iaf(D, 2, (64,), context=D), _levels(levels), _width(w)
        if (self.flow.D, self.flow.context) != (D, D):
            raise ValueError(
                f"the noise of D = {D} variables needs a flow of {D} variables with context={D}, "
                f"got {self.flow.D} with context={self.flow.context}"
            )

    def forward(self, x: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """x (B, D) -> noise v - x in (0, w) (B, D), log q(v | x) (B,), nats. Gradients pass through both."""
        context = 2 * x / (self.levels - 1) - 1
        e, log_q = self.flow.draw(len(x), context=context, generator=generator)
        log_slope = F.logsigmoid(e) + F.logsigmoid(-e) + math.log(self.w)  # of v against e
        # in float32 a sigmoid can round up to 1: that v would lie in the next cell
        noise = self.w * e.sigmoid().clamp(max=1 - torch.finfo(e.dtype).eps)
        return noise, log_q - log_slope.sum(-1)


class Dequantized(Described, nn.Module):
    """P(x) = integral of p(v) over the cell [x, x + w)^D, bounded by E_q[log p(v) - log q(v | x)].

    ``density``      of y = v / levels: ``log_prob(y) -> (B,)`` and ``sample(n)``, such as a Flow or a MADE with a
                     continuous output
    ``levels``       how many values a variable has
    ``dequantizer``  uniform noise of width 1 unless given
    """

    def __init__(self, density: nn.Module, levels: int, dequantizer: nn.Module | None = None):
        super().__init__()
        self.density, self.levels, self.D = density, _levels(levels), density.D
        self.dequantizer = UniformDequantizer() if dequantizer is None else dequantizer

    def elbo(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """log p(v) - log q(v | x) for one v ~ q: (B, D) -> (B,), nats. Its mean is at most log P(x)."""
        x = self._checked(x)
        noise, log_q = self.dequantizer(x, generator=generator)
        return self._log_density(x + noise) - log_q

    def importance_bound(self, x: Tensor, K: int, *, generator: torch.Generator | None = None) -> Tensor:
        """log 1/K sum_k p(v_k) / q(v_k | x): (B, D) -> (B,), nats. Its mean is at most log P(x) and rises with K."""
        if K < 1 or int(K) != K:
            raise ValueError(f"a bound needs a whole number of samples, at least one, got K = {K}")
        return torch.stack([self.elbo(x, generator=generator) for _ in range(K)]).logsumexp(0) - math.log(K)

    def log_prob_on_grid(self, x: Tensor, *, points: int = 100) -> Tensor:
        """log P(x) by the midpoint rule over each cell: (B, D) -> (B,), nats. For D = 1 or 2, else ValueError."""
        if self.D > 2:
            raise ValueError(f"a grid in D = {self.D} dimensions has too many points; use importance_bound")
        if points < 1:
            raise ValueError(f"the midpoint rule needs at least one point, got {points}")
        x, w = self._checked(x), self.dequantizer.w
        line = w * (torch.arange(points, dtype=x.dtype, device=x.device) + 0.5) / points
        grid = torch.cartesian_prod(*[line] * self.D).view(-1, self.D)
        parts = grid.split(max(1, 200_000 // max(1, len(x))))
        log_p = torch.cat(
            [self._log_density((x + part[:, None]).flatten(0, 1)).view(len(part), len(x)) for part in parts]
        )
        return log_p.logsumexp(0) + self.D * math.log(w / points)

    @sampling
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """n samples (n, D): v from the density, rounded down, into the range of the levels."""
        v = self.levels * self.density.sample(n, generator=generator)
        return v.floor().clamp(0, self.levels - 1)

    def _log_density(self, v: Tensor) -> Tensor:
        """log p(v) = log p(y) - D log levels: the scaling to [0, 1] has a volume too."""
        return self.density.log_prob(v / self.levels) - self.D * math.log(self.levels)

    def _checked(self, x: Tensor) -> Tensor:
        check_rows(x, self.D, "Dequantized")
        remedy = "round or re-level them, and leave the noise to the dequantizer"
        check_whole(x, self.levels, f"data of {self.levels} levels hold", remedy)
        numbers = (t for t in (*self.parameters(), *self.buffers()) if t.is_floating_point())
        return beside(x, next(numbers, x.new_empty(0, dtype=torch.float32)))


class ArgmaxNormal(distributions.Distribution):
    """x = argmax_k y_k with independent y_k ~ N(loc_k, scale_k): a discrete distribution, the multinomial probit.

    P(x = k) = integral N(t; 0, 1) prod_{j != k} Phi((loc_k + scale_k t - loc_j) / scale_j) dt, by the trapezoidal rule
    on ``points`` places in [-9, 9]. With 128 points it is exact to 1e-6 while no scale is less than a ninth of another,
    with 64 a quarter. Where ``allowed`` (..., K) is False, k takes no part in the contest.
    """

    arg_constraints = {"loc": constraints.real_vector, "scale": constraints.positive}
    support = constraints.nonnegative_integer

    def __init__(self, loc: Tensor, scale: Tensor, *, allowed: Tensor | None = None, points: int = 128):
        allowed = torch.ones_like(loc, dtype=torch.bool) if allowed is None else allowed
        self.loc, self.scale, self.allowed = torch.broadcast_tensors(loc, scale, allowed)
        self.points = points
        super().__init__(self.loc.shape[:-1], validate_args=False)

    @property
    def logits(self) -> Tensor:
        """log P(x = k) for every k: (..., K), nats. They need no normalization."""
        K = self.loc.shape[-1]
        return torch.stack(
            [self.log_prob(torch.full(self.batch_shape, k, device=self.loc.device)) for k in range(K)], -1
        )

    def log_prob(self, value: Tensor) -> Tensor:
        """log P(x = value), nats: (...) -> (...)."""
        t = torch.linspace(-9, 9, self.points, dtype=self.loc.dtype, device=self.loc.device)
        k = value.to(self.loc.device).long().unsqueeze(-1)
        at = self.loc.gather(-1, k) + self.scale.gather(-1, k) * t  # (..., points)
        below = torch.special.log_ndtr((at.unsqueeze(-2) - self.loc.unsqueeze(-1)) / self.scale.unsqueeze(-1))
        others = self.allowed.scatter(-1, k, False).unsqueeze(-1)
        log_weight = (-t.square() / 2).log_softmax(0)  # of the places: they sum to 1 after rounding, too
        log_p = (torch.where(others, below, 0).sum(-2) + log_weight).logsumexp(-1).clamp(max=0)
        return torch.where(self.allowed.gather(-1, k).squeeze(-1), log_p, -math.inf)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008 (torch's own signature)
        """Samples of shape sample_shape + batch shape, by Gaussian noise and argmax."""
        shape = torch.Size(sample_shape) + self.loc.shape
        y = self.loc + self.scale * torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return y.masked_fill(~self.allowed, -math.inf).argmax(-1)

    def elbo(self, value: Tensor, *, w: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
        """Bound of log P(x = value) by noise u ~ U[0, w)^K: log N(onehot + u; loc, scale) + K log w, nats, (...)."""
        y = F.one_hot(value.to(self.loc.device).long(), self.loc.shape[-1]).to(self.loc)
        y = y + _width(w) * draw(torch.rand, y.shape, like=y, generator=generator)
        log_p = distributions.Normal(self.loc, self.scale, validate_args=False).log_prob(y)
        return torch.where(self.allowed, log_p + math.log(w), 0).sum(-1)


class Argmax(Categorical):
    """The output of an autoregressive model whose categories are decided by the largest of K Gaussians.

    theta holds K means and K log-scales. The scales lie in 0.3 e^(-spread) .. 0.3 e^spread: 1.1 holds what noise of
    width 0.5 to 1 asks for. `ArgmaxNormal` says how many ``points`` keep its integral exact.
    """

    def __init__(self, K: int, *, spread: float = 1.1, points: int = 128):
        super().__init__(K)
        if not 0 < spread < math.inf or points < 2:
            raise ValueError(f"Argmax needs a positive spread and at least two points, got {spread} and {points}")
        self.P, self.spread, self.points = 2 * K, spread, points

    def distribution(self, theta: Tensor, *, allowed: Tensor | None = None, temperature: float = 1.0) -> ArgmaxNormal:
        """(B, D, 2K) -> ArgmaxNormal with batch shape (B, D); ``temperature`` multiplies the scales."""
        loc, log_scale = precise(theta).chunk(2, -1)
        scale = temperature * 0.3 * bounded(log_scale, self.spread).exp()
        return ArgmaxNormal(loc, scale, allowed=allowed, points=self.points)

    def pick(self, theta: Tensor, u: Tensor) -> Tensor:
        """Inverse transform on the exact probabilities: one uniform a variable."""
        return super().pick(self.distribution(theta).logits, u)


def argmax_elbo(
    model: Autoregressive, x: Tensor, *, w: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """The dequantized bound of a model whose output is `Argmax`: (B, D) -> (B,), nats, at most model.log_prob(x).

    Each variable is a one-hot vector plus noise, a Gaussian given the *discrete* variables before it, as in GraphAF.
    """
    return model(x).elbo(x, w=w, generator=generator).sum(-1)

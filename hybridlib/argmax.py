"""Argmax decoding: a category is decided by the largest of K Gaussians, and its exact probability is an integral.

Thurstone (1927), "A law of comparative judgment", today the multinomial probit; as the decisions of a flow: Shi et al.
(2020), arXiv:2001.09382. Chapter 8 builds it.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, distributions
from torch.distributions import constraints

from .autoregressive import Autoregressive
from .noise import check_width, draw
from .outputs import Categorical, bounded, check_temperature, precise


class ArgmaxNormal(distributions.Distribution):
    """x = argmax_k y_k with independent y_k ~ N(loc_k, scale_k): a discrete distribution, the multinomial probit.

    P(x = k) = integral N(t; 0, 1) prod_{j != k} Phi((loc_k + scale_k t - loc_j) / scale_j) dt, by the trapezoidal rule
    on ``points`` places in [-9, 9]. With 128 points it is exact to 1e-6 while no scale is less than a ninth of another,
    with 64 a quarter. Where ``allowed`` (..., K) is False, k takes no part in the contest.

    >>> p = ArgmaxNormal(loc=torch.zeros(3), scale=torch.ones(3), allowed=torch.tensor([True, False, True]))
    >>> p.logits.exp().round(decimals=4)
    tensor([0.5000, 0.0000, 0.5000])
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
        categories = range(self.loc.shape[-1])
        every = (torch.full(self.batch_shape, k, device=self.loc.device) for k in categories)
        return torch.stack([self.log_prob(k) for k in every], -1)

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
        y = y + check_width(w) * draw(torch.rand, y.shape, like=y, generator=generator)
        log_p = distributions.Normal(self.loc, self.scale, validate_args=False).log_prob(y)
        return torch.where(self.allowed, log_p + math.log(w), 0).sum(-1)


class Argmax(Categorical):
    """The output of an autoregressive model whose categories are decided by the largest of K Gaussians.

    theta holds K means and K log-scales. The scales lie in 0.3 e^(-spread) .. 0.3 e^spread: 1.1 holds what noise of
    width 0.5 to 1 asks for. `ArgmaxNormal` says how many ``points`` keep its integral exact.

    >>> Argmax(3).distribution(torch.zeros(5, 2, 6)).log_prob(torch.ones(5, 2)).shape
    torch.Size([5, 2])
    """

    def __init__(self, K: int, *, spread: float = 1.1, points: int = 128):
        super().__init__(K)
        if not 0 < spread < math.inf or points < 2:
            raise ValueError(f"Argmax needs a positive spread and at least two points, got {spread} and {points}")
        self.P, self.spread, self.points = 2 * K, spread, points

    def distribution(self, theta: Tensor, *, allowed: Tensor | None = None, temperature: float = 1.0) -> ArgmaxNormal:
        """(B, D, 2K) -> ArgmaxNormal with batch shape (B, D); ``temperature`` multiplies the scales."""
        check_temperature(temperature)
        loc, log_scale = precise(theta).chunk(2, -1)
        scale = temperature * 0.3 * bounded(log_scale, self.spread).exp()
        return ArgmaxNormal(loc, scale, allowed=allowed, points=self.points)

    def icdf(self, theta: Tensor, u: Tensor) -> Tensor:
        """Inverse transform on the exact probabilities: one uniform a variable."""
        return super().icdf(self.distribution(theta).logits, u)


def argmax_elbo(
    model: Autoregressive, x: Tensor, *, w: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """The dequantized bound of a model whose output is `Argmax`: (B, D) -> (B,), nats, at most model.log_prob(x).

    Each variable is a one-hot vector plus noise, a Gaussian given the *discrete* variables before it, as in GraphAF.

    >>> from hybridlib.made import MADE
    >>> argmax_elbo(MADE(4, output=Argmax(3)), torch.zeros(7, 4)).shape
    torch.Size([7])
    """
    return model(x).elbo(x, w=w, generator=generator).sum(-1)

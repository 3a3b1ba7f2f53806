"""What parameters mean: a network's theta (B, D, P) becomes a ``torch.distributions`` object with batch shape (B, D).

An output also draws by inverse transform, one uniform per variable, so that two samplers which are given the same
uniforms must give the same samples. Chapter 5 builds it.
"""

import math
import numbers

import torch
import torch.nn.functional as F
from torch import Tensor, distributions, nn
from torch.distributions import constraints

from .described import Described


def precise(t: Tensor) -> Tensor:
    """float32 at least: a network may compute in 8 or 11 bits, probabilities and their sums may not.

    >>> precise(torch.zeros(2, dtype=torch.bfloat16)).dtype
    torch.float32
    """
    return t.to(torch.promote_types(t.dtype, torch.float32))


def beside(x: Tensor, weight: Tensor) -> Tensor:
    """x on the device of the weights, in their precision or float32, so that whole numbers stay whole.

    >>> beside(torch.tensor([255]), torch.zeros(1, dtype=torch.bfloat16))
    tensor([255.])
    """
    return x.to(weight.device, torch.promote_types(weight.dtype, torch.float32))


def through(network: nn.Module, x: Tensor) -> Tensor:
    """network(x), computed in the precision of its weights, answered in float32 at least.

    >>> through(nn.Linear(3, 2).bfloat16(), torch.zeros(5, 3)).dtype
    torch.float32
    """
    return precise(network(x.to(next(network.parameters(), x).dtype)))


def values(x: Tensor) -> Tensor:
    """x to look at: what a transform of torch.func has wrapped, such as a batch of vmap, as the tensor that it is.

    >>> values(torch.ones(2))
    tensor([1., 1.])
    """
    return getattr(torch.func, "debug_unwrap", lambda x: x)(x)  # torch has it since 2.7; before, vmap cannot be asked


def outcome(p: Tensor, u: Tensor) -> Tensor:
    """Inverse transform: p (..., K), u (...) -> the first of K outcomes whose cumulative probability exceeds u.

    >>> outcome(torch.tensor([0.2, 0.5, 0.3]), torch.tensor(0.6))
    tensor(1)
    """
    cumulative = p.cumsum(-1)
    # sums round: the last one is not quite 1, and a u above it must not draw an outcome of probability 0
    total = cumulative[..., -1]
    u = torch.minimum(u * total, total.nextafter(torch.zeros_like(total)))
    return (u.unsqueeze(-1) >= cumulative[..., :-1]).sum(-1)


class Bernoulli(Described):
    """p(x = 1) = sigmoid(theta): one parameter per variable, values 0 and 1.

    >>> Bernoulli().distribution(torch.zeros(5, 3, 1)).log_prob(torch.ones(5, 3)).shape
    torch.Size([5, 3])
    """

    P = 1  # parameters per variable, which the network gives
    width = 1  # inputs per variable, which the network sees

    def distribution(self, theta: Tensor) -> distributions.Distribution:
        """(B, D, 1) -> Bernoulli with batch shape (B, D)."""
        return distributions.Bernoulli(logits=precise(theta).squeeze(-1), validate_args=False)

    def icdf(self, theta: Tensor, u: Tensor) -> Tensor:
        """Inverse transform: (..., 1) and uniforms (...) -> values (...)."""
        return (u < torch.sigmoid(precise(theta).squeeze(-1))).to(u.dtype)

    def encode(self, x: Tensor) -> Tensor:
        """What the network sees: (B, D) -> (B, D, 1)."""
        return x.unsqueeze(-1)

    def check(self, x: Tensor) -> None:
        """Raise ValueError unless every entry is 0 or 1 (NaN and infinity are neither)."""
        x = values(x)
        good = (x == 0) | (x == 1)
        if not good.all():
            bad = x[~good][0].item()
            raise ValueError(f"a Bernoulli model needs values 0 or 1, found {bad:g}; binarize the data first")


def check_whole(x: Tensor, K: int, owner: str, remedy: str) -> None:
    """Raise ValueError, "`owner` whole numbers ...; `remedy`", unless every entry is one of 0..K-1 (NaN is none).

    >>> check_whole(torch.tensor([0.0, 3.0]), 4, "dice show", "count from 0")
    """
    x = values(x if x.is_floating_point() else x.long())  # in 8 bits, K = 256 would be 0
    good = (x >= 0) & (x < K) & (x == x.round())
    if not good.all():
        raise ValueError(f"{owner} whole numbers 0..{K - 1}, found {x[~good][0].item():g}; {remedy}")


def check_rows(x: Tensor, D: int | None, owner: str) -> None:
    """Raise ValueError unless x is a tensor of real numbers of shape (B, D); any number of columns where D is None.

    >>> check_rows(torch.zeros(5, 3), 3, "this model")
    """
    shape = f"(B, {'D' if D is None else D})"
    if not isinstance(x, Tensor):
        raise ValueError(f"{owner} needs a tensor of shape {shape}, got {type(x).__name__}; torch.as_tensor makes one")
    if x.dim() != 2 or (D is not None and x.shape[1] != D):
        raise ValueError(f"{owner} needs data of shape {shape}, got {tuple(x.shape)}")
    if x.is_complex():
        raise ValueError(f"{owner} needs real numbers, got {x.dtype}; take real and imaginary parts as variables")


def check_finite(x: Tensor, what: str = "data", remedy: str = "remove them") -> None:
    """Raise ValueError on NaN and infinities.

    >>> check_finite(torch.zeros(5, 3))
    """
    bad = (~torch.isfinite(values(x))).sum().item()
    if bad:
        raise ValueError(f"the {what} hold {bad} NaN or infinite entries; {remedy}")


def check_temperature(temperature: float | Tensor) -> None:
    """Raise ValueError unless it is a positive and finite number, or a tensor that holds one.

    >>> check_temperature(0.7)
    """
    number = isinstance(temperature, numbers.Real) or (isinstance(temperature, Tensor) and not temperature.ndim)
    if not (number and 1e-30 <= temperature <= 1e30):  # beyond, float32 has 0 and infinity alone
        raise ValueError(f"temperature is {temperature!r}; it must be positive and finite, from 1e-30 to 1e30")


class Categorical(Described):
    """p(x = k) = softmax(theta)_k for the K values 0, ..., K - 1; the network sees them one-hot.

    >>> Categorical(3).distribution(torch.zeros(5, 2, 3)).batch_shape
    torch.Size([5, 2])
    """

    def __init__(self, K: int):
        if K < 2 or int(K) != K:
            raise ValueError(f"Categorical needs a whole number of categories, at least K = 2, got {K}")
        self.P = self.width = K

    def distribution(
        self, theta: Tensor, *, allowed: Tensor | None = None, temperature: float = 1.0
    ) -> distributions.Distribution:
        """(B, D, K) -> Categorical with batch shape (B, D); ``temperature`` divides the logits.

        Where ``allowed`` (B, D, K) is False, the probability is zero.
        """
        check_temperature(temperature)
        logits = precise(theta) / temperature
        logits = logits if allowed is None else logits.masked_fill(~allowed, -math.inf)
        # normalized here: torch subtracts a logsumexp instead, which rounds away what large logits differ by
        return distributions.Categorical(logits=logits.log_softmax(-1), validate_args=False)

    def icdf(self, theta: Tensor, u: Tensor) -> Tensor:
        """Inverse transform: the first category whose cumulative probability exceeds u."""
        return outcome(precise(theta).softmax(-1), u).to(u.dtype)

    def encode(self, x: Tensor) -> Tensor:
        """One-hot: (B, D) -> (B, D, K)."""
        hot = x.long().unsqueeze(-1) == torch.arange(self.width, device=x.device)
        return hot.to(x.dtype if x.is_floating_point() else torch.get_default_dtype())

    def check(self, x: Tensor) -> None:
        """Raise ValueError unless every entry is a whole number in 0..K-1."""
        owner = f"a categorical model with K = {self.width} needs"
        check_whole(x, self.width, owner, "round or re-level the data first")


class Real(Described):
    """Outputs on the real line share what the network sees and what is refused.

    >>> Normal().distribution(torch.zeros(5, 2, 2)).log_prob(torch.zeros(5, 2)).shape
    torch.Size([5, 2])
    """

    width = 1

    def encode(self, x: Tensor) -> Tensor:
        """What the network sees: (B, D) -> (B, D, 1)."""
        return x.unsqueeze(-1)

    def check(self, x: Tensor) -> None:
        """Raise ValueError on NaN and infinities."""
        check_finite(x)


def bounded(log_scale: Tensor, bound: float = 7.0) -> Tensor:
    """Keep a log-scale within (-bound, bound), smoothly and with slope 1 at zero: no density can run to infinity.

    >>> bounded(torch.tensor([0.0, 1e9]))
    tensor([0., 7.])
    """
    return bound * torch.tanh(log_scale / bound)


def _open(u: Tensor) -> Tensor:
    """Uniforms strictly inside (0, 1), where quantile functions are finite."""
    eps = torch.finfo(u.dtype).eps
    return u.clamp(eps, 1 - eps)


class Normal(Real):
    """N(mean, scale) per variable; theta holds the mean and the (bounded) log-scale."""

    P = 2

    def distribution(self, theta: Tensor) -> distributions.Distribution:
        """(B, D, 2) -> Normal with batch shape (B, D)."""
        mean, log_scale = self._parts(theta)
        return distributions.Normal(mean, log_scale.exp(), validate_args=False)

    def icdf(self, theta: Tensor, u: Tensor) -> Tensor:
        """Inverse transform: mean + scale * Phi^-1(u)."""
        return self.distribution(theta).icdf(_open(u))

    def _parts(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_scale = precise(theta).unbind(-1)
        return mean, bounded(log_scale)


class Logistic(distributions.Distribution):
    """The logistic distribution with location and scale; cdf sigmoid((x - loc) / scale). torch has none.

    >>> Logistic(torch.zeros(2), torch.ones(2)).cdf(torch.zeros(2))
    tensor([0.5000, 0.5000])
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real

    def __init__(self, loc: Tensor, scale: Tensor):
        self.loc, self.scale = loc, scale
        super().__init__(loc.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats, shape of the broadcast of value and parameters."""
        z = (value - self.loc) / self.scale
        return F.logsigmoid(z) + F.logsigmoid(-z) - self.scale.log()

    def cdf(self, value: Tensor) -> Tensor:
        """P(X <= value)."""
        return torch.sigmoid((value - self.loc) / self.scale)

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile function: loc + scale * logit(value)."""
        return self.loc + self.scale * torch.logit(value)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008 (torch's own signature)
        """Samples of shape sample_shape + batch shape."""
        shape = self._extended_shape(sample_shape)
        return self.icdf(_open(torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device)))


class LogisticMixture(Real):
    """A mixture of K logistic distributions per variable (Salimans et al., 2017, arXiv:1701.05517; unrounded).

    Locations and scales are measured in ``unit``: a small one for data whose details are small.
    """

    def __init__(self, K: int, *, unit: float = 1.0):
        if K < 1 or int(K) != K or not 0 < unit < math.inf:
            raise ValueError(
                f"LogisticMixture needs at least K = 1 component, a whole number, and a positive unit, got {K}, {unit}"
            )
        self.K, self.P, self.unit = K, 3 * K, unit

    def _parts(self, theta: Tensor) -> tuple[Tensor, Logistic]:
        weight, loc, log_scale = precise(theta).unflatten(-1, (3, self.K)).unbind(-2)
        return weight, Logistic(self.unit * loc, self.unit * bounded(log_scale).exp())

    def distribution(self, theta: Tensor) -> distributions.Distribution:
        """(B, D, 3K) -> mixture with batch shape (B, D)."""
        weight, parts = self._parts(theta)
        return distributions.MixtureSameFamily(
            distributions.Categorical(logits=weight.log_softmax(-1), validate_args=False), parts, validate_args=False
        )

    def icdf(self, theta: Tensor, u: Tensor) -> Tensor:
        """One uniform does both draws: u chooses the component, and what is left of u is uniform again."""
        weight, parts = self._parts(theta)
        weight = weight.softmax(-1)
        k = outcome(weight, u).unsqueeze(-1)
        lower = weight.cumsum(-1).gather(-1, k) - weight.gather(-1, k)
        rest = (u.unsqueeze(-1) - lower) / weight.gather(-1, k)
        return Logistic(parts.loc.gather(-1, k), parts.scale.gather(-1, k)).icdf(_open(rest)).squeeze(-1)


Output = Bernoulli | Categorical | Normal | LogisticMixture

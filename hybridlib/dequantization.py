"""Dequantization: a continuous density for discrete data, what its bound says, and what it costs.

Uria, Murray & Larochelle (2013), arXiv:1306.0186 (uniform noise); Theis, van den Oord & Bethge (2016), arXiv:1511.01844
(the bound); Ho et al. (2019), arXiv:1902.00275 (variational); Salimans et al. (2017), arXiv:1701.05517 (the mixture of
logistics whose cells are integrated: no bound is needed). Chapter 8 builds it.

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
from .noise import check_width, draw
from .outputs import Logistic, LogisticMixture, beside, check_rows, check_whole, outcome


def bits_per_dim(log_prob: Tensor, D: int) -> Tensor:
    """log P(x) in nats -> bits per variable, -log2 P(x) / D: (B,) -> (B,).

    >>> bits_per_dim(torch.tensor([-6 * math.log(8)]), D=6)  # 8 levels, each as likely as the other
    tensor([3.])
    """
    return -log_prob / (D * math.log(2))


def _levels(levels: int) -> int:
    if levels < 2 or levels != int(levels):
        raise ValueError(f"discrete data have a whole number of levels, at least 2, got {levels}")
    return int(levels)


class UniformDequantizer(Described, nn.Module):
    """q(v | x) uniform on [x, x + w)^D: log q = -D log w.

    >>> noise, log_q = UniformDequantizer(w=0.5)(torch.zeros(2, 3))
    >>> bool((noise < 0.5).all()), log_q  # 3 log 2
    (True, tensor([2.0794, 2.0794]))
    """

    def __init__(self, w: float = 1.0):
        super().__init__()
        self.w = check_width(w)

    def forward(self, x: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """x (B, D) -> noise v - x in [0, w) (B, D), log q(v | x) (B,), nats."""
        noise = self.w * draw(torch.rand, x.shape, like=x, generator=generator)
        return noise, noise.new_full((len(x),), -x.shape[1] * math.log(self.w))


class VariationalDequantizer(Described, nn.Module):
    """q(v | x) by a conditional flow: v - x = w sigmoid(e), e from a flow over the line with the context x.

    ``flow`` needs ``context=D`` and a fast inverse, such as iaf or realnvp; a small iaf unless given.

    >>> noise, log_q = VariationalDequantizer(3, levels=5)(torch.full((2, 3), 4.0))
    >>> noise.shape, bool((noise < 1).all()), log_q.shape
    (torch.Size([2, 3]), True, torch.Size([2]))
    """

    def __init__(self, D: int, levels: int, *, flow: Flow | None = None, w: float = 1.0):
        super().__init__()
        self.flow, self.levels, self.w = flow or iaf(D, 2, (64,), context=D), _levels(levels), check_width(w)
        if (self.flow.D, self.flow.context) != (D, D):
            raise ValueError(
                f"the noise of D = {D} variables needs a flow of {D} variables with context={D}, "
                f"got {self.flow.D} with context={self.flow.context}"
            )

    def forward(self, x: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """x (B, D) -> noise v - x in (0, w) (B, D), log q(v | x) (B,), nats. Gradients pass through both."""
        context = 2 * x / (self.levels - 1) - 1
        e, log_q = self.flow.rsample_and_log_prob(len(x), context=context, generator=generator)
        log_slope = F.logsigmoid(e) + F.logsigmoid(-e) + math.log(self.w)  # of v against e
        # in float32 a sigmoid can round up to 1: that v would lie in the next cell
        noise = self.w * e.sigmoid().clamp(max=1 - torch.finfo(e.dtype).eps)
        return noise, log_q - log_slope.sum(-1)


class Dequantized(Described, nn.Module):
    """P(x) = integral of p(v) over the cell [x, x + w)^D, bounded by E_q[log p(v) - log q(v | x)].

    ``density`` of y = v / levels has ``log_prob(y) -> (B,)`` and ``sample(n)``, such as a Flow or a MADE with a
    continuous output; ``levels`` is how many values a variable has; ``dequantizer`` is uniform noise of width 1 unless
    given.

    >>> model = Dequantized(iaf(2, 1), levels=4)
    >>> model.elbo(torch.tensor([[0, 3], [2, 1]])).shape, model.sample(5).shape
    (torch.Size([2]), torch.Size([5, 2]))
    """

    def __init__(self, density: nn.Module, levels: int, dequantizer: nn.Module | None = None):
        super().__init__()
        self.density, self.levels, self.D = density, _levels(levels), density.D
        self.dequantizer = UniformDequantizer() if dequantizer is None else dequantizer

    def elbo(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """log p(v) - log q(v | x) for one v ~ q: (B, D) -> (B,), nats. Its mean is at most log P(x).

        ValueError for wrong shapes, and for what is no whole number of 0 .. levels - 1.
        """
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
        weights = (t for t in (*self.parameters(), *self.buffers()) if t.is_floating_point())
        return beside(x, next(weights, x.new_empty(0, dtype=torch.float32)))


class FlooredLogistics(distributions.Distribution):
    """x = floor(v), v from a mixture of K logistics (..., K): exactly, and by the bound that noise on the cells gives.

    The lowest level takes all that is below it, the highest all that is above. ``weight`` holds log-weights that are
    normalized; where they are K + 1, the last one belongs to a box, the uniform density on [0, 1).

    >>> p = FlooredLogistics(torch.zeros(1), Logistic(torch.tensor([2.0]), torch.tensor([0.5])), levels=4)
    >>> p.logits.exp()  # v below 1, in [1, 2), in [2, 3), from 3 on
    tensor([0.1192, 0.3808, 0.3808, 0.1192])
    """

    arg_constraints = {}
    support = constraints.nonnegative_integer

    def __init__(self, weight: Tensor, parts: Logistic, levels: int):
        self.weight, self.parts, self.levels = weight, parts, levels
        super().__init__(weight.shape[:-1], validate_args=False)

    @property
    def logits(self) -> Tensor:
        """log P(x) of every level: (..., levels), nats. They need no normalization."""
        levels = torch.arange(self.levels, device=self.weight.device).to(self.weight)
        return torch.stack([self.log_prob(x.expand(self.batch_shape)) for x in levels], -1)

    def log_prob(self, value: Tensor) -> Tensor:
        """log P(x = value), nats: (...) -> (...). A difference of sigmoids, without taking one from the other."""
        x = value.to(self.weight).unsqueeze(-1)
        below, above = ((x + edge - self.parts.loc) / self.parts.scale for edge in (0, 1))
        # sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - exp(a - b)), and at the ends one of the three is all
        inside = F.logsigmoid(above) + F.logsigmoid(-below) + torch.log(-torch.expm1(-1 / self.parts.scale))
        inside = torch.where(x == self.levels - 1, F.logsigmoid(-below), inside)
        return self._mixed(torch.where(x == 0, F.logsigmoid(above), inside), x == 0)

    def log_density(self, v: Tensor) -> Tensor:
        """log p(v) of the mixture before it is rounded down, nats: (...) -> (...)."""
        v = v.to(self.weight).unsqueeze(-1)
        return self._mixed(self.parts.log_prob(v), (v >= 0) & (v < 1))

    def elbo(self, value: Tensor, *, w: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
        """Bound of log P(x = value) by noise u ~ U[0, w): log p(value + u) + log w, nats, (...) -> (...)."""
        x = value.to(self.weight)
        u = check_width(w) * draw(torch.rand, x.shape, like=x, generator=generator)
        return self.log_density(x + u) + math.log(w)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008 (torch's own signature)
        """Samples of shape sample_shape + batch shape."""
        return distributions.Categorical(logits=self.logits).sample(sample_shape)

    def _mixed(self, parts: Tensor, box: Tensor) -> Tensor:
        """Log-values of the logistics (..., K), and where the box is 1 (..., 1) -> log of the mixture (...)."""
        if self.weight.shape[-1] > parts.shape[-1]:
            parts = torch.cat([parts, torch.zeros_like(parts[..., :1]).masked_fill(~box, -math.inf)], -1)
        return (self.weight + parts).logsumexp(-1)


class Levels(LogisticMixture):
    """The output of an autoregressive model of whole numbers with an order, 0 .. levels - 1: a mixture, rounded down.

    The network sees the numbers, scaled to 0 .. 1, and never the noise, so that the exact probability and the bound
    belong to the same weights: `log_prob` of the model, and `argmax.argmax_elbo`. With ``box`` the mixture has a part
    that is flat on the cell of level 0, where most pixels of a drawing are: a cliff that no logistic can draw.

    >>> Levels(256, 5).distribution(torch.zeros(7, 2, 15)).log_prob(torch.ones(7, 2)).shape
    torch.Size([7, 2])
    """

    def __init__(self, levels: int, K: int, *, box: bool = False):
        self.levels, self.box = _levels(levels), box
        super().__init__(K, unit=levels / 16)
        self.P += box

    def distribution(self, theta: Tensor) -> FlooredLogistics:
        """(B, D, P) -> FlooredLogistics with batch shape (B, D)."""
        weight, parts = self._parts(theta[..., : 3 * self.K])
        weight = torch.cat([weight, theta[..., 3 * self.K :].to(weight)], -1)
        return FlooredLogistics(weight.log_softmax(-1), parts, self.levels)

    def icdf(self, theta: Tensor, u: Tensor) -> Tensor:
        """Inverse transform on the exact probabilities: one uniform a variable."""
        return outcome(self.distribution(theta).logits.exp(), u).to(u.dtype)

    def encode(self, x: Tensor) -> Tensor:
        """What the network sees: (B, D) -> (B, D, 1), from 0 to 1."""
        return super().encode(x / (self.levels - 1))

    def check(self, x: Tensor) -> None:
        """Raise ValueError unless every entry is a whole number in 0 .. levels - 1."""
        check_whole(x, self.levels, f"data of {self.levels} levels hold", "round or re-level them")


class DequantizedLevels(Dequantized):
    """The bounds of an autoregressive model whose output is `Levels`, by any noise, and what they bound.

    >>> from hybridlib.made import MADE
    >>> model = DequantizedLevels(MADE(3, output=Levels(4, 2)), levels=4)
    >>> bool(model.elbo(x := torch.ones(2000, 3)).mean() < model.log_prob(x).mean())
    True
    """

    density: Autoregressive

    def log_prob(self, x: Tensor) -> Tensor:
        """The exact log P(x): (B, D) -> (B,), nats."""
        return self.density.log_prob(x)

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """n samples (n, D) of whole numbers."""
        return self.density.sample(n, generator=generator)

    def _log_density(self, v: Tensor) -> Tensor:
        return self.density(v.floor().clamp(0, self.levels - 1)).log_density(v).sum(-1)

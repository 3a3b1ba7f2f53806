"""The variational autoencoder: a random code between encoder and decoder, trained on a bound of log p(x).

Kingma & Welling (2014), "Auto-encoding variational Bayes", arXiv:1312.6114; Rezende, Mohamed & Wierstra (2014),
arXiv:1401.4082; bounds of K samples: Burda, Grosse & Salakhutdinov (2016), arXiv:1509.00519. Chapter 3 builds it.
"""

import math

import torch
from torch import Tensor, distributions, nn

from .autoregressive import Autoregressive, sampling
from .described import Described
from .noise import draw
from .outputs import Bernoulli, Output, beside, bounded, check_rows, through


class VAE(Described, nn.Module):
    """p(x) = ∫ N(z; 0, I) p(x | z) dz, bounded with q(z | x) = N(z; mean(x), scale(x)^2).

    ``encoder``  (B, D) -> (B, 2 Z): mean and (bounded) log-scale of q(z | x)
    ``decoder``  (B, Z) -> (B, D P): parameters of p(x | z), whose variables are independent given z; or an
                 autoregressive model with a context of length Z, such as MADE(D, context=Z)
    ``output``   what the decoder's parameters mean (``hybridlib.outputs``); Bernoulli by default

    >>> model = VAE(nn.Linear(6, 4), nn.Linear(2, 6), Z=2)
    >>> model.elbo(torch.ones(5, 6)).shape, model.sample(3).shape
    (torch.Size([5]), torch.Size([3, 6]))
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, Z: int, *, output: Output | None = None):
        super().__init__()
        self.encoder, self.decoder, self.Z = encoder, decoder, Z
        self.chained = isinstance(decoder, Autoregressive)
        if self.chained and decoder.context != Z:
            raise ValueError(
                f"the decoder takes a context of {decoder.context} numbers, z has Z = {Z}; make them agree"
            )
        self.output = decoder.output if self.chained else output or Bernoulli()

    def encode(self, x: Tensor) -> distributions.Distribution:
        """q(z | x): (B, D) -> Normal with batch shape (B,), event shape (Z,). ValueError for what is no data."""
        x = self._checked(x)
        theta = through(self.encoder, x)
        if theta.shape != (len(x), 2 * self.Z):
            raise ValueError(f"the encoder gave {tuple(theta.shape)}, not ({len(x)}, 2 Z = {2 * self.Z})")
        mean, log_scale = theta.chunk(2, -1)
        return distributions.Independent(distributions.Normal(mean, bounded(log_scale).exp(), validate_args=False), 1)

    def prior(self, n: int = 1) -> distributions.Distribution:
        """p(z) = N(0, I): batch shape (n,), event shape (Z,)."""
        zero = self._beside(torch.zeros(n, self.Z))
        return distributions.Independent(distributions.Normal(zero, torch.ones_like(zero), validate_args=False), 1)

    def decode(self, z: Tensor) -> distributions.Distribution:
        """p(x | z): (B, Z) -> distribution with batch shape (B,), event shape (D,); factorized decoders only."""
        if self.chained:
            raise ValueError("the conditionals of an autoregressive decoder need x too: use log_likelihood(x, z)")
        return distributions.Independent(self.output.distribution(self._theta(z)), 1, validate_args=False)

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z), nats: (B, D), (B, Z) -> (B,)."""
        if self.chained:
            return self.decoder.log_prob(x, z)
        p = self.decode(z)
        if p.event_shape != x.shape[1:]:  # a single one would count for all
            raise ValueError(f"the decoder speaks of {p.event_shape[0]} variables, x has {x.shape[1]}; make them agree")
        return p.log_prob(self._beside(x))

    def terms(self, x: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """The two halves of the ELBO for one z ~ q(z | x): log p(x | z) (B,), and KL(q(z | x) || p(z)) (B, Z).

        The divergence is in closed form, (mean^2 + scale^2 - 1) / 2 - log scale for each latent variable.
        """
        q = self.encode(x).base_dist
        kl = (q.loc.square() + q.scale.square() - 1) / 2 - q.scale.log()
        z = q.loc + q.scale * draw(torch.randn, q.loc.shape, like=q.loc, generator=generator)
        return self.log_likelihood(x, z), kl

    def elbo(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """E_q[log p(x | z)] - KL(q(z | x) || p(z)) <= log p(x), by one z: (B, D) -> (B,), nats."""
        reconstruction, kl = self.terms(x, generator=generator)
        return reconstruction - kl.sum(-1)

    def log_weights(self, x: Tensor, K: int, *, generator: torch.Generator | None = None) -> Tensor:
        """log p(x | z) + log p(z) - log q(z | x) for K samples z ~ q(z | x): (B, D) -> (K, B), nats."""
        if K < 1:
            raise ValueError(f"a bound needs at least one sample, got K = {K}")
        q = self.encode(x)
        mean, scale = q.base_dist.loc, q.base_dist.scale
        z = mean + scale * draw(torch.randn, (K, *mean.shape), like=mean, generator=generator)  # (K, B, Z)
        likelihood = self.log_likelihood(x.repeat(K, 1), z.flatten(0, 1)).view(K, len(x))
        return likelihood + self.prior().log_prob(z) - q.log_prob(z)

    def importance_bound(self, x: Tensor, K: int, *, generator: torch.Generator | None = None) -> Tensor:
        """log 1/K sum_k w_k with these weights w: (B, D) -> (B,), nats. Its mean is below log p(x) and rises with K."""
        return self.log_weights(x, K, generator=generator).logsumexp(0) - math.log(K)

    def log_prob_on_grid(self, x: Tensor, *, points: int = 201, reach: float = 7.0) -> Tensor:
        """log p(x) by quadrature over z in [-reach, reach]^Z: (B, D) -> (B,), nats. For Z = 1 or 2, else ValueError.

        The trapezoidal rule: for smooth decoders its error vanishes fast as ``points`` grow, for ReLU's kinks slowly.
        """
        if self.Z > 2:
            raise ValueError(f"a grid in Z = {self.Z} dimensions has too many points; use importance_bound")
        if points < 2:
            raise ValueError(f"the trapezoidal rule needs at least two points, got {points}")
        x = self._checked(x)
        line = torch.linspace(-reach, reach, points, dtype=x.dtype, device=x.device)
        grid = torch.cartesian_prod(*[line] * self.Z).view(-1, self.Z)
        log_mass = self.prior().log_prob(grid) + self.Z * math.log(2 * reach / (points - 1))
        at_once = max(1, 200_000 // len(x))
        parts = zip(grid.split(at_once), log_mass.split(at_once))
        sums = []
        for z, m in parts:
            log_p = self.log_likelihood(x.repeat(len(z), 1), z.repeat_interleave(len(x), 0)).view(len(z), -1)
            sums.append((log_p + m[:, None]).logsumexp(0))
        return torch.stack(sums).logsumexp(0)

    @sampling
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """n samples (n, D): z from the prior, then x from p(x | z)."""
        z = draw(torch.randn, (n, self.Z), like=next(self.parameters()), generator=generator)
        if self.chained:
            return self.decoder.sample(n, context=z, generator=generator)
        theta = self._theta(z)
        return self.output.icdf(theta, draw(torch.rand, theta.shape[:-1], like=theta, generator=generator))

    def _theta(self, z: Tensor) -> Tensor:
        """The decoder's parameters of p(x | z): (B, Z) -> (B, D, P)."""
        return through(self.decoder, self._beside(z)).unflatten(-1, (-1, self.output.P))

    def _beside(self, x: Tensor) -> Tensor:
        return beside(x, next(self.parameters()))

    def _checked(self, x: Tensor) -> Tensor:
        check_rows(x, None, "VAE")
        if not len(x):
            raise ValueError(f"VAE needs at least one row, got shape {tuple(x.shape)}")
        self.output.check(x)
        return self._beside(x)

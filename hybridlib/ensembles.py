"""Several models as one: a product of experts of one order, and a mixture of any.

Hinton (2002), "Training products of experts by minimizing contrastive divergence", for the product; mixtures over
orders: Germain et al. (2015), arXiv:1502.03509, section 4.2. Chapter 5 uses both.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .autoregressive import Autoregressive
from .described import Described
from .noise import choose
from .outputs import Real


class Pool(Autoregressive):
    """Models of one order averaged inside every conditional: theta = s/M sum_m theta_m, a log-linear pool.

    Within one order an averaged logit is again the logit of a coin that sees earlier variables only: the chain rule
    holds, and the sum over all states is 1. Across orders it would not be: there, take a ``Mixture``. ``sharpness`` s
    above 1 makes every conditional surer of itself, which networks trained with dropout can need.

    >>> from hybridlib.made import MADE
    >>> Pool(MADE(4) for _ in range(3)).sample(5).shape
    torch.Size([5, 4])
    """

    def __init__(self, models: Iterable[Autoregressive], *, sharpness: float = 1.0):
        models = list(models)
        if not models:
            raise ValueError("a pool needs at least one model, got none")
        first = models[0]
        if len(first.orders) > 1 or any(not torch.equal(model.orders, first.orders) for model in models):
            raise ValueError("only models of one and the same order can be pooled, these differ; use Mixture instead")
        kinds = {(type(model.output), model.output.P, model.context) for model in models}
        if len(kinds) > 1:
            told = ", ".join(f"{kind.__name__} of {P} parameters, context={C}" for kind, P, C in sorted(kinds, key=str))
            raise ValueError(f"only models of one output and one context can be pooled, got {told}")
        if not 0 < sharpness < math.inf:
            raise ValueError(f"sharpness is {sharpness}; it must be positive and finite")
        super().__init__(first.D, output=first.output, orders=first.order, context=first.context)
        self.models = nn.ModuleList(models)
        self.sharpness = sharpness

    def theta(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, D) -> (B, D, P)."""
        return self.sharpness * torch.stack([model.theta(x, context) for model in self.models]).mean(0)


class Mixture(Described, nn.Module):
    """p(x) = 1/M sum_m p_m(x) of separately trained models: a proper distribution, unlike an average of logits.

    >>> from hybridlib.made import MADE
    >>> Mixture(MADE(4) for _ in range(3)).sample(5).shape
    torch.Size([5, 4])
    """

    def __init__(self, models: Iterable[nn.Module]):
        super().__init__()
        self.models = nn.ModuleList(models)
        if not len(self.models):
            raise ValueError("a mixture needs at least one model, got none")
        if len({model.D for model in self.models}) != 1:
            raise ValueError(f"a mixture needs models of one size, got D = {[model.D for model in self.models]}")
        outputs = [model.output for model in self.models if hasattr(model, "output")]
        if len({isinstance(output, Real) for output in outputs}) > 1:
            names = ", ".join(type(output).__name__ for output in outputs)
            raise ValueError(f"a mixture cannot add densities to probabilities, got outputs {names}")
        self.D = self.models[0].D

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log 1/M sum_m p_m(x): (B, D) -> (B,), nats."""
        each = torch.stack([model.log_prob(x, context) for model in self.models])
        return each.logsumexp(0) - math.log(len(each))

    def sample(self, n: int, *, context: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """n samples (n, D): each draws its model, then itself."""
        which = choose(len(self.models), n, generator=generator)
        parts = []
        for m, model in enumerate(self.models):
            rows = which == m
            given = None if context is None else context[rows]
            parts.append(model.sample(int(rows.sum()), context=given, generator=generator))
        return torch.cat(parts)[which.argsort(stable=True).argsort()]

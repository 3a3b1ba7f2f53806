"""NADE: hidden layers of all conditionals from one running sum, because they share their weights.

Larochelle & Murray (2011), "The neural autoregressive distribution estimator"; Uria et al. (2016), arXiv:1605.02226.
Chapter 2 builds it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .autoregressive import Autoregressive, check_size, sampling

ROOM = 2**24  # numbers held at once: 64 MB in float32


class NADE(Autoregressive):
    """p(x_d = 1 | x_before(d)) = sigmoid(b_d + V_d . h_d) with h_d = sigmoid(c + sum_{j before d} W_j x_j).

    The sum of a variable differs from that of the one before it by a single term, so all D hidden layers of H units
    cost O(D H) together and not O(D^2 H).

    >>> NADE(4, 8).sample(5).shape
    torch.Size([5, 4])
    """

    def __init__(self, D: int, H: int = 100, *, orders: Sequence[int] | Tensor | None = None):
        super().__init__(D, orders=orders)
        if len(self.orders) > 1:
            raise ValueError(f"NADE has one order, got {len(self.orders)}; MADE takes several")
        if H < 1:
            raise ValueError(f"NADE needs at least one hidden unit, got H = {H}")
        check_size(2 * D * H, "take fewer hidden units")
        # a sum of up to D terms: small enough that no unit starts saturated
        self.W = nn.Parameter(torch.randn(D, H) / D**0.5)
        self.V = nn.Parameter(torch.randn(D, H) / H**0.5)
        self.b, self.c = nn.Parameter(torch.zeros(D)), nn.Parameter(torch.zeros(H))

    def theta(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, D) -> (B, D, 1); a few rows at a time, for each needs memory for D H numbers (a gradient keeps them)."""
        x, _ = self.placed(x)
        parts = x.split(max(1, ROOM // (self.D * len(self.c))))
        return torch.cat([self._theta(part) for part in parts])[:, self.order.argsort(), None]

    def _theta(self, x: Tensor) -> Tensor:
        terms = x[:, self.order, None] * self.W[self.order]  # (B, D, H) in the order of generation
        before = terms.cumsum(1) - terms  # step t holds the sum over the steps before it
        return (torch.sigmoid(self.c + before) * self.V[self.order]).sum(-1) + self.b[self.order]

    @sampling
    def sample(self, n: int, *, context: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """n samples (n, D) by the recursion itself: each step adds one term to the running sum."""
        u = self._uniforms(n, generator, context)
        x, a = torch.zeros_like(u), self.c.expand(n, -1)
        for d in self.order.tolist():
            theta = (torch.sigmoid(a) * self.V[d]).sum(-1) + self.b[d]
            x[:, d] = self.output.icdf(theta[:, None], u[:, d])
            a = a + x[:, d, None] * self.W[d]
        return x

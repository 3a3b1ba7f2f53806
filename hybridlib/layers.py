"""What two or more models share: plain stacks of layers, and linear layers some of whose connections are forbidden.

A connection from a unit of degree a to a unit of degree b is allowed when a <= b, or a < b where ``strict`` (Germain et
al., 2015, arXiv:1502.03509, equations 8 and 9). ``MaskedLinear`` is the textbook version for any degrees; ``Staircase``
needs sorted degrees and does only the work that the mask leaves. Chapter 5 builds both.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def mlp(*sizes: int, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """A multilayer perceptron (B, sizes[0]) -> (B, sizes[-1]), with the activation between its linear layers.

    ValueError for fewer than two sizes.

    >>> mlp(2, 64, 64, 1)(torch.zeros(5, 2)).shape
    torch.Size([5, 1])
    """
    if len(sizes) < 2:
        raise ValueError(f"a network leads from one size to another, got {sizes}; give at least two")
    layers = [layer for a, b in itertools.pairwise(sizes) for layer in (nn.Linear(a, b), activation())]
    return nn.Sequential(*layers[:-1])


def mask(in_degrees: Tensor, out_degrees: Tensor, *, strict: bool) -> Tensor:
    """The 0/1 matrix (out, in) of allowed connections: in degree <= out degree, or < where strict.

    >>> mask(torch.tensor([1, 2, 3]), torch.tensor([1, 2]), strict=False).tolist()
    [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]
    """
    allowed = in_degrees < out_degrees[:, None] if strict else in_degrees <= out_degrees[:, None]
    return allowed.to(torch.get_default_dtype())


def initial_weights(shape_mask: Tensor) -> Tensor:
    """Random weights (out, in), uniform within 1/sqrt(allowed fan-in) of zero: a masked unit is not a weaker unit.

    >>> (initial_weights(torch.ones(8, 4)).abs() <= 0.5).all()
    tensor(True)
    """
    bound = shape_mask.sum(1, keepdim=True).clamp(min=1).rsqrt()
    return (2 * torch.rand_like(shape_mask) - 1) * bound * shape_mask


class MaskedLinear(nn.Module):
    """y = (W * M) x + b with the mask M chosen anew in every call, for models with many orders.

    >>> layer = MaskedLinear(degrees := torch.arange(4), degrees, strict=True)
    >>> layer(torch.randn(5, 4), degrees.flip(0), degrees.flip(0)).shape
    torch.Size([5, 4])
    """

    def __init__(self, in_degrees: Tensor, out_degrees: Tensor, *, strict: bool):
        super().__init__()
        self.strict = strict
        # any connection may be open in some order, so none starts at zero; the bound is that of the given degrees
        bound = mask(in_degrees, out_degrees, strict=strict).mean().clamp(min=1e-3).mul(len(in_degrees)).rsqrt()
        self.weight = nn.Parameter((2 * torch.rand(len(out_degrees), len(in_degrees)) - 1) * bound)
        self.bias = nn.Parameter(torch.zeros(len(out_degrees)))

    def forward(self, x: Tensor, in_degrees: Tensor, out_degrees: Tensor) -> Tensor:
        """(B, in) -> (B, out)."""
        return F.linear(x, self.dense(in_degrees, out_degrees), self.bias)

    def dense(self, in_degrees: Tensor, out_degrees: Tensor) -> Tensor:
        """The masked weights (out, in)."""
        return self.weight * mask(in_degrees, out_degrees, strict=self.strict).to(self.weight)


class Staircase(nn.Module):
    """The same layer for sorted degrees: the allowed weights form a staircase, cut into a few rectangles.

    Rows (units) are cut into ``blocks`` groups; a group is multiplied only with the columns that its last row may see,
    and only these weights exist, one rectangle after the other in ``weight``. With four groups that is 5/8 of the dense
    layer's weights, which pays for the multiplication by the mask (benchmarks/made_speed.py). In a small layer a matrix
    product costs less than cutting it up: up to 50,000 weights, one group is the default, and ``weight`` a matrix.

    >>> Staircase(degrees := torch.arange(4), degrees, strict=True).dense().triu().any()
    tensor(False)
    """

    def __init__(self, in_degrees: Tensor, out_degrees: Tensor, *, strict: bool, blocks: int | None = None):
        super().__init__()
        full = mask(in_degrees, out_degrees, strict=strict)
        blocks = blocks or (1 if full.numel() <= 50_000 else 4)
        rows = full.split(-(-len(full) // blocks))
        self.in_features = len(in_degrees)
        # (units, inputs that they may see) of each rectangle
        self.shapes = [(len(r), int(r[-1].sum())) for r in rows] if len(rows) > 1 else [tuple(full.shape)]
        self.register_buffer("mask", self._cut(full), persistent=False)
        self.weight = nn.Parameter(self._cut(initial_weights(full)))
        self.bias = nn.Parameter(torch.zeros(len(full)))

    def forward(self, x: Tensor, *_degrees: Tensor) -> Tensor:
        """(B, in) -> (B, out), for the degrees of the constructor."""
        if len(self.shapes) == 1:
            return F.linear(x, self.weight * self.mask, self.bias)
        products = []
        for W in reversed(self._rectangles()):
            x = x[:, : W.shape[1]]  # a slice of the slice before: backward, a gradient is padded to that width only
            products.append(F.linear(x, W))
        return torch.cat(products[::-1], 1) + self.bias

    def dense(self, *_degrees: Tensor) -> Tensor:
        """The masked weights as the matrix (out, in) that they stand for."""
        return torch.cat([F.pad(W, (0, self.in_features - W.shape[1])) for W in self._rectangles()])

    def _rectangles(self) -> list[Tensor]:
        parts = (self.weight * self.mask).flatten().split([n * w for n, w in self.shapes])
        return [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def _cut(self, full: Tensor) -> Tensor:
        if len(self.shapes) == 1:
            return full
        rows = full.split([n for n, _ in self.shapes])
        return torch.cat([r[:, :w].flatten() for r, (_, w) in zip(rows, self.shapes, strict=True)])

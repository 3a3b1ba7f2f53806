"""Autoencoders: one network that gives its input back by way of a code, from clean inputs or from spoiled ones.

Bourlard & Kamp (1988), "Auto-association by multilayer perceptrons and singular value decomposition"; Vincent et al.
(2008), "Extracting and composing robust features with denoising autoencoders". Chapter 3 builds them.
"""

import torch
from torch import Tensor, nn

from .described import Described
from .noise import draw
from .outputs import beside, check_finite, check_rows, through

KINDS = "gaussian", "mask", "flip"


class Autoencoder(Described, nn.Module):
    """x̂ = decoder(encoder(x)): no probability, only an error |x - x̂|^2.

    ``encoder`` (B, D) -> (B, Z) and ``decoder`` (B, Z) -> (B, D) are any two networks.

    >>> model = Autoencoder(nn.Linear(6, 2), nn.Linear(2, 6))
    >>> model.encode(torch.rand(5, 6)).shape, model.error(torch.rand(5, 6)).shape
    (torch.Size([5, 2]), torch.Size([5]))
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def encode(self, x: Tensor) -> Tensor:
        """The code: (B, D) -> (B, Z)."""
        return through(self.encoder, self._beside(x))

    def decode(self, z: Tensor) -> Tensor:
        """The reconstruction of a code: (B, Z) -> (B, D)."""
        return through(self.decoder, self._beside(z))

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction of an example: (B, D) -> (B, D)."""
        return self.decode(self.encode(x))

    def error(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """Squared error |x - x̂|^2, summed over variables: (B, D) -> (B,). ``seen`` (B, D) is what the encoder reads.

        A denoising autoencoder reads a spoiled ``seen`` and is judged by the clean x. ValueError for NaN, infinities,
        or two shapes that differ.
        """
        seen = x if seen is None else seen
        check_rows(x, None, "an autoencoder")
        check_rows(seen, x.shape[1], "the encoder of these x")
        if len(x) != len(seen):
            raise ValueError(f"x has {len(x)} rows, what the encoder sees has {len(seen)}; they belong together")
        check_finite(x)
        check_finite(seen)
        found = self(seen)
        if found.shape != x.shape:  # a single column would be compared with all
            raise ValueError(f"the decoder gave {tuple(found.shape)} for x of shape {tuple(x.shape)}; make them agree")
        return (self._beside(x) - found).square().sum(-1)

    def _beside(self, x: Tensor) -> Tensor:
        return beside(x, next(self.parameters(), x))


def corrupt(x: Tensor, amount: float, *, kind: str = "gaussian", generator: torch.Generator | None = None) -> Tensor:
    """Spoil examples for a denoising autoencoder: (B, D) -> (B, D).

    kind "gaussian" adds noise of standard deviation ``amount``; "mask" sets a share ``amount`` of the entries to 0;
    "flip" turns a share of the bits over. ValueError for another kind, a negative amount, a share above 1.

    >>> corrupt(torch.tensor([[0.0, 1.0]]), 1, kind="flip")
    tensor([[1., 0.]])
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; choose one of {', '.join(KINDS)}")
    if not 0 <= amount < float("inf") or (kind != "gaussian" and amount > 1):
        raise ValueError(f"amount is {amount}; it must be at least 0, and at most 1 where it is a share of the entries")
    if kind == "gaussian":
        return x + amount * draw(torch.randn, x.shape, like=x, generator=generator)
    hit = draw(torch.rand, x.shape, like=x, generator=generator) < amount
    return torch.where(hit, 1 - x if kind == "flip" else torch.zeros_like(x), x)


def largest_angle(A: Tensor, B: Tensor) -> float:
    """The largest principal angle between the column spaces of A (D, Z) and B (D, Z), in radian: 0 where they agree.

    Björck & Golub (1973). Computed from its sine, because a cosine near 1 has lost half of the digits.

    >>> round(largest_angle(torch.eye(3)[:, :2], torch.eye(3)[:, 1:]), 4)  # they share one axis; pi / 2
    1.5708
    """
    Q, _ = torch.linalg.qr(A.cpu().double())
    R, _ = torch.linalg.qr(B.cpu().double())
    sine = torch.linalg.matrix_norm(R - Q @ (Q.T @ R), 2)  # what of R lies outside the span of Q
    return sine.clamp(max=1).asin().item()

"""Random numbers drawn where their generator lives, so that one seed gives the same samples on every device."""

import torch
from torch import Tensor


def draw(kind, shape, *, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """``kind`` (torch.rand or torch.randn) of some shape, in the precision and on the device of ``like``.

    ValueError for a negative number of samples.
    """
    if min(shape, default=0) < 0:
        raise ValueError(f"the number of samples must not be negative, got {min(shape)}")
    where = like.device if generator is None else generator.device
    return kind(*shape, generator=generator, device=where, dtype=like.dtype).to(like.device)

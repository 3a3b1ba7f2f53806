"""What the tests of several models share: seeded chance, and weights with which nothing holds by accident."""

import torch


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def shaken(model, seed=0, scale=1.0):
    """The model in float64 with every parameter random and large: nothing holds by accident of a small start."""
    generator = rng(seed)
    model.double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(scale * torch.randn(p.shape, generator=generator, dtype=p.dtype))
    return model.eval()

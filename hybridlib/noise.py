"""Random numbers drawn where their generator lives, so that one seed gives the same samples on every device."""

import contextlib
import operator
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from torch's global generators as after `torch.manual_seed(seed)`, and leave them as they were.

    First weights come from there: a model that is built inside is the same model every time. ValueError for a seed
    that is no whole number.

    >>> with seeded(0): x = torch.rand(3)
    >>> with seeded(0): torch.equal(torch.rand(3), x)
    True
    """
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise ValueError(f"a seed is a whole number, got {seed!r}")
    # a card that is not in use yet has no state to keep, and asking for it would start the card
    cards = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(cards):
        torch.manual_seed(operator.index(seed))
        yield


def draw(
    kind: Callable[..., Tensor], shape: Sequence[int], *, like: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """``kind`` (torch.rand or torch.randn) of some shape, on the device of ``like``, in its precision or float32.

    Never coarser than float32: a uniform of 8 bits would draw what is rare far too often. ValueError for a negative
    number of samples, or one that is not whole.

    >>> draw(torch.rand, (2, 3), like=torch.zeros(1)).shape
    torch.Size([2, 3])
    """
    where = like.device if generator is None else generator.device
    dtype = torch.promote_types(like.dtype, torch.float32)
    return kind(_counts(shape), generator=generator, device=where, dtype=dtype).to(like.device)


def choose(M: int, n: int, *, generator: torch.Generator | None = None) -> Tensor:
    """n whole numbers from 0..M-1, all alike: a LongTensor (n,) on the CPU. ValueError for a negative n.

    >>> choose(6, 4).shape
    torch.Size([4])
    """
    return torch.randint(M, _counts((n,)), generator=generator, device=_home(generator)).cpu()


def shuffle(n: int, *, generator: torch.Generator | None = None) -> Tensor:
    """The numbers 0..n-1 in random order: a LongTensor (n,) on the CPU.

    >>> shuffle(4).sort().values
    tensor([0, 1, 2, 3])
    """
    return torch.randperm(n, generator=generator, device=_home(generator)).cpu()


def _home(generator: torch.Generator | None) -> torch.device | str:
    return "cpu" if generator is None else generator.device


def _counts(shape: Sequence[int]) -> tuple[int, ...]:
    for n in shape:
        if isinstance(n, bool) or not hasattr(n, "__index__"):
            raise ValueError(f"the number of samples must be a whole number, got {n!r}")
        if n < 0:
            raise ValueError(f"the number of samples must not be negative, got {n}")
    return tuple(map(operator.index, shape))


def check_width(w: float) -> float:
    """The width of uniform noise, if it lies in (0, 1]; else ValueError.

    >>> check_width(1)
    1.0
    """
    if not 0 < w <= 1:
        raise ValueError(f"the noise has width w = {w}; it must lie in (0, 1], for wider cells overlap")
    return float(w)

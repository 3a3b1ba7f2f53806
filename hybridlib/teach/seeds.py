"""Make every seed that a process uses from now on larger by a number: PyTorch's, numpy's and Python's.

The grader draws with a teacher's seed so, and `make elsewhere` executes the chapters with others.

A seed is shifted where a generator takes it, so the seeds that a chapter writes, those that it computes and the
library's defaults move alike. The division of a data set into parts belongs to the data and stays: records and
checkpoints were made with it. So do seeds of the explorers, which are drawn in the reader's browser.
"""

import random
import sys
from collections.abc import Callable

import numpy as np
import torch

FIXED = {"hybridlib.datasets"}  # rooms whose seeds define data


def shift(by: int) -> Callable[[], None]:
    """Replace what takes seeds: `by` is added to every whole number given (a second call adds up) -> how to undo it.

    >>> undo = shift(4)
    >>> torch.Generator().manual_seed(3).initial_seed()
    7
    >>> undo()
    """
    names = {torch: ("Generator", "manual_seed"), torch.random: ("manual_seed",), random: ("Random", "seed")}
    names[np.random] = "RandomState", "default_rng", "seed"
    before = [(owner, name, getattr(owner, name)) for owner in names for name in names[owner]]

    def moved(seed):
        # frame 0 is this function, 1 the replacement below, 2 whoever gave the seed
        caller = sys._getframe(2).f_globals.get("__name__")
        return seed + by if isinstance(seed, (int, np.integer)) and caller not in FIXED else seed

    def like(cls):
        """A metaclass: what is an instance of the replaced class counts as one of the replacement."""

        class Like(type(cls)):
            def __instancecheck__(self, instance):
                return isinstance(instance, cls)

        return Like

    # These classes are written in C, and their methods cannot be replaced; the names that lead to them can.
    class Generator(torch.Generator, metaclass=like(torch.Generator)):
        def manual_seed(self, seed):
            return super().manual_seed(moved(seed))

    class RandomState(np.random.RandomState, metaclass=like(np.random.RandomState)):
        def __init__(self, seed=None):
            super().__init__(moved(seed))

        def seed(self, seed=None):
            super().seed(moved(seed))

    class Random(random.Random, metaclass=like(random.Random)):
        def __init__(self, seed=None):
            super().__init__(moved(seed))

    manual_seed, default_rng = torch.manual_seed, np.random.default_rng
    numpy_seed, python_seed = np.random.seed, random.seed
    torch.Generator, np.random.RandomState, random.Random = Generator, RandomState, Random
    torch.manual_seed = torch.random.manual_seed = lambda seed: manual_seed(moved(seed))
    np.random.default_rng = lambda seed=None: default_rng(moved(seed))
    np.random.seed = lambda seed=None: numpy_seed(moved(seed))
    random.seed = lambda a=None, version=2: python_seed(moved(a), version)

    def undo():
        for owner, name, value in before:
            setattr(owner, name, value)

    return undo

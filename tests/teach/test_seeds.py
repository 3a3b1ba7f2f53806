"""Seeds larger by a number: what moves with them, and what stays."""

import random

import numpy as np
import pytest
import torch
from sklearn.utils import check_random_state

from hybridlib import datasets
from hybridlib.teach.seeds import shift


@pytest.fixture
def shifted():
    """Seeds are larger by one inside a test, and as they were after it."""
    undo = []
    yield lambda: undo.append(shift(1))
    for back in reversed(undo):
        back()


def test_the_division_of_data_stays(shifted):
    before = datasets._divided(list("abcdefghij"), 2)
    shifted()
    after = datasets._divided(list("abcdefghij"), 2)
    assert [part.tolist() for part in before] == [part.tolist() for part in after]


def test_old_generators_keep_their_class_and_other_packages_take_them(shifted):
    old = np.random.RandomState(5)
    expected = np.random.RandomState(6).rand()
    shifted()
    assert isinstance(torch.default_generator, torch.Generator)
    assert check_random_state(old) is old and check_random_state(5).rand() == expected


def test_what_is_no_number_stays(shifted):
    expected = random.Random("text").random()
    shifted()
    assert random.Random("text").random() == expected
    np.random.default_rng(None)
    random.Random()

"""NADE against the naive loop over its conditionals."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shaken import rng, shaken

from hybridlib.nade import NADE


@given(D=st.integers(1, 12), H=st.integers(1, 9), seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_nade_equals_the_naive_loop(D, H, seed):
    order = torch.randperm(D, generator=rng(seed))
    nade = shaken(NADE(D, H, orders=order), seed)
    x = torch.randint(0, 2, (6, D), generator=rng(seed)).double()
    log_prob = torch.zeros(6, dtype=torch.float64)
    for t, d in enumerate(order.tolist()):  # O(D^2 H): every hidden layer from all variables before it
        earlier = order[:t]
        h = torch.sigmoid(nade.c + x[:, earlier] @ nade.W[earlier])
        p = torch.sigmoid(nade.b[d] + h @ nade.V[d])
        log_prob += torch.where(x[:, d] == 1, p, 1 - p).log()
    torch.testing.assert_close(nade.log_prob(x), log_prob)


def test_nade_a_few_rows_at_a_time_is_the_same():
    nade = shaken(NADE(7, 2**20))  # two rows at a time
    x = torch.bernoulli(torch.full((5, 7), 0.5), generator=rng())
    assert torch.allclose(nade.log_prob(x), torch.cat([nade.log_prob(row[None]) for row in x]))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: NADE(4, 0), "at least one hidden unit"),
        (lambda: NADE(3, 5, orders=[[0, 1, 2], [2, 1, 0]]), "NADE has one order, got 2"),
        (lambda: NADE(3, 5).log_prob(torch.full((2, 3), math.nan)), "0 or 1"),
        (lambda: NADE(3, 5).log_prob(torch.zeros(2, 4)), r"\(B, 3\)"),
    ],
)
def test_bad_input(build, message):
    with pytest.raises(ValueError, match=message):
        build()

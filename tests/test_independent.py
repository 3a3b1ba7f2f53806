"""Independent coins: the shares of the data, and nothing else."""

import math

import pytest
import torch

from hybridlib import audit
from hybridlib.independent import Independent


def test_independent_coins_have_the_shares_of_the_data():
    x = torch.tensor([[0.0, 1, 1], [0, 0, 1], [0, 1, 1], [0, 1, 0]])
    assert torch.allclose(Independent.fitted(x, pseudocount=1e-6).logits.sigmoid(), x.mean(0), atol=1e-5)
    # the first variable never varied; it may
    expected = math.log(1 / 6) + math.log(4 / 6) + math.log(4 / 6)
    assert Independent.fitted(x).log_prob(torch.ones(1, 3)).item() == pytest.approx(expected, rel=1e-6)


def test_independent_coins_are_a_distribution_and_see_nothing():
    x = torch.randint(2, (50, 5), generator=torch.Generator().manual_seed(0)).float()
    model = Independent.fitted(x)
    assert audit.total_probability(model.log_prob, 5) == pytest.approx(1, abs=1e-6)
    assert not audit.sees(model.theta, audit.states(5)).any()
    p_value, _ = audit.sample_test(model.sample, model.log_prob, 5, generator=torch.Generator().manual_seed(1))
    assert p_value > 1e-4


@pytest.mark.parametrize(
    "x", [torch.zeros(0, 4), torch.zeros(4), torch.full((3, 4), 0.5), torch.full((2, 2), math.nan)]
)
def test_independent_coins_refuse_what_is_no_table_of_bits(x):
    with pytest.raises(ValueError, match=r"shape|0 or 1"):
        Independent.fitted(x)


def test_independent_coins_refuse_to_call_anything_impossible():
    with pytest.raises(ValueError, match="pseudocount is 0"):
        Independent.fitted(torch.ones(3, 4), pseudocount=0)

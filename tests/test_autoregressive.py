"""The base class: what every chain of conditionals asks of its arguments, and what it leaves as it was."""

import pytest
import torch

from hybridlib.autoregressive import Autoregressive, permutation, sampling


@pytest.mark.parametrize("order", [None, (2, 0, 1), [2, 0, 1], torch.tensor([2, 0, 1]), torch.tensor([2.0, 0.0, 1.0])])
def test_an_order_is_a_permutation_of_any_kind(order):
    found = permutation(order, 3)
    assert found.tolist() == ([0, 1, 2] if order is None else [2, 0, 1]) and found.dtype == torch.long


def test_sampling_restores_the_mode_also_after_an_error():
    class Failing(torch.nn.Module):
        @sampling
        def sample(self):
            assert not self.training and not torch.is_grad_enabled()
            raise RuntimeError("on the way")

    model = Failing()
    with pytest.raises(RuntimeError, match="on the way"):
        model.sample()
    assert model.training and torch.is_grad_enabled()


def test_a_subclass_without_theta_says_so():
    class Empty(Autoregressive):
        pass

    model = Empty(2)
    model.bias = torch.nn.Parameter(torch.zeros(1))
    with pytest.raises(NotImplementedError, match="must define theta"):
        model.log_prob(torch.zeros(1, 2))

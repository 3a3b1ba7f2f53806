"""Causal convolutions: what a kernel sees, and what two stacks of them see."""

import pytest
import torch
from shaken import rng, shaken

from hybridlib import audit
from hybridlib.pixelcnn import CausalConv2d, PixelCNN


@pytest.mark.parametrize("rows", [True, False])
@pytest.mark.parametrize("middle", [True, False])
def test_a_causal_kernel_sees_its_side_of_the_window(rows, middle):
    conv = CausalConv2d(1, 1, 3, rows=rows, middle=middle).double()
    with torch.no_grad():
        conv.weight.fill_(1)
    x = torch.zeros(1, 1, 5, 5, dtype=torch.float64, requires_grad=True)
    (seen,) = torch.autograd.grad(conv(x)[0, 0, 2, 2], x)
    expected = torch.zeros(5, 5, dtype=torch.float64)
    if rows:
        expected[1, 1:4] = 1
        expected[2, 1:4] = float(middle)
    else:
        expected[2, 1] = 1
        expected[2, 2] = float(middle)
    assert torch.equal(seen[0, 0], expected)


def test_the_two_stacks_have_no_blind_spot():
    model = shaken(PixelCNN((6, 6), 4, layers=4), scale=0.3)
    points = torch.randint(0, 2, (200, 36), generator=rng()).double()
    seen = audit.sees(model.theta, points)
    assert audit.leaks(seen, model.order) == [] and audit.missing(seen, model.order) == []


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: PixelCNN((3, 3)).log_prob(torch.zeros(2, 3, 3)), r"\(B, 9\)"),
        (lambda: PixelCNN((3, 3), layers=0), "at least one layer"),
        (lambda: PixelCNN((3,)), "height and width"),
    ],
)
def test_bad_input(build, message):
    with pytest.raises(ValueError, match=message):
        build()

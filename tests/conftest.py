"""What several test files share."""

import pytest
import torch
from pretend_gpu import PretendGPU

from hybridlib.noise import seeded


@pytest.fixture(autouse=True)
def _first_weights():
    """Models that a test builds start alike in every run, whatever ran before."""
    with seeded(0):
        yield


@pytest.fixture(params=["cpu", "cuda"])
def device(request):
    """Where a test's models live: once the CPU, once a card, which is a pretend one where there is none."""
    if request.param == "cpu":
        yield torch.device("cpu")
    elif torch.cuda.is_available():
        yield torch.device("cuda", 0)
    else:
        with PretendGPU():
            yield torch.device("cuda", 0)

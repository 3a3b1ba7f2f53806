"""What several test files share."""

import pytest
import torch
from pretend_gpu import PretendGPU


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

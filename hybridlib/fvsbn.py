"""Fully visible sigmoid belief network: one logistic regression per variable on the variables before it.

Frey, Hinton & Dayan (1995), "Does the wake-sleep algorithm produce good density estimators?". Chapters 1 and 4 use it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .autoregressive import Autoregressive, check_size
from .outputs import Bernoulli


class FVSBN(Autoregressive):
    """p(x_d = 1 | x_<d) = sigmoid(b_d + sum_{j<d} W_dj x_j): MADE without a hidden layer.

    >>> FVSBN(3).log_prob(torch.zeros(2, 3)).exp().tolist()
    [0.125, 0.125]
    """

    def __init__(self, D: int):
        super().__init__(D, output=Bernoulli())
        check_size(D * D, f"D = {D} variables see one another; take a convolution (PixelCNN)")
        self.weight = nn.Parameter(torch.zeros(D, D))  # zero is safe here: the loss is convex
        self.bias = nn.Parameter(torch.zeros(D))

    def theta(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, D) -> (B, D, 1)."""
        x, _ = self.placed(x)
        return F.linear(x.to(self.weight), self.weight.tril(-1), self.bias).unsqueeze(-1)

"""Independent coins, one per variable: the baseline that every other model of the book has to beat.

Chapter 1 builds it.
"""

import torch
from torch import Tensor, nn

from .autoregressive import Autoregressive
from .outputs import check_rows


class Independent(Autoregressive):
    """p(x) = prod_d p(x_d) with p(x_d = 1) = sigmoid(b_d): no variable sees another.

    >>> Independent.fitted(torch.tensor([[1.0, 0.0], [1.0, 1.0]])).sample(5).shape
    torch.Size([5, 2])
    """

    def __init__(self, D: int):
        super().__init__(D)
        self.logits = nn.Parameter(torch.zeros(D))

    def theta(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, D) -> (B, D, 1), the same row B times."""
        return self.logits.expand(len(x), -1).unsqueeze(-1)

    @classmethod
    def fitted(cls, x: Tensor, *, pseudocount: float = 1.0) -> "Independent":
        """The share of ones in each column of x (n, D), as if ``pseudocount`` more ones and zeros had been seen.

        Without it, maximum likelihood gives a variable that never varied in x probability 0 of varying ever.
        ValueError for no rows, values other than 0 and 1, or a pseudocount that is not positive.
        """
        check_rows(x, None, "Independent.fitted")
        if not len(x):
            raise ValueError(f"the data need at least one row, got shape {tuple(x.shape)}")
        if not pseudocount > 0:
            raise ValueError(f"pseudocount is {pseudocount}; it must be positive, or unseen values become impossible")
        model = cls(x.shape[1])
        model.output.check(x)
        with torch.no_grad():
            model.logits.copy_(((x.sum(0) + pseudocount) / (len(x) + 2 * pseudocount)).logit())
        return model.eval()

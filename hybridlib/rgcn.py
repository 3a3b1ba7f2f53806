"""A relational graph convolution: every atom hears its neighbours through one weight matrix per kind of bond.

Schlichtkrull et al. (2018), arXiv:1703.06103, equation 2, with sums instead of means and a skip connection:
h_v <- h_v + relu(b + W_0 h_v + sum_r W_r sum_{u ~_r v} h_u). Chapter 9 builds it.
"""

import torch
from torch import Tensor, nn

from .described import Described


class RGCN(Described, nn.Module):
    """Embeddings of the atoms of a graph, equivariant: permuting the atoms permutes the embeddings.

    ``A`` atom types, ``H`` width, ``layers`` rounds of messages, ``R`` kinds of bonds.

    >>> RGCN(4, H=8)(torch.tensor([[1, 3, 0]]), torch.zeros(1, 3, 3)).shape
    torch.Size([1, 3, 8])
    """

    def __init__(self, A: int, H: int = 128, layers: int = 3, *, R: int = 3):
        super().__init__()
        self.R = R
        self.embed = nn.Embedding(A + 1, H)
        self.layers = nn.ModuleList(nn.Linear(H, (R + 1) * H, bias=False) for _ in range(layers))  # W_0, W_1 ... W_R
        self.biases = nn.ParameterList(torch.zeros(H) for _ in range(layers))

    def forward(self, atoms: Tensor, bonds: Tensor) -> Tensor:
        """Codes (B, N), bond orders (B, N, N) -> embeddings (B, N, H), zero on padding."""
        exists = (atoms > 0).unsqueeze(-1)
        h = self.embed(atoms) * exists
        kinds = torch.stack([bonds == r for r in range(1, self.R + 1)], 1).to(h.dtype)  # (B, R, N, N)
        for layer, bias in enumerate(self.biases):
            own, *heard = self.messages(layer, h).unbind(-2)
            total = own + bias + sum(kinds[:, r] @ heard[r] for r in range(self.R))
            h = (h + total.relu()) * exists
        return h

    def messages(self, layer: int, h: Tensor) -> Tensor:
        """What each atom tells itself, and its neighbours through each kind of bond: (..., H) -> (..., R + 1, H)."""
        return self.layers[layer](h).unflatten(-1, (self.R + 1, -1))

    def gather(self, layer: int, h: Tensor, own: Tensor, message: Tensor, hearer: Tensor) -> Tensor:
        """The same layer for atoms listed one under another, whatever graphs they belong to: (M, H) -> (T, H).

        New row t continues row own[t] of h, and hears those rows message[l] of all messages for which hearer[l] = t::

            h         messages of h, for R = 3
            row 0     row 0: to itself     row 1: through order 1     row 2: ... 2     row 3: ... 3
            row 1     row 4: to itself     row 5: through order 1     and so on:
            row m     row m (R + 1) + r: through order r, to itself for r = 0
        """
        heard = sums(self.messages(layer, h).flatten(0, 1), message, hearer, len(own))
        return h[own] + (heard + self.biases[layer]).relu()


def sums(rows: Tensor, which: Tensor, to: Tensor, T: int) -> Tensor:
    """Row t of the result is the sum of those rows[which] whose entry in ``to`` is t: (M, H) -> (T, H).

    `embedding_bag` does the same, but cannot be differentiated twice.

    >>> sums(torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([0, 2, 1]), torch.tensor([0, 0, 1]), 2).tolist()
    [[5.0], [2.0]]
    """
    parts = rows.index_select(0, which)
    return parts.new_zeros(T, parts.shape[1]).scatter_add(0, to[:, None].expand_as(parts), parts)

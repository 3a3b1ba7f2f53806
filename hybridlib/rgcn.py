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

    def gather(self, layer: int, h: Tensor, own: Tensor, bags: Tensor, to: Tensor) -> Tensor:
        """The same layer for atoms listed one under another, whatever graphs they belong to: (M, H) -> (T, H).

        New row t continues row own[t] of h, and hears the rows bags[to == t] of the messages (M (R + 1), H):
        row m (R + 1) + r is what row m of h tells through bonds of order r, or to itself if r = 0.
        """
        heard = sums(self.messages(layer, h).flatten(0, 1), bags, to, len(own))
        return h[own] + (heard + self.biases[layer]).relu()


def sums(rows: Tensor, bags: Tensor, to: Tensor, T: int) -> Tensor:
    """Row t of the result is the sum of those rows[bags] whose entry in ``to`` is t: (M, H) -> (T, H).

    `embedding_bag` does the same, but cannot be differentiated twice.
    """
    parts = rows.index_select(0, bags)
    return parts.new_zeros(T, parts.shape[1]).scatter_add(0, to[:, None].expand_as(parts), parts)

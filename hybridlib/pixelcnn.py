"""A causal convolution: pixel d depends on a neighbourhood above it and to its left, by masks on the kernels.

Van den Oord, Kalchbrenner & Kavukcuoglu (2016), "Pixel recurrent neural networks", arXiv:1601.06759; two stacks of
layers against the blind spot: van den Oord et al. (2016), arXiv:1606.05328. Chapter 2 builds it, chapter 6
compares its masks with those of MADE and the Transformer.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .autoregressive import Autoregressive
from .outputs import Output


class CausalConv2d(nn.Conv2d):
    """A convolution that sees, of its k x k window, only what lies before the middle in reading order.

    ``rows``: the rows above the middle, and with ``middle`` all of its own row too. Otherwise: the pixels to the left
    of the middle in its own row, and with ``middle`` itself too.

    >>> CausalConv2d(1, 8, 3, rows=True, middle=False)(torch.zeros(5, 1, 4, 6)).shape
    torch.Size([5, 8, 4, 6])
    """

    def __init__(self, inputs: int, outputs: int, k: int, *, rows: bool, middle: bool):
        super().__init__(inputs, outputs, (k // 2 + 1, k) if rows else (1, k // 2 + 1))
        window = torch.ones(self.kernel_size)
        if not middle:
            window[-1 if rows else 0, slice(None) if rows else -1] = 0
        self.register_buffer("window", window, persistent=False)
        self.around = (k // 2, k // 2, k // 2, 0) if rows else (k // 2, 0, 0, 0)  # left, right, top, bottom

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, height, width) -> (B, C', height, width)."""
        return F.conv2d(F.pad(x, self.around), self.weight * self.window, self.bias)


class PixelCNN(Autoregressive):
    """theta of a pixel by masked convolutions: p(x) = prod_d p(x_d | pixels above and to the left, within reach).

    Two stacks of C channels: the vertical one sees the rows above, v <- relu(conv(v)); the horizontal one sees what is
    to the left in its own row, and takes in what the vertical one found: h <- h + relu(conv(h) + A v). A single stack
    of masked k x k kernels would never see a wedge to the upper right, however many layers it has.

    >>> PixelCNN((3, 4), channels=8).sample(5).shape
    torch.Size([5, 12])
    """

    def __init__(self, shape: tuple[int, int], channels: int = 32, *, layers: int = 4, output: Output | None = None):
        if len(shape) != 2:
            raise ValueError(f"a page has height and width, got shape {tuple(shape)}")
        if layers < 1 or channels < 1:
            raise ValueError(f"PixelCNN needs at least one layer and one channel, got {layers} and {channels}")
        super().__init__(shape[0] * shape[1], output=output)
        self.shape, C = tuple(shape), channels
        ins = [self.output.width] + [C] * (layers - 1)
        ks = [7] + [3] * (layers - 1)  # a wide first look, then small steps
        # only the first layer meets the pixels themselves: it must not see the middle
        self.down, self.right = (
            nn.ModuleList(CausalConv2d(i, C, k, rows=rows, middle=n > 0) for n, (i, k) in enumerate(zip(ins, ks)))
            for rows in (True, False)
        )
        self.across = nn.ModuleList(nn.Conv2d(C, C, 1) for _ in ins)
        self.head = nn.Conv2d(C, self.output.P, 1)

    def theta(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, D) -> (B, D, P)."""
        x, _ = self.placed(x)
        page = self.output.encode(x).to(self.head.weight).transpose(1, 2)
        v = h = page.unflatten(2, self.shape)  # (B, width, height, width of the page)
        for down, right, across in zip(self.down, self.right, self.across):
            first = v is h
            v = down(v).relu()
            step = (right(h) + across(v)).relu()
            h = step if first else h + step
        return self.head(h).flatten(2).transpose(1, 2)

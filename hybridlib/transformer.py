"""A causal Transformer: every conditional from one pass, because attention looks only backwards.

Vaswani et al. (2017), "Attention is all you need", arXiv:1706.03762; Radford et al. (2019), "Language models are
unsupervised multitask learners" (GPT-2: normalization in front of each part). Chapter 2 builds it.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .autoregressive import Autoregressive, check_size, sampling
from .described import Described
from .outputs import Bernoulli, Categorical, check_rows, check_temperature, precise


class Block(nn.Module):
    """h + attention(norm(h)), then h + mlp(norm(h)): the first mixes earlier steps in, the second thinks about it.

    >>> Block(8, heads=2, dropout=0.0)(torch.zeros(5, 3, 8))[0].shape
    torch.Size([5, 3, 8])
    """

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, t, width) -> the same, and keys and values (2, B, heads, past + t, width / heads) for the next call.

        Without a past, step t attends to the steps up to t. With the keys and values of a past, h is one new step, and
        attends to everything.
        """
        qkv = self.qkv(self.norm1(h)).unflatten(-1, (3, self.heads, -1))  # (B, t, 3, heads, S)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # three of (B, heads, t, S)
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        # (B, heads, t, past + t); written out, for the fused product cannot be differentiated twice
        scores = q / math.sqrt(q.shape[-1]) @ k.mT
        if past is None:
            scores = scores + scores.new_full(scores.shape[-2:], -math.inf).triu(1)  # nothing of what comes later
        mixed = scores.softmax(-1).to(v.dtype) @ v  # (B, heads, t, S)
        h = h + self.dropout(self.proj(mixed.transpose(1, 2).flatten(2)))  # heads side by side: (B, t, width)
        h = h + self.dropout(self.down(F.gelu(self.up(self.norm2(h)), approximate="tanh")))
        return h, torch.stack([k, v])


class Transformer(Autoregressive):
    """p(x) = prod_t p(x_t | x_<t) over T steps with K symbols each; softmax(theta_t) is the distribution of step t.

    Step t reads the symbol before it, x_{t-1} (a start symbol at first), and attends to steps up to t: so theta_t sees
    x_1, ..., x_{t-1}. With ``end``, a sequence is over at its first ``end``: all later symbols are ``end`` too, with
    probability 1, so that sequences of any length up to T share one distribution.

    >>> Transformer(6, 4, width=8).sample(5, prefix=[2, 0], temperature=0.7).shape
    torch.Size([5, 6])
    """

    def __init__(
        self, T: int, K: int, *, width: int = 128, layers: int = 4, heads: int = 4, dropout: float = 0.0,
        end: int | None = None,
    ):  # fmt: skip
        super().__init__(T, output=Categorical(K))
        if min(width, layers, heads) < 1:
            raise ValueError(
                f"Transformer needs width, layers and heads of at least 1, got {width}, {layers} and {heads}"
            )
        if width % heads:
            raise ValueError(f"width {width} cannot be shared by {heads} heads; take a multiple of the number of heads")
        if end is not None and not 0 <= end < K:
            raise ValueError(f"end = {end} is none of the symbols 0..{K - 1}")
        check_size(
            (T + 2 * K + 1 + 12 * layers * width) * width,
            f"T = {T} steps and K = {K} symbols have {width} numbers each; take fewer of any, or fewer layers",
        )
        self.T, self.K, self.heads, self.end = T, K, heads, end
        self.symbols, self.positions = nn.Embedding(K + 1, width), nn.Embedding(T, width)  # symbol K is the start
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, K)
        self.dropout = nn.Dropout(dropout)
        for name, p in self.named_parameters():  # GPT-2's start
            if p.dim() == 2:
                last = name.endswith(("proj.weight", "down.weight"))  # what is added 2 layers times is smaller
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * layers) if last else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def theta(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Logits of every step in one pass: (B, T) -> (B, T, K); none is computed where all are over."""
        x, _ = self.placed(x)
        before = F.pad(x.long()[:, :-1], (1, 0), value=self.K)
        steps = torch.arange(self.T, device=x.device)
        if self.end is None:
            return self._logits(before, steps)[0]
        t = int(((before != self.end).any(0) * (steps + 1)).max())  # steps up to the longest sequence's end
        theta, _ = self._logits(before[:, :t], steps[:t])
        return self._after_end(F.pad(theta, (0, 0, 0, self.T - t)), before)

    @sampling
    def sample(
        self, n: int, *, prefix: Sequence[int] | Tensor | None = None, temperature: float = 1.0,
        top_k: int | None = None, top_p: float | None = None, generator: torch.Generator | None = None,
    ) -> Tensor:  # fmt: skip
        """n samples (n, T), after a common ``prefix`` (t,) if so wanted; keys and values of past steps are kept.

        ``temperature``, ``top_k`` and ``top_p`` (see `adjust`) draw from another, usually safer distribution than p.
        """
        u, x = self._begin(n, prefix, generator)
        past = [None] * len(self.blocks)
        symbol = x.new_full((n, 1), self.K, dtype=torch.long)
        for t in range(self.T):
            theta, past = self._logits(symbol, torch.tensor([t], device=x.device), past)
            if self.end is not None:
                theta = self._after_end(theta, symbol)
            if prefix is None or t >= len(prefix):
                x[:, t] = self.output.icdf(adjust(theta[:, 0], temperature, top_k, top_p), u[:, t])
            symbol = x[:, t : t + 1].long()
            if self.end is not None and (symbol == self.end).all():
                x[:, t:] = self.end
                break
        return x

    @sampling
    def sample_plain(
        self, n: int, *, prefix: Sequence[int] | Tensor | None = None, temperature: float = 1.0,
        top_k: int | None = None, top_p: float | None = None, generator: torch.Generator | None = None,
    ) -> Tensor:  # fmt: skip
        """The same samples by T full passes, which forget everything in between: the oracle of ``sample``."""
        u, x = self._begin(n, prefix, generator)
        for t in range(0 if prefix is None else len(prefix), self.T):
            x[:, t] = self.output.icdf(adjust(self.theta(x)[:, t], temperature, top_k, top_p), u[:, t])
        return x

    def _begin(self, n, prefix, generator):
        u = self._uniforms(n, generator)
        x = torch.zeros_like(u)
        if prefix is not None:
            prefix = torch.as_tensor(prefix)
            if prefix.dim() != 1 or len(prefix) > self.T:
                raise ValueError(f"a prefix is a vector of at most {self.T} symbols, got shape {tuple(prefix.shape)}")
            self.output.check(prefix)
            x[:, : len(prefix)] = prefix.to(x)
        return u, x

    def _logits(self, before: Tensor, steps: Tensor, past=None) -> tuple[Tensor, list[Tensor]]:
        """The symbols before some steps (B, t) and the numbers of these steps (t,) -> (B, t, K), keys and values."""
        h = self.dropout(self.symbols(before) + self.positions(steps))
        kept = []
        for block, pair in zip(self.blocks, past or [None] * len(self.blocks)):
            h, pair = block(h, pair)
            kept.append(pair)
        return self.head(self.norm(h)), kept

    def _after_end(self, theta: Tensor, before: Tensor) -> Tensor:
        """Where the symbol before is the end, the end follows with probability 1."""
        sure = theta.new_full((self.K,), -math.inf)
        sure[self.end] = 0
        return torch.where((before == self.end).unsqueeze(-1), sure, theta)


def adjust(theta: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None) -> Tensor:
    """Logits (..., K) of a bolder or safer distribution; the ones left out become -inf.

    temperature: theta / temperature; below 1 the likely become likelier. top_k: only the k likeliest symbols stay.
    top_p (nucleus; Holtzman et al., 2020, arXiv:1904.09751): the fewest likeliest symbols stay that hold at least the
    probability top_p together. All three in this order. ValueError outside temperature > 0, top_k >= 1, 0 < top_p <= 1.

    >>> adjust(torch.tensor([1.0, 2.0, 3.0]), top_k=2)
    tensor([-inf, 2., 3.])
    """
    check_temperature(temperature)
    theta = precise(theta) / temperature
    if top_k is not None:
        if top_k < 1:
            raise ValueError(f"top_k is {top_k}; at least one symbol must stay")
        least = theta.topk(min(top_k, theta.shape[-1])).values[..., -1:]
        theta = theta.masked_fill(theta < least, -math.inf)
    if top_p is not None:
        if not 0 < top_p <= 1:
            raise ValueError(f"top_p is {top_p}; it is a probability above 0")
        p, symbols = theta.softmax(-1).sort(descending=True)
        needed = p.cumsum(-1) - p < top_p  # what is likelier does not reach top_p yet
        theta = theta.masked_fill(~torch.zeros_like(needed).scatter(-1, symbols, needed), -math.inf)
    return theta


class InBlocks(Described, nn.Module):
    """A model of D bits that reads and writes k at a time: p(bits) = p(symbols), because packing is one-to-one.

    ``model`` has D / k variables of 2^k values each. Attention over a k-th of the steps costs a k-th to a k^2-th.

    >>> InBlocks(Transformer(3, 4, width=8), k=2).sample(5).shape
    torch.Size([5, 6])
    """

    def __init__(self, model: Autoregressive, k: int):
        super().__init__()
        if getattr(model.output, "P", 0) != 2**k:
            raise ValueError(f"blocks of k = {k} bits are symbols of K = {2**k} values; the model has {model.output.P}")
        self.model, self.k, self.D = model, k, model.D * k
        self.register_buffer("powers", 2 ** torch.arange(k - 1, -1, -1), persistent=False)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x): (B, D) -> (B,), nats. ValueError for wrong shapes or values other than 0 and 1."""
        check_rows(x, self.D, "InBlocks")
        Bernoulli().check(x)
        bits = x.to(self.powers).unflatten(1, (-1, self.k))
        return self.model.log_prob((bits * self.powers).sum(-1))

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """n samples (n, D)."""
        symbols = self.model.sample(n, generator=generator)
        return (symbols.long().unsqueeze(-1) // self.powers % 2).flatten(1).to(symbols)

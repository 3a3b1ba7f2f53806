"""The article's code, and more ways to get MADE wrong, each as the few lines that differ from `Repaired`.

The article is the blog post that the introduction quotes; its one listing is retyped here as `Article`, its mistakes
kept, types added. The other faults are the patches that come to mind first, and traps found in public implementations
of MADE (Germain, Gregor, Murray, Larochelle 2015, arXiv:1502.03509). Each docstring says what is wrong, what happens,
and which checks of `hybridlib.report` see it. Chapter 4 builds the checks on them. Nothing here is meant for modelling:
that is `hybridlib.made`. `x.to(self.W1)` puts x on the device and in the precision of the weights.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybridlib.noise import draw

# --- The article's listing, and what the next error makes of it ---------------------------------------------------


class Article(nn.Module):
    """As published, for x of shape (32, 10). AttributeError: a Sequential holds layers, it has no weight itself.

    >>> Article()(torch.zeros(32, 10))
    Traceback (most recent call last):
    AttributeError: 'Sequential' object has no attribute 'weight'
    """

    def __init__(self, D: int = 10, hidden: int = 64):
        super().__init__()
        self.D = D
        self.net = nn.Sequential(nn.Linear(D, hidden), nn.ReLU(), nn.Linear(hidden, D))
        self.register_buffer("mask", torch.tril(torch.ones(D, D)).unsqueeze(0).unsqueeze(0).bool())

    def forward(self, x: Tensor) -> Tensor:
        w = self.net.weight * self.mask + torch.zeros_like(self.net.weight)
        return F.linear(x, w, self.net.bias)


class ArticleFirstLayer(Article):
    """Takes the first layer's weight. RuntimeError: a mask of shape (1, 1, D, D), attention's shape, does not fit
    (hidden, D); with hidden=D the product has four axes, and `F.linear` refuses it."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.net[0].weight * self.mask, self.net[0].bias)


class ArticleFlatMask(ArticleFirstLayer):
    """Drops the mask's two extra axes. RuntimeError unless hidden=D. Then it runs, and is wrong twice: no gradient
    reaches the second layer, and each output sees its own input. Seen by: leaks; with `bits` as its likelihood also
    by gradients, sums, fits, coins, support."""

    def __init__(self, D: int = 10, hidden: int = 64):
        super().__init__(D, hidden)
        self.mask = self.mask[0, 0]


# --- The article's code, repaired: the one right model of this file -------------------------------------------------


def bits(logits: Tensor, x: Tensor) -> Tensor:
    """Log probability in nats of bits x under independent coins with these logits: (B, D), (B, D) -> (B,).

    >>> bits(torch.zeros(1, 2), torch.tensor([[0, 1]])).exp()
    tensor([0.2500])
    """
    return -F.binary_cross_entropy_with_logits(logits, x.to(logits), reduction="none").sum(-1)


class Repaired(nn.Module):
    """MADE with one hidden layer, for bits: log p(x) = sum_d log p(x_d | x_0 .. x_{d-1}), without options. Nothing
    convicts it.

    >>> from hybridlib.audit import states
    >>> round(Repaired(3).log_prob(states(3)).exp().sum().item(), 4)
    1.0
    """

    def __init__(self, D: int = 6, H: int = 48):
        super().__init__()
        self.D, self.H, self.order = D, H, torch.arange(D)
        self.W1 = nn.Parameter(torch.randn(H, D) / D**0.5)
        self.b1 = nn.Parameter(torch.rand(H))  # positive, so that few units start switched off
        self.W2 = nn.Parameter(torch.randn(D, H) / H**0.5)
        self.b2 = nn.Parameter(torch.zeros(D))
        M1, M2 = self.masks()
        self.register_buffer("M1", M1)
        self.register_buffer("M2", M2)

    def degrees(self) -> tuple[Tensor, Tensor, Tensor]:
        """Degrees of inputs (D,), hidden units (H,) and outputs (D,): a hidden unit of degree k sees inputs 0 to k."""
        return torch.arange(self.D), torch.arange(self.H) * (self.D - 1) // self.H, torch.arange(self.D)

    def masks(self) -> tuple[Tensor, Tensor]:
        """Which weights stay: input degree <= hidden degree < output degree, (H, D) and (D, H)."""
        inputs, hidden, outputs = self.degrees()
        return hidden[:, None] >= inputs, outputs[:, None] > hidden  # (H, D), (D, H)

    def theta(self, x: Tensor) -> Tensor:
        """Logits of all conditionals at once: (B, D) -> (B, D)."""
        h = F.linear(x.to(self.W1), self.W1 * self.M1, self.b1).relu()
        return F.linear(h, self.W2 * self.M2, self.b2)

    def check(self, x: Tensor) -> None:
        """`ValueError` for anything but zeros and ones."""
        if not ((x == 0) | (x == 1)).all():
            raise ValueError("x holds values other than 0 and 1; threshold it, or sample bits from it, first")

    def log_prob(self, x: Tensor) -> Tensor:
        """(B, D) bits -> (B,) nats. `ValueError` for anything but zeros and ones."""
        self.check(x)
        return bits(self.theta(x), x)

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw n states one variable after another: (n, D)."""
        u = draw(torch.rand, (n, self.D), like=self.W1, generator=generator)
        x = torch.zeros_like(u)
        for d in range(self.D):
            x[:, d] = (u[:, d] < self.theta(x)[:, d].sigmoid()).float()
        return x


# --- Wrong masks -----------------------------------------------------------------------------------------------------


class MaskOnInput(Repaired):
    """Masks the input instead of the weights. It runs; the dense layers mix everything again, so every output sees
    every input: 21 leaks at D=6. Seen by: leaks, sums, fits, coins."""

    def theta(self, x: Tensor) -> Tensor:
        """The input masked, the weights not: (B, D) -> (B, D)."""
        x = x.to(self.W1) @ torch.tril(torch.ones(self.D, self.D)).to(self.W1).T
        return F.linear(F.linear(x, self.W1, self.b1).relu(), self.W2, self.b2)


class InclusiveDiagonal(Repaired):
    """The article's triangle keeps its diagonal: output d copies input d, the loss falls to zero, the density is
    worthless. Seen by: leaks, sums, fits, coins."""

    def masks(self) -> tuple[Tensor, Tensor]:
        """`>=` at the output too: (H, D), (D, H)."""
        inputs, hidden, outputs = torch.arange(self.D), torch.arange(self.H) % self.D, torch.arange(self.D)
        return hidden[:, None] >= inputs, outputs[:, None] >= hidden


class SecondLayerUnmasked(Repaired):
    """One mask for two layers: the second layer hands every hidden unit to every output. Seen by: leaks, sums,
    fits, coins."""

    def masks(self) -> tuple[Tensor, Tensor]:
        """The first mask is right, the second is all ones: (H, D), (D, H)."""
        return super().masks()[0], torch.ones(self.D, self.H)


class TriangleTwice(Repaired):
    """The article's inclusive triangle on both layers: its own input still reaches each output. Seen by: leaks,
    sums, fits, coins."""

    def masks(self) -> tuple[Tensor, Tensor]:
        """Two triangles with their diagonals: (H, D), (D, H)."""
        return torch.tril(torch.ones(self.H, self.D)), torch.tril(torch.ones(self.D, self.H))


class StrictTriangleTwice(Repaired):
    """The strict triangle on both layers shifts twice: sums to one, but no output sees its direct predecessor. Seen
    by: connected, fits."""

    def masks(self) -> tuple[Tensor, Tensor]:
        """Two triangles without their diagonals: (H, D), (D, H)."""
        return torch.tril(torch.ones(self.H, self.D), -1), torch.tril(torch.ones(self.D, self.H), -1)


class GreaterEqualAtOutput(Repaired):
    """`>=` where the output layer needs `>` (found in a public repository): all outputs but the last see
    themselves. Seen by: leaks, sums, fits, coins."""

    def masks(self) -> tuple[Tensor, Tensor]:
        """The right degrees, the wrong comparison at the output: (H, D), (D, H)."""
        inputs, hidden, outputs = self.degrees()
        return hidden[:, None] >= inputs, outputs[:, None] >= hidden


class SequentialDegrees(Repaired):
    """Degrees 0, 1, 2, ... in sequence, with fewer hidden units than inputs (nflows, normflows, zuko): no hidden
    unit reaches the later degrees, so the later inputs feed nothing; with D=1 it divides by zero. Seen by:
    connected, fits."""

    def __init__(self, D: int = 6, H: int = 3):
        super().__init__(D, H)

    def degrees(self) -> tuple[Tensor, Tensor, Tensor]:
        """Hidden degrees 0, 1, 2, ... in sequence instead of evenly: (D,), (H,), (D,)."""
        return torch.arange(self.D), torch.arange(self.H) % (self.D - 1), torch.arange(self.D)


class MasksTransposed(Repaired):
    """Compares degrees the wrong way round: a sound density in the *reverse* order, sampled in the natural one.
    Seen by: samples; and by leaks and connected, because the natural order was declared."""

    def masks(self) -> tuple[Tensor, Tensor]:
        """Both comparisons the wrong way round: (H, D), (D, H)."""
        inputs, hidden, outputs = self.degrees()
        return hidden[:, None] < inputs, outputs[:, None] <= hidden


class Cyclic(Repaired):
    """No output sees its own input, which is all that a public self-test asks for (pytorch-made); but each sees all
    others, so no order exists. Guessing a bit from all others is no way to beat coins. Seen by: leaks, sums, fits;
    coins acquits."""

    def masks(self) -> tuple[Tensor, Tensor]:
        """All but oneself: (H, D), (D, H)."""
        inputs, hidden = torch.arange(self.D), torch.arange(self.H) % self.D
        return hidden[:, None] != inputs, inputs[:, None] == hidden


class MaskOnlyAtStart(Repaired):
    """Masks the initial weights once: perfect until the first training step fills the zeros again. Seen, after
    training, by: leaks, sums, fits, coins."""

    def __init__(self, D: int = 6, H: int = 48):
        super().__init__(D, H)
        self.W1.data *= self.M1
        self.W2.data *= self.M2

    def theta(self, x: Tensor) -> Tensor:
        """The weights as they are, no mask: (B, D) -> (B, D)."""
        return F.linear(F.linear(x.to(self.W1), self.W1, self.b1).relu(), self.W2, self.b2)


class ErasingMasks(Repaired):
    """A new order for every call, its masks multiplied into the weights in place: after nine calls almost nothing
    is left. Seen by: repeatable, fits."""

    calls = 0

    def theta(self, x: Tensor) -> Tensor:
        """Masks of another order at every call, written into the weights: (B, D) -> (B, D)."""
        self.calls += 1
        inputs, hidden, _ = self.degrees()
        position = inputs.roll(self.calls)
        self.W1.data *= (hidden[:, None] >= position).to(self.W1)
        self.W2.data *= (position[:, None] > hidden).to(self.W2)
        return F.linear(F.linear(x.to(self.W1), self.W1, self.b1).relu(), self.W2, self.b2)


class Interleaved(Repaired):
    """Two parameters per variable: the masks are laid out d0 d0 d1 d1 ..., the outputs are read as d0 d1 ... d0 d1 ...
    Parameter 0 sees too little, parameter 1 sees the future. Seen, per parameter, by: leaks; sums, fits, coins."""

    sample = None  # left out here and in ContextTooLate: the fault is in the conditionals

    def __init__(self, D: int = 6, H: int = 48):
        super().__init__(D, H)
        self.W2 = nn.Parameter(torch.cat([self.W2, -self.W2]).detach())
        self.b2 = nn.Parameter(torch.zeros(2 * D))

    def masks(self) -> tuple[Tensor, Tensor]:
        """Rows for the layout d0 d0 d1 d1 ...: (H, D), (2 D, H)."""
        M1, M2 = super().masks()
        return M1, M2.repeat_interleave(2, dim=0)

    def theta(self, x: Tensor) -> Tensor:
        """Read as d0 d1 ... d0 d1 ...: (B, D) -> (B, D, 2), scores of the values 0 and 1."""
        return torch.stack(super().theta(x).chunk(2, dim=-1), dim=-1)

    def log_prob(self, x: Tensor) -> Tensor:
        """(B, D) bits -> (B,) nats."""
        self.check(x)
        return self.theta(x).log_softmax(-1).gather(-1, x.to(self.W1).long()[..., None])[..., 0].sum(-1)


class ContextTooLate(Repaired):
    """Context enters through hidden units that all have an input's degree (nflows, normflows): no hidden unit feeds
    the first output, which therefore ignores the context. Cure: hidden units that see nothing but the context. Seen
    by: context."""

    sample = None

    def __init__(self, D: int = 6, H: int = 48, *, context: int = 2):
        super().__init__(D, H)
        self.V = nn.Parameter(torch.randn(H, context) / 4)

    def theta(self, x: Tensor, context: Tensor) -> Tensor:
        """The context added to all hidden units: (B, D), (B, C) -> (B, D)."""
        h = (F.linear(x.to(self.W1), self.W1 * self.M1, self.b1) + context.to(self.V) @ self.V.T).relu()
        return F.linear(h, self.W2 * self.M2, self.b2)

    def log_prob(self, x: Tensor, context: Tensor) -> Tensor:
        """(B, D) bits, (B, C) -> (B,) nats."""
        self.check(x)
        return bits(self.theta(x, context), x)


# --- Right masks, wrong network --------------------------------------------------------------------------------------


class Bypass(Repaired):
    """The forward pass stops after the first weight matrix, as the article's does: with a strict triangle a correct
    density, but only logistic regression. Seen by: gradients, and by fits on a source that needs hidden units."""

    def theta(self, x: Tensor) -> Tensor:
        """One triangular layer, no hidden one: (B, D) -> (B, D)."""
        return F.linear(x.to(self.W1), torch.tril(self.W1[: self.D], -1), self.b2)


class LayerNormHidden(Repaired):
    """LayerNorm across the hidden units: mean and variance carry every input to every unit. Seen by: leaks, sums,
    fits, coins."""

    def theta(self, x: Tensor) -> Tensor:
        """The masked layers, with LayerNorm between them: (B, D) -> (B, D)."""
        h = F.layer_norm(F.linear(x.to(self.W1), self.W1 * self.M1, self.b1), (self.H,)).relu()
        return F.linear(h, self.W2 * self.M2, self.b2)


class SoftmaxHidden(Repaired):
    """Softmax across the hidden units: the denominator sees every input. Seen by: leaks, sums, fits, coins."""

    def theta(self, x: Tensor) -> Tensor:
        """The masked layers, with softmax between them: (B, D) -> (B, D)."""
        h = F.linear(x.to(self.W1), self.W1 * self.M1, self.b1).softmax(-1) * self.H
        return F.linear(h, self.W2 * self.M2, self.b2)


class LogitsAveraged(Repaired):
    """Averages the *logits* of two orders (pytorch-made): not a distribution. Average the probabilities, by
    logsumexp. Seen by: sums, fits; and by leaks, because no order fits both halves of the average."""

    def theta(self, x: Tensor) -> Tensor:
        """The mean of the logits of two orders: (B, D) -> (B, D)."""
        return (super().theta(x) + super().theta(x.flip(-1)).flip(-1)) / 2


# --- Right network, wrong likelihood or sampler ----------------------------------------------------------------------


class MeanReduced(Repaired):
    """The mean over the variables where the likelihood has the sum: the "NLL" is D times too small. Seen by: sums,
    zero, fits, coins."""

    def log_prob(self, x: Tensor) -> Tensor:
        """The mean over the variables, where the sum is due: (B, D) -> (B,)."""
        return super().log_prob(x) / self.D


class SigmoidTwice(Repaired):
    """Probabilities passed to a function that expects logits: all of them end between .5 and .73. Seen by: zero,
    fits."""

    def theta(self, x: Tensor) -> Tensor:
        """Probabilities where logits are due: (B, D) -> (B, D)."""
        return super().theta(x).sigmoid()


class SquaredError(Repaired):
    """Minus the squared error as "log-likelihood": it falls and it is not a likelihood. Seen by: sums, zero, fits,
    coins."""

    def log_prob(self, x: Tensor) -> Tensor:
        """No likelihood: (B, D) -> (B,)."""
        self.check(x)
        return -(self.theta(x).sigmoid() - x).square().sum(-1)


class RealInput(Repaired):
    """Feeds real numbers, the article's randn, to a model of bits: the loss falls below minus thousands. On bits
    nothing is wrong, so only one check sees it: support (`log_prob` must refuse what is no bit)."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Nothing is refused: (B, D) -> (B,)."""
        return bits(self.theta(x), x)


class OnePassSample(Repaired):
    """Draws all variables from one forward pass: a perfect density with a sampler that ignores it. Seen by:
    samples."""

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """All variables from the logits of the zero state: (n, D)."""
        u = draw(torch.rand, (n, self.D), like=self.W1, generator=generator)
        return (u < self.theta(torch.zeros_like(u)).sigmoid()).float()


FAULTS = (
    MaskOnInput, InclusiveDiagonal, SecondLayerUnmasked, TriangleTwice, StrictTriangleTwice, GreaterEqualAtOutput,
    SequentialDegrees, MasksTransposed, Cyclic, MaskOnlyAtStart, ErasingMasks, Interleaved, ContextTooLate, Bypass,
    LayerNormHidden, SoftmaxHidden, LogitsAveraged, MeanReduced, SigmoidTwice, SquaredError, RealInput, OnePassSample,
)  # fmt: skip

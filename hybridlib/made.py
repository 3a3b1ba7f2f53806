"""MADE: masks turn an autoencoder into an autoregressive density.

Germain, Gregor, Murray & Larochelle (2015), "MADE: Masked Autoencoder for Distribution Estimation", arXiv:1502.03509.
Chapter 5 builds it.
"""

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from .autoregressive import Autoregressive, check_size, permutation, sampling
from .layers import MaskedLinear, Staircase, mask
from .noise import choose, shuffle
from .outputs import Output, check_rows


def evenly_spaced_degrees(H: int, D: int, *, context: bool = False) -> Tensor:
    """Sorted degrees (H,) of a hidden layer, spread over 1..D-1 (0..D-1 with context) so that no input is dropped.

    A unit of degree k may see the inputs of degree 1..k. The largest degree is always D-1, so every input but the last
    reaches some unit however few units there are; with context there is always a unit of degree 0, which sees the
    context alone and lets it reach the first variable.

    >>> evenly_spaced_degrees(5, 4).tolist()
    [1, 2, 2, 3, 3]
    """
    if H < 1:
        raise ValueError(f"a hidden layer needs at least one unit, got {H}")
    if context:
        return (torch.arange(H) * (D - 1) + (H - 1) // 2) // max(H - 1, 1)
    return -(-torch.arange(1, H + 1) * (D - 1) // H)  # ceil(k (D - 1) / H)


def random_orders(M: int, D: int, *, generator: torch.Generator | None = None) -> Tensor:
    """M random orders (M, D) of D variables. ValueError for fewer than one of either.

    >>> random_orders(2, 5).sort().values.tolist()
    [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]
    """
    if M < 1 or D < 1:
        raise ValueError(f"random orders need at least one order and one variable, got M = {M}, D = {D}")
    return torch.stack([shuffle(D, generator=generator) for _ in range(M)])


class MaskedMLP(nn.Module):
    """The network: theta of variable number d depends on the variables numbered lower, and on the context.

    h_1 = relu(W_1 * M_1 [c, x] + b_1), h_l = relu(W_l * M_l h_{l-1} + b_l) (+ h_{l-1} where ``residual``),
    theta = V * M_V h_L + A * M_A [c, x] + b. Layers are staircases for the natural order; with ``any_order`` they
    take the degrees of the call.

    >>> MaskedMLP(4, (8, 8), P=2)(torch.zeros(5, 4, 1)).shape
    torch.Size([5, 4, 2])
    """

    def __init__(
        self, D: int, hidden: tuple[int, ...], *, P: int = 1, width: int = 1, context: int = 0,
        direct: bool = True, residual: bool = False, dropout: float = 0.0, any_order: bool = False,
    ):  # fmt: skip
        super().__init__()
        if residual and len(set(hidden)) > 1:
            raise ValueError(f"residual connections need hidden layers of one size, got {tuple(hidden)}")
        sizes = [context + D * width, *hidden, D * P]
        check_size(
            sum(a * b for a, b in itertools.pairwise(sizes)) + (sizes[0] * sizes[-1] if direct and hidden else 0),
            f"D = {D} variables have {width} inputs and {P} parameters each; take direct=False, fewer hidden units, "
            "or outputs with fewer parameters (LogisticMixture for grey levels), or a convolution (PixelCNN)",
        )
        self.D, self.P, self.width, self.context, self.residual = D, P, width, context, residual
        self.any_order = any_order
        self.natural = [torch.arange(1, D + 1)] + [evenly_spaced_degrees(H, D, context=context > 0) for H in hidden]
        inputs, *hiddens, outputs = self.unit_degrees(self.natural)
        layer = MaskedLinear if any_order else Staircase
        self.hidden = nn.ModuleList(layer(a, b, strict=False) for a, b in zip([inputs, *hiddens], hiddens))
        self.out = layer(hiddens[-1], outputs, strict=True) if hidden else None
        self.direct = layer(inputs, outputs, strict=True) if direct or not hidden else None
        self.dropout = nn.Dropout(dropout)

    def unit_degrees(self, degrees: list[Tensor]) -> list[Tensor]:
        """Degrees of variables and hidden layers -> degrees of every unit: inputs with context, hidden, outputs."""
        variables, *hidden = degrees
        inputs = torch.cat([variables.new_zeros(self.context), variables.repeat_interleave(self.width)])
        return [inputs, *hidden, variables.repeat_interleave(self.P)]

    def forward(self, x: Tensor, context: Tensor | None = None, degrees: list[Tensor] | None = None) -> Tensor:
        """(B, D, width) -> theta (B, D, P). ``degrees`` [variables, hidden...] is for ``any_order`` networks."""
        x = x.flatten(1) if context is None else torch.cat([context, x.flatten(1)], 1)
        h = x = x.to(next(self.parameters()).dtype)
        units = self.unit_degrees([d.to(x.device) for d in degrees or self.natural]) if self.any_order else self.natural
        for i, layer in enumerate(self.hidden):
            z = layer(h, units[i], units[i + 1]).relu()
            h = self.dropout(h + z if self.residual and i else z)
        theta = 0 if self.out is None else self.out(h, units[-2], units[-1])
        if self.direct is not None:
            theta = theta + self.direct(x, units[0], units[-1])
        return theta.unflatten(1, (self.D, self.P))

    def sorted_weights(self, degrees: list[Tensor] | None = None) -> tuple[list, tuple | None, tuple | None]:
        """Masked weights with all units sorted by degree: hidden [(W, b, degrees)], (V, b) or None, (A, b) or None."""
        units = self.unit_degrees([d.cpu() for d in degrees or self.natural])
        ranks = [u.argsort(stable=True) for u in units]

        def take(layer, a, b):
            W = layer.dense(units[a].to(layer.bias.device), units[b].to(layer.bias.device))
            return W.detach()[ranks[b]][:, ranks[a]], layer.bias.detach()[ranks[b], None]

        hidden = [(*take(layer, i, i + 1), units[i + 1].sort().values) for i, layer in enumerate(self.hidden)]
        return hidden, self.out and take(self.out, -2, -1), self.direct and take(self.direct, 0, -1)


class MADE(Autoregressive):
    """p(x) = prod_d p(x_d | theta_d(x_before(d))) with all theta from one pass of one masked network.

    ``hidden``     sizes of the hidden layers; () leaves the direct connections alone, a logistic regression
    ``output``     what theta means (``hybridlib.outputs``); Bernoulli by default
    ``orders``     None (natural), one permutation (D,), or several (M, D): a mixture p(x) = 1/M sum_m p_m(x)
    ``direct``     connections from inputs to outputs; with them every allowed pair is connected at any width
    ``context``    length C of a vector c for p(x | c), which enters as inputs of degree 0
    ``residual``   later hidden layers add to the one before
    ``connectivity``  with several orders: every order also deals the hidden degrees out anew

    >>> model = MADE(4, (8, 8), orders=[3, 1, 0, 2])
    >>> model.log_prob(model.sample(5)).shape
    torch.Size([5])
    """

    def __init__(
        self, D: int, hidden: tuple[int, ...] = (500,), *, output: Output | None = None,
        orders: Sequence | Tensor | None = None, direct: bool = True, context: int = 0, residual: bool = False,
        connectivity: bool = False, dropout: float = 0.0,
    ):  # fmt: skip
        super().__init__(D, output=output, orders=orders, context=context)
        self.several = orders is not None and torch.as_tensor(orders).dim() == 2
        self.net = MaskedMLP(
            D, hidden, P=self.output.P, width=self.output.width, context=context,
            direct=direct, residual=residual, dropout=dropout, any_order=self.several,
        )  # fmt: skip
        self.connectivity = connectivity
        if connectivity:  # buffers, because the weights mean nothing without them
            deals = [torch.stack([torch.randperm(H) for _ in self.orders]) for H in hidden]
            for i, deal in enumerate(deals):  # residual layers share units, so they share the dealing
                self.register_buffer(f"deal_{i}", deals[0].clone() if residual else deal)

    def degrees(self, order: int | Tensor | None = None) -> list[Tensor]:
        """Degrees of the variables (D,) and of each hidden layer (H,) for one of the orders, or any order (D,)."""
        sequence = self._sequence(order)
        rank = torch.empty_like(sequence)
        rank[sequence] = torch.arange(1, self.D + 1, device=rank.device)
        hidden = self.net.natural[1:]
        if self.connectivity and (order is None or isinstance(order, int)):
            hidden = [h[getattr(self, f"deal_{i}")[order or 0].cpu()] for i, h in enumerate(hidden)]
        return [rank, *hidden]

    def masks(self, order: int | Tensor | None = None) -> list[Tensor]:
        """0/1 matrices (out, in) of the hidden layers, the output layer, and the direct connections where there are."""
        inputs, *hidden, outputs = self.net.unit_degrees([d.cpu() for d in self.degrees(order)])
        found = [mask(a, b, strict=False) for a, b in zip([inputs, *hidden], hidden, strict=False)]
        if hidden:
            found.append(mask(hidden[-1], outputs, strict=True))
        return found + ([mask(inputs, outputs, strict=True)] if self.net.direct is not None else [])

    def theta(self, x: Tensor, context: Tensor | None = None, order: int | Tensor | None = None) -> Tensor:
        """Parameters of every conditional in one pass: (B, D) -> (B, D, P); in the first order unless told which."""
        x, context = self.placed(x, context)
        if self.several:
            return self.net(self.output.encode(x), context, self.degrees(order))
        # the network knows the natural order only: permute on the way in and on the way out
        sequence = self._sequence(order)
        if torch.equal(sequence, torch.arange(self.D, device=sequence.device)):
            return self.net(self.output.encode(x), context)
        theta = self.net(self.output.encode(x.index_select(1, sequence)), context)
        return theta.index_select(1, sequence.argsort())  # index_select: indexing with [] is ten times slower backward

    def forward(
        self, x: Tensor, context: Tensor | None = None, order: int | Tensor | None = None
    ) -> torch.distributions.Distribution:
        """All conditionals of one order: (B, D) -> distribution with batch shape (B, D). ValueError on wrong values."""
        return self._conditionals(*self._checked(x, context), order)

    def log_prob(self, x: Tensor, context: Tensor | None = None, order: int | Tensor | None = None) -> Tensor:
        """log p(x): (B, D) -> (B,), nats; with several orders log 1/M sum_m p_m(x), or one order's if ``order`` says.

        Probabilities are averaged, never logits: an average of logits is not a distribution.
        """
        x, context = self._checked(x, context)
        chosen = range(len(self.orders)) if order is None else [order]
        each = [self._conditionals(x, context, m).log_prob(x).sum(-1) for m in chosen]
        return torch.stack(each).logsumexp(0) - math.log(len(each)) if len(each) > 1 else each[0]

    def log_prob_plain(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The same (B, D) -> (B,) by D full passes, the textbook's way: pass t sees only the first t variables."""
        x, context = self._checked(x, context)
        each = []
        for m, order in enumerate(self.orders):
            log_p = 0
            for t, d in enumerate(order.tolist()):
                before = x.index_fill(1, order[t:], 0)  # what is generated from step t on is not there yet
                log_p = log_p + self._conditionals(before, context, m).log_prob(x)[:, d]
            each.append(log_p)
        return torch.stack(each).logsumexp(0) - math.log(len(each))

    def _conditionals(self, x: Tensor, context: Tensor | None, order: int | Tensor | None = None):
        return self.output.distribution(self.theta(x, context, order))

    def sample(self, n: int, *, context: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """n samples (n, D), each hidden unit computed once: the work of one pass instead of D."""
        return self._sample(n, context, generator, self._frontier)

    def sample_plain(
        self, n: int, *, context: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """The same samples by D full passes, the textbook's way: pass t is made for the variable of step t alone."""

        def full_passes(u: Tensor, context: Tensor | None, m: int) -> Tensor:
            x = torch.zeros_like(u)
            for d in self.orders[m].tolist():
                x[:, d] = self.output.icdf(self.theta(x, context, m)[:, d], u[:, d])
            return x

        return self._sample(n, context, generator, full_passes)

    def generate(
        self, noise: Tensor, icdf: Callable[[Tensor, Tensor], Tensor], context: Tensor | None = None
    ) -> Tensor:
        """x_d = icdf(theta_d(x_before(d)), noise_d) in the first order, each hidden unit computed once.

        (B, D) -> (B, D), as of a model in eval mode. Where a gradient is wanted, by D full passes.
        """
        noise, context = self.placed(noise, context)
        inputs = noise, context, *self.parameters()
        if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in inputs):
            return super().generate(noise, icdf, context)
        with torch.no_grad():
            return self._frontier(noise, context, None, icdf=icdf)

    @sampling
    def inpaint(
        self, x: Tensor, known: Tensor, *, context: Tensor | None = None, order: int | Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:  # fmt: skip
        """Fill in the variables that are not known: (B, D) and known (D,) bool -> (B, D), a sample of p(x | x_known).

        The known variables must come first in the order. A model of several orders takes any: ``order`` (D,) with the
        known variables moved to its front, or a random one unless given. A model of one order raises ValueError where
        that order does not begin with the known variables.
        """
        check_rows(x, self.D, type(self).__name__)
        known = torch.as_tensor(known).to(self.orders.device)
        if known.dtype != torch.bool or known.shape != (self.D,):
            raise ValueError(f"known must be a bool vector ({self.D},), got {known.dtype} {tuple(known.shape)}")
        x, context = self._checked(torch.where(known, x.to(known.device), 0), context)
        if self.several and order is None:
            order = shuffle(self.D, generator=generator)
        order = self._sequence(order)
        if self.several:
            order = torch.cat([order[known[order]], order[~known[order]]])
        K = int(known.sum())
        if not known[order[:K]].all():
            first = int(order[:K][~known[order[:K]]][0])
            raise ValueError(
                f"this model's order does not begin with the {K} known variables: it generates variable {first} before "
                "one of them; train with several orders to fill in any of them"
            )
        u = self._uniforms(len(x), generator, context)
        return self._frontier(u, context, order if self.several else None, given=x[:, order[:K]])

    def _sequence(self, order: int | Tensor | None) -> Tensor:
        """The order (D,) meant by None (the first), a number, or a permutation."""
        if order is None or isinstance(order, int):
            if not 0 <= (order or 0) < len(self.orders):
                raise ValueError(f"this MADE has {len(self.orders)} orders, numbered from 0; there is no order {order}")
            return self.orders[order or 0]
        order = permutation(order, self.D).to(self.orders)
        if not (self.several or torch.equal(order, self.order)):
            raise ValueError("this MADE was built for one order; build it with orders of shape (M, D) to use any other")
        return order

    @sampling
    def _sample(self, n, context, generator, sampler) -> Tensor:
        u, context = self.placed(self._uniforms(n, generator, context), context)
        # a mixture: each sample first draws its order, then itself
        which = choose(len(self.orders), n, generator=generator) if len(self.orders) > 1 else torch.zeros(n).long()
        x = torch.empty_like(u)
        for m in which.unique().tolist():
            rows = (which == m).to(u.device)
            x[rows] = sampler(u[rows], None if context is None else context[rows], m)
        return x

    def _frontier(self, u: Tensor, context: Tensor | None, order, given: Tensor | None = None, icdf=None) -> Tensor:
        """Uniforms (n, D) -> samples (n, D), with the first variables ``given`` (n, K) if so wanted.

        Units are sorted by degree. Once the first t variables are known, exactly the units of degree <= t are final:
        step t computes those that became final just now, then the one output column that they make possible. Arrays
        are kept (units, n) so that "everything final so far" is one contiguous slice. What was final when a block of
        steps began is summed for the whole block by one matrix product; a step adds only what has come since.
        """
        hidden, out, direct = self.net.sorted_weights(self.degrees(order) if self.several else None)
        sequence, C, w, P, block = self._sequence(order), self.context, self.output.width, self.output.P, 32
        u = u[:, sequence].t().contiguous()
        result = torch.empty_like(u)
        weight = next(self.parameters())  # the network may be coarser than the uniforms
        inputs = weight.new_empty(C + self.D * w, u.shape[1])
        inputs[:C] = 0 if context is None else context.t()
        units = [weight.new_empty(len(W), u.shape[1]) for W, _, _ in hidden]
        theta = weight.new_empty(self.D * P, u.shape[1])
        # how many inputs, and units of each hidden layer, are final before step t
        final = [[C + t * w for t in range(self.D)]]
        final += [torch.searchsorted(d, torch.arange(self.D), right=True).tolist() for _, _, d in hidden]
        sources = [inputs, *units]
        heads = [(*head, source) for head, source in ((out, -1), (direct, 0)) if head]
        began = [C] + [0] * len(hidden)
        for t in range(self.D):
            if t % block == 0:
                last = min(t + block, self.D) - 1
                for i, (W, b, _) in enumerate(hidden):
                    rows, k = slice(began[i + 1], final[i + 1][last]), began[i]
                    units[i][rows] = torch.addmm(b[rows], W[rows, :k], sources[i][:k])
                rows = slice(t * P, (last + 1) * P)
                known = [torch.addmm(b[rows], W[rows, : began[i]], sources[i][: began[i]]) for W, b, i in heads]
                theta[rows] = sum(known)
            for i, (W, _, _) in enumerate(hidden):
                new = slice(final[i + 1][t - 1] if t else 0, final[i + 1][t])
                if new.start < new.stop:
                    since = slice(began[i], final[i][t])
                    units[i][new].addmm_(W[new, since], sources[i][since]).relu_()
                    if self.net.residual and i:
                        units[i][new] += units[i - 1][new]
            if given is not None and t < given.shape[1]:
                result[t] = given[:, t]
            else:
                row = theta[t * P : (t + 1) * P]
                for W, _, i in heads:
                    since = slice(began[i], final[i][t])
                    row.addmm_(W[t * P : (t + 1) * P, since], sources[i][since])
                result[t] = (icdf or self.output.icdf)(row.t(), u[t])
            inputs[C + t * w : C + (t + 1) * w] = self.output.encode(result[t][:, None])[:, 0].t()
            if (t + 1) % block == 0:
                began = [C + (t + 1) * w] + [f[t] for f in final[1:]]
        return result[sequence.argsort()].t().contiguous()


@torch.no_grad()
def start_from_frequencies(model: MADE, x: Tensor) -> None:
    """Make a MADE of bits independent coins with the frequencies of x (n, D): training need not learn what counts tell.

    >>> start_from_frequencies(model := MADE(2, (4,)), torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    >>> round(model.log_prob(torch.ones(1, 2)).exp().item(), 4)  # 2.5 / 3 times 1.5 / 3
    0.4167
    """
    frequency = (x.sum(0) + 0.5) / (len(x) + 1)  # half an observation of each value: no logit is infinite
    for layer in (model.net.out, model.net.direct):
        layer.weight.zero_()
        layer.bias.zero_()
    # a network of one order numbers its outputs in that order
    model.net.out.bias.copy_((frequency if model.several else frequency[model.order]).logit())

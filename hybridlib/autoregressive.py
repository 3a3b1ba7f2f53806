"""The chain rule as a base class: p(x) = prod_d p(x_d | variables before d in the order).

Bengio & Bengio (2000), "Modeling high-dimensional discrete data with multi-layer neural networks". Chapter 1 states the
promise that every model keeps, chapter 5 uses it.
"""

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from .described import Described
from .noise import draw
from .outputs import Bernoulli, Output, beside, check_finite, check_rows

MOST_WEIGHTS = 500_000_000  # 2 GB: beyond that a call is a mistake more often than a wish


def permutation(order: Sequence[int] | Tensor | None, D: int) -> Tensor:
    """``order`` as a LongTensor (D,) on the CPU, or a ValueError that says what is wrong; None is the natural order.

    >>> permutation([2, 0, 1], 3)
    tensor([2, 0, 1])
    """
    order = torch.arange(D) if order is None else torch.as_tensor(order).detach().cpu()
    if order.shape != (D,) or not torch.equal(order.sort().values, torch.arange(D)):
        found = f"{order.tolist()}" if order.numel() <= 20 else f"shape {tuple(order.shape)}"
        raise ValueError(f"an order of {D} variables must be a permutation of 0..{D - 1}, got {found}")
    return order.long()


def check_context(model: nn.Module, n: int, context: Tensor | None) -> None:
    """Raise ValueError unless the context is what ``model.context`` asks for: None for 0, else (n, C), finite.

    >>> check_context(Autoregressive(3, context=2), 5, torch.zeros(5, 2))
    """
    _check_shape(model, n, context)
    if context is not None:
        check_finite(context, "numbers of the context")


def _check_shape(model: nn.Module, n: int, context: Tensor | None) -> None:
    C = model.context
    if (context is not None) != (C > 0) or (C > 0 and (not isinstance(context, Tensor) or context.shape != (n, C))):
        got = "none" if context is None else f"shape {tuple(getattr(context, 'shape', ()))} of {type(context).__name__}"
        needs = f"a context of shape ({n}, {C})" if C else "no context"
        raise ValueError(f"this {type(model).__name__} needs {needs}, got {got}")
    if context is not None and context.is_complex():
        raise ValueError(f"the context needs real numbers, got {context.dtype}; take real and imaginary parts")


def check_size(weights: int, remedy: str) -> None:
    """Raise ValueError for a network of more weights than anybody means to ask for.

    >>> check_size(784 * 500, "take fewer hidden units")
    """
    if weights > MOST_WEIGHTS:
        raise ValueError(f"this network would have {weights:,} weights, more than {MOST_WEIGHTS:,}; {remedy}")


def sampling(method: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Decorate a sampling method: no gradients, dropout off while it runs, and ValueError for weights that are NaN.

    >>> Noisy = type("Noisy", (nn.Dropout,), {"sample": sampling(lambda self, n: self(torch.ones(n)))})
    >>> Noisy(0.5).sample(3)
    tensor([1., 1., 1.])
    """

    @functools.wraps(method)
    def wrapped(self, *args, **kwargs):
        for name, parameter in self.named_parameters():
            check_finite(parameter, f"weights {name}", "train the model anew, with a smaller lr")
        training = self.training
        self.eval()
        try:
            with torch.no_grad():
                return method(self, *args, **kwargs)
        finally:
            self.train(training)

    return wrapped


class Autoregressive(Described, nn.Module):
    """p(x) = prod_d p(x_d | x_before(d)); a subclass supplies ``theta`` and gets likelihood and sampling from here.

    ``order[t]`` is the variable that is generated at step t. ``theta(x)[:, d]`` may depend on the variables before d in
    that order and on nothing else: ``hybridlib.audit`` checks it. ``orders`` (M, D) holds one order for most models.

    Data come from any device and in any real type: they are moved to the weights, and there is the answer.

    >>> from hybridlib.made import MADE
    >>> MADE(3, orders=[2, 0, 1])(torch.zeros(5, 3)).batch_shape  # the conditionals
    torch.Size([5, 3])
    """

    def __init__(
        self, D: int, *, output: Output | None = None, orders: Sequence | Tensor | None = None, context: int = 0
    ):
        super().__init__()
        if D < 1 or context < 0:
            raise ValueError(f"a model needs at least one variable and no negative context, got D = {D}, {context}")
        if isinstance(output, type) or not hasattr(output or Bernoulli, "P"):
            raise ValueError(f"output is {output!r}; it must be an object such as Bernoulli() or Categorical(3)")
        self.D, self.context = D, context
        self.output = Bernoulli() if output is None else output
        orders = [orders] if orders is None or torch.as_tensor(orders).dim() < 2 else list(torch.as_tensor(orders))
        if not orders:
            raise ValueError(f"orders of shape (0, {D}) are none; give at least one, or None for the natural order")
        self.register_buffer("orders", torch.stack([permutation(order, D) for order in orders]))

    @property
    def order(self) -> Tensor:
        """The order (D,) in which variables are generated; the first one where a model has several."""
        return self.orders[0]

    def theta(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Parameters of every conditional at once: (B, D) -> (B, D, P). The subclass's work."""
        raise NotImplementedError(f"{type(self).__name__} must define theta(x, context)")

    def forward(self, x: Tensor, context: Tensor | None = None) -> torch.distributions.Distribution:
        """All conditionals p(x_d | x_before(d)) in one pass: (B, D) -> distribution with batch shape (B, D).

        ValueError on wrong shapes or values.
        """
        return self._conditionals(*self._checked(x, context))

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x) = sum_d log p(x_d | x_before(d)): (B, D) -> (B,), nats. ValueError on wrong shapes or values.

        In float32 the sum over 784 pixels differs from that in float64 by less than a millionth of it.
        """
        x, context = self._checked(x, context)
        return self._conditionals(x, context).log_prob(x).sum(-1)

    @sampling
    def sample(self, n: int, *, context: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """n samples (n, D), one variable after the other: D full passes. ``context`` is (n, C) where p(x | c)."""
        return self.generate(self._uniforms(n, generator, context), self.output.icdf, context)

    def generate(
        self, noise: Tensor, icdf: Callable[[Tensor, Tensor], Tensor], context: Tensor | None = None
    ) -> Tensor:
        """x_d = icdf(theta_d(x_before(d)), noise_d), one variable after the other: (B, D) -> (B, D) by D full passes.

        With ``icdf`` an inverse distribution function and uniform noise it samples; chapter 7 inverts flows with it.
        Gradients pass.
        """
        noise, context = self.placed(noise, context)
        x = torch.zeros_like(noise)
        for d in self.order.tolist():
            value = icdf(self.theta(x, context)[:, d], noise[:, d])
            x = x.clone() if torch.is_grad_enabled() else x  # a backward pass needs every stage as it was
            x[:, d] = value
        return x

    def _uniforms(self, n: int, generator: torch.Generator | None, context: Tensor | None = None) -> Tensor:
        """The randomness of n samples, (n, D): variable d is decided by column d, whatever the sampler."""
        check_context(self, n, context)
        return draw(torch.rand, (n, self.D), like=next(self.parameters()), generator=generator)

    def placed(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """x and context on the device of the weights, in their precision or float32: whole numbers stay whole.

        ValueError on wrong shapes.
        """
        check_rows(x, self.D, type(self).__name__)
        _check_shape(self, len(x), context)
        weight = next(self.parameters())
        return beside(x, weight), None if context is None else beside(context, weight)

    def _conditionals(self, x: Tensor, context: Tensor | None) -> torch.distributions.Distribution:
        return self.output.distribution(self.theta(x, context))

    def _checked(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """x and context, `placed`, after checking shapes and values."""
        check_rows(x, self.D, type(self).__name__)  # now, for what is no table has no values to look at
        check_context(self, len(x), context)
        self.output.check(x)
        return self.placed(x, context)

"""Who sees whom in a model, does it sum to one, do its samples follow it: measurements of any callable, ours or not.

The network of an autoregressive model turns x (B, D) into the parameters of all conditionals: (B, D), or (B, D, P) with
P per variable. Those of a variable may depend on the variables before it in the order, and on nothing else.
Each tool here measures one thing; `hybridlib.report` asks all of them of one model and says what they found.
Chapter 4 builds it, on the faults of `hybridlib.faulty`; the later chapters and the tests use it.
"""

import copy
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

Order = Tensor | Sequence[int]  # a permutation of 0 .. D-1: (D,)
Source = tuple[Tensor, Tensor]  # states (N, D) and their log probabilities in nats (N,)
TOLERANCE = 1e-6  # change of an output, or its relative change, that counts as one: above the noise of 32-bit floats


# --- States, and sources whose entropy is known ----------------------------------------------------------------------


def states(D: int, *, levels: int = 2) -> Tensor:
    """All states of D variables with values 0 .. levels-1: (levels**D, D). `ValueError` above 2**22 states.

    >>> states(2).tolist()
    [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    """
    if D < 1 or levels < 2 or levels**D > 2**22:
        raise ValueError(
            f"cannot list the states of D={D} variables with {levels} values each; 2 to 2**22 states can be"
        )
    powers = levels ** torch.arange(D - 1, -1, -1)
    return (torch.arange(levels**D)[:, None] // powers % levels).to(torch.get_default_dtype())


def coins(D: int, *, levels: int = 2, order: Order | None = None) -> Source:
    """Fair coins: all states (N, D) and their log probabilities (N,). The entropy is D ln(levels) nats.

    >>> [part.shape for part in coins(3)]
    [torch.Size([8, 3]), torch.Size([8])]
    """
    x = states(D, levels=levels)
    return x, torch.full((len(x),), -math.log(len(x)))


def copies(D: int, *, levels: int = 2, order: Order | None = None, noise: float = 0.1) -> Source:
    """Each variable copies the one before it, but for a chance `noise` of another value: (N, D), (N,) as in `coins`.

    Logistic regression can fit it, if each output sees its predecessor.

    >>> x, log_p = copies(2)
    >>> [round(p, 2) for p in log_p.exp().tolist()]  # of 00, 01, 10, 11
    [0.45, 0.05, 0.05, 0.45]
    """
    return _chain(D, levels, order, noise, 1)


def parities(D: int, *, levels: int = 2, order: Order | None = None, noise: float = 0.1) -> Source:
    """Each variable is the sum, modulo `levels`, of the two before it, but for a chance `noise`: as in `copies`.

    For bits that is exclusive or: a model needs both links, and hidden units.

    >>> x, log_p = parities(3)
    >>> torch.equal(log_p > log_p.mean(), x[:, 0] + x[:, 1] - 2 * x[:, 0] * x[:, 1] == x[:, 2])
    True
    """
    return _chain(D, levels, order, noise, 2)


def _chain(D, levels, order, noise, reach):
    x = states(D, levels=levels)
    steps = x if order is None else x[:, torch.as_tensor(order).cpu()]
    right, wrong = math.log(1 - noise), math.log(noise / (levels - 1))
    log_p = torch.full((len(x),), -min(D, reach) * math.log(levels))  # the first ones follow nothing
    for t in range(reach, D):
        log_p += torch.where(steps[:, t] == steps[:, t - reach : t].sum(-1) % levels, right, wrong)
    return x, log_p


# --- Who sees whom ---------------------------------------------------------------------------------------------------


@torch.no_grad()
def sees(f: Callable, points: Tensor, *, levels: int | None = 2, per_parameter: bool = False) -> Tensor:
    """Which outputs change when one input changes: bool [output, input], (D, I); per parameter (D, P, I).

    f: callable, (B, I) -> (B, D) or (B, D, P). points: (B, I), where to try; `states(D)` leaves nothing out.
    An input goes from v to v+1 modulo `levels`; with levels=None (real numbers) it takes the value of another point.

    >>> sees(lambda x: x.cumsum(-1), states(3)).long().tolist()
    [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    """
    before, seen = parameters_at(f, points), []
    for i in range(points.shape[1]):
        changed = points.clone()
        changed[:, i] = points[:, i].roll(1) if levels is None else (points[:, i] + 1) % levels
        after = parameters_at(f, changed)
        seen.append(differ(before, after).any(dim=0).cpu())
    seen = torch.stack(seen, dim=-1)
    return seen if per_parameter else seen.any(dim=1)


def differ(before: Tensor, after: Tensor) -> Tensor:
    """Which entries differ by more than rounding: two tensors of one shape -> bool of that shape.

    Written so that NaN counts as a change, and infinity that stays infinity does not.

    >>> differ(torch.tensor([1.0, 1.0, torch.inf]), torch.tensor([1.1, torch.nan, torch.inf])).tolist()
    [True, True, False]
    """
    noise = TOLERANCE * before.abs().clamp(min=1, max=1 / TOLERANCE)
    return ~((after == before) | ((after - before).abs() <= noise))


def sees_by_derivative(f: Callable, points: Tensor, *, per_parameter: bool = False) -> Tensor:
    """Which derivatives d output / d input are not zero at every point: bool [output, input], as in `sees`.

    Give many points: at a single one, a leak behind a ReLU that happens to be off goes unseen.

    >>> sees_by_derivative(lambda x: x.cumsum(-1), torch.zeros(1, 2)).long().tolist()
    [[1, 0], [1, 1]]
    """
    points = points.detach().clone().requires_grad_()
    outputs = parameters_at(f, points)
    seen = torch.zeros(*outputs.shape[1:], points.shape[1], dtype=torch.bool)
    if outputs.requires_grad:  # otherwise no input enters at all
        for d, p in torch.ones(outputs.shape[1:]).nonzero().tolist():
            (slope,) = torch.autograd.grad(outputs[:, d, p].sum(), points, retain_graph=True, allow_unused=True)
            if slope is not None:
                seen[d, p] = (slope != 0).any(dim=0).cpu()
    return seen if per_parameter else seen.any(dim=1)


def parameters_at(f: Callable, points: Tensor) -> Tensor:
    """The parameters of all conditionals, f(points), as (B, D, P). `ValueError` if f gives neither that nor (B, D).

    >>> parameters_at(lambda x: x.cumsum(-1), states(2)).shape
    torch.Size([4, 2, 1])
    """
    outputs = f(points)
    if outputs.ndim not in (2, 3) or len(outputs) != len(points):
        raise ValueError(f"{len(points)} points gave outputs {tuple(outputs.shape)}; expected (B, D) or (B, D, P)")
    return outputs if outputs.ndim == 3 else outputs[..., None]


def allowed(order: Order) -> Tensor:
    """Pairs that an order, (D,), allows: bool (D, D), True at [output, input] where the input comes earlier.

    >>> allowed([0, 1, 2]).long().tolist()
    [[0, 0, 0], [1, 0, 0], [1, 1, 0]]
    """
    position = torch.as_tensor(order).cpu().argsort()
    return position[:, None] > position


def leaks(seen: Tensor, order: Order) -> list[tuple[int, int]]:
    """Forbidden pairs that are connected: list of (output, input).

    >>> leaks(torch.ones(2, 2).bool(), [0, 1])
    [(0, 0), (0, 1), (1, 1)]
    """
    return [tuple(pair) for pair in (seen.cpu() & ~allowed(order)).nonzero().tolist()]


def missing(seen: Tensor, order: Order) -> list[tuple[int, int]]:
    """Allowed pairs that are not connected: list of (output, input).

    >>> missing(torch.zeros(3, 3).bool(), [0, 1, 2])
    [(1, 0), (2, 0), (2, 1)]
    """
    return [tuple(pair) for pair in (~seen.cpu() & allowed(order)).nonzero().tolist()]


def find_order(seen: Tensor) -> Tensor | None:
    """An order, (D,), in which nothing leaks; None if some outputs see themselves, or each other in a ring.

    >>> find_order(allowed([2, 0, 1])).tolist()
    [2, 0, 1]
    """
    seen, order, left = seen.cpu(), [], list(range(len(seen)))
    while left:
        free = next((d for d in left if not seen[d, left].any()), None)  # sees only what has its place already
        if free is None:
            return None
        order.append(free)
        left.remove(free)
    return torch.tensor(order)


def closest_order(seen: Tensor) -> Tensor:
    """The order, (D,), in which fewest pairs leak, hence fewest are missing; exact up to 12 variables.

    Beyond, one variable after another takes the next place: of those that are left, one that sees few and is seen by
    many. Of several such orders, the first in the alphabet.

    >>> closest_order(torch.tensor([[0, 1, 0], [0, 0, 1], [1, 0, 0]])).tolist()  # a ring, cut at one place
    [0, 2, 1]
    """
    others = seen.cpu() & ~torch.eye(len(seen), dtype=torch.bool)  # who sees himself does so in every order
    order, left = [], list(range(len(seen)))
    if len(seen) > 12:
        while left:
            order.append(min(left, key=lambda d: others[d, left].sum().item() - others[left, d].sum().item()))
            left.remove(order[-1])
        return torch.tensor(order)
    rows = [sum(1 << i for i in row.nonzero().flatten().tolist()) for row in others]
    best = [(0, ())]  # for each set of variables, as a binary number: fewest leaks among them, and their order
    for those in range(1, 1 << len(seen)):
        choices = []
        for d in left:
            if those >> d & 1:  # d comes first, and leaks where it sees one of the rest
                fewest, rest = best[those ^ 1 << d]
                choices.append(((rows[d] & those & ~(1 << d)).bit_count() + fewest, (d, *rest)))
        best.append(min(choices))
    return torch.tensor(best[-1][1])


def idle_parameters(model: nn.Module, loss: Tensor) -> list[str]:
    """Names of the parameters that no gradient of `loss`, a scalar, reaches; frozen ones are left out.

    >>> idle_parameters(layer := nn.Linear(2, 2), layer.bias.sum())
    ['weight']
    """
    named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not loss.requires_grad:
        return list(named)
    slopes = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return [name for name, slope in zip(named, slopes) if slope is None or not slope.any()]


# --- Probabilities ---------------------------------------------------------------------------------------------------


@torch.no_grad()
def total_probability(log_prob: Callable, D: int, *, levels: int = 2) -> float:
    """Sum of the probabilities of all states, added in 64 bits: a float that should be 1. log_prob: (B, D) -> (B,).

    >>> total_probability(lambda x: 0 * x.sum(-1), 3)  # each of eight states certain
    8.0
    """
    return sum(log_prob(x).cpu().double().exp().sum().item() for x in states(D, levels=levels).split(4096))


@torch.no_grad()
def sample_test(
    sample: Callable,
    log_prob: Callable,
    D: int,
    *,
    levels: int = 2,
    n: int = 20_000,
    generator: torch.Generator | None = None,
) -> tuple[float, float]:
    """Do samples follow the probabilities? Gives the p-value and the total variation distance of the frequencies.

    sample: callable, (n, generator=...) -> (n, D). Pearson's chi-square test; states that are expected fewer than five
    times count as one, tested by itself if that is still fewer than five. A right sampler gets a p-value below a in a
    fraction a of all runs: convict below, say, 1e-4. `ValueError` for samples of another shape or with other values.

    >>> p_value, distance = sample_test(lambda n, generator: torch.zeros(n, 2), lambda x: (0 * x[:, 0] + 0.25).log(), 2)
    >>> p_value < 1e-4, round(distance, 6)
    (True, 0.75)
    """
    drawn = sample(n, generator=generator).cpu()
    if complaint := sample_complaint(drawn, n, D, levels):
        raise ValueError(complaint)
    powers = levels ** torch.arange(D - 1, -1, -1)
    observed = torch.bincount((drawn.long() * powers).sum(-1), minlength=levels**D).double()
    expected = n * log_prob(states(D, levels=levels)).cpu().double().exp()
    distance = (observed - expected).abs().sum().item() / (2 * n)
    rare = expected < 5
    seldom, due = observed[rare].sum(), expected[rare].sum()
    observed, expected = observed[~rare], expected[~rare]
    p_value = 1.0
    if due < 5 and rare.any():  # too few for a square: the exact chance, by Poisson, of that many or more
        p_value = torch.special.gammainc(seldom, due).item() if seldom else 1.0
    elif rare.any():
        observed, expected = torch.cat([observed, seldom[None]]), torch.cat([expected, due[None]])
    chi_square = ((observed - expected).square() / expected).sum()
    freedom = max(len(expected) - 1 - (not rare.any()), 1)
    chance = torch.special.gammaincc(torch.tensor(freedom / 2).double(), chi_square / 2).item()
    return (min(1.0, 2 * min(chance, p_value)) if p_value < 1 else chance), distance


def form_of(answer: object) -> str:
    """What an answer looks like, for a sentence about it: its shape, or its type if it is no tensor.

    >>> form_of(torch.zeros(2, 3)), form_of([0])
    ('shape (2, 3)', 'type list')
    """
    return f"shape {tuple(answer.shape)}" if isinstance(answer, Tensor) else f"type {type(answer).__name__}"


def sample_complaint(drawn: object, n: int, D: int, levels: int | None) -> str | None:
    """What is wrong with the form of n samples, a sentence, or None. levels=None: real numbers.

    >>> sample_complaint(torch.tensor([[0.0, 2.0]]), 1, 2, levels=2)
    'samples hold 2; the values are 0 .. 1'
    """
    if not isinstance(drawn, Tensor) or drawn.shape != (n, D):
        return f"{n} samples of {D} variables came in {form_of(drawn)}; ({n}, {D}) is due"
    if drawn.is_complex():
        return "samples are complex numbers"
    if levels is None:
        return None if drawn.isfinite().all() else "some samples are not finite"
    values = drawn.double().unique()  # truth values are 0 and 1
    wrong = values[~((values >= 0) & (values < levels) & (values == values.floor()))].tolist()
    shown = ", ".join(f"{value:.4g}" for value in wrong[:3]) + (", ..." if len(wrong) > 3 else "")
    return f"samples hold {shown}; the values are 0 .. {levels - 1}" if wrong else None


@torch.no_grad()
def total_density(
    density: Callable, lower: Tensor | Sequence[float], upper: Tensor | Sequence[float], *, points: int = 400
) -> float:
    """Integral of a density over a box by the midpoint rule: a float, 1 where the box holds everything.

    density: log-density, (B, D) -> (B,), nats. lower, upper: corners of the box, (D,), for D = 1 or 2; `ValueError`
    for others.

    >>> round(total_density(lambda x: -x.sum(-1), [0, 0], [9, 9]), 2)
    1.0
    """
    lower, upper = torch.as_tensor(lower).cpu(), torch.as_tensor(upper).cpu()
    D = len(lower)
    if D not in (1, 2) or len(upper) != D or not (lower < upper).all():
        raise ValueError(
            f"a box has two corners (D,), lower < upper, D = 1 or 2; got {lower.tolist()}, {upper.tolist()}"
        )
    steps = (torch.arange(points) + 0.5) / points
    grid = torch.cartesian_prod(*[steps] * D).view(-1, D) * (upper - lower) + lower
    total = sum(density(part).cpu().double().exp().sum().item() for part in grid.split(10_000))
    return total * ((upper - lower) / points).prod().item()


# --- Invertible maps -------------------------------------------------------------------------------------------------


@torch.no_grad()
def inverse_error(transform: nn.Module, x: Tensor, *context: Tensor) -> float:
    """Largest |inverse(forward(x)) - x|, or |sum of the two log-determinants| if that is larger: a float.

    transform: `hybridlib.flows`; x: (B, D). Rounding alone leaves about 1e-12 in 64 bits, 1e-4 in 32.

    >>> from hybridlib.flows import Linear
    >>> inverse_error(Linear([2.0, 4.0]), torch.ones(5, 2))
    0.0
    """
    z, log_det = transform(x, *context)
    back, log_det_back = transform.inverse(z, *context)
    return torch.cat([(back.cpu() - x.cpu()).abs().flatten(), (log_det + log_det_back).cpu().abs()]).max().item()


def jacobians(transform: nn.Module, x: Tensor, *context: Tensor) -> Tensor:
    """Derivatives dz/dx of a transform at every point by automatic differentiation: (B, D) -> (B, D, D).

    >>> from hybridlib.flows import Linear
    >>> jacobians(Linear([[2.0, 0.0], [1.0, 4.0]]), torch.zeros(1, 2)).tolist()
    [[[2.0, 0.0], [1.0, 4.0]]]
    """
    x = x.detach().requires_grad_()
    z, _ = transform(x, *context)
    rows = [torch.autograd.grad(column.sum(), x, retain_graph=True)[0] for column in z.unbind(-1)]
    return torch.stack(rows, 1)


def log_det_error(transform: nn.Module, x: Tensor, *context: Tensor) -> float:
    """Largest difference between the log-determinant that a transform reports and that of its `jacobians`: a float.

    >>> from hybridlib.flows import Linear
    >>> log_det_error(Linear([[2.0, 0.0], [1.0, 4.0]]), torch.zeros(1, 2)) < 1e-6
    True
    """
    expected = torch.linalg.slogdet(jacobians(transform, x, *context).cpu()).logabsdet
    return (transform(x, *context)[1].cpu() - expected).abs().max().item()


# --- Training and starting points ------------------------------------------------------------------------------------


def zeroed(model: nn.Module) -> nn.Module:
    """A copy with all parameters zero: its conditionals should be fair coins, D ln(levels) nats for every state.

    >>> zeroed(nn.Linear(2, 1)).weight.any().item()
    False
    """
    return scaled(model, 0)


def scaled(model: nn.Module, factor: float) -> nn.Module:
    """A copy with all parameters times a factor.

    >>> torch.equal(scaled(layer := nn.Linear(2, 1), -1).weight, -layer.weight)
    True
    """
    model = copied(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(factor)
    return model


def copied(model: nn.Module) -> nn.Module:
    """A deep copy. Tensors that a computation left behind, as weight_norm does, are copied as they stand.

    >>> copied(layer := nn.Linear(2, 1)).weight is layer.weight
    False
    """
    return copy.deepcopy(model, {id(t): t.detach().clone() for t in computed(model).values()})


def computed(model: nn.Module) -> dict[str, Tensor]:
    """Attributes, by name, that are tensors with a history, which `copy.deepcopy` refuses.

    >>> layer = nn.Linear(2, 1)
    >>> layer.double = 2 * layer.weight
    >>> [*computed(layer)]
    ['double']
    """
    modules = [(f"{name}.{key}".lstrip("."), t) for name, m in model.named_modules() for key, t in vars(m).items()]
    return {name: t for name, t in modules if isinstance(t, Tensor) and not t.is_leaf}


def fitted(
    model: nn.Module, log_prob: Callable, source: Source, *, steps: int = 100, adam: int = 0, rate: float = 0.01
) -> tuple[nn.Module, float]:
    """A copy of the model trained on a source, and the nats that it then needs for it: (model, float).

    log_prob: callable, (model, x) -> (B,). source: states (N, D) and their log probabilities (N,), as from `coins`,
    `copies` and `parities`. The loss is the exact expectation, no sample of it: there is nothing to learn by heart, and
    no distribution needs less than the entropy of the source, -(log_p.exp() * log_p).sum().
    steps: of L-BFGS. adam: steps of Adam, of this learning rate, that go before them where L-BFGS alone gets stuck.

    >>> from hybridlib.independent import Independent
    >>> model, nats = fitted(Independent(2), lambda m, x: m.log_prob(x), copies(2))
    >>> abs(nats - 2 * math.log(2)) < 1e-3  # it knows no links: to it each bit is a fair coin
    True
    """
    model = copied(model)
    x, log_p = source
    log_p = log_p.cpu()
    # an exact loss without noise is what a quasi-Newton method is for: a tenth of the steps of Adam
    exact = torch.optim.LBFGS(model.parameters(), max_iter=steps, line_search_fn="strong_wolfe")
    rough = torch.optim.Adam(model.parameters(), lr=rate)

    def loss():
        exact.zero_grad()
        nats = -(log_p.exp() * log_prob(model, x).cpu()).sum()
        nats.backward()
        if nats.isfinite():
            return nats
        exact.zero_grad()
        return torch.full_like(nats, 1e10)  # a wall, which the line search understands; it does not understand nan

    for _ in range(adam):
        rough.step(loss)
    try:
        exact.step(loss)
    except RuntimeError as error:  # down a slope without end the step outgrows 32 bits
        if "overflow" not in str(error):
            raise
    return model, loss().item()

"""Who sees whom in a model, does it sum to one, do its samples follow it: checks for any callable, ours or not.

The network of an autoregressive model turns x (B, D) into the numbers of all conditionals: (B, D), or (B, D, P) with P
per variable. Those of a variable may depend on the variables before it in the order, and on nothing else.
No single check suffices: a leak, a missing link, a wrong likelihood and a wrong sampler each hide from most of them.
Built in chapter 4 on the faults of `hybridlib.faulty`; used by the later chapters and by the tests.
"""

import copy
import math

import torch

LISTABLE = 4096  # states that an audit enumerates; beyond that it tries random points
FIT = 0.1  # nats above the entropy of a source that still count as having learnt it
ADAM = 200  # steps of Adam for a model that L-BFGS could not teach
REDRAWS = 24  # sets of weights tried before a pair counts as unconnected
TOLERANCE = 1e-6  # change of an output, or its relative change, that counts as one: above the noise of 32-bit floats
REACH = 1e6  # how far from the origin densities are integrated


# --- States, and sources whose entropy is known ----------------------------------------------------------------------


def states(D, *, levels=2):
    """All states of D variables with values 0 .. levels-1: (levels**D, D). `ValueError` above 2**22 states."""
    if D < 1 or levels < 2 or levels**D > 2**22:
        raise ValueError(
            f"cannot list the states of D={D} variables with {levels} values each; 2 to 2**22 states can be"
        )
    powers = levels ** torch.arange(D - 1, -1, -1)
    return (torch.arange(levels**D)[:, None] // powers % levels).to(torch.get_default_dtype())


def coins(D, *, levels=2, order=None):
    """Fair coins: all states (N, D) and their log probabilities (N,). The entropy is D ln(levels) nats."""
    x = states(D, levels=levels)
    return x, torch.full((len(x),), -math.log(len(x)))


def copies(D, *, levels=2, order=None, noise=0.1):
    """Each variable copies the one before it, but for a chance `noise` of another value: (N, D), (N,) as in `coins`.

    Logistic regression can fit it, if each output sees its predecessor.
    """
    return _chain(D, levels, order, noise, 1)


def parities(D, *, levels=2, order=None, noise=0.1):
    """Each variable is the sum, modulo `levels`, of the two before it, but for a chance `noise`: as in `copies`.

    For bits that is exclusive or: a model needs both links, and hidden units.
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
def sees(f, points, *, levels=2, per_parameter=False):
    """Which outputs change when one input changes: bool [output, input], (D, I); per parameter (D, P, I).

    f: callable, (B, I) -> (B, D) or (B, D, P). points: (B, I), where to try; `states(D)` leaves nothing out.
    An input goes from v to v+1 modulo `levels`; with levels=None (real numbers) it takes the value of another point.
    """
    before, seen = _numbers(f, points), []
    for i in range(points.shape[1]):
        changed = points.clone()
        changed[:, i] = points[:, i].roll(1) if levels is None else (points[:, i] + 1) % levels
        after = _numbers(f, changed)
        seen.append(_differ(before, after).any(dim=0).cpu())
    seen = torch.stack(seen, dim=-1)
    return seen if per_parameter else seen.any(dim=1)


def _differ(before, after):
    """Which numbers differ. Written so that NaN counts as a change, and infinity that stays infinity does not."""
    noise = TOLERANCE * before.abs().clamp(min=1, max=1 / TOLERANCE)
    return ~((after == before) | ((after - before).abs() <= noise))


def sees_by_derivative(f, points, *, per_parameter=False):
    """Which derivatives d output / d input are not zero at every point: bool [output, input], as in `sees`.

    Give many points: at a single one, a leak behind a ReLU that happens to be off goes unseen.
    """
    points = points.detach().clone().requires_grad_()
    outputs = _numbers(f, points)
    seen = torch.zeros(*outputs.shape[1:], points.shape[1], dtype=torch.bool)
    if outputs.requires_grad:  # otherwise no input enters at all
        for d, p in torch.ones(outputs.shape[1:]).nonzero().tolist():
            (slope,) = torch.autograd.grad(outputs[:, d, p].sum(), points, retain_graph=True, allow_unused=True)
            if slope is not None:
                seen[d, p] = (slope != 0).any(dim=0).cpu()
    return seen if per_parameter else seen.any(dim=1)


def _numbers(f, points):
    outputs = f(points)
    if outputs.ndim not in (2, 3) or len(outputs) != len(points):
        raise ValueError(f"{len(points)} points gave outputs {tuple(outputs.shape)}; expected (B, D) or (B, D, P)")
    return outputs if outputs.ndim == 3 else outputs[..., None]


def allowed(order):
    """Pairs that an order, (D,), allows: bool (D, D), True at [output, input] where the input comes earlier."""
    position = torch.as_tensor(order).cpu().argsort()
    return position[:, None] > position


def leaks(seen, order):
    """Forbidden pairs that are connected: list of (output, input)."""
    return [tuple(pair) for pair in (seen.cpu() & ~allowed(order)).nonzero().tolist()]


def missing(seen, order):
    """Allowed pairs that are not connected: list of (output, input)."""
    return [tuple(pair) for pair in (~seen.cpu() & allowed(order)).nonzero().tolist()]


def find_order(seen):
    """An order, (D,), in which nothing leaks; None if some outputs see themselves, or each other in a ring."""
    seen, order, left = seen.cpu(), [], list(range(len(seen)))
    while left:
        free = next((d for d in left if not seen[d, left].any()), None)  # sees only what has its place already
        if free is None:
            return None
        order.append(free)
        left.remove(free)
    return torch.tensor(order)


def closest_order(seen):
    """The order, (D,), in which fewest pairs leak, hence fewest are missing; exact up to 12 variables.

    Beyond, one variable after another takes the next place: of those that are left, one that sees few and is seen by
    many. Of several such orders, the first in the alphabet.
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


def idle_parameters(model, loss):
    """Names of the parameters that no gradient of `loss`, a scalar, reaches; frozen ones are left out."""
    named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not loss.requires_grad:
        return list(named)
    slopes = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return [name for name, slope in zip(named, slopes) if slope is None or not slope.any()]


# --- Probabilities ---------------------------------------------------------------------------------------------------


@torch.no_grad()
def total_probability(log_prob, D, *, levels=2):
    """Sum of the probabilities of all states, added in 64 bits: a float that should be 1. log_prob: (B, D) -> (B,)."""
    return sum(log_prob(x).cpu().double().exp().sum().item() for x in states(D, levels=levels).split(LISTABLE))


@torch.no_grad()
def sample_test(sample, log_prob, D, *, levels=2, n=20_000, generator=None):
    """Do samples follow the probabilities? Gives the p-value and the total variation distance of the frequencies.

    sample: callable, (n, generator=...) -> (n, D). Pearson's chi-square test; states that are expected fewer than five
    times count as one, tested by itself if that is still fewer than five. A right sampler gets a p-value below a in a
    fraction a of all runs: convict below, say, 1e-4. `ValueError` for samples of another shape or with other values.
    """
    drawn = sample(n, generator=generator).cpu()
    if complaint := _not_samples(drawn, n, D, levels):
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


def _kind(answer):
    return f"shape {tuple(answer.shape)}" if isinstance(answer, torch.Tensor) else f"type {type(answer).__name__}"


def _not_samples(drawn, n, D, levels):
    """What is wrong with the form of n samples, or None. levels=None: real numbers."""
    if not isinstance(drawn, torch.Tensor) or drawn.shape != (n, D):
        return f"{n} samples of {D} variables came in {_kind(drawn)}; ({n}, {D}) is due"
    if drawn.is_complex():
        return "samples are complex numbers"
    if levels is None:
        return None if drawn.isfinite().all() else "some samples are not finite"
    values = drawn.double().unique()  # truth values are 0 and 1
    wrong = values[~((values >= 0) & (values < levels) & (values == values.floor()))].tolist()
    shown = ", ".join(f"{value:.4g}" for value in wrong[:3]) + (", ..." if len(wrong) > 3 else "")
    return f"samples hold {shown}; the values are 0 .. {levels - 1}" if wrong else None


@torch.no_grad()
def total_density(density, lower, upper, *, points=400):
    """Integral of a density over a box by the midpoint rule: a float, 1 where the box holds everything.

    density: log-density, (B, D) -> (B,), nats. lower, upper: corners of the box, (D,), for D = 1 or 2.
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


def _integral(log_density, D, near):
    """Integral over [-REACH, REACH]^D, D = 1 or 2, and an estimate of its error: (float, float).

    Adaptive cubature in t, where x = sinh t: fine near the origin, and as fine in proportion far away. A cell is cut up
    until that changes nothing; also, seven times, where it holds a point of `near`, (N, D), lest a peak is overlooked.
    """
    n = {1: 512, 2: 64}[D]
    nodes = torch.tensor([-0.8611363115940526, -0.3399810435848563, 0.3399810435848563, 0.8611363115940526]).double()
    weights = torch.tensor([0.3478548451374538, 0.6521451548625461, 0.6521451548625461, 0.3478548451374538]).double()
    nodes, weights = (torch.cartesian_prod(*[each] * D).view(-1, D) for each in (nodes, weights))
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0]).double()] * D).view(-1, D)

    def masses(centres):
        t = (centres[:, None] + half * nodes).view(-1, D)
        log_p = torch.cat([log_density(part.sinh()).double() for part in t.split(20_000)])
        log_p = log_p.nan_to_num(nan=-math.inf, posinf=math.inf, neginf=-math.inf) + t.cosh().log().sum(-1)
        return log_p.exp().view(len(centres), -1) @ weights.prod(-1) * half**D

    end, near = math.asinh(REACH), near.double().asinh()
    half, total, error, cuts = end / n, 0.0, 0.0, 0
    steps = (2 * torch.arange(n).double() + 1) * half - end
    cells = torch.cartesian_prod(*[steps] * D).view(-1, D)
    before = masses(cells)
    while len(cells):
        holds = ((near - cells[:, None]).abs() <= half).all(-1).any(-1)
        half, cuts = half / 2, cuts + 1
        parts = cells[:, None] + half * corners
        after = masses(parts.view(-1, D)).view(len(cells), -1)
        change = (after.sum(-1) - before).abs()
        again = (change > 1e-6) | (holds & (cuts <= 7))
        if again.sum() > 20_000 or cuts == 30:
            again[:] = False
        total, error = total + after[~again].sum().item(), error + change[~again].sum().item()
        cells, before = parts[again].view(-1, D), after[again].view(-1)
    return total, error


def _peaks(log_density, starts):
    """Where a climb up a log-density leads: (N, D) from starts (N, D); for narrow peaks that a grid would miss."""
    x = starts.clone().requires_grad_()
    climber = torch.optim.LBFGS([x], max_iter=50, line_search_fn="strong_wolfe")

    def depth():
        climber.zero_grad()
        down = -log_density(x).nan_to_num(nan=-1e6, neginf=-1e6).sum()
        if down.requires_grad:
            down.backward()
        return down

    climber.step(depth)
    return x.detach()


# --- Invertible maps -------------------------------------------------------------------------------------------------


@torch.no_grad()
def inverse_error(transform, x, *context):
    """Largest |inverse(forward(x)) - x|, or |sum of the two log-determinants| if that is larger: a float.

    transform: `hybridlib.flows`; x: (B, D). Rounding alone leaves about 1e-12 in 64 bits, 1e-4 in 32.
    """
    z, log_det = transform(x, *context)
    back, log_det_back = transform.inverse(z, *context)
    return torch.cat([(back.cpu() - x.cpu()).abs().flatten(), (log_det + log_det_back).cpu().abs()]).max().item()


def jacobians(transform, x, *context):
    """Derivatives dz/dx of a transform at every point by automatic differentiation: (B, D) -> (B, D, D)."""
    x = x.detach().requires_grad_()
    z, _ = transform(x, *context)
    rows = [torch.autograd.grad(column.sum(), x, retain_graph=True)[0] for column in z.unbind(-1)]
    return torch.stack(rows, 1)


def log_det_error(transform, x, *context):
    """Largest difference between the log-determinant that a transform reports and that of its `jacobians`: a float."""
    expected = torch.linalg.slogdet(jacobians(transform, x, *context).cpu()).logabsdet
    return (transform(x, *context)[1].cpu() - expected).abs().max().item()


# --- Training and starting points ------------------------------------------------------------------------------------


def zeroed(model):
    """A copy with all parameters zero: its conditionals should be fair coins, D ln(levels) nats for every state."""
    return _scaled(model, 0)


def _scaled(model, factor):
    model = _copied(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(factor)
    return model


def _copied(model):
    """A deep copy. Tensors that a computation left behind, as weight_norm does, are copied as they stand."""
    return copy.deepcopy(model, {id(t): t.detach().clone() for t in _computed(model).values()})


def _computed(model):
    """Attributes, by name, that are tensors with a history, which `copy.deepcopy` refuses."""
    modules = [(f"{name}.{key}".lstrip("."), t) for name, m in model.named_modules() for key, t in vars(m).items()]
    return {name: t for name, t in modules if isinstance(t, torch.Tensor) and not t.is_leaf}


def _redrawn(model, rng):
    """A copy with other weights: each times a random number of either sign, so that masks written into them stay.

    Tensors of nothing but zeros are drawn anew.
    """
    model = _copied(model)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                drawn = torch.randn(parameter.shape, generator=rng).to(parameter)
                if parameter.any():
                    parameter.mul_(drawn.sign() * (0.5 + drawn.abs()))
                else:
                    parameter.copy_(drawn / (parameter.shape[-1] if parameter.ndim > 1 else 1) ** 0.5)
    return model


def fitted(model, log_prob, source, *, steps=100, adam=0, rate=0.01):
    """A copy of the model trained on a source, and the nats that it then needs for it: (model, float).

    log_prob: callable, (model, x) -> (B,). source: states (N, D) and their log probabilities (N,), as from `coins`,
    `copies` and `parities`. The loss is the exact expectation, no sample of it: there is nothing to learn by heart, and
    no distribution needs less than the entropy of the source, -(log_p.exp() * log_p).sum().
    steps: of L-BFGS. adam: steps of Adam, of this learning rate, that go before them where L-BFGS alone gets stuck.
    """
    model = _copied(model)
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

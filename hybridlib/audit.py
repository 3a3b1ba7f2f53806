"""Who sees whom in a model, does it sum to one, do its samples follow it: checks for any callable, ours or not.

The network of an autoregressive model turns x (B, D) into the numbers of all conditionals: (B, D), or (B, D, P) with P
per variable. Those of a variable may depend on the variables before it in the order, and on nothing else.
No single check suffices: a leak, a missing link, a wrong likelihood and a wrong sampler each hide from most of them.
Built in chapter 4 on the faults of `hybridlib.faulty`; used by the later chapters and by the tests.
"""

import copy
import html
import math
from dataclasses import dataclass, field, replace

import torch
from torch import nn

LISTABLE = 4096  # states that an audit enumerates; beyond that it tries random points
FIT = 0.1  # nats above the entropy of a source that still count as having learnt it
TOLERANCE = 1e-6  # change of an output that counts as one: above the rounding noise of 32-bit floats


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
        # written so that NaN counts as a change, and infinity that stays infinity does not
        differs = ~((after == before) | ((after - before).abs() <= TOLERANCE))
        seen.append(differs.any(dim=0).cpu())
    seen = torch.stack(seen, dim=-1)
    return seen if per_parameter else seen.any(dim=1)


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
    position = torch.as_tensor(order).argsort()
    return position[:, None] > position


def leaks(seen, order):
    """Forbidden pairs that are connected: list of (output, input)."""
    return [tuple(pair) for pair in (seen & ~allowed(order)).nonzero().tolist()]


def missing(seen, order):
    """Allowed pairs that are not connected: list of (output, input)."""
    return [tuple(pair) for pair in (~seen & allowed(order)).nonzero().tolist()]


def find_order(seen):
    """An order, (D,), in which nothing leaks; None if some outputs see themselves, or each other in a ring."""
    order, left = [], list(range(len(seen)))
    while left:
        free = next((d for d in left if not seen[d, left].any()), None)  # sees only what has its place already
        if free is None:
            return None
        order.append(free)
        left.remove(free)
    return torch.tensor(order)


def idle_parameters(model, loss):
    """Names of the parameters that no gradient of `loss`, a scalar, reaches; frozen ones are left out."""
    named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    slopes = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return [name for name, slope in zip(named, slopes) if slope is None or not slope.any()]


# --- Probabilities ---------------------------------------------------------------------------------------------------


@torch.no_grad()
def total_probability(log_prob, D, *, levels=2):
    """Sum of the probabilities of all states, added in 64 bits: a float that should be 1. log_prob: (B, D) -> (B,)."""
    return sum(log_prob(x).double().exp().sum().item() for x in states(D, levels=levels).split(LISTABLE))


@torch.no_grad()
def sample_test(sample, log_prob, D, *, levels=2, n=20_000, generator=None):
    """Do samples follow the probabilities? Gives the p-value and the total variation distance of the frequencies.

    sample: callable, (n, generator=...) -> (n, D). Pearson's chi-square test; states that are expected fewer than five
    times count as one. A right sampler gets a p-value below a in a fraction a of all runs: convict below, say, 1e-4.
    """
    powers = levels ** torch.arange(D - 1, -1, -1)
    drawn = (sample(n, generator=generator).cpu().long() * powers).sum(-1)
    observed = torch.bincount(drawn, minlength=levels**D).double()
    expected = n * log_prob(states(D, levels=levels)).double().exp().cpu()
    distance = (observed - expected).abs().sum().item() / (2 * n)
    rare = expected < 5
    observed = torch.cat([observed[~rare], observed[rare].sum(0, keepdim=True)])
    expected = torch.cat([expected[~rare], expected[rare].sum(0, keepdim=True)]).clamp(min=1e-9)  # 0 / 0 counts as 0
    chi_square = ((observed - expected).square() / expected).sum()
    freedom = max(len(expected) - 1 - (not rare.any()), 1)
    return torch.special.gammaincc(torch.tensor(freedom / 2).double(), chi_square / 2).item(), distance


@torch.no_grad()
def total_density(density, lower, upper, *, points=400):
    """Integral of a density over a box by the midpoint rule: a float, 1 where the box holds everything.

    density: log-density, (B, D) -> (B,), nats. lower, upper: corners of the box, (D,), for D = 1 or 2.
    """
    lower, upper = torch.as_tensor(lower), torch.as_tensor(upper)
    D = len(lower)
    if D not in (1, 2) or len(upper) != D or not (lower < upper).all():
        raise ValueError(
            f"a box has two corners (D,), lower < upper, D = 1 or 2; got {lower.tolist()}, {upper.tolist()}"
        )
    steps = (torch.arange(points) + 0.5) / points
    grid = torch.cartesian_prod(*[steps] * D).view(-1, D) * (upper - lower) + lower
    total = sum(density(part).double().exp().sum().item() for part in grid.split(10_000))
    return total * ((upper - lower) / points).prod().item()


# --- Invertible maps -------------------------------------------------------------------------------------------------


@torch.no_grad()
def inverse_error(transform, x, *context):
    """Largest |inverse(forward(x)) - x|, or |sum of the two log-determinants| if that is larger: a float.

    transform: `hybridlib.flows`; x: (B, D). Rounding alone leaves about 1e-12 in 64 bits, 1e-4 in 32.
    """
    z, log_det = transform(x, *context)
    back, log_det_back = transform.inverse(z, *context)
    return torch.cat([(back - x).abs().flatten(), (log_det + log_det_back).abs()]).max().item()


def jacobians(transform, x, *context):
    """Derivatives dz/dx of a transform at every point by automatic differentiation: (B, D) -> (B, D, D)."""
    x = x.detach().requires_grad_()
    z, _ = transform(x, *context)
    rows = [torch.autograd.grad(column.sum(), x, retain_graph=True)[0] for column in z.unbind(-1)]
    return torch.stack(rows, 1)


def log_det_error(transform, x, *context):
    """Largest difference between the log-determinant that a transform reports and that of its `jacobians`: a float."""
    expected = torch.linalg.slogdet(jacobians(transform, x, *context)).logabsdet
    return (transform(x, *context)[1] - expected).abs().max().item()


# --- Training and starting points ------------------------------------------------------------------------------------


def zeroed(model):
    """A copy with all parameters zero: its conditionals should be fair coins, D ln(levels) nats for every state."""
    return _scaled(model, 0)


def _scaled(model, factor):
    model = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(factor)
    return model


def fitted(model, log_prob, source, *, steps=100):
    """A copy of the model trained on a source, and the nats that it then needs for it: (model, float).

    log_prob: callable, (model, x) -> (B,). source: states (N, D) and their log probabilities (N,), as from `coins`,
    `copies` and `parities`. The loss is the exact expectation, no sample of it: there is nothing to learn by heart, and
    no distribution needs less than the entropy of the source, -(log_p.exp() * log_p).sum().
    """
    model = copy.deepcopy(model)
    x, log_p = source
    # an exact loss without noise is what a quasi-Newton method is for: a tenth of the steps of Adam
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=steps, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        nats = -(log_p.exp() * log_prob(model, x)).sum()
        nats.backward()
        return nats

    optimizer.step(loss)
    return model, loss().item()


# --- The whole audit -------------------------------------------------------------------------------------------------


@dataclass
class Check:
    """One question to a model: its name, the verdict (None where it could not be asked), and what was found."""

    name: str
    ok: bool | None
    found: str


@dataclass(repr=False)
class Report:
    """What an audit found. Prints as sentences; `ok` if nothing is wrong, `convicted` names the checks that object."""

    checks: list[Check] = field(default_factory=list)
    sees: torch.Tensor | None = None  # bool [output, input], or [output, parameter, input]; None if not asked
    leaks: list = field(default_factory=list)  # (output, input)
    missing: list = field(default_factory=list)  # (output, input)
    total: float | None = None  # sum of all probabilities

    @property
    def ok(self):
        return not self.convicted

    @property
    def convicted(self):
        return {check.name for check in self.checks if check.ok is False}

    def _add(self, name, ok, found):
        self.checks.append(Check(name, ok, found))

    def _rows(self):
        words = {True: "right", False: "WRONG", None: "not asked"}
        return [(words[check.ok], check.name, check.found) for check in self.checks]

    def _title(self):
        n = len(self.convicted)
        return f"Audit: {n} check{'s' * (n > 1)} found something wrong" if n else "Audit: nothing wrong found"

    def __repr__(self):
        return "\n".join([self._title(), *(f"{word:9}  {name:10}  {found}" for word, name, found in self._rows())])

    def _repr_html_(self):
        rows = "".join(
            f"<tr><td>{f'<b>{word}</b>' if word == 'WRONG' else word.replace(' ', '&nbsp;')}</td><td>{name}</td>"
            f"<td style='text-align: left'>{html.escape(found)}</td></tr>"
            for word, name, found in self._rows()
        )
        head = "".join(f"<th scope='col'>{column}</th>" for column in ("verdict", "check", "what was found"))
        title = f"<caption>{self._title()}</caption>"
        return f"<table class='table'>{title}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


@dataclass
class _Subject:
    """A model and how to call it; `calls` lacks the names "theta", "log_prob", "sample" of what it cannot do."""

    model: object
    calls: dict
    context: torch.Tensor | None  # (C,), filled in as a last argument

    def _given(self, n):
        return () if self.context is None else (self.context.expand(n, -1),)

    def theta(self, x):
        return self.calls["theta"](self.model, x, *self._given(len(x)))

    def log_prob(self, x):
        return self.calls["log_prob"](self.model, x, *self._given(len(x)))

    def sample(self, n, *, generator):
        return self.calls["sample"](self.model, n, *self._given(n), generator=generator)

    def fitted(self, source, steps):
        """A trained copy of the subject and the nats that it needs for the source."""
        model, nats = fitted(self.model, lambda m, x: replace(self, model=m).log_prob(x), source, steps=steps)
        return replace(self, model=model), nats


def audit(
    model,
    *,
    D=None,
    order=None,
    levels=2,
    theta=None,
    log_prob=None,
    sample=None,
    context=None,
    source=parities,
    seed=0,
):
    """Ask a model everything that applies and return a `Report`. The model stays as it is: copies are examined.

    D: number of variables, default `model.D`. order: permutation (D,) that the model promises to follow, default
    `model.order`; where both are None, any order will do, if there is one. levels: a variable has the values
    0 .. levels-1, or real ones with levels=None. How to call a model that is not one of the book's:
    theta(model, x) -> (B, D) or (B, D, P), log_prob(model, x) -> (B,) and sample(model, n, generator=...) -> (n, D).
    The defaults are its methods of these names; a model without theta and log_prob is taken for its own theta.
    context: (N, C), examples for a conditional model, passed on as one more argument. source: what `fits` trains on;
    `copies` where a model lacks the hidden units for `parities`. Checks that need what is not there, or more than 4,096
    states, are reported as not asked.
    """
    D = getattr(model, "D", None) if D is None else D
    if D is None:
        raise ValueError(f"{type(model).__name__} does not tell its number of variables: pass D=")
    order = getattr(model, "order", None) if order is None else order
    if order is not None:
        order = torch.as_tensor(order).cpu()
        if sorted(order.tolist()) != list(range(D)):
            raise ValueError(f"order={order.tolist()} is not a permutation of 0 .. {D - 1}")
    if isinstance(model, nn.Module):
        model = copy.deepcopy(model).cpu().eval()
    calls = _calls(model, theta, log_prob, sample)
    subject = _Subject(model, calls, None if context is None else context[0].cpu())
    trainable = isinstance(model, nn.Module) and any(True for _ in model.parameters())
    obstacle = (  # to listing all states and their probabilities
        "no log_prob was given" if "log_prob" not in calls
        else "real values cannot be listed" if levels is None
        else f"{levels}^{D} states are too many to list" if levels**D > LISTABLE
        else None
    )  # fmt: skip

    rng = torch.Generator().manual_seed(seed)
    if levels is not None and levels**D <= LISTABLE:
        points, log_p = source(D, levels=levels, order=order)
        steps = 100
    else:
        points, log_p, steps = torch.randn(64, D, generator=rng), torch.full((64,), -math.log(64)), 5
        points = points if levels is None else torch.randint(levels, (64, D), generator=rng).to(points.dtype)
    entropy = -(log_p.exp() * log_p).sum().item()
    # a ReLU that is off at every point hides a link and stops learning; with all signs turned it is on
    turned = [replace(subject, model=_scaled(model, -1))] if trainable else []
    subjects, nats = {"": subject}, math.inf
    if trainable and "log_prob" in calls:  # a fault may show only after training, so both are examined
        for start in (subject, *turned):
            if not nats < entropy + FIT:
                trained, cost = start.fitted((points, log_p), steps)
                if cost < nats:
                    subjects["after training, "], nats = trained, cost

    report = Report()
    with torch.no_grad():
        first, second = (subject.theta(points) if "theta" in calls else subject.log_prob(points) for _ in range(2))
        change = (first - second).abs().max().item()
    steady = change <= TOLERANCE
    found = f"two calls with the same input differ by up to {change:.2g}: calling changes the model or draws numbers"
    report._add("repeatable", steady, "the same input gives the same output twice" if steady else found)
    _ask_gradients(report, [*subjects.values(), *turned], points, torch.randn(len(points), generator=rng))
    if steady and "theta" in calls:
        _ask_who_sees_whom(report, [*subjects.values(), *turned], points, levels, order)
    else:
        found = "no theta was given" if steady else "outputs that change by themselves cannot show it"
        report._add("leaks", None, found)
        report._add("connected", None, found)
    if context is not None and "theta" in calls:
        _ask_context(report, subject, points, context.cpu())
    _ask_support(report, subject, levels, torch.randn(4, D, generator=rng))

    if obstacle or not trainable:
        for name in ("zero", "coins", "fits"):
            report._add(name, None, obstacle or "there are no parameters to set")
    else:
        _ask_fair_coins(report, subject, coins(D, levels=levels), levels)
        found = f"trained on {source.__name__} it needs {nats:.3f} nats, the entropy is {entropy:.3f}"
        if nats < entropy - 1e-3:
            report._add("fits", False, f"{found}: no distribution can do that")
        else:
            fits = nats < entropy + FIT
            report._add("fits", fits, found if fits else f"{found}: it cannot represent the source")
    if obstacle or not steady:
        for name in ("sums", "samples"):
            report._add(name, None, obstacle or "probabilities that change by themselves cannot be added")
    else:
        _ask_probabilities(report, subjects, D, levels, rng)
    return report


def _calls(model, theta, log_prob, sample):
    """How to call theta, log_prob and sample: as told, else by the model's methods; what there is, by name."""

    def own_theta(m, x, *given):
        return m.theta(x, *given)

    def own_log_prob(m, x, *given):
        return m.log_prob(x, *given)

    def own_sample(m, n, *given, generator):
        return m.sample(n, context=given[0], generator=generator) if given else m.sample(n, generator=generator)

    has_theta, has_log_prob, has_sample = (getattr(model, name, None) for name in ("theta", "log_prob", "sample"))
    calls = {
        "theta": theta or (own_theta if has_theta else None if has_log_prob else lambda m, *given: m(*given)),
        "log_prob": log_prob or (own_log_prob if has_log_prob else None),
        "sample": sample or (own_sample if has_sample else None),
    }
    return {name: call for name, call in calls.items() if call}


def _ask_gradients(report, subjects, points, weights):
    """Weighs the points at random, lest gradients cancel by symmetry; one of the subjects must pass a gradient on."""
    if len(subjects) == 1 or points.shape[1] == 1:
        found = "there are no parameters" if len(subjects) == 1 else "one variable depends on no other"
        return report._add("gradients", None, found)
    idle = []
    for s in subjects:
        each = s.log_prob(points) if "log_prob" in s.calls else s.theta(points).flatten(1).sum(-1)
        idle.append(idle_parameters(s.model, weights @ each))
    idle = [name for name in idle[0] if all(name in others for others in idle)]
    found = f"no gradient reaches {', '.join(idle)}" if idle else "a gradient reaches every parameter"
    report._add("gradients", not idle, found)


def _ask_who_sees_whom(report, subjects, points, levels, order):
    """Leaks and missing links; a pair counts as connected if any of the subjects connects it."""
    seen = torch.stack([sees(s.theta, points, levels=levels, per_parameter=True) for s in subjects]).any(dim=0)
    D, P, inputs = seen.shape
    if inputs != D:
        raise ValueError(f"theta gave numbers for {D} variables where x has {inputs}; (B, {inputs}, P) is due")
    pairs = seen.any(dim=1)
    report.sees = pairs if P == 1 else seen
    fitting = find_order(pairs)
    promised = order if order is not None else fitting if fitting is not None else torch.arange(D)
    report.leaks, report.missing = leaks(pairs, promised), missing(pairs, promised)

    found = _listing([
        (f"parameter {p} of " if P > 1 else "") + f"output {d} sees "
        + ("its own input" if d == i else f"input {i}, which comes later")
        for d, p, i in (seen & ~allowed(promised)[:, None]).nonzero().tolist()
    ])  # fmt: skip
    line = None if fitting is None else " ".join(map(str, fitting.tolist()))
    if found:
        found += f"; the order that fits is {line}" if line else "; no order would fit"
    else:
        found = "no output sees its own input or a later one" + ("" if order is not None else f" in the order {line}")
    report._add("leaks", not report.leaks, found)

    total = D * (D - 1) // 2
    found = _listing([f"output {d} never sees input {i}" for d, i in report.missing])
    found += f" ({len(report.missing)} of {total} allowed pairs are missing)" if found else ""
    report._add("connected", not report.missing, found or f"all {total} allowed pairs are connected")


def _ask_context(report, subject, points, context):
    x = points[:1].expand(len(context), -1)
    deaf = (~sees(lambda c: subject.calls["theta"](subject.model, x, c), context, levels=None)).nonzero().tolist()
    found = _listing([f"output {d} ignores context {c}" for d, c in deaf])
    report._add("context", not deaf, found or "every output sees every number of the context")


def _ask_support(report, subject, levels, x):
    if "log_prob" not in subject.calls or levels is None:
        found = "every real value is good" if "log_prob" in subject.calls else "no log_prob was given"
        return report._add("support", None, found)
    try:
        subject.log_prob(x)
    except Exception as error:  # every way of refusing counts
        report._add("support", True, f"log_prob refuses values other than 0 .. {levels - 1} ({type(error).__name__})")
    else:
        report._add("support", False, f"log_prob accepts real numbers, though the values are 0 .. {levels - 1}")


def _ask_fair_coins(report, subject, source, levels):
    D = source[0].shape[1]
    least = D * math.log(levels)
    cost = -replace(subject, model=zeroed(subject.model)).log_prob(source[0]).detach()
    found = f"with all parameters zero a state costs {cost.mean():.3f} nats, {D} ln {levels} = {least:.3f} is due"
    report._add("zero", (cost - least).abs().max().item() < 1e-4, found)
    claim = subject.fitted(source, 50)[1]
    found = f"trained on fair coins it needs {claim:.3f} nats; no distribution needs less than {least:.3f}"
    report._add("coins", claim > least - 1e-3, found)


def _ask_probabilities(report, subjects, D, levels, rng):
    totals = [(total_probability(s.log_prob, D, levels=levels), when) for when, s in subjects.items()]
    report.total, when = max(totals, key=lambda total: abs(total[0] - 1))
    sums = abs(report.total - 1) < 1e-4
    report._add("sums", sums, f"{when}the probabilities of all {levels**D} states sum to {report.total:.5g}")
    if "sample" not in subjects[""].calls or not sums:
        return report._add(
            "samples", None, "no sample was given" if sums else "what does not sum to one cannot be followed"
        )
    p_value, distance, when = min(
        (*sample_test(s.sample, s.log_prob, D, levels=levels, generator=rng), when) for when, s in subjects.items()
    )
    follow = p_value > 1e-4 / len(subjects)  # convicts one right sampler in 10,000
    found = f"{when}20,000 samples {'follow' if follow else 'do not follow'} the probabilities"
    report._add("samples", follow, f"{found} (total variation {distance:.3f}, chi-square p = {p_value:.2g})")


def _listing(sentences, most=3):
    more = len(sentences) - most
    return "; ".join(sentences[:most]) + (f"; and {more} more" if more > 0 else "")

"""The verdict in sentences: every question of `hybridlib.audit` put to one model, and what each of them found.

No single check suffices: a leak, a missing link, a wrong likelihood and a wrong sampler each hide from most of them.
So `examine` asks before and after training, from other weights too, and integrates densities that cannot be listed.
Chapter 4 builds it, on the faults of `hybridlib.faulty`; the later chapters and the tests use it.
"""

import html
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from .audit import (
    Order,
    Source,
    allowed,
    closest_order,
    computed,
    copied,
    differ,
    find_order,
    fitted,
    form_of,
    idle_parameters,
    leaks,
    missing,
    parameters_at,
    parities,
    sample_complaint,
    sample_test,
    scaled,
    sees,
    states,
    total_probability,
    zeroed,
)
from .noise import seeded

LISTABLE = 4096  # states that are enumerated; beyond that, random points are tried
FIT = 0.1  # nats above the entropy of a source that still count as having learnt it
ADAM = 200  # steps of Adam for a model that L-BFGS could not teach
REDRAWS = 24  # sets of weights tried before a pair counts as unconnected
REACH = 1e6  # how far from the origin densities are integrated


@dataclass
class Check:
    """One question to a model: its name, the verdict (None where it could not be asked), and what was found.

    proven: False for an objection that may be the audit's own failure, such as a training that did not succeed.

    >>> Check("sums", False, "the probabilities of all 64 states sum to 2").proven
    True
    """

    name: str
    ok: bool | None
    found: str
    proven: bool = True


@dataclass(repr=False)
class Report:
    """What an audit found. Prints as sentences; `ok` if nothing is wrong, `convicted` names the checks that object.

    >>> Report([Check("leaks", False, "output 0 sees its own input")])
    Audit: 1 check found something wrong (1 of 1 checks could be asked)
    WRONG      leaks       output 0 sees its own input
    """

    checks: list[Check] = field(default_factory=list)
    sees: Tensor | None = None  # bool [output, input], or [output, parameter, input]; None if not asked
    leaks: list[tuple[int, int]] = field(default_factory=list)  # (output, input)
    missing: list[tuple[int, int]] = field(default_factory=list)  # (output, input)
    total: float | None = None  # sum of all probabilities, or integral of the density

    @property
    def ok(self) -> bool:
        """Whether no check objects."""
        return not self.convicted

    @property
    def convicted(self) -> set[str]:
        """The names of the checks that object."""
        return {check.name for check in self.checks if check.ok is False}

    def _add(self, name, ok, found, *, proven=True):
        self.checks.append(Check(name, ok, found, proven))

    def _rows(self):
        words = {True: "right", False: "WRONG", None: "not asked"}
        return [(words[c.ok] if c.proven or c.ok else "doubtful", c.name, c.found) for c in self.checks]

    def _title(self):
        asked = f"{sum(check.ok is not None for check in self.checks)} of {len(self.checks)} checks"
        wrong = sum(check.ok is False and check.proven for check in self.checks)
        doubtful = sum(check.ok is False and not check.proven for check in self.checks)
        counts = ((wrong, "found something wrong"), (doubtful, "found something doubtful"))
        found = ", ".join(f"{n} check{'s' * (n > 1)} {what}" for n, what in counts if n)
        return f"Audit: {found} ({asked} could be asked)" if found else f"Audit: nothing wrong found in {asked}"

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
    """A model and how to call it; `calls` lacks the names "theta", "log_prob", "sample" of what it cannot do.

    Inputs go to the model's device in its precision; answers come back on the CPU.
    """

    model: object
    calls: dict
    levels: int | None
    context: Tensor | None  # (C,), filled in as a last argument

    @property
    def trainable(self):
        return isinstance(self.model, nn.Module) and any(p.requires_grad for p in self.model.parameters())

    @property
    def like(self):
        """A tensor on the device and in the precision in which the model computes."""
        tensors = [*self.model.parameters(), *self.model.buffers()] if isinstance(self.model, nn.Module) else []
        return next((t for t in tensors if t.is_floating_point()), torch.empty(0))

    def copy(self):
        return replace(self, model=copied(self.model)) if isinstance(self.model, nn.Module) else self

    def _given(self, n):
        return () if self.context is None else (self.context.expand(n, -1).to(self.like),)

    def answer(self, x, context=None):
        """What theta gives, as it is."""
        given = self._given(len(x)) if context is None else (context.to(self.like),)
        return self.calls["theta"](self.model, x.to(self.like), *given)

    def theta(self, x, context=None):
        return self.parameters(self.answer(x, context))

    def parameters(self, answer):
        """What theta gave as a tensor on the CPU: of a tuple its parts, of a Distribution its log probabilities at
        fixed values, which say all that it knows. None for what cannot be read."""
        while isinstance(answer, Independent):
            answer = answer.base_dist
        if isinstance(answer, Distribution):
            at = (0.25, 0.5, 0.75) if self.levels is None else range(self.levels)
            at = [torch.full(answer.batch_shape, float(value)).to(self.like) for value in at]
            answer = tuple(answer.log_prob(value) for value in at)
        if isinstance(answer, tuple | list) and all(isinstance(part, Tensor) for part in answer):
            parts = [part if part.ndim == 3 else part[..., None] for part in answer]
            together = parts and all(part.ndim == 3 and part.shape[:2] == parts[0].shape[:2] for part in parts)
            answer = torch.cat(parts, -1) if together else None
        if not isinstance(answer, Tensor):
            return None
        return answer.cpu().float() if answer.dtype == torch.bool else answer.cpu()  # so that they can be subtracted

    def log_prob(self, x):
        return _here(self.calls["log_prob"](self.model, x.to(self.like), *self._given(len(x))))

    @property
    def _sampler(self):
        """The names of the sampler's arguments."""
        own = self.calls["sample"] is _own_sample
        return list(inspect.signature(self.model.sample if own else self.calls["sample"]).parameters.values())

    @property
    def takes_generator(self):
        return any(p.name == "generator" or p.kind is p.VAR_KEYWORD for p in self._sampler)

    def sample(self, n, *, generator):
        """Samplers that take a shape get (n,); for those without a generator the global one is seeded, and restored."""
        call, given = self.calls["sample"], self._given(n)
        if call is _own_sample and self._sampler and "shape" in self._sampler[0].name:
            n = (n,)
        seed = int(torch.randint(2**62, (), generator=generator))
        if not self.takes_generator:
            with seeded(seed):
                return _here(call(self.model, n, *given))
        try:
            return _here(call(self.model, n, *given, generator=generator))
        except RuntimeError as error:
            if "generator" not in str(error):
                raise
            there = torch.Generator(self.like.device).manual_seed(seed)  # it draws where its weights are
            return _here(call(self.model, n, *given, generator=there))

    def fitted(self, source, steps, adam=0, rate=0.01):
        """A trained copy of the subject and the nats that it needs for the source; infinity if training broke down."""

        def log_prob(model, x):
            return replace(self, model=model).log_prob(x)

        model, nats = fitted(self.model, log_prob, source, steps=steps, adam=adam, rate=rate)
        return replace(self, model=model), nats if nats < 1e10 else math.inf


def examine(
    model: object,
    *,
    D: int | None = None,
    order: Order | None = None,
    levels: int | None = 2,
    theta: Callable | None = None,
    log_prob: Callable | None = None,
    sample: Callable | None = None,
    context: Tensor | None = None,
    source: Callable[..., Source] = parities,
    seed: int = 0,
) -> Report:
    """Ask a model everything that applies and return a `Report`. The model stays as it is: copies are examined.

    D: number of variables, default `model.D`. order: permutation (D,) that the model promises to follow, default
    `model.order`; where both are None, any order will do, if there is one. levels: a variable has the values
    0 .. levels-1, or real ones with levels=None. How to call a model that is not one of the book's:
    theta(model, x) -> (B, D) or (B, D, P), log_prob(model, x) -> (B,) and sample(model, n, generator=...) -> (n, D).
    The defaults are its methods of these names; a model without theta and log_prob is taken for its own theta.
    context: (N, C), examples for a conditional model, passed on as one more argument. source: what `fits` trains on;
    `copies` where a model lacks the hidden units for `parities`. Checks that need what is not there, or more than 4,096
    states, are reported as not asked; densities of one or two variables are integrated. Everything may be on any
    device, and the model is examined where it is, in float32 at least. A line `answers` comes first if theta, log_prob
    or the model's precision is not as usual. `ValueError` without D, or for an order that is no permutation.

    >>> report = examine(lambda x: x.cumsum(-1), D=3)
    >>> report.convicted, report.leaks
    ({'leaks'}, [(0, 0), (1, 1), (2, 2)])
    """
    D, order = _promised(model, D, order)
    rng = torch.Generator().manual_seed(seed)
    points = _points(D, levels, rng)
    model, notes = _taken(model) if isinstance(model, nn.Module) else (model, [])
    subject = _Subject(model, _calls(model, theta, log_prob, sample), levels, None if context is None else context[0])
    report, given = Report(), subject.calls
    subject, refused, sampling = _ask_answers(report, subject, points, notes, rng)
    if not {"theta", "log_prob"} & subject.calls.keys():
        return _unasked(report, refused["log_prob" if "log_prob" in given else "theta"], sampling, refused)
    training = _training(subject, points, source, order, refused, rng)
    after = {"": subject} | ({"after training, ": training.best} if training.best else {})
    seen = [*after.values(), *training.starts[1:]]

    steady = _ask_repeatable(report, subject, points)
    _ask_gradients(report, seen, training.x, rng)
    if steady and "theta" in subject.calls:
        _ask_who_sees_whom(report, seen, points, order, rng)
    else:
        found = "outputs that change by themselves cannot show it" if not steady else refused["theta"]
        report._add("leaks", None, found)
        report._add("connected", None, found)
    if context is not None and "theta" in subject.calls:
        _ask_context(report, subject, points, context)
    _ask_support(report, subject, torch.randn(4, D, generator=rng), refused)
    _ask_likelihood(report, subject, training, D)
    _ask_total(report, after, points, training.obstacle, steady, sampling, rng)
    return report


def _promised(model, D, order):
    """The number of variables, and the order that they are to follow, (D,) on the CPU, or None if any will do."""
    D = getattr(model, "D", None) if D is None else D
    if D is None:
        raise ValueError(f"{type(model).__name__} does not tell its number of variables: pass D=")
    order = getattr(model, "order", None) if order is None else order
    if order is not None:
        order = torch.as_tensor(order).cpu()
        if sorted(order.tolist()) != list(range(D)):
            raise ValueError(f"order={order.tolist()} is not a permutation of 0 .. {D - 1}")
    return D, order


def _listable(D, levels):
    return levels is not None and levels**D <= LISTABLE


def _points(D, levels, rng):
    """Where the model is asked: all states, (levels**D, D), if they are few enough, else 64 random points, (64, D)."""
    if _listable(D, levels):
        return states(D, levels=levels)
    if levels is None:
        return torch.randn(64, D, generator=rng)
    return torch.randint(levels, (64, D), generator=rng).to(torch.get_default_dtype())


def _unasked(report, reason, sampling, refused):
    """The report on a model that answers neither for theta nor for its log_prob."""
    for name in ("repeatable", "gradients", "leaks", "connected", "support", "zero", "coins", "fits", "sums"):
        report._add(name, None, reason)
    report._add("samples", *sampling or (None, refused["log_prob"]))
    return report


def _taken(model):
    """A copy for the audit, in evaluation mode, and what there is to say about it: (model, list of sentences)."""
    notes, precisions = [], {p.dtype for p in model.parameters() if p.is_floating_point()}
    if left := computed(model):
        notes.append(f"{', '.join(left)} was computed, as by weight_norm, and is copied as it stands")
    model = copied(model).eval()
    for precision in precisions - {torch.get_default_dtype()}:
        notes.append(f"the model is in {str(precision).removeprefix('torch.')}")
        if precision in (torch.half, torch.bfloat16):  # too coarse to tell a leak from rounding, and to train
            model = model.float()
            notes[-1] += "; a copy in float32 was examined"
    return model, notes


def _own_theta(model, x, *given):
    return model.theta(x, *given)


def _own_log_prob(model, x, *given):
    return model.log_prob(x, *given)


def _own_sample(model, n, *given, generator=None):
    options = {"context": given[0]} if given else {}
    return model.sample(n, **options) if generator is None else model.sample(n, generator=generator, **options)


def _calls(model, theta, log_prob, sample):
    """How to call theta, log_prob and sample: as told, else by the model's methods; what there is, by name."""
    has_theta, has_log_prob, has_sample = (getattr(model, name, None) for name in ("theta", "log_prob", "sample"))
    calls = {
        "theta": theta or (_own_theta if has_theta else None if has_log_prob else lambda m, *given: m(*given)),
        "log_prob": log_prob or (_own_log_prob if has_log_prob else None),
        "sample": sample or (_own_sample if has_sample else None),
    }
    return {name: call for name, call in calls.items() if call}


def _here(answer):
    """On the CPU, if it is a tensor."""
    return answer.cpu() if isinstance(answer, Tensor) else answer


@torch.no_grad()
def _ask_answers(report, subject, points, notes, rng):
    """Do theta, log_prob and sample answer in the form that is due? Added to the report only if there is news.

    notes: what there is to say about the model already. Returns the subject without the calls of theta and log_prob
    that do not, the reasons by name, and the verdict and sentence about the samples, or None if they can be compared
    with probabilities.
    """
    tried, calls = subject.copy(), dict(subject.calls)
    refused = {name: f"no {name} was given" for name in ("theta", "log_prob") if name not in calls}
    for name, complaint in (("theta", _theta_complaint), ("log_prob", _log_prob_complaint)):
        if name in calls and (sentence := complaint(tried, points, notes)):
            refused[name] = sentence
    faults = [sentence for name, sentence in refused.items() if calls.pop(name, None)]
    sampling = _sampling(tried, points.shape[1], notes, rng) if "sample" in calls else (None, "no sample was given")
    if faults or notes:
        report._add("answers", not faults, "; ".join(faults + notes))
    return replace(subject, calls=calls), refused, sampling


def _theta_complaint(subject, points, notes):
    """Why the answers of theta cannot be read, or None; a note if they come in another form than (B, D) or (B, D, P).

    `ValueError` for parameters of another number of variables: who asks so has called the wrong thing.
    """
    n, D = points.shape
    answer = subject.answer(points)
    theta = subject.parameters(answer)
    if isinstance(answer, Tensor):
        variables = parameters_at(lambda x: answer, points).shape[1]
        if variables != D:
            raise ValueError(f"theta gave parameters for {variables} variables where x has {D}; (B, {D}, P) is due")
    if theta is None or theta.shape[:2] != (n, D):
        return f"theta answers in {form_of(answer)}; a tensor (B, D) or (B, D, P) is due"
    if theta.is_complex():
        return "theta answers in complex numbers; real ones are due"
    if wrong := theta.flatten(1).isnan().any(1).sum().item():
        return f"theta is nan at {wrong} of {n} points"
    if not isinstance(answer, Tensor):
        count = theta[0, 0].numel()
        notes.append(f"theta answers in {form_of(answer)}, read as {count} parameters for each variable")


def _log_prob_complaint(subject, points, notes):
    """Why the answers of log_prob cannot be used, or None. It has no notes to make."""
    n, answer = len(points), subject.log_prob(points)
    if not isinstance(answer, Tensor) or answer.shape != (n,):
        return f"log_prob answers in {form_of(answer)} for {n} points; ({n},), one number each, is due"
    if answer.is_complex():
        return "log_prob answers in complex numbers; real ones are due"
    if wrong := (answer.isnan() | (answer == math.inf)).sum().item():
        return f"log_prob is nan or infinite at {wrong} of {n} points"


def _sampling(subject, D, notes, rng):
    """Verdict and sentence about the form of eight samples; None if it is right. Notes a sampler without generator."""
    try:
        drawn = subject.sample(8, generator=rng)
    except Exception as error:  # the report says so, and the other checks go on
        return None, f"sample fails: {type(error).__name__}: {error}"
    if not subject.takes_generator:
        notes.append("sample takes no generator, so the global one was seeded for it")
    complaint = sample_complaint(drawn, 8, D, subject.levels)
    return (False, complaint) if complaint else None


# --- Training --------------------------------------------------------------------------------------------------------


@dataclass
class _Training:
    """What the subject was trained on, how that went, or why it was not."""

    obstacle: str | None  # to listing all states and their probabilities
    untaught: str | None  # why the model is not trained
    x: Tensor  # (N, D), possible points
    log_p: Tensor  # (N,), their log probabilities
    source: str  # its name
    possible: Tensor  # which of all states the model calls possible
    starts: list[_Subject]
    best: _Subject | None = None
    nats: float = math.inf  # that the best one needs
    search: str = ""  # what was tried


def _training(subject, points, source, order, refused, rng):
    """Train the subject, if it can be: a fault may show only after training, so both are examined."""
    D, levels = points.shape[1], subject.levels
    listable = _listable(D, levels)
    obstacle = (
        refused["log_prob"] if "log_prob" not in subject.calls
        else "real values cannot be listed" if levels is None
        else f"{levels}^{D} states are too many to list" if not listable
        else None
    )  # fmt: skip
    x, log_p, possible = _lesson(subject, points, source if listable else None, order)
    untaught = (
        obstacle if "log_prob" not in subject.calls
        else "there are no parameters to set" if not subject.trainable
        else "it calls all states impossible" if not possible.any()
        else None if subject.copy().log_prob(x).requires_grad
        else "log_prob passes no gradient on to the parameters"
    )  # fmt: skip
    # a ReLU that is off at every point hides a link and stops learning; with all signs turned it is on
    starts = [subject, replace(subject, model=scaled(subject.model, -1))] if subject.trainable else [subject]
    training = _Training(obstacle, untaught, x, log_p, source.__name__, possible, starts)
    if untaught is None:
        how = (100, rng) if listable else (5, None)
        training.best, training.nats, training.search = _trained(starts, (x, log_p), *how)
    return training


def _lesson(subject, points, source, order):
    """What the model is trained on: possible points (N, D), their log probabilities (N,), and which are possible.

    Without an order, the source follows one that fits the model. Without a source, all points are as probable.
    """
    x, log_p = points, torch.zeros(len(points))
    if source is not None:
        if order is None and "theta" in subject.calls:
            order = find_order(sees(subject.copy().theta, points, levels=subject.levels))
        x, log_p = source(points.shape[1], levels=subject.levels, order=order)
    possible = torch.ones(len(x), dtype=torch.bool)
    if "log_prob" in subject.calls:
        possible = subject.copy().log_prob(x).detach() > -math.inf
    return x[possible], log_p[possible].log_softmax(0), possible


def _trained(starts, lesson, steps, rng):
    """The best of several trainings, its nats, and what was tried: (subject or None, float, str).

    L-BFGS from each start; if none reaches the entropy and rng is given, Adam, from other weights too, and L-BFGS again
    from where Adam ended: that helps, unless the model writes masks into its weights.
    """
    tries = [(start, steps, 0, 0) for start in starts]
    if rng is not None:
        others = [replace(starts[0], model=_redrawn(starts[0].model, rng)) for _ in range(2)]
        tries += [(start, 0, ADAM, 0.01) for start in starts] + [(start, 0, ADAM, 0.03) for start in starts + others]
    tried = f"{steps} steps of L-BFGS from {len(starts)} starts and {ADAM} of Adam from {len(starts) + 2}"
    best, nats, enough = None, math.inf, _entropy(lesson[1]) + FIT
    while tries and not nats < enough:
        start, exact, *adam = tries.pop(0)
        subject, cost = start.fitted(lesson, exact, *adam)
        if cost < nats:
            best, nats = subject, cost
        if not exact and cost < enough + 3 * FIT:  # near enough to hope
            tries.insert(0, (subject, steps, 0, 0))
    return best, nats, tried


def _redrawn(model, rng):
    """A copy with other weights: each times a random number of either sign, so that masks written into them stay.

    Tensors of nothing but zeros are drawn anew.
    """
    model = copied(model)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                drawn = torch.randn(parameter.shape, generator=rng).to(parameter)
                if parameter.any():
                    parameter.mul_(drawn.sign() * (0.5 + drawn.abs()))
                else:
                    parameter.copy_(drawn / (parameter.shape[-1] if parameter.ndim > 1 else 1) ** 0.5)
    return model


def _entropy(log_p):
    return -(log_p.exp() * log_p).sum().item()


@torch.no_grad()
def _ask_repeatable(report, subject, points):
    call = subject.theta if "theta" in subject.calls else subject.log_prob
    first, second = call(points), call(points)
    changed, found = differ(first, second), "the same input gives the same output twice"
    if changed.any():
        change = (first - second).abs()[changed].max().item()
        found = f"two calls with the same input differ by up to {change:.2g}"
        found += ": calling changes the model or draws numbers"
    report._add("repeatable", not changed.any(), found)
    return not changed.any()


def _ask_gradients(report, subjects, points, rng):
    """Weighs the points at random, lest gradients cancel by symmetry; one of the subjects must pass a gradient on."""
    subject = subjects[0]
    if not subject.trainable or points.shape[1] == 1 or not len(points):
        found = "there are no parameters" if not subject.trainable else "one variable depends on no other"
        return report._add("gradients", None, found if len(points) else "it calls all states impossible")
    weights = torch.randn(len(points), generator=rng)

    def idle(s):
        each = s.log_prob(points) if "log_prob" in s.calls else s.theta(points).flatten(1).sum(-1)
        return idle_parameters(s.model, weights @ each.to(weights))

    left = idle(subject)
    for s in subjects[1:]:
        left = [name for name in left if name in idle(s)]
    for _ in range(REDRAWS):  # units may be dead by chance
        if left:
            other = idle(replace(subject, model=_redrawn(subject.model, rng)))
            left = [name for name in left if name in other]
    found = f"no gradient reaches {', '.join(left)}" if left else "a gradient reaches every parameter"
    report._add("gradients", not left, found)


def _ask_who_sees_whom(report, subjects, points, order, rng):
    """Leaks and missing links; a pair counts as connected if any of the subjects connects it, or other weights do."""
    subject = subjects[0]
    D, levels = points.shape[1], subject.levels

    def look(s):
        return sees(s.theta, points, levels=levels, per_parameter=True)

    # weights with which the parameters break down show nothing
    sound = [s for s in subjects[1:] if not s.theta(points).isnan().any()]
    seen = torch.stack([look(s) for s in (subject, *sound)]).any(dim=0)
    may = torch.ones(D, D, dtype=torch.bool) if order is None else allowed(order)
    total = D * (D - 1) // 2
    for _ in range(REDRAWS if subject.trainable and D <= 64 else 0):
        if (seen.any(dim=1) & may).fill_diagonal_(False).sum() >= total:
            break
        other = replace(subject, model=_redrawn(subject.model, rng))
        if not other.theta(points).isnan().any():
            seen |= look(other) & may[:, None]
    pairs = seen.any(dim=1)
    report.sees = pairs if seen.shape[1] == 1 else seen
    fitting = find_order(pairs)
    closest = closest_order(pairs) if fitting is None else fitting
    promised = closest if order is None else order
    report.leaks, report.missing = leaks(pairs, promised), missing(pairs, promised)

    found = _listing([
        (f"parameter {p} of " if seen.shape[1] > 1 else "") + f"output {d} sees "
        + ("its own input" if d == i else f"input {i}, which comes later")
        for d, p, i in (seen & ~allowed(promised)[:, None]).nonzero().tolist()
    ])  # fmt: skip
    line, rest = " ".join(map(str, closest.tolist())), len(leaks(pairs, closest))
    if not found:
        found = "no output sees its own input or a later one" + ("" if order is not None else f" in the order {line}")
    elif fitting is not None:
        found += f"; the order that fits is {line}"
    else:
        found += "; no order would fit"
        if order is None or rest < len(report.leaks):
            found += f", {line} comes closest"
            found += f" with {rest} of the {len(report.leaks)} leaks" if order is not None else ""
    report._add("leaks", not report.leaks, found)

    found = _listing([f"output {d} never sees input {i}" for d, i in report.missing])
    found += f" ({len(report.missing)} of {total} allowed pairs are missing)" if found else ""
    report._add("connected", not report.missing, found or f"all {total} allowed pairs are connected")


def _ask_context(report, subject, points, context):
    x = points[:1].expand(len(context), -1)
    deaf = (~sees(lambda c: subject.theta(x, c), context.cpu(), levels=None)).nonzero().tolist()
    found = _listing([f"output {d} ignores context {c}" for d, c in deaf])
    report._add("context", not deaf, found or "every output sees every entry of the context")


@torch.no_grad()
def _ask_support(report, subject, x, refused):
    levels = subject.levels
    if "log_prob" not in subject.calls or levels is None:
        return report._add("support", None, refused.get("log_prob", "every real value is good"))
    try:
        answer = subject.log_prob(x)
    except Exception as error:  # every way of refusing counts
        report._add("support", True, f"log_prob refuses values other than 0 .. {levels - 1} ({type(error).__name__})")
    else:
        refuses = bool((answer == -math.inf).all())
        found = f"log_prob {'calls' if refuses else 'accepts'} real numbers{' impossible' if refuses else ''}"
        report._add("support", refuses, f"{found}, though the values are 0 .. {levels - 1}" if not refuses else found)


def _ask_likelihood(report, subject, training, D):
    """Before and after training: zero, coins, fits."""
    if reason := training.obstacle or training.untaught:
        for name in ("zero", "coins", "fits"):
            report._add(name, None, reason)
    else:
        _ask_zero(report, subject, D, training.possible)
        _ask_coins(report, subject, training.x)
        _ask_fit(report, training)


def _ask_zero(report, subject, D, possible):
    """A convention of networks, not a law: a model may add a constant of its own."""
    least = D * math.log(subject.levels)
    if not possible.all():
        return report._add("zero", None, f"it calls {(~possible).sum()} of {len(possible)} states impossible")
    zero = replace(subject, model=zeroed(subject.model))
    cost = -zero.log_prob(states(D, levels=subject.levels)).detach()
    if not cost.isfinite().all():
        return report._add("zero", None, "with all parameters zero its answers break down")
    found = f"with all parameters zero a state costs {cost.mean():.3f} nats"
    found += f", where fair coins cost {D} ln {subject.levels} = {least:.3f}"
    report._add("zero", (cost - least).abs().max().item() < 1e-4, found, proven=False)


def _ask_coins(report, subject, x):
    least = math.log(len(x))
    claim = subject.fitted((x, torch.full((len(x),), -least)), 50)[1]
    found = f"trained on fair coins it needs {claim:.3f} nats; no distribution needs less than {least:.3f}"
    report._add("coins", claim > least - 1e-3, found)


def _ask_fit(report, training):
    nats, entropy, name = training.nats, _entropy(training.log_p), training.source
    found = f"trained on {name} it needs {nats:.3f} nats, the entropy is {entropy:.3f}"
    if nats < entropy - 1e-3:
        report._add("fits", False, f"{found}: no distribution can do that")
    elif nats < entropy + FIT:
        report._add("fits", True, found)
    else:
        report._add("fits", False, f"training did not find {name}: {training.search} ended at {nats:.3f} nats at best, "
                    f"the entropy is {entropy:.3f}", proven=False)  # fmt: skip


def _ask_total(report, subjects, points, obstacle, steady, sampling, rng):
    """Do the probabilities sum to one, and do the samples follow them? subjects: before and after training."""
    subject, D = subjects[""], points.shape[1]
    reason = obstacle or (None if steady else "probabilities that change by themselves cannot be added")
    if subject.levels is None and D <= 2 and "log_prob" in subject.calls and steady:
        _ask_density(report, subjects, points, sampling, rng)
        report._add("samples", *sampling or (None, obstacle))
    elif reason:
        report._add("sums", None, reason)
        report._add("samples", *sampling or (None, reason))
    else:
        _ask_probabilities(report, subjects, D, sampling, rng)


def _ask_probabilities(report, subjects, D, sampling, rng):
    levels = subjects[""].levels
    totals = [(total_probability(s.log_prob, D, levels=levels), when) for when, s in subjects.items()]
    report.total, when = max(totals, key=lambda total: abs(total[0] - 1))
    sums = abs(report.total - 1) < 1e-4
    report._add("sums", sums, f"{when}the probabilities of all {levels**D} states sum to {report.total:.5g}")
    if sampling or not sums:
        return report._add("samples", *sampling or (None, "what does not sum to one cannot be followed"))

    doubts = {when: _compared(s, D, rng) for when, s in subjects.items()}
    when, (p_value, distance) = min(doubts.items(), key=lambda doubt: doubt[1])
    limit = 1e-4 / len(subjects)
    if p_value < limit:  # one right sampler in 10,000 comes here; one in a hundred million fails twice
        p_value, distance = max((p_value, distance), _compared(subjects[when], D, rng))
    follow = p_value > limit
    found = f"{when}20,000 samples {'follow' if follow else 'do not follow'} the probabilities"
    report._add("samples", follow, f"{found} (total variation {distance:.3f}, chi-square p = {p_value:.2g})")


def _compared(subject, D, rng):
    """p-value and total variation of 20,000 samples; impossible values have no chance at all."""
    drawn = subject.sample(20_000, generator=rng)
    if sample_complaint(drawn, 20_000, D, subject.levels):
        return 0.0, 1.0
    return sample_test(lambda n, generator: drawn, subject.log_prob, D, levels=subject.levels)


def _ask_density(report, subjects, points, sampling, rng):
    """Cells are cut up where a climb from points near and far ends, and where samples lie."""
    totals = []
    for when, s in subjects.items():
        near = [_peaks(s.log_prob, points[:16] * scale) for scale in (1, 30)]
        with torch.no_grad():
            if not sampling:
                near.append(s.sample(64, generator=rng).to(points))
            near = torch.cat(near)
            totals.append((*_integral(s.log_prob, points.shape[1], near[near.isfinite().all(-1)]), when))
    report.total, error, when = max(totals, key=lambda total: abs(total[0] - 1))
    tolerance = 0.01 + error
    found = f"{when}the density integrates to {report.total:.3g} over all x within {REACH:,.0f}"
    found += f", give or take {tolerance:.2g}"
    one = abs(report.total - 1) < tolerance
    report._add("sums", None if one and error > 0.1 else one, found)


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


def _listing(sentences, most=3):
    more = len(sentences) - most
    return "; ".join(sentences[:most]) + (f"; and {more} more" if more > 0 else "")

"""Right models go free, in whatever form they answer, and what was found is said in sentences."""

import functools
import math

import pytest
import torch
import torch.nn.functional as F

from hybridlib import audit, faulty
from hybridlib.audit import copies, fitted, parities
from hybridlib.ensembles import Mixture
from hybridlib.fvsbn import FVSBN
from hybridlib.made import MADE
from hybridlib.noise import seeded
from hybridlib.outputs import Categorical, LogisticMixture, Normal
from hybridlib.report import FIT, examine
from hybridlib.transformer import Transformer

LEAK = {"leaks", "sums", "coins", "fits"}
SHUFFLED = torch.tensor([3, 0, 5, 1, 4, 2])
CONTEXT = torch.randn(32, 2, generator=torch.Generator().manual_seed(0))


@functools.cache
def verdict(fault):
    """The audit of one fault, which several tests read."""
    return examine(fault(), context=CONTEXT if fault is faulty.ContextTooLate else None)


def found(report, name):
    """The sentence of one check."""
    return next(check.found for check in report.checks if check.name == name)


def asked(report):
    return {check.name for check in report.checks if check.ok is not None}


RIGHT = {
    "repaired": (faulty.Repaired, {}),
    "one hidden layer, nothing direct": (lambda: MADE(6, (48,), direct=False), {}),
    "two residual layers, dropout": (lambda: MADE(6, (24, 24), residual=True, dropout=0.3), {}),
    "another order": (lambda: MADE(6, (48,), orders=SHUFFLED), {}),
    "fewer units than variables": (lambda: MADE(6, (3,)), {"source": copies}),
    "conditional": (lambda: MADE(6, (48,), context=2), {"context": CONTEXT}),
    "conditional, nothing direct": (lambda: MADE(6, (48,), context=2, direct=False), {"context": CONTEXT}),
    "three categories": (lambda: MADE(4, (48,), output=Categorical(3)), {"levels": 3}),
    "one variable": (lambda: MADE(1, (4,)), {}),
    "two variables, all units off": (lambda: MADE(2, (8,)), {}),
    "logistic regression": (lambda: FVSBN(6), {"source": copies}),
    "mixture": (lambda: Mixture([MADE(4, (32,)), MADE(4, (32,), orders=[3, 2, 1, 0])]), {}),
    "normal": (lambda: MADE(6, (24,), output=Normal()), {"levels": None}),
    "mixture of logistics": (lambda: MADE(6, (24,), output=LogisticMixture(2)), {"levels": None}),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_models_go_free(name):
    model, options = RIGHT[name]
    report = examine(model(), **options)
    assert report.ok, report
    if options.get("levels", 2):
        assert asked(report) >= {"repeatable", "support", "zero", "coins", "fits", "sums", "samples"}
        assert report.total == pytest.approx(1, abs=1e-4)
    if name != "mixture":
        assert asked(report) >= {"leaks", "connected"}
        assert report.sees.shape[0] == report.sees.shape[-1]


def test_a_mixture_of_orders_goes_free_in_each_of_them():
    orders = torch.stack([torch.arange(5), torch.arange(5).flip(0)])
    model = MADE(5, (32,), orders=orders, connectivity=True)
    assert examine(model).ok
    reverse = examine(lambda x: model.theta(x, order=1), D=5, order=orders[1])
    assert reverse.ok and asked(reverse) == {"repeatable", "leaks", "connected"}
    assert examine(lambda x: model.theta(x, order=1), D=5, order=orders[0]).convicted == {"leaks", "connected"}


def test_the_audit_leaves_the_model_alone():
    model = faulty.Repaired()
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    first, second = examine(model), examine(model)
    assert str(first) == str(second)
    assert model.training and all(p.grad is None for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


# --- Sentences -------------------------------------------------------------------------------------------------------


def test_reports_read_like_sentences():
    leaky, right = verdict(faulty.GreaterEqualAtOutput), verdict(faulty.Repaired)
    assert found(leaky, "leaks").startswith("output 0 sees its own input; output 1 sees its own input")
    assert found(leaky, "leaks").endswith("and 2 more; no order would fit")
    assert "after training, the probabilities of all 64 states sum to" in found(leaky, "sums")
    assert found(right, "connected") == "all 15 allowed pairs are connected"
    assert found(right, "leaks") == "no output sees its own input or a later one"
    assert str(right).startswith("Audit: nothing wrong found in 10 of 10 checks\nright ")
    assert str(leaky).startswith("Audit: 4 checks found something wrong")
    assert "<b>WRONG</b>" in leaky._repr_html_() and "WRONG" not in right._repr_html_()
    assert "style" not in right._repr_html_().replace("style='text-align: left'", "")  # the page's colours, not ours


def test_a_leak_is_named_with_its_parameter():
    sentence = found(verdict(faulty.Interleaved), "leaks")
    assert sentence.startswith(
        "parameter 1 of output 0 sees its own input; parameter 1 of output 0 sees input 1, which"
    )
    assert "parameter 0" not in sentence


def test_an_order_is_found_where_none_is_declared():
    reverse = faulty.MasksTransposed()
    reverse.order = None
    report = examine(lambda x: reverse.theta(x), D=6)
    assert report.ok and found(report, "leaks").endswith("in the order 5 4 3 2 1 0")
    assert "the order that fits is 5 4 3 2 1 0" in found(verdict(faulty.MasksTransposed), "leaks")
    assert examine(lambda x: x, D=3).leaks == [(0, 0), (1, 1), (2, 2)]


def test_what_was_not_asked_is_counted():
    leaky = examine(lambda x: x, D=3)
    assert str(leaky).startswith("Audit: 2 checks found something wrong (3 of 10 checks could be asked)")
    assert str(examine(lambda x: 0 * x, D=1)).startswith("Audit: nothing wrong found in 3 of 10 checks")


def test_an_order_that_nobody_promised_is_the_one_that_explains_most():
    reverse = faulty.MasksTransposed()

    def theta(x):
        return reverse.theta(x) + x * (torch.arange(6) == 2)  # output 2 sees itself

    report = examine(theta, D=6)
    assert report.leaks == [(2, 2)] and report.missing == []
    assert found(report, "leaks") == "output 2 sees its own input; no order would fit, 5 4 3 2 1 0 comes closest"
    declared = examine(theta, D=6, order=range(6))
    assert found(declared, "leaks").endswith("no order would fit, 5 4 3 2 1 0 comes closest with 1 of the 16 leaks")


def test_parities_follow_an_order_that_was_found():
    model = faulty.Repaired()
    del model.order
    report = examine(model, theta=lambda m, x: m.theta(x[:, SHUFFLED])[:, SHUFFLED.argsort()],
                   log_prob=lambda m, x: m.log_prob(x[:, SHUFFLED]), sample=lambda m, n, generator: m.sample(
                       n, generator=generator)[:, SHUFFLED.argsort()])  # fmt: skip
    assert report.ok, report


# --- Right models that are hard to teach, or built in other ways ------------------------------------------------------


class MasksWritten(faulty.Repaired):
    """Right: the masks are multiplied into the weights, before every use."""

    def theta(self, x):
        self.W1.data *= self.M1
        self.W2.data *= self.M2
        return F.linear(F.linear(x, self.W1, self.b1).relu(), self.W2, self.b2)


class Impossible(faulty.Repaired):
    """Right, of three symbols, of which the last cannot be: its score is minus infinity."""

    def theta(self, x):
        logits = super().theta(x)
        return F.pad(torch.stack([torch.zeros_like(logits), logits], -1), (0, 1), value=-math.inf)

    def log_prob(self, x):
        if not torch.isin(x, torch.arange(3.0)).all():
            raise ValueError("symbols are 0, 1, 2")
        return self.theta(x).log_softmax(-1).gather(-1, x.long()[..., None])[..., 0].sum(-1)

    @torch.no_grad()
    def sample(self, n, *, generator=None):
        x = torch.zeros(n, self.D)
        for d in range(self.D):
            x[:, d] = torch.multinomial(self.theta(x)[:, d].softmax(-1), 1, generator=generator)[:, 0].float()
        return x


@pytest.mark.parametrize(
    "model",
    [
        lambda: Transformer(6, 2, width=16, layers=1, heads=2),
        lambda: MADE(6, (24, 24, 24), direct=False),
        MasksWritten,
    ],
    ids=["transformer", "three hidden layers", "masks written into the weights"],
)
def test_models_that_only_adam_can_teach_go_free(model):
    model = model()
    entropy = 2 * math.log(2) - 4 * (0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert fitted(model, lambda m, x: m.log_prob(x), parities(6))[1] > entropy + FIT
    report = examine(model)
    assert report.ok, report


def test_a_training_that_fails_is_said_to_be_one():
    report = examine(FVSBN(6))
    assert report.convicted == {"fits"} and "WRONG" not in str(report)
    assert "1 check found something doubtful" in str(report)
    assert found(report, "fits").startswith(
        "training did not find parities: 100 steps of L-BFGS from 2 starts and 200 of Adam from 4 ended at"
    )
    assert "no distribution can do that" in found(verdict(faulty.InclusiveDiagonal), "fits")


@pytest.mark.parametrize("seed", range(10))
def test_units_that_are_off_disconnect_nothing(seed):
    with seeded(seed):
        model = MADE(6, (6, 6), direct=False)  # many of its units are off at all points
    assert examine(model, log_prob=lambda m, x: m.log_prob(x).mean()).convicted == {"answers"}  # without training


def test_impossible_symbols_are_no_change_and_need_not_be_learnt():
    report = examine(Impossible(4, 32), levels=3)
    assert report.ok and asked(report) >= {"repeatable", "leaks", "coins", "fits", "sums", "samples"}
    assert found(report, "zero") == "it calls 65 of 81 states impossible"
    constant = examine(faulty.Repaired(), log_prob=lambda m, x: faulty.bits(m.theta(x) + 1, x))
    assert "zero" in constant.convicted and not next(c for c in constant.checks if c.name == "zero").proven


def test_frozen_models_and_parameters_of_one_sign_go_free():
    frozen = faulty.Repaired().requires_grad_(False)
    assert examine(frozen).ok and found(examine(frozen), "fits") == "there are no parameters to set"

    class Positive(faulty.Repaired):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(6))

        def theta(self, x):
            return super().theta(x) * self.scale.log().exp()  # nan once all signs are turned

    assert examine(Positive()).convicted <= {"zero"}


def test_a_model_cut_off_from_its_parameters_is_convicted():
    report = examine(faulty.Repaired(), log_prob=lambda m, x: m.log_prob(x).detach())
    assert report.convicted == {"gradients"}
    assert found(report, "fits") == "log_prob passes no gradient on to the parameters"


# --- Answers in other forms -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("log_prob", "sentence"),
    [
        (lambda m, x: m.log_prob(x).mean(), "log_prob answers in shape () for 64 points"),
        (lambda m, x: m.log_prob(x)[:, None], "log_prob answers in shape (64, 1) for 64 points"),
        (lambda m, x: m.theta(x), "log_prob answers in shape (64, 6) for 64 points"),
        (lambda m, x: (m.log_prob(x), None), "log_prob answers in type tuple for 64 points"),
        (lambda m, x: m.log_prob(x) * math.nan, "log_prob is nan or infinite at 64 of 64 points"),
    ],
)
def test_log_probs_in_another_form_are_convicted(log_prob, sentence):
    report = examine(faulty.Repaired(), log_prob=log_prob)
    assert report.convicted == {"answers"} and found(report, "answers").startswith(sentence)
    assert asked(report) == {"answers", "repeatable", "gradients", "leaks", "connected"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda x: 2 * x - 1, "samples hold -1; the values are 0 .. 1"),
        (lambda x: 255 * x, "samples hold 255; the values are 0 .. 1"),
        (lambda x: x + 0.5, "samples hold 0.5, 1.5; the values are 0 .. 1"),
        (lambda x: x * math.nan, "samples hold nan"),
        (lambda x: x[:, None], "8 samples of 6 variables came in shape (8, 1, 6); (8, 6) is due"),
    ],
)
def test_samples_in_another_form_are_convicted(change, sentence):
    def sample(m, n, generator):
        return change(m.sample(n, generator=generator))

    report = examine(faulty.Repaired(), sample=sample)
    assert report.convicted == {"samples"} and found(report, "samples").startswith(sentence)
    with pytest.raises(ValueError, match="samples"):
        audit.sample_test(lambda n, generator: sample(faulty.Repaired(), n, generator), faulty.Repaired().log_prob, 6)


def test_samplers_that_fail_are_reported():
    report = examine(faulty.Repaired(), sample=lambda m, n, generator: 1 / 0)
    assert report.ok and found(report, "samples") == "sample fails: ZeroDivisionError: division by zero"


def test_theta_may_be_a_tuple_or_a_distribution():
    def both(m, x):
        return m.theta(x), -m.theta(x)

    def distribution(m, x):
        return torch.distributions.Independent(torch.distributions.Bernoulli(logits=m.theta(x)), 1)

    for theta, name in ((both, "tuple"), (distribution, "Independent")):
        report = examine(faulty.Repaired(), theta=theta)
        assert report.ok and asked(report) >= {"leaks", "connected"}
        assert found(report, "answers") == f"theta answers in type {name}, read as 2 parameters for each variable"
        assert examine(faulty.InclusiveDiagonal(), theta=theta).convicted == LEAK
    unread = examine(faulty.Repaired(), theta=lambda m, x: {"logits": m.theta(x)})
    assert unread.convicted == {"answers"} and "answers in type dict" in found(unread, "leaks")
    broken = examine(lambda x: x * math.nan, D=3)
    assert broken.convicted == {"answers"} and found(broken, "leaks") == "theta is nan at 8 of 8 points"


@pytest.mark.parametrize("dtype", [torch.float64, torch.half, torch.bfloat16])
def test_models_in_any_precision(dtype):
    report = examine(faulty.Repaired().to(dtype))
    assert report.ok and "samples" in asked(report)
    assert found(report, "answers").startswith(f"the model is in {str(dtype).removeprefix('torch.')}")
    assert examine(faulty.InclusiveDiagonal().to(dtype)).convicted == LEAK


def test_samplers_without_a_generator_or_with_a_shape():
    class Shaped(faulty.Repaired):
        def sample(self, shape):
            return super().sample(*shape)

    model, state = Shaped(), torch.get_rng_state()
    report = examine(model)
    assert report.ok and "samples" in asked(report)
    assert found(report, "answers") == "sample takes no generator, so the global one was seeded for it"
    assert str(examine(model)) == str(report) and torch.equal(torch.get_rng_state(), state)


@pytest.mark.filterwarnings("ignore:.*weight_norm")
def test_weight_norm_is_copied():
    class Normed(torch.nn.Module):
        D, order = 6, torch.arange(6)

        def __init__(self):
            super().__init__()
            self.layer = torch.nn.utils.weight_norm(torch.nn.Linear(6, 6))

        def theta(self, x):
            self.layer(x)  # computes the weight
            return F.linear(x, self.layer.weight.tril(-1), self.layer.bias)

        def log_prob(self, x):
            faulty.Repaired.check(self, x)
            return faulty.bits(self.theta(x), x)

    model = Normed()
    model.theta(torch.zeros(1, 6))
    report = examine(model, source=copies)
    assert report.ok and found(report, "answers").startswith("layer.weight was computed, as by weight_norm")


# --- Densities --------------------------------------------------------------------------------------------------------


class Density:
    def __init__(self, D, log_prob):
        self.D, self.log_prob = D, log_prob


def normal(x, mean=0.0, sd=1.0):
    return torch.distributions.Normal(mean, sd).log_prob(x).sum(-1)


@pytest.mark.parametrize("D", [1, 2])
@pytest.mark.parametrize(
    "log_prob",
    [
        lambda x: normal(x, 0.3, 0.003),
        lambda x: normal(x, 50_000.0, 3.0),
        lambda x: torch.logaddexp(normal(x, -5.0, 0.01), normal(x, 5.0, 0.01)) - math.log(2),
        lambda x: torch.distributions.Cauchy(0.0, 1.0).log_prob(x).sum(-1),
        lambda x: torch.where(((x >= 0) & (x < 1)).all(-1), 0.0, -math.inf),
    ],
    ids=["narrow", "far", "two peaks", "heavy tails", "box"],
)
def test_right_densities_of_two_variables_go_free(log_prob, D):
    report = examine(Density(D, log_prob), levels=None)
    assert report.ok and report.total == pytest.approx(1, abs=0.01)
    assert examine(Density(D, lambda x: log_prob(x) + math.log(0.95)), levels=None).convicted == {"sums"}


def test_a_density_that_integrates_to_less_is_convicted():
    def ring(x):  # each of two variables around 1.5 times the other: no distribution
        return normal(x - 1.5 * x.flip(-1))

    report = examine(Density(2, ring), levels=None)
    assert report.convicted == {"sums"} and report.total == pytest.approx(0.8, abs=0.01)
    assert str(report).startswith("Audit: 1 check found something wrong (2 of 10 checks could be asked)")
    assert found(report, "sums").startswith("the density integrates to 0.8 over all x within 1,000,000, give or take")
    assert found(examine(Density(3, normal), levels=None), "sums") == "real values cannot be listed"
    assert examine(Density(2, lambda x: 0 * x[:, 0]), levels=None).convicted == {"sums"}  # endless
    made = examine(MADE(2, (16,), output=Normal()), levels=None)
    assert made.ok and "sums" in asked(made)


# --- Large models and bad input --------------------------------------------------------------------------------------


def test_what_cannot_be_listed_is_still_asked_who_sees_whom():
    report = examine(faulty.GreaterEqualAtOutput(D=40, H=80))
    assert report.convicted == {"leaks"} and len(report.leaks) == 39
    assert found(report, "sums") == "2^40 states are too many to list"
    assert examine(faulty.MaskOnlyAtStart(D=40, H=80)).convicted == {"leaks"}
    assert len(examine(faulty.SequentialDegrees(D=40, H=20)).missing) == sum(range(1, 20))


def test_bad_input_is_answered_clearly():
    with pytest.raises(ValueError, match="pass D="):
        examine(lambda x: x)
    with pytest.raises(ValueError, match=r"order=\[0, 0, 1\] is not a permutation of 0 .. 2"):
        examine(lambda x: x, D=3, order=[0, 0, 1])
    with pytest.raises(ValueError, match=r"expected \(B, D\)"):
        examine(lambda x: x.sum(-1), D=3)
    with pytest.raises(ValueError, match="parameters for 2 variables where x has 3"):
        examine(lambda x: x[:, :2], D=3)


def test_answers_and_samples_of_odd_types_have_a_verdict():
    class Odd(torch.nn.Module):
        def __init__(self, log_prob=None, sample=None, theta=None):
            super().__init__()
            self.D, self.made, self.changes = 3, MADE(3, (6,)), (log_prob, sample, theta)

        def log_prob(self, x):
            return (self.changes[0] or (lambda t: t))(self.made.log_prob(x))

        def sample(self, n, generator=None):
            return (self.changes[1] or (lambda t: t))(self.made.sample(n, generator=generator))

        def theta(self, x):
            return (self.changes[2] or (lambda t: t))(self.made.theta(x))

    assert examine(Odd(sample=torch.Tensor.bool)).ok
    assert examine(Odd(sample=lambda x: x.to(torch.uint8))).ok
    for odd, told in [
        (Odd(log_prob=torch.Tensor.cfloat), "log_prob answers in complex numbers"),
        (Odd(theta=torch.Tensor.cfloat), "theta answers in complex numbers"),
        (Odd(sample=torch.Tensor.cfloat), "samples are complex"),
    ]:
        report = examine(odd)
        assert not report.ok and told in repr(report)
    seen = examine(Odd(theta=lambda t: t > 0))
    assert "leaks" not in seen.convicted

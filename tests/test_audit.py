"""The audit convicts each faulty variant by the checks that should see it and by no other; right models go free."""

import functools
import math

import pytest
import torch

from hybridlib import audit as rooms
from hybridlib import faulty
from hybridlib.audit import audit, coins, copies, fitted, parities, states
from hybridlib.fvsbn import FVSBN
from hybridlib.made import MADE, Mixture
from hybridlib.outputs import Categorical, LogisticMixture, Normal

LEAK = {"leaks", "sums", "coins", "fits"}
NO_LIKELIHOOD = {"sums", "zero", "coins", "fits"}
VERDICTS = {
    "MaskOnInput": LEAK,
    "InclusiveDiagonal": LEAK,
    "SecondLayerUnmasked": LEAK,
    "TriangleTwice": LEAK,
    "StrictTriangleTwice": {"connected", "fits"},
    "GreaterEqualAtOutput": LEAK,
    "SequentialDegrees": {"connected", "fits"},
    "MasksTransposed": {"samples", "leaks", "connected"},
    "Cyclic": {"leaks", "sums", "fits"},
    "MaskOnlyAtStart": LEAK,
    "ErasingMasks": {"repeatable", "fits"},
    "Interleaved": LEAK,
    "ContextTooLate": {"context"},
    "Bypass": {"gradients", "fits"},
    "LayerNormHidden": LEAK,
    "SoftmaxHidden": LEAK,
    "LogitsAveraged": {"leaks", "sums", "fits"},
    "MeanReduced": NO_LIKELIHOOD,
    "SigmoidTwice": {"zero", "fits"},
    "SquaredError": NO_LIKELIHOOD,
    "RealInput": {"support"},
    "OnePassSample": {"samples"},
}
LEAKING_PAIRS = {"MaskOnInput": 21, "InclusiveDiagonal": 6, "TriangleTwice": 6, "GreaterEqualAtOutput": 5, "Cyclic": 15}
MISSING_PAIRS = {"StrictTriangleTwice": 5, "SequentialDegrees": 3, "MasksTransposed": 15, "Cyclic": 0}

SHUFFLED = torch.tensor([3, 0, 5, 1, 4, 2])
CONTEXT = torch.randn(32, 2, generator=torch.Generator().manual_seed(0))


@functools.cache
def verdict(fault):
    """The audit of one fault, which several tests read."""
    return audit(fault(), context=CONTEXT if fault is faulty.ContextTooLate else None)


def found(report, name):
    """The sentence of one check."""
    return next(check.found for check in report.checks if check.name == name)


def asked(report):
    return {check.name for check in report.checks if check.ok is not None}


def test_every_fault_has_a_verdict():
    assert [fault.__name__ for fault in faulty.FAULTS] == list(VERDICTS)


@pytest.mark.parametrize("fault", faulty.FAULTS, ids=lambda fault: fault.__name__)
def test_faults_are_convicted_by_the_right_checks(fault):
    name = fault.__name__
    report = verdict(fault)
    assert report.convicted == VERDICTS[name], report
    assert not report.ok
    if name in LEAKING_PAIRS:
        assert len(report.leaks) == LEAKING_PAIRS[name]
    if name in MISSING_PAIRS:
        assert len(report.missing) == MISSING_PAIRS[name]
    for check in VERDICTS[name]:  # the docstring is the chapter's text: it must name what convicts
        assert check in fault.__doc__


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
    report = audit(model(), **options)
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
    assert audit(model).ok
    reverse = audit(lambda x: model.theta(x, order=1), D=5, order=orders[1])
    assert reverse.ok and asked(reverse) == {"repeatable", "leaks", "connected"}
    assert audit(lambda x: model.theta(x, order=1), D=5, order=orders[0]).convicted == {"leaks", "connected"}


def test_the_audit_leaves_the_model_alone():
    model = faulty.Repaired()
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    first, second = audit(model), audit(model)
    assert str(first) == str(second)
    assert model.training and all(p.grad is None for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_a_sampler_that_is_wrong_only_after_training_is_found():
    model = faulty.OnePassSample()
    model.W2.data.zero_()  # independent at first, so that one pass is enough
    report = audit(model)
    assert report.convicted == {"samples"} and found(report, "samples").startswith(
        "after training, 20,000 samples do not"
    )


# --- The article's code ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attempt", "error", "message"),
    [
        (faulty.Article(), AttributeError, "'Sequential' object has no attribute 'weight'"),
        (faulty.ArticleFirstLayer(), RuntimeError, r"\(64\) must match .* \(10\)"),
        (faulty.ArticleFirstLayer(hidden=10), RuntimeError, "4D"),
        (faulty.ArticleFlatMask(), RuntimeError, r"\(64\) must match .* \(10\)"),
    ],
)
def test_the_article_fails_error_after_error(attempt, error, message):
    with pytest.raises(error, match=message):
        attempt(torch.randn(32, 10))


def test_the_article_runs_in_the_end_and_is_worthless():
    model = faulty.ArticleFlatMask(hidden=10)
    assert model(torch.randn(32, 10)).shape == (32, 10)
    assert audit(model).convicted == {"leaks", "gradients"}
    assert found(audit(model), "gradients") == "no gradient reaches net.2.weight, net.2.bias"
    likely = audit(faulty.ArticleFlatMask(6, 6), log_prob=lambda m, x: faulty.bits(m(x), x))
    assert likely.convicted == {"leaks", "gradients", "sums", "fits", "coins", "support"}


def test_sequential_degrees_cannot_do_one_variable():
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        faulty.SequentialDegrees(D=1)


def test_sequential_degrees_miss_what_even_degrees_of_the_same_width_learn():
    assert "fits" in audit(faulty.SequentialDegrees(), source=copies).convicted
    assert audit(MADE(6, (3,)), source=copies).ok


def test_masks_in_place_erase_the_weights():
    model = faulty.ErasingMasks(D=8, H=64)
    connections = model.W1.count_nonzero() + model.W2.count_nonzero()
    for _ in range(9):
        model.theta(states(8))
    assert (model.W1.count_nonzero() + model.W2.count_nonzero()) / connections < 0.05


# --- Sentences -------------------------------------------------------------------------------------------------------


def test_reports_read_like_sentences():
    leaky, right = verdict(faulty.GreaterEqualAtOutput), verdict(faulty.Repaired)
    assert found(leaky, "leaks").startswith("output 0 sees its own input; output 1 sees its own input")
    assert found(leaky, "leaks").endswith("and 2 more; no order would fit")
    assert "after training, the probabilities of all 64 states sum to" in found(leaky, "sums")
    assert found(right, "connected") == "all 15 allowed pairs are connected"
    assert found(right, "leaks") == "no output sees its own input or a later one"
    assert str(right).startswith("Audit: nothing wrong found\nright ")
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
    report = audit(lambda x: reverse.theta(x), D=6)
    assert report.ok and found(report, "leaks").endswith("in the order 5 4 3 2 1 0")
    assert "the order that fits is 5 4 3 2 1 0" in found(verdict(faulty.MasksTransposed), "leaks")
    assert audit(lambda x: x, D=3).leaks == [(0, 0), (1, 1), (2, 2)]


# --- The tools one by one --------------------------------------------------------------------------------------------


def test_bit_flips_and_derivatives_agree_with_the_masks():
    model = MADE(6, (48,), orders=SHUFFLED)
    expected = rooms.allowed(SHUFFLED)
    assert torch.equal(rooms.sees(model.theta, states(6)), expected)
    assert torch.equal(rooms.sees_by_derivative(model.theta, states(6)), expected)
    assert rooms.sees(model.theta, states(6), per_parameter=True).shape == (6, 1, 6)
    assert not expected[3].any() and expected[2].sum() == 5  # SHUFFLED begins with 3 and ends with 2


def test_a_derivative_at_one_point_misses_a_leak_behind_a_relu():
    def leaky(x):  # output 0 sees input 1, but only where both bits are on
        return torch.stack([(x[:, 0] + x[:, 1] - 1.5).relu(), x[:, 0]], dim=-1)

    assert not rooms.sees_by_derivative(leaky, torch.zeros(1, 2))[0].any()
    assert rooms.sees_by_derivative(leaky, states(2))[0].all()
    assert rooms.sees(leaky, states(2))[0].all()


def test_sees_counts_nan_as_a_change_and_takes_more_inputs_than_outputs():
    assert rooms.sees(lambda x: x[:, :1] / 0 * x[:, 1:2], states(3)).tolist() == [[True, True, True]]
    assert rooms.sees(lambda x: x[:, :1] * x[:, 2:], states(3)).tolist() == [[True, False, True]]


def test_find_order():
    assert rooms.find_order(rooms.allowed(SHUFFLED)).tolist() == SHUFFLED.tolist()
    ring = torch.tensor([[0, 1, 0], [0, 0, 1], [1, 0, 0]]).bool()
    assert rooms.find_order(ring) is None
    assert rooms.leaks(ring, [2, 1, 0]) == [(2, 0)]
    assert rooms.missing(ring, [2, 1, 0]) == [(0, 2)]


@pytest.mark.parametrize("source", [coins, copies, parities])
@pytest.mark.parametrize(("D", "levels", "order"), [(1, 2, None), (2, 3, None), (6, 2, SHUFFLED), (4, 3, [2, 0, 3, 1])])
def test_sources_are_distributions_of_the_entropy_they_should_have(source, D, levels, order):
    x, log_p = source(D, levels=levels, order=order)
    assert x.shape == (levels**D, D) and len(x.unique(dim=0)) == levels**D
    assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-5)
    free = {coins: D, copies: 1, parities: min(D, 2)}[source]
    noisy = -0.9 * math.log(0.9) - 0.1 * math.log(0.1 / (levels - 1))
    assert -(log_p.exp() * log_p).sum().item() == pytest.approx(free * math.log(levels) + (D - free) * noisy, abs=1e-4)


def test_parities_follow_the_order():
    x, log_p = parities(3, order=[2, 0, 1])
    follows = (x[:, 2] + x[:, 0]) % 2 == x[:, 1]
    assert log_p.exp()[follows].sum().item() == pytest.approx(0.9)


def test_total_probability():
    half = torch.distributions.Bernoulli(torch.tensor(0.3))
    assert rooms.total_probability(lambda x: half.log_prob(x).sum(-1), 14) == pytest.approx(1, abs=1e-5)
    assert rooms.total_probability(lambda x: x.sum(-1) * 0, 3, levels=3) == 27


def test_right_samplers_are_seldom_suspected_and_wrong_ones_always():
    x, log_p = copies(4)
    p = log_p.exp()

    def sample(n, generator, p=p):
        return x[torch.multinomial(p, n, replacement=True, generator=generator)]

    def log_prob(states):
        return log_p

    rng = torch.Generator().manual_seed(0)
    values = [rooms.sample_test(sample, log_prob, 4, n=2000, generator=rng)[0] for _ in range(200)]
    assert 4 <= sum(p < 0.1 for p in values) <= 40  # about 20 of 200
    wrong = p + torch.linspace(0, 0.02, 16)  # multinomial makes it sum to one
    p_value, distance = rooms.sample_test(lambda n, generator: sample(n, generator, wrong), log_prob, 4, generator=rng)
    assert p_value < 1e-4 and 0.01 < distance < 0.2


def test_samples_that_cannot_be_are_wrong_and_certain_ones_right():
    certain = torch.tensor([1.0, 0, 0, 0]).log()
    p_value, distance = rooms.sample_test(lambda n, generator: torch.zeros(n, 2), lambda x: certain, 2)
    assert p_value > 0.99 and distance == 0
    p_value, distance = rooms.sample_test(lambda n, generator: torch.ones(n, 2), lambda x: certain, 2)
    assert p_value == 0 and distance == pytest.approx(1)


def test_idle_parameters():
    model = faulty.Bypass()
    assert rooms.idle_parameters(model, model.log_prob(states(6))[3]) == ["b1", "W2"]
    assert rooms.idle_parameters(model, 0 * model.log_prob(states(6))[3]) == ["W1", "b1", "W2", "b2"]
    model.W2.requires_grad_(False)  # frozen on purpose
    assert rooms.idle_parameters(model, model.log_prob(states(6))[3]) == ["b1"]


def test_zeroed_and_fitted_are_copies():
    model = faulty.Repaired()
    assert all((p == 0).all() for p in rooms.zeroed(model).parameters())
    trained, nats = fitted(model, lambda m, x: m.log_prob(x), copies(6), steps=20)
    assert -(copies(6)[1].exp() * trained.log_prob(states(6))).sum().item() == pytest.approx(nats)
    assert torch.equal(model.W1, faulty.Repaired().W1) and not torch.equal(trained.W1, model.W1)


# --- Large models and bad input --------------------------------------------------------------------------------------


def test_what_cannot_be_listed_is_still_asked_who_sees_whom():
    report = audit(faulty.GreaterEqualAtOutput(D=40, H=80))
    assert report.convicted == {"leaks"} and len(report.leaks) == 39
    assert found(report, "sums") == "2^40 states are too many to list"
    assert audit(faulty.MaskOnlyAtStart(D=40, H=80)).convicted == {"leaks"}
    assert len(audit(faulty.SequentialDegrees(D=40, H=20)).missing) == sum(range(1, 20))


def test_bad_input_is_answered_clearly():
    with pytest.raises(ValueError, match="pass D="):
        audit(lambda x: x)
    with pytest.raises(ValueError, match=r"order=\[0, 0, 1\] is not a permutation of 0 .. 2"):
        audit(lambda x: x, D=3, order=[0, 0, 1])
    with pytest.raises(ValueError, match=r"expected \(B, D\)"):
        audit(lambda x: x.sum(-1), D=3)
    with pytest.raises(ValueError, match="numbers for 2 variables where x has 3"):
        audit(lambda x: x[:, :2], D=3)
    for D, levels in ((0, 2), (23, 2), (3, 1)):
        with pytest.raises(ValueError, match=f"D={D} variables with {levels} values"):
            states(D, levels=levels)

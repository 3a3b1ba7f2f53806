"""The audit convicts each faulty variant by the checks that should see it and by no other."""

import pytest
import torch
from test_report import LEAK, found, verdict

from hybridlib import faulty
from hybridlib.audit import copies, states
from hybridlib.made import MADE
from hybridlib.report import examine

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


def test_a_sampler_that_is_wrong_only_after_training_is_found():
    model = faulty.OnePassSample()
    model.W2.data.zero_()  # independent at first, so that one pass is enough
    report = examine(model)
    assert report.convicted == {"samples"} and found(report, "samples").startswith(
        "after training, 20,000 samples do not"
    )


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
    assert examine(model).convicted == {"leaks", "gradients"}
    assert found(examine(model), "gradients") == "no gradient reaches net.2.weight, net.2.bias"
    likely = examine(faulty.ArticleFlatMask(6, 6), log_prob=lambda m, x: faulty.bits(m(x), x))
    assert likely.convicted == {"leaks", "gradients", "sums", "fits", "coins", "support"}


def test_sequential_degrees_cannot_do_one_variable():
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        faulty.SequentialDegrees(D=1)


def test_sequential_degrees_miss_what_even_degrees_of_the_same_width_learn():
    assert "fits" in examine(faulty.SequentialDegrees(), source=copies).convicted
    assert examine(MADE(6, (3,)), source=copies).ok


def test_masks_in_place_erase_the_weights():
    model = faulty.ErasingMasks(D=8, H=64)
    connections = model.W1.count_nonzero() + model.W2.count_nonzero()
    for _ in range(9):
        model.theta(states(8))
    assert (model.W1.count_nonzero() + model.W2.count_nonzero()) / connections < 0.05

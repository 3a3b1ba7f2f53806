"""Chance: one seed is one result, and what was drawn before stays as it was."""

import pytest
import torch
from shaken import rng

from hybridlib.made import MADE
from hybridlib.noise import check_width, choose, draw, seeded, shuffle


def test_seeded_is_manual_seed_that_leaves_no_trace():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with seeded(1):
        inside = torch.rand(3)
        with seeded(2):
            torch.rand(7)
        after = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), inside) and torch.equal(torch.rand(3), after)


def test_global_chance_comes_back_after_an_error():
    state = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), seeded(3):
        torch.rand(3)
        1 / 0  # noqa: B018
    assert torch.equal(torch.get_rng_state(), state)


def test_models_that_are_built_one_after_the_other_differ():
    with seeded(0):
        models = [MADE(4, (6,)) for _ in range(2)]
    with seeded(0):
        again = MADE(4, (6,))
    weights = [model.net.out.weight for model in (*models, again)]
    assert torch.equal(weights[0], weights[2]) and not torch.equal(weights[0], weights[1])


@pytest.mark.parametrize("seed", [None, 1.5, "1", True])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(ValueError, match="whole number"), seeded(seed):
        pass


def test_a_draw_is_never_coarser_than_float32():
    for dtype, finer in ((torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64,) * 2):
        assert draw(torch.randn, (2, 3), like=torch.zeros(1, dtype=dtype)).dtype == finer
    assert torch.equal(draw(torch.rand, (9,), like=torch.zeros(1), generator=rng(1)), torch.rand(9, generator=rng(1)))


def test_numbers_and_orders_follow_their_generator():
    assert torch.equal(choose(5, 20, generator=rng(1)), choose(5, 20, generator=rng(1)))
    assert choose(3, 1000, generator=rng()).unique().tolist() == [0, 1, 2]
    assert torch.equal(shuffle(9, generator=rng(1)), shuffle(9, generator=rng(1)))
    assert shuffle(9, generator=rng(1)).sort().values.tolist() == list(range(9))


@pytest.mark.parametrize(
    ("n", "message"), [(-1, "not be negative, got -1"), (2.0, "whole number, got 2.0"), (True, "got True")]
)
def test_the_number_of_draws_is_whole(n, message):
    for call in (lambda: draw(torch.rand, (n,), like=torch.zeros(1)), lambda: choose(3, n)):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("w", [0, -1, 1.1, float("nan")])
def test_noise_is_no_wider_than_a_cell(w):
    with pytest.raises(ValueError, match="must lie in"):
        check_width(w)

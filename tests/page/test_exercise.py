"""Feedback on exercises: says what failed and why, and never takes the page down."""

import functools
import linecache
import sys

import numpy as np
import pytest
import torch

from hybridlib.page.exercise import check, ingredients, same


def doubles_its_input(f):
    same(f(torch.tensor([1.0, 2.0])), [2.0, 4.0])


def cell(source, name, file="<cell>"):
    """A function as a notebook defines it: pytest rewrites the asserts of test files, a notebook's stay plain."""
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    scope = {"torch": torch}
    exec(compile(source, file, "exec"), scope)
    return scope[name]


keeps_zero = cell("def keeps_zero(f):\n    assert f(torch.zeros(1)) == 0\n", "keeps_zero")


def answers_false(f):
    return bool(f(torch.zeros(1)) > 1)


def test_a_right_answer_passes():
    result = check(lambda x: 2 * x, [doubles_its_input, keeps_zero])
    assert result.passed
    assert repr(result) == "All 2 properties hold.\n[x] doubles its input\n[x] keeps zero"
    assert repr(check(lambda x: 2 * x, [keeps_zero])).startswith("The property holds.")


def test_a_wrong_answer_hears_what_was_found():
    result = check(lambda x: x + 1, [doubles_its_input, keeps_zero, answers_false])
    assert not result.passed
    assert repr(result).splitlines() == [
        "0 of 3 properties hold.",
        "[!] doubles its input: found [2, 3], expected [2, 4]",
        "[!] keeps zero: does not hold: assert f(torch.zeros(1)) == 0",
        "[!] answers false: does not hold",
    ]


def raises_not_implemented(x):
    raise NotImplementedError


def uses_the_ellipsis(x):
    mask = ...
    return mask @ x


def only_described(x):
    """Twice x."""


def half_filled(x):
    twice = ...  # noqa: F841
    x.sum()


STUBS = [None, ..., lambda x: None, lambda x: ..., raises_not_implemented, uses_the_ellipsis, only_described]


@pytest.mark.parametrize("stub", [*STUBS, half_filled, functools.partial(only_described), torch.no_grad()(half_filled)])
def test_a_stub_is_not_written_yet(stub):
    result = check(stub, [doubles_its_input])
    assert not result.passed
    assert repr(result).startswith("Not written yet")
    assert repr(check((stub, len), [lambda both: doubles_its_input(both[0])])).startswith("Not written yet")


def forgets(x):
    doubled = 2 * x[..., :]
    doubled.sum()


def forgets_in_one_case(x):
    if len(x) > 5:
        return 2 * x


def test_a_forgotten_return_is_no_stub():
    class Forgets(torch.nn.Module):
        def forward(self, x):
            2 * x

    told = "[!] doubles its input: returned nothing: is a `return` missing?"
    for answer in (forgets, forgets_in_one_case, torch.no_grad()(forgets), [].append, Forgets()):
        assert repr(check(answer, [doubles_its_input])) == f"0 of 1 properties hold.\n{told}"

    def the_first_doubles(both):
        doubles_its_input(both[0])

    assert "is a `return` missing?" in repr(check((forgets, len), [the_first_doubles]))


def test_what_a_builder_built_is_watched_too():
    def builds_a_doubling(build):
        doubles_its_input(build())

    def verdict(inner):
        return repr(check(lambda: inner, [builds_a_doubling]))

    assert verdict(lambda x: 2 * x).startswith("The property holds.")
    assert "is a `return` missing?" in verdict(forgets)
    assert all(verdict(stub).startswith("Not written yet") for stub in STUBS[1:])


def test_two_ellipses_in_one_index_are_a_mistake():
    result = check(lambda x: x[..., 0, ...], [doubles_its_input])
    assert result.outcomes[0][1] == "failed", result


def test_an_exception_in_the_answer_is_the_message():
    def broken(x):
        return x / undefined  # noqa: F821

    result = check(broken, [doubles_its_input, keeps_zero])
    assert [verdict for _, verdict, _ in result.outcomes] == ["failed", "failed"]
    message = result.outcomes[0][2]
    assert "NameError: name 'undefined' is not defined" in message
    assert "of broken: return x / undefined" in message


def test_the_line_is_the_readers_own():
    source = "def deep(x):\n    y = helper(x)\n    return y\n\ndef helper(x):\n    return torch.cat([x, 1])\n"
    for answer in (cell(source, "deep", "<answer>"), functools.partial(cell(source, "deep", "<answer>"))):
        said = check(answer, [doubles_its_input]).outcomes[0][2]
        assert said.endswith("in line 6 of helper: return torch.cat([x, 1])"), said
    said = check(lambda x: 5, [cell("def adds(f):\n    torch.stack(f(0))\n", "adds", "<property>")]).outcomes[0][2]
    assert said.endswith("in line 2 of adds: torch.stack(f(0))"), said
    within = "class Net(torch.nn.Module):\n    def forward(self, x):\n        return torch.softmax(x, 'dim')\n"
    said = check(cell(within, "Net", "<answer>")(), [doubles_its_input]).outcomes[0][2]
    assert said.endswith("in line 3 of forward: return torch.softmax(x, 'dim')"), said


LOOPS = {
    "def f(x):\n    for row in x:\n        if row:\n            continue\n": {"for"},
    "def f(x):\n    while x:\n        x = x - 1\n": {"while"},
    "def f(x):\n    while True:\n        if x:\n            break\n": {"while"},
    "def f(x):\n    for row in x:\n        while row:\n            row -= 1\n": {"for", "while"},
    "def f(x):\n    return [row for row in x]\n": {"for"},
    "def f(x):\n    return sum(row for row in x)\n": {"for"},
    "def f(x):\n    def g(y):\n        return {k for k in y}\n    return g(x)\n": {"for"},
    "def f(x):\n    return g(x)\n\ndef g(x):\n    return {k: 1 for k in x}\n": {"for"},
    "def f(x):\n    try:\n        return x if x > 2 else -x\n    finally:\n        x.sum()\n": set(),
    "def f(x):\n    yield from x\n": {"while"},
    "@torch.no_grad()\ndef f(x):\n    while x.sum() > 0:\n        x -= 1\n    return x\n": {"while"},
}


@pytest.mark.parametrize("source", LOOPS)
def test_ingredients_know_loops(source):
    assert ingredients(cell(source, "f", "<loops>")) & {"for", "while"} == LOOPS[source]


def test_ingredients_are_names_and_dotted_names():
    source = "def f(x):\n    from math import exp\n    return g(x).flip(0), torch.nn.functional.relu(exp(x))\n"
    source += "\ndef g(x):\n    return torch.cumsum(x, 0).sort().values\n"
    f = cell(source, "f", "<names>")
    found = ingredients(f)
    assert {"g", "flip", "torch.nn.functional.relu", "relu", "exp", "math", "torch.cumsum", "sort", "values"} <= found
    assert not found & {"x", "f", "sum", "sort.values"}

    class Model:
        def __call__(self, x):
            return self.helper(x)

        @staticmethod
        def helper(x):
            return x.tril()

    assert {"helper", "tril"} <= ingredients(Model()) & ingredients(Model)
    assert "tril" in ingredients((f, Model().helper))

    def sorts_nothing(answer):
        assert "sort" not in ingredients(answer), "sort is not allowed here"

    assert "sort is not allowed here" in repr(check(f, [sorts_nothing]))
    assert ingredients(len) == ingredients(5) == set()


def test_answers_may_be_values_and_classes():
    def is_five(value):
        same(value, 5)

    class Model(torch.nn.Module):
        def forward(self, x):
            return 2 * x

    class Unwritten(torch.nn.Module):
        def forward(self, x):
            raise NotImplementedError

    def model_doubles(cls):
        doubles_its_input(cls())

    assert check(5, [is_five]).passed
    assert check(Model, [model_doubles]).passed
    assert repr(check(Unwritten, [model_doubles])).startswith("Not written yet")


def test_same_compares_numbers_arrays_and_tensors():
    same(0.1 + 0.2, 0.3)
    same(torch.tensor([1, 2]), np.array([1.0, 2.0]))
    same(float("nan"), float("nan"))
    with pytest.raises(AssertionError, match=r"found 1.5, expected 2"):
        same(1.5, 2.0)
    with pytest.raises(AssertionError, match=r"found shape \(2,\), expected \(1, 2\)"):
        same(torch.ones(2), torch.ones(1, 2))
    with pytest.raises(AssertionError, match=r"at \[3, 4\] found 0.25, expected 0"):
        same(torch.zeros(30, 30).index_put((torch.tensor(3), torch.tensor(4)), torch.tensor(0.25)), torch.zeros(30, 30))


def test_html_escapes_and_says_the_verdict_in_words():
    def less_than_one(f):
        raise AssertionError("found <b>2</b>, expected < 1")

    html = check(lambda x: x, [less_than_one])._repr_html_()
    assert "found &lt;b&gt;2&lt;/b&gt;, expected &lt; 1" in html
    assert "less than one" in html and "(failed)" in html


def test_no_property_is_an_error():
    with pytest.raises(ValueError, match="at least one property"):
        check(lambda x: x, [])


def test_an_answer_keeps_its_attributes():
    layer = torch.nn.Linear(2, 2)

    def is_the_layer(f):
        assert (
            f is layer
            and isinstance(f, torch.nn.Module)
            and f.weight.shape == (2, 2)
            and f(torch.ones(2)).shape == (2,)
        )

    assert check(layer, [is_the_layer]).passed
    assert not layer._forward_hooks, "the reader's module stays as it was"

    def double(x):
        return 2 * x

    double.order = 3

    def has_a_name(f):
        assert f.__name__ == "double" and f.order == 3 and f(2) == 4

    assert check(double, [has_a_name]).passed
    assert check(functools.partial(torch.mul, 2), [doubles_its_input, keeps_zero]).passed

    class Model:
        weight = 2

        def __call__(self, x):
            return self.weight * x

    def has_a_weight(f):
        assert isinstance(f, Model) and f.weight == 2

    assert check(Model(), [doubles_its_input, has_a_weight]).passed


def test_a_module_that_returns_nothing_is_not_written_yet():
    class Stub(torch.nn.Module):
        def forward(self, x):
            pass

    stub = Stub()
    assert repr(check(stub, [doubles_its_input])).startswith("Not written yet")
    assert not stub._forward_hooks


def test_an_answer_that_leaves_does_not_end_the_cell():
    result = check(lambda x: sys.exit("enough"), [doubles_its_input])
    assert result.outcomes[0][1] == "failed" and "SystemExit: enough" in result.outcomes[0][2]


def test_a_message_is_cut():
    def shouts(x):
        raise ValueError("x" * 1_000_000)

    assert len(repr(check(shouts, [doubles_its_input]))) < 2000


def test_same_compares_tensors_of_any_device(device):
    x = torch.tensor([1.0, 2.0], device=device, requires_grad=True)
    same(x, [1, 2])
    same([1, 2], x.half())
    with pytest.raises(AssertionError, match=r"found \[1, 2\], expected \[1, 3\]"):
        same(x, torch.tensor([1.0, 3.0]))

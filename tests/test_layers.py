"""Masked layers: what the mask forbids stays forbidden, and they are ordinary functions of PyTorch."""

import copy
import importlib
import inspect
import pkgutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shaken import rng, shaken

import hybridlib
from hybridlib.layers import MaskedLinear, Staircase, mask, mlp
from hybridlib.made import MADE, evenly_spaced_degrees
from hybridlib.outputs import Normal

IN, OUT = torch.arange(1, 7), evenly_spaced_degrees(9, 6)
BLOCKS = (1, 2, 4)


def many_blocks(monkeypatch, **arguments):
    """A small MADE in float64 whose layers are cut into several rectangles, as only large ones are by themselves."""
    monkeypatch.setattr("hybridlib.made.Staircase", lambda a, b, *, strict: Staircase(a, b, strict=strict, blocks=3))
    made = shaken(MADE(5, (7, 7), output=Normal(), **arguments), scale=0.5)
    assert all(len(layer.shapes) == 3 for layer in (*made.net.hidden, made.net.out))
    return made


@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    strict=st.booleans(),
    blocks=st.sampled_from([None, *BLOCKS, 20]),
)
@settings(max_examples=100, deadline=None)
def test_staircase_equals_the_masked_dense_layer(seed, shape, strict, blocks):
    generator = rng(seed)
    a, b = (torch.randint(0, 6, (n,), generator=generator).sort().values for n in shape)
    layer = shaken(Staircase(a, b, strict=strict, blocks=blocks), seed)  # also where the mask forbids
    x = torch.randn(7, shape[0], dtype=torch.float64, generator=generator, requires_grad=True)
    M = mask(a, b, strict=strict).double()
    W = layer.dense().detach().requires_grad_()
    assert torch.equal(W * M, W)
    plain = torch.nn.functional.linear(x, W * M, layer.bias)
    upstream = torch.randn(7, shape[1], dtype=torch.float64, generator=generator)
    torch.testing.assert_close(layer(x), plain)
    gx, gw, gb = torch.autograd.grad((layer(x) * upstream).sum(), (x, layer.weight, layer.bias))
    px, pw, pb = torch.autograd.grad((plain * upstream).sum(), (x, W, layer.bias))
    torch.testing.assert_close((gx, gb), (px, pb))
    torch.testing.assert_close(gw, layer._cut(pw))


def test_masked_linear_is_the_masked_product():
    a, b = torch.tensor([3, 1, 2]), torch.tensor([2, 0, 3, 1])
    layer = MaskedLinear(a, b, strict=True)
    x = torch.randn(5, 3)
    torch.testing.assert_close(layer(x, a, b), x @ (layer.weight * mask(a, b, strict=True)).T + layer.bias)


def test_large_layers_store_five_eighths_and_small_ones_a_matrix():
    inputs = torch.arange(1, 785)
    large = Staircase(inputs, evenly_spaced_degrees(500, 784), strict=False)
    assert large.weight.numel() == pytest.approx(5 / 8 * 784 * 500, rel=0.01)
    assert Staircase(IN, OUT, strict=False).weight.shape == (9, 6)


def test_a_network_leads_from_one_size_to_another():
    with pytest.raises(ValueError, match="at least two"):
        mlp(3)


@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("change", ["fill_", "mul_", "copy_", "load", "step"])
def test_no_weights_open_a_forbidden_connection(change, blocks):
    layer = Staircase(IN, OUT, strict=False, blocks=blocks)
    if change == "load":
        layer.load_state_dict({name: torch.full_like(t, 3) for name, t in layer.state_dict().items()})
    elif change == "step":
        (3 * layer.weight.sum()).backward()  # a gradient where the mask forbids, as weight decay or noise would be
        torch.optim.SGD(layer.parameters(), lr=1).step()
    else:
        with torch.no_grad():
            getattr(layer.weight, change)(torch.full_like(layer.weight, 3) if change == "copy_" else 3)
    jacobian = torch.func.jacrev(lambda x: layer(x[None])[0])(torch.ones(6))
    allowed = mask(IN, OUT, strict=False).bool()
    assert not jacobian[~allowed].any() and jacobian[allowed].all()


@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("strict", [False, True])
def test_first_and_second_derivatives_of_the_layer(strict, blocks):
    layer = shaken(Staircase(IN, OUT, strict=strict, blocks=blocks))

    def f(x, weight, bias):
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, x)

    point = torch.randn(2, 6, dtype=torch.float64, generator=rng()), *(p.detach() for p in layer.parameters())
    point = [t.clone().requires_grad_() for t in point]
    assert torch.autograd.gradcheck(f, point)
    assert torch.autograd.gradgradcheck(f, point)


def test_hessians_of_a_density(monkeypatch):
    made = many_blocks(monkeypatch)
    x = torch.randn(5, dtype=torch.float64, generator=rng(1))

    def log_prob(x):
        return made.output.distribution(made.theta(x[None])).log_prob(x[None]).sum()

    def slope(x):
        return torch.func.grad(log_prob)(x)

    hessian = torch.autograd.functional.hessian(log_prob, x)
    steps = 1e-6 * torch.eye(5, dtype=torch.float64)
    differences = torch.stack([(slope(x + e) - slope(x - e)) / 2e-6 for e in steps])
    # central differences of width 1e-6 err by about 1e-16 / 1e-6, in units of the slope
    torch.testing.assert_close(hessian, differences, rtol=1e-6, atol=1e-6 * hessian.abs().max().item())
    torch.testing.assert_close(torch.func.jacrev(torch.func.jacrev(log_prob))(x), hessian)


def test_vectorized_jacobians(monkeypatch):
    made = many_blocks(monkeypatch)
    x = torch.randn(4, 5, dtype=torch.float64, generator=rng(2))
    found = torch.func.vmap(torch.func.jacrev(lambda row: made.theta(row[None])[0]))(x)  # (B, D, P, D)
    each = torch.stack([torch.autograd.functional.jacobian(lambda row: made.theta(row[None])[0], row) for row in x])
    torch.testing.assert_close(found, each)
    assert not found[:, torch.ones(5, 5).triu().bool()[:, None].expand(5, 2, 5)].any()


@pytest.mark.parametrize("blocks", BLOCKS)
def test_bfloat16(blocks):
    exact = shaken(Staircase(IN, OUT, strict=False, blocks=blocks))
    x = torch.randn(8, 6, generator=rng(3))
    # inputs, weights and at most 6 products, each rounded to 8 bits
    bound = 8 * 2**-8 * (x.abs().double() @ exact.dense().abs().T + exact.bias.abs())
    half, mixed = copy.deepcopy(exact).bfloat16(), copy.deepcopy(exact).float()
    with torch.autocast("cpu", torch.bfloat16):
        y = mixed(x)
        y.square().sum().backward()
    for answer in (y, half(x.bfloat16())):
        assert ((answer.double() - exact(x.double())).abs() <= bound).all()
    half(x.bfloat16()).square().sum().backward()
    for layer in (half, mixed):
        assert all(p.grad.isfinite().all() and p.grad.any() for p in layer.parameters())


def test_files_and_copies():
    layer, other = (Staircase(IN, OUT, strict=False, blocks=4) for _ in range(2))
    x = torch.randn(3, 6, generator=rng(4))
    assert set(layer.state_dict()) == {"weight", "bias"}
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(x), layer(x)) and torch.equal(copy.deepcopy(layer)(x), layer(x))


def test_nothing_in_the_library_writes_its_own_derivative():
    modules = [importlib.import_module(f"hybridlib.{m.name}") for m in pkgutil.iter_modules(hybridlib.__path__)]
    classes = [c for module in modules for _, c in inspect.getmembers(module, inspect.isclass)]
    assert [c for c in classes if issubclass(c, torch.autograd.Function)] == []

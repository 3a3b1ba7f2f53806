"""What every model promises on every machine: any data that mean the same, any precision, derivatives of any order."""

import contextlib

import numpy as np
import pytest
import torch
from every import SUBJECTS, nats_of_graph
from pretend_gpu import PretendGPU
from shaken import rng, shaken
from torch.func import functional_call, grad, jacrev, vmap

from hybridlib import checkpoints, train
from hybridlib.autoregressive import Autoregressive
from hybridlib.flows import maf
from hybridlib.made import MADE, random_orders
from hybridlib.molecules import from_smiles
from hybridlib.nade import NADE
from hybridlib.pixelcnn import PixelCNN
from hybridlib.transformer import InBlocks, Transformer

each = pytest.mark.parametrize("name", SUBJECTS)


def value_of_parameters(subject, model, names):
    """(parameters...) -> the sum of the values, a scalar."""

    class Value(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self):
            return subject.value(self.model, *subject.data).sum()

    module = Value()
    return lambda *parameters: functional_call(module, {f"model.{name}": p for name, p in zip(names, parameters)}, ())


@each
class TestDerivatives:
    def test_twice_by_the_parameters(self, name):
        subject = SUBJECTS[name]
        model = shaken(subject.make(), scale=0.5)
        named = {key: p.detach().requires_grad_() for key, p in model.named_parameters() if p.numel()}
        f = value_of_parameters(subject, model, list(named))
        assert torch.autograd.gradcheck(f, tuple(named.values()), fast_mode=True)
        assert torch.autograd.gradgradcheck(f, tuple(named.values()), fast_mode=True)

    def test_twice_by_the_data(self, name):
        subject = SUBJECTS[name]
        if subject.whole:
            pytest.skip("whole numbers have no derivatives")
        model = shaken(subject.make(), scale=0.5)
        x, *rest = (part.double() for part in subject.data)
        assert torch.autograd.gradgradcheck(
            lambda x: subject.value(model, x, *rest), x.requires_grad_(), fast_mode=True
        )

    @pytest.mark.filterwarnings("ignore:There is a performance drop")  # torch has no batches for log_ndtr yet
    @pytest.mark.skipif(not hasattr(torch.func, "debug_unwrap"), reason="torch before 2.7 cannot look into a batch")
    def test_log_prob_in_torch_func(self, name):
        """The gradient of each row by itself; the rows are looked at all the same."""
        subject = SUBJECTS[name]
        model = shaken(subject.make(), scale=0.5)
        if not hasattr(model, "log_prob") or name.startswith("graphaf"):
            pytest.skip("draws, or takes a Graph")
        if getattr(model, "end", None) is not None:
            pytest.skip("computes as many steps as the longest of the data has, which vmap cannot know")
        data = [part.double() for part in subject.data]
        parameters = {f"model.{key}": p.detach() for key, p in model.named_parameters() if p.numel()}

        class Nats(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.model = model

            def forward(self, *row):
                return self.model.log_prob(*(part[None] for part in row))[0]

        module = Nats()
        each_row = vmap(
            grad(lambda parameters, *row: functional_call(module, parameters, row)), (None, *[0] * len(data))
        )
        slopes = each_row(parameters, *data)
        sums = torch.autograd.grad(model.log_prob(*data).sum(), [p for p in model.parameters() if p.numel()])
        for found, expected in zip(slopes.values(), sums):
            assert torch.allclose(found.sum(0), expected, rtol=1e-8, atol=1e-10)
        data[0][3] = torch.nan
        with pytest.raises(ValueError):
            each_row(parameters, *data)

    def test_theta_in_torch_func(self, name):
        subject = SUBJECTS[name]
        model = shaken(subject.make(), scale=0.5)
        if not isinstance(model, Autoregressive):
            pytest.skip("no theta")
        if getattr(model, "end", None) is not None:
            pytest.skip("computes as many steps as the longest of the data has, which vmap cannot know")
        x, *rest = (part.double() for part in subject.data)

        def theta(x, *rest):
            return model.theta(x[None], *(part[None] for part in rest))[0]

        found = vmap(jacrev(theta))(x, *rest)  # (B, D, P, D)
        for row, (point, *others) in enumerate(zip(x[:3], *rest)):
            expected = torch.autograd.functional.jacobian(theta, (point, *others))[0]
            assert torch.allclose(found[row], expected, rtol=1e-9, atol=1e-12)


@each
class TestPrecision:
    def test_fit_in_bfloat16(self, name, monkeypatch):
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
        subject = SUBJECTS[name]
        model = subject.make()
        before = {key: t.clone() for key, t in model.state_dict().items()}
        (epoch,) = train.fit(model, subject.data, lambda m, *data: -subject.value(m, *data).mean(), lr=1e-2)
        assert np.isfinite(epoch["loss"])
        assert any(not torch.equal(t.cpu(), before[key]) for key, t in model.state_dict().items())
        with torch.no_grad():
            low = subject.value(model.to(torch.bfloat16), *subject.data)
            exact = subject.value(model.float(), *subject.data)  # of the same weights, which bfloat16 has rounded
        assert low.dtype == torch.float32  # sums of log-probabilities are not rounded to 8 bits
        assert torch.allclose(low, exact, rtol=0.1, atol=0.5)

    def test_samples_in_bfloat16(self, name):
        subject = SUBJECTS[name]
        if subject.sample is None:
            pytest.skip("nothing to sample")
        x = subject.sample(subject.make().to(torch.bfloat16), generator=rng(2))
        assert x.dtype != torch.bfloat16 and x.isfinite().all()

    def test_autocast(self, name):
        subject = SUBJECTS[name]
        model = subject.make().eval()  # dropout would make two calls differ
        exact = subject.value(model, *subject.data)
        with torch.autocast("cpu", torch.bfloat16):
            low = subject.value(model, *subject.data)
            low.sum().backward()
            if subject.sample:
                subject.sample(model, generator=rng(2))
        assert low.dtype == torch.float32
        assert torch.allclose(low, exact, rtol=0.1, atol=0.5)


@each
class TestData:
    def test_any_type_that_holds_the_same_numbers(self, name):
        subject = SUBJECTS[name]
        model = shaken(subject.make())
        types = [torch.float32, torch.float64] + [torch.uint8, torch.int32, torch.int64] * subject.whole
        expected = subject.value(model, *subject.data)
        for dtype in types:
            found = subject.value(model, *(part.to(dtype) if i == 0 or part.dtype != torch.float32 else part.double()
                                           for i, part in enumerate(subject.data)))  # fmt: skip
            assert torch.equal(found, expected) and found.dtype == torch.float64

    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
    def test_what_is_no_number_is_refused(self, name, bad):
        subject = SUBJECTS[name]
        for part in range(len(subject.data)):
            data = [part.clone().float() for part in subject.data]
            data[part][0, 0] = bad
            with pytest.raises(ValueError):
                subject.value(subject.make(), *data)

    def test_what_is_no_tensor_of_real_numbers_is_refused(self, name):
        subject = SUBJECTS[name]
        if name.startswith("graphaf"):
            pytest.skip("takes a Graph, which has tests of its own")
        x, *rest = subject.data
        for other in (x.numpy(), x.tolist(), None, x.cfloat(), x[0]):
            with pytest.raises(ValueError, match="needs"):
                subject.value(subject.make(), other, *rest)

    def test_weights_that_are_no_numbers_are_refused(self, name):
        subject = SUBJECTS[name]
        if subject.sample is None:
            pytest.skip("nothing to sample")
        model = subject.make()
        with torch.no_grad():
            next(p for p in model.parameters() if p.numel()).flatten()[0] = torch.nan
        with pytest.raises(ValueError, match="hold 1 NaN"):
            subject.sample(model, generator=rng())


@pytest.fixture
def card():
    """A card: the real one where there is one, else a pretended one, which refuses what a real one would refuse."""
    with contextlib.nullcontext() if torch.cuda.is_available() else PretendGPU():
        yield torch.device("cuda", 0)


def agree(found, expected):
    """The same numbers, wherever they are: float64 on two devices differs by rounding only."""
    return torch.allclose(found.cpu().double(), expected.double(), rtol=1e-8, atol=1e-8)


@each
class TestDevices:
    def test_any_data_and_the_answer_where_the_weights_are(self, name, card):
        subject = SUBJECTS[name]
        model = shaken(subject.make())
        there = [part.to(card) for part in subject.data]
        expected = subject.value(model, *subject.data)
        from_card = subject.value(model, *there)
        assert from_card.device.type == "cpu" and agree(from_card, expected)
        model.to(card)
        for data in (subject.data, there):
            found = subject.value(model, *data)
            assert found.device == card and agree(found, expected)

    def test_one_generator_one_result_on_every_device(self, name, card):
        subject = SUBJECTS[name]
        if subject.sample is None:
            pytest.skip("nothing to sample")
        model = shaken(subject.make(), scale=0.5)
        expected = subject.sample(model, generator=rng(3))
        by_card = subject.sample(model, generator=torch.Generator(card).manual_seed(3))
        assert expected.device.type == by_card.device.type == "cpu"
        model.to(card)
        found = subject.sample(model, generator=rng(3))
        assert found.device == card and agree(found, expected)
        assert agree(subject.sample(model, generator=torch.Generator(card).manual_seed(3)), by_card)
        assert subject.sample(model).device == card

    def test_fit_evaluate_save_load(self, name, card, tmp_path):
        subject = SUBJECTS[name]
        model = subject.make()
        train.fit(model, subject.data, lambda m, *data: -subject.value(m, *data).mean())
        assert all(p.device == card for p in model.parameters())  # Accelerate has found the card
        found = train.evaluate(model, subject.data, subject.value)
        assert found.device.type == "cpu" and found.isfinite().all()
        checkpoints.save(model, tmp_path / "model.safetensors")
        other = subject.make()
        checkpoints.load(other, tmp_path / "model.safetensors")
        same = subject.value(other, *subject.data)  # on the CPU, in float32
        assert torch.allclose(same, found, rtol=1e-3, atol=1e-3)


def chains():
    return [name for name in SUBJECTS if isinstance(SUBJECTS[name].make(), Autoregressive)]


@pytest.mark.parametrize("name", chains())
def test_theta_and_conditionals_take_data_of_any_device(name, card):
    subject = SUBJECTS[name]
    model = shaken(subject.make()).to(card)
    theta = model.theta(*subject.data)
    x = subject.data[0].to(card, torch.float64)
    nats = model(*subject.data).log_prob(x).sum(-1)
    assert theta.device == card
    if len(model.orders) == 1 and name != "bound of argmax":
        assert agree(nats.cpu(), subject.value(model, *subject.data).cpu())


def test_orders_masks_and_known_variables_of_any_device(card):
    orders = torch.tensor([[0, 1, 2], [2, 1, 0]])
    model, there = (shaken(MADE(3, (5,), orders=places)) for places in (orders, orders.to(card)))
    there.to(card)
    x, known = torch.tensor([[1.0, 0.0, 1.0]]), torch.tensor([True, False, False])
    for order in (None, 1, orders[1], orders[1].to(card)):
        assert agree(there.log_prob(x, order=order), model.log_prob(x, order=order))
        assert all(torch.equal(a, b) for a, b in zip(model.masks(order), there.masks(order)))
    for mask in (known, known.to(card)):
        assert agree(there.inpaint(x, mask, generator=rng(1)), model.inpaint(x, known, generator=rng(1)))
    generator = torch.Generator(card).manual_seed(0)
    assert random_orders(2, 5, generator=generator).device.type == "cpu"


def little_shaken(model, scale):
    """Away from the start, by a share of what the weights are, as training moves them."""
    generator = rng(4)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(scale * p.abs().mean().clamp(min=0.02) * torch.randn(p.shape, generator=generator))
    return model.eval()


PAGE = torch.bernoulli(torch.full((10, 784), 0.2), generator=rng(8))
# 38 atoms, as many as the largest molecules of ZINC250k have
LARGE = from_smiles(["COc1ccc(CCN(C)C(=O)c2ccc(NC(=O)c3ccc(Cl)cc3S(C)(=O)=O)cc2)cc1OCCC", "C1CCCCC1"])
FULL_SIZE = {  # what the docstrings of Autoregressive.log_prob, Flow.log_prob and GraphAF.log_prob say
    "made": (lambda: little_shaken(MADE(784, (500, 500)), 1.0), (PAGE,), 1e-6),
    "nade": (lambda: little_shaken(NADE(784, 500), 1.0), (PAGE,), 1e-6),
    "pixelcnn": (lambda: little_shaken(PixelCNN((28, 28)), 1.0), (PAGE,), 1e-6),
    "transformer": (
        lambda: little_shaken(InBlocks(Transformer(112, 128, width=64, layers=2), 7), 1.0), (PAGE,), 1e-6,
    ),
    "maf": (lambda: little_shaken(maf(784, 5), 0.1), (torch.randn(10, 784, generator=rng(8)),), 1e-5),
    "graphaf": (checkpoints.pretrained, (LARGE.atoms, LARGE.bonds), 1e-5),
}  # fmt: skip


@pytest.mark.parametrize("name", FULL_SIZE)
def test_float32_against_float64_at_full_size(name):
    make, data, tolerance = FULL_SIZE[name]
    model = make()
    value = nats_of_graph if name == "graphaf" else (lambda model, *data: model.log_prob(*data))
    with torch.no_grad():
        low, exact = value(model, *data), value(model.double(), *data)
    assert low.dtype == torch.float32 and exact.abs().min() > 20
    assert ((low - exact) / exact).abs().max() < tolerance

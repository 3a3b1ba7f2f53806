"""What every model promises on every machine: any data that mean the same, any precision, derivatives of any order."""

import numpy as np
import pytest
import torch
from every import SUBJECTS
from shaken import rng, shaken
from torch.func import functional_call, jacrev, vmap

from hybridlib import train
from hybridlib.autoregressive import Autoregressive

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
        assert any(not torch.equal(t, before[key]) for key, t in model.state_dict().items())
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
        model = subject.make()
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

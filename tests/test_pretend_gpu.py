"""The pretend GPU allows what a card allows and refuses what it refuses; where there is a card, it is asked as well."""

import contextlib
import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pretend_gpu import PretendGPU
from torch import nn

from hybridlib import checkpoints, report, train
from hybridlib.made import MADE
from hybridlib.train import evaluate, fit

# h and d: a matrix on the CPU and on the card; s and c: a number there; i and j: indices; m and b: masks; g and k:
# generators; net: a linear layer on the card. Each line: an expression, and where its result lives, or "refused".
CASES = """
d + 1                                                   cuda
d + s                                                   cuda
s * d                                                   cuda
c + s                                                   cuda
d + h                                                   refused
h + c                                                   refused
h.clone().add_(c)                                       refused
d.clone().add_(s)                                       cuda
d.clone().add_(h)                                       refused
torch.add(h, h, out=torch.empty(2, 3, device="cuda"))   refused
d @ d.T                                                 cuda
d @ h.T                                                 refused
torch.where(b, d, s)                                    cuda
torch.where(b, s, c)                                    cuda
torch.where(m, d, d)                                    refused
torch.maximum(d, s)                                     cuda
torch.lerp(d, d, s)                                     cuda
torch.addcmul(d, s, s)                                  refused
torch.clamp(d, s, s)                                    refused
d.masked_fill(b, s)                                     cuda
d.masked_fill(m, 0.0)                                   refused
torch.cat([d, d])                                       cuda
torch.cat([d, h])                                       refused
torch.stack([c, c])                                     cuda
torch.stack([c, s])                                     refused
torch.equal(d, h)                                       refused
torch.allclose(d, d)                                    value
d[i]                                                    cuda
d[j]                                                    cuda
d[m]                                                    cuda
d[0, 1]                                                 cuda
d[:, [0, 1]]                                            cuda
h[j]                                                    refused
h[b]                                                    refused
h[j[1]]                                                 cpu
put(d, 0, h[0])                                         cuda
put(h, 0, d[0])                                         cpu
put(d, i, h)                                            refused
put(d, i, s)                                            cuda
put(h, i, c)                                            cpu
put(d, m, 2.0)                                          cuda
d.index_put((i,), d)                                    cuda
d.index_put((i,), h)                                    refused
d.index_select(0, j)                                    cuda
d.index_select(0, i)                                    refused
d.gather(0, j[None])                                    cuda
d.gather(0, i[None])                                    refused
d.index_add(0, j, d)                                    cuda
d.index_add(0, i, d)                                    refused
torch.searchsorted(d[0], d)                             cuda
torch.searchsorted(d[0], h)                             refused
torch.searchsorted(d[0], s)                             refused
torch.bucketize(d, d[0])                                cuda
F.one_hot(j, 3)                                         cuda
F.embedding(j, d)                                       cuda
F.embedding(i, d)                                       refused
F.embedding_bag(j[None], d, mode="sum")                 cuda
F.embedding_bag(i[None], d, mode="sum")                 refused
F.cross_entropy(d, j)                                   cuda
F.cross_entropy(d, i)                                   refused
F.scaled_dot_product_attention(d[None], d[None], d[None])   cuda
F.scaled_dot_product_attention(d[None], h[None], d[None])   refused
F.linear(d, h)                                          refused
net(d)                                                  cuda
net(h)                                                  refused
torch.einsum("ij,kj->ik", d, d)                         cuda
d.cpu()                                                 cpu
d.cpu() + h                                             cpu
d.to("cpu")                                             cpu
d.to(h)                                                 cpu
d.to(torch.float64)                                     cuda
d.to("cpu", torch.float64) + h                          cpu
h.cuda()                                                cuda
h.to(0)                                                 cuda
h.to("cuda")                                            cuda
h.to("cuda:0", torch.float64, non_blocking=True)        cuda
h.to(device=d.device) + d                               cuda
h.to(d, copy=True) + d                                  cuda
h.type_as(d)                                            cuda
h.double().to(d).sum()                                  cuda
d.view_as(h)                                            cuda
h.expand_as(d)                                          cpu
d.clone().copy_(h)                                      cuda
h.clone().copy_(d)                                      cpu
d.clone().fill_(s)                                      cuda
torch.tensor([1.0], device="cuda") + c                  cuda
torch.tensor([c, c])                                    cpu
torch.as_tensor(d)                                      cuda
torch.as_tensor(np.ones(3), device="cuda")              cuda
torch.as_tensor(h, device="cuda")                       cuda
torch.as_tensor(h)                                      cpu
torch.zeros(3)                                          cpu
torch.zeros(3, device="cuda") + d                       cuda
torch.full((3,), 2.0, device=d.device) + d              cuda
torch.arange(3, device="cuda") + d                      cuda
torch.zeros_like(d)                                     cuda
torch.zeros_like(d, device="cpu")                       cpu
torch.ones_like(h, device="cuda") + d                   cuda
d.new_zeros(3)                                          cuda
d.new_zeros(3, device="cpu") + h                        cpu
d.new_tensor([1.0])                                     cuda
torch.rand(3, device="cuda")                            cuda
torch.rand(3, generator=g, device="cuda")               refused
torch.rand(3, generator=k, device="cuda")               cuda
torch.rand(3, generator=k)                              refused
torch.rand(3, generator=g).to("cuda")                   cuda
torch.randn_like(d)                                     cuda
torch.bernoulli(d.sigmoid(), generator=g)               refused
torch.bernoulli(d.sigmoid(), generator=k)               cuda
d.clone().uniform_(generator=k)                         cuda
d.clone().uniform_(generator=g)                         refused
torch.multinomial(d.softmax(1), 2, generator=g)         refused
torch.multinomial(d.softmax(1), 2)                      cuda
torch.randperm(3, generator=g).to("cuda")               cuda
nn.init.normal_(d.clone())                              cuda
torch.distributions.Normal(d, 1.0).sample()             cuda
torch.distributions.Bernoulli(logits=d).log_prob(torch.ones(2, 3, device="cuda"))    cuda
torch.distributions.Bernoulli(logits=d).log_prob(torch.ones(2, 3))    refused
torch.distributions.Categorical(logits=d).sample()      cuda
torch.distributions.Normal(0.0, 1.0).icdf(d.sigmoid())  cuda
nn.Parameter(d)                                         cuda
copy.deepcopy(d)                                        cuda
copy.deepcopy(net).weight                               cuda
nn.Linear(3, 3, device="cuda")(d)                       cuda
d.max(1).values                                         cuda
d.unbind()[1]                                           cuda
d.data                                                  cuda
d.detach().requires_grad_()                             cuda
d.T.reshape(-1)[1:]                                     cuda
torch.vmap(lambda row: row * c)(d)                      cuda
torch.vmap(lambda row: row @ h)(d[:, :2])               refused
torch.func.jacrev(lambda x: net(x).square().sum(1))(d)  cuda
torch.func.vmap(torch.func.jacrev(lambda x: net(x)))(d) cuda
torch.func.functional_call(net, dict(net.named_parameters()), (d,))   cuda
torch.func.grad(lambda x: (x.to("cuda") ** 3).sum())(h[0]) + h   cpu
torch.func.grad(lambda x: (x ** 3).sum().cpu())(d[0]) + d   cuda
d.numpy()                                               refused
np.asarray(d)                                           refused
np.asarray(d.cpu())                                     value
d.sum().item()                                          value
float(c), int(c), bool(c), f"{c:.2f}", d.tolist()       value
[row.sum().item() for row in d]                         value
d.cpu().numpy()                                         value
"""


@contextlib.contextmanager
def card():
    if torch.cuda.is_available():
        yield
    else:
        with PretendGPU():
            yield


def put(tensor, index, value):
    tensor = tensor.clone()
    tensor[index] = value
    return tensor


@pytest.mark.parametrize("case", CASES.strip().splitlines(), ids=lambda case: case.rsplit(maxsplit=1)[0].strip())
def test_allows_what_a_card_allows(case):
    expression, expected = case.rsplit(maxsplit=1)
    with card():
        h = torch.tensor([[0.5, -1.0, 2.0], [0.25, 3.0, -0.5]])
        m, s, i = h > 0, torch.tensor(0.75), torch.tensor([1, 0])
        names = {"h": h, "d": h.to("cuda"), "m": m, "b": m.to("cuda"), "s": s, "c": s.to("cuda"), "i": i}
        names |= {
            "j": i.to("cuda"),
            "g": torch.Generator(),
            "k": torch.Generator(device="cuda"),
            "net": nn.Linear(3, 3),
        }
        names["net"].to("cuda")
        names |= {"torch": torch, "F": F, "nn": nn, "np": np, "copy": copy, "put": put}
        if expected == "refused":
            with pytest.raises((RuntimeError, TypeError)):
                eval(expression, names)
            return
        result = eval(expression, names)
        if expected == "value":
            assert not isinstance(result, torch.Tensor)
        else:
            assert result.device.type == expected
            assert result.is_cuda == (expected == "cuda") == (not result.is_cpu)


def test_computes_what_the_cpu_computes():
    h = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    with card():
        d = h.to("cuda")
        assert torch.equal(d.cpu(), h)
        assert torch.allclose((d.double() @ d.double().T).exp().cpu(), (h.double() @ h.double().T).exp())
        d.mul_(2)  # the CPU's memory is another
        assert torch.equal(d.cpu(), 2 * h)
        back = d.cpu()
        back.zero_()
        assert d.abs().sum() > 0


def test_text_names_the_device():
    with card():
        assert repr(torch.ones(2, device="cuda", requires_grad=True)) == (
            "tensor([1., 1.], device='cuda:0', requires_grad=True)"
        )
        assert f"{torch.ones(2, dtype=torch.int32).cuda()}" == "tensor([1, 1], device='cuda:0', dtype=torch.int32)"
        assert "device" not in repr(torch.ones(2))


def test_gradients_cross_and_live_where_their_tensors_do():
    with card():
        w = torch.ones(3, requires_grad=True)
        v = torch.ones(3, device="cuda", requires_grad=True)
        loss = (w.to("cuda") * v).sum().cpu() + w.square().sum()
        loss.backward()
        assert w.grad.device.type == "cpu" and torch.equal(w.grad, torch.full((3,), 3.0))
        assert v.grad.device.type == "cuda" and torch.equal(v.grad.cpu(), torch.ones(3))
        with pytest.raises(RuntimeError):
            v.grad = torch.ones(3)
        (first,) = torch.autograd.grad((v**3).sum(), v, create_graph=True)
        (second,) = torch.autograd.grad((first * v).sum(), [v])
        assert second.device.type == "cuda" and torch.allclose(second.cpu(), torch.full((3,), 9.0))


OPTIMIZERS = {
    "Adam": lambda p: torch.optim.Adam(p, lr=0.1),
    "Adam, fused": lambda p: torch.optim.Adam(p, lr=0.1, fused=True),
    "Adam, foreach": lambda p: torch.optim.Adam(p, lr=0.1, foreach=True),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.1),
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "LBFGS": lambda p: torch.optim.LBFGS(p, lr=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_step_and_their_states_are_loaded(name):
    with card():
        x = torch.linspace(-1, 1, 12).reshape(4, 3).to("cuda")
        net = nn.Linear(3, 1).to("cuda")
        optimizer = OPTIMIZERS[name](net.parameters())

        def loss():
            optimizer.zero_grad()
            value = (net(x) - 1).square().mean()
            value.backward()
            return value

        first = loss().item()
        for _ in range(20):
            optimizer.step(loss)
            nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        assert loss().item() < first
        again = OPTIMIZERS[name](net.parameters())
        again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        again.step(loss)


def test_modules_move_with_all_that_holds_on_to_them():
    with card():
        net = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3))
        net.register_buffer("mask", torch.ones(3))
        weight, held = net[0].weight, net(torch.ones(1, 3)).sum()  # a graph of the CPU's weights is alive
        net.to("cuda")
        assert net[0].weight is weight and weight.is_cuda and net.mask.is_cuda and held.device.type == "cpu"
        average = torch.optim.swa_utils.AveragedModel(net)
        average.update_parameters(net)
        average.update_parameters(net)
        assert average(torch.ones(1, 3, device="cuda")).is_cuda
        net.load_state_dict({name: tensor.cpu() for name, tensor in net.state_dict().items()})
        assert net[0].weight.is_cuda and copy.deepcopy(net).mask.is_cuda
        assert not net.cpu().mask.is_cuda and not net[0].weight.is_cuda
        net(torch.ones(1, 3))


def test_random_states():
    with card():
        draws = [
            torch.rand(3, generator=torch.Generator(place).manual_seed(1), device=place) for place in ("cpu", "cuda")
        ]
        assert not torch.equal(draws[0], draws[1].cpu())  # one seed, but another device's numbers
        k = torch.Generator(device="cuda").manual_seed(1)
        assert k.device == torch.device("cuda") and k.initial_seed() == 1 and isinstance(k, torch.Generator)
        assert torch.equal(torch.rand(3, generator=k, device="cuda"), draws[1])
        torch.manual_seed(0)
        with torch.random.fork_rng([torch.device("cuda")]):
            torch.manual_seed(0)
            inside = torch.rand(3, device="cuda")
        assert torch.equal(torch.rand(3, device="cuda"), inside)


def test_autocast_computes_in_low_precision():
    with card(), torch.autocast("cuda", torch.bfloat16):
        assert nn.Linear(3, 3, device="cuda")(torch.ones(2, 3, device="cuda")).dtype == torch.bfloat16


def test_is_there_only_inside_its_block():
    if torch.cuda.is_available():
        pytest.skip("there is a card")
    before = {name: getattr(torch.cuda, name) for name in dir(torch.cuda)}, torch.Generator
    with PretendGPU():
        assert torch.cuda.is_available() and torch.cuda.get_device_name(0) == "pretend GPU"
        assert train.device().type == "cuda"
        with pytest.raises(RuntimeError, match="already"), PretendGPU():
            pass
    assert ({name: getattr(torch.cuda, name) for name in dir(torch.cuda)}, torch.Generator) == before
    assert train.device().type != "cuda" and torch.ones(1).device.type == "cpu"
    with pytest.raises((RuntimeError, AssertionError)):
        torch.zeros(1, device="cuda")


class Mixes(MADE):
    """A model that is wrong on a card only: a tensor that is no buffer stays behind on the CPU."""

    def __init__(self, D, hidden):
        super().__init__(D, hidden)
        self.shift = torch.zeros(D)

    def log_prob(self, x, *context):
        return super().log_prob(x + self.shift, *context)


def test_convicts_a_model_that_leaves_a_tensor_behind():
    x = torch.randint(0, 2, (40, 5), generator=torch.Generator().manual_seed(0)).float()

    def loss(m, x):
        return -m.log_prob(x).mean()

    assert loss(Mixes(5, (8,)), x).isfinite()
    with card():
        fit(MADE(5, (8,)), x, loss, progress=False)
        with pytest.raises(RuntimeError, match="same device"):
            fit(Mixes(5, (8,)), x, loss, progress=False)


def test_a_model_is_trained_judged_saved_and_audited_there(tmp_path):
    x = torch.randint(0, 2, (200, 4), generator=torch.Generator().manual_seed(0)).float()
    with card():
        model = MADE(4, (8,))
        history = fit(model, x, lambda m, x: -m.log_prob(x).mean(), epochs=2, ema=0.9, progress=False)
        assert next(model.parameters()).is_cuda and len(history) == 2
        assert evaluate(model, x).device.type == "cpu"
        assert model.sample(3, generator=torch.Generator().manual_seed(0)).device.type == "cuda"
        checkpoints.save(model, tmp_path / "model.safetensors")
        other = MADE(4, (8,)).to("cuda")
        checkpoints.load(other, tmp_path / "model.safetensors")
        assert torch.equal(evaluate(other, x), evaluate(model, x)) and next(other.parameters()).is_cuda
        assert report.examine(model).ok

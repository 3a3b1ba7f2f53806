"""Every model of the library is described in JSON, and built again from it: the same class, arguments and shapes."""

import copy
import importlib
import inspect
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hybridlib import described, flows, outputs
from hybridlib.argmax import Argmax
from hybridlib.autoencoder import Autoencoder
from hybridlib.dequantization import (
    Dequantized,
    DequantizedLevels,
    Levels,
    UniformDequantizer,
    VariationalDequantizer,
)
from hybridlib.described import Described, code_of, describe, differences, fingerprint, rebuild
from hybridlib.ensembles import Mixture, Pool
from hybridlib.fvsbn import FVSBN
from hybridlib.graphaf import GraphAF
from hybridlib.independent import Independent
from hybridlib.layers import mlp
from hybridlib.made import MADE, random_orders
from hybridlib.nade import NADE
from hybridlib.pixelcnn import PixelCNN
from hybridlib.recipes.vectors import convolutional_vae
from hybridlib.rgcn import RGCN
from hybridlib.transformer import InBlocks, Transformer
from hybridlib.vae import VAE

ORDER = [2, 0, 3, 1]
MODELS = {
    "independent": lambda: Independent(4),
    "fvsbn": lambda: FVSBN(4),
    "nade": lambda: NADE(4, 7, orders=torch.tensor(ORDER)),
    "made": lambda: MADE(4, (8, 8), output=outputs.Categorical(3), orders=np.array(ORDER), residual=True, dropout=0.1),
    "orders": lambda: MADE(4, [6], orders=random_orders(3, 4), connectivity=True, context=2, direct=False),
    "argmax": lambda: MADE(4, (6,), output=Argmax(3, spread=0.5, points=32)),
    "pool": lambda: Pool([MADE(4, (6,), orders=ORDER) for _ in range(2)], sharpness=1.5),
    "mixture": lambda: Mixture(iter([MADE(4, (6,)), Pool([MADE(4, (6,))])])),
    "pixelcnn": lambda: PixelCNN((2, 3), 4, layers=2, output=outputs.LogisticMixture(2, unit=0.125)),
    "transformer": lambda: Transformer(4, 3, width=8, layers=1, heads=2, end=0),
    "in blocks": lambda: InBlocks(Transformer(2, 4, width=8, layers=1, heads=1), 2),
    "maf": lambda: flows.maf(4, 2, (6,), univariate=flows.Spline(3, reach=2.5), context=1),
    "iaf": lambda: flows.iaf(4, 2, (6,)),
    "realnvp": lambda: flows.realnvp(4, 2, (6,)),
    "fixed maps": lambda: flows.Flow(2, (f for f in [flows.Logit(0.01), flows.Linear([[1.0, 0.3], [0.0, 2.0]])])),
    "dequantized": lambda: Dequantized(flows.maf(4, 1, (4,)), 8, UniformDequantizer(0.5)),
    "levels": lambda: DequantizedLevels(MADE(2, (4,), output=Levels(8, 2)), 8),
    "variational": lambda: Dequantized(MADE(2, (4,), output=outputs.Normal()), 4, VariationalDequantizer(2, 4)),
    "autoencoder": lambda: Autoencoder(mlp(6, 4, 2), mlp(2, 4, 6)),
    "vae": lambda: VAE(nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4)), MADE(6, (4,), context=2), 2),
    "convolutional vae": lambda: convolutional_vae((8, 8), channels=4, blocks=1, Z=2, dropout=0.1),
    "rgcn": lambda: RGCN(4, 8, 2),
    "graphaf": lambda: GraphAF(4, 6, H=8, reading="flow", w=0.5),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_built_again(name):
    model = MODELS[name]()
    description = json.loads(json.dumps(describe(model)))
    again = rebuild(description)
    assert type(again) is type(model) and list(differences(description, describe(again))) == []
    shapes, others = ({name: t.shape for name, t in m.state_dict().items()} for m in (model, again))
    assert shapes == others
    again.load_state_dict(model.state_dict())
    assert describe(copy.deepcopy(again)) == describe(model), "a copy is the same model"


def test_none_is_forgotten():
    """Every class with a density, or a part of one that a reader builds, remembers its arguments."""
    built = {type(module) for make in MODELS.values() for module in make().modules()}
    for room in sorted(Path(described.__file__).parent.glob("*.py")):
        if room.stem in ("__init__", "faulty"):  # the suspects of chapter 4 are nothing to keep
            continue
        for kind in vars(importlib.import_module(f"hybridlib.{room.stem}")).values():
            if isinstance(kind, type) and hasattr(kind, "sample") and issubclass(kind, nn.Module):
                assert issubclass(kind, Described), kind
                assert kind in built or inspect.getmodule(kind).__name__ == "hybridlib.autoregressive", kind


def test_what_happens_to_the_arguments_later_does_not_matter():
    order, models = torch.arange(4), [MADE(4, (6,)), MADE(4, (6,))]
    made, mixture = MADE(4, (6,), orders=order), Mixture(models)
    before = json.dumps([describe(made), describe(mixture)])
    order[:] = order.flip(0)
    models.pop()
    assert json.dumps([describe(made), describe(mixture)]) == before


def test_a_constructor_is_the_same_as_before():
    assert list(inspect.signature(MADE).parameters)[:2] == ["D", "hidden"]
    assert MADE.__init__.__qualname__ == "MADE.__init__"
    for wrong, told in (
        (lambda: MADE(), "missing 1 required positional argument: 'D'"),
        (lambda: MADE(4, depth=2), "depth"),
    ):
        with pytest.raises(TypeError, match=told):
            wrong()


def test_a_large_argument_is_known_by_its_fingerprint():
    class Remembering(Independent):
        def __init__(self, D, rows):
            super().__init__(D)

    rows = torch.zeros(1001, 1000)
    description = describe(Remembering(4, rows))
    assert description == {
        "class": Remembering.__qualname__,
        "arguments": {"D": 4, "rows": {"tensor": fingerprint(rows)}},
    }
    assert describe(Remembering(4, rows.numpy())) == description
    rows[1000, 999] = 1
    assert list(differences(description, describe(Remembering(4, rows))))


def test_differences_are_few_words():
    long = [describe(MADE(200, (4,), orders=orders)) for orders in (torch.arange(200), torch.arange(200).flip(0))]
    (told,) = differences(*long)
    assert told.startswith("orders was [0, 1, 2") and len(told) < 200
    one, other = (describe(flows.maf(3, 2, (4,), univariate=map_)) for map_ in (flows.Spline(4), flows.Affine()))
    assert list(differences(one, other)) == [
        f"transforms.{i}.conditioner.output was a hybridlib.flows.Spline, this is a hybridlib.flows.Affine"
        for i in (0, 1)
    ]


def test_fingerprints():
    x = torch.rand(5, 4)
    assert fingerprint(x) == fingerprint(x.clone()) == fingerprint(x.T.contiguous().T)
    others = [x.double(), x.T, x.flatten(), x + 1e-7, x[:4]]
    assert len({fingerprint(t) for t in [x, *others]}) == 6
    assert fingerprint(x, x).startswith("float32 (5, 4), float32 (5, 4) ")
    fingerprint(torch.zeros(0, 3), torch.tensor(True), torch.ones(2, dtype=torch.bfloat16))


SCALE = 2.0


def helper(x):
    return x.mean()


def loss(model, x):
    return SCALE * helper(model(x))


def test_the_code_of_a_loss(monkeypatch):
    """Comments and spaces do not count; constants, and what is around, do."""
    written = code_of(loss)
    same, other = {}, {}
    text = "def loss(model, x):\n    # the mean\n\n    return SCALE * helper( model(x) )"
    for scope in (same, other):
        exec(compile(text, "elsewhere", "exec"), scope | {"__name__": __name__}, scope)
    monkeypatch.setitem(same["loss"].__globals__, "SCALE", SCALE)
    monkeypatch.setitem(same["loss"].__globals__, "helper", helper)
    assert code_of(same["loss"]) == written
    with monkeypatch.context() as patch:
        patch.setitem(globals(), "SCALE", 3.0)
        assert code_of(loss) != written
    with monkeypatch.context() as patch:
        patch.setitem(globals(), "helper", lambda x: x.sum())
        assert code_of(loss) != written
    assert code_of(loss) == written
    assert code_of(partial(loss)) != code_of(partial(loss, x=1))

    class Weighted:
        def __init__(self, by):
            self.by = by

        def __call__(self, model, x):
            return self.by * loss(model, x)

    assert code_of(Weighted(1.0)) == code_of(Weighted(1.0)) != code_of(Weighted(2.0))
    before = code_of(Weighted(1.0))
    Weighted.__call__ = lambda self, model, x: -self.by * loss(model, x)
    assert code_of(Weighted(1.0)) != before
    assert code_of(lambda m, x: m(x) in {"a", "b"}) and code_of(torch.nn.functional.mse_loss) and code_of(nn.MSELoss())

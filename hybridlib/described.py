"""A model as plain JSON: its class and the arguments of its constructor, so that a file can say which model it holds.

    describe(MADE(6, (8,)))   # {"class": "hybridlib.made.MADE", "arguments": {"D": 6, "hidden": [8], ...}}
    rebuild(description)      # the same model with first weights of its own; nothing is unpickled, nothing is executed

Only classes of hybridlib, and the plain layers of torch that are named here, are built from a file. Other models are
described as well, by their class, plain attributes and parts: enough to tell one from another. Used by
`hybridlib.checkpoints`, whose files hold a description.
"""

import functools
import hashlib
import importlib
import inspect
import math
import types
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

# layers that keep every argument of their constructor as an attribute of the same name
LAYERS = {
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Embedding, nn.LayerNorm, nn.GroupNorm, nn.Dropout, nn.Flatten, nn.Unflatten,
    nn.PixelShuffle, nn.PixelUnshuffle, nn.Upsample, nn.MaxPool2d, nn.AvgPool2d, nn.Identity, nn.ReLU, nn.LeakyReLU,
    nn.ELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.Softplus,
}  # fmt: skip
MOST_ENTRIES = 1_000_000  # of a tensor that a description holds; it holds the fingerprint of a larger one


class Described:
    """A base class whose constructors, and those of every subclass, take down the arguments that they are called with.

    Arguments are described when they come, so that nothing that happens to them later matters. Tensors become lists,
    and lists come back as tuples: a constructor must take its numbers in this form too.

    >>> class Line(Described, nn.Module):
    ...     def __init__(self, a, b=0.0):
    ...         super().__init__()
    >>> describe(Line(torch.tensor([1, 2])))["arguments"]
    {'a': [1, 2], 'b': 0.0}
    """

    def __init_subclass__(cls, **kwargs: object):
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = _recording(cls.__init__)


def _recording(init):
    signature = inspect.signature(init)

    @functools.wraps(init)
    def wrapped(self, *args, **kwargs):
        if "_arguments" not in vars(self):  # else a subclass has begun
            try:
                bound = signature.bind(self, *args, **kwargs)
            except TypeError:  # Python's own message, from the call itself, is better
                return init(self, *args, **kwargs)
            for name, value in bound.arguments.items():
                if isinstance(value, Iterator):  # it can be read only once
                    bound.arguments[name] = tuple(value)
            args, kwargs = bound.args[1:], bound.kwargs
            bound.apply_defaults()  # which another version may change
            self.__dict__["_arguments"] = {name: describe(v) for name, v in list(bound.arguments.items())[1:]}
        return init(self, *args, **kwargs)

    return wrapped


def describe(value: object) -> object:
    """A model, or one of its arguments -> what JSON can hold: None, bool, int, float, str, lists and dicts of these.

    >>> describe(nn.Linear(3, 2))
    {'class': 'torch.nn.Linear', 'arguments': {'in_features': 3, 'out_features': 2, 'bias': True}}
    """
    if isinstance(value, Described):  # one without a constructor has no arguments
        return {"class": _name(type(value)), "arguments": vars(value).get("_arguments", {}), **_parts(value)}
    if isinstance(value, nn.Module):
        return _layer(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor | np.ndarray | np.generic):
        small = math.prod(value.shape) <= MOST_ENTRIES
        return value.tolist() if small else {"tensor": fingerprint(torch.as_tensor(value))}
    if isinstance(value, list | tuple | range):
        return [describe(v) for v in value]
    if isinstance(value, dict):
        return {"dict": {str(key): describe(v) for key, v in value.items()}}
    return {"other": getattr(value, "__qualname__", type(value).__qualname__)}


def _layer(module):
    """A module that took no notes -> its description: the arguments of a layer of torch are among its attributes."""
    described, kind = {"class": _name(type(module))}, type(module)
    if kind in LAYERS:
        names = [name for name in inspect.signature(kind.__init__).parameters if hasattr(module, name)]
        described["arguments"] = {
            name: getattr(module, name) is not None if name == "bias" else describe(getattr(module, name))
            for name in names
        }
    elif kind is not nn.Sequential:
        plain = {k: v for k, v in vars(module).items() if isinstance(v, bool | int | float | str) and k[0] != "_"}
        described["attributes"] = {k: v for k, v in plain.items() if k != "training"}
        described["says"] = module.extra_repr()
    return described | _children(module)


def _parts(value):
    """The layers of a Sequential that is a class of hybridlib: their number and names are not among its arguments."""
    return _children(value) if isinstance(value, nn.Sequential) else {}


def _children(module):
    children = module._modules  # unlike named_children, with layers that occur twice
    return {"children": {name: describe(child) for name, child in children.items()}} if children else {}


def _name(kind):
    if kind.__module__.startswith("hybridlib.") and "." not in kind.__qualname__:
        return f"{kind.__module__}.{kind.__name__}"
    if getattr(nn, kind.__name__, None) is kind:
        return f"torch.nn.{kind.__name__}"
    return kind.__qualname__  # without the module, which is __main__ in one run and has a name in the next


def rebuild(description: object) -> object:
    """What `describe` was given, as new. ValueError, naming the class, where it is none of hybridlib's or torch's.

    >>> rebuild(describe(nn.Sequential(nn.Linear(3, 2), nn.ReLU())))[0]
    Linear(in_features=3, out_features=2, bias=True)
    """
    if isinstance(description, list):
        return tuple(rebuild(part) for part in description)
    if not isinstance(description, dict):
        return description
    kind = _class(description.get("class"))
    if issubclass(kind, nn.Sequential):
        children = description.get("children", {})
        return kind(OrderedDict((name, rebuild(child)) for name, child in children.items()))
    return kind(**{name: rebuild(value) for name, value in description["arguments"].items()})


def _class(name):
    """The class that a description names; never anything else that a module may hold."""
    place, _, own = str(name).rpartition(".")
    if place == "torch.nn":
        kind = getattr(nn, own, None)
        if kind is nn.Sequential or kind in LAYERS:
            return kind
    if place in _rooms():
        kind = vars(importlib.import_module(place)).get(own)
        if isinstance(kind, type) and issubclass(kind, Described) and kind.__module__ == place:
            return kind
    raise ValueError(f"{_short(name)} is neither a class of hybridlib nor a plain layer of torch")


@functools.cache
def _rooms():
    root = Path(__file__).parent
    names = (".".join(("hybridlib", *file.relative_to(root).with_suffix("").parts)) for file in root.rglob("*.py"))
    return {name.removesuffix(".__init__") for name in names}


def differences(then: object, now: object, name: str = "") -> Iterator[str]:
    """Where two descriptions differ, with both values.

    >>> print(*differences(describe(nn.Linear(3, 2)), describe(nn.Linear(3, 5))))
    out_features was 2, this model's is 5
    """
    if isinstance(then, dict) and isinstance(now, dict):
        if then.get("class") != now.get("class"):
            yield f"{name or 'the model'} was a {_short(then.get('class'))}, this is a {_short(now.get('class'))}"
            return
        for key in dict.fromkeys([*then, *now]):
            part = name if key in ("arguments", "children", "attributes", "dict") else f"{name}.{key}".strip(".")
            yield from differences(then.get(key, "missing"), now.get(key, "missing"), part)
    elif type(then) is type(now) is list and len(then) == len(now) and any(isinstance(v, dict) for v in then):
        for i, pair in enumerate(zip(then, now)):
            yield from differences(*pair, f"{name}.{i}")
    elif then != now:
        yield f"{name} was {_short(then)}, this model's is {_short(now)}"


def _short(value):
    """A value in a message."""
    if isinstance(value, dict):
        value = value.get("class", value.get("other", value))
    text = str(value)
    return text if len(text) <= 60 else f"{text[:50]}... ({len(text)} characters)"


def fingerprint(*tensors: Tensor) -> str:
    """Kind, shapes and a hash of the numbers: the same for the same data on every device and machine.

    >>> fingerprint(torch.zeros(2, 3))
    'float32 (2, 3) 0494e76d72c2ef34'
    """
    digest = hashlib.sha256()
    for t in tensors:
        t = t.detach().cpu().contiguous()
        digest.update(f"{t.dtype} {tuple(t.shape)} ".encode())
        digest.update(t.reshape(-1).view(torch.uint8).numpy())
    kinds = ", ".join(f"{str(t.dtype).removeprefix('torch.')} {tuple(t.shape)}" for t in tensors)
    return f"{kinds} {digest.hexdigest()[:16]}"


def code_of(function: Callable) -> str:
    """What a function computes, as far as it can be known -> its name and a hash of its code.

    Comments, spaces and places in a file do not count. What it uses does: constants, plain values around it, other
    functions of the same module.

    >>> code_of(lambda x: x + 1) == code_of(lambda x:   x + 1), code_of(lambda x: x + 1) == code_of(lambda x: x + 2)
    (True, False)
    """
    text = "\n".join(_code(function, set()))
    name = getattr(function, "__name__", type(function).__name__)
    return f"{name} {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _code(value, seen):
    """Lines that differ where two functions, or the values that they use, compute different things."""
    if isinstance(value, functools.partial):
        yield from _code((value.func, *value.args, *sorted(value.keywords.items())), seen)
    elif isinstance(value, types.MethodType):
        yield from _code((value.__func__, value.__self__), seen)
    elif isinstance(value, types.FunctionType):
        if value not in seen:
            seen.add(value)
            yield from _code((value.__code__, value.__defaults__, *sorted((value.__kwdefaults__ or {}).items())), seen)
            around = inspect.getclosurevars(value)
            for name, used in sorted({**around.globals, **around.nonlocals}.items()):
                # what other modules define is theirs: it is known by its name
                foreign = isinstance(used, types.FunctionType) and used.__module__ != value.__module__
                yield from (name, *_code(used.__qualname__ if foreign else used, seen))
    elif isinstance(value, types.CodeType):
        yield f"{value.co_code.hex()} {value.co_names} {value.co_varnames} {value.co_freevars}"
        yield from _code(value.co_consts, seen)
    elif isinstance(value, tuple):
        for part in value:
            yield from _code(part, seen)
    elif isinstance(value, frozenset):
        yield str(sorted(map(repr, value)))  # in a sequence that is the same in every run
    elif value is None or isinstance(value, bool | int | float | complex | str | bytes):
        yield repr(value)
    elif isinstance(value, Tensor):
        yield fingerprint(value)
    elif isinstance(value, nn.Module):
        yield str(describe(value))
    elif callable(value) and isinstance(type(value).__call__, types.FunctionType):  # an object of a class with __call__
        plain = {k: v for k, v in getattr(value, "__dict__", {}).items() if isinstance(v, bool | int | float | str)}
        yield from _code((type(value).__call__, *sorted(plain.items())), seen)
    else:  # a module, a class, a generator, a list that may grow while it is used: known by name
        yield getattr(value, "__qualname__", type(value).__qualname__)

"""A pretend GPU: inside `with PretendGPU():` there is a device "cuda:0", computed on the CPU, that refuses to mix.

    with PretendGPU():
        fit(model, x, loss)            # Accelerate finds a card and puts the model there
        model.log_prob(x)              # RuntimeError if the model does not move x itself, as on a card

Where a tensor lives is written on its storage: views, parameters and swapped tensors follow by themselves, and a tensor
stays what it is in every other respect. Every call of PyTorch's Python interface passes through here. It is refused
where a card would refuse it (tensors of two devices, a generator of the other device, `.numpy()`); else it is computed
as always, and its results live where its arguments did. `torch.cuda` answers as if one card were there. Nothing is
changed at import, and all is put back when the block ends.

What a card has and this has not: its own arithmetic and speed, streams, events and memory figures (all zero); a random
stream of its own for draws without a generator (they come from the global one); files of `torch.save` that open on the
card. Inside a backward pass, which runs in C++, nothing is refused; gradients live where their tensors do.
tests/test_pretend_gpu.py lists what is allowed and what is refused, and tries it on a card where there is one.
"""

import contextlib
import sys
from types import SimpleNamespace
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
NAME = "pretend GPU"

# What only looks at shapes and types, runs in C++ or needs no judgement: passed on at once, for speed.
_LOOKED_AT = "shape dtype ndim requires_grad is_leaf grad_fn data T mT layout is_sparse is_meta is_nested"
_CALLED = """__bool__ __float__ __hash__ __index__ __int__ __len__ backward data_ptr dim is_complex is_contiguous
is_floating_point is_pinned item numel pin_memory register_hook requires_grad_ retain_grad set_ size stride tolist
untyped_storage"""
PASSED = {
    torch._has_compatible_shallow_copy_type,
    torch.autograd.backward,
    torch.broadcast_tensors,
    torch.result_type,
    Tensor.data.__set__,
    Tensor.requires_grad.__set__,
    *(getattr(Tensor, name).__get__ for name in _LOOKED_AT.split()),
    *(getattr(Tensor, name) for name in _CALLED.split()),
}

# Made from sizes and numbers: these live on the CPU unless told otherwise, also if a number is a tensor on the card.
FACTORIES = {
    torch.arange, torch.bartlett_window, torch.empty, torch.empty_strided, torch.eye, torch.full, torch.hann_window,
    torch.linspace, torch.logspace, torch.ones, torch.rand, torch.randint, torch.randn, torch.randperm,
    torch.tril_indices, torch.triu_indices, torch.zeros,
}  # fmt: skip

# The other tensor gives only its shape, its type or its values; where it lives does not matter.
FOLLOW_THE_FIRST = {"copy_", "expand_as", "fill_", "new_tensor", "reshape_as", "view_as"}

# A CPU tensor without dimensions counts as a number in elementwise operations, but not here.
STRICT = {
    "bincount", "block_diag", "bucketize", "cat", "column_stack", "concat", "concatenate", "cross_entropy", "dot",
    "dstack", "embedding", "embedding_bag", "equal", "gather", "hstack", "index_add", "index_add_", "index_copy",
    "index_copy_", "index_fill", "index_reduce", "index_select", "matmul", "multinomial", "nll_loss", "row_stack",
    "scatter", "scatter_", "scatter_add", "scatter_add_", "scatter_reduce", "searchsorted", "stack", "take",
    "take_along_dim", "vstack",
}  # fmt: skip
ONE_NUMBER = {"addcdiv", "addcdiv_", "addcmul", "addcmul_", "clamp", "clamp_", "clip", "clip_", "lerp", "lerp_"}


class PretendGPU:
    """The device "cuda:0" for the length of a `with` block (see the module).

    RuntimeError where there is a card, a real or a pretend one, already.
    """

    def __enter__(self):
        if torch.cuda.is_available():
            raise RuntimeError("there is a card already; PretendGPU is for machines without one, and not to be nested")
        autocast = torch.amp.autocast_mode.autocast
        with contextlib.ExitStack() as undo:
            for name, answer in _cuda().items():
                undo.enter_context(mock.patch.object(torch.cuda, name, answer))
            undo.enter_context(mock.patch.object(torch, "Generator", Generator))
            undo.enter_context(mock.patch.object(autocast, "__init__", _of_the_cpu(autocast.__init__)))
            undo.enter_context(mock.patch.object(torch.UntypedStorage, "on_card", False, create=True))
            undo.callback(_forget_accelerator)
            undo.enter_context(Calls())
            _forget_accelerator()
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *error):
        self._undo.close()


class Calls(TorchFunctionMode):
    """Sees every call of PyTorch's Python interface: refuses it, or computes it and says where the results live."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in PASSED:
            return func(*args, **kwargs)
        if own := OWN.get(func):
            return own(self, func, args, kwargs)
        asked = kwargs.get("device")
        if asked is None:
            card = func not in FACTORIES and judged(func, args, kwargs)
        else:
            card, kwargs = is_card(asked), {**kwargs, "device": CPU}
        generator = kwargs.get("generator")
        if generator is not None and is_card(generator.device) != card:
            raise RuntimeError(
                f"Expected a '{'cuda' if card else 'cpu'}' device type for generator but found '{generator.device}'"
            )
        result = func(*args, **kwargs)
        if card or asked is not None:
            mark(result, card)
        return result


def on_card(tensor):
    """Whether a tensor lives on the pretend card."""
    try:
        return tensor.untyped_storage().on_card
    except NotImplementedError:  # what torch.func wraps has no storage of its own; what is sparse has none at all
        return wrapped(tensor) and on_card(torch._C._functorch.get_unwrapped(tensor))


wrapped = torch._C._functorch.is_functorch_wrapped_tensor


def mark(result, card):
    """Write on the storages of all tensors in a result where they live."""
    for tensor in tensors(result):
        while wrapped(tensor):
            tensor = torch._C._functorch.get_unwrapped(tensor)
        if tensor.layout is torch.strided:
            tensor.untyped_storage().on_card = card


def tensors(value):
    """All tensors in nested lists, tuples and dicts -> list."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return []
    return [tensor for part in value for tensor in tensors(part)]


def is_card(device):
    """Whether a device, as code names it ("cuda", "cuda:0", 0, a torch.device), is the card."""
    device = torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
    if device.type == "cuda" and device.index:
        raise RuntimeError(f"CUDA error: invalid device ordinal ({device}; the pretend GPU is cuda:0)")
    return device.type == "cuda"


def judged(func, args, kwargs):
    """Whether the results of a call live on the card; RuntimeError where its tensors must not meet."""
    name, given = func.__name__, tensors((args, kwargs))
    if name in FOLLOW_THE_FIRST:
        return on_card(given[0])
    places = [on_card(tensor) for tensor in given]
    card = any(places)
    if not card or all(places):
        return card
    here = [tensor for tensor, there in zip(given, places) if not there]
    target = given[0] if name.endswith("_") and not name.endswith("__") else kwargs.get("out")
    if name in STRICT or any(tensor.dim() for tensor in here) or any(tensor is target for tensor in here):
        refuse(name)
    if len(here) > 1 and name in ONE_NUMBER:
        raise RuntimeError(f"Trying to pass too many CPU scalars to non-CPU kernel! (in {name})")
    return card


def refuse(name):
    raise RuntimeError(
        f"Expected all tensors to be on the same device, but found at least two devices, {CUDA} and cpu! (in {name})"
    )


def _device(mode, func, args, kwargs):
    return CUDA if on_card(args[0]) else func(*args)


def _is_cuda(mode, func, args, kwargs):
    return on_card(args[0])


def _is_cpu(mode, func, args, kwargs):
    return not on_card(args[0]) and func(*args)


def _get_device(mode, func, args, kwargs):
    return 0 if on_card(args[0]) else func(*args)


def _moved(tensor, result, card):
    """The result of a call on a tensor, brought to where it was asked to be; never the memory of another device."""
    if card != on_card(tensor) and result is tensor:
        result = tensor.clone()
    mark(result, card)
    return result


def _to(mode, func, args, kwargs):
    """tensor.to(device, dtype, non_blocking, copy) in all its spellings."""
    tensor, *words = args
    words += [kwargs[name] for name in ("other", "device", "dtype") if kwargs.get(name) is not None]
    flags = [word for word in words if isinstance(word, bool)]  # non_blocking, copy
    card, dtype = on_card(tensor), tensor.dtype
    for word in words:
        if isinstance(word, Tensor):
            card, dtype = on_card(word), word.dtype
        elif isinstance(word, torch.dtype):
            dtype = word
        elif word is not None and not isinstance(word, bool):
            card = is_card(word)
    copy = kwargs.get("copy", flags[1:] == [True])
    form = kwargs.get("memory_format") or torch.preserve_format
    return _moved(tensor, func(tensor, dtype, copy=copy, memory_format=form), card)


def _cpu(mode, func, args, kwargs):
    return _moved(args[0], args[0], False)


def _cuda_method(mode, func, args, kwargs):
    return _moved(args[0], args[0], True)


def _type_as(mode, func, args, kwargs):
    return _moved(args[0], func(*args), on_card(args[1]))


def _numpy(mode, func, args, kwargs):
    if on_card(args[0]):
        raise TypeError(
            f"can't convert {CUDA} device type tensor to numpy. "
            "Use Tensor.cpu() to copy the tensor to host memory first."
        )
    return func(*args, **kwargs)


def _from_data(mode, func, args, kwargs):
    """torch.tensor, as_tensor, asarray: where they are told, else where a tensor among the data lives."""
    data = args[0] if args else kwargs["data"]
    asked = kwargs.get("device")
    there = isinstance(data, Tensor) and on_card(data)
    card = there if asked is None else is_card(asked)
    result = func(*args, **{name: value for name, value in kwargs.items() if name != "device"})
    if card != there and func is not torch.tensor:  # may be the memory of the data
        result = result.clone()
    mark(result, card)
    return result


def _indices(tensor, index, name):
    """Whether an index has tensors or lists in it; RuntimeError where the card indexes what lies on the CPU."""
    index = index if isinstance(index, tuple) else (index,)
    many = [part for part in tensors(index) if part.dim() or part.dtype in (torch.bool, torch.uint8)]
    if not on_card(tensor) and any(map(on_card, many)):
        raise RuntimeError(
            f"indices should be either on cpu or on the same device as the indexed tensor (cpu) (in {name})"
        )
    return bool(many) or any(isinstance(part, list) for part in index)


def _getitem(mode, func, args, kwargs):
    tensor, index = args
    if type(index) in (int, slice) or not _indices(tensor, index, "indexing"):
        return func(tensor, index)  # a view
    result = func(tensor, index)
    mark(result, on_card(tensor))
    return result


def _setitem(mode, func, args, kwargs):
    tensor, index, value = args
    many = _indices(tensor, index, "assignment")
    if many and isinstance(value, Tensor) and value.dim() and on_card(value) != on_card(tensor):
        refuse("assignment")
    return func(tensor, index, value)


def _index_put(mode, func, args, kwargs):
    tensor, index, value = args[:3]
    _indices(tensor, tuple(index), "index_put")
    if value.dim() and on_card(value) != on_card(tensor):
        refuse("index_put")
    result = func(*args, **kwargs)
    mark(result, on_card(tensor))
    return result


def _grad(mode, func, args, kwargs):
    """tensor.grad: gradients are made in C++, so they learn here where they live."""
    result = func(*args)
    if result is not None:
        mark(result, on_card(args[0]))
    return result


def _set_grad(mode, func, args, kwargs):
    tensor, grad = args
    if grad is not None and on_card(grad) != on_card(tensor):
        raise RuntimeError("attempting to assign a gradient to a tensor that lives on another device")
    return func(tensor, grad)


def _grads(mode, func, args, kwargs):
    """torch.autograd.grad: each gradient lives where its input does."""
    result = func(*args, **kwargs)
    inputs = args[1] if len(args) > 1 else kwargs["inputs"]
    for grad, tensor in zip(result, [inputs] if isinstance(inputs, Tensor) else inputs):
        mark(grad, on_card(tensor))
    return result


def _deepcopy(mode, func, args, kwargs):
    result = func(*args, **kwargs)
    mark(result, on_card(args[0]))
    return result


def _repr(mode, func, args, kwargs):
    with mode:  # so that the text names the device
        return torch._tensor_str._str(*args, **kwargs)


def _format(mode, func, args, kwargs):
    return func(*args, **kwargs) if args[0].dim() == 0 else _repr(mode, func, args[:1], {})


# What answers for itself, instead of being judged by its arguments.
OWN = {
    Tensor.device.__get__: _device,
    Tensor.is_cuda.__get__: _is_cuda,
    Tensor.is_cpu.__get__: _is_cpu,
    Tensor.get_device: _get_device,
    Tensor.to: _to,
    Tensor.cpu: _cpu,
    Tensor.cuda: _cuda_method,
    Tensor.type_as: _type_as,
    Tensor.numpy: _numpy,
    Tensor.__array__: _numpy,
    torch.tensor: _from_data,
    torch.as_tensor: _from_data,
    torch.asarray: _from_data,
    Tensor.__getitem__: _getitem,
    Tensor.__setitem__: _setitem,
    Tensor.index_put: _index_put,
    Tensor.index_put_: _index_put,
    torch.index_put: _index_put,
    Tensor.grad.__get__: _grad,
    Tensor.grad.__set__: _set_grad,
    torch.autograd.grad: _grads,
    Tensor.__deepcopy__: _deepcopy,
    Tensor.__repr__: _repr,
    Tensor.__format__: _format,
}


class CardGenerator(torch.Generator):
    """Random numbers of the card: for the same seed others than the CPU's, as it is there."""

    device = torch.device("cuda")  # without a number, as there

    def __new__(cls):
        return super().__new__(cls, "cpu")

    def manual_seed(self, seed):
        self._seed = seed
        return super().manual_seed(seed ^ 0x6A09E667)

    def initial_seed(self):
        return self._seed


class _Generators(type):
    def __call__(cls, device="cpu"):
        return CardGenerator().manual_seed(67280421310721) if is_card(device) else _CPUGenerator(device)

    def __instancecheck__(cls, instance):
        return isinstance(instance, _CPUGenerator)


_CPUGenerator = torch.Generator


class Generator(metaclass=_Generators):
    """Stands for torch.Generator while the pretend card is there."""


def _cuda():
    """What torch.cuda answers while the pretend card is there: {name: function}."""

    def always(answer):  # a function of its own for each name: torch._dynamo lists them
        return lambda *args, **kwargs: answer

    state = torch.empty(0, dtype=torch.uint8)  # the card draws from the global generator, which has its own state
    properties = SimpleNamespace(name=NAME, major=8, minor=0, total_memory=2**34, multi_processor_count=1)
    answers = {
        "is_available is_initialized is_bf16_supported": True,
        "is_current_stream_capturing": False,
        "device_count": 1,
        "current_device _exchange_device _maybe_exchange_device": 0,
        "memory_allocated max_memory_allocated memory_reserved max_memory_reserved": 0,
        "mem_get_info": (2**34, 2**34),
        "get_device_name": NAME,
        "get_device_capability": (8, 0),
        "get_device_properties": properties,
        "get_rng_state": state,
        "get_rng_state_all": [state],
        "set_rng_state set_rng_state_all manual_seed manual_seed_all seed seed_all": None,
        "_lazy_init empty_cache reset_peak_memory_stats set_device synchronize": None,
    }
    return {name: always(answer) for names, answer in answers.items() for name in names.split()}


def _of_the_cpu(init):
    """autocast on the card casts what is computed, which is done by the CPU."""

    def __init__(self, device_type, *args, **kwargs):
        init(self, "cpu" if device_type == "cuda" else device_type, *args, **kwargs)

    return __init__


def _forget_accelerator():
    """Accelerate asks once a process where to compute, and remembers."""
    if "accelerate" in sys.modules:
        from accelerate.state import AcceleratorState, GradientState

        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()

"""Files of trained models: weights, what the model is, and what is known of its training; never code.

    save(model, "model.safetensors", nll=88.04)     # appears whole or not at all
    model = load("model.safetensors")               # the same model, in eval mode
    model = pretrained("zinc_exact")                # a GraphAF that comes with the library, read without a download

Files are safetensors with JSON in their header (`hybridlib.described`), never pickle, and a checksum covers all of it.
`records.published` has the command and the results of a network that comes with the library, under the same name. First
used in chapter 1; chapter 10 draws molecules with a trained network.
"""

import glob
import json
import os
import uuid
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor, nn

from . import __version__
from .described import Described, describe, differences, rebuild
from .noise import seeded

FOLDER = Path(__file__).parent / "checkpoints"


def save(model: nn.Module, path: str | Path, **meta: object) -> None:
    """Write the model and ``meta`` to one file, which appears whole or not at all.

    The file holds the weights, and in its header what the model is (`hybridlib.described`) and the library's version.
    ``meta`` is anything that JSON can hold, else TypeError.

    >>> from hybridlib.made import MADE
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(MADE(4), f"{folder}/made.safetensors", nll=2.5)
    """
    _write(path, model, model.state_dict(), meta)


def load(model: nn.Module | str | Path, path: str | Path | None = None) -> nn.Module | dict:
    """With a path alone, the model that a file of `save` holds; with a model and a path, its weights into that -> meta.

    Both end in eval mode. A model is built from a file if its classes are those of hybridlib, or plain layers of torch;
    any other must be given. A given model must be of the class, the arguments and the precision of the
    one that was saved: raises ValueError, which names both values, and leaves it as it was. So it does for a file that
    is damaged, that holds NaN or infinite weights, or that was written before files said what they hold.

    >>> model = load(FOLDER / "zinc_exact.safetensors")
    >>> type(model).__name__, model.training
    ('GraphAF', False)
    """
    if path is None:
        if isinstance(model, nn.Module):
            raise ValueError("load takes a path, or a model and a path")
        return _rebuilt(model)
    tensors, meta, header = _read(path)
    _check(path, model, tensors, header["model"])
    model.load_state_dict(tensors)
    model.eval()
    return meta


def meta(path: str | Path) -> dict:
    """What `save` was told beside the model. ValueError for a damaged file.

    >>> meta(FOLDER / "zinc_exact.safetensors")["settings"]["epochs"]
    24
    """
    return _read(path)[1]


def pretrained(name: str | Path = "zinc_exact") -> nn.Module:
    """The network that the recipe ``name`` trained, on the CPU, in eval mode; or the one in a file of your own.

    ``name`` is one of those that come with the library, or the path of a file that `save` or a recipe wrote; ValueError
    for what is neither.

    >>> model = pretrained("zinc_exact")
    >>> model.A, model.N  # types of atoms, atoms of the largest molecule
    (17, 38)
    """
    known = {file.stem: file for file in FOLDER.glob("*.safetensors")}
    if not isinstance(name, str | os.PathLike):
        raise ValueError(f"a checkpoint has a name or a path, got {type(name).__name__} {name!r:.60}")
    path = known.get(str(name), Path(name))
    if not os.path.isfile(path):  # False as well for what no file can be called
        listed = ", ".join(sorted(known))
        raise ValueError(f"there is no checkpoint {str(name)[:200]!r}, nor a file of this name; there are {listed}")
    return _rebuilt(path)


def save_training(
    path: str | Path, model: nn.Module, parts: dict[str, dict[str, Tensor]], settings: dict, history: list[dict]
) -> None:
    """Write the state of a training, as `save` does: tensors by part ("model" and others) and name, and what it was.

    >>> import tempfile
    >>> from hybridlib.made import MADE
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_training(f"{folder}/made.training", model := MADE(4), {"model": model.state_dict()}, {"lr": 0.1}, [])
    """
    tensors = {f"{part} {name}": t for part, tensors in parts.items() for name, t in tensors.items()}
    _write(path, model, tensors, {"settings": settings, "history": history})


def load_training(
    path: str | Path, model: nn.Module, settings: dict
) -> tuple[dict[str, dict[str, Tensor]], list[dict]]:
    """The parts and the history that `save_training` wrote; nothing is changed by it.

    ValueError for a file that is damaged, or that holds no training, one with other settings, or another model's.

    >>> import tempfile
    >>> from hybridlib.made import MADE
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_training(f"{folder}/x", model := MADE(4), {"model": model.state_dict()}, {"lr": 0.1}, [{"loss": 2.8}])
    ...     load_training(f"{folder}/x", model, {"lr": 0.1})[1]
    [{'loss': 2.8}]
    """
    tensors, meta, header = _read(path)
    remedy = "give it as it was, choose another file, or start afresh with resume=False"
    if not {"settings", "history"} <= meta.keys():
        raise ValueError(f"{path} holds a model, not a training; {remedy}")
    for name, value in settings.items():
        then = meta["settings"].get(name)
        if then != value:
            raise ValueError(f"{path} was written with {name}={then!r}, now it is {value!r}; {remedy}")
    parts = {}
    for name, t in tensors.items():
        part, name = name.split(" ", 1)
        parts.setdefault(part, {})[name] = t
    _check(path, model, parts["model"], header["model"])
    return parts, meta["history"]


def sweep(path: str | Path) -> None:
    """Remove what a process that was killed while it wrote left beside a file.

    >>> sweep("no-such-file.safetensors")
    """
    for part in Path(path).parent.glob(f"{glob.escape(Path(path).name)}.*.part"):
        part.unlink(missing_ok=True)


def _rebuilt(path):
    """The model that a file describes, with the weights of the file."""
    tensors, _, header = _read(path)
    try:
        with seeded(0):  # the file brings the weights
            model = rebuild(header["model"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{path} cannot build its model by itself ({error}; written by hybridlib {header['version']}): "
            "build it as it was, and use load(model, path)"
        ) from error
    precisions = {t.dtype for t in tensors.values() if t.is_floating_point()}
    if len(precisions) == 1:
        model.to(*precisions)
    _check(path, model, tensors, header["model"])
    model.load_state_dict(tensors)
    return model.eval()


def _check(path, model, tensors, description):
    """ValueError unless these are good weights of this very model."""
    own = model.state_dict()
    wrong = [f"{name} {tuple(t.shape)} is missing" for name, t in own.items() if name not in tensors]
    wrong += [f"{name} {tuple(t.shape)} has no place" for name, t in sorted(tensors.items()) if name not in own]
    both = [(name, tensors[name], t) for name, t in own.items() if name in tensors]
    wrong += [f"{name} is {tuple(t.shape)}, the model's {tuple(m.shape)}" for name, t, m in both if t.shape != m.shape]
    told = list(differences(description, json.loads(json.dumps(describe(model)))))
    if told or wrong:
        faults = "; ".join(_few(texts) for texts in (told, wrong) if texts)
        raise ValueError(
            f"{path} does not fit this model: {faults}. Build the model with the arguments it had when the file was "
            "written, or have it built: load(path)"
        )
    if wrong := [f"{name} is {t.dtype}, the model's {m.dtype}" for name, t, m in both if t.dtype != m.dtype]:
        raise ValueError(
            f"{path} has another precision than this model: {_few(wrong)}. Convert the model before it is loaded, "
            "e.g. with model.double(), and back afterwards"
        )
    learned = {name for name, _ in model.named_parameters()}
    bad = [name for name, t, _ in both if t.isnan().any() or (name in learned and t.isinf().any())]
    if bad:
        raise ValueError(f"{path} holds NaN or infinite weights: {_few(bad)}. Train the model again")
    for prefix, module in model.named_modules():
        # whole numbers in a model of ours are places: an order, who passes
        for name, t in module.named_buffers(prefix, recurse=False) if isinstance(module, Described) else []:
            if t.dtype == torch.long and name in own and not torch.equal(_sorted(tensors[name]), _sorted(t.cpu())):
                raise ValueError(f"{path} holds {name} = {tensors[name].tolist()!s:.80}, which is no permutation")


def _sorted(t):
    return t.sort(-1).values if t.dim() else t


def _few(texts):
    return "; ".join(texts[:3]) + (f" and {len(texts) - 3} more" if len(texts) > 3 else "")


def _write(path, model, tensors, meta):
    path = Path(path)
    tensors = {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}
    header = {"model": json.dumps(describe(model)), "version": __version__, "meta": json.dumps(meta, default=_plain)}
    header["crc32"] = str(_crc32(tensors, header))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:12]}.part")  # no other process writes to this name
    try:
        with part.open("xb") as file:
            file.write(safetensors.save(tensors, header))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)  # atomic: a kill leaves the old file or the new one
    finally:
        part.unlink(missing_ok=True)


def _plain(value):
    """Numbers and arrays of NumPy as JSON's own."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is not JSON serializable; save its numbers, e.g. with .item()")


def _read(path):
    """-> (tensors, what `save` was told beside, header: the model's description and the version that wrote it)."""
    raw = Path(path).read_bytes()
    try:
        size = int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8 : 8 + size])["__metadata__"]
        tensors, old = safetensors.load(raw), header.keys() == {"meta", "crc32"}
        if not old:
            if str(_crc32(tensors, header)) != header["crc32"]:
                raise ValueError("checksum")
            meta, header["model"] = json.loads(header["meta"]), json.loads(header["model"])
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(f"{path} is truncated, altered or not of this library; delete it and write it again") from None
    if old:
        raise ValueError(f"{path} was written before files said which model they hold; write it again")
    return tensors, meta, header


def _crc32(tensors, header):
    """safetensors notices a truncated file but not a changed weight."""
    crc = zlib.crc32(json.dumps({key: header[key] for key in ("model", "version", "meta")}).encode())
    for name, t in sorted(tensors.items()):
        crc = zlib.crc32(f"{name} {t.dtype} {tuple(t.shape)}".encode(), crc)
        crc = zlib.crc32(t.reshape(-1).view(torch.uint8).numpy(), crc)
    return crc

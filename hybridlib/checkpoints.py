"""Trained networks that come with the library: small files, read without a download.

A file holds the weights, what the network is (`hybridlib.described`), and the log of its training; its record, with
command and results, is `records.published` of the same name. Chapter 10 draws molecules with one.
"""

import os
from pathlib import Path

from . import train
from .graphaf import GraphAF

FOLDER = Path(__file__).parent / "checkpoints"


def pretrained(name: str | Path = "zinc_exact") -> GraphAF:
    """The GraphAF that the recipe ``name`` trained, on the CPU, in eval mode; or the one in a file of your own.

    ``name`` is one of those that come with the library, or the path of a file that `train.save` or a recipe wrote.
    ValueError for what is neither, and for a file that holds another model.
    """
    known = {file.stem: file for file in FOLDER.glob("*.safetensors")}
    if not isinstance(name, str | os.PathLike):
        raise ValueError(f"a checkpoint has a name or a path, got {type(name).__name__} {name!r:.60}")
    path = known.get(str(name), Path(name))
    if not os.path.isfile(path):  # False as well for what no file can be called
        listed = ", ".join(sorted(known))
        raise ValueError(f"there is no checkpoint {str(name)[:200]!r}, nor a file of this name; there are {listed}")
    model = train.load(path)
    if not isinstance(model, GraphAF):
        raise ValueError(f"{path} holds a {type(model).__name__}, not a GraphAF; read it with train.load")
    return model

"""Trained networks that come with the library: small files, read without a download.

A file holds the weights, the arguments of the network and the log of its training; its record, with command and
results, is `recipes.published` of the same name. Chapter 10 draws molecules with one.
"""

from pathlib import Path

from . import train
from .graphaf import GraphAF

FOLDER = Path(__file__).parent / "checkpoints"


def graphaf(name: str = "zinc_exact") -> GraphAF:
    """The GraphAF that the recipe ``name`` trained, on the CPU, in eval mode. ValueError for an unknown name."""
    path = FOLDER / f"{name}.safetensors"
    if not path.exists():
        known = sorted(found.stem for found in FOLDER.glob("*.safetensors"))
        raise ValueError(f"there is no checkpoint {name!r}; there are {', '.join(known)}")
    settings = train.meta(path)["settings"]
    model = GraphAF(**{key: settings[key] for key in ("A", "N", "H", "layers", "reading", "w", "masked")})
    train.load(model, path)
    return model

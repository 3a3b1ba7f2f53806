"""The library of the book Hybrid Generative Models: from autoregressive models and autoencoders to MADE and GraphAF.

    noise outputs layers autoregressive                     what models share
    independent fvsbn nade made ensembles transformer pixelcnn autoencoder vae flows dequantization argmax    models
    graphs rgcn subgraphs graphaf                           molecules as tensors, and the flow that grows them
    molecules universe metrics                              molecules as text: these need RDKit
    audit report faulty                                     who sees whom, does it sum to one, and the suspects
    datasets train checkpoints records                      data, training, files, published results
    described extras                                        models as plain JSON; optional packages
    recipes                                                 one command per published result: a table and its functions
    page                                                    what only the book's pages need
    teach                                                   what only a teacher needs: assignments, a grader, exports

Each room is a module with one idea: `from hybridlib.made import MADE`. Rooms are imported when they are asked for, so
that `import hybridlib` is quick and needs none of the optional packages.
"""

import importlib

__version__ = "0.1.0"
__edition__ = "v0.1.0"  # the tag to which the links of `show` lead: this version's, or a term's; `make first-cells`

ROOMS = (
    "noise", "outputs", "layers", "autoregressive", "independent", "fvsbn", "nade", "made", "ensembles", "transformer",
    "pixelcnn", "autoencoder", "vae", "flows", "dequantization", "argmax", "graphs", "rgcn", "subgraphs", "graphaf",
    "molecules", "universe", "metrics", "audit", "report", "faulty", "datasets", "train", "checkpoints", "records",
    "described", "extras", "recipes", "page",
    "teach",
)  # fmt: skip


def __getattr__(name: str):
    if name in ROOMS:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; its rooms are {', '.join(ROOMS)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *ROOMS})

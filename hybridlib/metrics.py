"""What generated molecules are worth: validity, uniqueness, novelty, sizes, scaffolds, properties; with intervals.

Validity is RDKit's check of exactly what was generated (`molecules.to_smiles`). A model that stops early looks valid:
read it beside the sizes, or by size. Chapter 10 uses it.
"""

import random
import warnings
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from .extras import optional
from .molecules import ATOMS, Graph, from_smiles, to_smiles

with optional(__name__):
    from rdkit import Chem
    from rdkit.Chem import QED, Crippen, Descriptors
    from rdkit.Chem.Scaffolds import MurckoScaffold

PROPERTIES = {"logP": Crippen.MolLogP, "QED": QED.qed, "weight": Descriptors.MolWt}


def bootstrap(values: Sequence, statistic: Callable = np.mean, *, draws: int = 1000, seed: int = 0) -> dict:
    """A statistic of n values with its 95 % interval under resampling them -> {"value", "low", "high"}."""
    values = np.asarray(values)
    if not len(values):
        raise ValueError("nothing to measure: there are no values")
    rng = np.random.default_rng(seed)
    found = [statistic(values[rng.integers(len(values), size=len(values))]) for _ in range(draws)]
    low, high = np.quantile(found, [0.025, 0.975])
    return {"value": float(statistic(values)), "low": float(low), "high": float(high)}


def quality(graph: Graph, *, known: Iterable[str] = (), buckets: Sequence[int] = ()) -> dict:
    """Shares of generated molecules, each with its 95 % interval.

    valid     of all
    unique    different ones among the valid
    novel     among the valid, not in ``known``: canonical strings without stereochemistry, as `to_smiles` writes them
    size      mean number of atoms, valid or not
    by_size   valid share of molecules below each of the ``buckets``, and of those from the last one on, with counts

    ValueError if there are no molecules.
    """
    smiles, sizes = to_smiles(graph), graph.sizes.cpu().numpy()
    valid = np.array([text is not None for text in smiles], float)
    good = [text for text in smiles if text is not None]
    known = set(known)
    result = {"n": len(smiles), "valid": bootstrap(valid), "size": bootstrap(sizes)}
    if good:
        # no bootstrap: resampling repeats molecules, and would call the repetitions of a fine model its own
        result["unique"] = {"value": len(set(good)) / len(good)}
        if known:
            result["novel"] = bootstrap([text not in known for text in good])
    if buckets:
        place = np.digitize(sizes, buckets)
        edges = [0, *buckets, None]
        result["by_size"] = [
            {"from": edges[k], "below": edges[k + 1], "n": int((place == k).sum()),
             "valid": bootstrap(valid[place == k])}
            for k in range(len(buckets) + 1) if (place == k).any()
        ]  # fmt: skip
    return result


def scaffolds(smiles: Iterable[str]) -> float:
    """Different Bemis-Murcko scaffolds per molecule, in (0, 1]; molecules without rings share the empty one."""
    found = [MurckoScaffold.MurckoScaffoldSmiles(text) for text in smiles]
    if not found:
        raise ValueError("nothing to measure: there are no molecules")
    return len(set(found)) / len(found)


def properties(smiles: Iterable[str], names: Sequence[str] = tuple(PROPERTIES)) -> dict[str, np.ndarray]:
    """logP (Crippen), QED and weight (Da) of valid molecules -> arrays (n,)."""
    molecules = [Chem.MolFromSmiles(text) for text in smiles]
    return {name: np.array([PROPERTIES[name](molecule) for molecule in molecules]) for name in names}


def compare(smiles: Sequence[str], reference: Sequence[str], *, bins: int = 24) -> dict[str, dict]:
    """Histograms of the properties of two sets of valid molecules over the same edges, and how far they are apart.

    name -> {"edges" (bins + 1), "samples" and "reference", shares (bins,), "distance"}. The edges span all but a
    hundredth of the reference; what lies beyond counts in the outermost bins. The distance is Wasserstein-1, in the
    property's own units: how far a molecule has to move, on average, to turn one set into the other.
    """
    result, levels, drawn = {}, (np.arange(1000) + 0.5) / 1000, properties(smiles)
    for name, values in properties(reference).items():
        found, edges = drawn[name], np.linspace(*np.quantile(values, [0.005, 0.995]), bins + 1)
        shares = [np.histogram(part.clip(*edges[[0, -1]]), edges)[0] / len(part) for part in (found, values)]
        apart = np.abs(np.quantile(found, levels) - np.quantile(values, levels)).mean()
        parts = edges, *shares
        result[name] = dict(zip(("edges", "samples", "reference"), (part.round(4).tolist() for part in parts)))
        result[name]["distance"] = round(float(apart), 4)
    return result


def lost(smiles: Sequence[str], *, A: int = len(ATOMS) - 1, N: int | None = None, at_once: int = 1000) -> list[str]:
    """The strings that do not come back from graphs of the first A atom types and N places: the aim is none.

    Compared are canonical spellings without stereochemistry; what `from_smiles` refuses is lost as well.
    """
    parts, found = [list(smiles[k : k + at_once]) for k in range(0, len(smiles), at_once)], []
    for part in parts:
        try:
            back = to_smiles(from_smiles(part, A=A, N=N))
        except ValueError:  # one of them is refused, and takes its part with it
            found += part if len(part) == 1 else lost(part, A=A, N=N, at_once=max(1, len(part) // 10))
        else:
            found += [text for text, again in zip(part, back) if again != _spelled(text)]
    return found


def _spelled(smiles: str) -> str:
    return Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=False)


def fcd(smiles: Sequence[str], reference: Sequence[str], *, most: int = 10_000, seed: int = 0) -> float:
    """Frechet ChemNet distance (Preuer et al., 2018) between two sets of valid molecules, at most ``most`` of each.

    Needs the package fcd_torch, which reads the weights that it brings along without pickle from torch 2.6 on.
    """
    with optional("metrics.fcd, the Frechet ChemNet distance,"):
        from fcd_torch import FCD
    pick = random.Random(seed)
    smiles, reference = (pick.sample(list(part), min(most, len(part))) for part in (smiles, reference))
    with warnings.catch_warnings():  # a package of 2019 uses names that numpy and scipy are about to drop
        warnings.simplefilter("ignore", DeprecationWarning)
        return float(FCD(device="cpu", n_jobs=1)(reference, smiles))

"""What generated molecules are worth: validity, uniqueness, novelty, sizes, scaffolds, properties; with intervals.

Validity is RDKit's check of exactly what was generated (`molecules.to_smiles`). A model that stops early looks valid:
read it beside the sizes, or by size. Chapter 10 uses it.
"""

import random
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from rdkit import Chem
from rdkit.Chem import QED, Crippen, Descriptors
from rdkit.Chem.Scaffolds import MurckoScaffold

from .molecules import Graph, to_smiles

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


def reconstruction(graph: Graph, smiles: Sequence[str]) -> float:
    """Share of molecules whose graph is read back as the very string, in canonical spelling without stereochemistry."""
    wanted = [Chem.MolToSmiles(Chem.MolFromSmiles(text), isomericSmiles=False) for text in smiles]
    return float(np.mean([a == b for a, b in zip(to_smiles(graph), wanted, strict=True)]))


def fcd(smiles: Sequence[str], reference: Sequence[str], *, most: int = 10_000, seed: int = 0) -> float:
    """Frechet ChemNet distance (Preuer et al., 2018) between two sets of valid molecules; needs fcd_torch."""
    try:
        from fcd_torch import FCD
    except ImportError:
        raise ImportError("the Frechet ChemNet distance needs the package fcd_torch: pip install fcd_torch") from None
    pick = random.Random(seed)
    smiles, reference = (pick.sample(list(part), min(most, len(part))) for part in (smiles, reference))
    return float(FCD(device="cpu", n_jobs=1)(reference, smiles))

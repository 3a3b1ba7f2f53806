"""What generated molecules are worth: validity, uniqueness, novelty, sizes, scaffolds, properties; with intervals.

Validity is RDKit's check of exactly what was generated (`molecules.to_smiles`). A model that stops early looks valid:
read it beside the sizes, or by size. The Frechet ChemNet distance is that of Preuer et al. (2018, arXiv:1803.09518).
Chapter 10 uses it.
"""

import functools
import random
import warnings
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch

from .extras import optional
from .graphs import ATOMS, Graph
from .molecules import canonical, listed, parsed, quoted, read, to_smiles

with optional(__name__):
    from rdkit import Chem
    from rdkit.Chem import QED, Crippen, Descriptors
    from rdkit.Chem.Scaffolds import MurckoScaffold

ENOUGH = 5000  # samples for a Frechet ChemNet distance
# number of samples -> distance of that many molecules of ZINC250k from 5,000 others of them: what no model gets below
FLOORS = {2: 93, 10: 49.4, 30: 29.8, 100: 14.2, 300: 5.4, 1000: 1.7, 3000: 0.76, ENOUGH: 0.58}
PROPERTIES = {"logP": Crippen.MolLogP, "QED": QED.qed, "weight": Descriptors.MolWt}


def bootstrap(values: Iterable, statistic: Callable = np.mean, *, draws: int = 1000, seed: int = 0) -> dict:
    """A statistic of n values with its 95 % interval under resampling them -> {"value", "low", "high"}.

    ValueError for no values.

    >>> bootstrap([1, 1, 1, 1])
    {'value': 1.0, 'low': 1.0, 'high': 1.0}
    """
    values = values.cpu().numpy() if isinstance(values, torch.Tensor) else np.array([*values])
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
    novel     among the valid, not in ``known``: strings in any spelling, compared without stereochemistry
    size      mean number of atoms, valid or not
    by_size   valid share of molecules below each of the ``buckets``, and of those from the last one on, with counts

    ValueError if there are no molecules or all are without atoms, and for a known string that is no molecule.

    >>> from .molecules import from_smiles
    >>> found = quality(from_smiles(["CCO", "CCO", "CC"]), known=["OCC"])
    >>> [round(found[name]["value"], 2) for name in ("valid", "unique", "novel")]
    [1.0, 0.67, 0.33]
    """
    smiles, sizes = to_smiles(graph), graph.sizes.cpu().numpy()
    if len(smiles) and not sizes.any():
        raise ValueError(f"nothing to measure: none of the {len(smiles):,} molecules has an atom")
    valid = np.array([text is not None for text in smiles], float)
    good = [text for text in smiles if text is not None]
    known = listed(known, "quality(known=)")
    for row, text in enumerate(known):
        try:
            known[row] = _known(text)
        except ValueError as error:
            raise ValueError(f"row {row} of known: {error}") from None
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


@functools.lru_cache(maxsize=300_000)  # samples of several models are compared with the same molecules
def _known(smiles: str) -> str:
    text = canonical(smiles, stereo=False)
    if text is None:
        raise ValueError(f"{quoted(smiles)} is no molecule: RDKit cannot read it")
    return text


def _molecules(smiles: Iterable[str], taker: str) -> list[Chem.Mol]:
    """At least one valid molecule; ValueError names the row of what is none."""
    found = []
    for row, text in enumerate(listed(smiles, taker)):
        try:
            found.append(parsed(text))
        except ValueError as error:
            raise ValueError(f"row {row}: {error}") from None
    if not found:
        raise ValueError(f"nothing to measure: {taker} got no molecules")
    return found


def scaffolds(smiles: Iterable[str]) -> float:
    """Different Bemis-Murcko scaffolds per valid molecule, in (0, 1]; those without rings share the empty one.

    ValueError for no molecules, and for what is none.

    >>> scaffolds(["CCc1ccccc1", "Oc1ccccc1", "CCO", "CC"])
    0.5
    """
    found = [MurckoScaffold.MurckoScaffoldSmiles(mol=molecule) for molecule in _molecules(smiles, "scaffolds")]
    return len(set(found)) / len(found)


def properties(smiles: Iterable[str], names: Sequence[str] = tuple(PROPERTIES)) -> dict[str, np.ndarray]:
    """logP (Crippen), QED and weight (Da) of valid molecules -> arrays (n,).

    ValueError for another name, for no molecules, and for what is none.

    >>> properties(["C", "CCO"], ["weight"])["weight"].round().tolist()
    [16.0, 46.0]
    """
    if unknown := [name for name in names if name not in PROPERTIES]:
        raise ValueError(f"there is no property {unknown[0]!r}; choose among {', '.join(PROPERTIES)}")
    molecules = _molecules(smiles, "properties")
    return {name: np.array([PROPERTIES[name](molecule) for molecule in molecules]) for name in names}


def property_distances(smiles: Iterable[str], reference: Iterable[str], *, bins: int = 24) -> dict[str, dict]:
    """Histograms of the properties of two sets of valid molecules over the same edges, and how far they are apart.

    name -> {"edges" (bins + 1), "samples" and "reference", shares (bins,), "distance"}. The edges span all but a
    hundredth of the reference; what lies beyond counts in the outermost bins. The distance is Wasserstein-1, in the
    property's own units: how far a molecule has to move, on average, to turn one set into the other. ValueError as in
    `properties`.

    >>> found = property_distances(["CCO", "CCCO"], ["CO", "CCO"], bins=4)  # one CH2 more, 14 Da
    >>> round(found["weight"]["distance"])
    14
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


def lost(smiles: Iterable[str], *, A: int = len(ATOMS) - 1, N: int | None = None, at_once: int = 1000) -> list[str]:
    """The strings that do not come back from graphs of the first A atom types and N places: the aim is none.

    Compared are canonical spellings without stereochemistry; what `molecules.read` refuses is lost as well.

    >>> lost(["OCC", "CC.O", "CS"], A=4)
    ['CC.O', 'CS']
    """
    smiles, found = listed(smiles, "lost"), []
    for start in range(0, len(smiles), at_once):
        part = smiles[start : start + at_once]
        account = read(part, A=A, N=N)
        back = dict(zip(account.rows, to_smiles(account.graph)))
        found += [t for row, t in enumerate(part) if row not in back or back[row] != canonical(t, stereo=False)]
    return found


def fcd(smiles: Iterable[str], reference: Iterable[str], *, most: int = 10_000, seed: int = 0) -> float:
    """Frechet ChemNet distance (Preuer et al., 2018) between two sets of valid molecules, at most ``most`` of each.

    The distance falls with the number of molecules: perfect samples are not at 0, but at `FLOORS`. Warns below
    `ENOUGH` molecules and names the floor. ValueError below two molecules, which have no covariance.

    Needs the package fcd_torch, which reads the weights that it brings along without pickle from torch 2.6 on.

    >>> fcd(["C"], ["CC", "CCC"])
    Traceback (most recent call last):
    ValueError: a Frechet ChemNet distance needs two molecules of each set or more, got 1
    """
    with optional("metrics.fcd, the Frechet ChemNet distance,"):
        from fcd_torch import FCD
    smiles, reference = listed(smiles, "fcd"), listed(reference, "fcd")
    fewest = min(len(smiles), len(reference), most)
    if fewest < 2:
        raise ValueError(f"a Frechet ChemNet distance needs two molecules of each set or more, got {fewest}")
    if fewest < ENOUGH:
        floor = np.exp(np.interp(*map(np.log, (fewest, [*FLOORS], [*FLOORS.values()]))))
        warnings.warn(
            f"the Frechet ChemNet distance of {fewest:,} molecules says little: as many real ones, of ZINC250k, are at "
            f"{floor:.2g}; take {ENOUGH:,} or more of each set, and compare only distances of equally many",
            stacklevel=2,
        )
    pick = random.Random(seed)
    smiles, reference = (pick.sample(part, min(most, len(part))) for part in (smiles, reference))
    for text in smiles + reference:
        parsed(text)  # ChemNet would read any text
    with warnings.catch_warnings():  # a package of 2019 uses names that numpy and scipy are about to drop
        warnings.simplefilter("ignore", DeprecationWarning)
        return float(FCD(device="cpu", n_jobs=1)(reference, smiles))

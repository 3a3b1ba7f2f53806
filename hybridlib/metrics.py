"""What generated molecules are worth: the metrics of the field under the names of the field, sizes and properties.

The definitions are those of MOSES (Polykovskiy et al. 2020, "Molecular Sets", arXiv:1811.12823), whose package does not
run beside today's: valid, unique@1k, unique@10k, novel, FCD (Preuer et al. 2018, arXiv:1803.09518), SNN, Frag, Scaf,
IntDiv, Filters; `moses` gives all of them. NSPDK (Costa & De Grave 2010) is what GDSS (Jo et al. 2022) made of it. The
floor of each: give it real molecules, as many as there are samples, in place of samples.

Valid means RDKit's check of exactly what was generated (`molecules.to_smiles`). A model that stops early looks valid:
read it beside the sizes, or by size. Chapter 10 uses it.
"""

import collections
import functools
import math
import random
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from .extras import optional
from .graphs import ATOMS, Graph
from .molecules import canonical, listed, parsed, quoted, read, to_smiles
from .records import share

with optional(__name__):
    from rdkit import Chem
    from rdkit.Chem import QED, Crippen, Descriptors, FilterCatalog, rdFingerprintGenerator, rdmolops
    from rdkit.Chem.Scaffolds import MurckoScaffold

ENOUGH = 5000  # samples for a Frechet ChemNet distance
# number of samples -> distance of that many molecules of ZINC250k from 5,000 others of them: what no model gets below
FLOORS = {2: 93, 10: 49.4, 30: 29.8, 100: 14.2, 300: 5.4, 1000: 1.7, 3000: 0.76, ENOUGH: 0.58}
UNIQUE_AT = {"unique@1k": 1000, "unique@10k": 10_000}  # so many valid molecules, the first ones
ALLOWED = {"C", "N", "S", "O", "F", "Cl", "Br", "H"}  # elements that pass MOSES' filters
# MOSES' medicinal chemistry filters: moses/metrics/mcf.csv, (c) 2018 Insilico Medicine, MIT licence
MCF = (
    "[#6]=&!@[#6]-[#6]#[#7]", "[#6]=&!@[#6]-[#16](=[#8])=[#8]", "[#6]=&!@[#6&!H0]-&!@[#6](=[#8])-&!@[#7]",
    "[H]C([H])([#6])[F,Cl,Br,I]", "[#6]1-[#8]-[#6]-1", "[#6]-[#7]=[#6]=[#8]", "[#6&!H0]=[#8]",
    "[#6](=&!@[#7&!H0])-&!@[#6,#7,#8,#16]", "[#6]1-[#7]-[#6]-1", "[#6]~&!@[#7]~&!@[#7]~&!@[#6]", "[#7]=&!@[#7]",
    "[H][#6]-1=[#6]([H])-[#6]=[#6](-*)-[#8]-1", "[H][#6]-1=[#6]([H])-[#6]=[#6](-*)-[#16]-1",
    "[#17,#35,#53]-c(:*):[!#1!#6]:*", "[H][#7]([H])-[#6]-1=[#6]-[#6]=[#6]-[#6]=[#6]-1", "[#16]~[#16]",
    "[#7]~&!@[#7]~&!@[#7]", "[#7]-&!@[#6&!H0&!H1]-&!@[#7]", "[#6&!H0](-&!@[#8])-&!@[#8]", "[#35].[#35].[#35]",
    "[#17].[#17].[#17].[#17]", "[#9].[#9].[#9].[#9].[#9].[#9].[#9]",
)  # fmt: skip
BITS, WIDE = 0xFFFF, 0xFFFFFFFF  # of hashes of features and of neighbourhoods, as in EDeN
DEPTH = 8  # steps from atom to bond to atom that NSPDK looks: four bonds
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
    """Shares of generated molecules as MOSES defines them, with 95 % intervals (`records.share`).

    valid     of all
    unique    different ones among the valid; "unique@1k" and "unique@10k" among as many valid ones, if there are
    novel     among the different valid ones, not in ``known``: any spelling, compared without stereochemistry
    size      mean number of atoms, valid or not, with a bootstrap interval
    by_size   valid share of molecules below each of the ``buckets``, and of those from the last one on, with counts

    ValueError if there are no molecules or all are without atoms, and for a known string that is no molecule.

    >>> from .molecules import from_smiles
    >>> found = quality(from_smiles(["CCO", "CCO", "CC"]), known=["OCC"])
    >>> [round(found[name]["value"], 2) for name in ("valid", "unique", "novel")]
    [1.0, 0.67, 0.5]
    """
    smiles, sizes = to_smiles(graph), graph.sizes.cpu().numpy()
    if len(smiles) and not sizes.any():
        raise ValueError(f"nothing to measure: none of the {len(smiles):,} molecules has an atom")
    if not smiles:
        raise ValueError("nothing to measure: there are no molecules")
    result = {**_shares(smiles, known, "quality(known=)"), "size": bootstrap(sizes)}
    if buckets:
        valid = np.array([text is not None for text in smiles])
        place = np.digitize(sizes, buckets)
        edges = [0, *buckets, None]
        result["by_size"] = [
            {"from": edges[k], "below": edges[k + 1], "n": int((place == k).sum()),
             "valid": share(int(valid[place == k].sum()), int((place == k).sum()))}
            for k in range(len(buckets) + 1) if (place == k).any()
        ]  # fmt: skip
    return result


def _shares(smiles: list[str | None], known: Iterable[str], taker: str) -> dict:
    """Of canonical strings, None for what is no molecule -> n, valid, unique, novel as in `quality`."""
    good, known = [text for text in smiles if text is not None], _known(tuple(listed(known, taker)))
    result = {"n": len(smiles), "valid": share(len(good), len(smiles))}
    if good:
        # without intervals: copies among more molecules are more, and resampling would make copies of its own
        for name, k in {"unique": len(good), **UNIQUE_AT}.items():
            if len(good) >= k:
                result[name] = {"value": len(set(good[:k])) / k}
        if known:  # written without stereochemistry and labels
            new = {canonical(text, stereo=False) if set(text) & set("@/\\:") else text for text in good}
            result["novel"] = share(len(new - known), len(new))
    return result


@functools.lru_cache(maxsize=4)  # several models are compared with the same molecules, here and below
def _known(smiles: tuple[str, ...]) -> frozenset[str]:
    """Canonical strings without stereochemistry; ValueError names the row of what is no molecule."""
    found = set()
    for row, text in enumerate(smiles):
        try:
            found.add(canonical(text, stereo=False))
        except ValueError as error:
            raise ValueError(f"row {row} of known: {error}") from None
        if None in found:
            raise ValueError(f"row {row} of known: {quoted(text)} is no molecule: RDKit cannot read it")
    return frozenset(found)


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


def snn(smiles: Iterable[str], reference: Iterable[str]) -> float:
    """SNN of MOSES: similarity of each molecule to its nearest neighbour in the reference, on average, in [0, 1].

    Tanimoto similarity of Morgan fingerprints (radius 2, 1024 bits), which do not see stereochemistry. A model that
    copies the reference has 1: high is good only beside novelty. ValueError for no molecules, and for what is none.

    >>> round(snn(["CCO", "CCN"], ["CCO", "CCCCO"]), 3)
    0.667
    """
    found = [part.amax(1) for part in _similarities(_listed(smiles, "snn"), _listed(reference, "snn"))]
    return torch.cat(found).double().mean().item()


def diversity(smiles: Iterable[str], *, p: int = 1) -> float:
    """IntDiv of MOSES: 1 - mean(T^p)^(1/p), T the similarities (as in `snn`) of all pairs, also of each with itself.

    p=2 is IntDiv2, as MOSES computes it: one root per molecule, then the mean. ValueError as in `snn`.

    >>> diversity(["CCO", "OCC"]), round(diversity(["C", "N"]), 3)
    (0.0, 0.5)
    """
    smiles = _listed(smiles, "diversity")
    found = [part.double().pow(p).mean(1) ** (1 / p) for part in _similarities(smiles, smiles)]
    return 1 - torch.cat(found).mean().item()


def _listed(smiles: Iterable[str], taker: str) -> tuple[str, ...]:
    """Strings that a cache can remember; ValueError if there are none."""
    found = tuple(listed(smiles, taker))
    if not found:
        raise ValueError(f"nothing to measure: {taker} got no molecules")
    return found


def _similarities(smiles: tuple[str, ...], reference: tuple[str, ...], *, at_once: int = 1000) -> Iterator[Tensor]:
    """Tanimoto similarities, some rows at a time: (at most at_once, number of references), float32."""
    prints, others = _fingerprints(smiles), _fingerprints(reference).float()
    sizes = others.sum(1)
    for part in prints.split(at_once):
        part = part.float()
        both = part @ others.T
        yield both / (part.sum(1, keepdim=True) + sizes - both)


@functools.lru_cache(maxsize=4)
def _fingerprints(smiles: tuple[str, ...]) -> Tensor:
    """(n, 1024) bits, uint8."""
    made = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)
    return torch.from_numpy(np.stack([made.GetFingerprintAsNumPy(mol) for mol in _molecules(smiles, "fingerprints")]))


def frag(smiles: Iterable[str], reference: Iterable[str]) -> float:
    """Frag of MOSES: cosine between the counts of BRICS fragments in two sets of molecules, in [0, 1].

    Fragments are compared as strings: stereochemistry counts. ValueError for no molecules, and for what is none.

    >>> frag(["CCOC"], ["CCOC", "COCC"]), frag(["CCO"], ["CCN"])
    (1.0, 0.0)
    """
    return _cosine(_fragments(_listed(smiles, "frag")), _fragments(_listed(reference, "frag")))


@functools.lru_cache(maxsize=4)
def _fragments(smiles: tuple[str, ...]) -> collections.Counter:
    found = collections.Counter()
    for molecule in _molecules(smiles, "frag"):
        found.update(Chem.MolToSmiles(rdmolops.FragmentOnBRICSBonds(molecule)).split("."))
    return found


def scaf(smiles: Iterable[str], reference: Iterable[str]) -> float:
    """Scaf of MOSES: cosine between the counts of Bemis-Murcko scaffolds of two rings or more, in [0, 1].

    Without such a scaffold in one of the sets it is 0, where MOSES has no number. Scaffolds are compared as strings:
    stereochemistry counts. ValueError for no molecules, and for what is none.

    >>> round(scaf(["Cc1ccc2ccccc2c1", "c1ccccc1"], ["Oc1ccc2ccccc2c1", "C1CC2CCC1C2"]), 3)
    0.707
    """
    return _cosine(_scaffolds(_listed(smiles, "scaf")), _scaffolds(_listed(reference, "scaf")))


@functools.lru_cache(maxsize=4)
def _scaffolds(smiles: tuple[str, ...]) -> collections.Counter:
    found = map(MurckoScaffold.GetScaffoldForMol, _molecules(smiles, "scaf"))
    return collections.Counter(Chem.MolToSmiles(part) for part in found if part.GetRingInfo().NumRings() >= 2)


def _cosine(one: collections.Counter, other: collections.Counter) -> float:
    product = sum(count * other[name] for name, count in one.items())
    norms = (sum(count * count for count in part.values()) for part in (one, other))
    return product / math.sqrt(math.prod(norms)) if product else 0.0


def filters(smiles: Iterable[str]) -> dict:
    """Filters of MOSES: the share of molecules that pass all of them, with its 95 % interval (`records.share`).

    Passing are molecules of `ALLOWED` elements, without charges, without rings of eight atoms or more, and without the
    patterns of `MCF` and of PAINS: RDKit's list, some of whose patterns also find aromatic rings since MOSES took its
    copy, so that a few of ten thousand more fail. ValueError for no molecules, and for what is none.

    >>> filters(["CCO", "C1CO1", "CC[O-]", "C1CCCCCCC1"])["value"]  # an epoxide, a charge, a ring of eight
    0.25
    """
    molecules = _molecules(smiles, "filters")
    return share(sum(map(_passes, molecules)), len(molecules))


def _passes(molecule: Chem.Mol) -> bool:
    if any(len(ring) >= 8 for ring in molecule.GetRingInfo().AtomRings()):
        return False
    if any(atom.GetFormalCharge() or atom.GetSymbol() not in ALLOWED for atom in molecule.GetAtoms()):
        return False
    patterns, pains = _alerts()
    full = Chem.AddHs(molecule)  # some patterns ask for hydrogens as atoms
    return not (pains.HasMatch(molecule) or any(map(full.HasSubstructMatch, patterns)))


@functools.cache
def _alerts() -> tuple[list, FilterCatalog.FilterCatalog]:
    catalogs = FilterCatalog.FilterCatalogParams.FilterCatalogs
    pains = FilterCatalog.FilterCatalog(FilterCatalog.FilterCatalogParams(catalogs.PAINS))
    return [Chem.MolFromSmarts(text) for text in MCF], pains


def nspdk(smiles: Iterable[str], reference: Iterable[str]) -> float:
    """NSPDK MMD of GDSS: squared distance between the mean features of two sets of molecules; 0 is the same.

    A feature is a pair of atoms at most four bonds apart, each with its surroundings out to a radius of at most four
    bonds (Costa & De Grave 2010), as EDeN's vectorizer of complexity 4 counts and normalizes them: with a linear
    kernel the MMD needs no pairs of molecules. As in GDSS, atoms are told apart by element, bonds by whole orders (an
    aromatic bond is single), and charges, hydrogens and stereochemistry do not count. Elements are numbers here: EDeN
    hashes their names, so that its values change a little from run to run. ValueError for no molecules, and for what
    is none.

    >>> nspdk(["CCO"], ["OCC"]), round(nspdk(["CCO"], ["CCN"]), 3)
    (0.0, 1.488)
    """
    apart = _mean_features(_listed(smiles, "nspdk")) - _mean_features(_listed(reference, "nspdk"))
    return float(apart @ apart)


@functools.lru_cache(maxsize=4)
def _mean_features(smiles: tuple[str, ...]) -> np.ndarray:
    total = np.zeros(BITS + 2)
    for molecule in _molecules(smiles, "nspdk"):
        features = _features(molecule)
        total[[*features]] += np.array([*features.values()])
    return total / len(smiles)


def _features(molecule: Chem.Mol) -> dict[int, float]:
    """Place of each feature of a molecule -> its value; the squares of the values sum to 1."""
    shells = _shells(molecule)
    names = [_neighbourhoods(shell) for shell in shells]
    counts = collections.defaultdict(collections.Counter)
    for v, shell in enumerate(shells):
        for distance, level in enumerate(shell[::2]):
            for u in level:
                for radius in range(0, min(len(names[v]), len(names[u])), 2):
                    one, other = sorted((names[v][radius], names[u][radius]))
                    count = counts[radius, distance]
                    count[_hash(one, other, radius, 2 * distance)] += 1
                    count[_hash(names[u][radius], radius, 2 * distance)] += 1
    found = {}
    for count in counts.values():
        norm = math.sqrt(sum(n * n for n in count.values()))
        found |= {place: n / norm for place, n in count.items()}
    norm = math.sqrt(sum(value * value for value in found.values()))
    return {place: value / norm for place, value in found.items()}


def _shells(molecule: Chem.Mol) -> list[list[dict[int, int]]]:
    """For each atom the atoms at 0, 1, 2, ... bonds, and between them the bonds that lead there: {index: label}."""
    labels = [_hash(_hash_label(atom.GetAtomicNum()), atom.GetDegree(), mask=WIDE) for atom in molecule.GetAtoms()]
    kinds = [_hash(_hash_label(int(bond.GetBondTypeAsDouble())), 2, mask=WIDE) for bond in molecule.GetBonds()]
    near = [
        [(bond.GetIdx(), bond.GetOtherAtomIdx(atom.GetIdx())) for bond in atom.GetBonds()]
        for atom in molecule.GetAtoms()
    ]
    found = []
    for start in range(len(labels)):
        shells, atoms, seen, crossed = [{start: labels[start]}], [start], {start}, set()
        while len(shells) < DEPTH and (steps := [s for atom in atoms for s in near[atom] if s[0] not in crossed]):
            crossed |= {bond for bond, _ in steps}
            shells.append({bond: kinds[bond] for bond, _ in steps})
            atoms = [*dict.fromkeys(atom for _, atom in steps if atom not in seen)]
            seen |= {*atoms}
            if atoms:
                shells.append({atom: labels[atom] for atom in atoms})
        found.append(shells)
    return found


def _neighbourhoods(shells: list[dict[int, int]]) -> list[int]:
    """The hash of an atom's surroundings out to each of its shells."""
    running, found = 0xAAAAAAAA, []
    for depth, shell in enumerate(shells):
        running ^= hash((running, _hash(*sorted(shell.values()), mask=WIDE), depth))
        found.append((running & WIDE) + 1)
    return found


def _hash_label(number: int) -> int:
    return (hash(number) & BITS) + 1


def _hash(*numbers: int, mask: int = BITS) -> int:
    """Python's hash of whole numbers, the same in every 64-bit CPython from 3.8 on."""
    return (hash(numbers) & mask) + 1


def moses(
    smiles: Iterable[str | None], *, train: Iterable[str], test: Iterable[str], scaffolds: Iterable[str] = (),
    device: str | None = "cpu",
) -> dict:  # fmt: skip
    """All metrics of MOSES under its names, for generated strings; None, or what RDKit cannot read, is not valid.

    "valid", "unique", "unique@1k", "unique@10k" and "novel" are as in `quality`, "Filters" as in `filters`. "FCD",
    "SNN", "Frag" and "Scaf" stand once for the reference ``test`` and once for ``scaffolds``, MOSES' test molecules
    with new scaffolds ("FCD/Test", "FCD/TestSF", ...). "IntDiv" and "IntDiv2" compare samples with each other. MOSES
    takes 30,000 samples and its whole sets: a few minutes, and ten more for each reference (ChemNet), which is
    remembered; device=None leaves "FCD" out. ValueError for no molecules, or none that is valid, and as in `quality`.

    >>> found = moses(["CCO", "C(C", "CCN"], train=["CCO"], test=["CCO", "CCCCO"], scaffolds=["CCN"], device=None)
    >>> round(found["SNN/Test"], 3), found["SNN/TestSF"] > 0.5, found["valid"]["value"], found["novel"]["value"]
    (0.667, True, 0.6667, 0.5)
    """
    smiles = [None if text is None else canonical(text) for text in smiles]
    good = [text for text in smiles if text is not None]
    if not good:
        raise ValueError(f"nothing to measure: none of {len(smiles):,} strings is a molecule")
    result = _shares(smiles, train, "moses(train=)")
    for name, reference in ("Test", listed(test, "moses(test=)")), ("TestSF", listed(scaffolds, "moses(scaffolds=)")):
        if reference:
            if device:
                result[f"FCD/{name}"] = fcd(good, reference, most=None, device=device)
            for measure, label in (snn, "SNN"), (frag, "Frag"), (scaf, "Scaf"):
                result[f"{label}/{name}"] = measure(good, reference)
    return {**result, "IntDiv": diversity(good), "IntDiv2": diversity(good, p=2), "Filters": filters(good)}


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


def fcd(
    smiles: Iterable[str], reference: Iterable[str], *, most: int | None = 10_000, seed: int = 0, device: str = "cpu"
) -> float:
    """FCD, the Frechet ChemNet distance (Preuer et al., 2018), between two sets of valid molecules.

    Of each at most ``most`` are drawn, with most=None none is left out. The distance falls with the number of
    molecules: perfect samples are not at 0, but at `FLOORS`. Warns below `ENOUGH` molecules and names the floor.
    Strings are taken as they are: stereochemistry counts. ValueError below two molecules, which have no covariance.

    Needs the package fcd_torch, which reads the weights that it brings along without pickle from torch 2.6 on.

    >>> fcd(["C"], ["CC", "CCC"])
    Traceback (most recent call last):
    ValueError: a Frechet ChemNet distance needs two molecules of each set or more, got 1
    """
    with optional("metrics.fcd, the Frechet ChemNet distance,"):
        import fcd_torch
    smiles, reference = listed(smiles, "fcd"), listed(reference, "fcd")
    most = max(len(smiles), len(reference)) if most is None else most
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
    found = [pick.sample(part, min(most, len(part))) if most < len(part) else part for part in (smiles, reference)]
    with warnings.catch_warnings():  # a package of 2019 uses names that numpy and scipy are about to drop
        warnings.simplefilter("ignore", DeprecationWarning)
        moments = [_moments(tuple(part), device) for part in found]
        return float(fcd_torch.utils.calculate_frechet_distance(*moments[1], *moments[0]))


@functools.lru_cache(maxsize=4)
def _moments(smiles: tuple[str, ...], device: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean (512,) and covariance (512, 512) of ChemNet's last layer."""
    import fcd_torch

    for text in smiles:
        parsed(text)  # ChemNet would read any text
    found = fcd_torch.FCD(device=device, n_jobs=1).precalc([*smiles])
    return found["mu"], found["sigma"]

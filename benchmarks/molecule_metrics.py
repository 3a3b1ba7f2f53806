"""What real molecules score: MOSES' own baseline again, and the floor of each metric on the public sets.

    python benchmarks/molecule_metrics.py     # 45 minutes of one core, most of it ChemNet

MOSES publishes what its training set scores against its two test sets (README of github.com/molecularsets/moses, row
Train). The same metrics, computed by `metrics.moses` on a sample of that set, must come near; a sample has a higher FCD
and a lower Scaf than the whole. FCD falls with the number of molecules, by a share of 1/n: a sample and its two halves
tell where it would end ("without end").

For ZINC250k and QM9 a sample of the training molecules stands in place of a model's samples: what it scores is what a
perfect model of as many samples scores.
"""

import argparse
import random
from pathlib import Path

import torch
from _measure import head, table, write

from hybridlib import datasets, metrics, molecules

PUBLISHED = {
    "FCD/Test": 0.008, "SNN/Test": 0.6419, "Frag/Test": 1.0, "Scaf/Test": 0.9907,
    "FCD/TestSF": 0.4755, "SNN/TestSF": 0.5859, "Frag/TestSF": 0.9986, "Scaf/TestSF": 0.0,
    "IntDiv": 0.8567, "IntDiv2": 0.8508, "Filters": 1.0,
}  # fmt: skip
SETS = "zinc_smiles", "qm9"


def sample(name, n, seed):
    """n training molecules, and the test molecules."""
    train, test = (datasets.load_strings(name, part=part) for part in ("train", "test"))
    return random.Random(seed).sample(train, n), test


def plain(value):
    """A number of a record: shares keep their interval."""
    return value if isinstance(value, dict) else round(value, 5)


def baseline(n, seed):
    """MOSES' metrics of n of its training molecules."""
    drawn, test = sample("moses", n, seed)
    others = datasets.load_strings("moses", part="test_scaffolds")
    found = metrics.moses(drawn, train=(), test=test, scaffolds=others)
    for name, reference in ("Test", test), ("TestSF", others):
        halves = [metrics.fcd(half, reference, most=None) for half in (drawn[: n // 2], drawn[n // 2 :])]
        found[f"FCD/{name} without end"] = 2 * found[f"FCD/{name}"] - sum(halves) / 2
    return {name: plain(value) for name, value in found.items()}


def floors(name, n, seed):
    """All metrics of n training molecules against the test molecules of a set, both without stereochemistry.

    The literature keeps it in the reference: "FCD/Test with stereo" is the floor of a model of graphs there.
    """
    drawn, marked = sample(name, n, seed)
    drawn, test = ([molecules.canonical(text, stereo=False) for text in part] for part in (drawn, marked))
    found = metrics.moses(drawn, train=(), test=test) | {"NSPDK": metrics.nspdk(drawn, test)}
    found["FCD/Test with stereo"] = metrics.fcd(drawn, marked, most=None)
    return {"test": len(test), **{key: plain(value) for key, value in found.items()}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--molecules", type=int, default=30_000, help="training molecules of MOSES (default 30000)")
    parser.add_argument("--samples", type=int, default=10_000, help="of the other sets (default 10000)")
    parser.add_argument("--seed", type=int, default=0, help="which molecules (default 0)")
    parser.add_argument("--output", type=Path, default=Path("molecule_metrics.json"), help="where the numbers go")
    args = parser.parse_args()
    torch.set_num_threads(1)
    result = head("molecule_metrics", molecules=args.molecules, samples=args.samples, seed=args.seed) | {
        "floors": {name: floors(name, args.samples, args.seed) for name in SETS},
        "moses": baseline(args.molecules, args.seed),
        "published": PUBLISHED,
    }
    shown = {name: found["value"] if isinstance(found, dict) else found for name, found in result["moses"].items()}
    table(["MOSES, training molecules", "published", "here"], [[k, v, shown[k]] for k, v in PUBLISHED.items()])
    write(result, args.output)


if __name__ == "__main__":
    main()

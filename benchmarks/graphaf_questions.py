"""What a referee would ask of the checkpoint that comes with the library, answered on ZINC250k with numbers.

    python benchmarks/graphaf_questions.py     # three minutes; writes graphaf_questions.json

How much lower the probability of one order is than that of the molecule; whether samples are copies of training
molecules, by their nearest neighbours; rings that strain; what the public files hold that graphs do not. Each answer
stands beside that of molecules that were held out. Needs ZINC250k, see `hybridlib.datasets`.
"""

import argparse
import statistics
from pathlib import Path

import torch
from _measure import head, write
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from hybridlib import checkpoints, datasets, records
from hybridlib.graphs import ATOMS, Graph, in_bfs_order
from hybridlib.molecules import _breadth_first, _same, from_smiles, to_smiles

NEUTRAL = [ATOMS.index(name.rstrip("+-")) for name in ATOMS]  # the code of the element without its charge


def ways(graph):
    """Some ways to draw the one molecule of a canonical graph: each alternating form in orders near the canonical one.

    Breadth-first from every atom, and from the first with two neighbours in the sequence exchanged.
    """
    n = int(graph.sizes[0])
    graph = Graph(graph.atoms[:, :n], graph.bonds[:, :n, :n])
    ranks = [list(range(n)) for _ in range(n)]
    for k, rank in enumerate(ranks[1:], 1):
        rank[k - 1], rank[k] = k, k - 1
    orders = set()
    for start, rank in [(0, rank) for rank in ranks] + [(start, ranks[0]) for start in range(1, n)]:
        near = [sorted(row.nonzero().flatten().tolist(), key=rank.__getitem__) for row in graph.bonds[0]]
        orders.add(tuple(_breadth_first(start, near)))
    forms = [torch.from_numpy(form) for form in _same(graph)]
    found = {}
    for form in forms:
        for order in map(list, orders):
            atoms, bonds = graph.atoms[0, order], form[order][:, order]
            found.setdefault((tuple(atoms.tolist()), bytes(bonds.flatten().tolist())), (atoms, bonds))
    every = Graph(*map(torch.stack, zip(*found.values())))
    assert in_bfs_order(every).all()
    return every, len(forms)


@torch.no_grad()
def one_order(model, graph):
    """Nats of molecules (n,) in canonical order, and by all of `ways` together."""
    one, all_, forms, count = [], [], [], []
    for row in range(len(graph)):
        every, number = ways(graph[row : row + 1])
        one.append(-model.log_prob(graph[row]).item())
        all_.append(-model.log_prob(every).double().logsumexp(0).item())
        forms.append(number)
        count.append(len(every))
    gap = torch.tensor(one) - torch.tensor(all_)
    assert (gap > -1e-3).all()  # the canonical way is one of them
    return {
        "molecules": len(gap), "nats": round(statistics.mean(one), 3), "ways": round(statistics.mean(count), 1),
        "forms": round(statistics.mean(forms), 2), "gap": round(gap.mean().item(), 4),
        "gap_se": round(gap.std().item() / len(gap) ** 0.5, 4), "largest": round(gap.max().item(), 3),
    }  # fmt: skip


def nearest(parts, train):
    """How alike the nearest training molecule is: Tanimoto similarity of Morgan fingerprints (radius 2, 2,048 bits)."""
    make = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)

    def prints(texts):
        return [make.GetFingerprint(Chem.MolFromSmiles(text)) for text in texts]

    known, found = prints(train), {}
    for name, texts in parts.items():
        best = [max(DataStructs.BulkTanimotoSimilarity(one, known)) for one in prints(texts)]
        spread = statistics.stdev(best) / len(best) ** 0.5
        found[name] = {
            "n": len(best), "mean": round(statistics.mean(best), 4), "se": round(spread, 4),
            "identical": sum(v == 1 for v in best), "above_0.8": round(sum(v > 0.8 for v in best) / len(best), 4),
        }  # fmt: skip
    return found


def rings(texts):
    """Shares of molecules that hold a ring of three atoms, of four, of eight or more, and what strains a ring."""
    patterns = {
        "any size with a triple bond or an allene": ("*#@*", "*=@*=@*"),
        "three that shares a bond with another": ("*12~*~*1~*2",),
    }
    patterns = {name: [Chem.MolFromSmarts(text) for text in texts] for name, texts in patterns.items()}
    sizes = {"three": lambda n: n == 3, "four": lambda n: n == 4, "eight or more": lambda n: n >= 8}
    counts = dict.fromkeys([*sizes, *patterns], 0)
    for text in texts:
        molecule = Chem.MolFromSmiles(text)
        found = [len(ring) for ring in molecule.GetRingInfo().AtomRings()]
        for name, fits in sizes.items():
            counts[name] += any(map(fits, found))
        for name, inside in patterns.items():
            counts[name] += any(map(molecule.HasSubstructMatch, inside))
    return {"n": len(texts)} | {name: records.share(count, len(texts)) for name, count in counts.items()}


def charges(graph):
    """What a table of elements without charges does to real molecules."""
    stripped = Graph(torch.tensor(NEUTRAL)[graph.atoms.long()], graph.bonds)
    texts, before = to_smiles(stripped), to_smiles(graph)
    charged = int((stripped.atoms != graph.atoms).any(1).sum())
    return {
        "n": len(graph), "charged": records.share(charged, len(graph)),
        "valid_without": records.share(sum(text is not None for text in texts), len(graph)),
        "unchanged": records.share(sum(a == b for a, b in zip(texts, before)), len(graph)),
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--orders", type=int, default=200, help="molecules whose ways are added up (default 200)")
    parser.add_argument("--molecules", type=int, default=4000, help="samples, and test molecules (default 4000)")
    parser.add_argument("--output", type=Path, default=Path("graphaf_questions.json"), help="where the numbers go")
    args = parser.parse_args()
    torch.set_num_threads(1)
    name, clock, data = "zinc_exact", records.clock(), "zinc_smiles"
    model = checkpoints.pretrained(name)
    train, held_out, strings = (datasets.load_strings(data, part) for part in ("train", "test", None))
    held_out = held_out[: args.molecules]
    graph = from_smiles(held_out, A=model.A, N=model.N)
    test = to_smiles(graph)
    result = head("graphaf_questions", orders=args.orders, molecules=args.molecules) | {
        "checkpoint": name, "data": {"about": datasets.about(data), "train": len(train), "test": len(test)},
    }  # fmt: skip
    marked = sum(any(mark in text for mark in "@/\\") for text in strings)
    result["stereo"] = {"strings": len(strings), **records.share(marked, len(strings))}
    result["charges"] = charges(graph)
    drawn = to_smiles(model.sample(args.molecules, generator=torch.Generator().manual_seed(0)))
    valid = [text for text in drawn if text]
    result["rings"] = {"samples": rings(valid), "test": rings(test)}
    result["one_order"] = one_order(model, graph[: args.orders])
    result["nearest"] = nearest({"samples": valid[:500], "test": test[:500]}, train)
    write(result | clock(), args.output)


if __name__ == "__main__":
    main()

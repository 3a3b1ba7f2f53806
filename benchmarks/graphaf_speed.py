"""How fast GraphAF trains, scores and draws molecules of ZINC250k's sizes, and what a batch costs in memory.

    python benchmarks/graphaf_speed.py     # a minute or two; writes graphaf_speed.json

The molecules are drawn by the checkpoint that comes with the library, so that nothing is downloaded. Beside our rates
stand those of the authors' code as graphaf_authors.py measured them; they are not measured again here. Time is CPU time
of this process on one thread.
"""

import argparse
import resource
import statistics
from pathlib import Path

import torch
from _measure import draw, head, ratio, seconds, table, write

from hybridlib import checkpoints, records
from hybridlib.graphs import Graph, parents
from hybridlib.subgraphs import distinct

BATCH = 32
# the authors' code on one thread: molecules a second at batch 32, and at most so many atoms a second of its sampler
AUTHORS = {name: records.published("graphaf_authors")[name] for name in ("training", "log_prob", "atoms")}


def rates(model, graph, rounds):
    """Molecules a CPU second: a training step, and the likelihood, batch by batch."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    batches = [graph[k : k + BATCH] for k in range(0, len(graph) - BATCH + 1, BATCH)]

    def step():
        for batch in batches:
            optimizer.zero_grad()
            model.objective(batch).backward()
            optimizer.step()

    def score():
        with torch.no_grad():
            for batch in batches:
                model.log_prob(batch)

    found = {}
    for name, f in (("training", step), ("log_prob", score)):
        f()  # warm up
        found[name] = round(statistics.median(BATCH * len(batches) / seconds(f) for _ in range(rounds)), 1)
    return found


def copies(graph):
    """The bond decisions of molecules (b, i, j), and for each a copy of the sub-graph before it: atoms, bonds."""
    n, place = graph.sizes[:, None, None], torch.arange(graph.atoms.shape[1])
    first = torch.nn.functional.pad(parents(graph).clamp(min=0), (1, 0))[:, :-1, None]
    b, i, j = ((place >= first) & (place < place[:, None]) & (place[:, None] < n)).nonzero().unbind(1)
    known = place < i[:, None]
    own = (place == i[:, None])[:, :, None] & (place < j[:, None])[:, None]  # bonds of atom i that came before
    kept = (known[:, :, None] & known[:, None]) | own | own.mT
    return (b, i, j), (graph.atoms[b] * (place <= i[:, None]), graph.bonds[b] * kept)


def sharing(model, graph, rounds):
    """The graph network of one model, forward and back: a copy for each bond decision, or each sub-graph once.

    The same embeddings, which is asserted: their ratio is what sharing buys, and nothing else.
    """
    graph = Graph(graph.atoms.long(), graph.bonds.long())
    (b, i, j), unrolled = copies(graph)
    layers = len(model.rgcn.layers)

    def shared():
        parts = distinct(graph, model.A, layers)
        return parts, model._see(parts)[0]

    with torch.no_grad():
        parts, h = shared()
        here = h[parts.rows[parts.for_bond[b, i, j]]] * (unrolled[0] > 0)[..., None]
        torch.testing.assert_close(model.rgcn(*unrolled), here, atol=1e-4, rtol=1e-4)
    ways = {"copies": lambda: model.rgcn(*unrolled), "shared": lambda: shared()[1]}
    took = {name: [seconds(lambda: way().sum().backward()) for _ in range(rounds)] for name, way in ways.items()}  # noqa: B023
    found = {name: round(len(graph) / statistics.median(rounds), 1) for name, rounds in took.items()}
    return {**found, "copies_per_molecule": round(len(b) / len(graph), 1), "ratio": ratio(*took.values())}


def work(graph):
    """What state sharing saves: steps of the padded unrolling, decisions, sub-graphs, and rows that are computed."""
    graph = Graph(graph.atoms.long(), graph.bonds.long())
    found, n = distinct(graph, int(graph.atoms.max()), 3), len(graph)
    rows = [len(own) for own, _, _ in found.rounds]
    return {
        "padded_steps": 416, "sub_graphs": round(len(found.last) / n, 1), "rows": [round(k / n, 1) for k in rows],
        "rows_without_sharing": 416 * 38 * 3,
    }  # fmt: skip


@torch.no_grad()
def multiplications(model, graph):
    """Multiplications of the network for these molecules, by counting: rows of each layer, sub-graphs, choices."""
    H, R = model.summary.out_features, model.rgcn.R
    found = distinct(graph, model.A, len(model.rgcn.layers))
    heads = [head[-1].out_features for head in (model.atom_head, model.bond_head)]
    # a layer multiplies the rows it reads, which are the rows that the layer before has written
    read = [model.A + 1] + [len(own) for own, _, _ in found.rounds]
    total = sum(read[:-1]) * (R + 1) * H**2
    total += len(found.last) * 8 * H**2  # summary and mix
    for out, (molecule, *_), inputs in zip(heads, model.choices(graph), (0, 2)):
        total += len(molecule) * (inputs * H**2 + H**2 + H * out)
    return total


def by_size(model, graph, rounds):
    """Time of a training step by size of the molecules, beside what counting multiplications predicts.

    Both as shares of their mean: the prediction knows nothing of this machine.
    """
    graph, quarter = graph[graph.sizes.argsort()], len(graph) // 4
    parts = [graph[k : k + quarter] for k in range(0, 4 * quarter, quarter)]
    counted = [multiplications(model, part) / len(part) for part in parts]
    took = [1 / rates(model, part, rounds)["training"] for part in parts]
    return [
        {
            "atoms": round(part.sizes.double().mean().item(), 1),
            "bonds": round((part.bonds > 0).sum().item() / 2 / len(part), 1),
            "million_multiplications": round(count / 1e6, 1),
            "predicted": round(count / statistics.mean(counted), 2),
            "measured": round(time / statistics.mean(took), 2),
        }
        for part, count, time in zip(parts, counted, took)
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default 5)")
    parser.add_argument("--samples", type=int, default=1024, help="molecules drawn (default 1024)")
    parser.add_argument("--output", type=Path, default=Path("graphaf_speed.json"), help="where the numbers go")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = checkpoints.pretrained()
    model.sample(64, generator=torch.Generator().manual_seed(1))  # warm up
    took, graph = draw(model.sample, args.samples, 0)
    sampling = {"molecules": round(args.samples / took, 1), "atoms": round(graph.sizes.sum().item() / took)}
    sampling["atoms_per_molecule"] = round(graph.sizes.double().mean().item(), 2)
    result = head("graphaf_speed", rounds=args.rounds, samples=args.samples) | {
        "settings": {"batch": BATCH, "at_once": 512, "H": model.summary.out_features},
        "authors": AUTHORS,
        **rates(model, graph[:256], args.rounds),
        "sampling": sampling,
        "by_size": by_size(model, graph[:1024], args.rounds),
        "work": work(graph[:256]),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    result["sharing"] = sharing(model, graph[:BATCH], args.rounds)  # its copies would be the peak of memory
    result["ratio"] = {name: round(result[name] / AUTHORS[name], 1) for name in ("training", "log_prob")}
    result["ratio"]["atoms"] = round(sampling["atoms"] / AUTHORS["atoms"], 1)
    lines = [[name, AUTHORS[name], result[name], f"{result['ratio'][name]:.0f}x"] for name in ("training", "log_prob")]
    lines.append(["sampling, atoms", AUTHORS["atoms"], sampling["atoms"], f"{result['ratio']['atoms']:.0f}x"])
    table(["a second", "authors", "here", "ratio"], lines)
    table(list(result["by_size"][0]), [list(row.values()) for row in result["by_size"]])
    epoch = result["epoch_minutes"] = round(214_568 / result["training"] / 60, 1)
    print(f"an epoch of ZINC250k's 214,568 training molecules takes {epoch} minutes at this rate")
    print(f"peak memory {result['peak_memory_mb']} MB, {sampling['atoms_per_molecule']} atoms a molecule")
    write(result, args.output)


if __name__ == "__main__":
    main()

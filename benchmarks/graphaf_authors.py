"""What GraphAF's released code does in a CPU second, on one thread: training steps, and likelihoods.

    git clone https://github.com/XuanLin/GraphAF authors     # a copy of it; commit 54bfc54
    python benchmarks/graphaf_authors.py --code authors      # two minutes, 6 GB of memory; writes graphaf_authors.json

Its code is run as it is, with three changes from outside: whatever asks for a GPU stays on the CPU, masks of bytes are
masks of truth values, as today's PyTorch wants them, and the weights of its molecular scores are not read.
Settings are those of its own train_parallel.sh: 12 flow layers, width 128, batch normalization, noise of width 0.9, 32
molecules of at most 38 atoms. The molecules are the same as in graphaf_speed.py, without their charges.

What its sampler draws, and how long that takes, depends on weights, which are not trained here. So the calls are timed
that draw these very molecules, one for each atom and one for each of the twelve bonds asked, without those that it adds
when a valence breaks, and without RDKit, which it asks after every bond: no weights make it faster on these molecules.

Then once more, with one change from inside: of the 416 masked copies of a molecule, its graph network sees equal ones
only once. The function is the same, and so are its gradients.
"""

import argparse
import statistics
import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from _measure import head, seconds, table, write

from hybridlib import checkpoints, noise
from hybridlib.graphs import ATOMS

N, BATCH = 38, 32
ELEMENTS = ("C", "N", "O", "F", "P", "S", "Cl", "Br", "I")  # in the order of the authors
SETTINGS = {
    "num_flow_layer": 12, "nhid": 128, "nout": 128, "gcn_layer": 3, "is_bn": True, "divide_loss": True,
    "st_type": "exp", "deq_coeff": 0.9, "deq_type": "random", "learn_prior": False, "dropout": 0.0,
    "is_bn_before": False, "scale_weight_norm": False, "sigmoid_shift": 2.0, "edge_unroll": 12, "cuda": False,
}  # fmt: skip


def on_the_cpu():
    """Let code that was written for a GPU and for PyTorch 1.2 run here."""
    for kind in (torch.Tensor, torch.nn.Module):
        kind.cuda = lambda self, *_, **__: self
    torch.Tensor.byte = torch.Tensor.bool
    sys.modules["sascorer"] = SimpleNamespace(calculateScore=None)  # unpickles its weights when it is imported


def features(graph):
    """Our molecules as the authors' tensors: atoms (B, N, 9), bonds (B, 4, N, N) with "none" last."""
    kinds = torch.tensor([ELEMENTS.index(kind.rstrip("+-")) if kind else 9 for kind in ATOMS])
    room = N - graph.atoms.shape[1]
    atoms = torch.nn.functional.pad(graph.atoms.long(), (0, room))
    bonds = torch.nn.functional.pad(graph.bonds.long(), (0, room, 0, room))
    nodes = torch.nn.functional.one_hot(kinds[atoms], 10)[..., :9]
    edges = torch.nn.functional.one_hot((bonds - 1) % 4, 4).permute(0, 3, 1, 2)
    return nodes.float(), edges.float()


def each_copy_once(network):
    """Let a graph network (x (B, N, 9), adj (B, E, N, N)) compute equal graphs of a batch once: the same answers."""
    forward, hashes = network.forward, {}

    def once(x, adj):
        rows = torch.cat([x.flatten(1), adj.flatten(1)], 1)
        if not hashes:  # whole numbers, whose sums stay exact: a row holds a few hundred ones, and 2^44 * 2^9 = 2^53
            hashes["of"] = torch.randint(2**44, rows.shape[1:], generator=torch.Generator().manual_seed(0)).double()
        _, which = (rows.double() @ hashes["of"]).unique(return_inverse=True)
        one = which.new_zeros(int(which.max()) + 1).scatter_(0, which, torch.arange(len(which)))
        return forward(x[one], adj[one])[which]

    network.forward = once


@torch.no_grad()
def replay(model, nodes, edges, n):
    """The calls with which the authors' sampler draws a molecule of n atoms: nodes (N, 9), edges (4, N, N)."""
    (atoms, bonds), window = (torch.zeros_like(part)[None] for part in (nodes, edges)), SETTINGS["edge_unroll"]
    for i in range(n):
        model.flow_core.reverse(atoms, bonds, torch.randn(1, 9), 0)
        atoms[0, i] = nodes[i]
        for j in range(max(i - window, 0), i):
            model.flow_core.reverse(atoms, bonds, torch.randn(1, 4), 1, torch.tensor([[j, i]]))
            bonds[0, :, i, j] = bonds[0, :, j, i] = edges[:, i, j]


def main():
    """Time both, print them, write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--code", type=Path, default=None, help="folder of the authors' code")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("graphaf_authors.json"))
    arguments = parser.parse_args()
    if arguments.code is None:
        print("not measured: the authors' code is not here; clone it and name its folder with --code (see --help)")
        return
    torch.set_num_threads(1)
    on_the_cpu()
    sys.path.insert(0, str(arguments.code.resolve()))
    from model import GraphFlowModel  # the authors'

    drawn = checkpoints.pretrained("zinc_exact").sample(64, generator=torch.Generator().manual_seed(0))
    drawn = drawn[drawn.sizes > 0][:BATCH]
    nodes, edges = features(drawn)
    with noise.seeded(0):
        model = GraphFlowModel(N, 9, 4, SETTINGS["edge_unroll"], SimpleNamespace(**SETTINGS))
    start = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3)

    def loss():
        z, log_det, _ = model(nodes, edges)
        return model.log_prob(z, log_det)

    def step():
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    found, seen = {}, []
    model.eval()
    few = range(4)
    for _ in range(arguments.rounds):
        taken = seconds(lambda: [replay(model, nodes[k], edges[k], int(drawn.sizes[k])) for k in few])
        found.setdefault("atoms", []).append(sum(int(drawn.sizes[k]) for k in few) / taken)
    for shared in "", "_shared":
        if shared:
            each_copy_once(model.flow_core.rgcn)
        model.eval()
        with torch.no_grad():
            found["log_prob" + shared] = [BATCH / seconds(loss) for _ in range(arguments.rounds)]
            seen.append(model.flow_core._get_embs(nodes, edges))
        model.train()
        found["training" + shared] = [BATCH / seconds(step) for _ in range(arguments.rounds)]
        model.load_state_dict(start)
    torch.testing.assert_close(*seen)
    rates = {name: round(statistics.median(rounds), 2) for name, rounds in found.items()}
    table(rates, [rates.values()])
    settings = {**SETTINGS, "batch": BATCH, "N": N, "rounds": arguments.rounds}
    about = head("graphaf_authors", code="PATH", rounds=arguments.rounds)
    write({**about, "settings": settings, **rates}, arguments.output)


if __name__ == "__main__":
    main()

"""The distinct sub-graphs of molecules that grow: as many as bonds, computed once each, and distances on the way."""

import networkx
import torch
from shaken import rng, shaken

from hybridlib.graphs import Graph, bfs_order
from hybridlib.molecules import from_smiles
from hybridlib.rgcn import RGCN
from hybridlib.subgraphs import FAR, distances, distinct

MOLECULES = from_smiles(["CC(=O)Nc1ccccc1", "C", "C#N", "C1CC1C2CC2", "C[N+](C)(C)C"], N=11)


def in_random_order(graph, seed):
    graph = graph.permute(bfs_order(graph, generator=rng(seed)))
    return Graph(graph.atoms, graph.bonds.long())


def subgraphs(graph):
    """Every sub-graph of every molecule, from its first atom on, bond by bond -> (atoms, bonds), padded."""
    for atoms, bonds in zip(graph.atoms, graph.bonds):
        made, size = torch.zeros_like(bonds), 1
        yield atoms.where(torch.arange(len(atoms)) < size, 0), made.clone()
        for i, j in bonds.tril().nonzero().tolist():
            made[i, j] = made[j, i] = bonds[i, j]
            size = i + 1
            yield atoms.where(torch.arange(len(atoms)) < size, 0), made.clone()


def test_every_subgraph_has_the_embeddings_of_the_whole_network():
    """In the rows that are kept from sub-graph to sub-graph as in those that are computed anew."""
    net, graph = shaken(RGCN(8, 6, layers=3)), in_random_order(MOLECULES, 1)
    found, h = distinct(graph, 8, 3), net.embed.weight
    for layer, (own, message, hearer) in enumerate(found.rounds):
        h = net.gather(layer, h, own, message, hearer)
    atoms, bonds = map(torch.stack, zip(*subgraphs(graph)))
    there = atoms > 0
    assert torch.equal(found.last, there.sum(1) - 1)
    assert torch.allclose(h[found.rows][there], net(atoms, bonds)[there], atol=1e-12)
    # most rows are not computed anew
    assert len(found.rounds[0][0]) < len(found.rounds[2][0]) < there.sum()


def test_decisions_find_the_subgraph_before_them():
    graph = in_random_order(MOLECULES, 2)
    found, start = distinct(graph, 8, 1), 0
    for b in range(len(graph)):
        made = [(i, j) for i, j in graph.bonds[b].tril().nonzero().tolist()]
        for i in range(12):
            assert found.for_atom[b, i] == start + sum(u < i for u, _ in made)
            for j in range(min(i, 11) if i < 11 else 0):
                assert found.for_bond[b, i, j] == start + sum(bond < (i, j) for bond in made)
        for k, (i, _) in enumerate(made, 1):
            assert found.last[start + k] == i and found.first[start + k] == min(v for u, v in made if u == i)
        start += len(made) + 1
    assert start == len(found.last)


def test_distances_are_shortest_paths_so_far():
    graph = from_smiles(["C1CC2CCC1CC2", "c1ccc2ccccc2c1"])
    graph = graph.permute(bfs_order(graph, generator=rng()))
    found = distances(graph.bonds.long())
    for b in range(2):
        n = int(graph.sizes[b])
        for i in range(n):
            for j in range(i):
                edges = [(u, v) for u in range(i + 1) for v in range(u) if graph.bonds[b, u, v] and (u, v) < (i, j)]
                paths = networkx.Graph(edges)
                paths.add_nodes_from(range(n))
                far = networkx.shortest_path_length(paths, i, j) if networkx.has_path(paths, i, j) else FAR
                assert found[b, i, j] == min(far, FAR)

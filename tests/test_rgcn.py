"""The relational graph convolution: equal to a loop over bonds, and blind to the numbering of atoms."""

import torch
from shaken import rng, shaken

from hybridlib.molecules import from_smiles
from hybridlib.rgcn import RGCN

GRAPH = from_smiles(["CC(=O)Nc1ccccc1", "C#N", "C[N+](C)(C)C"], N=11)
NET = shaken(RGCN(8, 6, layers=3))


def test_equals_a_loop_over_bonds():
    expected = torch.zeros(3, 11, 6, dtype=torch.float64)
    for b in range(3):
        h = {v: NET.embed.weight[int(code)] for v, code in enumerate(GRAPH.atoms[b]) if code}
        for layer, bias in zip(NET.layers, NET.biases):
            own, *by_order = layer.weight.chunk(4)
            new = {}
            for v in h:
                total = own @ h[v] + bias
                for u in h:
                    if order := int(GRAPH.bonds[b, v, u]):
                        total = total + by_order[order - 1] @ h[u]
                new[v] = h[v] + total.relu()
            h = new
        for v in h:
            expected[b, v] = h[v]
    assert torch.allclose(NET(GRAPH.atoms, GRAPH.bonds), expected, atol=1e-12)


def test_permuting_atoms_permutes_embeddings():
    order = torch.stack([torch.randperm(11, generator=rng(k)) for k in range(3)])
    permuted = GRAPH.permute(order)
    h = NET(GRAPH.atoms, GRAPH.bonds)
    expected = h.gather(1, order.unsqueeze(-1).expand_as(h))
    assert torch.allclose(NET(permuted.atoms, permuted.bonds), expected, atol=1e-12)


def test_every_bond_order_matters():
    h = NET(GRAPH.atoms, GRAPH.bonds)
    for order in (1, 2, 3):
        fewer = torch.where(GRAPH.bonds == order, 0, GRAPH.bonds)
        assert not torch.allclose(NET(GRAPH.atoms, fewer), h)


def test_padding_is_zero_and_changes_nothing():
    wide = from_smiles(["CC(=O)Nc1ccccc1", "C#N", "C[N+](C)(C)C"], N=20)
    h = NET(wide.atoms, wide.bonds)
    assert not h[:, 11:].any()
    assert torch.allclose(h[:, :11], NET(GRAPH.atoms, GRAPH.bonds), atol=1e-12)


def test_a_list_of_atoms_hears_the_same():
    """Every atom of every graph, one under another, with the messages of its neighbours in a bag."""
    h = NET(GRAPH.atoms, GRAPH.bonds)
    listed = NET.embed(GRAPH.atoms.flatten())
    own = GRAPH.atoms.flatten().nonzero().flatten().flip(0)  # in any order
    linked = torch.block_diag(*GRAPH.bonds.long())[own]  # (T, M)
    bags = [torch.cat([v[None] * 4, (u := row.nonzero().flatten()) * 4 + row[u]]) for v, row in zip(own, linked)]
    to = torch.arange(len(bags)).repeat_interleave(torch.tensor([*map(len, bags)]))
    for layer in range(3):
        listed = listed.index_copy(0, own, NET.gather(layer, listed, own, torch.cat(bags), to))
    assert torch.allclose(listed[own], h.flatten(0, 1)[own], atol=1e-12)

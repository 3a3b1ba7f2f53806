"""The trained networks that come with the library load, draw molecules, and say where they are from."""

import pytest
import torch
from shaken import rng

from hybridlib import checkpoints, train
from hybridlib.graphaf import GraphAF
from hybridlib.made import MADE
from hybridlib.molecules import from_smiles, to_smiles

FILES = sorted(checkpoints.FOLDER.glob("*.safetensors"))


def test_there_is_one():
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_draws_molecules_and_knows_its_training(path):
    model = checkpoints.pretrained(path.stem)
    assert not model.training and path.stat().st_size < 4e6
    graph = model.sample(200, generator=rng())
    smiles = to_smiles(graph)
    assert sum(text is not None for text in smiles) > 160
    assert 20 < graph.sizes.double().mean() < 26, "ZINC250k has 23 atoms"
    aspirin, other = (
        model.log_prob(from_smiles([text], A=model.A, N=model.N)) for text in ("CC(=O)Oc1ccccc1C(=O)O", "FN=NOSI")
    )
    assert aspirin > other + 10
    curve = train.meta(path)["member"]["curve"]
    assert len(curve) == train.meta(path)["settings"]["epochs"] and curve[-1]["valid"] < curve[0]["valid"]
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values()) and torch.is_grad_enabled()


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="no checkpoint 'graphaf', nor a file of this name; there are zinc_exact"):
        checkpoints.pretrained("graphaf")
    with pytest.raises(ValueError, match="there is no checkpoint 'aaa") as error:
        checkpoints.pretrained("a" * 5000)
    assert len(str(error.value)) < 400
    for odd in (None, 5, b"zinc_exact", ["zinc_exact"]):
        with pytest.raises(ValueError, match=f"a name or a path, got {type(odd).__name__}"):
            checkpoints.pretrained(odd)


def test_no_way_out_of_the_folder(tmp_path, monkeypatch):
    """A name is a name: it is not glued to a folder, from which dots would lead anywhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoints, "FOLDER", tmp_path / "inside" / "checkpoints")
    train.save(GraphAF(H=4), tmp_path / "x.safetensors")
    for name in ("../../x", str(tmp_path / "x"), "", ".", "../x.safetensors"):
        with pytest.raises(ValueError, match="there is no checkpoint"):
            checkpoints.pretrained(name)


def test_a_file_of_ones_own(tmp_path):
    model, path = GraphAF(3, 5, H=8, reading="categorical", masked=True), tmp_path / "mine.safetensors"
    train.save(model, path)
    for name in (path, str(path)):
        mine = checkpoints.pretrained(name)
        assert (mine.A, mine.N, mine.reading, mine.masked) == (3, 5, "categorical", True) and not mine.training
        assert all(torch.equal(a, b) for a, b in zip(mine.state_dict().values(), model.state_dict().values()))
    train.save(MADE(4, (8,)), path)
    with pytest.raises(ValueError, match=r"mine.safetensors holds a MADE, not a GraphAF; read it with train.load"):
        checkpoints.pretrained(path)

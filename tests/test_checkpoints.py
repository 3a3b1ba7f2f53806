"""The trained networks that come with the library load, draw molecules, and say where they are from."""

import pytest
import torch
from shaken import rng

from hybridlib import checkpoints, train
from hybridlib.molecules import from_smiles, to_smiles

FILES = sorted(checkpoints.FOLDER.glob("*.safetensors"))


def test_there_is_one():
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_draws_molecules_and_knows_its_training(path):
    model = checkpoints.graphaf(path.stem)
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
    with pytest.raises(ValueError, match="there is no checkpoint 'graphaf'; there are zinc_exact"):
        checkpoints.graphaf("graphaf")

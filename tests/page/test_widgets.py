"""The book's explorers: what each one carries into a page, and what it refuses."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from hybridlib import flows, graphs, molecules
from hybridlib.graphaf import READINGS, GraphAF
from hybridlib.page import widgets
from hybridlib.page.explorer import rounded
from hybridlib.transformer import Transformer

OPTIONS = [{"text": "yes", "why": "because", "correct": True}, {"text": "no", "why": "it is not"}]
QUESTION = {"question": "Is it?", "options": OPTIONS}
NODES = [
    {"id": "a", "label": "A", "x": 0, "y": 0, "text": "first"},
    {"id": "b", "label": "B", "x": 9, "y": 9, "text": ""},
]

CHAPTERS = sorted(path.stem for path in (Path(widgets.__file__).parent / "quizzes").iterdir())
NOTEBOOKS = {path.stem: path.read_text("utf-8") for path in (Path(__file__).parents[2] / "book").glob("*.ipynb")}


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_quiz_of_a_chapter_is_as_its_file_says_and_in_its_notebook(chapter):
    asked = widgets.questions(chapter)
    data = widgets.quiz(chapter).data
    assert len(data["questions"]) == len(asked) >= 4
    for shown, item in zip(data["questions"], asked):
        assert [option["correct"] for option in shown["options"]].count(True) == 1
        assert all(option["why"] and option["text"] for option in shown["options"])
        assert len(shown["options"]) == len(item["options"]) >= 2
    assert f'widgets.quiz(\\"{chapter}\\")' in NOTEBOOKS[chapter], "the quiz is data beside the notebook"


def test_every_notebook_that_asks_has_a_file():
    assert {name for name, text in NOTEBOOKS.items() if "widgets.quiz(" in text} == {*CHAPTERS}
    with pytest.raises(ValueError, match=r"no chapter 'maid' has a quiz; those that have one are .* made, "):
        widgets.quiz("maid")


@pytest.mark.parametrize(
    "questions, complaint",
    [
        ([{"question": "", "options": OPTIONS}], r"question 1 \(''\)"),
        ([{"options": OPTIONS}], r"question 1 \(None\)"),
        ([{"question": "Is it?"}], "0 options"),
        ([{"question": "Is it?", "options": OPTIONS[:1]}], "1 options"),
        ([{"question": "Is it?", "options": [OPTIONS[0], OPTIONS[0]]}], "2 of them correct"),
        ([QUESTION, {"question": "Is it?", "options": [OPTIONS[1], OPTIONS[1]]}], "question 2 .* 0 of them correct"),
        ([{"question": "Is it?", "options": [OPTIONS[0], {"text": "no"}]}], "text and why"),
        ([{"question": "Is it?", "options": [OPTIONS[0], {"text": False, "why": "as YAML reads a bare no"}]}], "words"),
        ([{"question": "Is it?", "options": [OPTIONS[0], OPTIONS[1] | {"reason": "x"}]}], "text and why"),
    ],
)
def test_quiz_refuses(questions, complaint):
    with pytest.raises(ValueError, match=complaint):
        widgets.quiz(questions)


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ({"D": 1}, "D=1"),
        ({"D": 9}, "D=9"),
        ({"hidden": ()}, "one or two layers"),
        ({"hidden": (3, 3, 3)}, "one or two layers"),
        ({"hidden": (13,)}, "1 to 12 units"),
        ({"D": 3, "order": [0, 1, 1]}, "nor a permutation of 0..2"),
        ({"order": "backwards"}, "order='backwards'"),
        ({"degrees": "odd"}, r"degrees='odd' \(even, random, sequential\)"),
        ({"masks": "none"}, r"masks='none' \(made, inclusive, article\)"),
        ({"start": 2}, "start=2: variables are counted from 0 or from 1"),
    ],
)
def test_mask_explorer_refuses(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        widgets.mask_explorer(**arguments)


@pytest.mark.parametrize(
    "nodes, edges, complaint",
    [
        ([NODES[0], NODES[0]], [], "an id of its own"),
        ([NODES[0] | {"x": 101}], [], r"x and y in 0\.\.100"),
        ([NODES[0] | {"family": "cousin"}], [], "as family one of"),
        (NODES, [{"source": "a", "target": "c", "text": ""}], r"two of the nodes \['a', 'b'\]"),
    ],
)
def test_model_map_refuses(nodes, edges, complaint):
    with pytest.raises(ValueError, match=complaint):
        widgets.model_map(nodes, edges)


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ({"p": [1.0]}, "8 to 8 of them"),
        ({"p": [0.2] * 8}, "sum to one"),
        ({"p": [-0.1, 0.3, *[0.8 / 6] * 6]}, "non-negative"),
        ({"q": [0.0, *[1 / 7] * 7]}, "must be positive"),
    ],
)
def test_likelihood_explorer_refuses(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        widgets.likelihood_explorer(**arguments)


SMALL = {"T": 6, "K": 3, "width": 8, "layers": 1, "heads": 2}


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ({"symbols": "ab"}, "3 different texts"),
        ({"symbols": "aba"}, "3 different texts"),
        ({"symbols": ["a", "b", ""]}, "none of them empty"),
        ({"shape": (2, 2)}, "picture of the model's 6 symbols"),
        ({"shape": (6,)}, "height and width"),
        ({"start": [0] * 7}, "at most 6 of"),
        ({"start": [3]}, r"of 0\.\.2"),
        ({"start": [2, 0]}, r"none after an end \(2\)"),
        ({"bits": 12}, "8 or 16 bits"),
        ({"model": nn.Linear(2, 2)}, "runs hybridlib.transformer.Transformer, not a Linear"),
        ({"model": Transformer(6, 3, width=200, layers=1, heads=2)}, "a smaller network"),
    ],
)
def test_sampling_stepper_refuses(arguments, complaint):
    arguments = {"model": Transformer(**SMALL, end=2), "symbols": "abc"} | arguments
    with pytest.raises(ValueError, match=complaint):
        widgets.sampling_stepper(**arguments)


def decoder(*layers, pixels=12):
    return nn.Sequential(nn.Linear(2, 5), *layers, nn.Linear(5, pixels))


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ({"decoder": nn.Linear(2, 12)}, r"the page runs nn\.Sequential .*; not Linear"),
        ({"decoder": decoder(nn.GELU())}, "GELU"),
        ({"decoder": decoder(nn.Tanh(), nn.Linear(5, 5), nn.ReLU())}, "one of ReLU"),
        ({"decoder": nn.Sequential(nn.Linear(2, 12), nn.ReLU())}, "and, between"),
        ({"decoder": decoder(nn.ReLU(), pixels=13)}, r"height times width of shape=\(3, 4\)"),
        ({"decoder": nn.Sequential(nn.Linear(3, 12))}, "from 2 codes"),
        ({"decoder": decoder(nn.ReLU(), pixels=60_000), "shape": (200, 300)}, "a smaller network"),
        ({"decoder": nn.Sequential(nn.Linear(2, 784, bias=False)), "shape": (28, 28)}, r"Linear \(with bias\)"),
        ({"decoder": decoder(nn.Softplus(beta=2.0))}, r"Softplus\(1\)"),
        ({"start": (0, 4)}, "within -3.0..3.0"),
        ({"start": (0,)}, "two numbers"),
        ({"points": torch.zeros(501, 2)}, "at most 500"),
        ({"points": torch.zeros(5, 3)}, "pairs"),
        ({"points": [[0.0, float("nan")]]}, "finite"),
        ({"points": torch.zeros(5, 2), "labels": [1, 2]}, "2 labels for 5 points"),
        ({"labels": [1, 2]}, "2 labels for 0 points"),
        ({"points": torch.zeros(11, 2), "labels": range(11)}, "at most ten kinds"),
        ({"points": torch.zeros(1, 2), "labels": ["cat"]}, "one or two characters"),
    ],
)
def test_latent_explorer_refuses(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        widgets.latent_explorer(**{"decoder": decoder(nn.ReLU()), "shape": (3, 4)} | arguments)


def test_a_decoder_of_pictures_fits_with_its_points():
    model = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 784))
    explorer = widgets.latent_explorer(model, points=torch.randn(500, 2).numpy(), labels=torch.arange(500) % 10)
    assert explorer.data["kinds"] == list("0123456789") and explorer.data["labels"][:3] == [0, 1, 2]


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ({"scale": 0}, r"scale=0 is not within 0\.6\.\.2"),
        ({"bend": -1}, r"bend=-1 is not within -0\.9\.\.1\.5"),
        ({"bend": float("nan")}, "bend=nan"),
        ({"x": 4}, r"x=4 is not within -3\.\.3"),
    ],
)
def test_flow_explorer_refuses(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        widgets.flow_explorer(**arguments)


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ({"flow": flows.maf(2, 2, (8,))}, r"Coupling layers with Affine maps .*; not Flow"),
        ({"flow": flows.realnvp(3, 2, (8,))}, "a Flow of two variables"),
        ({"flow": flows.realnvp(2, 2, (8,), context=1)}, "without context"),
        ({"flow": flows.realnvp(2, 2, (8,), univariate=flows.Spline())}, "with Affine maps"),
        ({"flow": flows.Flow(2, [])}, "such as realnvp"),
        ({"flow": nn.Linear(2, 2)}, "; not Linear"),
        (
            {"flow": flows.Flow(2, [*flows.realnvp(2, 1, (8,)).transforms, *flows.realnvp(2, 1).transforms])},
            "one depth",
        ),
        ({"points": torch.zeros(501, 2)}, "at most 500"),
        ({"points": torch.zeros(5, 3)}, "pairs"),
        ({"points": [[0.0, float("nan")]]}, "finite"),
        ({"start": (0, 4)}, "within -3.5..3.5"),
        ({"start": (0,)}, "two numbers"),
    ],
)
def test_warp_explorer_refuses(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        widgets.warp_explorer(**{"flow": flows.realnvp(2, 2, (8,)), "points": torch.zeros(3, 2)} | arguments)


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ({"truth": [1.0]}, "2 to 8 of them"),
        ({"truth": [0.5, 0.4]}, "sum to one"),
        ({"truth": [1.0, 0.0]}, "positive"),
        ({"truth": [float("nan"), 1.0]}, "positive"),
        ({"width": 0}, r"width=0 is not within 0\.1\.\.1"),
        ({"width": 1.5}, r"width=1\.5 is not within"),
        ({"components": 6}, "components=6"),
    ],
)
def test_dequantization_explorer_refuses(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        widgets.dequantization_explorer(**arguments)


def test_where_the_sliders_of_chapters_7_and_8_start():
    assert widgets.flow_explorer(bend=1.5, x=-3).data["start"] == {"scale": 1.0, "bend": 1.5, "x": -3.0}
    data = widgets.dequantization_explorer([0.25, 0.75], width=0.1, components=5).data
    assert data["truth"] == [0.25, 0.75] and data["start"] == {"width": 0.1, "components": 5}
    assert sum(widgets.dequantization_explorer().data["truth"]) == pytest.approx(1)


def test_molecule_explorer_carries_the_graphs_of_the_library():
    smiles = ["CC(=O)Nc1ccccc1", "C[N+](=O)[O-]", "C"]
    graph = molecules.from_smiles(smiles)
    data = widgets.molecule_explorer(smiles).data
    assert [shown["smiles"] for shown in data["molecules"]] == smiles
    for row, shown in enumerate(data["molecules"]):
        n = graph.sizes[row]
        assert len(shown["places"]) == len(shown["names"]) == n
        assert shown["codes"] == graph.atoms[row, :n].tolist() and shown["bonds"] == graph.bonds[row, :n, :n].tolist()
        assert shown["free"] == graph.free_valence[row, :n].tolist()
    assert sorted(data["molecules"][1]["names"]) == ["C", "N+", "O", "O\u2212"]
    assert data["alphabet"]["names"][:7] == ["", "C", "N", "O", "F", "N+", "O\u2212"] and data["alphabet"]["most"] == 24
    assert data["alphabet"]["valence"] == graphs.VALENCE.tolist()


@pytest.mark.parametrize(
    "smiles, options, complaint",
    [
        ([], {}, "at least one molecule"),
        ("CCO", {}, "a list of strings"),
        (["C(C"], {}, "RDKit cannot read it"),
        (["CCO", "CCO"], {}, "must differ"),
        (["C" * 25], {}, "more than 24 atoms"),
        (["C" * 1000], {}, r"\.\.\. \(1,000 characters\) has more than 24 atoms"),
        (None, {}, "a list of strings, got NoneType None"),
        (["CCO"], {"alt": "molecule"}, "too short"),
    ],
)
def test_molecule_explorer_refuses(smiles, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        widgets.molecule_explorer(smiles, **options)


def decision(i, j, chosen, K, drawn=None):
    p, y = [1 / K] * K, [0.5] * (K - 1) + [float("-inf")]
    return {"i": i, "j": j, "p": p, "y": y, "drawn": chosen if drawn is None else drawn, "chosen": chosen,
            "possible": [True] * K}  # fmt: skip


TRACE = [decision(0, None, 1, 5), decision(1, None, 3, 5), decision(1, 0, 2, 4, drawn=3), decision(2, None, 0, 5)]


def test_generation_explorer_carries_the_decisions_and_the_molecule():
    invalid = [decision(0, None, 3, 5), decision(1, None, 1, 5), decision(1, 0, 3, 4)]
    data = widgets.generation_explorer([TRACE, invalid], labels=["a", "b"]).data
    assert [shown["smiles"] for shown in data["traces"]] == ["C=O", None]
    assert [len(shown["places"]) for shown in data["traces"]] == [2, 2]
    assert data["traces"][0]["steps"][2] == TRACE[2] | {"y": [0.5, 0.5, 0.5, None]}
    json.dumps(data, allow_nan=False)


@pytest.mark.parametrize(
    "traces, options, complaint",
    [
        ([], {}, "0 traces: take lists of decisions"),
        (TRACE, {}, "take lists of decisions"),
        ([TRACE, []], {}, "take lists of decisions"),
        ([TRACE], {"labels": "ab"}, "2 labels for 1 traces"),
        ([TRACE], {"alt": "molecule"}, "too short"),
    ],
)
def test_generation_explorer_refuses(traces, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        widgets.generation_explorer(traces, **options)


@pytest.mark.parametrize("reading", READINGS)
def test_generation_explorer_carries_a_model(reading):
    model = GraphAF(4, 12, H=64, reading=reading)
    trace = []
    model.sample(1, generator=torch.Generator().manual_seed(0), trace=trace)
    data = widgets.generation_explorer([trace], model=model).data
    assert data["network"]["weights"].keys() == dict(model.named_parameters()).keys()
    for carried, step in zip(data["traces"][0]["steps"], trace):
        assert carried["log"] == pytest.approx(math.log(step["p"][step["chosen"]]), abs=1e-4)
    assert len(json.dumps(data["network"], allow_nan=False)) < 160_000  # characters in the page
    assert "network" not in widgets.generation_explorer([trace]).data


@pytest.mark.parametrize(
    "model, complaint",
    [
        (nn.Linear(2, 2), "runs hybridlib.graphaf.GraphAF, not a Linear"),
        (GraphAF(4, 12, H=128), "a smaller network"),
        (GraphAF(2, 12, H=8), "5 outcomes for atom 1, the model 3"),
        (GraphAF(5, 12, H=8), "5 outcomes for atom 1, the model 6"),
        (GraphAF(4, 2, H=8), "for atom 3, the model 5, for at most 2 atoms"),
    ],
)
def test_generation_explorer_refuses_models(model, complaint):
    with pytest.raises(ValueError, match=complaint):
        widgets.generation_explorer([TRACE], model=model)


def test_a_decision_of_no_probability_has_no_logarithm():
    impossible = [{**TRACE[0], "p": [0.0] * 5}]
    model = GraphAF(4, 12, H=8)
    assert widgets.generation_explorer([impossible], model=model).data["traces"][0]["steps"][0]["log"] is None


def test_explorers_take_tensors_of_any_device(device):
    decoder = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4))
    points, labels = torch.tensor([[0.5, -1.0], [2.0, 0.25]]), torch.tensor([3, 1])
    expected = widgets.latent_explorer(decoder, points=points, labels=labels, shape=(2, 2)).data
    there = points.to(device).requires_grad_()
    found = widgets.latent_explorer(decoder.to(device), points=there, labels=labels.to(device), shape=(2, 2)).data
    assert found == expected
    assert next(rounded(decoder).parameters()).device == device
    assert (
        widgets.latent_explorer(decoder.bfloat16(), shape=(2, 2)).data["weights"].keys() == expected["weights"].keys()
    )
    p = torch.full((8,), 0.125, device=device)
    assert widgets.likelihood_explorer(p, p).data["p"] == [0.125] * 8
    assert widgets.dequantization_explorer(p).data["truth"] == [0.125] * 8
    flow = flows.realnvp(2, 2, (8,))
    expected = widgets.warp_explorer(flow, points).data
    assert widgets.warp_explorer(flow.to(device), there).data == expected


def test_molecules_come_from_an_iterator_as_well():
    assert widgets.molecule_explorer(iter(["CCO", "CC"])).data == widgets.molecule_explorer(["CCO", "CC"]).data

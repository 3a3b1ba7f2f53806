"""The explorers of the book: small interactive figures, each one call in one cell. Used in every chapter.

They live in the static page, in Jupyter and in Colab; `explorer.Explorer` says how. Each raises `ValueError` for what
it could not show, and says what it takes; texts may use the tags of `explorer.markup`.
"""

import math
from collections.abc import Iterable, Sequence
from importlib.resources import files

import torch
import yaml
from torch import Tensor, nn

from .. import graphs
from ..flows import Affine, Coupling, Flow
from ..graphaf import GraphAF
from ..transformer import Transformer
from .explorer import Explorer, markup, packed
from .viz import check_alt, places

FAMILIES = ("ar", "ae", "hybrid", "flow", "other")
ACTIVATIONS = (nn.ReLU, nn.Tanh, nn.SiLU, nn.Softplus)
MOST_POINTS = 500  # more would hide each other
MOST_LISTED = 24  # more rows of a matrix cannot be read


def questions(chapter: str) -> list[dict]:
    """The quiz of a chapter as it stands in its file, `quizzes/CHAPTER.yml`.

    >>> sorted(questions("made")[0])
    ['options', 'question']
    """
    there = {file.name.removesuffix(".yml"): file for file in (files(__package__) / "quizzes").iterdir()}
    if chapter not in there:
        raise ValueError(f"no chapter {chapter!r} has a quiz; those that have one are {', '.join(sorted(there))}")
    return yaml.safe_load(there[chapter].read_text("utf-8"))


def quiz(asked: str | list[dict], *, title: str = "Check yourself") -> Explorer:
    """Self-check quiz without a kernel: every option, when chosen, says why it is right or wrong.

    asked: the name of a chapter (see `questions`), or a list of dicts as its file holds: a question and two or more
    options, each with text and why; exactly one is correct.

    >>> quiz("made").data["questions"][0]["options"][0]["correct"]
    True
    """
    cleaned = []
    for number, item in enumerate(questions(asked) if isinstance(asked, str) else asked, 1):
        options = [{"correct": False} | option for option in item.get("options") or []]
        known = {*item} == {"question", "options"} and all({*o} == {"text", "why", "correct"} for o in options)
        texts = [item.get("question"), *(option.get(key) for option in options for key in ("text", "why"))]
        right = [option["correct"] for option in options].count(True)
        if not known or not all(isinstance(text, str) and text for text in texts) or len(options) < 2 or right != 1:
            raise ValueError(
                f"question {number} ({item.get('question')!r}) has {len(options)} options, {right} of them correct; it "
                "needs the keys question and options: two or more of text and why (words), one with correct: true"
            )
        options = [option | {key: markup(option[key]) for key in ("text", "why")} for option in options]
        cleaned.append({"question": markup(item["question"]), "options": options})
    return Explorer("quiz", {"title": title, "questions": cleaned})


def mask_explorer(
    D: int = 5, hidden: Sequence[int] = (7,), *, order: str | Sequence[int] = "natural", degrees: str = "even",
    masks: str = "made", direct: bool = False, seed: int = 0, start: int = 1, title: str = "Mask explorer",
) -> Explorer:  # fmt: skip
    """MADE's masks, drawn: choose the sizes and the order, point at an output, see which inputs reach it.

    D: number of variables (2 to 8). hidden: sizes of one or two hidden layers (1 to 12 each). order: "natural",
    "reversed", "random", or a permutation in which order[t] is the variable generated at step t. degrees: "even" (the
    library's), "random" or "sequential". masks: "made", "inclusive" (`>=` at the output layer) or "article" (inclusive
    lower triangle from inputs to outputs, hidden layers bypassed). start: 0 counts variables and degrees as code
    does, 1 as formulas do.

    >>> mask_explorer(3, order=[2, 0, 1]).data["settings"]["order"]
    [2, 0, 1]
    """
    order = order if isinstance(order, str) else [int(v) for v in order]
    if not 2 <= D <= 8 or len(hidden) not in (1, 2) or not all(1 <= h <= 12 for h in hidden):
        raise ValueError(f"D={D}, hidden={hidden}: the explorer draws D = 2 to 8, one or two layers of 1 to 12 units")
    if order not in ("natural", "reversed", "random") and sorted(order) != [*range(D)]:
        raise ValueError(f"order={order!r} is neither natural, reversed, random nor a permutation of 0..{D - 1}")
    if degrees not in ("even", "random", "sequential") or masks not in ("made", "inclusive", "article"):
        raise ValueError(f"degrees={degrees!r} (even, random, sequential), masks={masks!r} (made, inclusive, article)")
    if start not in (0, 1):
        raise ValueError(f"start={start!r}: variables are counted from 0 or from 1")
    settings = {"D": D, "hidden": [*hidden], "order": order, "degrees": degrees, "masks": masks}
    settings |= {"direct": direct, "seed": seed, "start": start}
    return Explorer("mask_explorer", {"title": title, "settings": settings})


def model_map(nodes: list[dict], edges: list[dict], *, title: str = "Map of the models") -> Explorer:
    """Interactive graph of models: select one to read what it is, what it shares with its parents and what changed.

    nodes: list of dicts with id, label, x and y (0 to 100), text, and optionally family ("ar", "ae", "hybrid", "flow")
    and href (the chapter's page). edges: list of dicts with source and target (ids; the parent first) and text (what is
    shared, what changed).

    >>> model_map([{"id": "made", "label": "MADE", "x": 0, "y": 0, "text": "`masks`"}], []).data["nodes"][0]["text"]
    '<code>masks</code>'
    """
    ids = [node["id"] for node in nodes]
    for node in nodes:
        inside = all(0 <= node[axis] <= 100 for axis in "xy")
        if not inside or node.get("family", "other") not in FAMILIES or ids.count(node["id"]) > 1:
            raise ValueError(f"node {node} needs an id of its own, x and y in 0..100, and as family one of {FAMILIES}")
    for edge in edges:
        if not {edge["source"], edge["target"]} <= {*ids}:
            raise ValueError(f"edge {edge} needs as source and target two of the nodes {ids}")
    nodes, edges = ([part | {"text": markup(part["text"])} for part in parts] for parts in (nodes, edges))
    return Explorer("model_map", {"title": title, "nodes": nodes, "edges": edges})


def _probabilities(name, values, least, most, *, positive):
    values = [float(v) for v in values]
    fine = all(v > 0 or (v == 0 and not positive) for v in values)
    if not fine or not least <= len(values) <= most or abs(sum(values) - 1) > 1e-6:
        kind = "positive" if positive else "non-negative"
        raise ValueError(f"{name}={values} must be {kind} probabilities that sum to one, {least} to {most} of them")
    return values


def _in_reach(**sliders):
    """Where sliders start, as floats: name=(value, lowest, highest)."""
    for name, (value, low, high) in sliders.items():
        if not low <= value <= high:
            raise ValueError(f"{name}={value} is not within {low}..{high}, the reach of its slider")
    return {name: float(value) for name, (value, _, _) in sliders.items()}


def likelihood_explorer(
    p: Iterable[float] = (0.30, 0.05, 0.05, 0.10, 0.05, 0.10, 0.05, 0.30), q: Iterable[float] = (1 / 8,) * 8,
    *, title: str = "Likelihood explorer",
) -> Explorer:  # fmt: skip
    """Move a model's probabilities q against the data's p, over three coins: NLL = H(p) + KL(p || q), in nats and bits.

    p, q: eight probabilities each, of the states 000, 001, ..., 111; no q is zero, which would make the NLL infinite.

    >>> likelihood_explorer().data["q"][0]
    0.125
    """
    p, q = _probabilities("p", p, 8, 8, positive=False), _probabilities("q", q, 8, 8, positive=True)
    return Explorer("likelihood_explorer", {"title": title, "p": p, "q": q})


def sampling_stepper(
    model: Transformer, symbols: Iterable[str], *, shape: Sequence[int] | None = None, start: Iterable[int] = (),
    seed: int = 0, bits: int = 8, title: str = "Step by step",
) -> Explorer:  # fmt: skip
    """Run a Transformer in the page: see p(x_t | x_<t), choose or draw x_t, watch the log-likelihood (nats, bits).

    The page computes with `rounded(model, bits=bits)`. symbols: a text for each of the K symbols. shape: (height,
    width) draws the sequence as a picture, row by row, symbol 0 black and symbol K - 1 white; without it, it is shown
    as text. start: the first symbols (numbers), which the reader finds there. seed: of the first draws.

    >>> sampling_stepper(Transformer(4, 2, width=8, layers=1), "ab", start=[1]).data["start"]
    [1]
    """
    if type(model) is not Transformer:
        raise ValueError(f"the page runs hybridlib.transformer.Transformer, not a {type(model).__name__}")
    symbols, start = [str(symbol) for symbol in symbols], [int(symbol) for symbol in start]
    data = {"T": model.T, "K": model.K, "heads": model.heads, "end": model.end, "layers": len(model.blocks)}
    if not len(symbols) == len({*symbols} - {""}) == model.K:
        raise ValueError(f"symbols={symbols}: the model needs {model.K} different texts, none of them empty")
    if shape is not None and (len(shape) != 2 or math.prod(shape) != model.T):
        raise ValueError(f"shape={shape} is not the height and width of a picture of the model's {model.T} symbols")
    if len(start) > model.T or not {*start} <= {*range(model.K)} or model.end in start[:-1]:
        raise ValueError(f"start={start}: take at most {model.T} of 0..{model.K - 1}, none after an end ({model.end})")
    data |= {"shape": shape and [*shape], "start": start, "title": title, "symbols": symbols, "seed": seed}
    return Explorer("sampling_stepper", data | {"weights": packed(model, bits)})


def _is_mlp(network: nn.Module, activations: Sequence[type]) -> bool:
    """Is it nn.Sequential of Linear (with bias) and, between, one of these activations with its defaults?"""
    layers = [*network.children()]
    activation = type(layers[1]) if len(layers) > 1 else activations[0]
    known = [activation if i % 2 else nn.Linear for i in range(len(layers) | 1)]  # the last is Linear
    known = [type(layer) for layer in layers] == known and activation in activations
    return known and all(getattr(part, "bias", 0) is not None and getattr(part, "beta", 1) == 1 for part in layers)


def _pairs(points: Tensor) -> list[list[float]]:
    """Points of a plane, (N, 2), as a page carries them."""
    points = torch.as_tensor(points).detach().cpu().float()
    if points.shape[1:] != (2,) or len(points) > MOST_POINTS or not points.isfinite().all():
        raise ValueError(f"points {tuple(points.shape)} must be at most {MOST_POINTS} finite pairs, (N, 2)")
    return [[round(v, 2) for v in pair] for pair in points.tolist()]


def latent_explorer(
    decoder: nn.Sequential, *, points: Tensor | None = None, labels: Iterable = (), shape: Sequence[int] = (28, 28),
    reach: float = 3.0, start: Sequence[float] = (0, 0), title: str = "A latent space",
) -> Explorer:  # fmt: skip
    """Move a point z through a latent space of two dimensions and see the picture that the decoder makes of it.

    decoder: `nn.Sequential` of `nn.Linear` and one kind of activation (ReLU, Tanh, SiLU, Softplus) between them, from z
    to the logits of prod(shape) Bernoulli pixels; the page computes with 16 bits a weight. points: codes of data (N, 2)
    for the map, N <= 500, with labels (N): at most ten kinds of one or two characters, such as digits. reach: the map
    shows -reach..reach on both axes. start: z at first.

    >>> latent_explorer(nn.Sequential(nn.Linear(2, 9)), shape=(3, 3), points=torch.zeros(1, 2)).data["points"]
    [[0.0, 0.0]]
    """
    layers, start = [*decoder.children()], [float(v) for v in start]
    known = _is_mlp(decoder, ACTIVATIONS)
    if not known or (layers[0].in_features, layers[-1].out_features) != (2, math.prod(shape)) or len(shape) != 2:
        raise ValueError(
            "the page runs nn.Sequential of Linear (with bias) and, between, one of ReLU, Tanh, SiLU, Softplus(1), "
            f"from 2 codes to the height times width of shape={shape} pixels; not {decoder}"
        )
    if len(start) != 2 or not all(abs(v) <= reach for v in start):
        raise ValueError(f"start={start} must be two numbers within -{reach}..{reach}")
    points = _pairs(torch.zeros(0, 2) if points is None else points)
    labels = [str(label.item() if hasattr(label, "item") else label) for label in labels]
    kinds = sorted(set(labels))
    if len(labels) not in (0, len(points)) or len(kinds) > 10 or not all(1 <= len(kind) <= 2 for kind in kinds):
        found = f"{len(labels)} labels for {len(points)} points, {kinds[:12]}"
        raise ValueError(f"{found}: each point needs one, at most ten kinds, each of one or two characters")
    data = {"title": title, "shape": [*shape], "reach": float(reach), "start": start, "kinds": kinds}
    activation = type(layers[1]).__name__ if len(layers) > 1 else "ReLU"
    data |= {"layers": len(layers) // 2 + 1, "activation": activation, "weights": packed(decoder, 16)}
    data |= {"points": points, "labels": [*map(kinds.index, labels)]}
    return Explorer("latent_explorer", data)


def flow_explorer(*, scale: float = 1.0, bend: float = -0.7, x: float = 1.0, title: str = "Bend a density") -> Explorer:
    """Change of variables in one dimension: bend z = f(x) = scale (x + bend tanh x), and p(x) keeps its area of one.

    z is standard normal. scale (0.6 to 2), bend (-0.9 to 1.5, so that f rises everywhere) and the point x (-3 to 3) are
    where the sliders start.

    >>> flow_explorer(x=2).data["start"]
    {'scale': 1.0, 'bend': -0.7, 'x': 2.0}
    """
    start = _in_reach(scale=(scale, 0.6, 2), bend=(bend, -0.9, 1.5), x=(x, -3, 3))
    return Explorer("flow_explorer", {"title": title, "start": start})


def warp_explorer(
    flow: Flow, points: Tensor, *, reach: float = 3.5, start: Sequence[float] = (0, 0),
    title: str = "A flow, layer by layer",
) -> Explorer:  # fmt: skip
    """A flow of two variables: points, a grid and a small patch move from data to noise, layer by layer; log p adds up.

    flow: affine coupling layers whose networks have one depth and ReLU, as `realnvp(2)` builds them; the page computes
    with `rounded(flow, bits=16)`. points: data (N, 2), N <= 500. reach: the picture shows -reach..reach on both axes.
    start: the point, among the data, at which log p(x) is written out first.

    >>> from hybridlib.flows import realnvp
    >>> warp_explorer(realnvp(2, 3, (8,)), torch.zeros(5, 2)).data["passing"]
    [0, 1, 0]
    """
    start, layers = [float(v) for v in start], [*flow.transforms] if type(flow) is Flow else []
    known = [type(layer) is Coupling and type(layer.univariate) is Affine and _is_mlp(layer.network, (nn.ReLU,))
             for layer in layers]  # fmt: skip
    depths = {len(layer.network) // 2 + 1 for layer in layers} if known and all(known) else set()
    if len(depths) != 1 or (flow.D, flow.context) != (2, 0):
        raise ValueError(
            "the page runs a Flow of two variables, without context, of Coupling layers with Affine maps and one depth "
            f"of nn.Sequential of Linear and ReLU, such as realnvp(2); not {flow}"
        )
    if len(start) != 2 or not all(abs(v) <= reach for v in start):
        raise ValueError(f"start={start} must be two numbers within -{reach}..{reach}")
    data = {"title": title, "reach": float(reach), "start": start, "points": _pairs(points), "depth": depths.pop()}
    passing = [int(layer.passing) for layer in layers]
    return Explorer("warp_explorer", data | {"passing": passing, "weights": packed(flow, 16)})


def dequantization_explorer(
    truth: Iterable[float] = (0.05, 0.45, 0.10, 0.30, 0.10), *, width: float = 1.0, components: int = 3,
    title: str = "A bound from noise",
) -> Explorer:  # fmt: skip
    """Dequantize one variable: its truth, a density fitted to x + width u, the cells' areas, bound and exact value.

    The density is a mixture of Gaussians, fitted in the page by EM. truth: probabilities of the 2 to 8 levels, all
    positive. width (0.1 to 1) and components (1 to 5) are where the sliders start.

    >>> dequantization_explorer([0.25, 0.75], width=0.5).data["start"]
    {'width': 0.5, 'components': 3}
    """
    start = _in_reach(width=(width, 0.1, 1), components=(components, 1, 5)) | {"components": int(components)}
    truth = _probabilities("truth", truth, 2, 8, positive=True)
    return Explorer("dequantization_explorer", {"title": title, "truth": truth, "start": start})


def _names():
    """The atom types with a real minus sign."""
    return [name.replace("-", "\u2212") for name in graphs.ATOMS]


def _places(graph, row):
    """Where the atoms of a molecule are drawn, in the units of the explorers: [[x, y], ...]."""
    from ..molecules import to_molecule

    return [[round(40 * x, 1), round(-40 * y, 1)] for x, y in places(to_molecule(graph, row))]


def molecule_explorer(
    smiles: Iterable[str], *, alt: str = "A molecule as a graph with numbered atoms.",
    title: str = "One molecule, many orders",
) -> Explorer:  # fmt: skip
    """Choose or type a molecule, change the order of its atoms: drawing, bonds, free valences and parents together.

    smiles: different SMILES of `hybridlib.molecules`' alphabet, each of at most 24 atoms, for the menu; they are in
    canonical order, what the reader types in the order of the text. alt: a sentence on the drawing.

    >>> molecule_explorer(["CC=O"]).data["molecules"][0]["free"]  # hydrogens fill what is free
    [3, 1, 0]
    """
    from .. import molecules

    check_alt(alt)
    smiles = molecules.listed(smiles, "molecule_explorer")
    graph = molecules.from_smiles(smiles)
    if len(set(smiles)) < len(smiles):
        raise ValueError(f"smiles={smiles} must differ")
    if int(graph.sizes.max()) > MOST_LISTED:
        large = molecules.quoted(smiles[int(graph.sizes.argmax())])
        raise ValueError(f"{large} has more than {MOST_LISTED} atoms, too many to show")
    shown, names = [], _names()
    for row, (text, n) in enumerate(zip(smiles, graph.sizes.tolist())):
        codes, free, bonds = graph.atoms[row, :n], graph.free_valence[row, :n], graph.bonds[row, :n, :n]
        tables = {"codes": codes.tolist(), "free": free.tolist(), "bonds": bonds.tolist()}
        shown.append({"smiles": text, "names": [names[c] for c in codes], "places": _places(graph, row)} | tables)
    alphabet = {"names": names, "valence": graphs.VALENCE.tolist(), "most": MOST_LISTED}
    return Explorer("molecule_explorer", {"title": title, "alt": alt, "molecules": shown, "alphabet": alphabet})


def _network(model, traces):
    """A GraphAF as the page computes with it; `ValueError` if it could not have made the decisions."""
    if type(model) is not GraphAF:
        raise ValueError(f"the page runs hybridlib.graphaf.GraphAF, not a {type(model).__name__}")
    for step in (step for trace in traces for step in trace):
        K = model.A + 1 if step["j"] is None else 4
        if len(step["p"]) != K or step["i"] >= model.N:
            found = f"{len(step['p'])} outcomes for atom {step['i'] + 1}"
            raise ValueError(f"trace and model differ: {found}, the model {K}, for at most {model.N} atoms")
    data = {name: getattr(model, name) for name in ("A", "N", "masked", "reading")}
    if model.reading != "categorical":
        data |= {"spread": model.bond_output.spread, "points": model.bond_output.points}
    data |= {"layers": len(model.rgcn.layers), "far": model.distance.num_embeddings - 1}
    return data | {"weights": packed(model, 8)}


def _decision(step, logs):
    """One decision of a trace in plain numbers; with logs, log p of what was chosen (None where p is zero)."""
    decision = {name: None if step[name] is None else int(step[name]) for name in ("i", "j", "drawn", "chosen")}
    decision |= {"p": [round(float(v), 4) for v in step["p"]], "possible": [bool(v) for v in step["possible"]]}
    decision |= {"y": [round(float(v), 3) if math.isfinite(v) else None for v in step["y"]]}
    p = float(step["p"][decision["chosen"]])
    return decision | ({"log": round(math.log(p), 4) if p > 0 else None} if logs else {})


def generation_explorer(
    traces: Sequence[Sequence[dict]], *, model: GraphAF | None = None, labels: Sequence[str] | None = None,
    alt: str = "A molecule that grows atom by atom.", title: str = "A molecule, decision by decision",
) -> Explorer:  # fmt: skip
    """Replay how GraphAF generated molecules: every decision with its probabilities, sampled values and the outcome.

    traces: as `graphaf.GraphAF.sample(trace=...)` fills them, one list a molecule. model: with it the reader chooses,
    draws and takes back decisions herself, from the start or from any step of a trace, and the page computes with
    `rounded(model)`. labels: names of the traces in the menu. alt: a sentence on the drawing.

    >>> trace = []
    >>> graph = GraphAF(4, 6, H=8).sample(1, trace=trace)
    >>> len(generation_explorer([trace]).data["traces"][0]["places"]) == int(graph.sizes)
    True
    """
    from .. import molecules

    check_alt(alt)
    labels = [f"number {i + 1}" for i in range(len(traces))] if labels is None else labels
    if not traces or not all(isinstance(trace, Sequence) and trace for trace in traces) or len(labels) != len(traces):
        raise ValueError(
            f"{len(labels)} labels for {len(traces)} traces: take lists of decisions, and a label for each"
        )
    network = {} if model is None else {"network": _network(model, traces)}
    shown = []
    for label, trace in zip(labels, traces):
        steps = [_decision(step, model is not None) for step in trace]
        atoms = [step["chosen"] for step in steps if step["j"] is None and step["chosen"]]
        bonds = torch.zeros(1, len(atoms), len(atoms), dtype=torch.uint8)
        for step in steps:
            if step["j"] is not None:
                bonds[0, step["i"], step["j"]] = bonds[0, step["j"], step["i"]] = step["chosen"]
        graph = graphs.Graph(torch.tensor([atoms]), bonds)
        drawing = {"smiles": molecules.to_smiles(graph)[0], "places": _places(graph, 0)}
        shown.append({"label": label, "steps": steps} | drawing)
    alphabet = {"names": _names(), "valence": graphs.VALENCE.tolist()}
    return Explorer("generation_explorer", {"title": title, "alt": alt, "traces": shown} | alphabet | network)

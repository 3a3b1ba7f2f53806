"""Explorers: small interactive figures that live in the static page, in Jupyter and in Colab from the same cell.

Each explorer is one ES module in `explorers/` that draws with plain HTML and SVG. A page without a kernel gets the
module inlined in its HTML; a notebook with a kernel gets the same module as a widget (anywidget), whose `state` holds
what the reader has chosen. Used in every chapter.
"""

import base64
import copy
import html
import json
import math
import re
import uuid
from importlib.resources import files

import torch
from torch import Tensor, nn

from .. import graphs
from ..extras import optional

with optional(__name__):
    import anywidget
    import traitlets

FAMILIES = ("ar", "ae", "hybrid", "flow", "other")
MOST_JSON = 200_000  # characters of JSON that one explorer may carry into a page
IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.MULTILINE)


def module_source(name):
    """Source of the ES module `explorers/NAME.js`, with what it imports and the styles of both in front: str -> str."""
    folder, codes, styles = files(__package__) / "explorers", {}, []

    def collect(part):
        code = (folder / f"{part}.js").read_text("utf-8")
        for other in IMPORT.findall(code):
            if other not in codes:
                collect(other)
        code = IMPORT.sub("", code)
        codes[part] = code if part == name else re.sub("^export ", "", code, flags=re.MULTILINE)
        if (style := folder / f"{part}.css").is_file():
            styles.append(style.read_text("utf-8"))

    collect(name)
    return "const STYLES = " + script_json("".join(styles)) + ";\n" + "".join(codes.values())


def script_json(value):
    """JSON that is safe inside a <script> element: no tag can begin in it."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def markup(text):
    """Escape `text` for HTML, but let i, b, em, strong, sub, sup and code stand, and set `backticks` as code."""
    text = re.sub(r"&lt;(/?(?:i|b|em|strong|sub|sup|code))&gt;", r"<\1>", html.escape(text, quote=False))
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)


class Explorer(anywidget.AnyWidget):
    """One explorer: `data` goes to the page once, `state` comes back from it where a kernel is live.

    `ValueError` if the data are larger than a page should carry.
    """

    data = traitlets.Dict().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)
    _ipython_display_ = None  # ipywidgets 7 would display without the HTML for pages that have no kernel

    def __init__(self, module, data):
        size = len(json.dumps(data))
        if size > MOST_JSON:
            raise ValueError(
                f"{size} characters of data are too many for one explorer (at most {MOST_JSON}); pass fewer"
            )
        self._esm = module_source(module)
        super().__init__(data=data)

    def html(self):
        """The explorer as HTML that needs nothing else: module, data and a stand-in for the widget model."""
        name = f"explorer-{uuid.uuid4().hex[:12]}"
        module = re.sub(r"^export default", "const explorer =", self._esm, flags=re.MULTILINE)
        module = re.sub(r"^export ", "", module, flags=re.MULTILINE)
        return f"""<div id="{name}"><noscript>This explorer needs JavaScript.</noscript></div>
<script type="module">
{module}
const values = {{ data: {script_json(self.data)}, state: {{}} }};
const set = (key, value) => {{ values[key] = value; }};
const model = {{ get: (key) => values[key], set, save_changes() {{}}, on() {{}} }};
explorer.render({{ model, el: document.getElementById("{name}") }});
</script>"""

    def _repr_mimebundle_(self, **_):
        bundle, metadata = super()._repr_mimebundle_()
        return bundle | {"text/plain": self.data["title"], "text/html": self.html()}, metadata


def rounded(module: nn.Module, *, bits: int = 8) -> nn.Module:
    """Copy of a module whose parameters lie on the grid that explorers carry: the model in the page, in PyTorch.

    Each row of a matrix becomes integers of ``bits`` bits times a float32 step, the row's largest absolute value over
    2^(bits - 1) - 1; vectors (biases, norms) stay. `ValueError` unless bits is 8 or 16 and all parameters are finite.
    """
    module = copy.deepcopy(module)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            integers, step = _grid(name, parameter, bits)
            if parameter.dim() > 1:
                parameter.copy_((integers * step).view_as(parameter))
    return module


def _grid(name: str, parameter: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """(..., n) -> integers (rows, n) and their steps (rows, 1), both as float32."""
    if bits not in (8, 16):
        raise ValueError(f"bits={bits}: weights are carried with 8 or 16 bits")
    rows = parameter.detach().float().cpu().reshape(-1, parameter.shape[-1])
    if not rows.isfinite().all():
        raise ValueError(f"parameter {name!r} has values that are not finite")
    step = rows.abs().amax(1, keepdim=True) / (2 ** (bits - 1) - 1)
    return (rows / step.where(step > 0, 1.0)).round(), step


def _packed(module: nn.Module, bits: int) -> dict:
    """Name -> shape and base64 of each parameter, as network.js unpacks them; `ValueError` if they are too many."""
    size = sum(p.numel() for p in module.parameters())
    if size * bits / 6 > MOST_JSON:
        raise ValueError(
            f"{size} parameters of {bits} bits are {size * bits // 6} characters, too many for one explorer (at most "
            f"{MOST_JSON}); take a model of at most {MOST_JSON * 6 // bits} parameters"
        )

    def base64_of(tensor, kind):  # little-endian, as every browser reads it
        return base64.b64encode(tensor.detach().cpu().float().numpy().astype(kind).tobytes()).decode()

    weights = {}
    for name, parameter in module.named_parameters():
        integers, step = _grid(name, parameter, bits)
        if parameter.dim() == 1:
            packed = {"values": base64_of(parameter, "<f4")}
        else:
            packed = {"bits": bits, "values": base64_of(integers, f"<i{bits // 8}"), "steps": base64_of(step, "<f4")}
        weights[name] = {"shape": list(parameter.shape), **packed}
    return weights


def quiz(questions, *, title="Check yourself"):
    """Self-check quiz without a kernel: every option, when chosen, says why it is right or wrong.

    questions: list of `{"question": str, "options": [{"text": str, "correct": True, "why": str}, ...]}`; `correct` may
    be left out where it is False. Texts may use the inline tags of `markup`. `ValueError` unless each question has at
    least two options, exactly one of them correct, and each with a `why`.
    """
    cleaned = []
    for number, item in enumerate(questions, 1):
        options = item.get("options", [])
        correct = sum(bool(option.get("correct")) for option in options)
        if not item.get("question") or len(options) < 2 or correct != 1:
            raise ValueError(
                f"question {number} ({item.get('question')!r}) has {len(options)} options, {correct} of them correct; "
                "it needs a text and at least two options, exactly one with correct=True"
            )
        for option in options:
            if not option.get("text") or not option.get("why"):
                raise ValueError(f"question {number}: option {option} needs a text and a why")
            if unknown := option.keys() - {"text", "why", "correct"}:
                raise ValueError(f"question {number}: option has unknown keys {sorted(unknown)}")
        options = [
            {"text": markup(o["text"]), "why": markup(o["why"]), "correct": bool(o.get("correct"))} for o in options
        ]
        cleaned.append({"question": markup(item["question"]), "options": options})
    if not cleaned:
        raise ValueError("a quiz needs at least one question")
    return Explorer("quiz", {"title": title, "questions": cleaned})


def mask_explorer(
    D=5, hidden=(7,), *, order="natural", degrees="even", masks="made", direct=False, seed=0, title="Mask explorer"
):
    """MADE's masks, drawn: choose the sizes and the order, point at an output, see which inputs reach it.

    D: number of variables (2 to 8). hidden: sizes of one or two hidden layers (1 to 12 each). order: "natural",
    "reversed", "random", or a permutation in which order[t] is the variable generated at step t. degrees: "even" (the
    library's), "random" or "sequential". masks: "made", "inclusive" (`>=` at the output layer) or "article" (inclusive
    lower triangle from inputs to outputs, hidden layers bypassed). `ValueError` for anything else.
    """
    hidden = [int(h) for h in hidden]
    if not 2 <= D <= 8 or not 1 <= len(hidden) <= 2 or not all(1 <= h <= 12 for h in hidden):
        raise ValueError(f"D={D}, hidden={hidden}: the explorer draws D = 2 to 8, one or two layers of 1 to 12 units")
    if not isinstance(order, str):
        order = [int(v) for v in order]
    if order not in ("natural", "reversed", "random") and sorted(order) != list(range(D)):
        raise ValueError(f"order={order!r} is neither natural, reversed, random nor a permutation of 0..{D - 1}")
    for name, value, known in (
        ("degrees", degrees, ("even", "random", "sequential")),
        ("masks", masks, ("made", "inclusive", "article")),
    ):
        if value not in known:
            raise ValueError(f"{name}={value!r} is not one of {known}")
    settings = {"D": D, "hidden": hidden, "order": order, "degrees": degrees, "masks": masks}
    return Explorer("mask_explorer", {"title": title, "settings": settings | {"direct": direct, "seed": seed}})


def model_map(nodes, edges, *, title="Map of the models"):
    """Interactive graph of models: select one to read what it is, what it shares with its parents and what changed.

    nodes: list of dicts with id, label, x and y (0 to 100), text, and optionally family ("ar", "ae", "hybrid", "flow")
    and href (the chapter's page). edges: list of dicts with source and target (ids; the parent first) and text (what is
    shared, what changed). `ValueError` for an unknown id, a double id, a missing key or a place outside 0..100.
    """
    ids = [node.get("id") for node in nodes]
    if not ids:
        raise ValueError("a map needs at least one node")
    if len(set(ids)) != len(ids):
        raise ValueError(f"ids must differ, got {ids}")
    for node in nodes:
        if missing := {"id", "label", "x", "y", "text"} - node.keys():
            raise ValueError(f"node {node} lacks {sorted(missing)}")
        if node.get("family", "other") not in FAMILIES:
            raise ValueError(f"node {node['id']!r}: family {node['family']!r} is not one of {FAMILIES}")
        if not (0 <= node["x"] <= 100 and 0 <= node["y"] <= 100):
            raise ValueError(f"node {node['id']!r} lies at ({node['x']}, {node['y']}); both must be within 0..100")
    for edge in edges:
        if missing := {"source", "target", "text"} - edge.keys():
            raise ValueError(f"edge {edge} lacks {sorted(missing)}")
        if unknown := {edge["source"], edge["target"]} - set(ids):
            raise ValueError(f"edge {edge} names unknown nodes {sorted(unknown)}")
    nodes = [node | {"text": markup(node["text"])} for node in nodes]
    edges = [edge | {"text": markup(edge["text"])} for edge in edges]
    return Explorer("model_map", {"title": title, "nodes": nodes, "edges": edges})


def likelihood_explorer(p=None, q=None, *, title="Likelihood explorer"):
    """Move a model's probabilities q against the data's p, over three coins: NLL = H(p) + KL(p || q), in nats and bits.

    p, q: eight probabilities each, of the states 000, 001, ..., 111 (p defaults to a small example, q to uniform).
    `ValueError` unless both are non-negative and sum to one, and q is positive.
    """
    p = [0.30, 0.05, 0.05, 0.10, 0.05, 0.10, 0.05, 0.30] if p is None else [float(v) for v in p]
    q = [1 / 8] * 8 if q is None else [float(v) for v in q]
    for name, values in (("p", p), ("q", q)):
        if len(values) != 8 or min(values) < 0 or abs(sum(values) - 1) > 1e-6:
            raise ValueError(f"{name}={values} must be eight non-negative probabilities that sum to one")
    if min(q) <= 0:
        raise ValueError(f"q={q} gives a state no chance at all: its NLL would be infinite; use positive values")
    return Explorer("likelihood_explorer", {"title": title, "p": p, "q": q})


BLOCK = ("norm1", "qkv", "proj", "norm2", "up", "down")  # the parts of a Transformer's block that have weights


def sampling_stepper(model, symbols, *, shape=None, start=(), seed=0, bits=8, title="Step by step"):
    """Run a Transformer in the page: see p(x_t | x_<t), choose or draw x_t, watch the log-likelihood (nats, bits).

    model: a `hybridlib.transformer.Transformer`; the page computes with `rounded(model, bits=bits)`. symbols: a text
    for each of the K symbols. shape: (height, width) draws the sequence as a picture, row by row, symbol 0 black and
    symbol K - 1 white; without it, it is shown as text. start: the first symbols (numbers), which the reader finds
    already there. seed: of the first draws; the reader can take another. `ValueError` for anything else.
    """
    if missing := [name for name in ("T", "K", "heads", "end", "named_parameters") if not hasattr(model, name)]:
        raise ValueError(
            f"{type(model).__name__} has no {missing[0]}; the stepper runs hybridlib.transformer.Transformer"
        )
    T, K, heads, end = model.T, model.K, model.heads, model.end
    parameters = dict(model.named_parameters())
    layers = len({name.split(".")[1] for name in parameters if name.startswith("blocks.")})
    parts = [f"blocks.{i}.{part}" for i in range(layers) for part in BLOCK] + ["norm", "head"]
    wanted = {f"{part}.{kind}" for part in parts for kind in ("weight", "bias")}
    if odd := sorted(parameters.keys() ^ (wanted | {"symbols.weight", "positions.weight"})):
        raise ValueError(f"the parameter {odd[0]!r} is missing or unknown: not the Transformer that the page knows")
    symbols = [str(symbol) for symbol in symbols]
    if len(symbols) != K or len(set(symbols)) != K or not all(symbol.strip() for symbol in symbols):
        raise ValueError(f"symbols={symbols}: the model needs {K} different texts, none of them blank")
    if shape is not None:
        shape = [int(n) for n in shape]
        if len(shape) != 2 or math.prod(shape) != T:
            raise ValueError(f"shape={shape} is not the height and width of a picture of the model's {T} symbols")
    start = [int(symbol) for symbol in start]
    if len(start) > T or not all(0 <= symbol < K for symbol in start):
        raise ValueError(f"start={start} must be at most {T} numbers of symbols, each in 0..{K - 1}")
    if end in start[:-1]:
        raise ValueError(f"start={start} goes on after the end symbol {end}; leave out what follows it")
    settings = {"T": T, "K": K, "heads": heads, "end": end, "layers": layers, "shape": shape, "start": start}
    return Explorer(
        "sampling_stepper",
        {"title": title, "symbols": symbols, "seed": int(seed), **settings, "weights": _packed(model, bits)},
    )


ACTIVATIONS = (nn.ReLU, nn.Tanh, nn.SiLU, nn.Softplus)
MOST_POINTS = 500  # more would hide each other


def latent_explorer(
    decoder, *, points=None, labels=None, shape=(28, 28), reach=3.0, start=(0, 0), title="A latent space"
):
    """Move a point z through a latent space of two dimensions and see the picture that the decoder makes of it.

    decoder: `nn.Sequential` of `nn.Linear` and one kind of activation (ReLU, Tanh, SiLU, Softplus) between them, from z
    to the logits of prod(shape) Bernoulli pixels; the page computes with 16 bits a weight. points: codes of data (N, 2)
    for the map, N <= 500, with labels (N): at most ten kinds of one or two characters, such as digits. reach: the map
    shows -reach..reach on both axes. start: z at first. `ValueError` for anything else.
    """
    if not isinstance(decoder, nn.Sequential) or not len(decoder):
        raise ValueError(
            f"decoder is a {type(decoder).__name__}; it must be an nn.Sequential of Linear and activations"
        )
    for i, layer in enumerate(decoder):
        known = isinstance(layer, ACTIVATIONS) if i % 2 else isinstance(layer, nn.Linear)
        if not known or (i % 2 and type(layer) is not type(decoder[1])):
            wanted = "one kind of ReLU, Tanh, SiLU or Softplus" if i % 2 else "Linear"
            raise ValueError(f"layer {i} of the decoder is {layer}, where the page expects {wanted}")
        if isinstance(layer, nn.Softplus) and layer.beta != 1:
            raise ValueError(f"layer {i} of the decoder is {layer}; the page knows Softplus with beta=1 only")
        if isinstance(layer, nn.Linear) and layer.bias is None:
            raise ValueError(f"layer {i} of the decoder is {layer}; the page expects a bias")
    if len(decoder) % 2 == 0:
        raise ValueError(f"layer {len(decoder) - 1} of the decoder is {decoder[-1]}; the last must be Linear: logits")
    shape = [int(n) for n in shape]
    ends = (decoder[0].in_features, decoder[-1].out_features)
    if len(shape) != 2 or ends != (2, math.prod(shape)):
        raise ValueError(f"the decoder leads from {ends[0]} to {ends[1]} numbers, not from 2 to a picture of {shape}")
    if not 0 < reach < math.inf:
        raise ValueError(f"reach={reach} must be a positive number")
    start = [float(v) for v in start]
    if len(start) != 2 or not all(abs(v) <= reach for v in start):
        raise ValueError(f"start={start} must be two numbers within -{reach}..{reach}")
    points = torch.zeros(0, 2) if points is None else torch.as_tensor(points).detach().cpu().float()
    if points.dim() != 2 or points.shape[1] != 2 or len(points) > MOST_POINTS or not points.isfinite().all():
        raise ValueError(f"points {tuple(points.shape)} must be at most {MOST_POINTS} finite pairs, (N, 2)")
    labels = None if labels is None else [str(v.item() if hasattr(v, "item") else v) for v in labels]
    if labels is not None and len(labels) != len(points):
        raise ValueError(f"{len(labels)} labels for {len(points)} points; each point needs one")
    kinds = sorted(set(labels or []))
    if len(kinds) > 10 or not all(1 <= len(kind) <= 2 for kind in kinds):
        raise ValueError(f"labels {kinds[:12]} must be at most ten kinds, each of one or two characters")
    data = {
        "title": title,
        "shape": shape,
        "reach": float(reach),
        "start": start,
        "layers": len(decoder) // 2 + 1,
        "activation": type(decoder[1]).__name__ if len(decoder) > 1 else "ReLU",
        "points": [[round(v, 2) for v in point] for point in points.tolist()],
        "kinds": kinds,
        "labels": [kinds.index(label) for label in labels or []],
    }
    return Explorer("latent_explorer", data | {"weights": _packed(decoder, 16)})


def flow_explorer(*, scale=1.0, bend=-0.7, x=1.0, title="Bend a density"):
    """Change of variables in one dimension: bend z = f(x) = scale (x + bend tanh x), and p(x) keeps its area of one.

    z is standard normal. scale (0.6 to 2), bend (-0.9 to 1.5, so that f rises everywhere) and the point x (-3 to 3) are
    where the sliders start. `ValueError` for anything outside.
    """
    start = {"scale": float(scale), "bend": float(bend), "x": float(x)}
    for name, low, high in (("scale", 0.6, 2), ("bend", -0.9, 1.5), ("x", -3, 3)):
        if not low <= start[name] <= high:
            raise ValueError(f"{name}={start[name]} is not within {low}..{high}, the reach of its slider")
    return Explorer("flow_explorer", {"title": title, "start": start})


def dequantization_explorer(truth=None, *, width=1.0, components=3, title="A bound from noise"):
    """Dequantize one variable: its truth, a density fitted to x + width u, the cells' areas, bound and exact value.

    The density is a mixture of Gaussians, fitted in the page by EM. truth: probabilities of the 2 to 8 levels. width
    (0.1 to 1) and components (1 to 5) are where the sliders start. `ValueError` for anything else.
    """
    truth = [0.05, 0.45, 0.10, 0.30, 0.10] if truth is None else [float(v) for v in truth]
    if not 2 <= len(truth) <= 8 or not all(v > 0 for v in truth) or abs(sum(truth) - 1) > 1e-6:
        raise ValueError(f"truth={truth} must be 2 to 8 positive probabilities that sum to one")
    if not 0.1 <= width <= 1:
        raise ValueError(f"width={width} is not within 0.1..1: noise wider than a level would mix the levels")
    if components not in range(1, 6):
        raise ValueError(f"components={components} is not one of 1, 2, 3, 4, 5")
    start = {"width": float(width), "components": int(components)}
    return Explorer("dequantization_explorer", {"title": title, "truth": truth, "start": start})


MOST_LISTED = 24  # more rows of a matrix cannot be read


def _check_alt(alt):
    if len(alt.split()) < 3:
        raise ValueError(f"alt={alt!r} is too short: say in a sentence what the drawing shows")


def _places(graph, row):
    """Where the atoms of a molecule are drawn, in the units of the explorers: [[x, y], ...]."""
    from .. import molecules
    from . import viz

    return [[round(40 * x, 1), round(-40 * y, 1)] for x, y in viz.places(molecules.to_molecule(graph, row))]


def _names():
    """The atom types with a real minus sign."""

    return [name.replace("-", "\u2212") for name in graphs.ATOMS]


def molecule_explorer(smiles, *, alt="A molecule as a graph with numbered atoms.", title="One molecule, many orders"):
    """Choose or type a molecule, change the order of its atoms: drawing, bonds, free valences and parents together.

    smiles: list of SMILES of `hybridlib.molecules`' alphabet, each of at most 24 atoms, all different, for the menu;
    they are in canonical order, what the reader types in the order of the text. alt: a sentence on the drawing.
    `ValueError` for anything else, or what `molecules.from_smiles` refuses.
    """
    from .. import molecules

    _check_alt(alt)
    smiles = molecules.listed(smiles, "molecule_explorer")
    graph = molecules.from_smiles(smiles)
    if len(set(smiles)) < len(smiles):
        raise ValueError(f"smiles={smiles} must differ")
    if int(graph.sizes.max()) > MOST_LISTED:
        large = molecules.quoted(smiles[int(graph.sizes.argmax())])
        raise ValueError(f"{large} has more than {MOST_LISTED} atoms, too many to show")
    shown, names = [], _names()
    for row, text in enumerate(smiles):
        n = int(graph.sizes[row])
        codes = graph.atoms[row, :n].tolist()
        shown.append(
            {
                "smiles": text,
                "names": [names[code] for code in codes],
                "codes": codes,
                "free": graph.free_valence[row, :n].tolist(),
                "bonds": graph.bonds[row, :n, :n].tolist(),
                "places": _places(graph, row),
            }
        )
    alphabet = {"names": names, "valence": graphs.VALENCE.tolist(), "most": MOST_LISTED}
    return Explorer("molecule_explorer", {"title": title, "alt": alt, "molecules": shown, "alphabet": alphabet})


GRAPHAF = ("rgcn.embed", "size", "new", "other", "free_new", "free_other", "back", "ahead", "distance")  # no biases


def _graphaf(model) -> dict:
    """A GraphAF as the page computes with it; `ValueError` if it is another network, or larger than can be sent."""
    if missing := [name for name in ("A", "N", "reading", "masked", "rgcn", "distance") if not hasattr(model, name)]:
        raise ValueError(f"{type(model).__name__} has no {missing[0]}; the page runs hybridlib.graphaf.GraphAF")
    layers = len(model.rgcn.layers)
    wanted = {f"{part}.weight" for part in GRAPHAF}
    biased = ["summary", "norm", *(f"{part}.{i}" for part in ("mix", "atom_head", "bond_head") for i in (0, 2))]
    wanted |= {f"{part}.{kind}" for part in biased for kind in ("weight", "bias")}
    wanted |= {name for i in range(layers) for name in (f"rgcn.layers.{i}.weight", f"rgcn.biases.{i}")}
    if odd := sorted(dict(model.named_parameters()).keys() ^ wanted):
        raise ValueError(f"the parameter {odd[0]!r} is missing or unknown: not the GraphAF that the page knows")
    noise = () if model.reading == "categorical" else ("spread", "points")
    return {
        "A": model.A,
        "N": model.N,
        "masked": model.masked,
        "reading": model.reading,
        "layers": layers,
        "far": model.distance.num_embeddings - 1,
        **{name: getattr(model.bond_output, name) for name in noise},
        "weights": _packed(model, 8),
    }


def _check_trace(trace, model):
    """`ValueError` unless this GraphAF could have made these decisions."""
    for step in trace["steps"]:
        K = model.A + 1 if step["j"] is None else 4
        if len(step["p"]) != K or step["i"] >= model.N:
            raise ValueError(
                f"trace and model differ: {trace['label']!r} has {len(step['p'])} outcomes for atom {step['i'] + 1}, "
                f"the model {K}, for at most {model.N} atoms"
            )


def generation_explorer(
    traces, *, model=None, labels=None, alt="A molecule that grows atom by atom.",
    title="A molecule, decision by decision",
):  # fmt: skip
    """Replay how GraphAF generated molecules: every decision with its probabilities, sampled values and the outcome.

    traces: lists of dicts as `graphaf.GraphAF.sample(trace=...)` fills them, one list a molecule. model: a `GraphAF`;
    with it the reader chooses, draws and takes back decisions herself, from the start or from any step of a trace, and
    the page computes with `rounded(model)`. labels: names of the traces in the menu. alt: a sentence on the drawing.
    `ValueError` for anything else.
    """
    from .. import molecules

    _check_alt(alt)
    if not traces or not all(isinstance(trace, (list, tuple)) and trace for trace in traces):
        raise ValueError("traces must be a list of traces, each a list with at least one decision")
    labels = [f"number {i + 1}" for i in range(len(traces))] if labels is None else [str(label) for label in labels]
    if len(labels) != len(traces):
        raise ValueError(f"{len(labels)} labels for {len(traces)} traces; each needs one")
    shown = []
    for label, trace in zip(labels, traces):
        if missing := {"i", "j", "p", "y", "drawn", "chosen", "possible"} - trace[0].keys():
            raise ValueError(f"a decision of {label!r} lacks {sorted(missing)}")
        steps = [
            {
                "i": int(step["i"]),
                "j": None if step["j"] is None else int(step["j"]),
                "p": [round(float(v), 4) for v in step["p"]],
                "y": [round(float(v), 3) if math.isfinite(v) else None for v in step["y"]],
                "drawn": int(step["drawn"]),
                "chosen": int(step["chosen"]),
                "possible": [bool(v) for v in step["possible"]],
            }
            for step in trace
        ]
        atoms = [step["chosen"] for step in steps if step["j"] is None and step["chosen"]]
        bonds = torch.zeros(1, len(atoms), len(atoms), dtype=torch.uint8)
        for step in steps:
            if step["j"] is not None:
                bonds[0, step["i"], step["j"]] = bonds[0, step["j"], step["i"]] = step["chosen"]
        graph = graphs.Graph(torch.tensor([atoms]), bonds)
        smiles = molecules.to_smiles(graph)[0]
        shown.append({"label": label, "smiles": smiles, "places": _places(graph, 0), "steps": steps})
    data = {
        "title": title,
        "alt": alt,
        "names": _names(),
        "valence": graphs.VALENCE.tolist(),
        "traces": shown,
    }
    if model is not None:
        data["network"] = _graphaf(model)
        for entry, trace in zip(shown, traces):
            _check_trace(entry, model)
            for step, decision in zip(entry["steps"], trace):  # log p of what was chosen; None where p is zero
                p = float(decision["p"][step["chosen"]])
                step["log"] = round(math.log(p), 4) if p > 0 else None
    return Explorer("generation_explorer", data)

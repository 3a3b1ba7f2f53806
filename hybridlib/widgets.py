"""Explorers: small interactive figures that live in the static page, in Jupyter and in Colab from the same cell.

Each explorer is one ES module in `explorers/` that draws with plain HTML and SVG. A page without a kernel gets the
module inlined in its HTML; a notebook with a kernel gets the same module as a widget (anywidget), whose `state` holds
what the reader has chosen. Used in every chapter.
"""

import html
import json
import re
import uuid
from importlib.resources import files

import anywidget
import traitlets

FAMILIES = ("ar", "ae", "hybrid", "flow", "other")
LARGEST = 200_000  # characters of JSON that one explorer may carry into a page


def module_source(name):
    """Source of the ES module `explorers/NAME.js`, with the parts that all explorers share in front: str -> str."""
    folder = files(__package__) / "explorers"
    css = "const CSS = " + script_json((folder / "explorers.css").read_text("utf-8")) + ";\n"
    return css + (folder / "kit.js").read_text("utf-8") + (folder / f"{name}.js").read_text("utf-8")


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
        if size > LARGEST:
            raise ValueError(f"{size} characters of data are too many for one explorer (at most {LARGEST}); pass fewer")
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

"""What goes to a page: an explorer's module, its data, its HTML, and networks small enough to be carried.

Each explorer is one ES module in `explorers/` that draws with plain HTML and SVG. A page without a kernel gets the
module inlined in its HTML; a notebook with a kernel gets the same module as a widget (anywidget), whose `state` holds
what the reader has chosen. Every explorer of `widgets` uses it.
"""

import base64
import copy
import html
import json
import re
import uuid
from importlib.resources import files

import torch
from torch import Tensor, nn

from ..extras import optional

with optional(__name__):
    import anywidget
    import traitlets

MOST_JSON = 200_000  # characters of JSON that one explorer may carry into a page
IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.MULTILINE)


def module_source(name: str) -> str:
    """Source of the ES module `explorers/NAME.js`, what it imports and the styles of both in front of it.

    >>> "function readSmiles" in module_source("molecule_explorer"), "function readSmiles" in module_source("quiz")
    (True, False)
    """
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
    return "const STYLES = " + _script_json("".join(styles)) + ";\n" + "".join(codes.values())


def _script_json(value: object) -> str:
    """JSON that is safe inside a <script> element: no tag can begin in it."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def markup(text: str) -> str:
    """Escape `text` for HTML, but let i, b, em, strong, sub, sup and code stand, and set `backticks` as code.

    >>> markup("x<sub>1</sub> in `a < b`, <script>")
    'x<sub>1</sub> in <code>a &lt; b</code>, &lt;script&gt;'
    """
    text = re.sub(r"&lt;(/?(?:i|b|em|strong|sub|sup|code))&gt;", r"<\1>", html.escape(text, quote=False))
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)


class Explorer(anywidget.AnyWidget):
    """One explorer: `data` goes to the page once, `state` comes back from it where a kernel is live.

    `ValueError` if the data are larger than a page should carry.

    >>> Explorer("likelihood_explorer", {"title": "Coins", "p": [0.125] * 8, "q": [0.125] * 8}).data["title"]
    'Coins'
    """

    data = traitlets.Dict().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)
    _ipython_display_ = None  # ipywidgets 7 would display without the HTML for pages that have no kernel

    def __init__(self, module: str, data: dict):
        size = len(json.dumps(data))
        if size > MOST_JSON:
            raise ValueError(
                f"{size} characters of data are more than the {MOST_JSON} of a page; pass less or a smaller network"
            )
        self._esm = module_source(module)
        super().__init__(data=data)

    def html(self) -> str:
        """The explorer as HTML that needs nothing else: module, data and a stand-in for the widget model."""
        name = f"explorer-{uuid.uuid4().hex[:12]}"
        module = re.sub(r"^export default", "const explorer =", self._esm, flags=re.MULTILINE)
        module = re.sub(r"^export ", "", module, flags=re.MULTILINE)
        return f"""<div id="{name}"><noscript>This explorer needs JavaScript.</noscript></div>
<script type="module" async>
{module}
const values = {{ data: {_script_json(self.data)}, state: {{}} }};
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

    >>> layer = nn.Linear(9, 2)
    >>> bool((rounded(layer).weight - layer.weight).abs().max() <= layer.weight.abs().max() / 253)
    True
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


def packed(module: nn.Module, bits: int) -> dict[str, dict]:
    """Name -> shape and base64 of each parameter, as network.js unpacks them.

    >>> packed(nn.Linear(3, 2), 8)["weight"]["shape"]
    [2, 3]
    """

    def base64_of(tensor, kind):  # little-endian, as every browser reads it
        return base64.b64encode(tensor.detach().cpu().float().numpy().astype(kind).tobytes()).decode()

    weights = {}
    for name, parameter in module.named_parameters():
        integers, step = _grid(name, parameter, bits)
        if parameter.dim() == 1:
            values = {"values": base64_of(parameter, "<f4")}
        else:
            values = {"bits": bits, "values": base64_of(integers, f"<i{bits // 8}"), "steps": base64_of(step, "<f4")}
        weights[name] = {"shape": list(parameter.shape), **values}
    return weights

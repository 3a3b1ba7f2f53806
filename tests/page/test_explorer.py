"""What an explorer gives a page and a notebook, and the networks that it carries."""

import base64
import json
import re

import numpy as np
import pytest
import torch
from IPython.core.formatters import DisplayFormatter
from torch import nn

from hybridlib.noise import seeded
from hybridlib.page import explorer, widgets
from hybridlib.transformer import Transformer

OPTIONS = [{"text": "yes", "why": "because", "correct": True}, {"text": "no", "why": "it is not"}]
QUESTION = {"question": "Is it?", "options": OPTIONS}
WIDGET = "application/vnd.jupyter.widget-view+json"


def test_a_page_gets_html_and_a_notebook_the_widget():
    quiz = widgets.quiz([QUESTION])
    bundle, _ = DisplayFormatter().format(quiz)  # as a notebook shows the last expression of a cell
    assert bundle["text/plain"] == "Check yourself"
    assert bundle[WIDGET]["model_id"] == quiz.model_id
    assert quiz._ipython_display_ is None, "ipywidgets 7 would otherwise display without the HTML"
    assert "export " not in re.sub(r'"[^"]*"', "", bundle["text/html"])
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", bundle["text/html"]), "an explorer asks no other host"


def test_two_of_a_kind_have_different_names():
    names = [re.search(r'<div id="([^"]+)"', widgets.quiz([QUESTION]).html())[1] for _ in range(2)]
    assert names[0] != names[1]


def test_data_end_no_script():
    html = widgets.quiz([QUESTION | {"question": "</script><!-- <script>"}], title="</SCRIPT>").html()
    assert html.count("</") == html.lower().count("</div>") + html.lower().count("</noscript>") + 1
    assert json.loads(explorer._script_json("</script>\u2028")) == "</script>\u2028"


def test_markup_lets_simple_tags_stand_and_nothing_else():
    assert explorer.markup("x<sub>1</sub> <i>is</i> `a < b`") == "x<sub>1</sub> <i>is</i> <code>a &lt; b</code>"
    assert explorer.markup("<img src=x onerror=y> <b onclick=z>") == "&lt;img src=x onerror=y&gt; &lt;b onclick=z&gt;"


def test_only_the_explorer_that_reads_smiles_carries_the_reader():
    reader = "function readSmiles"
    assert reader in explorer.module_source("molecule_explorer") and reader not in explorer.module_source("quiz")


def test_an_explorer_carries_only_so_much():
    with pytest.raises(ValueError, match="characters of data are more than the 200000 of a page; pass less"):
        widgets.quiz([QUESTION | {"question": "x" * explorer.MOST_JSON}])


def unpacked(weights):
    """The inverse of what a page is given, in numpy: name -> tensor."""
    tensors = {}
    for name, packed in weights.items():
        values = base64.b64decode(packed["values"])
        if len(packed["shape"]) == 1:
            tensors[name] = torch.tensor(np.frombuffer(values, "<f4"))
            continue
        integers = np.frombuffer(values, f"<i{packed['bits'] // 8}")
        steps = np.frombuffer(base64.b64decode(packed["steps"]), "<f4")
        rows = integers.reshape(len(steps), -1).astype(np.float32) * steps[:, None]
        tensors[name] = torch.tensor(rows.reshape(packed["shape"]))
    return tensors


@pytest.mark.parametrize("bits", [8, 16])
def test_rounded_is_the_model_in_the_page(bits):
    with seeded(1):
        model = Transformer(5, 4, width=8, layers=2, heads=2)
    with torch.no_grad():
        model.head.weight[1] = 0  # a row without a scale of its own
    before = {name: p.clone() for name, p in model.named_parameters()}
    other = explorer.rounded(model, bits=bits)
    packed = unpacked(widgets.sampling_stepper(model, list("abcd"), bits=bits).data["weights"])
    for name, parameter in other.named_parameters():
        assert torch.equal(parameter, packed[name]), name
        assert torch.equal(before[name], model.get_parameter(name)), "the model itself stays as it is"
        step = before[name].abs().amax(-1, keepdim=True) / (2 ** (bits - 1) - 1)
        most = 0.501 * step if parameter.dim() > 1 else 0
        assert ((parameter - before[name]).abs() <= most).all(), name
    again = explorer.rounded(other, bits=bits)
    for name, parameter in again.named_parameters():
        torch.testing.assert_close(parameter, other.get_parameter(name), rtol=1e-6, atol=0)
    assert other.head.weight.requires_grad and type(other) is Transformer


def test_rounded_refuses():
    layer = nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"bits=4: .* 8 or 16"):
        explorer.rounded(layer, bits=4)
    nn.init.constant_(layer.bias, float("nan"))
    with pytest.raises(ValueError, match="'bias' has values that are not finite"):
        explorer.rounded(layer)

"""Explorers on the Python side: what goes to a page, what a notebook gets, and bad input."""

import json
import re

import pytest
from IPython.core.formatters import DisplayFormatter

from hybridlib import widgets

OPTIONS = [{"text": "yes", "why": "because", "correct": True}, {"text": "no", "why": "it is not"}]
QUESTION = {"question": "Is it?", "options": OPTIONS}
NODES = [
    {"id": "a", "label": "A", "x": 0, "y": 0, "text": "first"},
    {"id": "b", "label": "B", "x": 9, "y": 9, "text": ""},
]
WIDGET = "application/vnd.jupyter.widget-view+json"


def test_a_page_gets_html_and_a_notebook_the_widget():
    explorer = widgets.quiz([QUESTION])
    bundle, _ = DisplayFormatter().format(explorer)  # as a notebook shows the last expression of a cell
    assert bundle["text/plain"] == "Check yourself"
    assert bundle[WIDGET]["model_id"] == explorer.model_id
    assert explorer._ipython_display_ is None, "ipywidgets 7 would otherwise display without the HTML"
    assert "export " not in re.sub(r'"[^"]*"', "", bundle["text/html"])
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", bundle["text/html"]), "an explorer asks no other host"


def test_two_of_a_kind_have_different_names():
    names = [re.search(r'<div id="([^"]+)"', widgets.quiz([QUESTION]).html())[1] for _ in range(2)]
    assert names[0] != names[1]


def test_data_end_no_script():
    html = widgets.quiz([QUESTION | {"question": "</script><!-- <script>"}], title="</SCRIPT>").html()
    assert html.count("</") == html.lower().count("</div>") + html.lower().count("</noscript>") + 1
    assert json.loads(widgets.script_json("</script>\u2028")) == "</script>\u2028"


def test_markup_lets_simple_tags_stand_and_nothing_else():
    assert widgets.markup("x<sub>1</sub> <i>is</i> `a < b`") == "x<sub>1</sub> <i>is</i> <code>a &lt; b</code>"
    assert widgets.markup("<img src=x onerror=y> <b onclick=z>") == "&lt;img src=x onerror=y&gt; &lt;b onclick=z&gt;"


@pytest.mark.parametrize(
    "questions, complaint",
    [
        ([], "at least one question"),
        ([{"question": "", "options": OPTIONS}], "needs a text"),
        ([{"question": "Is it?", "options": OPTIONS[:1]}], "1 options"),
        ([{"question": "Is it?", "options": [OPTIONS[0], OPTIONS[0]]}], "2 of them correct"),
        ([QUESTION, {"question": "Is it?", "options": [OPTIONS[1], OPTIONS[1]]}], "question 2 .* 0 of them correct"),
        ([{"question": "Is it?", "options": [OPTIONS[0], {"text": "no"}]}], "a text and a why"),
        ([{"question": "Is it?", "options": [OPTIONS[0], OPTIONS[1] | {"reason": "x"}]}], "unknown keys"),
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
        ({"degrees": "odd"}, "degrees='odd'"),
        ({"masks": "none"}, "masks='none'"),
    ],
)
def test_mask_explorer_refuses(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        widgets.mask_explorer(**arguments)


@pytest.mark.parametrize(
    "nodes, edges, complaint",
    [
        ([NODES[0], NODES[0]], [], "ids must differ"),
        ([{"id": "a"}], [], "lacks"),
        ([NODES[0] | {"x": 101}], [], "within 0..100"),
        ([NODES[0] | {"family": "cousin"}], [], "family 'cousin'"),
        (NODES, [{"source": "a", "target": "c", "text": ""}], "unknown nodes .'c'."),
        (NODES, [{"source": "a", "target": "b"}], "lacks"),
        ([], [], "at least one node"),
    ],
)
def test_model_map_refuses(nodes, edges, complaint):
    with pytest.raises(ValueError, match=complaint):
        widgets.model_map(nodes, edges)


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ({"p": [1.0]}, "eight"),
        ({"p": [0.2] * 8}, "sum to one"),
        ({"q": [-0.1, 0.3, *[0.8 / 6] * 6]}, "non-negative"),
        ({"q": [0.0, *[1 / 7] * 7]}, "infinite"),
    ],
)
def test_likelihood_explorer_refuses(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        widgets.likelihood_explorer(**arguments)


def test_an_explorer_carries_only_so_much():
    with pytest.raises(ValueError, match="too many for one explorer"):
        widgets.quiz([QUESTION | {"question": "x" * widgets.LARGEST}])

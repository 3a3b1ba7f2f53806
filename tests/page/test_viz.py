"""Figures: right contents, an alternative text, and colours that read on white and on the dark page."""

import re

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt

from hybridlib import molecules
from hybridlib.made import MADE
from hybridlib.page import viz

ALT = "A figure for the tests."
PAGES = {"white": "#ffffff", "dark": "#121212"}  # the theme's backgrounds


@pytest.fixture(autouse=True)
def agg():
    with mpl.rc_context({"backend": "agg"}):
        yield
    plt.close("all")


def luminance(colour):
    r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in mpl.colors.to_rgb(colour))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("colour", viz.COLOURS)
def test_colours_stand_out_on_both_pages(colour, page):
    assert contrast(colour, PAGES[page]) >= 3


def test_no_two_curves_look_alike():
    assert len(set(zip(viz.COLOURS, map(str, viz.DASHES)))) == len(viz.COLOURS) == len(viz.DASHES)
    assert len(set(map(str, viz.DASHES))) == len(viz.DASHES), "dashes alone tell curves apart"


def shown(call):
    """What a call displays: (HTML, plain text)."""
    with pytest.MonkeyPatch.context() as patch:
        bundles = []
        patch.setattr(viz, "display", lambda bundle, raw: bundles.append(bundle))
        call()
    return bundles[0]["text/html"], bundles[0]["text/plain"]


def formulas_html(smiles, **options):
    return shown(lambda: viz.formulas(smiles, **options))[0]


def table_html(rows, **options):
    return shown(lambda: viz.table(rows, **options))


FIGURES = {
    "images": lambda: viz.images(np.eye(16), columns=3, titles=["t"] * 16),
    "dependencies": lambda: viz.dependencies(np.tri(4), np.tri(4, k=-1)),
    "network": lambda: viz.network(MADE(4, (5,)).masks()[:2], degrees=[*MADE(4, (5,)).degrees(), np.arange(1, 5)]),
    "bars": lambda: viz.bars({"data": [0.2, 0.8], "model": [0.5, 0.5]}, labels=["0", "1"]),
    "lines": lambda: viz.lines([1, 2], {"a": [1, 2], "b": [2, 1]}, xlabel="x", ylabel="y"),
    "curves": lambda: viz.curves([{"epoch": 1, "loss": 2.0, "valid": None}, {"epoch": 2, "loss": 1.0, "valid": None}]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_follow_the_page_and_say_what_they_show(name):
    html = viz._figure_html(FIGURES[name]().figure, ALT)
    assert html.count("<svg") == html.count('role="img"') == 1 and f'aria-label="{ALT}"' in html
    head = html[: html.index(">", html.index("<svg"))]
    assert 'fill="currentColor"' in head and "max-width" in head and "viewBox" in head and " height=" not in head
    assert "#000000" not in html, "what is black takes the colour of the page's text"
    assert "#ffffff" not in html.lower(), "no white card on a dark page"
    assert "<style" not in html, "a style sheet in the page would reach other drawings"
    assert "http" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", html)
    used = set(re.findall(r'(?:url\(#|href="#)([\w-]+)', html))
    assert used <= set(re.findall(r' id="([\w-]+)"', html))


def test_figures_do_not_share_ids_and_are_reproducible():
    texts = [viz._figure_html(FIGURES[name]().figure, ALT) for name in ("bars", "lines")]
    ids = [set(re.findall(r' id="([\w-]+)"', text)) for text in texts]
    assert ids[0] and ids[1] and not ids[0] & ids[1]
    assert texts[0] == viz._figure_html(FIGURES["bars"]().figure, ALT)


def test_show_displays_with_text_and_closes(monkeypatch):
    shown = []
    monkeypatch.setattr(viz, "display", lambda bundle, raw: shown.append(bundle))
    viz.figure(viz.bars({"p": [0.5, 0.5]}), alt="Two bars of <equal> height.", caption="Coins & such")
    assert shown[0]["text/plain"] == "Two bars of <equal> height."
    assert 'aria-label="Two bars of &lt;equal&gt; height."' in shown[0]["text/html"]
    assert "Coins &amp; such</figcaption>" in shown[0]["text/html"]
    assert plt.get_fignums() == []


@pytest.mark.parametrize("alt", ["", "figure.png", "a plot"])
def test_show_wants_a_sentence(alt):
    with pytest.raises(ValueError, match="too short"):
        viz.figure(viz.axes(), alt=alt)


def test_figures_too_large_for_a_page_are_refused(monkeypatch):
    monkeypatch.setattr(viz, "MOST_SVG", 1000)
    with pytest.raises(ValueError, match="rasterized=True"):
        viz._figure_html(viz.axes().figure, ALT)


def test_a_figure_made_without_viz_is_shown_as_well():
    figure, ax = plt.subplots()
    ax.plot([1, 2], color="black", label="a")
    ax.legend()
    html = viz._figure_html(figure, ALT)
    assert "#000000" not in html and "fill: #ffffff" not in html


def test_images_keep_pixels_and_shape():
    x = np.random.default_rng(0).random((5, 3, 4))
    canvas = viz.images(x, columns=2).images[0].get_array()
    assert canvas.shape == (3 * 4 - 1, 2 * 5 - 1, 4)
    third = canvas[4:7, 0:4, 0]
    np.testing.assert_allclose(third, x[2], atol=1 / 255)
    assert (canvas[3] == 0).all(), "gaps are transparent"
    parts = viz.images([torch.as_tensor(x[:2]), x[2:]], columns=2).images[0].get_array()
    np.testing.assert_array_equal(parts, canvas, "pictures of several sources are one list")
    with pytest.raises(ValueError, match=r"\(2, 12\); pass \(n, height, width\)"):
        viz.images(np.ones((2, 12)))


def test_dependencies_mark_by_shape_and_colour():
    seen, allowed = np.array([[1, 0], [0, 0]]), np.array([[0, 0], [1, 0]])
    ax = viz.dependencies(seen, allowed)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "sees, but must not",
        "should see, but does not",
    ]
    looks = {(patch.get_path().vertices.shape, patch.get_edgecolor()) for patch in ax.patches}
    assert len(looks) == 2
    centres = [patch.get_path().get_extents() for patch in ax.patches]
    assert [(round(c.x0 + c.x1) / 2, round(c.y0 + c.y1) / 2) for c in centres] == [(0, 0), (0, 1)]  # column, row
    assert viz.dependencies(np.tri(3)).get_legend() is None


def test_network_draws_one_line_for_each_open_connection():
    masks = MADE(4, (5,), direct=False).masks()
    ax = viz.network(masks)
    lines = [text for text in ax.texts if text.get_text() == ""]
    assert len(lines) == sum(int(mask.sum()) for mask in masks)


def test_bars_and_lines_take_tensors_and_keep_order():
    ax = viz.bars({"data": np.array([0.25, 0.75]), "model": [0.5, 0.5]}, labels=["tails", "heads"])
    assert [bar.get_height() for bar in ax.patches] == [0.25, 0.75, 0.5, 0.5]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["tails", "heads"]
    ax = viz.curves([{"epoch": e, "loss": 3 - e, "valid": 4 - e} for e in (1, 2)])
    assert [line.get_label() for line in ax.lines] == ["loss", "valid"]
    assert all(tick == round(tick) for tick in ax.get_xticks())


MOLECULES = ["CC(=O)Nc1ccccc1", None, "C", "[O-][N+](=O)c1ccc(Cl)cc1Br", "OS(=O)(=O)CCI", "FP(F)F"]


def test_molecules_follow_the_page_and_say_what_they_are():
    html = formulas_html(MOLECULES, labels=list("abcde") + ["<f>"], columns=3, alt=ALT, caption="A & B")
    assert f'aria-label="{ALT}"' in html and "A &amp; B</figcaption>" in html and "&lt;f&gt;</div>" in html
    assert html.count("<svg") == html.count("</svg>") == html.count('role="img"') == len(MOLECULES)
    assert 'aria-label="OS(=O)(=O)CCI"' in html and html.count(">invalid</text>") == 1
    assert html.startswith("<figure") and html.endswith("</figure>") and "viewBox" in html
    assert "<rect" not in html.replace("<rect", "", 1), "no white card; the only frame is that of the invalid one"
    assert "id=" not in html and "class=" not in html and "<style" not in html
    assert "http" not in re.sub(r'xmlns="[^"]*"', "", html)
    colours = {colour.lower() for colour in re.findall(r"#[0-9a-fA-F]{6}", html)}
    assert colours <= set(viz.COLOURS), "all colours stand out on both pages, and black is the page's own"
    assert {viz.BLUE, viz.ORANGE} <= colours and "currentColor" in html


def test_molecules_are_displayed_with_a_text(monkeypatch):
    shown = []
    monkeypatch.setattr(viz, "display", lambda bundle, raw: shown.append(bundle))
    viz.formulas(["CCO", "CCO"], columns=9, alt=ALT)
    assert shown[0]["text/plain"] == ALT and shown[0]["text/html"].count("<svg") == 2
    assert "max-width: 24rem" in shown[0]["text/html"], "no room is kept for columns that stay empty"


@pytest.mark.parametrize(
    "smiles, options, complaint",
    [
        ([], {}, "list of one SMILES"),
        ("CCO", {}, "list of one SMILES"),
        (b"CCO", {}, "list of one SMILES"),
        (None, {}, "list of one SMILES"),
        (["C", b"CC"], {}, "drawn of strings, got bytes b'CC'"),
        (["C", float("nan")], {}, "drawn of strings, got float nan"),
        (["CCO", "C(C"], {}, r"'C\(C' is no molecule"),
        (["CFC"], {}, "no molecule"),
        ([""], {}, "no molecule"),
        (["C"], {"labels": ["a", "b"]}, "2 labels for 1 molecules"),
        (["C"], {"alt": "molecules"}, "too short"),
    ],
)
def test_molecules_refuse(smiles, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        viz.formulas(smiles, **{"alt": ALT} | options)


def test_places_of_atoms_keep_apart():
    graph = molecules.from_smiles(["CC(=O)Nc1ccccc1"])
    places = np.array(viz.places(molecules.to_molecule(graph)))
    apart = np.linalg.norm(places[:, None] - places, axis=-1)
    assert places.shape == (10, 2) and (apart + 9 * np.eye(10) > 1.2).all()
    assert apart[graph.bonds[0].numpy() > 0] == pytest.approx(1.5, abs=0.1)


ROWS = [{"model": "MADE & co", "NLL": 88.0444, "size": 10}, {"model": "NADE", "NLL": "-", "size": 2}]


def test_table_aligns_numbers_and_escapes():
    html, text = table_html(ROWS, caption="Models < 100", formats={"NLL": ".2f"})
    assert "<caption>Models &lt; 100</caption>" in html and "MADE &amp; co" in html
    assert html.count('scope="col"') == 3
    assert html.count("text-align: right") == 6
    assert text.splitlines() == [
        "Models < 100",
        "model        NLL  size",
        "MADE & co  88.04    10",
        "NADE           -     2",
    ]


@pytest.mark.parametrize(
    "rows, caption, formats",
    [([], "x", None), (ROWS, "", None), ([ROWS[0], {"model": "x"}], "x", None), (ROWS, "x", {"nll": ".2f"})],
)
def test_table_refuses(rows, caption, formats):
    with pytest.raises(ValueError, match="table"):
        viz.table(rows, caption=caption, formats=formats)


def test_grey_levels_are_not_drawn_white():
    def shades(x):
        return viz.images(torch.as_tensor(x)[None, None]).images[0].get_array()[0, :3, 0]

    np.testing.assert_allclose(shades(torch.tensor([0, 51, 255], dtype=torch.uint8)), [0, 0.2, 1], atol=1 / 255)
    np.testing.assert_allclose(shades([0, 1, 1]), [0, 1, 1])  # bits
    np.testing.assert_allclose(shades([-0.3, 0.5, 1.2]), [0, 0.5, 1], atol=1 / 255)  # cut, as real samples are
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        viz.images([0, 1, 1])


def test_bars_of_many_series_look_different():
    ax = viz.bars({f"model {i}": [0.5, 0.5] for i in range(12)})
    looks = {(patch.get_edgecolor(), patch.get_hatch()) for patch in ax.patches}
    assert len(looks) == 12 and len(ax.patches) == 24


DRAWN = {
    "images": lambda t: viz.images(t([[0.0, 1.0, 0.5, 0.25]]), titles=t([3])),
    "images of parts": lambda t: viz.images([t([[0.0, 1.0, 0.5, 0.25]]), np.eye(4)]),
    "dependencies": lambda t: viz.dependencies(t([[0, 0], [1, 0]]) > 0, t([[0, 0], [1, 1]]) > 0, labels=t([7, 8])),
    "network": lambda t: viz.network([t([[1, 0], [1, 1]])], degrees=t([[1, 2], [1, 2]])),
    "bars": lambda t: viz.bars({"a": t([0.25, 0.75]), "b": [*t([0.5, 0.5])]}, labels=t([0, 1])),
    "lines": lambda t: viz.lines(t([1, 2]), {"a": t([1.0, 2.0])}),
    "curves": lambda t: viz.curves([{"epoch": 1, "loss": t(2.0)}, {"epoch": 2, "loss": t(1.0)}]),
}


@pytest.mark.parametrize("name", DRAWN)
def test_figures_take_tensors_of_any_device_and_precision(name, device):
    def there(values):
        tensor = torch.tensor(values, device=device)
        return tensor.bfloat16().requires_grad_() if tensor.is_floating_point() else tensor

    expected = viz._figure_html(DRAWN[name](torch.tensor).figure, ALT)
    assert viz._figure_html(DRAWN[name](there).figure, ALT) == expected


def test_tables_and_labels_take_numbers_of_any_device(device):
    p = torch.tensor([0.25, 3.0], device=device, requires_grad=True)
    rows = [{"model": "a", "NLL": p[0], "n": torch.tensor(7, device=device)}]
    expected = table_html([{"model": "a", "NLL": 0.25, "n": 7}], caption="c", formats={"NLL": ".1f", "n": ",d"})
    assert table_html(rows, caption="c", formats={"NLL": ".1f", "n": ",d"}) == expected
    assert ">3.0</div>" in formulas_html(iter(["CC"]), labels=[p[1]], alt=ALT)


@pytest.mark.parametrize("smiles, complaint", [("C" * 3000, "is too long"), ("C" * 300, "has 300 atoms")])
def test_a_formula_that_nobody_could_read_is_refused_at_once(smiles, complaint):
    with pytest.raises(ValueError, match=complaint) as error:
        formulas_html([smiles], alt=ALT)
    assert len(str(error.value)) < 300

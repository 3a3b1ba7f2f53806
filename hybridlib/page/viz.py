"""Figures: arrays in, axes out; nothing is trained or sampled here. Used in every chapter.

Arrays are numpy's, lists of numbers, or tensors of any device and precision, with or without gradients.
Figures are shown by `figure`, as SVG inside the page: what is black in it takes the colour of the page's text, so it
reads in light and dark, and every figure carries a text for those who cannot see it. The colours keep a contrast of at
least 3 on white and on the dark page; dashes, hatches and shapes tell them apart where colour does not.
"""

import hashlib
import html
import io
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch

from ..extras import optional

with optional(__name__):
    import matplotlib as mpl
    from IPython.display import display
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = np.ndarray | torch.Tensor | Sequence
BLUE, ORANGE, GREEN, PURPLE, PINK, GREY = "#2a85c7", "#d1660a", "#0f9d76", "#8b6fd0", "#c8559d", "#7d8488"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, PINK, GREY)
# of the elements, by atomic number; all others, carbon among them, have the colour of the page's text
ELEMENT_COLOURS = {7: BLUE, 8: ORANGE, 9: GREEN, 15: PINK, 16: PURPLE, 17: GREEN, 35: PINK, 53: PURPLE}
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
STYLE = {
    "font.size": 12, "axes.titlesize": 12, "axes.spines.top": False, "axes.spines.right": False, "lines.linewidth": 2,
    "axes.prop_cycle": mpl.cycler(color=COLOURS, linestyle=DASHES), "legend.frameon": False,
    "figure.constrained_layout.use": True,
}  # fmt: skip
MOST_SVG = 2_000_000  # characters of SVG that one figure may carry into a page
MOST_DRAWN = 200  # atoms of one formula


def _array(values, kind=float):
    """Numbers as figures take them (see the module), also lists of tensors -> ndarray of a kind."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = values.double() if values.is_floating_point() else values  # numpy knows no bfloat16
    elif isinstance(values, (list, tuple)):
        values = [_array(part, kind) if isinstance(part, (torch.Tensor, list, tuple)) else part for part in values]
    return np.asarray(values, dtype=kind)


def _plain(value):
    """The number in a tensor without dimensions; anything else as it is."""
    return value.item() if isinstance(value, torch.Tensor) and value.dim() == 0 else value


def axes(rows: int = 1, columns: int = 1, *, size: tuple[float, float] = (6.4, 3.6)) -> Axes | np.ndarray:
    """Empty axes in the book's style: (width, height) in inches -> Axes, or an array of them if there are several.

    >>> axes(2, 3).shape
    (2, 3)
    """
    from matplotlib import pyplot as plt

    with mpl.rc_context(STYLE):
        return plt.subplots(rows, columns, figsize=size)[1]


def check_alt(alt: str) -> None:
    """`ValueError` unless the text for those who cannot see a drawing could be a sentence.

    >>> check_alt("The loss falls from 3 to 1 nat.")
    """
    if len(alt.split()) < 3:
        raise ValueError(f"alt={alt!r} is too short: say in a sentence what can be seen")


def figure(drawn: Figure | Axes, *, alt: str, caption: str | None = None) -> None:
    """Display a figure (or the figure of some axes) with its text `alt`, in every front end; then close it.

    alt says what can be seen, in a sentence or two. `ValueError` for a missing alt, or a figure too large for a page.

    >>> figure(lines([1, 2], {"loss": [3, 1]}), alt="The loss falls from 3 to 1.")  # a notebook shows it
    {'text/html': '<figure ...
    """
    from matplotlib import pyplot as plt

    drawn = getattr(drawn, "figure", drawn)
    markup = _figure_html(drawn, alt, caption)
    plt.close(drawn)
    display({"text/html": markup, "text/plain": alt}, raw=True)


def _figure_html(figure, alt, caption=None):
    """The figure as an HTML <figure> with an inline SVG."""
    check_alt(alt)
    for legend in filter(None, [ax.get_legend() for ax in figure.axes]):
        legend.set_frame_on(False)
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "hybridlib", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    _, box, drawing = re.split(r'<svg[^>]* (viewBox="[^"]*")[^>]*>', buffer.getvalue())
    drawing = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", drawing, flags=re.DOTALL)
    name = "f" + hashlib.sha256(drawing.encode()).hexdigest()[:10]  # ids must differ between the figures of a page
    drawing = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", drawing).replace("#000000", "currentColor")
    look = f"width: 100%; max-width: {round(figure.get_figwidth() * 96)}px; height: auto"
    head = f'<svg role="img" aria-label="{html.escape(alt)}" {box} fill="currentColor" stroke-linejoin="round"'
    return _frame(f'{head} style="{look}">{drawing}', caption, remedy="draw with rasterized=True")


def _frame(drawing, caption, *, remedy):
    if len(drawing) > MOST_SVG:
        raise ValueError(f"{len(drawing)} characters of SVG are too many for a page; {remedy}")
    look = "font-size: .9em; margin-top: .4rem; color: inherit"
    note = f'<figcaption style="{look}">{html.escape(caption)}</figcaption>' if caption else ""
    return f'<figure style="margin: 1rem 0">{drawing}{note}</figure>'


def images(x: Numbers, *, columns: int = 10, titles: Iterable | None = None, ax: Axes | None = None) -> Axes:
    """Pictures in rows: (n, D), which are square, or (n, H, W), or a list of such arrays -> Axes.

    Black is 0; white is 1, and the largest value of whole numbers beyond 1 (grey levels). What is darker than black or
    whiter than white is cut. `ValueError` for flat pictures that are not square, and for other dimensions.

    >>> images(torch.eye(4), columns=2).images[0].get_array().shape  # 2 x 2 pictures of 2 x 2, one between, RGBA
    (5, 5, 4)
    """
    parts = [_array(part) for part in (x if isinstance(x, list) else [x])]
    x = np.concatenate([part if part.ndim > 1 else part[None] for part in parts])
    side = round((x.size / max(len(x), 1)) ** 0.5)
    if not len(x) or (x.ndim != 3 and x.shape[1:] != (side * side,)):
        raise ValueError(f"pictures of shape {x.shape}; pass (n, height, width), or (n, D) if they are square, n > 0")
    x = x / (x.max() if x.max() > 1 and (x == x.round()).all() else 1)
    x = x.reshape(len(x), side, side) if x.ndim == 2 else x
    n, height, width = x.shape
    columns = min(columns, n)
    rows, gap = -(-n // columns), max(1, width // 14)  # what no picture covers is transparent
    tiles = np.pad(mpl.colormaps["gray"](x.clip(0, 1)), ((0, rows * columns - n), (0, gap), (0, gap), (0, 0)))
    tiles = tiles.reshape(rows, columns, height + gap, width + gap, 4).swapaxes(1, 2)
    canvas = tiles.reshape(rows * (height + gap), columns * (width + gap), 4)[:-gap, :-gap]
    ax = ax or axes(size=(6.4, 6.4 * canvas.shape[0] / canvas.shape[1] + (0.3 if titles else 0)))
    ax.imshow(canvas, interpolation="none")
    ax.set_axis_off()
    for i, title in enumerate(titles or []):
        row, column = divmod(i, columns)
        ax.text(column * (width + gap) + width / 2, row * (height + gap) - 1, _plain(title), ha="center", va="bottom")
    return ax


def dependencies(
    seen: Numbers, allowed: Numbers | None = None, *, labels: Iterable | None = None, ax: Axes | None = None
) -> Axes:
    """Who sees whom: (D, D) booleans, row = output, column = input -> Axes.

    allowed: (D, D), by default all that is seen. Filled square: seen and allowed. Cross: seen but forbidden. Ring:
    allowed but missing. The legend comes with the function's own axes only; else call `ax.legend()` where it fits.

    >>> len(dependencies(np.tri(3)).patches)  # one for each pair that is seen
    6
    """
    seen = _array(seen, bool)
    allowed = seen if allowed is None else _array(allowed, bool)
    D, own, faulty = len(seen), ax is None, bool((seen != allowed).any())
    labels = [str(d + 1) for d in range(D)] if labels is None else [str(_plain(label)) for label in labels]
    ax = ax or axes(size=(5.8 if faulty else 3.2, 3.2))
    for mask, marker, colour, name in (
        (seen & allowed, "s", BLUE, "sees"),
        (seen & ~allowed, "X", ORANGE, "sees, but must not"),
        (~seen & allowed, "o", PURPLE, "should see, but does not"),
    ):
        looks = {"facecolor": "none" if marker == "o" else colour, "edgecolor": colour, "linewidth": 1.8}
        sign = mpl.markers.MarkerStyle(marker)
        outline = sign.get_path().transformed(sign.get_transform())  # in units of a cell, so it fits axes of any size
        for row, column in np.argwhere(mask):
            place = mpl.transforms.Affine2D().scale(0.55).translate(column, row)
            ax.add_patch(mpl.patches.PathPatch(outline.transformed(place), **looks))
        if mask.any():
            ax.scatter([], [], s=80, marker=marker, label=name, **looks)
    ax.set(xlim=(-0.5, D - 0.5), ylim=(D - 0.5, -0.5), aspect="equal", xlabel="input", ylabel="output")
    ax.set_xticks(range(D), labels)
    ax.set_yticks(range(D), labels)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    for edge in np.arange(D + 1) - 0.5:
        ax.axhline(edge, color="black", alpha=0.15, lw=0.8, ls="-")
        ax.axvline(edge, color="black", alpha=0.15, lw=0.8, ls="-")
    if own and faulty:
        ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def network(masks: Sequence[Numbers], *, degrees: Sequence[Numbers] | None = None, ax: Axes | None = None) -> Axes:
    """A masked network: list of (out, in) 0/1 masks, inputs first -> Axes. degrees: a vector per layer, written in.

    >>> [text.get_text() for text in network([np.ones((2, 1))]).texts][-3:]
    ['$x_{1}$', '$x_{1}$', '$x_{2}$']
    """
    masks = [_array(mask) for mask in masks]
    sizes = [masks[0].shape[1], *(len(mask) for mask in masks)]
    ax = ax or axes(size=(6.4, max(2.5, 0.42 * max(sizes))))
    heights = [(np.arange(size) - (size - 1) / 2) * max(sizes) / size for size in sizes]
    for layer, mask in enumerate(masks):
        for unit, source in zip(*np.nonzero(mask), strict=True):
            ends = {"xy": (layer, heights[layer][source]), "xytext": (layer + 1, heights[layer + 1][unit])}
            arrow = {"arrowstyle": "-", "shrinkA": 9, "shrinkB": 9, "color": BLUE, "alpha": 0.6}
            ax.annotate("", **ends, arrowprops=arrow)
    for layer, height in enumerate(heights):
        ax.scatter(np.full(len(height), layer), height, s=260, facecolors="none", edgecolors="black", lw=1.2)
        for unit, y in enumerate(height):
            if degrees is not None:
                ax.text(layer, y, str(int(degrees[layer][unit])), ha="center", va="center", size=10)
            if layer in (0, len(masks)):
                x, side = (layer - 0.12, "right") if layer == 0 else (layer + 0.12, "left")
                ax.text(x, y, f"$x_{{{unit + 1}}}$", ha=side, va="center")
    ax.set(xlim=(-0.4, len(masks) + 0.4), ylim=(max(sizes) / 2, -max(sizes) / 2))
    ax.set_axis_off()
    return ax


def bars(
    probabilities: Mapping[str, Numbers], *, labels: Iterable | None = None, ylabel: str = "probability",
    ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Probabilities of states side by side: {name: (n,)} -> Axes. labels: (n,) names of the states.

    >>> len(bars({"data": torch.tensor([0.25, 0.75]), "model": [0.5, 0.5]}).patches)
    4
    """
    ax = ax or axes()
    n = len(next(iter(probabilities.values())))
    width = 0.8 / len(probabilities)
    for i, (name, values) in enumerate(probabilities.items()):
        middle = np.arange(n) - 0.4 + width * (i + 0.5)
        colour, hatch = COLOURS[i % len(COLOURS)], ("", "//", "..", "xx")[i % 4]  # twelve different looks
        looks = {"color": colour, "edgecolor": colour, "hatch": hatch, "fill": i == 0}
        ax.bar(middle, _array(values), 0.9 * width, label=name, **looks)
    ax.set_xticks(range(n), range(n) if labels is None else [str(_plain(label)) for label in labels])
    ax.set(ylabel=ylabel)
    if len(probabilities) > 1:
        ax.legend()
    return ax


def lines(
    x: Numbers, series: Mapping[str, Numbers], *, xlabel: str = "", ylabel: str = "", ax: Axes | None = None
) -> Axes:
    """Curves: (n,), {name: (n,)} -> Axes.

    >>> [line.get_label() for line in lines([1, 2], {"MADE": [3, 1], "NADE": [2, 2]}).lines]
    ['MADE', 'NADE']
    """
    ax = ax or axes()
    for i, (name, values) in enumerate(series.items()):
        ax.plot(_array(x), _array(values), color=COLOURS[i % 6], linestyle=DASHES[i % 6], label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if len(series) > 1:
        ax.legend()
    return ax


def curves(history: list[dict], *, ylabel: str = "NLL (nats)", ax: Axes | None = None) -> Axes:
    """Training curves, loss and valid (if it was measured): the list of dicts that `train.fit` returns -> Axes.

    >>> curves([{"epoch": 1, "loss": 3.0, "valid": None}]).get_ylabel()
    'NLL (nats)'
    """
    measured = [key for key in ("loss", "valid") if history[0].get(key) is not None]
    series = {key: [row[key] for row in history] for key in measured}
    ax = lines([row["epoch"] for row in history], series, xlabel="epoch", ylabel=ylabel, ax=ax)
    ax.xaxis.get_major_locator().set_params(integer=True)
    return ax


def formulas(
    smiles: Iterable[str | None],
    *,
    alt: str,
    labels: Iterable | None = None,
    columns: int = 4,
    caption: str | None = None,
) -> None:
    """Display structural formulas in a grid: list of SMILES. None is drawn as an empty frame with the word "invalid".

    labels: a text under each formula. A narrow page gets fewer than ``columns`` columns. `ValueError` for an empty
    list, a string that RDKit cannot read, more than 200 atoms, another number of labels, or a missing alt.

    >>> formulas(["CCO", None], alt="Ethanol, and what is no molecule.")  # a notebook shows them
    {'text/html': '<figure ...
    """
    check_alt(alt)
    if smiles is None or isinstance(smiles, str | bytes) or not len(smiles := list(smiles)):
        raise ValueError(f"formulas takes a list of one SMILES string or more, got {str(smiles)[:60]!r}")
    labels = [None] * len(smiles) if labels is None else [str(_plain(label)) for label in labels]
    columns = max(1, min(columns, len(smiles)))
    if len(labels) != len(smiles):
        raise ValueError(f"{len(labels)} labels for {len(smiles)} molecules; each needs one")
    note = "font-size: .8em; line-height: 1.3; overflow-wrap: anywhere; text-align: center"
    cells = []
    for text, label in zip(smiles, labels):
        below = "" if label is None else f'<div style="{note}">{html.escape(label)}</div>'
        cells.append(f'<div role="listitem" style="min-width: 0">{_formula(text)}{below}</div>')
    least = f"max(7rem, calc((100% - {columns - 1} * .8rem) / {columns}))"  # never more columns than asked for
    look = (
        "display: grid; gap: .8rem; "
        f"grid-template-columns: repeat(auto-fill, minmax(min(100%, {least}), 1fr)); max-width: {columns * 12}rem"
    )
    drawing = f'<div role="list" aria-label="{html.escape(alt)}" style="{look}">{"".join(cells)}</div>'
    markup = _frame(drawing, caption, remedy="draw fewer molecules")
    display({"text/html": markup, "text/plain": alt}, raw=True)


def _formula(smiles):
    """One structural formula as SVG; letters are outlines, so no font is needed."""
    head = f'<svg role="img" aria-label="{html.escape(str(smiles or "invalid"))}" viewBox="0 0 200 150"'
    head += ' style="display: block; width: 100%; height: auto">'
    if smiles is None:
        frame = f'x="20" y="15" width="160" height="120" rx="6" stroke="{GREY}" stroke-width="2" stroke-dasharray="6 4"'
        text = '<text x="100" y="81" text-anchor="middle" font-size="18" fill="currentColor">invalid</text>'
        return f'{head}<rect {frame} fill="none"/>{text}</svg>'
    if not isinstance(smiles, str):
        raise ValueError(f"formulas are drawn of strings, got {type(smiles).__name__} {smiles!r:.60}")
    with optional("viz.formulas, which draws with RDKit,"):
        from rdkit.Chem.Draw import rdMolDraw2D

        from ..molecules import parsed, quoted
    molecule = parsed(smiles)
    if molecule.GetNumAtoms() > MOST_DRAWN:  # nobody could read it, and finding places takes the cube of the time
        raise ValueError(f"{quoted(smiles)} has {molecule.GetNumAtoms()} atoms; at most {MOST_DRAWN} can be drawn")
    drawer = rdMolDraw2D.MolDraw2DSVG(200, 150)
    options = drawer.drawOptions()
    options.clearBackground = False
    options.fixedBondLength, options.bondLineWidth, options.padding = 32, 2, 0.06
    options.setAtomPalette({-1: (0, 0, 0)} | {n: mpl.colors.to_rgb(colour) for n, colour in ELEMENT_COLOURS.items()})
    rdMolDraw2D.PrepareAndDrawMolecule(drawer, molecule)
    drawer.FinishDrawing()
    inside = drawer.GetDrawingText().split("<!-- END OF HEADER -->")[1]
    inside = re.sub(r" class='[^']*'", "", inside).replace("#000000", "currentColor")
    return head + re.sub(r"\s*\n\s*", "", inside).strip()


def places(molecule: "Chem.Mol") -> list[tuple[float, float]]:  # noqa: F821
    """Where a chemist would draw the atoms of an RDKit molecule: [(x, y), ...], a bond is about 1.5 long.

    >>> from rdkit import Chem
    >>> len(places(Chem.MolFromSmiles("CCO")))
    3
    """
    with optional("viz.places"):
        from rdkit.Chem import rdDepictor

    molecule.UpdatePropertyCache(False)
    conformer = molecule.GetConformer(rdDepictor.Compute2DCoords(molecule))
    return [(x, y) for x, y, _ in conformer.GetPositions().tolist()]


def table(rows: list[dict], *, caption: str, formats: Mapping[str, str] | None = None) -> None:
    """Display a table: list of dicts with the same keys, in their order. formats: {column: format such as ".2f"}.

    Numbers stand right-aligned. `ValueError` for no rows, differing keys, no caption, or a format of no column.

    >>> table([{"model": "coins", "NLL": 44.36}], caption="The baseline")  # a notebook shows it
    {'text/html': '<div ...
    """
    formats = formats or {}
    if not rows or not caption or any(row.keys() != rows[0].keys() for row in rows):
        raise ValueError("a table needs a caption and at least one row, and all rows the same keys")
    rows, columns = [{name: _plain(value) for name, value in row.items()} for row in rows], list(rows[0])
    if unknown := formats.keys() - columns:
        raise ValueError(f"formats for {sorted(unknown)}, but the table has the columns {columns}")
    numeric = [any(isinstance(row[c], (int, float)) for row in rows) for c in columns]
    styles = ["text-align: right; font-variant-numeric: tabular-nums" if n else "text-align: left" for n in numeric]
    cells = [
        [row[c] if isinstance(row[c], str) else format(row[c], formats.get(c, "")) for c in columns] for row in rows
    ]

    def line(tag, texts, scope=""):
        opening = [f'<{tag}{scope} style="{style}; padding: .3rem .8rem">' for style in styles]
        return f"<tr>{''.join(f'{start}{html.escape(text)}</{tag}>' for start, text in zip(opening, texts))}</tr>"

    title, head = html.escape(caption), line("th", columns, scope=' scope="col"')
    body = "".join(line("td", row) for row in cells)
    markup = (
        f'<div style="overflow-x: auto" tabindex="0" role="region" aria-label="{title}"><table class="table">'
        f"<caption>{title}</caption><thead>{head}</thead><tbody>{body}</tbody></table></div>"
    )
    widths = [max(map(len, texts)) for texts in zip(columns, *cells)]
    text = [
        "  ".join(t.rjust(w) if n else t.ljust(w) for t, w, n in zip(row, widths, numeric)).rstrip()
        for row in [columns, *cells]
    ]
    display({"text/html": markup, "text/plain": "\n".join([caption, *text])}, raw=True)

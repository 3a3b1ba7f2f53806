"""Figures: arrays in, axes out; nothing is trained or sampled here. Used in every chapter.

Arrays are numpy's, lists of numbers, or tensors of any device and precision, with or without gradients.

Figures are shown by `figure`, as SVG inside the page: what is black in it takes the colour of the page's text, so
it reads in light and dark, and every figure carries a text for those who cannot see it. The colours keep a contrast of
at least 3 on white and on the dark page; dashes, hatches and shapes tell them apart where colour does not.
"""

import hashlib
import html
import io
import re

import numpy as np
import torch

from ..extras import optional

with optional(__name__):
    import matplotlib as mpl
    from IPython.display import display

BLUE, ORANGE, GREEN, PURPLE, PINK, GREY = "#2a85c7", "#d1660a", "#0f9d76", "#8b6fd0", "#c8559d", "#7d8488"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, PINK, GREY)
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
STYLE = {
    "font.size": 12,
    "axes.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": mpl.cycler(color=COLOURS, linestyle=DASHES),
    "lines.linewidth": 2,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}
MOST_SVG = 2_000_000  # characters of SVG that one figure may carry into a page


def array(values, kind=float):
    """Numbers as figures take them (see the module), also lists of tensors -> ndarray of a kind."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = values.double() if values.is_floating_point() else values  # numpy knows no bfloat16
    elif isinstance(values, (list, tuple)):
        values = [array(part, kind) if isinstance(part, (torch.Tensor, list, tuple)) else part for part in values]
    return np.asarray(values, dtype=kind)


def plain(value):
    """The number in a tensor without dimensions; anything else as it is."""
    return value.item() if isinstance(value, torch.Tensor) and value.dim() == 0 else value


def axes(rows=1, columns=1, *, size=(6.4, 3.6)):
    """Empty axes in the book's style: (width, height) in inches -> Axes, or an array of them if there are several."""
    from matplotlib import pyplot as plt

    with mpl.rc_context(STYLE):
        return plt.subplots(rows, columns, figsize=size)[1]


def figure(figure, *, alt, caption=None):
    """Display a figure (or the figure of some axes) with its text `alt`, in every front end; then close it.

    alt says what can be seen, in a sentence or two. `ValueError` for a missing alt, or a figure too large for a page.
    """
    from matplotlib import pyplot as plt

    figure = getattr(figure, "figure", figure)
    markup = figure_html(figure, alt=alt, caption=caption)
    plt.close(figure)
    display({"text/html": markup, "text/plain": alt}, raw=True)


def figure_html(figure, *, alt, caption=None):
    """The figure as an HTML <figure> with an inline SVG: (Figure, str) -> str. Errors as in `figure`."""
    _check(alt)
    figure.patch.set_alpha(0)
    for ax in figure.axes:
        ax.patch.set_alpha(0)
        if ax.get_legend():
            ax.get_legend().set_frame_on(False)
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "hybridlib", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    drawing = buffer.getvalue()
    if len(drawing) > MOST_SVG:
        raise ValueError(f"{len(drawing)} characters of SVG are too many for a page; draw with rasterized=True")
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", drawing, flags=re.DOTALL)
    name = "f" + hashlib.sha256(drawing.encode()).hexdigest()[:10]  # ids must differ between the figures of a page
    drawing = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", drawing).replace("#000000", "currentColor")
    width = round(figure.get_figwidth() * 96)
    head = (
        f'<svg role="img" aria-label="{html.escape(alt)}" fill="currentColor" stroke-linejoin="round" '
        f'style="width: 100%; max-width: {width}px; height: auto"'
    )
    drawing = re.sub(r'<svg( [^>]*?)? height="[^"]*"', rf"{head}\1", drawing, count=1)
    drawing = re.sub(r'(<svg[^>]*?) width="[\d.]+pt"', r"\1", drawing, count=1)
    return _frame(drawing, caption)


def _check(alt):
    if len(alt.split()) < 3:
        raise ValueError(f"alt={alt!r} is too short: say in a sentence what the figure shows")


def _frame(drawing, caption):
    look = "font-size: .9em; margin-top: .4rem; color: inherit"
    note = f'<figcaption style="{look}">{html.escape(caption)}</figcaption>' if caption else ""
    return f'<figure style="margin: 1rem 0">{drawing}{note}</figure>'


def images(x, *, shape=None, levels=None, columns=10, titles=None, ax=None):
    """Pictures in rows: (n, D) or (n, H, W), or a list of such arrays -> Axes. shape: (H, W), or square.

    Black is 0; white is levels - 1, or without levels 1, and the largest value of whole numbers beyond 1 (grey levels).
    What is darker than black or whiter than white is cut. `ValueError` for flat pictures that are not square where no
    shape is given, for other dimensions, and for fewer than two levels.
    """
    parts = [array(part) for part in (x if isinstance(x, list) else [x])]
    x = np.concatenate([part if part.ndim > 1 else part[None] for part in parts])
    if x.ndim not in (2, 3) or not len(x):
        raise ValueError(f"pictures of shape {x.shape}; pass (n, D) or (n, height, width), n at least 1")
    if levels is not None and levels < 2:
        raise ValueError(f"levels={levels}: pictures need at least black and white")
    grey = levels is None and x.max() > 1 and (x == x.round()).all()
    x = x / (x.max() if grey else (levels or 2) - 1)
    if x.ndim == 2:
        side = round(x.shape[1] ** 0.5)
        if shape is None and side * side != x.shape[1]:
            raise ValueError(f"pictures of {x.shape[1]} values are not square; pass shape=(height, width)")
        x = x.reshape(len(x), *(shape or (side, side)))
    n, height, width = x.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    gap = max(1, width // 14)
    canvas = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 4), 0.0)
    for i, picture in enumerate(x):
        r, c = (i // columns) * (height + gap), (i % columns) * (width + gap)
        canvas[r : r + height, c : c + width] = mpl.colormaps["gray"](picture.clip(0, 1))
    ax = ax or axes(size=(6.4, 6.4 * canvas.shape[0] / canvas.shape[1] + (0.3 if titles else 0)))
    ax.imshow(canvas, interpolation="none")
    ax.set_axis_off()
    for i, title in enumerate(titles or []):
        column, row = i % columns, i // columns
        ax.text(column * (width + gap) + width / 2, row * (height + gap) - 1, plain(title), ha="center", va="bottom")
    return ax


def dependencies(seen, allowed=None, *, labels=None, ax=None):
    """Who sees whom: (D, D) booleans, row = output, column = input -> Axes.

    allowed: (D, D), by default all that is seen. Filled square: seen and allowed. Cross: seen but forbidden. Ring:
    allowed but missing. The legend comes with the function's own axes only; else call `ax.legend()` where it fits.
    """
    seen = array(seen, bool)
    allowed = seen if allowed is None else array(allowed, bool)
    D, own, faulty = len(seen), ax is None, bool((seen != allowed).any())
    labels = [str(d + 1) for d in range(D)] if labels is None else [str(plain(label)) for label in labels]
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


def network(masks, *, degrees=None, ax=None):
    """A masked network: list of (out, in) 0/1 masks, inputs first -> Axes. degrees: a vector per layer, written in."""
    masks = [array(mask) for mask in masks]
    sizes = [masks[0].shape[1], *(len(mask) for mask in masks)]
    ax = ax or axes(size=(6.4, max(2.5, 0.42 * max(sizes))))
    places = [(np.arange(size) - (size - 1) / 2) * max(sizes) / size for size in sizes]
    for layer, mask in enumerate(masks):
        for unit, source in zip(*np.nonzero(mask), strict=True):
            ends = {"xy": (layer, places[layer][source]), "xytext": (layer + 1, places[layer + 1][unit])}
            arrow = {"arrowstyle": "-", "shrinkA": 9, "shrinkB": 9, "color": BLUE, "alpha": 0.6}
            ax.annotate("", **ends, arrowprops=arrow)
    for layer, place in enumerate(places):
        ax.scatter(np.full(len(place), layer), place, s=260, facecolors="none", edgecolors="black", lw=1.2)
        for unit, y in enumerate(place):
            if degrees is not None:
                ax.text(layer, y, str(int(degrees[layer][unit])), ha="center", va="center", size=10)
            if layer in (0, len(places) - 1):
                side = -1 if layer == 0 else 1
                ax.text(layer + 0.12 * side, y, f"$x_{{{unit + 1}}}$", ha="right" if side < 0 else "left", va="center")
    ax.set(xlim=(-0.4, len(masks) + 0.4), ylim=(max(sizes) / 2, -max(sizes) / 2))
    ax.set_axis_off()
    return ax


def bars(probabilities, *, labels=None, ylabel="probability", ax=None):
    """Probabilities of states side by side: {name: (n,)} -> Axes. labels: (n,) names of the states."""
    ax = ax or axes()
    n = len(next(iter(probabilities.values())))
    width = 0.8 / len(probabilities)
    for i, (name, values) in enumerate(probabilities.items()):
        places = np.arange(n) - 0.4 + width * (i + 0.5)
        colour, hatch = COLOURS[i % len(COLOURS)], ("", "//", "..", "xx")[i % 4]  # twelve different looks
        looks = {"color": colour, "edgecolor": colour, "hatch": hatch, "fill": i == 0}
        ax.bar(places, array(values), 0.9 * width, label=name, **looks)
    ax.set_xticks(range(n), range(n) if labels is None else [str(plain(label)) for label in labels])
    ax.set(ylabel=ylabel)
    if len(probabilities) > 1:
        ax.legend()
    return ax


def lines(x, series, *, errors=None, xlabel="", ylabel="", ax=None):
    """Curves with optional error bands: (n,), {name: (n,)}, {name: (n,)} -> Axes."""
    ax, x = ax or axes(), array(x)
    for i, (name, values) in enumerate(series.items()):
        values = array(values)
        ax.plot(x, values, color=COLOURS[i % 6], linestyle=DASHES[i % 6], label=name)
        if errors and name in errors:
            error = array(errors[name])
            ax.fill_between(x, values - error, values + error, color=COLOURS[i % 6], alpha=0.2, lw=0)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if len(series) > 1:
        ax.legend()
    return ax


def curves(history, *, keys=("loss", "valid"), ylabel="NLL (nats)", ax=None):
    """Training curves: the list of dicts that `train.fit` returns -> Axes. Keys that it does not have are left out."""
    series = {key: [row[key] for row in history] for key in keys if history[0].get(key) is not None}
    ax = lines([row["epoch"] for row in history], series, xlabel="epoch", ylabel=ylabel, ax=ax)
    ax.xaxis.get_major_locator().set_params(integer=True)
    return ax


# Colours of the elements, by atomic number; all others, carbon among them, have the colour of the page's text.
ELEMENT_COLOURS = {7: BLUE, 8: ORANGE, 9: GREEN, 15: PINK, 16: PURPLE, 17: GREEN, 35: PINK, 53: PURPLE}


MOST_DRAWN = 200  # of one formula


def formulas(smiles, *, labels=None, columns=4, alt, caption=None):
    """Display structural formulas in a grid: list of SMILES. None is drawn as an empty frame with the word "invalid".

    labels: a text under each formula. A narrow page gets fewer than ``columns`` columns. `ValueError` for an empty
    list, a string that RDKit cannot read, more than 200 atoms, another number of labels, or a missing alt.
    """
    markup = formulas_html(smiles, labels=labels, columns=columns, alt=alt, caption=caption)
    display({"text/html": markup, "text/plain": alt}, raw=True)


def formulas_html(smiles, *, labels=None, columns=4, alt, caption=None):
    """The grid as an HTML <figure> with an inline SVG for each formula. Errors as in `formulas`."""
    _check(alt)
    if smiles is None or isinstance(smiles, str | bytes) or not len(smiles := list(smiles)):
        raise ValueError(f"formulas takes a list of one SMILES string or more, got {str(smiles)[:60]!r}")
    labels = labels if labels is None else [plain(label) for label in labels]
    if columns < 1:
        raise ValueError(f"columns={columns} must be at least 1")
    if labels is not None and len(labels) != len(smiles):
        raise ValueError(f"{len(labels)} labels for {len(smiles)} molecules; each needs one")
    columns = min(columns, len(smiles))
    note = "font-size: .8em; line-height: 1.3; overflow-wrap: anywhere; text-align: center"
    cells = []
    for text, label in zip(smiles, labels if labels is not None else [None] * len(smiles)):
        below = "" if label is None else f'<div style="{note}">{html.escape(str(label))}</div>'
        cells.append(f'<div role="listitem" style="min-width: 0">{_formula(text)}{below}</div>')
    least = f"max(7rem, calc((100% - {columns - 1} * .8rem) / {columns}))"  # never more columns than asked for
    look = (
        f"display: grid; gap: .8rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, {least}), 1fr)); "
        f"max-width: {columns * 12}rem"
    )
    drawing = f'<div role="list" aria-label="{html.escape(alt)}" style="{look}">{"".join(cells)}</div>'
    if len(drawing) > MOST_SVG:
        raise ValueError(f"{len(drawing)} characters of SVG are too many for a page; draw fewer molecules")
    return _frame(drawing, caption)


def _formula(smiles):
    """One structural formula as SVG; letters are outlines, so no font is needed."""
    if not isinstance(smiles, str | None):
        raise ValueError(f"formulas are drawn of strings, got {type(smiles).__name__} {smiles!r:.60}")
    width, height = 200, 150
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{html.escape(smiles or "invalid")}" '
        f'viewBox="0 0 {width} {height}" style="display: block; width: 100%; height: auto">'
    )
    if smiles is None:
        return (
            f'{head}<rect x="20" y="15" width="160" height="120" rx="6" fill="none" stroke="{GREY}" '
            'stroke-width="2" stroke-dasharray="6 4"/><text x="100" y="81" text-anchor="middle" font-size="18" '
            'fill="currentColor">invalid</text></svg>'
        )
    with optional("viz.formulas, which draws with RDKit,"):
        from rdkit.Chem.Draw import rdMolDraw2D

        from ..molecules import parsed, quoted
    molecule = parsed(smiles)
    if molecule.GetNumAtoms() > MOST_DRAWN:  # nobody could read it, and finding places takes the cube of the time
        raise ValueError(f"{quoted(smiles)} has {molecule.GetNumAtoms()} atoms; at most {MOST_DRAWN} can be drawn")
    drawer = rdMolDraw2D.MolDraw2DSVG(width, height)
    options = drawer.drawOptions()
    options.clearBackground = False
    options.fixedBondLength, options.bondLineWidth, options.padding = 32, 2, 0.06
    options.setAtomPalette({-1: (0, 0, 0)} | {n: mpl.colors.to_rgb(colour) for n, colour in ELEMENT_COLOURS.items()})
    rdMolDraw2D.PrepareAndDrawMolecule(drawer, molecule)
    drawer.FinishDrawing()
    drawing = drawer.GetDrawingText()
    inside = drawing[drawing.index("<!-- END OF HEADER -->") + len("<!-- END OF HEADER -->") :]
    inside = re.sub(r" class='[^']*'", "", inside).replace("#000000", "currentColor")
    return head + re.sub(r"\s*\n\s*", "", inside).strip()


def places(molecule):
    """Where a chemist would draw the atoms of an RDKit molecule: [(x, y), ...], a bond is about 1.5 long."""
    with optional("viz.places"):
        from rdkit.Chem import rdDepictor

    molecule.UpdatePropertyCache(False)
    conformer = molecule.GetConformer(rdDepictor.Compute2DCoords(molecule))
    return [(x, y) for x, y, _ in conformer.GetPositions().tolist()]


def table(rows, *, caption, formats=None):
    """Display a table: list of dicts with the same keys, in their order. formats: {column: format such as ".2f"}.

    Numbers stand right-aligned. `ValueError` for no rows, differing keys, no caption, or a format of no column.
    """
    markup, text = table_html(rows, caption=caption, formats=formats)
    display({"text/html": markup, "text/plain": text}, raw=True)


def table_html(rows, *, caption, formats=None):
    """The table as HTML and as plain text: list of dicts -> (str, str). Errors as in `table`."""
    if not rows or not caption or any(row.keys() != rows[0].keys() for row in rows):
        raise ValueError("a table needs a caption and at least one row, and all rows the same keys")
    formats, rows = formats or {}, [{name: plain(value) for name, value in row.items()} for row in rows]
    columns = list(rows[0])
    if unknown := formats.keys() - columns:
        raise ValueError(f"formats for {sorted(unknown)}, but the table has the columns {columns}")
    cells = [
        [format(row[c], formats[c]) if c in formats and not isinstance(row[c], str) else str(row[c]) for c in columns]
        for row in rows
    ]
    numeric = [any(isinstance(row[c], (int, float)) for row in rows) for c in columns]
    styles = ["text-align: right; font-variant-numeric: tabular-nums" if n else "text-align: left" for n in numeric]

    def row_html(opening, texts):
        tag = opening.split()[0]
        cells = (
            f'<{opening} style="{s}; padding: .3rem .8rem">{html.escape(t)}</{tag}>' for s, t in zip(styles, texts)
        )
        return f"<tr>{''.join(cells)}</tr>"

    head = row_html('th scope="col"', columns)
    markup = (
        f'<div style="overflow-x: auto" tabindex="0" role="region" aria-label="{html.escape(caption)}">'
        f'<table class="table">'
        f"<caption>{html.escape(caption)}</caption><thead>{head}</thead>"
        f"<tbody>{''.join(row_html('td', row) for row in cells)}</tbody></table></div>"
    )
    widths = [max(len(c), *(len(row[i]) for row in cells)) for i, c in enumerate(columns)]
    text = "\n".join(
        "  ".join(t.rjust(w) if n else t.ljust(w) for t, w, n in zip(row, widths, numeric)).rstrip()
        for row in [columns, *cells]
    )
    return markup, f"{caption}\n{text}"

"""A Sphinx extension with the few corrections that the site needs beyond its settings."""

import re
from itertools import groupby


def correct_roles(app, pagename, templatename, context, doctree):
    """The bibliography is marked up as a list without list items, which screen readers report as broken."""
    if "body" in context:
        context["body"] = context["body"].replace(
            '<div role="list" class="citation-list">', '<div class="citation-list">'
        )


def plain_docstring(app, what, name, obj, options, lines):
    """Docstrings are plain text with `code` in backticks: keep stars and bars, and the layout of indented lines."""
    shown = []
    for blank, paragraph in groupby(lines, key=lambda line: not line.strip()):
        paragraph = list(paragraph)
        if blank:
            continue
        if any(line.startswith(" ") for line in paragraph):
            shown += [".. code-block:: text", "", *(f"   {line}" for line in paragraph), ""]
        else:
            shown += [*map(escaped, paragraph), ""]
    lines[:] = shown


def escaped(line):
    """Text in which nothing but code between backticks has a meaning to reStructuredText: str -> str."""
    parts = re.split(r"``?([^`]+)``?", line)  # odd positions are code
    return "".join(
        f"``{part}``" if position % 2 else re.sub(r"([*|\\]|_\b)", r"\\\1", part) for position, part in enumerate(parts)
    )


def setup(app):
    app.connect("html-page-context", correct_roles)
    app.connect("autodoc-process-docstring", plain_docstring)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

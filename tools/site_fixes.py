"""A Sphinx extension with the few corrections that the site needs beyond its settings."""

import re
from itertools import groupby


def correct_body(app, pagename, templatename, context, doctree):
    """Put "Open in Colab" below the title of a chapter, and take a wrong role from the bibliography."""
    if "body" not in context:
        return
    body = context["body"]
    if doctree is not None and app.env.doc2path(pagename).endswith(".ipynb"):
        options = app.config.html_theme_options
        place = options["repository_url"].removeprefix("https://github.com/")
        colab = f"{options['launch_buttons']['colab_url']}/github/{place}/blob/{options['repository_branch']}"
        launch = f'<p class="launch"><a href="{colab}/{pagename}.ipynb">Open in Colab</a></p>'
        body = body.replace("</h1>", f"</h1>\n{launch}", 1)
    # it is marked up as a list without list items, which screen readers report as broken
    context["body"] = body.replace('<div role="list" class="citation-list">', '<div class="citation-list">')


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
    app.connect("html-page-context", correct_body)
    app.connect("autodoc-process-docstring", plain_docstring)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

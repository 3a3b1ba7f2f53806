"""A Sphinx extension with the few corrections that the site needs beyond its settings."""

import re
from itertools import groupby
from pathlib import Path

import teaching
import yaml
from repository import ORIGINAL

import hybridlib


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


def without_widget_state(app, pagename, templatename, context, doctree):
    """The site shows explorers as HTML: what a live widget would need is weight in front of the page."""
    state = "application/vnd.jupyter.widget-state+json"
    context["script_files"] = [file for file in context["script_files"] if file.attributes.get("type") != state]


def footer(url, branch):
    """The foot of every page: licences, citation, version, and in a fork whose work it is. HTML for the theme."""
    files = f"{url}/blob/{branch}"
    edition = "" if branch == f"v{hybridlib.__version__}" else f", edition {branch}"
    cc = "https://creativecommons.org/licenses/by/4.0/"
    based = f"""<p class="based-on">Based on <em>Hybrid Generative Models</em> by its authors and contributors,
<a href="{ORIGINAL}">{ORIGINAL.removeprefix("https://")}</a>, CC BY 4.0 (text), MIT (code).</p>"""
    return f"""<p class="licence">Text and figures: <a rel="license" href="{cc}">CC BY 4.0</a>. Code: MIT.
<a href="{files}/LICENSE">The licences</a> · <a href="{files}/CITATION.cff">How to cite</a> ·
Version {hybridlib.__version__}{edition}</p>{based if url != ORIGINAL else ""}"""


def add_footer(app, pagename, templatename, context, doctree):
    options = app.config.html_theme_options
    context["theme_extra_footer"] = footer(options["repository_url"], options["repository_branch"])


def plain_docstring(app, what, name, obj, options, lines):
    """Docstrings are plain text with `code` in backticks: keep stars and bars, and the layout of indented lines.

    Examples are shown as such, and "chapter 5" leads to the chapter.
    """
    pages, shown = chapters(app.srcdir), []
    for blank, paragraph in groupby(lines, key=lambda line: not line.strip()):
        paragraph = list(paragraph)
        if blank:
            continue
        if paragraph[0].startswith(">>> "):
            shown += [".. code-block:: pycon", "", *(f"   {line}" for line in paragraph), ""]
        elif any(line.startswith(" ") for line in paragraph):
            shown += [".. code-block:: text", "", *(f"   {line}" for line in paragraph), ""]
        else:
            shown += [*(linked(escaped(line), pages) for line in paragraph), ""]
    lines[:] = shown


def escaped(line):
    """Text in which nothing but code between backticks has a meaning to reStructuredText: str -> str."""
    parts = re.split(r"``?([^`]+)``?", line)  # odd positions are code
    return "".join(
        f"``{part}``" if position % 2 else re.sub(r"([*|\\]|_\b)", r"\\\1", part) for position, part in enumerate(parts)
    )


def chapters(folder):
    """Pages of the numbered chapters, the first of them chapter 1: the notebooks of the table of contents."""
    toc = yaml.safe_load((Path(folder) / "_toc.yml").read_text("utf-8"))
    files = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    return [file for file in files if (Path(folder) / f"{file}.ipynb").exists()]


def linked(line, pages):
    """Numbers behind the word chapter become links to the pages, the first of which is chapter 1: str -> str."""

    def link(text, number):
        return f":doc:`{text} </{pages[int(number) - 1]}>`" if 0 < int(number) <= len(pages) else text

    def links(found):
        word, first, more = found.groups()
        if not more:
            return link(f"{word} {first}", first)
        return f"{word} {link(first, first)}" + re.sub(r"\d+", lambda number: link(number[0], number[0]), more)

    return re.sub(r"\b([Cc]hapters?) (\d+)((?:(?:, | and )\d+)*)", links, line)


def setup(app):
    app.connect("html-page-context", correct_body)
    app.connect("html-page-context", without_widget_state)
    app.connect("html-page-context", add_footer)
    app.connect("autodoc-process-docstring", plain_docstring)
    teaching.setup(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

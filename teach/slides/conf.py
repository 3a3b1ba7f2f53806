"""Sphinx's settings for the slides. How a deck is written stands in `tools/slides.py`, which calls this.

    NN-name.md     one deck, one session: Markdown with cells that the build executes and keeps (MyST-NB)
    templates/     page.html is a deck around its slides, index.html the list of all decks
    static/        slides.css: type, light and dark, print; slides.js: which keys belong to whom

reveal.js and MathJax are copied from installed packages into _static, once for all decks; nothing comes from elsewhere.
"""

from pathlib import Path

import repository
import slides
import yaml
from docutils import nodes
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator
from sphinx_revealjs.writers import RevealjsSlideTranslator

ROOT = Path(__file__).resolve().parents[2]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
SITE = repository.addresses(CONFIG["repository"]["url"])[2]

project, author, language = CONFIG["title"], CONFIG["author"], "en"
extensions = ["myst_nb", "sphinx_revealjs", "sphinx.ext.mathjax", "sphinx-mathjax-offline", "sphinx.ext.extlinks"]
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
templates_path = ["templates"]  # which decks are built: tools/slides.py

# {book}`chapter 5 <made>` and {glossary}`degree <degree>` lead to the site of this repository
extlinks = {"book": (f"{SITE}/book/%s.html", "%s"), "glossary": (f"{SITE}/book/glossary.html#term-%s", "%s")}

nb_execution_mode = "cache"
nb_execution_cache_path = str(slides.CACHE)
nb_execution_raise_on_error = True
nb_execution_timeout = CONFIG["execute"]["timeout"]
nb_output_stderr = "remove-warn"
nb_merge_streams = True
nb_ipywidgets_js = {}
nb_mime_priority_overrides = [("revealjs", f"text/{kind}", i) for i, kind in enumerate(("html", "markdown", "plain"))]

pygments_style = "bw"  # bold and italic only; the colours are in slides.css, where they know light and dark
revealjs_static_path = ["static"]
revealjs_style_theme = "slides.css"
revealjs_use_section_ids = True
revealjs_script_files = ["slides.js"]
revealjs_script_plugins = [{"name": "RevealNotes", "src": "revealjs/plugin/notes/notes.js"}]
# viewDistance: all slides are laid out from the start, so that formulas and explorers know their widths
revealjs_script_conf = """{
    width: 1280, height: 720, margin: 0, center: false, transition: "none", viewDistance: 99, mobileViewDistance: 99,
    hash: true, slideNumber: "c/t", navigationMode: "linear", scrollActivationWidth: null, pdfSeparateFragments: false,
    pdfMaxPagesPerSlide: 1, keyboardCondition: keyIsForSlides,
}"""
html_favicon = str(ROOT / "book" / "assets" / "logo.svg")
html_additional_pages = {"index": "index.html"}
html_context = {"site": SITE, "book": project, "decks": slides.decks()}


class Notes(SphinxDirective):
    """What the speaker reads, and the audience does not."""

    has_content = True

    def run(self):
        inside = nodes.container()
        self.state.nested_parse(self.content, self.content_offset, inside)
        begin, end = '<aside class="notes">', "</aside>"
        return [nodes.raw("", begin, format="html"), *inside.children, nodes.raw("", end, format="html")]


class Translator(RevealjsSlideTranslator):
    """Code is coloured by the build, as in the book; sphinx-revealjs would leave it to a script in the browser."""

    visit_literal_block = HTML5Translator.visit_literal_block
    depart_literal_block = HTML5Translator.depart_literal_block


def stand_alone(app, doctree):
    """No deck is below another one."""
    app.env.metadata[app.env.docname]["orphan"] = True


def setup(app):
    app.connect("doctree-read", stand_alone)
    app.add_directive("notes", Notes)
    app.set_translator("revealjs", Translator, override=True)

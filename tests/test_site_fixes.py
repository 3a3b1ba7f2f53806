"""Docstrings on the page of the library: plain text, code in backticks, examples, and links to the chapters."""

from types import SimpleNamespace

import pytest
from repository import ORIGINAL
from site_fixes import chapters, escaped, footer, linked, plain_docstring
from test_house import ROOT

import hybridlib


def shown(text):
    lines = text.splitlines()
    plain_docstring(SimpleNamespace(srcdir=str(ROOT)), "function", "name", None, {}, lines)
    return "\n".join(lines)


def test_chapters_are_the_notebooks_in_their_order():
    pages = chapters(ROOT)
    assert pages[0] == "book/learning-a-distribution" and pages[4] == "book/made" and pages[9] == "book/graphaf"
    assert not [page for page in pages if page.endswith(("introduction", "api", "glossary"))]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Chapter 5 builds it.", ":doc:`Chapter 5 </book/e>` builds it."),
        (
            "Chapters 1, 2 and 5 use it.",
            "Chapters :doc:`1 </book/a>`, :doc:`2 </book/b>` and :doc:`5 </book/e>` use it.",
        ),
        ("chapter 50, chapters of 5", "chapter 50, chapters of 5"),
    ],
)
def test_numbers_of_chapters_are_links(text, expected):
    assert linked(text, [f"book/{letter}" for letter in "abcde"]) == expected


def test_nothing_but_code_has_a_meaning():
    assert escaped("a * b | c_ of `x_ * y`") == r"a \* b \| c\_ of ``x_ * y``"


def test_examples_and_tables_keep_their_lines():
    found = shown("Sum, chapter 1.\n\n    a   b\n\n>>> 1 + 1\n2")
    assert found == (
        "Sum, :doc:`chapter 1 </book/learning-a-distribution>`.\n\n.. code-block:: text\n\n       a   b\n\n"
        ".. code-block:: pycon\n\n   >>> 1 + 1\n   2\n"
    )


def test_the_foot_of_a_page_names_licences_citation_and_version():
    found = footer(ORIGINAL, f"v{hybridlib.__version__}")
    for part in ("https://creativecommons.org/licenses/by/4.0/", "MIT", "/LICENSE", "/CITATION.cff"):
        assert part in found, part
    assert f"Version {hybridlib.__version__}</p>" in found and "Based on" not in found


def test_the_foot_of_a_fork_s_page_says_whose_work_it_is():
    found = footer("https://github.com/a-teacher/my-course", "2027-spring")
    assert 'href="https://github.com/a-teacher/my-course/blob/2027-spring/LICENSE"' in found
    assert f"Version {hybridlib.__version__}, edition 2027-spring" in found
    assert (
        f'Based on <em>Hybrid Generative Models</em> by its authors and contributors,\n<a href="{ORIGINAL}">' in found
    )

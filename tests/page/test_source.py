"""The library's source on the page: live, linked, and nothing but the library's."""

import importlib.metadata
import inspect
import math
import re
from pathlib import Path

import first_cells
import pytest
import torch

from hybridlib import autoregressive, made
from hybridlib.argmax import ArgmaxNormal
from hybridlib.page import comparison, source
from hybridlib.page.source import listing, repository

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "thing", [made.MADE, made.MADE.log_prob, made.evenly_spaced_degrees, made, listing, source.show]
)
def test_shows_the_live_source_with_its_lines(thing):
    code, link = listing(thing)
    assert code.splitlines()[-1].strip() == inspect.getsource(thing).rstrip().splitlines()[-1].strip()
    place, lines = re.fullmatch(
        rf"\[`(hybridlib/[\w/]+\.py)`\]\({repository()}/blob/{first_cells.TAG}/\1(?:#L(\d+-L\d+))?\)", link
    ).groups()
    if lines:
        first, last = map(int, lines.split("-L"))
        text = (ROOT / place).read_text("utf-8").splitlines()[first - 1 : last]
        text = [line.removesuffix("  # fmt: skip").strip() for line in text]
        assert text == [line.strip() for line in code.splitlines()]
    else:
        assert inspect.ismodule(thing)


def test_words_to_the_linter_stay_out():
    shown, _ = listing(comparison.row)
    assert "# fmt: skip" in inspect.getsource(comparison.row) and "fmt:" not in shown
    shown, _ = listing(ArgmaxNormal.sample)
    assert shown.splitlines()[0].endswith("-> Tensor:")


def test_docstrings_can_be_left_out():
    with_docs, _ = listing(made.MADE)
    without, _ = listing(made.MADE, docstring=False)
    assert '"""' in with_docs and '"""' not in without
    compile(without, "shown", "exec")
    kept = [line for line in with_docs.splitlines() if line in set(without.splitlines())]
    assert [line for line in without.splitlines() if line.strip()] == [line for line in kept if line.strip()]


def test_a_function_that_is_only_a_docstring_stays_valid():
    code = 'def later():\n    """Not here."""\n\n\ndef now():\n    """Here."""\n    return 1'
    bare = source._bare(code)
    compile(bare, "shown", "exec")
    assert bare == "def later():\n    ...\n\n\ndef now():\n    return 1"


def test_display_has_markdown_and_plain_text(monkeypatch):
    shown = []
    monkeypatch.setattr(source, "display", lambda bundle, raw: shown.append(bundle))
    source.show(autoregressive.Autoregressive.log_prob, docstring=False)
    (bundle,) = shown
    assert bundle["text/plain"].startswith("def log_prob(self, x")
    assert bundle["text/markdown"].endswith(f"````python\n{bundle['text/plain']}\n````")


@pytest.mark.parametrize("thing", [math.sqrt, 3, torch.nn.Linear, pytest.raises])
def test_shows_nothing_else(thing):
    with pytest.raises(ValueError, match=r"no Python source|not from hybridlib"):
        listing(thing)


def test_address_comes_from_the_metadata_of_the_package(monkeypatch):
    assert repository().startswith("https://")
    monkeypatch.setattr(importlib.metadata, "metadata", lambda name: importlib.metadata.PackageMetadata)
    monkeypatch.setattr(importlib.metadata.PackageMetadata, "get_all", lambda name: ["Home, https://x"], raising=False)
    with pytest.raises(ValueError, match="names no Repository"):
        repository()

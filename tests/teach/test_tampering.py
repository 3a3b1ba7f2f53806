"""What was replaced is found, and put back; the whole of it, in its process, is tried in test_sandbox.py."""

import math
import types

import pytest
import torch

from hybridlib import graphs
from hybridlib.teach.tampering import SUSPECT, TamperedError, guarded, sealed


def test_counters_and_caches_may_change_functions_may_not():
    module = types.ModuleType("some")
    module.count, module.table, module.f = 1, {"f": len}, len
    verify = sealed({}, [module])
    module.count, module.new = 2, print
    module.table["g"] = print
    verify()
    module.table["f"] = print
    with pytest.raises(TamperedError, match=r"some\.table\.f"):
        verify()
    assert module.table["f"] is len, "it is put back"
    del module.f
    with pytest.raises(TamperedError, match=r"some\.f"):
        verify()


def test_a_table_of_the_library_is_watched():
    verify, before = sealed({}, [graphs]), graphs.VALENCE.clone()
    graphs.VALENCE.zero_()
    try:
        with pytest.raises(TamperedError, match="VALENCE"):
            verify()
    finally:
        graphs.VALENCE.copy_(before)
    verify()


def test_a_name_of_the_check_is_watched():
    names = {"same": math.isclose, "n": 3}
    verify = sealed(names, [])
    names["n"] = 4
    verify()
    names["same"] = print
    with pytest.raises(TamperedError, match=r"the check's\.same"):
        verify()


def test_functions_are_followed_and_the_rest_stays():
    calls = []
    f, n, model = guarded((lambda: 1, 2, torch.nn.ReLU()), lambda: calls.append(1), "<answer>")
    assert (f(), n, calls) == (1, 2, [1]) and isinstance(model, torch.nn.ReLU)
    raising = guarded(lambda: 1 / 0, lambda: calls.append(1), "<answer>")
    with pytest.raises(ZeroDivisionError):
        raising()
    assert calls == [1, 1]


@pytest.mark.parametrize("text", ["f.__closure__[0]", "import os", "sys._getframe", "import gc", "setattr(x, 'y', 1)"])
def test_words_to_look_at(text):
    assert SUSPECT.search(text) and not SUSPECT.search("positions = rows.cosine(system)")

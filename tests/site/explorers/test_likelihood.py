"""The likelihood explorer: NLL is entropy plus divergence, whatever the reader does."""

import math

import pytest
import torch
from explorers import rules

from hybridlib.page import widgets


def test_likelihood_numbers(shown):
    p, q = torch.rand(20, 8, generator=torch.manual_seed(0)), torch.rand(20, 8, generator=torch.manual_seed(1))
    p, q = p / p.sum(1, keepdim=True), q / q.sum(1, keepdim=True)
    call = "(rules, [p, q]) => p.map((row, i) => ({ ...rules.measure(row, q[i]), moved: rules.move(q[i], 2, 0.4) }))"
    found = rules(shown(), "likelihood_explorer", call, [p.tolist(), q.tolist()])
    for i, numbers in enumerate(found):
        kl = torch.distributions.kl_divergence(
            torch.distributions.Categorical(p[i]), torch.distributions.Categorical(q[i])
        )
        assert numbers["kl"] == pytest.approx(kl.item(), abs=1e-5)
        assert numbers["nll"] == pytest.approx(numbers["entropy"] + numbers["kl"])
        assert sum(numbers["moved"]) == pytest.approx(1) and numbers["moved"][2] == pytest.approx(0.4, abs=0.01)


def test_likelihood_answers_keys_and_presets(shown):
    page = shown(widgets.likelihood_explorer())
    nll = page.locator(".nll td").first
    assert nll.inner_text() == f"{math.log(8):.3f}"  # a uniform model: log 8 whatever the data
    page.get_by_label("model's probability of 000").press("ArrowRight")
    assert float(nll.inner_text()) < math.log(8)
    page.get_by_role("button", name="q = p").click()
    assert page.locator(".kl td").all_inner_texts() == ["0.000", "0.000"]
    assert nll.inner_text() == page.locator(".entropy td").first.inner_text()
    page.get_by_role("button", name="q = independent coins").click()
    assert float(page.locator(".kl td").first.inner_text()) > 0.1
    assert "NLL" in page.locator("[aria-live]").inner_text()

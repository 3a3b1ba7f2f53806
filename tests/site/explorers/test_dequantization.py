"""The dequantization explorer: cells, bound and exact value are PyTorch's."""

import math

import pytest
import torch
from explorers import rules, state

from hybridlib.page import widgets

TRUTHS = ([0.05, 0.45, 0.1, 0.3, 0.1], [0.5, 0.5], [0.3, 0.02, 0.02, 0.16, 0.2, 0.1, 0.15, 0.05])


NOISY = [(truth, w, n) for truth in TRUTHS for w in (0.1, 0.5, 1.0) for n in (1, 2, 3, 5)]


def test_cells_bound_and_exact_value_are_those_of_pytorch(shown):
    call = """(rules, settings) => settings.map(([truth, w, n]) => {
        const mixture = rules.fit(truth, w, n);
        return { mixture, ...rules.measure(truth, w, mixture) };
    })"""
    likelihoods = {}
    for (truth, w, n), found in zip(NOISY, rules(shown(), "dequantization_explorer", call, NOISY), strict=True):
        weights, means, scales = (
            torch.tensor([part[key] for part in found["mixture"]], dtype=torch.float64)
            for key in ("weight", "mean", "scale")
        )
        assert len(weights) <= n and weights.sum().item() == pytest.approx(1) and scales.min() >= 0.02
        parts, p = torch.distributions.Normal(means, scales), torch.tensor(truth, dtype=torch.float64)
        u = (torch.arange(500, dtype=torch.float64) + 0.5) / 500
        v = torch.arange(len(truth))[:, None] + w * u
        log_q = (parts.log_prob(v[..., None]) + weights.log()).logsumexp(-1)
        cells = w * log_q.exp().mean(1)  # by the midpoint rule; the page has the distribution function
        assert found["cells"] == pytest.approx(cells.tolist(), abs=2e-5) and sum(found["cells"]) <= 1
        assert found["density"] == pytest.approx((p @ log_q.mean(1)).item(), abs=1e-4)
        assert found["bound"] == pytest.approx(found["density"] + math.log(w))
        assert found["exact"] == pytest.approx((p @ cells.log()).item(), abs=1e-3)
        assert found["limit"] == pytest.approx(-torch.distributions.Categorical(p).entropy().item())
        assert found["bound"] <= found["exact"] <= found["limit"], (truth, w, n)
        assert found["density"] >= likelihoods.get((*truth, w), -math.inf) - 1e-3, "more components fit no worse"
        likelihoods[(*truth, w)] = found["density"]
        if n == 1:  # the best single Gaussian has the moments of the data
            mean = (p @ torch.arange(len(truth), dtype=torch.float64)).item() + w / 2
            assert means.item() == pytest.approx(mean, abs=1e-6)
            second = (p @ v.square().mean(1)).item()
            assert scales.item() == pytest.approx(math.sqrt(second - mean**2), abs=1e-3)


def test_the_normal_distribution_function_is_that_of_pytorch(shown):
    x = torch.cat([torch.linspace(-8, 8, 321, dtype=torch.float64), torch.tensor([-50.0, 50.0])])
    found = rules(shown(), "dequantization_explorer", "(rules, x) => x.map(rules.normalCdf)", x.tolist())
    assert found == pytest.approx(torch.special.ndtr(x).tolist(), rel=1e-9, abs=1e-15)


def test_keys_change_noise_and_components(shown):
    page = shown(widgets.dequantization_explorer())
    cell = {key: page.locator(f"tr.{key} td") for key in ("density", "logWidth", "bound", "exact", "limit")}
    value = {key: lambda key=key: float(cell[key].inner_text().replace("−", "-")) for key in cell}
    assert cell["logWidth"].inner_text() == "0.000" and cell["bound"].inner_text() == cell["density"].inner_text()
    limit = cell["limit"].inner_text()
    for label, key in (("noise width w", "Home"), ("components", "End"), ("noise width w", "ArrowRight")):
        page.get_by_label(label).press(key)
        assert value["bound"]() == pytest.approx(value["density"]() + value["logWidth"](), abs=2e-3)
        assert value["bound"]() <= value["exact"]() <= value["limit"]() and cell["limit"].inner_text() == limit
    now = state(page)
    assert (now["width"], now["components"], len(now["mixture"])) == (pytest.approx(0.15), 5, 5)
    heights = [float(bar.get_attribute("height")) for bar in page.locator("rect.modelled").all()]
    assert [height / max(heights) for height in heights] == pytest.approx(
        [p / max(now["cells"]) for p in now["cells"]], abs=1e-6
    )
    assert "The bound gives away" in page.locator("[aria-live]").inner_text()


def test_without_log_w_the_bound_is_impossible(shown):
    page = shown(widgets.dequantization_explorer(width=0.2, components=5))
    page.get_by_label("leave out log w").press("Space")
    now = state(page)
    assert now["claimed"] == now["density"] > now["limit"] and now["above"]
    assert page.locator("tr.bound td").inner_text() == page.locator("tr.density td").inner_text()
    assert page.locator("tr.logWidth td").inner_text() == "left out"
    assert page.locator("[aria-live]").inner_text().startswith("Impossible: this “bound” lies above the limit −H")
    page.get_by_label("noise width w").press("End")
    assert page.locator("[aria-live]").inner_text() == "With w = 1 nothing is missing: log w = 0."
    assert state(page)["claimed"] == pytest.approx(state(page)["bound"])

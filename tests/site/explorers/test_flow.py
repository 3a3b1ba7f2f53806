"""The flow explorer: densities, areas and slopes are PyTorch's."""

import itertools

import pytest
import torch
from explorers import rules, state

from hybridlib.page import widgets

BENT = list(itertools.product((0.6, 1.0, 1.55, 2.0), (-0.9, -0.3, 0.0, 1.5), (-3.0, -0.65, 0.0, 1.2)))


def bent(scale, bend, x):
    """z and dz/dx of the explorer's map, the derivative by autograd."""
    x = x.clone().requires_grad_()
    z = scale * (x + bend * torch.tanh(x))
    (slope,) = torch.autograd.grad(z.sum(), x)
    return z.detach(), slope


def normal(loc=0.0, scale=1.0):
    return torch.distributions.Normal(torch.tensor(loc, dtype=torch.float64), scale)


@pytest.mark.parametrize("forget", [False, True])
def test_bent_densities_are_those_of_pytorch(shown, forget):
    call = """(rules, [settings, forget]) => settings.map(([scale, bend, x]) => {
        const found = rules.measure({ scale, bend }, x, forget);
        return { ...found, back: rules.inverse({ scale, bend }, found.z) };
    })"""
    every = torch.linspace(-30, 30, 60_001, dtype=torch.float64)
    for (scale, bend, x), found in zip(BENT, rules(shown(), "flow_explorer", call, [BENT, forget]), strict=True):
        ends, slopes = bent(scale, bend, torch.tensor([x - 0.25, x, x + 0.25], dtype=torch.float64))
        assert found["z"] == pytest.approx(ends[1].item()) and found["back"] == pytest.approx(x, abs=1e-9)
        assert found["logBase"] == pytest.approx(normal().log_prob(ends[1]).item())
        assert found["logDet"] == pytest.approx(slopes[1].log().item())
        assert found["logDensity"] == pytest.approx(found["logBase"] + (0 if forget else found["logDet"]))
        mass = (normal().cdf(ends[2]) - normal().cdf(ends[0])).item()
        assert found["above"] == pytest.approx(mass, abs=1e-8)
        z, slope = bent(scale, bend, every)
        assert (slope > 0).all()
        area = torch.trapezoid(normal().log_prob(z).exp() * (1 if forget else slope), every).item()
        assert found["area"] == pytest.approx(area, abs=1e-6)
        if not forget:
            assert found["area"] == pytest.approx(1, abs=1e-6) and found["below"] == pytest.approx(mass, abs=1e-6)
        elif (scale, bend) != (1, 0):
            assert abs(found["area"] - 1) > 0.05, (scale, bend)


def test_sliders_bend_the_density_and_its_area_stays(shown):
    page = shown(widgets.flow_explorer())
    start = state(page)
    area = page.locator("tr.area td")
    for label, presses in (("scale a", ["ArrowRight"]), ("bend b", ["End"]), ("point x", ["ArrowLeft", "ArrowLeft"])):
        for key in presses:
            page.get_by_label(label).press(key)
        assert area.inner_text() == "1.000", label
    now = state(page)
    assert (now["scale"], now["bend"], now["x"]) == pytest.approx((start["scale"] + 0.05, 1.5, start["x"] - 0.1))
    assert page.get_by_label("bend b").get_attribute("aria-valuetext") == "1.50"
    assert page.locator("tr.above td").inner_text() == page.locator("tr.below td").inner_text()
    page.get_by_label("bend b").press("Home")
    assert page.get_by_label("bend b").get_attribute("aria-valuetext") == "−0.90" and area.inner_text() == "1.000"


def test_without_the_log_det_the_area_is_wrong(shown):
    page = shown(widgets.flow_explorer())
    forget = page.get_by_label("forget the log-det term")
    forget.press("Space")
    wrong = page.locator("tr.area td").inner_text()
    assert abs(float(wrong) - 1) > 0.1
    assert page.locator("[aria-live]").inner_text() == f"Without log |dz/dx| the area is {wrong}: not a density."
    assert page.locator("tr.logDet td").inner_text() == "left out"
    assert page.locator("tr.logDensity td").inner_text() == page.locator("tr.logBase td").inner_text()
    assert page.locator("polyline.faint").get_attribute("points"), "the right curve stays in sight"
    forget.press("Space")
    assert page.locator("tr.area td").inner_text() == "1.000"
    assert not page.locator("polyline.faint").get_attribute("points")


def test_without_stretching_nothing_is_forgotten(shown):
    page = shown(widgets.flow_explorer(bend=0))
    page.get_by_label("forget the log-det term").check()
    assert "only because dz/dx = 1 everywhere" in page.locator("[aria-live]").inner_text()


def test_a_pointer_moves_x(shown):
    page = shown(widgets.flow_explorer())
    box = page.locator("svg.plot").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 217 / 360, box["y"] + 0.8 * box["height"])
    page.mouse.down()
    assert state(page)["x"] == pytest.approx(0, abs=0.06)
    page.mouse.move(box["x"] + box["width"] * 349 / 360, box["y"] + 0.8 * box["height"])
    page.mouse.up()
    assert state(page)["x"] == 3, "the slider's end holds"
    page.mouse.move(box["x"] + box["width"] * 217 / 360, box["y"] + 0.8 * box["height"])
    assert state(page)["x"] == 3, "only a pressed pointer drags"
    assert page.get_by_label("point x").input_value() == "3"

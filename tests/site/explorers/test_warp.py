"""The explorer of a flow of two variables: places, log-determinants and densities are PyTorch's."""

import pytest
import torch
from explorers import coupled, rules, state

from hybridlib.page import widgets
from hybridlib.page.explorer import rounded

POINTS = torch.tensor([[0.0, 0.0], [1.5, -0.5], [-2.0, 2.5], [3.25, 0.25]])


def test_the_layers_of_the_page_are_those_of_pytorch(shown):
    flow = rounded(coupled(4), bits=16).double()
    data = widgets.warp_explorer(coupled(4), POINTS).data
    call = "(rules, [data, points, after]) => rules.network(data, points, after)"
    page = shown()
    for after in (0, 3, 4):
        found = rules(page, "warp_explorer", call, [data, POINTS.tolist(), after])
        x = POINTS.double()
        with torch.no_grad():
            for layer in reversed(flow.transforms[:after]):
                x, _ = layer.inverse(x)
            log_p = flow.log_prob(x)
            places, log_dets = [x], []
            for layer in flow.transforms:
                z, log_det = layer(places[-1])
                places.append(z)
                log_dets.append(log_det)
        for i, row in enumerate(found):
            found_places, expected = torch.tensor(row["places"]).double(), torch.stack([p[i] for p in places])
            torch.testing.assert_close(found_places, expected, atol=1e-5, rtol=1e-5)
            assert row["logDets"] == pytest.approx([v[i].item() for v in log_dets], abs=1e-5)
            assert row["logDensity"] == pytest.approx(log_p[i].item(), abs=1e-4)
            assert row["places"][after] == pytest.approx(POINTS[i].tolist(), abs=1e-9)
    assert (log_dets[0].std() > 0.05) and (places[0] - places[-1]).abs().max() > 0.5, "not the identity"


def test_layers_add_up_by_keyboard(shown):
    page = shown(widgets.warp_explorer(coupled(4), POINTS, start=(0.5, -0.5)))
    slider = page.get_by_label("layers passed")
    assert state(page)["after"] == 0 and page.locator("tr.passed").count() == 0
    slider.press("ArrowRight")
    page.get_by_role("button", name="On one layer").press("Enter")
    now = state(page)
    assert now["after"] == 2 and page.locator("tr.passed").count() == 2
    assert slider.get_attribute("aria-valuetext") == "2 of 4"
    said = page.locator("[aria-live]").inner_text()
    assert f"sum to {sum(now['logDets'][:2]):.2f}".replace("-", "−") in said
    slider.press("End")
    page.get_by_role("button", name="On one layer").click()
    assert state(page)["after"] == 4, "the last layer is the last"
    page.get_by_role("button", name="Back one layer").click()
    assert state(page)["after"] == 3
    parts = [float(cell.replace("−", "-")) for cell in page.locator(".sums td").all_inner_texts()]
    assert sum(parts[:-1]) == pytest.approx(parts[-1], abs=0.04), "the column adds up to its last row"


def test_a_point_is_moved_where_it_is_shown(shown):
    page = shown(widgets.warp_explorer(coupled(4), POINTS))
    page.get_by_label("layers passed").press("End")
    before = state(page)
    picture = page.get_by_role("slider", name="a point")
    picture.press("ArrowUp")
    picture.press("Shift+ArrowRight")
    now = state(page)
    expected = [before["places"][4][0] + 35 / 60, before["places"][4][1] + 3.5 / 60]
    assert now["places"][4] == pytest.approx(expected, abs=1e-6), "in the noise"
    assert now["x"] == pytest.approx(now["places"][0]) and now["x"] != before["x"]
    edge = page.locator(".warp .edge").bounding_box()
    page.mouse.move(edge["x"] + 0.75 * edge["width"], edge["y"] + 0.25 * edge["height"])
    page.mouse.down()
    page.mouse.up()
    assert state(page)["places"][4] == pytest.approx([1.75, 1.75], abs=0.05)


def test_noise_can_be_shown_in_place_of_data(shown):
    page = shown(widgets.warp_explorer(coupled(4), torch.randn(300, 2)), reduced_motion="reduce")
    page.get_by_label("points", exact=True).select_option("noise")
    page.get_by_label("layers passed").press("End")
    assert page.locator("path.mote").count() == 300 and state(page)["points"] == "noise"
    for third in range(3):  # each expects 100 with a deviation of 8
        assert 60 < page.locator(f"path.third{third}").count() < 140
    places = page.eval_on_selector_all("path.mote", "all => all.map((node) => node.style.transform)")
    assert len(set(places)) > 290

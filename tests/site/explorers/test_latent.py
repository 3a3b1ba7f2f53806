"""The latent explorer: its decoder is the one in PyTorch, and z goes where keys, pointer and walks send it."""

import pytest
import torch
from explorers import decoder, rules, state

from hybridlib.page import widgets
from hybridlib.page.explorer import rounded


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("activation", widgets.ACTIVATIONS, ids=lambda kind: kind.__name__)
def test_the_decoder_in_the_page_is_the_one_in_pytorch(shown, activation, scale):
    model = decoder(activation, scale=scale)
    z = torch.linspace(-3, 3, 9)
    z = torch.cartesian_prod(z, z)
    call = "(rules, [data, z]) => z.map(rules.network(data))"
    data = widgets.latent_explorer(model).data
    found = torch.tensor(rules(shown(), "latent_explorer", call, [data, z.tolist()]))
    p, carried = model(z).sigmoid().detach(), rounded(model, bits=16)(z).sigmoid().detach()
    assert p.std() > 0.15, "the comparison is worth something"
    torch.testing.assert_close(found, carried, atol=1e-5, rtol=0)
    # 16 bits: far below one of 256 greys even where weights are large
    torch.testing.assert_close(found, p, atol=1e-4 if scale == 2 else 1e-3, rtol=0)


def test_the_picture_follows_z(shown):
    model = decoder(pixels=12, hidden=8)
    page = shown(widgets.latent_explorer(model, shape=(3, 4), start=(1, -0.5)))
    p = model(torch.tensor([[1, -0.5]])).sigmoid()[0]
    assert state(page)["z"] == [1, -0.5]
    assert state(page)["probabilities"] == pytest.approx(p.tolist(), abs=1e-4)
    pixels = page.locator("canvas").evaluate("node => [...node.getContext('2d').getImageData(0, 0, 4, 3).data]")
    assert pixels[::4] == pytest.approx((255 * p).tolist(), abs=0.6) and pixels[3::4] == [255] * 12
    assert page.locator(".where").inner_text() == "z₁ = 1.00, z₂ = −0.50"


def test_keys_and_pointer_move_z(shown):
    page = shown(widgets.latent_explorer(decoder(pixels=12, hidden=8), shape=(3, 4), reach=3))
    slider = page.get_by_role("slider")
    slider.press("ArrowRight")
    slider.press("ArrowUp")
    assert state(page)["z"] == pytest.approx([0.05, 0.05])
    slider.press("Shift+ArrowLeft")
    slider.press("Shift+ArrowDown")
    assert state(page)["z"] == pytest.approx([-0.45, -0.45])
    for _ in range(8):
        slider.press("Shift+ArrowUp")
    assert state(page)["z"] == pytest.approx([-0.45, 3]), "the edge of the map holds"
    assert slider.get_attribute("aria-valuetext") == "z₁ = −0.45, z₂ = 3.00"
    edge = page.locator(".edge").bounding_box()
    page.mouse.click(edge["x"] + 0.75 * edge["width"], edge["y"] + 0.25 * edge["height"])
    assert state(page)["z"] == pytest.approx([1.5, 1.5], abs=0.03)
    page.mouse.down()
    page.mouse.move(edge["x"] + 0.25 * edge["width"], edge["y"] + 0.5 * edge["height"])
    page.mouse.up()
    assert state(page)["z"] == pytest.approx([-1.5, 0], abs=0.03)
    page.mouse.move(edge["x"] + 0.5 * edge["width"], edge["y"] + 0.5 * edge["height"])
    assert state(page)["z"] == pytest.approx([-1.5, 0], abs=0.03), "only a pressed pointer drags"


def test_points_lie_where_they_belong(shown):
    points, labels = [[0, 0], [1.5, -3], [4, 0], [-3, 3]], [7, 3, 3, 7]
    page = shown(widgets.latent_explorer(decoder(pixels=12, hidden=8), points=points, labels=labels, shape=(3, 4)))
    edge = page.locator(".edge").bounding_box()
    codes = [
        (node.text_content(), *(node.bounding_box()[k] for k in ("x", "y", "width", "height")))
        for node in page.locator("text.code").all()
    ]
    middles = [(text, x + w / 2 - edge["x"], y + h / 2 - edge["y"]) for text, x, y, w, h in codes]
    expected = [("7", 0.5, 0.5), ("3", 0.75, 1), ("7", 0, 0)]
    for (text, x, y), (kind, a, b) in zip(middles, expected, strict=True):
        assert text == kind and (x, y) == pytest.approx((a * edge["width"], b * edge["height"]), abs=3)
    assert page.locator(".note").inner_text().endswith("codes of 3 examples; 1 more lie outside.")
    first, _, third = (node.evaluate("node => getComputedStyle(node).fill") for node in page.locator("text.code").all())
    assert first == third


def test_a_walk_can_be_stopped(shown):
    page = shown(widgets.latent_explorer(decoder(pixels=12, hidden=8), shape=(3, 4)), reduced_motion="no-preference")
    page.get_by_role("button", name="Walk").click()
    page.wait_for_function("values.state.z.some((v) => Math.abs(v) > 0.05)")
    page.get_by_role("button", name="Stop").click()
    there = state(page)
    assert not there["walking"]
    page.wait_for_timeout(150)
    assert state(page) == there
    page.get_by_role("button", name="Walk").click()
    page.get_by_role("slider").press("ArrowLeft")  # whoever moves z has stopped the walk
    assert page.get_by_role("button", name="Walk").count() == 1 and not state(page)["walking"]


def test_a_walk_without_motion_goes_by_steps(shown):
    page = shown(widgets.latent_explorer(decoder(pixels=12, hidden=8), shape=(3, 4)), reduced_motion="reduce")
    page.get_by_role("button", name="At random").click()
    start = state(page)["z"]
    places = []
    for _ in range(8):
        page.get_by_role("button", name="Walk, one step").press("Enter")
        places.append(state(page)["z"])
    page.wait_for_timeout(100)
    assert state(page)["z"] == places[-1] and not state(page)["walking"]
    step = [(b - a) / 8 for a, b in zip(start, places[-1])]
    for i, place in enumerate(places, 1):
        assert place == pytest.approx([a + i * s for a, s in zip(start, step)])

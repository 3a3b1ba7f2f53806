"""The mask explorer: its masks are hybridlib.made's, and pointer, touch and keyboard say the same."""

import itertools
import math

import pytest
import torch
from explorers import rules

from hybridlib import audit
from hybridlib.made import MADE
from hybridlib.page import widgets


def lcg(seed):
    state = (seed + 1) * 2654435761 % 2**32
    while True:
        state = (1664525 * state + 1013904223) % 2**32
        yield state / 2**32


def random_order(D, seed):
    order, numbers = list(range(D)), lcg(seed)
    for i in range(D - 1, 0, -1):
        j = math.floor(next(numbers) * (i + 1))
        order[i], order[j] = order[j], order[i]
    return order


def random_degrees(D, hidden, seed):
    numbers, low, layers = lcg(seed + 1), 1, []
    for h in hidden:
        layers.append([low + math.floor(next(numbers) * (D - low)) for _ in range(h)])
        low = min(layers[-1])
    return layers


SETTINGS = [
    {"D": D, "hidden": h, "order": order, "degrees": "even", "masks": "made", "direct": direct, "seed": D + h[0]}
    for D, h, order, direct in itertools.product(
        range(2, 9), ([1], [2], [5], [12], [3, 7], [12, 1], [6, 6]), ("natural", "reversed", "random"), (True, False)
    )
]  # fmt: skip


RULES = """(rules, settings) => settings.map((s) => {
    const net = rules.masksOf(s);
    const numbers = (mask) => mask.map((row) => row.map(Number));
    return { order: rules.orderOf(s), degrees: net.degrees, layers: net.layers.map(numbers),
             direct: net.direct && numbers(net.direct), seen: numbers(rules.dependenciesOf(net)) };
})"""


def test_masks_are_those_of_hybridlib(shown):
    page = shown()
    for settings, found in zip(SETTINGS, rules(page, "mask_explorer", RULES, SETTINGS), strict=True):
        D, order = settings["D"], list(range(settings["D"]))
        if settings["order"] == "reversed":
            order.reverse()
        if settings["order"] == "random":
            order = random_order(D, settings["seed"])
        assert found["order"] == order, settings
        model = MADE(D, settings["hidden"], orders=order, direct=settings["direct"])
        assert found["degrees"][:-1] == [degrees.tolist() for degrees in model.degrees()], settings
        masks = [torch.tensor(mask) for mask in found["layers"] + ([found["direct"]] if settings["direct"] else [])]
        assert len(masks) == len(model.masks())
        assert all(torch.equal(a, b.to(a.dtype)) for a, b in zip(masks, model.masks())), settings
        seen = torch.linalg.multi_dot([m.double() for m in reversed(masks[: len(found["layers"])])])
        seen = seen + (masks[-1] if settings["direct"] else 0)
        assert torch.equal(torch.tensor(found["seen"]), (seen > 0).long()), settings


@pytest.mark.parametrize("D, hidden, direct", [(5, [7], False), (8, [3, 6], True), (6, [2], False)])
def test_matrix_is_what_the_audit_finds(shown, D, hidden, direct):
    settings = {
        "D": D,
        "hidden": hidden,
        "order": "random",
        "degrees": "even",
        "masks": "made",
        "direct": direct,
        "seed": 4,
    }
    (found,) = rules(shown(), "mask_explorer", RULES, [settings])
    model = MADE(D, hidden, orders=found["order"], direct=direct)
    for parameter in model.parameters():  # positive weights, so that nothing cancels and no ReLU is off
        torch.nn.init.constant_(parameter, 0.5)
    assert audit.sees(model.theta, audit.states(D)).long().tolist() == found["seen"]


def test_random_and_sequential_degrees_follow_their_rules(shown):
    settings = [
        {"D": D, "hidden": hidden, "order": "natural", "degrees": kind, "masks": "made", "direct": False, "seed": seed}
        for D, hidden, seed in itertools.product((2, 5, 8), ([4], [12, 7]), (0, 1, 9999))
        for kind in ("random", "sequential")
    ]
    for s, found in zip(settings, rules(shown(), "mask_explorer", RULES, settings), strict=True):
        D, hidden = s["D"], s["hidden"]
        random = random_degrees(D, hidden, s["seed"])
        sequential = [(torch.arange(h) % (D - 1) + 1).tolist() for h in hidden]
        assert found["degrees"][1:-1] == (random if s["degrees"] == "random" else sequential)
        seen = torch.tensor(found["seen"])
        assert not torch.triu(seen).any(), "every rule of degrees keeps the order"


def test_faulty_masks_leak_as_the_chapter_says(shown):
    base = {"D": 8, "hidden": [12], "order": "natural", "degrees": "even", "direct": False, "seed": 0}
    settings = [
        base | {"masks": "inclusive"},
        base | {"masks": "article"},
        base | {"masks": "article", "order": "reversed"},
    ]
    inclusive, article, reverse = (
        torch.tensor(found["seen"]) for found in rules(shown(), "mask_explorer", RULES, settings)
    )
    assert inclusive.diagonal().sum() == 7  # every output but the last sees itself
    assert torch.equal(article, torch.ones(8, 8).tril().long())
    assert torch.equal(article, reverse), "the article's mask knows no order"


def test_pointing_at_an_output_lights_its_paths_and_says_so(shown):
    page = shown(widgets.mask_explorer(5, (4,), order=[2, 0, 1, 4, 3]))
    page.locator('[data-unit="2:1"]').hover()  # x2, third in the order: it sees x3 and x1
    assert page.locator(".sentence").inner_text() == (
        "Output x₂ (step 3 of 5) sees inputs x₃ and x₁. That is all that comes before it, and nothing else."
    )
    lit = page.eval_on_selector_all(".unit.on", "nodes => nodes.map((node) => node.dataset.unit)")
    assert {unit for unit in lit if unit.startswith("0:")} == {"0:2", "0:0"}
    assert page.locator(".link.on").count() > 0 and page.locator(".link.bad").count() == 0
    assert page.locator("tr.here").get_attribute("data-row") == "1"
    page.locator("h1").hover()  # the pointer leaves: the picked output is back
    assert page.locator(".sentence").inner_text().startswith("Output x₅")


def test_a_page_that_counts_from_0_is_told_so(shown):
    page = shown(widgets.mask_explorer(4, (3,), start=0))
    page.locator('[data-unit="1:1"]').hover()  # degrees 1, 2, 3 from one
    assert page.locator(".sentence").inner_text() == "Hidden unit 1 (degree 1) sees inputs x₀ and x₁."
    assert page.locator(".degree").all_text_contents() == list("01230120123")
    assert page.locator(".matrix th").all_inner_texts() == ["x₀", "x₁", "x₂", "x₃"] * 2
    assert page.locator(".chip").all_inner_texts() == ["x₀", "x₁", "x₂", "x₃"]


def test_leaks_and_gaps_are_named(shown):
    page = shown(widgets.mask_explorer(6, (6,), masks="article"))
    assert page.locator(".verdict").inner_text() == (
        "✕ 6 pairs that must not be connected are: this is not a distribution."
    )
    page.locator('[data-unit="2:2"]').click()
    assert "It may see x₁ and x₂: it sees itself" in page.locator(".sentence").inner_text()
    assert page.locator(".unit.bad").get_attribute("data-unit") == "0:2"
    assert page.locator("td.leaks").count() == 6
    page.get_by_label("Masks", exact=True).select_option("made")
    page.get_by_label("Degrees", exact=True).select_option("sequential")
    page.get_by_label("Units", exact=True).fill("2")
    assert (
        page.locator(".verdict").inner_text().startswith("✕ Nothing leaks, but 6 of the 15 allowed pairs are missing")
    )
    page.locator('[data-unit="2:5"]').click()
    assert page.locator(".sentence").inner_text().endswith("inputs x₃, x₄ and x₅ are missing.")
    assert page.locator("td.missing").count() == 6
    page.get_by_label("Direct connections").check()
    assert page.locator(".verdict").inner_text().startswith("✓ All 15 allowed pairs are connected")


def test_keyboard_walks_the_network_and_moves_the_order(shown):
    page = shown(widgets.mask_explorer(4, (3,)))
    focus = "document.querySelector('.hybridlib-explorer').shadowRoot.activeElement"
    page.locator('[data-unit="2:3"]').focus()
    page.keyboard.press("ArrowUp")
    assert page.evaluate(f"{focus}.dataset.unit") == "2:2"
    assert page.locator(".sentence").inner_text().startswith("Output x₃ (step 3 of 4) sees inputs x₁ and x₂.")
    page.keyboard.press("ArrowLeft")
    assert page.locator(".sentence").inner_text().startswith("Hidden unit")
    page.keyboard.press("ArrowLeft")
    assert page.locator(".sentence").inner_text().startswith("Input")
    assert page.locator('[tabindex="0"][data-unit]').count() == 1, "the network is one stop of the Tab key"
    outline = page.evaluate(f"getComputedStyle({focus}.querySelector('circle')).outlineStyle")
    assert outline == "solid"
    page.locator('.chip[data-variable="0"]').focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator(".chip").all_inner_texts() == ["x₂", "x₃", "x₁", "x₄"]
    assert page.evaluate(f"{focus}.dataset.variable") == "0", "the moved chip keeps the focus"
    assert page.get_by_label("Order", exact=True).input_value() == "own"


def test_touch_picks_an_output_and_drags_the_order(shown):
    page = shown(widgets.mask_explorer(4, (5,)), width=390, has_touch=True, is_mobile=True)
    page.locator('[data-unit="2:1"]').tap()
    assert page.locator(".sentence").inner_text().startswith("Output x₂ (step 2 of 4) sees input x₁.")
    first, last = (page.locator(".chip").nth(i).bounding_box() for i in (0, 3))
    page.evaluate(
        """([x0, y0, x1, y1]) => {
            const box = document.querySelector(".hybridlib-explorer").shadowRoot.querySelector(".chips");
            box.setPointerCapture = () => {}; // the browser captures real pointers only
            const send = (type, clientX, clientY) => box.getRootNode().elementFromPoint(clientX, clientY).dispatchEvent(
                new PointerEvent(type, { pointerType: "touch", clientX, clientY, bubbles: true, composed: true }));
            send("pointerdown", x0, y0);
            send("pointermove", x1, y1);
            send("pointerup", x1, y1);
        }""",
        [first["x"] + 9, first["y"] + 9, last["x"] + 9, last["y"] + 9],
    )
    assert page.locator(".chip").all_inner_texts() == ["x₂", "x₃", "x₄", "x₁"]

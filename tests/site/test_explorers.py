"""Every explorer in a real browser: right numbers, by mouse, touch and keyboard, light and dark, narrow and wide."""

import itertools
import json
import math

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from browser import STALLED
from torch import nn

from hybridlib import audit, datasets, graphs, molecules
from hybridlib.graphaf import READINGS, GraphAF
from hybridlib.made import MADE
from hybridlib.page import widgets
from hybridlib.page.explorer import module_source, rounded
from hybridlib.transformer import Transformer, adjust

ADDRESS = "http://explorers.invalid/"  # answered by the test itself; nothing leaves the machine
QUESTIONS = [
    {
        "question": "Is a <i>leak</i> good, if `p < 1`?",
        "options": [
            {"text": "Yes", "why": "It copies x<sub>1</sub>."},
            {"text": "No", "why": "It is not a density.", "correct": True},
        ],
    },
    {
        "question": "How many passes does sampling take?",
        "options": [{"text": "D", "why": "One each.", "correct": True}, {"text": "1", "why": "Too few."}],
    },
]
NODES = [
    {"id": "ae", "label": "AE", "x": 80, "y": 0, "text": "Squeezes.", "family": "ae"},
    {"id": "ar", "label": "AR", "x": 10, "y": 0, "text": "Predicts.", "family": "ar"},
    {
        "id": "made", "label": "MADE", "x": 45, "y": 50, "text": "Masks <b>both</b> & <script>.", "family": "hybrid",
        "href": "made.html", "chapter": "Chapter 5",
    },
    {"id": "maf", "label": "MAF", "x": 45, "y": 100, "text": "Flows.", "family": "flow"},
]  # fmt: skip
EDGES = [
    {"source": "ae", "target": "made", "text": "the network"},
    {"source": "ar", "target": "made", "text": "the chain rule"},
    {"source": "made", "target": "maf", "text": "Gaussian outputs"},
]
MOLECULES = ["CC(=O)Nc1ccccc1", "C[N+](=O)[O-]", "CC(C)(F)C#N", "C1CC2CC1CC2", "C"]
EXPLORERS = {
    "mask": lambda: widgets.mask_explorer(6, (9, 4), masks="inclusive", direct=True),
    "article": lambda: widgets.mask_explorer(8, (12,), masks="article", order="reversed"),
    "quiz": lambda: widgets.quiz(QUESTIONS),
    "map": lambda: widgets.model_map(NODES, EDGES),
    "likelihood": lambda: widgets.likelihood_explorer(),
    "letters": lambda: widgets.sampling_stepper(
        transformer(T=40, K=24), "⏎CNOFPSIBrlcnos()[]=#12+", start=range(1, 24)
    ),
    "pixels": lambda: widgets.sampling_stepper(
        transformer(T=64, K=2), ["black", "white"], shape=(8, 8), start=[0, 1] * 15
    ),
    "latent": lambda: widgets.latent_explorer(
        decoder(), points=torch.randn(300, 2, generator=torch.manual_seed(0)), labels=torch.arange(300) % 10
    ),
    "flow": lambda: widgets.flow_explorer(),
    "dequantization": lambda: widgets.dequantization_explorer(width=0.5),
    "molecule": lambda: widgets.molecule_explorer(MOLECULES),
    "generation": lambda: widgets.generation_explorer([generation(seed)[0] for seed in range(3)]),
    "growing": lambda: widgets.generation_explorer([talkative_trace(seed) for seed in range(3)], model=talkative()),
}
PAGE = """<!doctype html><html lang="en" data-theme="{scheme}" {site}><head><title>Explorers</title><style>
body {{ margin: 0; font: 16px/1.6 sans-serif; color: #222832; background: #fff }}
html[data-theme=dark] body {{ color: #ced6dd; background: #121212 }}
main {{ max-width: 760px; margin: auto }}
table, td, button, p {{ color: red; border: 9px solid red }} /* what a page does to its own must not reach explorers */
</style></head><body><main><h1>Explorers</h1>{body}</main></body></html>"""


@pytest.fixture
def shown(browser):
    """`shown(explorer, ...)` -> a page that holds them; any request, console error or page error fails the test."""
    complaints, contexts = [], []

    def shown(*explorers, width=900, scheme="light", site="data-content_root", **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        context.set_default_timeout(STALLED)
        body = "".join(explorer.html() for explorer in explorers).replace(
            "const values =", "const values = window.values ="
        )
        text = PAGE.format(scheme=scheme, site=site, body=body)

        def answer(route):
            if route.request.url == ADDRESS:
                route.fulfill(body=text, content_type="text/html; charset=utf-8")
            else:
                complaints.append(f"asks for {route.request.url}")
                route.abort()

        context.route("**/*", answer)
        page = context.new_page()
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(ADDRESS)
        for i in range(len(explorers)):
            page.locator(".explorer").nth(i).wait_for()
        return page

    yield shown
    for context in contexts:
        context.close()
    assert not complaints, "\n".join(complaints)


def rules(page, module, call, argument):
    """What the `rules` of an explorer's module give: `call` is a JavaScript function of (rules, argument)."""
    source = module_source(module)
    return page.evaluate(
        f"""async ([source, argument]) => {{
            const address = URL.createObjectURL(new Blob([source], {{ type: "text/javascript" }}));
            const {{ rules }} = await import(address);
            return ({call})(rules, argument);
        }}""",
        [source, argument],
    )


# --- Mask explorer ---------------------------------------------------------------------------------------------------


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


# --- Sampling stepper ------------------------------------------------------------------------------------------------


def transformer(T=6, K=5, *, layers=2, end=None, seed=0):
    """A small one with weights so large that its distributions are far from uniform."""
    model = Transformer(T, K, width=12, layers=layers, heads=3, end=end)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.4 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def state(page):
    return page.evaluate("values.state")


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("layers", [1, 3])
def test_the_network_in_the_page_is_the_one_in_pytorch(shown, layers, bits):
    model = transformer(T=9, layers=layers, seed=layers)
    data = widgets.sampling_stepper(model, "abcde", bits=bits).data
    x = torch.randint(5, (4, 9), generator=torch.manual_seed(2))
    call = """(rules, [data, rows]) => rows.map((x) => {
        const run = rules.network(data);
        return x.map((_, t) => run(t, x[t - 1]));
    })"""
    found = torch.tensor(rules(shown(), "sampling_stepper", call, [data, x.tolist()]))
    theta = rounded(model, bits=bits).theta(x.float())
    assert theta.std() > 1, "the comparison is worth something"
    torch.testing.assert_close(found, theta.detach(), atol=1e-4, rtol=0)


def test_bars_are_those_of_adjust(shown):
    theta = 2 * torch.randn(40, 7, generator=torch.manual_seed(0))
    settings = [
        {"temperature": temperature, "topK": k, "nucleus": p}
        for temperature, k, p in itertools.product((0.2, 1.0, 2.0), (1, 3, 7), (0.1, 0.6, 1.0))
    ]
    call = "(rules, [theta, settings]) => settings.map((s) => theta.map((row) => rules.adjust(row, s)))"
    for s, found in zip(settings, rules(shown(), "sampling_stepper", call, [theta.tolist(), settings]), strict=True):
        p = adjust(theta, s["temperature"], s["topK"], s["nucleus"] if s["nucleus"] < 1 else None).softmax(-1)
        assert torch.allclose(torch.tensor(found, dtype=p.dtype), p, atol=1e-5, rtol=0), s


def test_a_symbol_is_picked_where_u_falls(shown):
    call = "(rules, us) => us.map((u) => rules.icdf([0.25, 0, 0.5, 0.25, 0], u))"
    assert rules(shown(), "sampling_stepper", call, [0, 0.2499, 0.25, 0.7499, 0.75, 0.9999, 1]) == [0, 0, 2, 2, 3, 3, 3]


@pytest.mark.parametrize("shape", [None, (2, 3)])
def test_the_log_likelihood_is_that_of_the_model(shown, shape):
    model = transformer(seed=3)
    page = shown(widgets.sampling_stepper(model, "abcde", shape=shape, seed=4))
    page.get_by_label("Temperature").fill("1.6")  # changes what is drawn, not what the model thinks of it
    page.get_by_role("button", name="Draw to the end").click()
    found = state(page)
    log_prob = rounded(model).log_prob(torch.tensor([found["sequence"]]).float()).item()
    assert len(found["sequence"]) == 6 and found["log_prob"] == pytest.approx(log_prob, abs=1e-4)
    assert found["bits_per_symbol"] == pytest.approx(-log_prob / 6 / math.log(2), abs=1e-4)
    assert page.locator(".scores td").first.inner_text() == f"−{-log_prob:.2f} nats"
    assert page.get_by_role("button", name="Draw next").is_disabled() and page.locator(".choice:enabled").count() == 0
    assert page.locator(".pixel, .letter:not(.open)").count() == 6
    assert "6 symbols drawn. Log-likelihood −" in page.locator("[aria-live]").inner_text()


def test_nothing_follows_the_end(shown):
    model = transformer(end=0, seed=5)
    page = shown(widgets.sampling_stepper(model, ["⏎", *"abcd"], start=[1, 4]))
    assert state(page)["sequence"] == [1, 4]
    page.get_by_role("button", name="choose ⏎").click()
    assert page.locator(".next").inner_text() == "The end, after 3 symbols."
    log_prob = rounded(model).log_prob(torch.tensor([[1.0, 4, 0, 0, 0, 0]])).item()
    assert state(page)["log_prob"] == pytest.approx(log_prob, abs=1e-4)
    assert page.get_by_role("button", name="Draw to the end").is_disabled()
    page.get_by_role("button", name="Undo").click()
    assert state(page)["sequence"] == [1, 4] and page.get_by_role("button", name="Draw next").is_enabled()


def test_temperature_changes_the_bars_and_not_the_likelihood(shown):
    page = shown(widgets.sampling_stepper(transformer(), "abcde"))
    page.get_by_role("button", name="Draw next").click()
    before = state(page)
    assert before["probabilities"] == pytest.approx(torch.tensor(before["logits"]).softmax(0).tolist(), abs=1e-5)
    page.get_by_label("Temperature").fill("0.2")
    after = state(page)
    assert after["probabilities"] == pytest.approx((torch.tensor(before["logits"]) / 0.2).softmax(0).tolist(), abs=1e-5)
    assert after["log_prob"] == before["log_prob"] and after["logits"] == before["logits"]
    widths = page.eval_on_selector_all(".fill", "nodes => nodes.map((node) => parseFloat(node.style.width))")
    assert widths == pytest.approx([100 * p for p in after["probabilities"]], abs=0.01)
    page.get_by_text("Leave out the unlikely").click()
    page.get_by_label("Top-k").fill("2")
    assert sum(p > 0 for p in state(page)["probabilities"]) == 2
    page.get_by_label("Likeliest first").check()
    shown_order = page.eval_on_selector_all(".choice", "nodes => nodes.map((node) => Number(node.dataset.symbol))")
    assert shown_order == torch.tensor(before["logits"]).argsort(descending=True).tolist()


def test_undo_restores_and_a_seed_repeats(shown):
    page = shown(widgets.sampling_stepper(transformer(T=12, seed=1), "abcde", seed=7))

    def click(name):
        page.get_by_role("button", name=name, exact=True).click()

    click("Draw next")
    before = state(page)
    page.get_by_role("button", name="choose e").click()
    assert state(page)["sequence"] == [*before["sequence"], 4]
    changed = state(page)
    click("Undo")
    assert state(page) == before
    page.get_by_role("button", name="choose e").click()
    assert state(page) == changed, "keys and values of what was undone are gone"
    click("Restart")
    click("Draw to the end")
    first = state(page)["sequence"]
    click("Restart")
    assert state(page)["sequence"] == [] and state(page)["log_prob"] == 0
    click("Draw to the end")
    assert state(page)["sequence"] == first
    click("New seed")
    assert page.locator(".seed").inner_text() == "Seed 8" and state(page)["sequence"] == []
    click("Draw to the end")
    assert state(page)["sequence"] != first


def test_draws_follow_the_distribution(shown):
    model = transformer(T=1)
    page = shown(widgets.sampling_stepper(model, "abcde"))
    p = state(page)["probabilities"]
    call = """(rules, p) => { // as the page does, from 4000 seeds
        const counts = p.map(() => 0);
        for (let seed = 0; seed < 4000; seed++) counts[rules.icdf(p, rules.generator(seed)())] += 1;
        return counts.map((n) => n / 4000);
    }"""
    found = rules(page, "sampling_stepper", call, p)
    assert found == pytest.approx(p, abs=0.03)  # 4 standard errors of a fraction near 1/2


def test_an_unlikely_choice_shows(shown):
    model = transformer(seed=3)
    page = shown(widgets.sampling_stepper(model, "abcde"))
    page.get_by_role("button", name="choose c").press("Enter")
    p = torch.tensor(state(page)["probabilities"])
    rare, common = int(p.argmin()), int(p.argmax())
    assert p[rare] < 0.05 < p[common]
    page.locator(f'[data-symbol="{rare}"]').press("Space")
    assert (
        page.locator("td.unlikely").inner_text()
        == f"−{-p[rare].log():.2f} nats, 1\u00a0in\u00a0{round(1 / p[rare].item())}"
    )
    assert (
        page.locator(".letter:not(.open)").last.get_attribute("title") == f"{'abcde'[rare]}: {-p[rare].log():.2f} nats"
    )
    assert f"{'abcde'[rare]} {-p[rare].log():.2f} nats." in page.locator(".text .hidden").inner_text()
    assert f"{'abcde'[rare]} added. It costs" in page.locator("[aria-live]").inner_text()
    page.get_by_role("button", name="Undo").press("Enter")
    page.locator(f'[data-symbol="{common}"]').press("Space")
    assert page.locator(".unlikely").count() == 0


def test_the_keyboard_keeps_its_place(shown):
    focus = "document.querySelector('.hybridlib-explorer').shadowRoot.activeElement.textContent"
    page = shown(widgets.sampling_stepper(transformer(T=2), "abcde"))
    page.get_by_role("button", name="Draw next").focus()
    page.keyboard.press("Enter")
    assert page.evaluate(focus) == "Draw next"
    page.keyboard.press("Enter")  # the last symbol: the button is disabled under the reader's finger
    assert page.evaluate(focus) == "Restart"
    page.keyboard.press("Enter")
    assert state(page)["sequence"] == []
    page.keyboard.press("Shift+Tab")  # undo is disabled: over it
    assert page.evaluate(focus) == "Draw to the end"


def test_a_picture_is_drawn_row_by_row(shown):
    page = shown(widgets.sampling_stepper(transformer(K=2), ["black", "white"], shape=(2, 3)))
    for name in ("black", "white", "white", "black"):
        page.get_by_role("button", name=f"choose {name}").click()
    pixels = page.eval_on_selector_all(
        ".pixel", "nodes => nodes.map((node) => ['x', 'y', 'fill'].map((name) => node.getAttribute(name)).join(' '))"
    )
    black, white = "rgb(0 0 0)", "rgb(255 255 255)"
    assert pixels == [f"0 0 {black}", f"1 0 {white}", f"2 0 {white}", f"0 1 {black}"]
    assert page.locator(".blank").count() == 2
    assert page.locator("rect.open").get_attribute("x") == "1" and page.locator("rect.open").get_attribute("y") == "1"
    assert page.get_by_role("img").get_attribute("aria-label").startswith("picture of 3 by 2 pixels, 4 of them drawn")
    assert page.locator(".next").inner_text().startswith("Pixel 5 of 6 (row 2, column 2)")


# --- Latent explorer -------------------------------------------------------------------------------------------------


def decoder(activation=nn.ReLU, *, pixels=784, hidden=64, scale=2, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = nn.Linear(2, hidden), activation(), nn.Linear(hidden, hidden), activation(), nn.Linear(hidden, pixels)
        model = nn.Sequential(*layers)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(scale)  # more black and white than at the start
    return model


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


# --- The others ------------------------------------------------------------------------------------------------------


def test_quiz_explains_every_option(shown):
    page = shown(widgets.quiz(QUESTIONS))
    assert page.locator("legend").first.inner_text() == "Is a leak good, if p < 1?"
    page.get_by_role("button", name="Yes").click()
    assert page.locator(".why").first.inner_text() == "Not this one. It copies x1."
    page.get_by_role("button", name="No").press("Enter")
    assert page.locator(".why").first.inner_text() == "Right. It is not a density."
    assert page.get_by_role("button", name="Yes").get_attribute("aria-pressed") == "false"
    page.get_by_role("button", name="D", exact=True).press("Space")
    assert page.locator(".score").inner_text() == "2 of 2 answered, 1 right at the first try."
    assert page.locator("[aria-live=polite]").count() == 2


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


def test_map_reads_parents_and_children(shown):
    page = shown(widgets.model_map(NODES, EDGES))
    reading = page.locator(".reading")
    assert "Masks both & <script>." in reading.inner_text()  # simple tags stand, others are text
    assert "from AE the network" in reading.inner_text() and "to MAF Gaussian outputs" in reading.inner_text()
    assert page.get_by_role("link").get_attribute("href") == "made.html"
    page.get_by_role("button", name="MADE", exact=True).focus()
    page.keyboard.press("ArrowDown")
    assert reading.locator(".name").inner_text().startswith("MAF")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert reading.locator(".name").inner_text().startswith(("AE", "AR"))
    assert page.locator("path.down").count() == 1
    page.get_by_role("button", name="to MADE").click()
    assert reading.locator(".name").inner_text().startswith("MADE")


def test_map_links_only_where_the_pages_are(shown):
    page = shown(widgets.model_map(NODES, EDGES), site="")
    assert page.get_by_role("link").count() == 0
    assert "Chapter 5" in page.locator(".reading").inner_text()


# --- All -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", EXPLORERS)
def test_accessible(shown, name, scheme):
    page = shown(EXPLORERS[name](), scheme=scheme)
    if name == "quiz":
        page.get_by_role("button", name="Yes").click()
        page.get_by_role("button", name="D", exact=True).click()
    if name == "molecule":
        page.get_by_label("or type SMILES").fill("c1ccnc1")
        page.locator("p.problem:not(:empty)").wait_for()
    dark = page.locator(".hybridlib-explorer").get_attribute("dark")
    assert (dark is not None) == (scheme == "dark")
    report = Axe().run(page, context="main", options={"resultTypes": ["violations", "incomplete"]}).response
    bad = [(finding["id"], node["html"][:200]) for finding in report["violations"] for node in finding["nodes"]]
    unclear = [
        node["html"][:200]
        for finding in report["incomplete"]
        if finding["id"] == "color-contrast"
        for node in finding["nodes"]
        if any((check["data"] or {}).get("messageKey") == "equalRatio" for check in node["any"])
    ]
    assert not bad and not unclear


@pytest.mark.parametrize("width", [340, 1200])
def test_all_on_one_page_at_any_width(shown, width):
    page = shown(*(explorer() for explorer in EXPLORERS.values()), EXPLORERS["mask"](), width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    outside = page.evaluate("""() => [...document.querySelectorAll(".hybridlib-explorer")].flatMap((host) => {
        const frame = host.getBoundingClientRect();
        return [...host.shadowRoot.querySelectorAll("button, select, input, td, th, p, svg text")]
            .filter((node) => node.getBoundingClientRect().right > frame.right + 1).map((node) => node.outerHTML);
    })""")
    assert not outside
    first, last = page.locator(".explorer").first, page.locator(".explorer").last
    first.get_by_label("Masks").select_option("made")
    assert last.get_by_label("Masks").input_value() == "inclusive"
    colours = page.eval_on_selector_all(".explorer", "nodes => nodes.map((node) => getComputedStyle(node).color)")
    assert len(set(colours)) == 1, "the page's own rules do not reach into explorers"


def test_theme_switch_is_followed(shown):
    page = shown(EXPLORERS["mask"]())
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.locator(".hybridlib-explorer[dark]").wait_for()


def test_data_cannot_break_out_of_the_script(shown):
    page = shown(widgets.quiz(QUESTIONS, title="</script><script>alert(1)</script><!--\u2028"))
    assert page.locator(".title").inner_text().startswith("</script><script>alert(1)</script><!--")


@pytest.mark.parametrize("name", EXPLORERS)
def test_module_draws_from_a_widget_model_and_cleans_up(shown, name):
    """What anywidget does in a notebook: import the module, render with a model, clean up when the output goes."""
    explorer = EXPLORERS[name]()
    changes = shown().evaluate(
        """async ([source, data]) => {
            const { default: explorer } = await import(
                URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
            const values = { data, state: {} };
            let saved = 0;
            const model = { get: (key) => values[key], set: (key, value) => { values[key] = value; },
                            save_changes: () => { saved += 1; }, on() {} };
            const el = document.body.appendChild(document.createElement("div"));
            const stop = explorer.render({ model, el });
            await new Promise((done) => setTimeout(done, 100));
            el.querySelector(".hybridlib-explorer").shadowRoot.querySelector("button.option")?.click();
            stop();
            return JSON.stringify({ saved, state: values.state });
        }""",
        [explorer._esm, explorer.data],
    )
    found = json.loads(changes)
    assert found["saved"] > 0 and found["state"]
    if name == "mask":
        assert found["state"]["order"] == list(range(6)) and len(found["state"]["dependencies"]) == 6


# --- Change of variables ---------------------------------------------------------------------------------------------

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


# --- Dequantization --------------------------------------------------------------------------------------------------

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


# --- Molecules -------------------------------------------------------------------------------------------------------


def test_orders_of_molecules_are_those_of_the_library(shown):
    call = """(rules, all) => all.map((bonds) => {
        let state = 1;
        const random = () => { state = (state * 48271) % 2147483647; return state / 2147483647; };
        const identity = bonds.map((_, i) => i);
        const orders = [identity];
        for (let k = 0; k < 20; k++) orders.push(rules.bfsOrder(bonds, random));
        for (let k = 0; k < 20; k++) orders.push(rules.shuffled(identity, random));
        return orders.map((order) => {
            const matrix = rules.permuted(bonds, order);
            return { order, matrix, ...rules.measure(matrix) };
        });
    })"""
    graph = molecules.from_smiles(MOLECULES)
    every = [bonds[:n, :n].tolist() for bonds, n in zip(graph.bonds, graph.sizes)]
    starts = set()
    for row, found in enumerate(rules(shown(), "molecule_explorer", call, every)):
        n = int(graph.sizes[row])
        one = graphs.Graph(graph.atoms[row : row + 1, :n], graph.bonds[row : row + 1, :n, :n])
        for k, order in enumerate(found):
            same = one.permute(torch.tensor([order["order"]]))
            assert order["matrix"] == same.bonds[0].tolist()
            assert order["parents"] == graphs.parents(same)[0].tolist()
            assert order["breadthFirst"] == graphs.in_bfs_order(same).item()
            assert order["bandwidth"] == graphs.bandwidth(same).item()
            assert order["breadthFirst"] or k > 20, "canonical and random breadth-first orders are breadth-first"
            starts.add((row, order["order"][0]))
    assert len(starts) == graph.sizes.sum(), "every atom comes first in some order"


def test_keys_choose_a_molecule_an_order_and_an_atom(shown):
    page = shown(widgets.molecule_explorer(MOLECULES))
    verdict, same = page.locator("p.verdict"), page.locator("p.same")
    assert verdict.inner_text().startswith("Canonical order: breadth-first, bandwidth ")
    before = same.inner_text()
    assert "CC(=O)Nc1ccccc1), 10 bonds, free valences that sum to 9" in before
    for name in ("random permutation", "random breadth-first order"):
        page.get_by_role("button", name=name).press("Enter")
        assert same.inner_text() == before and state(page)["order"] != list(range(10))
    assert "breadth-first, bandwidth" in verdict.inner_text() and state(page)["breadthFirst"]
    atoms = page.locator("g.atom")
    atoms.first.focus()
    atoms.first.press("End")
    assert state(page)["here"] == 9 and page.locator("p.tell").inner_text().startswith("Atom 10, ")
    assert page.locator("td.column").count() == 19 and page.locator("th.here").count() == 2
    page.keyboard.press("ArrowRight")
    assert state(page)["here"] == 0 and atoms.first.evaluate("node => node.matches(':focus')")
    atoms.nth(4).hover()
    assert state(page)["here"] == 4
    page.locator("select").select_option(label="C")
    assert page.locator("g.atom").count() == 1 and "0 bonds, free valences that sum to 4" in same.inner_text()


DRUGS = r"""
CC1(C)S[C@@H]2[C@H](NC(=O)Cc3ccccc3)C(=O)N2[C@H]1C(=O)[O-] CN1CCC[C@H]1c1cccnc1 Cn1c(=O)c2c(ncn2C)n(C)c1=O
C[NH+]1CCc2cc(Cl)ccc2C1 Clc1ccc2c(c1)C(=NCC(=O)N2C)c1ccccc1 CS(=O)(=O)c1ccc(C2=C(c3ccccc3)C(=O)OC2)cc1
CC(C)(C)NCC(O)c1cc(O)cc(CO)c1 O=C(O)c1cn(C2CC2)c2cc(N3CCNCC3)c(F)cc2c1=O NS(=O)(=O)c1ccc2nsnc2c1 O=S1(=O)NC(=O)c2ccccc12
O=c1[nH]c(=O)c2[nH]cnc2[nH]1 S=c1[nH]cccc1 c1ccc2[nH]ccc2c1 c1cc2ccc3cccc4ccc(c1)c2c34 c1ccc2cccc2cc1 C1=CC2=CC=CC2=C1
c1ccc2c(c1)Cc1ccccc12 c1ccccc1c1ccccc1 c1ccc(cc1)-c1ccccc1 Cc1nc2ccc3ccc4ccc5cccc6c7cccc1c7c2c3c4c56 c-1ccccc1 c1ccc1
O=[N+]([O-])c1ccc(Br)cc1I C[n+]1ccccc1 [O-][n+]1ccccc1 N#[N+]c1ccccc1 [C-]#[N+]C [N-]=[N+]=NC c1cc[n-]c1 c1cc[nH+]cc1
[cH-]1cccc1 c1ccsc1 c1cc[s+]cc1 c1cc[o+]cc1 o1cccc1 [O+]1=CC=CC=C1 [N-]1C=CC=C1 c1nnn[nH]1 c1ccpcc1 OP(=O)(O)OC P
C[P+](C)(C)C C[PH](C)(C)C CS(C)C C[SH](C)C C[S+](C)C [S-]C [NH4+] [OH2] [CH3:7]C C/C=C/C C/C=C\C F[C@@H](Cl)Br
[C@TH1H](F)(Cl)Br C/1CCCC\1 C%10CCCCC%10 C%11CC%12CC%11CC%12 C0CC0 C1CC1C1CC1 C=1CCCCC1 C1CCCCC=1 C(C)1CC1 C(CC1)1
"""
ALPHABET = {"names": widgets._names(), "valence": graphs.VALENCE.tolist(), "most": 38}
READ = """(rules, [texts, alphabet]) => texts.map((text) => {
    try {
        return rules.readSmiles(text, alphabet);
    } catch (error) {
        return `${error.constructor.name}: ${error.message}`;
    }
})"""


def test_what_is_typed_is_read_as_the_library_reads_it(shown):
    texts = [*DRUGS.split(), *datasets.load_strings("smiles")[::10]]
    graph = molecules.from_smiles(texts, order="given")
    found = rules(shown(), "molecule_explorer", READ, [texts, ALPHABET])
    bonds = torch.zeros_like(graph.bonds)
    for row, (text, molecule) in enumerate(zip(texts, found, strict=True)):
        assert isinstance(molecule, dict), (text, molecule)
        n = int(graph.sizes[row])
        assert molecule["codes"] == graph.atoms[row, :n].tolist(), text
        assert molecule["names"] == [ALPHABET["names"][code] for code in molecule["codes"]]
        assert molecule["free"] == graph.free_valence[row, :n].tolist(), text
        bonds[row, :n, :n] = torch.tensor(molecule["bonds"])
    assert torch.equal(bonds > 0, graph.bonds > 0) and torch.equal(bonds, bonds.mT)
    assert not torch.equal(bonds, graph.bonds), "rings alternate the other way: the next line says something"
    assert molecules.to_smiles(graphs.Graph(graph.atoms, bonds)) == molecules.to_smiles(graph)


WRONG = {
    "": "there is no atom",
    "C1CC": "ring 1 is not closed",
    "C%12CC": "ring 12 is not closed",
    "C11": "ring 1 opens and closes at the same atom",
    "C1C1": "ring 1 joins atoms 1 and 2, which are bonded already",
    "C(C1)1": "ring 1 joins atoms 2 and 1, which are bonded already",
    "C=1CCCC#1": "ring 1 opens with “=” and closes with “#”",
    "1CC": "ring number “1” has no atom before it",
    "C(1CC)": "ring number “1” has no atom before it",
    "C(C": "a branch is not closed: “)” is missing",
    "CC)C": "“)” closes a branch that was not opened",
    "C()C": "a branch is empty",
    "(C)C": "the branch “(” has no atom before it",
    "C((C))C": "the branch “(” has no atom before it",
    "=C": "the bond “=” has no atom before it",
    "C=": "the bond “=” leads to no atom",
    "C=(O)C": "the bond “=” leads to no atom",
    "C(C=)C": "the bond “=” leads to no atom",
    "C-=C": "two bonds, “-” and “=”, follow each other",
    "C:C": "the bond “:” is for aromatic atoms, which are lower-case letters",
    "CXxC": "unknown atom “Xx”; the book has C, N, O, F, N+, O−, N−, C−, S, Cl, Br, I, P, S−, O+, S+ and P+",
    "CB": "unknown atom “B”;",
    "C[Fe+2]C": "unknown atom “[Fe+2]”;",
    "[13CH4]": "unknown atom “[13CH4]”;",
    "[NH3+2]": "unknown atom “[NH3+2]”;",
    "[]C": "unknown atom “[]”;",
    "[C": "a bracket is not closed",
    "[H]C": "hydrogens are not atoms of the graph: leave them out",
    "C$C": "“$” is no sign of SMILES",
    "C C": "“ ” is no sign of SMILES",
    "C😀": "“😀” is no sign of SMILES",
    "C.C": "“.” parts it in two: a graph holds one molecule",
    "C" * 39: "it has 39 atoms, and at most 38 can be shown",
    "CC(C)(C)(C)C": "atom 2, C, has 5 bonds, more than the 4 of C",
    "CN(=O)=O": "atom 2, N, has 5 bonds, more than the 3 of N; [N+] has 4",
    "C[CH3]C": "atom 2, [CH3], has 5 bonds, more than the 4 of C",
    "FI(F)F": "atom 2, I, has 3 bonds, more than the 1 of I",
    "C[CH2]": "atom 2, [CH2], has 3 of 4 bonds: its hydrogens belong in the bracket",
    "C[SH]C": "atom 2, [SH], has 3 of 4 bonds: its hydrogens belong in the bracket",
    "cc": "the aromatic (lower-case) atom 1, c, is in no ring",
    "Cc": "the aromatic (lower-case) atom 2, c, is in no ring",
    "c1cccc1": "its aromatic (lower-case) atoms cannot get alternating double bonds",
    "c1ccnc1": "its aromatic (lower-case) atoms cannot get alternating double bonds; a nitrogen with a hydrogen is",
    "c1cccc1c1cccc1": "its aromatic (lower-case) atoms cannot get alternating double bonds",
}


def test_what_is_no_molecule_is_refused_with_a_reason(shown):
    found = rules(shown(), "molecule_explorer", READ, [list(WRONG), ALPHABET])
    for (text, complaint), reason in zip(WRONG.items(), found, strict=True):
        assert isinstance(reason, str) and reason.startswith(f"SmilesError: {complaint}"), (text, reason)


def test_a_molecule_is_typed(shown):
    page = shown(widgets.molecule_explorer(MOLECULES))
    field, menu = page.get_by_label("or type SMILES"), page.locator("select")
    assert field.input_value() == MOLECULES[0]
    field.press("Control+A")
    page.keyboard.type("C=CO")
    assert page.locator("td[data-row]").all_inner_texts() == ["", "2", "", "2", "", "1", "", "1", ""]
    assert page.locator("g.atom text:not(.place)").all_text_contents() == ["C", "C", "O"]
    assert page.locator("line.bond").count() == 3 and state(page)["smiles"] == "C=CO"
    assert page.locator("p.verdict").inner_text().startswith("Order of the text: breadth-first, bandwidth 1.")
    assert menu.locator("option:checked").text_content() == "your own"
    page.get_by_role("button", name="random permutation").press("Enter")
    assert state(page)["order"] != [0, 1, 2]
    page.get_by_role("button", name="order of the text").press("Enter")
    assert state(page)["order"] == [0, 1, 2]
    menu.select_option(label="C")
    assert page.locator("g.atom").count() == 1 and field.input_value() == "C"
    assert page.get_by_role("button", name="canonical order").count() == 1
    shortcuts = "document.querySelector('.hybridlib-explorer').closest('[data-lm-suppress-shortcuts]')"
    assert page.evaluate(f"{shortcuts} !== null"), "JupyterLab would take typed letters for its commands"


def test_what_cannot_be_read_is_announced_and_changes_nothing(shown):
    page = shown(widgets.molecule_explorer(MOLECULES))
    page.clock.install(time=0)
    page.clock.pause_at(1000)
    field, problem = page.get_by_label("or type SMILES"), page.locator("p.problem")
    assert problem.get_attribute("aria-live") == "polite"
    assert problem.get_attribute("id") == field.get_attribute("aria-describedby")
    field.fill("CCO")
    field.press("End")
    before = state(page)

    def error(text):
        assert problem.inner_text() == text
        assert field.get_attribute("aria-invalid") == ("true" if text else None)
        assert state(page) == before and page.locator("g.atom").count() == 3, "the last molecule stays"

    page.keyboard.type("1")
    page.clock.run_for(600)
    error("")  # who writes needs time
    page.clock.run_for(200)
    error("“CCO1” cannot be read: ring 1 is not closed.")
    page.keyboard.press("Backspace")
    error("")
    page.keyboard.type("(")
    page.keyboard.press("Enter")
    page.clock.run_for(1)
    error("“CCO(” cannot be read: a branch is not closed: “)” is missing.")
    field.fill("")
    error("")
    field.fill("C" * 100)
    page.clock.run_for(800)
    error(f"“{'C' * 80}…” cannot be read: it has 100 atoms, and at most 24 can be shown.")
    field.fill("CCO(")
    page.locator("select").select_option(label="C")
    page.clock.run_for(800)
    assert problem.inner_text() == "" and field.input_value() == "C" and page.locator("g.atom").count() == 1


def generation(seed):
    """A trace of an untrained model that rejects what is impossible, and the graph it led to."""
    torch.manual_seed(0)
    trace = []
    model = GraphAF(4, 6, H=16, layers=2, reading="categorical")
    return trace, model.sample(1, check="reject", generator=torch.Generator().manual_seed(seed), trace=trace)


def test_a_generation_is_replayed_to_its_end(shown):
    replays = [generation(seed) for seed in range(8)]
    page = shown(widgets.generation_explorer([trace for trace, _ in replays]))
    rejected = 0
    for number, (trace, graph) in enumerate(replays):
        page.locator("select").select_option(index=number)
        assert state(page)["step"] == 0 and page.locator("g.atom").count() == 1
        for k, step in enumerate(trace):
            assert state(page)["step"] == k
            assert page.locator("tr.chosen").count() == 1
            differs = step["drawn"] != step["chosen"]
            assert page.locator("tr.rejected").count() == differs
            rejected += differs
            page.get_by_role("button", name="next").press("Enter")
        now, n = state(page), int(graph.sizes[0])
        assert now["step"] == len(trace) - 1 and now["atoms"] == graph.atoms[0, :n].tolist()
        assert now["free"] == graph.free_valence[0, :n].tolist()
        assert molecules.to_smiles(graph)[0] in page.locator("p.tell").inner_text()
    assert rejected, "the test sees a rejection"
    page.get_by_role("button", name="back").press("Enter")
    assert state(page)["step"] == len(trace) - 2
    page.get_by_role("slider").press("Home")
    assert state(page)["step"] == 0


def talkative(reading="exact", *, masked=False):
    """An untrained model that seldom stops."""
    torch.manual_seed(0)
    model = GraphAF(4, 12, H=8, reading=reading, masked=masked)
    with torch.no_grad():
        for vector in model.parameters():
            if vector.dim() == 1:
                vector += 0.1 * torch.randn(len(vector))  # some are zero or one at first
        model.atom_head[2].bias[[0, 4]] -= 1  # seldom stop and F
        model.bond_head[2].bias[[2, 3]] -= 0.5
    return model


def talkative_trace(seed, **options):
    trace = []
    talkative(**options).sample(1, generator=torch.Generator().manual_seed(seed), trace=trace)
    return trace


def consult(page, explorer, steps):
    """What the network in the page says to each decision: dicts of i, j, log p (None: impossible), allowed and fits."""
    call = """(rules, [{ network, valence }, traces]) => {
        const run = rules.network(network);
        return traces.map((steps) => steps.map((_, k) => {
            const before = steps.slice(0, k);
            const [question, graph] = [rules.ask(before, network.N), rules.grown(before, k, valence)];
            const logs = run(graph, question).logs.map((v) => (v === -Infinity ? null : v));
            return { ...question, logs, ...rules.options(network, graph, question), end: rules.ask(steps, network.N) };
        }));
    }"""
    return rules(page, "generation_explorer", call, [explorer.data, steps])


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reading", READINGS)
def test_the_generator_in_the_page_is_the_one_in_pytorch(shown, reading, masked):
    model = talkative(reading, masked=masked)
    carried = rounded(model)
    traces, graphs = [], []
    for seed in range(4):
        traces.append([])
        generator = torch.Generator().manual_seed(seed)
        graphs.append(carried.sample(1, generator=generator, trace=traces[-1]))
    explorer = widgets.generation_explorer(traces, model=model)
    found = consult(shown(), explorer, [[{k: step[k] for k in ("i", "j", "chosen")} for step in t] for t in traces])
    assert max(graph.sizes.item() for graph in graphs) > 6
    for trace, graph, answers in zip(traces, graphs, found, strict=True):
        for step, answer in zip(trace, answers, strict=True):
            assert (answer["i"], answer["j"], answer["allowed"]) == (step["i"], step["j"], step["possible"])
            assert answer["end"] is None
            for p, log, allowed in zip(step["p"], answer["logs"], answer["allowed"], strict=True):
                assert (log is not None) == allowed
                assert p == pytest.approx(math.exp(log) if allowed else 0, rel=1e-3, abs=1e-6)
        total = sum(answer["logs"][step["chosen"]] for step, answer in zip(trace, answers))
        with torch.no_grad():
            assert total == pytest.approx(carried.log_prob(graph).item(), abs=2e-3)  # another way to compute it
            assert total == pytest.approx(model.log_prob(graph).item(), abs=0.5)  # before its weights were rounded


@pytest.mark.parametrize("reading", READINGS)
def test_the_page_draws_what_it_says(shown, reading):
    explorer = EXPLORERS["growing"]() if reading == "exact" else widgets.generation_explorer(
        [talkative_trace(0, reading=reading)], model=talkative(reading)
    )  # fmt: skip
    call = """(rules, { network, valence }) => {
        const steps = [{ i: 0, j: null, chosen: 1 }, { i: 1, j: null, chosen: 2 }];
        const { logs, sample } = rules.network(network)(rules.grown(steps, 1, valence), rules.ask(steps, network.N));
        let state = 1;
        const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
        const counts = logs.map(() => 0);
        for (let n = 0; n < 4000; n++) { const y = sample(random); counts[y.indexOf(Math.max(...y))] += 1 / 4000; }
        return [logs.map(Math.exp), counts];
    }"""
    p, counts = rules(shown(), "generation_explorer", call, explorer.data)
    assert p[0] == counts[0] == 0 and sum(p) == pytest.approx(1, abs=1e-4) and max(p) < 0.99
    assert counts == pytest.approx(p, abs=0.03)


def grown_graph(now):
    n = len(now["atoms"])
    bonds = torch.zeros(1, n, n, dtype=torch.long)
    for i, j, order in now["bonds"]:
        bonds[0, i, j] = bonds[0, j, i] = order
    return graphs.Graph(torch.tensor([now["atoms"]]), bonds)


def test_a_reader_grows_a_molecule_with_the_keyboard(shown):
    model = talkative()
    page = shown(widgets.generation_explorer([talkative_trace(0)], model=model))
    button = lambda name: page.get_by_role("button", name=name, exact=True)  # noqa: E731
    tell = page.locator("p.tell")

    def choose(name):
        button(f"{name}: choose").press("Enter")

    button("start anew").press("Enter")
    assert state(page)["atoms"] == [] and button("undo").get_attribute("aria-disabled") == "true"
    assert not button("stop: choose").count(), "the first atom cannot be left out"
    choose("C")
    now = state(page)
    assert (now["i"], now["j"], now["atoms"]) == (1, None, [1])
    assert page.evaluate("document.querySelector('.hybridlib-explorer').shadowRoot.activeElement.tagName") == "BUTTON"
    choose("O")
    assert "atoms 2 and 1" in tell.inner_text() and not button("no bond: choose").count()
    assert page.locator("tr.risky th").all_inner_texts() == ["triple bond"], "oxygen has two bonds"
    assert page.locator("tr.risky .mark").inner_text() == "invalid"
    before = state(page)
    choose("double bond")
    choose("N")
    for _ in range(2):  # the question that came before the double bond
        button("undo").press("Enter")
    assert {**state(page), "y": None} == {**before, "y": None}
    choose("double bond")
    choose("stop")
    now = state(page)
    assert now["finished"] and "every valence holds" in tell.inner_text()
    with torch.no_grad():
        expected = rounded(model).log_prob(molecules.from_smiles(["C=O"], A=4)).item()
    assert now["log_prob"] == pytest.approx(expected, abs=1e-3)
    assert f"{abs(expected):.2f} nats" in page.locator("p.costs").inner_text()

    button("undo").press("Enter")
    button("undo").press("Enter")
    choose("triple bond")
    assert "Too many bonds at atom 2." in tell.inner_text()
    choose("stop")
    assert "Finished: no valid molecule." in tell.inner_text() and page.locator("g.atom.over").count() == 1
    button("draw next").press("Enter")  # nothing comes after the end
    assert state(page)["finished"] and state(page)["atoms"] == [1, 3]


def test_the_model_draws_to_the_end_and_every_decision_can_be_seen(shown):
    model = talkative()
    pages = [shown(widgets.generation_explorer([talkative_trace(0)], model=model)) for _ in range(2)]
    ends = []
    for page in pages:
        page.get_by_role("button", name="start anew").press("Enter")
        for name in ("draw next", "draw next", "draw to the end"):
            page.get_by_role("button", name=name).press("Enter")
        ends.append(state(page))
    assert ends[0] == ends[1], "the same seed draws the same molecule"
    end, page = ends[0], pages[0]
    assert end["finished"] and len(end["atoms"]) > 3
    with torch.no_grad():
        assert end["log_prob"] == pytest.approx(rounded(model).log_prob(grown_graph(end)).item(), abs=2e-3)
    valid = bool((grown_graph(end).free_valence >= 0).all())
    assert ("every valence holds" in page.locator("p.tell").inner_text()) == valid
    total = 0
    page.get_by_role("slider").press("Home")
    for step in range(end["step"] + 1):
        now = state(page)
        y = [-math.inf if v is None else v for v in now["y"]]
        assert now["step"] == step and now["chosen"] == y.index(max(y))
        total += math.log(now["p"][now["chosen"]])
        assert now["log_prob"] == pytest.approx(total)
        page.get_by_role("button", name="next", exact=True).press("Enter")
    page.get_by_role("button", name="start anew").press("Enter")
    page.get_by_role("button", name="draw to the end").press("Enter")
    assert state(page)["bonds"] != end["bonds"], "the next seed draws another"


def test_what_if_a_recorded_decision_had_been_another(shown):
    trace = next(trace for trace in map(talkative_trace, range(9)) if trace[-1]["i"] > 4)
    page = shown(widgets.generation_explorer([trace], model=talkative()))
    k = next(k for k, step in enumerate(trace) if step["j"] is None and step["i"] == 3)
    for _ in range(k):
        page.get_by_role("button", name="next", exact=True).press("Enter")
    recorded = state(page)
    assert recorded["log_prob"] == pytest.approx(sum(math.log(s["p"][s["chosen"]]) for s in trace[: k + 1]), abs=1e-3)
    other = 1 if trace[k]["chosen"] != 1 else 2
    page.locator(f"[data-outcome='{other}']").press("Enter")
    now = state(page)
    assert now["trace"] == 1 and page.locator("select").input_value() == "1"
    assert now["atoms"] == [*recorded["atoms"][:3], other] and now["bonds"] == recorded["bonds"]
    page.get_by_role("button", name="draw to the end").press("Enter")
    assert state(page)["finished"] and state(page)["atoms"][:4] == now["atoms"]
    page.locator("select").select_option(index=0)
    for _ in range(k):
        page.get_by_role("button", name="next", exact=True).press("Enter")
    assert state(page)["atoms"] == recorded["atoms"], "the recorded generation is as it was"
    page.get_by_role("button", name="draw next", exact=True).press("Enter")
    assert state(page)["step"] == k + 1 and state(page)["atoms"] == recorded["atoms"]
    page.get_by_role("button", name="undo").press("Enter")
    page.get_by_role("button", name="undo").press("Enter")
    assert state(page)["step"] == k and state(page)["atoms"] == recorded["atoms"][:3]


def test_a_layout_is_legible_and_moves_little(shown):
    page = shown()
    smiles = [*MOLECULES, "CCCCCCCCCCCC", "c1ccc2ccccc2c1", "Cn1cnc2c1c(=O)n(C)c(=O)n2C", "C1CCC2(CC1)OCCO2",
              "CC(C)Cc1ccc(cc1)C(C)C(=O)O", "FC(F)(F)C(F)(F)C(F)(F)F"]  # fmt: skip
    for text in smiles:
        graph = molecules.from_smiles([text])
        n = int(graph.sizes[0])
        bonds = graph.bonds[0, :n, :n]
        call = "(rules, bonds) => [rules.layout(bonds), rules.layout(bonds)]"
        places, again = rules(page, "generation_explorer", call, bonds.tolist())
        places = torch.tensor(places, dtype=torch.float64)
        assert places.tolist() == again
        apart = torch.cdist(places[None], places[None])[0] + 1000 * torch.eye(n)
        assert apart.min() > 36, (text, "atoms have a radius of 18")
        near = apart[bonds > 0]
        assert not len(near) or (near.min() > 45 and near.max() < 75), (text, "a bond is 60 long")
        if n > 1:  # one more atom, which may close a ring
            call = "(rules, [bonds, before]) => rules.layout(bonds, before)"
            less = rules(page, "generation_explorer", call, [bonds[:-1, :-1].tolist(), places[:-1].tolist()])
            more = torch.tensor(rules(page, "generation_explorer", call, [bonds.tolist(), less]))
            assert (more[:-1] - torch.tensor(less)).norm(dim=1).max() < 75, text

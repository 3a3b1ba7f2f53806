"""Every explorer in a real browser: right numbers, by mouse, touch and keyboard, light and dark, narrow and wide."""

import itertools
import json
import math

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe

from hybridlib import audit, widgets
from hybridlib.made import MADE

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
EXPLORERS = {
    "mask": lambda: widgets.mask_explorer(6, (9, 4), masks="inclusive", direct=True),
    "article": lambda: widgets.mask_explorer(8, (12,), masks="article", order="reversed"),
    "quiz": lambda: widgets.quiz(QUESTIONS),
    "map": lambda: widgets.model_map(NODES, EDGES),
    "likelihood": lambda: widgets.likelihood_explorer(),
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
        text = PAGE.format(scheme=scheme, site=site, body="".join(explorer.html() for explorer in explorers))

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
    source = widgets.module_source(module)
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

"""Every explorer: readable by everybody, at any width, in light and dark, as a widget and in a page."""

import json

import pytest
from axe_playwright_python.sync_playwright import Axe
from explorers import EXPLORERS, QUESTIONS

from hybridlib.page import widgets


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

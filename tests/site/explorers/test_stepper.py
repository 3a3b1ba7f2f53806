"""The sampling stepper: its network, bars and likelihood are hybridlib.transformer's."""

import itertools
import math

import pytest
import torch
from explorers import rules, state, transformer

from hybridlib.page import widgets
from hybridlib.page.explorer import rounded
from hybridlib.transformer import adjust


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

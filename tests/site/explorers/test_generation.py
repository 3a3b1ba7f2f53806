"""The generation explorer: its GraphAF is the one in PyTorch, and replays, draws and choices agree with it."""

import math

import pytest
import torch
from explorers import EXPLORERS, MOLECULES, generation, rules, state, talkative, talkative_trace

from hybridlib import graphs, molecules
from hybridlib.graphaf import READINGS
from hybridlib.page import widgets
from hybridlib.page.explorer import rounded


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

"""The molecule explorer: orders and what is typed are read as hybridlib reads them."""

import torch
from explorers import MOLECULES, rules, state

from hybridlib import datasets, graphs, molecules
from hybridlib.page import widgets


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

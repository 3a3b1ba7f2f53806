// One molecule, many orders of its atoms: drawing, matrix of bond orders, parents. The rules are hybridlib.graphs';
// a test compares the two. Molecules of the menu come in the canonical order, what is typed comes in the order of the
// text; order[t] is the number that the atom at place t has there.

import { ARROWS, button, frame, h, list, range, report, svg } from "./kit.js";
import { generator, shuffled, sum } from "./chance.js";
import { bondLines, layout, viewBox } from "./molecule.js";
import { SmilesError, readSmiles } from "./smiles.js";

const permuted = (matrix, order) => order.map((i) => order.map((j) => matrix[i][j]));

// A random breadth-first order: any atom first, then the new neighbours of each atom, shuffled.
function bfsOrder(bonds, random) {
  const order = [Math.floor(random() * bonds.length)];
  for (let t = 0; t < order.length; t++) { // `order` grows while it is read: a queue
    const near = range(bonds.length).filter((j) => bonds[order[t]][j] && !order.includes(j));
    order.push(...shuffled(near, random));
  }
  return order;
}

// What depends on the order: first earlier neighbours (-1: none), is it breadth-first, the longest bond in places.
function orderFacts(bonds) {
  const parents = bonds.map((row, t) => row.slice(0, t).findIndex((v) => v > 0));
  const breadthFirst = parents.every((p, t) => t === 0 || (p >= 0 && p >= parents[t - 1]));
  const bandwidth = Math.max(0, ...bonds.flatMap((row, i) => row.map((v, j) => (v ? Math.abs(i - j) : 0))));
  return { parents, breadthFirst, bandwidth };
}

export const rules = { permuted, shuffled, bfsOrder, measure: orderFacts, readSmiles };

const KINDS = ["no", "single", "double", "triple"];
const BESIDE = 9; // the largest molecule whose matrix has room beside the drawing
const PAUSE = 700; // milliseconds without a key: until then a text that cannot be read is taken as unfinished
const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

export default {
  render({ model, el }) {
    const { title, alt, molecules, alphabet } = model.get("data");
    const { body, stop } = frame(el, title);
    el.dataset.lmSuppressShortcuts = ""; // letters typed here are no commands of JupyterLab
    const now = { order: [], name: "", here: 0, seed: 0 };
    let molecule = molecules[0];

    const picture = svg("svg", { role: "group" });
    const table = h("table", { class: "matrix" });
    const verdict = h("p", { class: "verdict", "aria-live": "polite" });
    const same = h("p", { class: "same" });
    const tell = h("p", { class: "tell" });
    const chem = h("div", { class: "chem" }, picture,
      h("div", { class: "bonds", tabindex: 0, role: "region", "aria-label": "Matrix of bond orders" }, table));
    let atoms = []; // the drawn atoms, by place

    const choose = (place, focus) => {
      now.here = place;
      atoms.forEach((node, t) => {
        node.classList.toggle("here", t === place);
        node.setAttribute("tabindex", t === place ? 0 : -1);
      });
      for (const cell of table.querySelectorAll("[data-row]")) {
        const [row, column] = [cell.dataset.row, cell.dataset.column];
        cell.classList.toggle("column", cell.tagName === "TD" && (row === `${place}` || column === `${place}`));
        cell.classList.toggle("here", cell.tagName === "TH" && (row === `${place}` || column === `${place}`));
      }
      if (focus) atoms[place].focus();
      tell.textContent = describe(place);
      inform();
    };

    const current = () => {
      const { names, codes, free, bonds, places } = molecule;
      const pick = (values) => now.order.map((i) => values[i]);
      const matrix = permuted(bonds, now.order);
      return { names: pick(names), codes: pick(codes), free: pick(free), places: pick(places), bonds: matrix, ...orderFacts(matrix) };
    };

    const describe = (t) => {
      const { names, free, bonds, parents } = current();
      const near = bonds[t].flatMap((v, j) => (v ? [`${KINDS[v]} to ${j + 1}`] : []));
      const bonded = near.length ? `bonds: ${list(near)}` : "no bonds";
      const parent = t === 0 ? "first, so it needs no parent" : parents[t] < 0 ? "no earlier neighbour" : `parent: ${parents[t] + 1}`;
      return `Atom ${t + 1}, ${names[t]}, free valence ${free[t]}; ${bonded}; ${parent}.`;
    };

    const inform = () => {
      const { parents, breadthFirst, bandwidth, bonds, codes } = current();
      report(model, { smiles: molecule.smiles, ...now, parents, breadthFirst, bandwidth, bonds, codes });
    };

    const draw = () => {
      const { names, codes, free, places, bonds, parents, breadthFirst, bandwidth } = current();
      const n = names.length;
      const [xs, ys] = [0, 1].map((k) => places.map((place) => place[k]));
      const box = viewBox([xs, ys], 34, [240, 120]);
      picture.setAttribute("viewBox", box);
      chem.classList.toggle("large", n > BESIDE);
      chem.style.setProperty("--width", `${box.split(" ")[2]}px`);
      picture.setAttribute("aria-label", `${alt} Shown: ${molecule.smiles}, ${now.name}. Arrow keys go from atom to atom.`);

      const lines = range(n).flatMap((i) => range(i).flatMap((j) =>
        bondLines([xs, ys], i, j, bonds[i][j], parents[i] === j ? "tree" : "ring")));
      atoms = range(n).map((t) => svg("g", {
        class: "atom", role: "button", tabindex: -1, "aria-label": describe(t),
        onpointerenter: () => choose(t), onfocus: () => choose(t), onclick: () => choose(t, true),
        onkeydown: (event) => {
          const way = ARROWS[event.key];
          const to = event.key === "Home" ? 0 : event.key === "End" ? n - 1 : way ? (t + way[0] + way[1] + n) % n : null;
          if (to === null) return;
          event.preventDefault();
          choose(to, true);
        },
      }, svg("circle", { cx: xs[t].toFixed(1), cy: ys[t].toFixed(1), r: 19 }),
      svg("text", { x: xs[t].toFixed(1), y: (ys[t] + 1).toFixed(1) }, names[t]),
      svg("text", { class: "place", x: xs[t].toFixed(1), y: (ys[t] + 14).toFixed(1) }, String(t + 1))));
      picture.replaceChildren(...lines, ...atoms);

      const fact = (name, text) => h("th", { class: "fact", scope: "col", "aria-label": name, title: name }, text);
      const cell = (i, j) => {
        const open = breadthFirst && j < i && (i === 1 || j >= parents[i - 1]);
        const kind = [open && "open", bonds[i][j] && "bond", j < i && parents[i] === j && "parent"].filter(Boolean).join(" ");
        return h("td", { class: kind || null, "data-row": i, "data-column": j, onpointerenter: () => choose(i) }, bonds[i][j] ? String(bonds[i][j]) : "");
      };
      table.replaceChildren(
        h("caption", {}, "Bond orders; shaded: frontier, framed: parent"),
        h("thead", {}, h("tr", {}, fact("place", "#"), fact("atom", "atom"), fact("code", "code"), fact("free valence", "free"), fact("parent", "par."),
          ...range(n).map((j) => h("th", { scope: "col", "data-row": -1, "data-column": j }, String(j + 1))))),
        h("tbody", {}, ...range(n).map((i) => {
          const wrong = i > 0 && (parents[i] < 0 || parents[i] < parents[i - 1]);
          const parent = i === 0 ? "–" : parents[i] < 0 ? "none!" : `${parents[i] + 1}${wrong ? "!" : ""}`;
          return h("tr", {}, h("th", { scope: "row", "data-row": i, "data-column": -1 }, String(i + 1)),
            h("td", { class: "fact" }, names[i]), h("td", { class: "fact" }, String(codes[i])), h("td", { class: "fact" }, String(free[i])),
            h("td", { class: `fact ${wrong ? "wrong" : ""}` }, parent), ...range(n).map((j) => cell(i, j)));
        })));

      const cells = range(n).flatMap((i) => range(i).map((j) => [i, j]));
      const open = cells.filter(([i, j]) => i === 1 || j >= parents[i - 1]).length;
      const name = now.name[0].toUpperCase() + now.name.slice(1);
      verdict.replaceChildren(breadthFirst
        ? h("span", { class: "good" }, `${name}: breadth-first, bandwidth ${bandwidth}.`)
        : h("span", { class: "bad" }, `${name}: not breadth-first (see !), bandwidth ${bandwidth}.`),
      breadthFirst && cells.length ? ` ${open} of ${plural(cells.length, "pair")} can hold a bond.` : "");
      const count = cells.filter(([i, j]) => bonds[i][j]).length;
      same.textContent = `The same in every order: the molecule (${molecule.smiles}), ${plural(count, "bond")}, free valences that sum to ${sum(free)}.`;
      choose(Math.min(now.here, n - 1));
    };

    const reorder = (name, order) => {
      now.name = name;
      now.order = order;
      draw();
    };
    const asGiven = () => reorder(given.textContent, range(molecule.codes.length));
    const given = button("", asGiven);
    const show = (chosen, name) => {
      molecule = chosen;
      given.textContent = name;
      now.here = 0;
      asGiven();
    };

    const problem = h("p", { class: "problem", id: "problem", "aria-live": "polite" });
    const complain = (text) => {
      problem.textContent = text;
      if (text) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute("aria-invalid");
    };
    let wait = 0;
    const read = (pause) => {
      clearTimeout(wait);
      const text = field.value.trim();
      if (!text || text === molecule.smiles) return complain("");
      try {
        const typed = readSmiles(text, alphabet);
        complain("");
        select.value = "";
        show({ ...typed, places: layout(typed.bonds) }, "order of the text");
      } catch (error) {
        if (!(error instanceof SmilesError)) throw error;
        const short = text.length > 80 ? `${text.slice(0, 80)}…` : text;
        wait = setTimeout(complain, pause, `“${short}” cannot be read: ${error.message}.`);
      }
    };
    const field = h("input", {
      type: "text", autocomplete: "off", autocapitalize: "off", spellcheck: "false", "aria-describedby": "problem",
      oninput: () => read(PAUSE), onchange: () => read(0),
    });
    const pick = (i) => {
      clearTimeout(wait);
      complain("");
      select.value = i;
      field.value = molecules[i].smiles;
      show(molecules[i], "canonical order");
    };
    const select = h("select", { onchange: () => pick(select.value) },
      h("option", { value: "", hidden: true }, "your own"), ...molecules.map(({ smiles }, i) => h("option", { value: i }, smiles)));
    const atRandom = (text, order) => button(text, () => reorder(text, order(generator(++now.seed))));

    body.append(
      h("p", { class: "note advice" }, "Blue: the bond of each atom to its parent, its first neighbour that came earlier; dashed: the other bonds. Point at an atom to see its row and column."),
      h("div", { class: "choose" }, h("label", {}, h("span", {}, "molecule"), select),
        h("label", {}, h("span", {}, "or type SMILES"), field), problem),
      h("div", { class: "presets" }, given,
        atRandom("random breadth-first order", (random) => bfsOrder(molecule.bonds, random)),
        atRandom("random permutation", (random) => shuffled(range(molecule.codes.length), random))),
      chem, tell, verdict, same,
    );
    pick(0);
    return () => {
      clearTimeout(wait);
      stop();
    };
  },
};

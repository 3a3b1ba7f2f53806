// GraphAF decides on a molecule: recorded generations, and with a model in the page, generations that the reader makes.
// The network is hybridlib.graphaf's; a test compares the two.

import { button, clamp, frame, h, labelled, list, number, range, report, slider, svg } from "./kit.js";
import { gaussian, generator, logNormal, logSoftmax, normalCdf, sum } from "./chance.js";
import { layersOf, plus } from "./network.js";
import { bondDistances, bondLines, bondMatrix, layout, seat, viewBox, wishes } from "./molecule.js";

// Atoms and bonds after the decisions 0..k, and the free valence of each atom.
function grown(steps, k, valence) {
  const atoms = [];
  const bonds = [];
  for (const { i, j, chosen } of steps.slice(0, k + 1)) {
    if (j === null && chosen) atoms[i] = chosen;
    else if (j !== null && chosen) bonds.push([i, j, chosen]);
  }
  const free = atoms.map((code, i) => bonds.reduce((left, [a, b, order]) => left - (a === i || b === i ? order : 0), valence[code]));
  return { atoms, bonds, free };
}

// The first neighbour of an atom that has come before it, or `otherwise`.
const parent = (bonds, i, otherwise) => Math.min(...bonds.flatMap(([a, b]) => (a === i ? [b] : [])), otherwise);

// What is asked after these decisions: atom i (j null), or its bond to j; `first` is where the bonds of atom i begin.
// null when the molecule is finished.
function ask(steps, N) {
  if (!steps.length) return { i: 0, j: null, first: 0 };
  const { bonds } = grown(steps, steps.length - 1, []);
  const { i, j, chosen } = steps[steps.length - 1];
  if (j === null && !chosen) return null;
  const first = parent(bonds, i - 1, Math.max(i - 2, 0));
  if (j === null && i > 0) return { i, j: first, first };
  if (j !== null && j + 1 < i) return { i, j: j + 1, first };
  return i + 1 < N ? { i: i + 1, j: null, first: parent(bonds, i, Math.max(i - 1, 0)) } : null;
}

// Which outcomes keep all valences (`fits`), and which the model can choose (`allowed`).
function options({ A, masked }, { free, bonds }, { i, j, first }) {
  const open = (from, to) => free.slice(from, to).some((v) => v > 0);
  if (j === null) {
    const room = i === 0 || open(first, i);
    const fits = range(A + 1).map((k) => k === 0 || room);
    return { fits, allowed: fits.map((fit, k) => (k ? fit || !masked : i > 0)) };
  }
  const must = !bonds.some(([a]) => a === i) && (masked ? !open(j + 1, i) : j === i - 1);
  const fits = range(4).map((k) => k === 0 || k <= Math.min(free[i], free[j]));
  return { fits, allowed: fits.map((fit, k) => (k ? fit || !masked : !must)) };
}

// log P(y_k is the largest) for y_k ~ N(loc_k, scale_k), by the trapezoidal rule, as hybridlib.argmax.ArgmaxNormal.
function logArgmax(loc, scale, allowed, points) {
  const step = 18 / (points - 1);
  return loc.map((_, k) => (!allowed[k] ? -Infinity : Math.log(range(points).reduce((total, n) => {
    const t = n * step - 9;
    const below = loc.map((mean, j) => (j === k || !allowed[j] ? 1 : normalCdf((loc[k] + scale[k] * t - mean) / scale[j])));
    return total + below.reduce((a, b) => a * b, step * Math.exp(logNormal(t)));
  }, 0))));
}

// The model: (what has grown, what is asked) -> log p of each outcome, and a function that samples a value for each.
function graphaf(data) {
  const { layers, reading, spread, points, far, weights } = data;
  const { tensors, apply, normalize } = layersOf(weights);
  const H = tensors["summary.bias"].length;
  const relu = (x) => x.map((v) => Math.max(v, 0));
  const mlp = (name, x) => apply(`${name}.2`, relu(apply(`${name}.0`, relu(x))));
  const row = (name, k) => tensors[`${name}.weight`][k];

  const embed = (atoms, bonds) => range(layers).reduce((nodes, l) => {
    const told = nodes.map((x) => apply(`rgcn.layers.${l}`, x)); // to itself, then through each kind of bond
    const part = (x, kind) => x.subarray(kind * H, (kind + 1) * H);
    return nodes.map((x, v) => {
      const heard = nodes.flatMap((_, u) => (bonds[u][v] ? [part(told[u], bonds[u][v])] : []));
      return plus(x, relu(plus(tensors[`rgcn.biases.${l}`], part(told[v], 0), ...heard)));
    });
  }, atoms.map((code) => row("rgcn.embed", code)));

  const summary = (nodes, n, first) => {
    if (!n) return row("size", 0);
    const parts = [plus(...nodes.slice(0, n)), plus(...nodes.slice(first, n)), nodes[first], nodes[n - 1]];
    const all = apply("summary", Float64Array.from(parts.flatMap((v) => [...v])));
    const x = plus(normalize("norm", all), row("size", n));
    return plus(x, mlp("mix", x));
  };

  const output = ({ atoms, bonds, free }, { i, j, first }) => {
    const graph = bondMatrix(atoms.length, bonds);
    const nodes = embed(atoms, graph);
    const bonded = bonds.some(([a]) => a === i);
    const x = summary(nodes, bonded ? i + 1 : i, bonded ? parent(bonds, i, i) : first); // an atom counts from its first bond on
    if (j === null) return mlp("atom_head", x);
    const valence = (v) => clamp(v, 0, 6);
    const distance = Math.min(far, bondDistances(graph)[i][j]);
    return mlp("bond_head", plus(x, apply("new", nodes[i]), apply("other", nodes[j]), row("free_new", valence(free[i])), row("free_other", valence(free[j])),
      row("back", i - j), row("ahead", j - first), row("distance", distance)));
  };

  return (graph, question) => {
    const theta = Array.from(output(graph, question));
    const { allowed } = options(data, graph, question);
    const sampled = (sample) => (random) => allowed.map((may, k) => (may ? sample(k, random) : -Infinity));
    if (reading === "categorical") {
      const logs = logSoftmax(theta.map((v, k) => (allowed[k] ? v : -Infinity)));
      return { logs, sample: sampled((k, random) => logs[k] - Math.log(-Math.log(1 - random()))) }; // Gumbel noise
    }
    const loc = theta.slice(0, theta.length / 2);
    const scale = theta.slice(loc.length).map((v) => 0.3 * Math.exp(spread * Math.tanh(v / spread)));
    return { logs: logArgmax(loc, scale, allowed, points), sample: sampled((k, random) => loc[k] + scale[k] * gaussian(random)) };
  };
}

export const rules = { grown, ask, options, network: graphaf, layout };

const ORDERS = ["no bond", "single bond", "double bond", "triple bond"];
const MARKS = { chosen: "← chosen", rejected: "✕ rejected", impossible: "impossible", risky: "invalid" };
const WHO = { you: "You chose", model: "The model drew", record: "Recorded:" };
const chance = (p) => (p > 0 && p < 0.005 ? "< 0.01" : `= ${number(p)}`);

export default {
  render({ model, el }) {
    const { title, alt, traces, names, valence, network: net } = model.get("data");
    const { body, stop } = frame(el, title);
    const run = net && graphaf(net);
    const OWN = traces.length; // in the menu: what the reader makes
    const now = { trace: 0, step: 0, seed: 0 };
    let random = generator(now.seed);
    let own = []; // the reader's decisions, like those of a recorded generation, and the places of the atoms after each
    let open = null; // the decision that comes next

    const picture = svg("svg", { role: "img" });
    const table = h("table", { class: "outcomes" });
    const costs = h("p", { class: "costs" });
    const tell = h("p", { class: "tell", "aria-live": "polite" });
    const outcome = (step, k) => (step.j === null ? (k ? names[k] : "stop") : ORDERS[k]);
    const path = () => (now.trace === OWN ? own : traces[now.trace].steps);
    const made = () => Math.min(now.step + 1, path().length); // decisions that are made in what is shown
    const done = () => made() === path().length && !ask(path(), net.N);

    // The reader's decisions are these; what comes next?
    const follow = (steps) => {
      own = steps;
      open = null;
      const question = ask(own, net.N);
      if (!question) return;
      const { logs, sample } = run(grown(own, own.length, valence), question);
      open = { ...question, logs, sample, p: logs.map(Math.exp), y: logs.map(() => null), drawn: null, chosen: null };
    };
    // The first n decisions of what is shown become the reader's.
    const branch = (n) => {
      const { places } = traces[now.trace] ?? {};
      follow(path().slice(0, n).map((step) => ({ places, by: "record", ...step })));
      select.value = now.trace = OWN;
    };
    const decide = (chosen, by, y = open.y) => {
      const step = { ...open, y, chosen, drawn: chosen, log: open.logs[chosen], by };
      follow([...own, { ...step, places: placesAfter(step) }]);
    };
    const sample = () => {
      const y = open.sample(random);
      decide(y.indexOf(Math.max(...y)), "model", y.map((v) => (v === -Infinity ? null : v)));
    };

    // Where the atoms stand after one more of the reader's decisions: only a new bond moves them.
    const placesAfter = (step) => {
      const before = own.length ? own[own.length - 1].places : [[0, 0]];
      if (step.j === null || !step.chosen) return before;
      const { atoms, bonds } = grown([...own, step], own.length, valence);
      const closes = bonds.filter(([i]) => i === step.i).length > 1;
      return layout(bondMatrix(atoms.length, bonds), before.slice(0, closes ? step.i + 1 : step.i));
    };
    // Of all atoms that are drawn; one without bonds stands as if it had one to the atom that it is asked about.
    const spotsOf = (step, n, bonds) => {
      if (now.trace !== OWN) return traces[now.trace].places.length ? traces[now.trace].places : [[0, 0]];
      const spots = (step.places ?? own[own.length - 1]?.places ?? [[0, 0]]).slice(0, n);
      const [i, near] = [n - 1, step.j ?? step.first];
      return spots.length < n ? [...spots, seat(i, near, range(i), spots, wishes(bondMatrix(n, [...bonds, [i, near, 1]])))] : spots;
    };

    const sketch = (step, { atoms, bonds, free }) => {
      const [isAsked, recorded] = [step.j === null && step.chosen === null, now.trace !== OWN];
      const spots = spotsOf(step, atoms.length + isAsked, bonds);
      const [xs, ys] = [0, 1].map((k) => spots.map((place) => place[k]));
      picture.setAttribute("class", recorded ? "" : "yours");
      picture.setAttribute("viewBox", viewBox([xs, ys], 30, recorded ? [240, 140] : [360, 240]));
      const strokes = (i, j, order, kind) => bondLines([xs, ys], i, j, Math.max(order, 1), kind); // "no bond": one line
      const lines = bonds.flatMap(([i, j, order]) => strokes(i, j, order, i === step.i && j === step.j ? "new" : ""));
      if (step.j !== null && step.drawn !== step.chosen) lines.push(...strokes(step.i, step.j, step.drawn, "rejected"));
      else if (step.j !== null && !step.chosen) lines.push(...strokes(step.i, step.j, 0, "none"));
      const circle = (i, kind, name) => svg("g", { class: `atom ${kind}` }, svg("circle", { cx: xs[i], cy: ys[i], r: 18 }),
        svg("text", { x: xs[i], y: ys[i] + 1 }, name), svg("text", { class: "place", x: xs[i], y: ys[i] + 13 }, String(i + 1)));
      picture.replaceChildren(...lines,
        ...atoms.map((code, i) => circle(i, `${i === step.i || i === step.j ? "asked" : ""} ${free[i] < 0 ? "over" : ""}`, names[code])),
        ...(isAsked ? [circle(step.i, "open", "?")] : []));
      picture.setAttribute("aria-label", `${alt} So far: ${atoms.length} ${atoms.length === 1 ? "atom" : "atoms"} and ${bonds.length} ${bonds.length === 1 ? "bond" : "bonds"}.`);
    };

    const fill = (step, question) => {
      const before = path().slice(0, now.step);
      const { fits, allowed } = net ? options(net, grown(before, now.step, valence), { ...ask(before, net.N), ...step }) : { fits: step.possible, allowed: step.possible };
      const most = Math.max(...step.p);
      const focused = body.getRootNode().activeElement?.dataset.outcome;
      table.replaceChildren(
        h("caption", {}, question),
        h("thead", {}, h("tr", {}, ...["outcome", "", "p", "sampled", "result"].map((text) => (text ? h("th", { scope: "col" }, text) : h("td", {}))))),
        h("tbody", {}, ...step.p.map((p, k) => {
          const kind = k === step.chosen ? "chosen" : k === step.drawn ? "rejected" : !allowed[k] ? "impossible" : fits[k] ? "" : "risky";
          const name = net && allowed[k]
            ? h("button", { type: "button", "aria-label": `${outcome(step, k)}: choose`, "data-outcome": k, onclick: () => choose(k) }, outcome(step, k)) : outcome(step, k);
          return h("tr", { class: kind || null }, h("th", { scope: "row" }, name),
            h("td", { class: "wide" }, h("div", { class: "track" }, h("div", { class: "fill", style: `width: ${((100 * p) / (most || 1)).toFixed(1)}%` }))),
            h("td", {}, chance(p).replace("= ", "")), h("td", {}, step.y[k] === null ? "–" : number(step.y[k])), h("td", { class: "mark" }, MARKS[kind] ?? ""));
        })));
      if (focused) (table.querySelector(`[data-outcome="${focused}"]`) ?? table.querySelector("button")).focus();
    };

    const draw = () => {
      const steps = path();
      const step = steps[now.step] ?? open;
      const graph = grown(steps, now.step, valence);
      const { atoms, bonds, free } = graph;
      const question = step.j === null ? `What is atom ${step.i + 1}?` : `Which bond joins atoms ${step.i + 1} and ${step.j + 1}?`;
      sketch(step, graph);
      fill(step, question);

      const recorded = now.trace !== OWN;
      const last = recorded ? now.step === steps.length - 1 : done();
      const over = free.flatMap((v, i) => (v < 0 ? [i + 1] : []));
      const said = (s) => `${recorded ? "" : `${WHO[s.by]} `}${outcome(s, s.chosen)} (p ${chance(s.p[s.chosen])}). `;
      const invalid = recorded ? traces[now.trace].smiles === null : over.length > 0;
      tell.replaceChildren(
        step === open && own.length ? said(own[own.length - 1]) : "",
        `Decision ${now.step + 1}${recorded ? ` of ${steps.length}` : ""}. ${question} `,
        step === open ? "Choose, or let the model draw. " : said(step),
        step.drawn !== step.chosen ? h("span", { class: "bad" }, `Drawn first: ${outcome(step, step.drawn)}, rejected as impossible. `) : "",
        over.length ? h("span", { class: "bad" }, `Too many bonds at ${over.length === 1 ? "atom" : "atoms"} ${list(over)}. `) : "",
        !last ? "" : invalid ? h("span", { class: "bad" }, "Finished: no valid molecule.") : `Finished: ${recorded ? traces[now.trace].smiles : "every valence holds"}.`);

      const end = recorded || !open ? steps.length - 1 : steps.length;
      travel.input.max = end;
      travel.show(now.step);
      travel.input.setAttribute("aria-valuetext", `${now.step + 1} of ${end + 1}`);
      back.setAttribute("aria-disabled", now.step === 0);
      next.setAttribute("aria-disabled", now.step === end);
      const state = { ...now, atoms, bonds, free };
      if (net) {
        const logs = steps.slice(0, now.step + 1).map(({ log }) => log ?? -Infinity);
        const total = sum(logs);
        costs.replaceChildren("Sum of log p so far: ", h("b", {}, `${number(total)} nats`), logs.length ? `, the last decision ${number(logs[logs.length - 1])}.` : ".");
        live.forEach((node) => node.setAttribute("aria-disabled", done()));
        undo.setAttribute("aria-disabled", made() === 0);
        note.textContent = `seed ${now.seed}`;
        Object.assign(state, { i: step.i, j: step.j, p: step.p, y: step.y, chosen: step.chosen, log_prob: total, finished: done() });
      }
      report(model, state);
    };

    const go = (step) => {
      now.step = clamp(step, 0, Number(travel.input.max));
      draw();
    };
    const choose = (k) => {
      branch(now.step);
      decide(k, "you");
      now.step = open ? own.length : own.length - 1;
      draw();
    };
    const draws = (count) => () => {
      if (done()) return;
      branch(made());
      for (let n = 0; n < count && open; n++) sample();
      now.step = own.length - 1;
      draw();
    };
    const takeBack = () => {
      if (!made()) return;
      branch(made() - 1);
      now.step = own.length;
      draw();
    };
    const anew = () => {
      random = generator(++now.seed);
      follow([]);
      select.value = OWN;
      start(OWN);
    };
    const travel = slider("decision", { min: 0, max: 1 }, (step) => `${step + 1}`, go);
    const back = button("back", () => go(now.step - 1));
    const next = button("next", () => go(now.step + 1));
    const live = [button("draw next", draws(1)), button("draw to the end", draws(Infinity))];
    const undo = button("undo", takeBack);
    const note = h("p", { class: "note" });
    const select = h("select", { onchange: () => start(Number(select.value)) },
      ...[...traces.map(({ label }) => label), ...(net ? ["your own"] : [])].map((label, i) => h("option", { value: i }, label)));
    const start = (trace) => {
      Object.assign(now, { trace, step: 0 });
      draw();
    };

    const advice = net
      ? "The largest sampled value wins. Choose an outcome yourself, or let the model draw: from the start, or from any step of a recorded generation."
      : "Every decision is shown with the probability of each outcome and the value that was sampled for it; the largest sampled value wins; if it is impossible, it is rejected.";
    body.append(
      h("p", { class: "note advice" }, advice),
      h("div", { class: "controls replay" }, labelled("generation", select), travel.node),
      h("div", { class: "presets" }, back, next, ...(net ? [...live, undo, button("start anew", anew), note] : [])),
      h("div", { class: "growth" }, picture, h("div", { class: "table" }, table)),
      ...(net ? [costs] : []),
      tell,
    );
    if (net) follow([]);
    start(0);
    return stop;
  },
};

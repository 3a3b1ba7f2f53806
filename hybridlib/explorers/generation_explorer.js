// Generations of GraphAF, replayed decision by decision: nothing is computed here but what the graph is so far.

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

export const rules = { grown };

const LOOK = `
.growth { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1.1fr); gap: 1rem 1.4rem; align-items: center; }
.growth svg { display: block; width: 100%; max-width: 24rem; margin: 0 auto; }
.bond.new { stroke: var(--blue); stroke-opacity: 1; stroke-width: 3.2; }
.bond.none { stroke: var(--blue); stroke-opacity: 1; stroke-width: 1.6; stroke-dasharray: 2 6; }
.bond.rejected { stroke: var(--orange); stroke-opacity: 1; stroke-dasharray: 7 5; }
.atom.asked circle { stroke: var(--blue); stroke-opacity: 1; stroke-width: 3; }
.atom.over circle { stroke: var(--orange); stroke-opacity: 1; stroke-width: 3; stroke-dasharray: 5 3; }
.outcomes { width: 100%; border-collapse: collapse; font-size: .875em; font-variant-numeric: tabular-nums; }
.outcomes caption { text-align: left; color: var(--soft); font-size: .93em; padding-bottom: .3rem; }
.outcomes th, .outcomes td { padding: .08rem .25rem; text-align: right; font-weight: 500; white-space: nowrap; }
.outcomes thead th { font-size: .9em; color: var(--soft); }
.outcomes th:first-child, .outcomes td.mark { text-align: left; }
.outcomes td.wide { width: 40%; }
.outcomes .impossible :is(th, td) { color: var(--soft); }
.outcomes .impossible .fill { background: var(--soft); }
.outcomes .chosen :is(th, td) { font-weight: 700; }
.outcomes .chosen .mark { color: var(--blue); }
.outcomes .rejected .mark { color: var(--orange); font-weight: 700; }
.outcomes .rejected .fill { background: var(--orange); }
.tell { margin: .8rem 0 0; min-height: 4.5em; }
.tell .bad { color: var(--orange); font-weight: 600; }
.replay { grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); }
@container (max-width: 600px) { .growth { grid-template-columns: minmax(0, 1fr); } }
`;
const ORDERS = ["no bond", "single bond", "double bond", "triple bond"];

export default {
  render({ model, el }) {
    const { title, alt, traces, names, valence } = model.get("data");
    const { body, stop } = frame(el, title);
    const now = { trace: 0, step: 0 };

    const picture = svg("svg", { role: "img" });
    const table = h("table", { class: "outcomes" });
    const tell = h("p", { class: "tell", "aria-live": "polite" });
    const outcome = (step, k) => (step.j === null ? (k ? names[k] : "stop") : ORDERS[k]);

    const draw = () => {
      const { steps, places, smiles } = traces[now.trace];
      const step = steps[now.step];
      const { atoms, bonds, free } = grown(steps, now.step, valence);
      const rejected = step.drawn !== step.chosen;
      const spots = places.length ? places : [[0, 0]];
      const [xs, ys] = [0, 1].map((k) => spots.map((place) => place[k]));
      picture.setAttribute("viewBox", viewBox([xs, ys], 30, [240, 140]));

      const strokes = (i, j, order, kind) => bondLines([xs, ys], i, j, Math.max(order, 1), kind); // "no bond": one line
      const isNew = ([i, j]) => i === step.i && j === step.j;
      const lines = bonds.flatMap((bond) => strokes(...bond, isNew(bond) ? "new" : ""));
      if (step.j !== null && rejected) lines.push(...strokes(step.i, step.j, step.drawn, "rejected"));
      else if (step.j !== null && !step.chosen) lines.push(...strokes(step.i, step.j, 0, "none"));
      picture.replaceChildren(...lines, ...atoms.map((code, i) => svg("g", {
        class: `atom ${i === step.i || i === step.j ? "asked" : ""} ${free[i] < 0 ? "over" : ""}`,
      }, svg("circle", { cx: xs[i], cy: ys[i], r: 18 }), svg("text", { x: xs[i], y: ys[i] + 1 }, names[code]),
      svg("text", { class: "place", x: xs[i], y: ys[i] + 13 }, String(i + 1)))));
      picture.setAttribute("aria-label", `${alt} So far: ${atoms.length} ${atoms.length === 1 ? "atom" : "atoms"} and ${bonds.length} ${bonds.length === 1 ? "bond" : "bonds"}.`);

      const question = step.j === null ? `What is atom ${step.i + 1}?` : `Which bond joins atoms ${step.i + 1} and ${step.j + 1}?`;
      const most = Math.max(...step.p);
      table.replaceChildren(
        h("caption", {}, question),
        h("thead", {}, h("tr", {}, ...["outcome", "", "p", "sampled", "result"].map((text) => (text ? h("th", { scope: "col" }, text) : h("td", {}))))),
        h("tbody", {}, ...step.p.map((p, k) => {
          const mark = k === step.chosen ? "← chosen" : k === step.drawn ? "✕ rejected" : step.possible[k] ? "" : "impossible";
          const kind = k === step.chosen ? "chosen" : k === step.drawn ? "rejected" : step.possible[k] ? "" : "impossible";
          return h("tr", { class: kind || null }, h("th", { scope: "row" }, outcome(step, k)),
            h("td", { class: "wide" }, h("div", { class: "track" }, h("div", { class: "fill", style: `width: ${((100 * p) / (most || 1)).toFixed(1)}%` }))),
            h("td", {}, number(p)), h("td", {}, step.y[k] === null ? "–" : number(step.y[k])), h("td", { class: "mark" }, mark));
        })));

      const last = now.step === steps.length - 1;
      const over = free.flatMap((v, i) => (v < 0 ? [i + 1] : []));
      tell.replaceChildren(
        `Decision ${now.step + 1} of ${steps.length}. ${question} ${outcome(step, step.chosen)} (p = ${number(step.p[step.chosen])}). `,
        rejected ? h("span", { class: "bad" }, `Drawn first: ${outcome(step, step.drawn)}, rejected as impossible. `) : "",
        over.length ? h("span", { class: "bad" }, `Too many bonds at ${over.length === 1 ? "atom" : "atoms"} ${list(over)}. `) : "",
        last ? (smiles === null ? h("span", { class: "bad" }, "Finished: no valid molecule.") : `Finished: ${smiles}.`) : "");
      travel.show(now.step);
      travel.node.querySelector("output").textContent = `${now.step + 1}`;
      travel.node.querySelector("input").setAttribute("aria-valuetext", `${now.step + 1} of ${steps.length}`);
      back.setAttribute("aria-disabled", now.step === 0);
      next.setAttribute("aria-disabled", last);
      model.set("state", { ...now, atoms, bonds, free });
      model.save_changes();
    };

    const go = (step) => {
      now.step = Math.max(0, Math.min(traces[now.trace].steps.length - 1, step));
      draw();
    };
    const travel = slider("decision", [0, 1], 1, 0, go);
    const button = (text, press) => h("button", { type: "button", onclick: press }, text);
    const back = button("back", () => go(now.step - 1));
    const next = button("next", () => go(now.step + 1));
    const select = h("select", { onchange: () => start(Number(select.value)) },
      ...traces.map(({ label }, i) => h("option", { value: i }, label)));
    const start = (trace) => {
      now.trace = trace;
      travel.node.querySelector("input").max = traces[trace].steps.length - 1;
      go(0);
    };

    body.append(
      h("style", {}, LOOK),
      h("p", { class: "title" }, title),
      h("p", { class: "note advice" }, "Every decision is shown with the probability of each outcome and the value that was sampled for it; the largest sampled value wins; if it is impossible, it is rejected."),
      h("div", { class: "controls replay" }, h("label", {}, h("span", {}, "generation"), h("span", { class: "control" }, select)), travel.node),
      h("div", { class: "presets" }, back, next),
      h("div", { class: "growth" }, picture, h("div", {}, table)),
      tell,
    );
    start(0);
    return stop;
  },
};

// One discrete variable, dequantized with noise of width w: a mixture of Gaussians fitted to it, its cells, bound and exact value.

import { frame, h, labelled, lettering, list, number, range, report, slider, svg } from "./kit.js";
import { axis, numberRow, pointList } from "./plot.js";
import { LOG_ROOT, logNormal, normalCdf, sum } from "./chance.js";

const POINTS = 24; // of the fitting grid, a level
const FINE = 200; // of the bound's grid, a level
const FLOOR = 0.02; // no component gets narrower
const ROUNDS = 200; // of EM
const WIDEST = 5; // components

// log q(v) of a mixture: a list of { weight, mean, scale }.
function logDensity(mixture, v) {
  const logs = mixture.map(({ weight, mean, scale }) => Math.log(weight / scale) + logNormal((v - mean) / scale));
  const most = Math.max(...logs);
  return most + Math.log(sum(logs.map((l) => Math.exp(l - most))));
}

// The middles of n equal parts of [k, k + w) for each level k, each with its share of the truth.
const gridOf = (truth, w, n) => truth.flatMap((p, k) => range(n).map((i) => [k + (w * (i + 0.5)) / n, p / n]));

// EM from a start, on weighted points; returns the mixture and its mean log-likelihood. Plain loops: a slider waits for it.
function climb(points, start) {
  const n = start.length;
  const [weight, mean, scale] = ["weight", "mean", "scale"].map((key) => Float64Array.from(start, (part) => part[key]));
  const [top, logs, r, rv, rvv] = range(5).map(() => new Float64Array(n));
  let before = -Infinity;
  let likelihood = before;
  for (let round = 0; round < ROUNDS; round++) {
    for (let j = 0; j < n; j++) top[j] = Math.log(weight[j] / scale[j]) - LOG_ROOT;
    for (const totals of [r, rv, rvv]) totals.fill(0);
    likelihood = 0;
    for (const [v, p] of points) {
      let most = -Infinity;
      for (let j = 0; j < n; j++) {
        logs[j] = top[j] - 0.5 * ((v - mean[j]) / scale[j]) ** 2;
        if (logs[j] > most) most = logs[j];
      }
      let whole = 0;
      for (let j = 0; j < n; j++) whole += logs[j] = Math.exp(logs[j] - most);
      likelihood += p * (most + Math.log(whole));
      for (let j = 0; j < n; j++) {
        const share = (p * logs[j]) / whole;
        r[j] += share;
        rv[j] += share * v;
        rvv[j] += share * v * v;
      }
    }
    if (likelihood - before < 1e-7) break;
    before = likelihood;
    for (let j = 0; j < n; j++) {
      weight[j] = Math.max(1e-9, r[j]);
      if (r[j] < 1e-9) continue; // nothing to learn from
      mean[j] = rv[j] / r[j];
      scale[j] = Math.max(FLOOR, Math.sqrt(Math.max(0, rvv[j] / r[j] - mean[j] ** 2)));
    }
  }
  const all = sum(weight);
  return { mixture: range(n).map((j) => ({ weight: weight[j] / all, mean: mean[j], scale: scale[j] })), likelihood };
}

// The best of several starts: at quantiles, on the likeliest levels, and the fit with one component less, one of them split.
function fit(truth, w, components) {
  const points = gridOf(truth, w, POINTS);
  const quantile = (q) => {
    let total = 0;
    return points.find(([, p]) => (total += p) >= q)[0];
  };
  let best = null;
  for (let n = 1; n <= components; n++) {
    const levels = range(truth.length).sort((a, b) => truth[b] - truth[a]).slice(0, n);
    const starts = [range(n).map((j) => ({ weight: 1 / n, mean: quantile((j + 0.5) / n), scale: truth.length / (3 * n) }))];
    if (levels.length === n) starts.push(levels.map((k) => ({ weight: 1 / n, mean: k + w / 2, scale: w / 3 + FLOOR })));
    if (levels.length === n && n > 1) { // the last of them broad, for all levels that have none of their own
      const broad = { weight: 1 / n, mean: (truth.length - 1 + w) / 2, scale: truth.length / 3 };
      starts.push([...starts[1].slice(0, -1), broad]);
    }
    if (best) {
      const heavy = best.mixture.reduce((a, part) => (part.weight * part.scale > a.weight * a.scale ? part : a));
      starts.push(best.mixture.flatMap((part) => part !== heavy ? [part]
        : [-0.5, 0.5].map((side) => ({ weight: part.weight / 2, mean: part.mean + side * part.scale, scale: part.scale }))));
    }
    const found = starts.map((start) => climb(points, start));
    best = [best, ...found].filter(Boolean).reduce((a, b) => (b.likelihood > a.likelihood ? b : a));
  }
  return best.mixture.sort((a, b) => a.mean - b.mean);
}

// Cells and, in nats, the bound with its parts, the exact value and the limit that no model passes.
function boundOf(truth, w, mixture) {
  const cells = truth.map((_, k) => sum(mixture.map(({ weight, mean, scale }) => {
    const [a, b] = [(k - mean) / scale, (k + w - mean) / scale];
    return weight * (a > 0 ? normalCdf(-a) - normalCdf(-b) : normalCdf(b) - normalCdf(a));
  })));
  const density = sum(gridOf(truth, w, FINE).map(([v, p]) => (p > 0 ? p * logDensity(mixture, v) : 0)));
  const mean = (values) => sum(truth.map((p, k) => (p > 0 ? p * Math.log(values[k]) : 0)));
  return { cells, density, logWidth: Math.log(w), bound: density + Math.log(w), exact: mean(cells), limit: mean(truth) };
}

export const rules = { normalCdf, logDensity, fit, measure: boundOf };

// Places in the picture, in its own units.
const WIDTH = 360;
const LEFT = 34;
const RIGHT = 352;
const UPPER = [24, 164]; // top and bottom: densities
const LOWER = [222, 312]; // probabilities
const HEIGHT = 348;

export default {
  render({ model, el }) {
    const { title, truth, start } = model.get("data");
    const { body, stop } = frame(el, title);
    const K = truth.length;
    const now = { ...start, forget: false };
    const fitted = {}; // what was fitted before
    let mixture = [];

    const change = (key, name, limits, digits) => slider(name, limits, (v) => number(v, digits), (v) => {
      now[key] = v;
      refit();
    });
    const sliders = { width: change("width", "noise width w", { min: 0.1, max: 1, step: 0.05 }, 2), components: change("components", "components", { min: 1, max: WIDEST }, 0) };
    const forget = h("input", { type: "checkbox", onchange: () => {
      now.forget = forget.checked;
      draw();
    } });

    const X = (v) => LEFT + ((v + 0.3) / (K + 0.6)) * (RIGHT - LEFT);
    const top = lettering("", LEFT - 6, UPPER[0] + 4, "end");
    const curve = svg("polyline", { class: "curve" });
    const levels = range(K).map(() => ({
      data: svg("rect", { class: "truth" }), cell: svg("polygon", { class: "cellular" }),
      truth: svg("rect", { class: "truth" }), model: svg("rect", { class: "modelled" }),
    }));
    const tallest = [0.25, 0.5, 1].find((v) => v >= Math.max(...truth)); // of the lower bars' scale
    const P = (p) => LOWER[1] - Math.min(1.12, p / tallest) * (LOWER[1] - LOWER[0]);
    const picture = svg("svg", { class: "plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" },
      ...levels.map(({ cell }) => cell), ...levels.map(({ data }) => data), curve,
      ...levels.flatMap(({ truth: a, model: b }) => [a, b]),
      axis(LEFT, UPPER[0], LEFT, UPPER[1]), axis(LEFT, UPPER[1], RIGHT, UPPER[1]), axis(LEFT, LOWER[0], LEFT, LOWER[1]), axis(LEFT, LOWER[1], RIGHT, LOWER[1]),
      ...range(K + 1).flatMap((k) => [axis(X(k), UPPER[1], X(k), UPPER[1] + 4), lettering(k, X(k), UPPER[1] + 17)]),
      ...range(K).map((k) => lettering(k, X(k + 0.5), LOWER[1] + 16)),
      axis(LEFT, UPPER[0], LEFT - 4, UPPER[0]), axis(LEFT, LOWER[0], LEFT - 4, LOWER[0]), top,
      lettering("0", LEFT - 6, UPPER[1] + 4, "end"), lettering("0", LEFT - 6, LOWER[1] + 4, "end"), lettering(String(tallest), LEFT - 6, LOWER[0] + 4, "end"),
      lettering("density of v", LEFT + 4, UPPER[0] - 10, "start"), lettering("v = x + w u", RIGHT, UPPER[1] + 33, "end"),
      lettering("probability of x", LEFT + 4, LOWER[0] - 12, "start"), lettering("x", RIGHT, LOWER[1] + 30, "end"));

    const cells = {};
    const row = (...args) => numberRow(cells, ...args);
    const table = h("table", { class: "sums" },
      h("caption", { class: "hidden" }, "Bound, exact value and limit, in nats"),
      h("thead", {}, h("tr", {}, h("td", {}), h("th", { scope: "col" }, "nats"))),
      h("tbody", {}, row("density", "E log q(v)"), row("logWidth", "+ log w"), row("bound", "= bound"),
        row("exact", "E log P(x)", "exact"), row("limit", "−H", "the limit")));
    const verdict = h("p", { class: "verdict", "aria-live": "polite" });

    const refit = () => {
      const settings = `${now.width} ${now.components}`;
      mixture = fitted[settings] ??= fit(truth, now.width, now.components);
      draw();
    };
    const draw = () => {
      const { width: w, components } = now;
      const found = boundOf(truth, w, mixture);
      const claimed = now.forget ? found.density : found.bound;
      for (const [key, { show }] of Object.entries(sliders)) show(now[key]);
      for (const [key, cell] of Object.entries(cells)) cell.textContent = number(found[key], 3);
      cells.bound.textContent = number(claimed, 3);
      cells.logWidth.textContent = now.forget ? "left out" : number(found.logWidth, 3);
      for (const key of ["logWidth", "bound"]) cells[key].classList.toggle("bad", now.forget);

      const q = (v) => Math.exp(logDensity(mixture, v));
      const vs = range(601).map((i) => -0.3 + (i * (K + 0.6)) / 600);
      const most = Math.max(...vs.map(q), ...truth.map((p) => p / w));
      const high = [0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20].find((v) => v >= most) ?? most;
      const Y = (p) => UPPER[1] - (p / high) * (UPPER[1] - UPPER[0]);
      top.textContent = String(high);
      curve.setAttribute("points", pointList(vs.map((v) => [X(v), Y(q(v))])));
      const box = (node, x, y, right, bottom) => Object.entries({ x, y, width: right - x, height: Math.max(0, bottom - y) }).forEach(([key, v]) => node.setAttribute(key, v));
      levels.forEach((level, k) => {
        const inside = range(41).map((i) => k + (i * w) / 40);
        level.cell.setAttribute("points", `${X(k)},${Y(0)} ${pointList(inside.map((v) => [X(v), Y(q(v))]))} ${X(k + w)},${Y(0)}`);
        box(level.data, X(k), Y(truth[k] / w), X(k + w), Y(0));
        box(level.truth, X(k + 0.16), P(truth[k]), X(k + 0.48), P(0));
        box(level.model, X(k + 0.52), P(found.cells[k]), X(k + 0.84), P(0));
      });
      picture.setAttribute("aria-label", `Truth and model: ${list(truth.map((p, k) => `level ${k}: ${number(p)} and ${number(found.cells[k])}`))}.`);

      const lost = 1 - sum(found.cells);
      const above = claimed > found.limit;
      const wrong = now.forget && w < 1;
      verdict.textContent = !now.forget
        ? `The bound gives away ${number(found.exact - found.bound)} nats, the model ${number(found.limit - found.exact)}; ${number(100 * lost, 0)} % of its mass lies outside the cells.`
        : !wrong ? "With w = 1 nothing is missing: log w = 0."
          : above ? "Impossible: this “bound” lies above the limit −H, which no model passes. The log w is missing."
            : claimed > found.exact ? "False: this “bound” lies above the exact value. The log w is missing."
              : `Too high by ${number(-found.logWidth)} nats, and nothing here gives it away yet: make w smaller.`;
      verdict.classList.toggle("wrong", wrong);
      report(model, { width: w, components, forget: now.forget, claimed, above, mixture, ...found });
    };
    const key = (kind, label) => h("span", {}, h("span", { class: `swatch ${kind}` }), label);
    body.append(
      h("div", { class: "controls sliders" }, ...Object.values(sliders).map(({ node }) => node),
        labelled("leave out log w", forget)),
      h("div", { class: "plots" },
        h("div", {}, h("p", { class: "legend note" }, key("data", "truth, with noise above"), key("model", "density q and P(x), its area in a cell")), picture),
        h("div", {}, table, verdict)),
    );
    refit();
    return stop;
  },
};

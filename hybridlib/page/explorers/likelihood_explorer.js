// Eight states of three coins: move the model's probabilities q and watch NLL = H(p) + KL(p || q).

import { button, frame, h, range, report } from "./kit.js";
import { sum } from "./chance.js";

const STATES = range(8).map((i) => i.toString(2).padStart(3, "0"));
const TOP = 0.6; // largest probability on the scale
const LOW = 0.002; // no state may get zero: its NLL would be infinite

// Entropy, divergence and their sum, in nats.
function likelihoods(p, q) {
  const entropy = -sum(p.map((v) => (v > 0 ? v * Math.log(v) : 0)));
  const nll = -sum(p.map((v, i) => v * Math.log(q[i])));
  return { entropy, kl: nll - entropy, nll };
}

// Set one probability; the others keep their ratios and fill up to one.
function move(q, i, value) {
  const rest = 1 - q[i];
  const next = q.map((v, j) => (j === i ? value : Math.max(LOW, (v * (1 - value)) / rest)));
  const total = sum(next);
  return next.map((v) => v / total);
}

// The best model of three independent coins: the product of p's own coins.
function independent(p) {
  const heads = range(3).map((c) => sum(p.filter((_, i) => STATES[i][c] === "1")));
  return STATES.map((state) => Math.max(LOW, heads.reduce((v, p1, c) => v * (state[c] === "1" ? p1 : 1 - p1), 1)));
}

export const rules = { measure: likelihoods, move, independent };

export default {
  render({ model, el }) {
    const { title, p, q: start } = model.get("data");
    const { body, stop } = frame(el, title);
    let q = [...start];
    const percent = (v) => `${(100 * v).toFixed(1)} %`;
    const rows = STATES.map((state, i) => {
      const bar = h("input", {
        type: "range", class: "bar", min: LOW, max: TOP, step: 0.002, "aria-label": `model's probability of ${state}`,
        oninput: () => {
          q = move(q, i, Number(bar.value));
          draw();
        },
      });
      const value = h("span", { class: "number" });
      const data = h("span", { class: "data", "aria-hidden": "true" }, h("span", { style: `width: ${Math.min(1, p[i] / TOP) * 100}%` }));
      return { bar, value, node: h("div", { class: "state" },
        h("span", { class: "name" }, state), h("span", { class: "pair" }, data, bar),
        h("span", { class: "numbers" }, h("span", { class: "number soft" }, percent(p[i])), value)) };
    });
    const entropyBar = h("span", { class: "part entropy" }, h("span", {}, "H(p)"));
    const klBar = h("span", { class: "part kl" }, h("span", {}, "KL"));
    const cell = () => h("td", {});
    const numbers = { entropy: [cell(), cell()], kl: [cell(), cell()], nll: [cell(), cell()] };
    const line = (key, text, note) => h("tr", { class: key }, h("th", { scope: "row" }, h("span", { class: "term" }, text), h("span", { class: "note" }, ` ${note}`)), numbers[key]);
    const words = h("p", { class: "hidden", "aria-live": "polite" });

    const draw = () => {
      const now = likelihoods(p, q);
      rows.forEach(({ bar, value }, i) => {
        bar.value = q[i];
        bar.style.setProperty("--at", Math.min(1, (q[i] - LOW) / (TOP - LOW)));
        bar.setAttribute("aria-valuetext", `${percent(q[i])}, data ${percent(p[i])}`);
        value.textContent = percent(q[i]);
      });
      const longest = Math.max(4, now.nll);
      entropyBar.style.width = `${(100 * now.entropy) / longest}%`;
      klBar.style.width = `${(100 * Math.max(0, now.kl)) / longest}%`;
      for (const key of Object.keys(numbers)) {
        numbers[key][0].textContent = Math.max(0, now[key]).toFixed(3);
        numbers[key][1].textContent = Math.max(0, now[key] / Math.LN2).toFixed(3);
      }
      words.textContent = `NLL ${now.nll.toFixed(2)} nats, of which ${Math.max(0, now.kl).toFixed(2)} are the model's fault.`;
      report(model, { q: [...q], ...now });
    };
    const preset = (text, make) => button(text, () => {
      q = make();
      const total = sum(q);
      q = q.map((v) => v / total);
      draw();
    });
    body.append(
      h("p", { class: "note advice" }, "Drag a blue bar, or use the arrow keys; the others fill up to one."),
      h("div", { class: "state heads" }, h("span", {}, "state"), h("span", { class: "legend" },
        h("span", {}, h("span", { class: "swatch data" }), "data p"), h("span", {}, h("span", { class: "swatch model" }), "model q")),
      h("span", { class: "numbers" }, h("span", { class: "number" }, "p"), h("span", { class: "number" }, "q"))),
      ...rows.map((row) => row.node),
      h("div", { class: "presets" },
        preset("q uniform", () => p.map(() => 1 / 8)), preset("q = independent coins", () => independent(p)),
        preset("q = p", () => p.map((v) => Math.max(LOW, v)))),
      h("div", { class: "stack", "aria-hidden": "true" }, entropyBar, klBar),
      h("table", { class: "sums" },
        h("caption", { class: "hidden" }, "NLL as the sum of entropy and divergence"),
        h("thead", {}, h("tr", {}, h("td", {}), h("th", { scope: "col" }, "nats"), h("th", { scope: "col" }, "bits"))),
        h("tbody", {}, line("entropy", "H(p)", "the data’s own, no model gets below"),
          line("kl", "+ KL(p ‖ q)", "the model’s fault"), line("nll", "= mean NLL", "what we measure"))),
      words,
    );
    draw();
    return stop;
  },
};

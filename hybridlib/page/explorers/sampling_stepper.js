// A Transformer, step by step: the distribution of the next symbol, the reader's choice, and what it costs in nats.
// The network is hybridlib.transformer's; a test compares the two.

import { button, frame, h, labelled, list, number, range, report, slider, svg } from "./kit.js";
import { generator, logSoftmax, softmax, sum } from "./chance.js";
import { layersOf, plus } from "./network.js";

const dot = (a, b) => a.reduce((total, value, i) => total + value * b[i], 0);
const gelu = (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

// (t, symbol before) -> logits of step t. Keys and values of earlier steps are kept; a repeated step t replaces the old one.
function transformer({ K, heads, layers, weights }) {
  const { tensors, apply, normalize } = layersOf(weights);
  const kept = range(layers).map(() => ({ keys: [], values: [] }));

  const attend = (l, t, x) => {
    const width = x.length / 3;
    const size = width / heads;
    kept[l].keys[t] = x.subarray(width, 2 * width);
    kept[l].values[t] = x.subarray(2 * width);
    const mixed = new Float64Array(width);
    for (const head of range(heads)) {
      const part = (v) => v.subarray(head * size, (head + 1) * size);
      const attention = softmax(range(t + 1).map((s) => dot(part(x), part(kept[l].keys[s])) / Math.sqrt(size)));
      attention.forEach((a, s) => part(kept[l].values[s]).forEach((v, i) => { mixed[head * size + i] += a * v; }));
    }
    return mixed;
  };

  return (t, before) => {
    let x = plus(tensors["symbols.weight"][before ?? K], tensors["positions.weight"][t]);
    for (const l of range(layers)) {
      const block = `blocks.${l}`;
      x = plus(x, apply(`${block}.proj`, attend(l, t, apply(`${block}.qkv`, normalize(`${block}.norm1`, x)))));
      x = plus(x, apply(`${block}.down`, apply(`${block}.up`, normalize(`${block}.norm2`, x)).map(gelu)));
    }
    return Array.from(apply("head", normalize("norm", x)));
  };
}

// Logits -> the probabilities to draw from, as hybridlib.transformer.adjust: temperature, then top-k, then nucleus.
function adjust(logits, { temperature, topK, nucleus }) {
  const least = [...logits].sort((a, b) => b - a)[Math.min(topK, logits.length) - 1];
  const p = softmax(logits.map((v) => (v < least ? -Infinity : v / temperature)));
  let likelier = 0;
  const out = new Set();
  for (const k of range(p.length).sort((a, b) => p[b] - p[a])) {
    if (likelier >= nucleus) out.add(k);
    likelier += p[k];
  }
  const left = p.map((v, k) => (out.has(k) ? 0 : v));
  const total = sum(left);
  return left.map((v) => v / total);
}

// The first symbol whose cumulated probability exceeds u.
function icdf(p, u) {
  let total = 0;
  const k = p.findIndex((v) => u < (total += v));
  return k >= 0 ? k : p.findLastIndex((v) => v > 0);
}

export const rules = { network: transformer, adjust, icdf, generator };

const UNLIKELY = 0.05; // symbols below this probability are called unlikely
const percent = (p) => (p > 0 && p < 0.0005 ? "<0.1 %" : `${(100 * p).toFixed(1)} %`);

export default {
  render({ model, el }) {
    const data = model.get("data");
    const { title, symbols, T, K, end, shape, start } = data;
    const { body, stop } = frame(el, title);
    const run = transformer(data);
    const settings = { temperature: 1, topK: K, nucleus: 1, sorted: false };
    let seed = data.seed;
    let random, sequence, logits, costs; // logits[t] and costs[t] of step t; a cost is -log p(x_t | x_<t) at temperature 1

    const over = () => sequence.length === T || (sequence.length > 0 && sequence[sequence.length - 1] === end);
    const see = () => {
      if (!over()) logits[sequence.length] = run(sequence.length, sequence[sequence.length - 1]);
    };
    const add = (symbol) => {
      costs.push(-logSoftmax(logits[sequence.length])[symbol]);
      sequence.push(symbol);
      see();
    };
    const take = () => add(icdf(adjust(logits[sequence.length], settings), random()));
    const restart = () => {
      random = generator(seed);
      [sequence, logits, costs] = [[], [], []];
      see();
      start.forEach(add);
    };

    const acting = (text, act) => button(text, () => {
      const before = sequence.length;
      act();
      draw(before);
    });
    const buttons = {
      next: acting("Draw next", take),
      rest: acting("Draw to the end", () => { while (!over()) take(); }),
      undo: acting("Undo", () => {
        sequence.pop();
        costs.pop();
      }),
      restart: acting("Restart", restart),
      seed: acting("New seed", () => {
        seed += 1;
        restart();
      }),
    };

    // A row of the distribution; which symbol it shows depends on the order.
    const rows = range(K).map((rank) => {
      const name = h("span", { class: "symbol" });
      const fill = h("span", { class: "fill" });
      const own = h("span", { class: "own" });
      const value = h("span", { class: "number" });
      const row = { name, fill, own, value, symbol: rank };
      row.node = h("button", { type: "button", class: "choice", onclick: () => {
        const before = sequence.length;
        add(row.symbol);
        draw(before);
      } }, name, h("span", { class: "track", "aria-hidden": "true" }, fill, own), value);
      return row;
    });

    const setting = (text, key, limits, write) => {
      const { node, show } = slider(text, limits, write, (v) => {
        settings[key] = v;
        show(v);
        draw();
      });
      show(settings[key]);
      return node;
    };
    const sorted = h("input", { type: "checkbox", onchange: () => {
      settings.sorted = sorted.checked;
      draw();
    } });

    const drawing = h("div", { class: shape ? "pixels" : "text" });
    const heading = h("p", { class: "next" });
    const cells = { total: h("td", {}), last: h("td", {}), bits: h("td", {}) };
    const scores = h("table", { class: "scores" },
      h("caption", { class: "hidden" }, "What has been drawn, under the model at temperature 1"),
      h("thead", {}, h("tr", {}, ["log-likelihood", "last symbol", "per symbol"].map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, h("tr", {}, Object.values(cells))));
    const note = h("p", { class: "note seed" });
    const words = h("p", { class: "hidden", "aria-live": "polite" });

    const drawText = () => {
      drawing.replaceChildren(
        h("p", { class: "drawn", "aria-hidden": "true" },
          sequence.map((symbol, t) => h("span", {
            class: "letter", title: `${symbols[symbol]}: ${number(costs[t])} nats`, style: `--cost: ${Math.min(1, costs[t] / 6)}`,
          }, symbols[symbol])),
          over() ? null : h("span", { class: "letter open" }, "?")),
        h("p", { class: "hidden" }, sequence.length
          ? `So far: ${sequence.map((symbol, t) => `${symbols[symbol]} ${number(costs[t])} nats`).join(", ")}.` : "Nothing drawn yet."));
    };
    const drawPixels = () => {
      const [height, width] = shape;
      const marks = range(T).flatMap((t) => {
        const [x, y] = [t % width, Math.floor(t / width)];
        const grey = Math.round((255 * sequence[t]) / Math.max(1, K - 1));
        const square = svg("rect", t < sequence.length
          ? { class: "pixel", x, y, width: 1, height: 1, fill: `rgb(${grey} ${grey} ${grey})` }
          : { class: "blank", x: x + 0.08, y: y + 0.08, width: 0.84, height: 0.84 });
        const cost = t < sequence.length && costs[t] > -Math.log(UNLIKELY)
          ? svg("circle", { class: "cost", cx: x + 0.5, cy: y + 0.5, r: Math.min(0.36, 0.06 * costs[t]) }) : null;
        return [square, cost];
      });
      const t = sequence.length;
      const next = over() ? null : svg("rect", { class: "open", x: t % width, y: Math.floor(t / width), width: 1, height: 1 });
      drawing.replaceChildren(svg("svg", {
        viewBox: `-0.1 -0.1 ${width + 0.2} ${height + 0.2}`, role: "img",
        "aria-label": `picture of ${width} by ${height} pixels, ${t} of them drawn; dots mark unlikely ones`,
      }, svg("rect", { class: "paper", x: 0, y: 0, width, height }), ...marks, next));
    };

    const draw = (before) => {
      const focused = body.getRootNode().activeElement;
      const t = sequence.length;
      const total = sum(costs);
      const last = costs[t - 1];
      const bits = total / Math.LN2 / t;
      const p = over() ? null : adjust(logits[t], settings);
      const own = over() ? null : softmax(logits[t]);
      (shape ? drawPixels : drawText)();
      heading.textContent = over() ? (t < T ? `The end, after ${t} symbols.` : `All ${T} symbols are drawn.`) : `Symbol ${t + 1} of at most ${T}: choose one, or draw`;
      if (shape && !over()) heading.textContent = `Pixel ${t + 1} of ${T} (row ${Math.floor(t / shape[1]) + 1}, column ${(t % shape[1]) + 1}): choose, or draw`;
      const order = range(K);
      if (p && settings.sorted) order.sort((a, b) => p[b] - p[a] || own[b] - own[a]);
      rows.forEach((row, rank) => {
        const k = row.symbol = order[rank];
        row.name.textContent = symbols[k];
        row.value.textContent = p ? percent(p[k]) : "";
        row.fill.style.width = `${p ? 100 * p[k] : 0}%`;
        row.own.style.left = `${p ? 100 * own[k] : 0}%`;
        row.own.hidden = !p;
        row.node.disabled = !p;
        row.node.dataset.symbol = k;
        row.node.setAttribute("aria-label", p ? `choose ${symbols[k]}, ${percent(p[k])}` : symbols[k]);
      });
      buttons.next.disabled = buttons.rest.disabled = over();
      buttons.undo.disabled = t === 0;
      if (focused?.disabled) buttons.restart.focus(); // a disabled button would lose the reader's place
      const unlikely = last > -Math.log(UNLIKELY);
      cells.total.textContent = t ? `${number(-total)} nats` : "0 nats";
      cells.last.textContent = t ? `${number(-last)} nats${unlikely ? `, 1\u00a0in\u00a0${Math.round(Math.exp(last))}` : ""}` : "–";
      cells.last.classList.toggle("unlikely", unlikely);
      cells.bits.textContent = t ? `${number(bits)} bits` : "–";
      note.textContent = `Seed ${seed}`;
      if (before !== undefined) {
        const added = sequence.slice(before).map((symbol) => symbols[symbol]);
        const done = added.length > 3 ? `${added.length} symbols drawn.` : added.length ? `${list(added)} added.` : `${t} symbols left.`;
        const cost = added.length === 1 ? ` It costs ${number(last)} nats.` : "";
        words.textContent = `${done}${cost} Log-likelihood ${number(-total)} nats.${over() ? " The end." : ""}`;
      }
      report(model, {
        sequence: [...sequence], logits: p && logits[t], probabilities: p, log_prob: -total,
        bits_per_symbol: t ? bits : null, temperature: settings.temperature, top_k: settings.topK, nucleus: settings.nucleus, seed,
      });
    };

    body.append(
      h("div", { class: `stepper${shape ? " picture" : ""}` },
        h("div", {}, drawing, scores),
        h("div", {}, heading, h("div", { class: "choices" }, rows.map((row) => row.node)),
          h("p", { class: "note" }, h("span", { class: "swatch model" }), "drawn from ", h("span", { class: "swatch own" }), "at temperature 1"))),
      h("div", { class: "presets" }, Object.values(buttons), note),
      h("div", { class: "controls" }, setting("Temperature", "temperature", { min: 0.2, max: 2, step: 0.05 }, (v) => v.toFixed(2)),
        K > 3 ? labelled("Likeliest first", sorted) : null),
      ...(K > 3 ? [h("details", {}, h("summary", {}, "Leave out the unlikely"), h("div", { class: "controls" },
        setting("Top-k", "topK", { min: 1, max: K, step: 1 }, (v) => (v === K ? "all" : String(v))),
        setting("Nucleus (top-p)", "nucleus", { min: 0.05, max: 1, step: 0.05 }, (v) => v.toFixed(2))))] : []),
      words,
    );
    restart();
    draw();
    return stop;
  },
};

// MADE's masks, drawn. The rules are hybridlib.made's; a test compares the two for many settings.

import { ARROWS, clamp, frame, h, labelled, list, range, report, slider, svg } from "./kit.js";
import { generator, shuffled } from "./chance.js";

// order[t] is the variable generated at step t.
function orderOf({ D, order, seed }) {
  if (Array.isArray(order)) return order;
  const natural = range(D);
  if (order === "reversed") return natural.reverse();
  return order === "random" ? shuffled(natural, generator(seed)) : natural;
}

// Degrees of all layers, inputs first, outputs last: an input's degree is its step in the order, from 1.
function degreesOf(settings) {
  const { D, hidden, degrees, seed } = settings;
  const order = orderOf(settings);
  const inputs = range(D).map((d) => order.indexOf(d) + 1);
  const random = generator(seed + 1);
  const layers = [inputs];
  for (const units of hidden) {
    const low = Math.min(...layers[layers.length - 1]);
    layers.push(range(units).map((k) => {
      if (degrees === "random") return low + Math.floor(random() * (D - low));
      if (degrees === "sequential") return (k % (D - 1)) + 1;
      return Math.ceil(((k + 1) * (D - 1)) / units);
    }));
  }
  return [...layers, inputs];
}

// Masks between neighbouring layers, each [out][in], and the direct mask from inputs to outputs (null if there is none).
function masksOf(settings) {
  const degrees = degreesOf(settings);
  const last = degrees.length - 1;
  const between = (below, above, open) => above.map((a) => below.map((b) => open(a, b)));
  if (settings.masks === "article") { // tril(ones(D, D)) on one D x D weight: it never reaches the hidden layers
    const layers = range(last).map((l) => between(degrees[l], degrees[l + 1], () => false));
    return { degrees, layers, direct: range(settings.D).map((d) => range(settings.D).map((i) => i <= d)) };
  }
  const strict = settings.masks !== "inclusive";
  const layers = range(last).map((l) =>
    between(degrees[l], degrees[l + 1], l < last - 1 || !strict ? (a, b) => a >= b : (a, b) => a > b));
  return { degrees, layers, direct: settings.direct ? between(degrees[0], degrees[last], (a, b) => a > b) : null };
}

// Who sees whom: [output][input].
function dependenciesOf({ layers, direct, degrees }) {
  const D = degrees[0].length;
  let seen = range(D).map((i) => range(D).map((j) => i === j));
  for (const mask of layers) {
    seen = mask.map((row) => range(D).map((i) => row.some((open, k) => open && seen[k][i])));
  }
  return seen.map((row, d) => row.map((value, i) => value || Boolean(direct?.[d][i])));
}

export const rules = { orderOf, degreesOf, masksOf, dependenciesOf };

// Units and connections on the paths that end in one unit (or, for an input, start in it). Connections are "layer:to:from".
function pathsOf({ layers, direct }, layer, unit) {
  const units = new Set([`${layer}:${unit}`]);
  const links = new Set();
  const forward = layer === 0;
  const last = layers.length;
  for (const l of forward ? range(last) : range(layer).reverse()) {
    layers[l].forEach((row, to) => row.forEach((open, from) => {
      if (open && units.has(forward ? `${l}:${from}` : `${l + 1}:${to}`)) {
        links.add(`${l}:${to}:${from}`);
        units.add(forward ? `${l + 1}:${to}` : `${l}:${from}`);
      }
    }));
  }
  direct?.forEach((row, to) => row.forEach((open, from) => {
    if (open && (forward ? from === unit : layer === last && to === unit)) {
      links.add(`direct:${to}:${from}`);
      units.add(forward ? `${last}:${to}` : `0:${from}`);
    }
  }));
  return { units, links };
}

const SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉";
const naming = (start) => (d) => `x${SUBSCRIPTS[d + start]}`; // variables, hidden units and degrees count from start

// What the picture says, in words.
function describe(net, order, seen, layer, unit) {
  const last = net.layers.length;
  const name = naming(net.start);
  const names = (variables) => list(variables.map(name));
  const inputs = (variables) => `${variables.length === 1 ? "input" : "inputs"} ${names(variables)}`;
  const step = (d) => order.indexOf(d);
  if (layer === 0) {
    const outputs = seen.flatMap((row, d) => (row[unit] ? [d] : []));
    const reached = outputs.length ? `reaches ${outputs.length === 1 ? "output" : "outputs"} ${names(outputs)}` : "reaches no output";
    return `Input ${name(unit)} (step ${step(unit) + 1} of ${order.length}) ${reached}.`;
  }
  if (layer < last) {
    const { units } = pathsOf(net, layer, unit);
    const below = order.filter((d) => units.has(`0:${d}`));
    const place = last > 2 ? ` in layer ${layer}` : "";
    return `Hidden unit ${unit + net.start}${place} (degree ${net.degrees[layer][unit] - 1 + net.start}) sees ${below.length ? inputs(below) : "no input"}.`;
  }
  const may = order.slice(0, step(unit));
  const sees = order.filter((d) => seen[unit][d]);
  const missing = may.filter((d) => !sees.includes(d));
  const later = sees.filter((d) => step(d) > step(unit));
  const text = [`Output ${name(unit)} (step ${step(unit) + 1} of ${order.length}) sees ${sees.length ? inputs(sees) : "no input"}.`];
  const may_see = may.length ? `It may see ${names(may)}` : "It comes first and may see none";
  if (sees.includes(unit)) text.push(`${may_see}: it sees itself, so it can copy its own answer.`);
  if (later.length) text.push(`${may_see}: ${inputs(later)} ${later.length === 1 ? "comes" : "come"} later.`);
  if (missing.length) text.push(`${may_see}: ${inputs(missing)} ${missing.length === 1 ? "is" : "are"} missing.`);
  if (text.length === 1) text.push(may.length ? "That is all that comes before it, and nothing else." : "It comes first, so that is right.");
  return text.join(" ");
}

function verdict(order, seen) {
  const step = (d) => order.indexOf(d);
  let leaks = 0;
  let missing = 0;
  seen.forEach((row, d) => row.forEach((sees, i) => {
    const allowed = step(i) < step(d);
    leaks += sees && !allowed;
    missing += allowed && !sees;
  }));
  const pairs = (order.length * (order.length - 1)) / 2;
  const words = (n) => `${n} ${n === 1 ? "pair" : "pairs"}`;
  if (leaks) {
    const lost = missing ? `, and ${words(missing)} that should be connected ${missing === 1 ? "is" : "are"} not` : "";
    return { good: false, text: `${words(leaks)} that must not be connected ${leaks === 1 ? "is" : "are"}${lost}: this is not a distribution.` };
  }
  if (missing) {
    return { good: false, text: `Nothing leaks, but ${missing} of the ${pairs} allowed pairs ${missing === 1 ? "is" : "are"} missing: it sums to one, yet cannot learn those links.` };
  }
  return { good: true, text: `All ${pairs} allowed pairs are connected and nothing leaks: an autoregressive density that can use every link.` };
}

const RADIUS = 13;

function drawNetwork(net, width, point) {
  const { degrees, layers, direct, start } = net;
  const name = naming(start);
  const tallest = Math.max(...degrees.map((layer) => layer.length));
  const height = Math.max(tallest, 4) * 33 + 34;
  const margin = 46;
  const bypassed = layers.every((mask) => mask.every((row) => !row.some(Boolean)));
  const x = (l) => margin + ((width - 2 * margin) * l) / (degrees.length - 1);
  const y = (l, u) => {
    const gap = Math.min((height - 34) / degrees[l].length, 62);
    return 28 + (height - 34) / 2 + (u - (degrees[l].length - 1) / 2) * gap;
  };
  const links = svg("g", {});
  direct?.forEach((row, to) => row.forEach((open, from) => {
    if (!open) return;
    const [x0, x1, y0, y1] = [x(0) + RADIUS, x(degrees.length - 1) - RADIUS, y(0, from), y(degrees.length - 1, to)];
    const bend = (x1 - x0) * 0.3;
    links.append(svg("path", {
      class: "link direct", "data-link": `direct:${to}:${from}`,
      d: `M${x0} ${y0} C${x0 + bend} ${y0} ${x1 - bend} ${y1} ${x1} ${y1}`,
    }));
  }));
  layers.forEach((mask, l) => mask.forEach((row, to) => row.forEach((open, from) => {
    if (!open) return;
    links.append(svg("line", {
      class: "link", "data-link": `${l}:${to}:${from}`,
      x1: x(l) + RADIUS, y1: y(l, from), x2: x(l + 1) - RADIUS, y2: y(l + 1, to),
    }));
  })));
  const units = degrees.flatMap((layer, l) => layer.map((fromOne, u) => {
    const degree = fromOne - 1 + start;
    const outer = l === 0 ? -1 : l === degrees.length - 1 ? 1 : 0;
    const kind = l === 0 ? "input" : outer ? "output" : "hidden unit";
    const label = outer ? `${kind} ${name(u)}, degree ${degree}` : `${kind} ${u + start}, degree ${degree}`;
    return svg("g", {
      class: `unit${bypassed && !outer ? " bypassed" : ""}`, "data-unit": `${l}:${u}`, role: "button", tabindex: "-1",
      "aria-label": label, "aria-pressed": "false", transform: `translate(${x(l)} ${y(l, u)})`,
      onpointerenter: (event) => event.pointerType === "mouse" && point(l, u, "hover"),
      onpointerleave: (event) => event.pointerType === "mouse" && point(null, null, "leave"),
      onclick: () => point(l, u, "select"),
      onfocus: () => point(l, u, "select"),
    },
    svg("circle", { r: RADIUS }),
    svg("text", { class: "degree", "text-anchor": "middle", dy: ".35em" }, String(degree)),
    outer ? svg("text", { class: "variable", "text-anchor": outer < 0 ? "end" : "start", x: outer * (RADIUS + 7), dy: ".35em" }, name(u)) : null);
  }));
  const heads = degrees.map((_, l) => svg("text", { class: "head", x: x(l), y: 13, "text-anchor": "middle" },
    l === 0 ? "inputs" : l === degrees.length - 1 ? "outputs" : bypassed ? "bypassed" : degrees.length > 3 ? `hidden ${l}` : "hidden"));
  return svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "network; arrow keys move between units" },
    ...heads, links, ...units);
}

const CELLS = { sees: "sees", leaks: "sees, but must not", missing: "should see, but does not", none: "does not see" };
const sign = (kind) => h("span", { class: "sign", "aria-hidden": "true" }, kind === "leaks" ? "✕" : ""); // the others are drawn

function drawMatrix(order, seen, name, point) {
  const step = (d) => order.indexOf(d);
  const cell = (d, i) => {
    const allowed = step(i) < step(d);
    const kind = seen[d][i] ? (allowed ? "sees" : "leaks") : allowed ? "missing" : "none";
    return h("td", { class: kind }, sign(kind), h("span", { class: "hidden" }, CELLS[kind]));
  };
  return h("table", { class: "matrix" },
    h("caption", {}, "Who sees whom"),
    h("thead", {}, h("tr", {}, h("td", { class: "corner" }, "sees →"), range(order.length).map((i) => h("th", { scope: "col" }, name(i))))),
    h("tbody", {}, range(order.length).map((d) => h("tr", {
      "data-row": d,
      onpointerenter: (event) => event.pointerType === "mouse" && point(seen.last, d, "hover"),
      onpointerleave: (event) => event.pointerType === "mouse" && point(null, null, "leave"),
      onclick: () => point(seen.last, d, "select"),
    }, h("th", { scope: "row" }, name(d)), range(order.length).map((i) => cell(d, i))))));
}

// Chips in the order of generation; drag one, or move it by the arrow keys.
function orderChips(name, reorder) {
  const box = h("div", { class: "chips", role: "group", "aria-label": "order of generation, first to last" });
  let order = [];
  let dragged = null;
  const move = (d, to, focus) => {
    const next = order.filter((v) => v !== d);
    next.splice(clamp(to, 0, order.length - 1), 0, d);
    if (next.every((v, t) => v === order[t])) return;
    reorder(next);
    if (focus) box.querySelector(`[data-variable="${d}"]`).focus();
  };
  box.addEventListener("pointerdown", (event) => {
    const chip = event.target.closest("[data-variable]");
    if (!chip) return;
    dragged = Number(chip.dataset.variable);
    box.setPointerCapture(event.pointerId);
  });
  box.addEventListener("pointermove", (event) => {
    if (dragged === null) return;
    const over = [...box.children].findIndex((chip) => {
      const r = chip.getBoundingClientRect();
      return event.clientX >= r.left && event.clientX <= r.right && event.clientY >= r.top && event.clientY <= r.bottom;
    });
    if (over >= 0) move(dragged, over, false);
  });
  for (const type of ["pointerup", "pointercancel"]) box.addEventListener(type, () => { dragged = null; });
  box.addEventListener("keydown", (event) => {
    const d = Number(event.target.dataset?.variable);
    const way = ARROWS[event.key];
    if (!way || Number.isNaN(d)) return;
    event.preventDefault();
    move(d, order.indexOf(d) + way[0] + way[1], true);
  });
  const draw = (next) => {
    order = next;
    box.replaceChildren(...order.map((d, t) => h("button", {
      type: "button", class: "chip", "data-variable": d, "aria-label": `${name(d)}, step ${t + 1} of ${order.length}; arrow keys move it`,
    }, name(d))));
  };
  return { box, draw };
}

export default {
  render({ model, el }) {
    const { title, settings: given } = model.get("data");
    const { body, stop } = frame(el, title);
    const settings = structuredClone(given);
    const second = settings.hidden[1] ?? 6;
    const drawing = h("div", { class: "network" });
    const matrix = h("div", {});
    const sentence = h("p", { class: "sentence", "aria-live": "polite" });
    const summary = h("p", { class: "verdict", role: "status" });
    let net, order, seen, picked, width = 0;

    // Light up the paths of one unit.
    const light = ({ layer, unit }) => {
      const last = net.layers.length;
      const { units, links } = pathsOf(net, layer, unit);
      const step = (d) => order.indexOf(d);
      const bad = new Set();
      const badLinks = new Set();
      if (layer === last) {
        for (const d of range(order.length)) {
          if (!seen[unit][d] || step(d) < step(unit)) continue;
          const from = pathsOf(net, 0, d);
          from.units.forEach((u) => units.has(u) && bad.add(u));
          from.links.forEach((l) => links.has(l) && badLinks.add(l));
        }
      }
      for (const node of drawing.querySelectorAll("[data-link]")) {
        node.classList.toggle("on", links.has(node.dataset.link));
        node.classList.toggle("bad", badLinks.has(node.dataset.link));
      }
      for (const node of drawing.querySelectorAll("[data-unit]")) {
        const here = node.dataset.unit === `${layer}:${unit}`;
        node.classList.toggle("on", units.has(node.dataset.unit));
        node.classList.toggle("bad", bad.has(node.dataset.unit) && node.dataset.unit.startsWith("0:"));
        node.classList.toggle("here", here);
        node.setAttribute("aria-pressed", String(here));
        node.setAttribute("tabindex", node.dataset.unit === `${picked.layer}:${picked.unit}` ? "0" : "-1");
      }
      for (const row of matrix.querySelectorAll("[data-row]")) {
        row.classList.toggle("here", layer === last && Number(row.dataset.row) === unit);
      }
      sentence.textContent = describe(net, order, seen, layer, unit);
    };

    const point = (layer, unit, how) => {
      if (how === "select") picked = { layer, unit };
      light(how === "leave" ? picked : { layer, unit });
    };

    const draw = () => {
      net = { ...masksOf(settings), start: settings.start };
      order = orderOf(settings);
      seen = dependenciesOf(net);
      seen.last = net.layers.length;
      if (!picked || picked.layer !== seen.last || picked.unit >= settings.D) {
        picked = { layer: seen.last, unit: order.find((d, t) => range(settings.D).some((i) => seen[d][i] !== order.slice(0, t).includes(i)))
          ?? order[Math.min(3, settings.D - 1)] }; // a faulty output if there is one
      }
      drawing.replaceChildren(drawNetwork(net, width, point));
      matrix.replaceChildren(drawMatrix(order, seen, naming(settings.start), point));
      const { good, text } = verdict(order, seen);
      summary.replaceChildren(h("span", { class: good ? "good" : "bad", "aria-hidden": "true" }, good ? "✓ " : "✕ "), text);
      light(picked);
      chips.draw(order);
      for (const [key, input] of Object.entries(controls)) {
        if (input.type === "checkbox") input.checked = settings[key];
        else if (key in settings) input.value = Array.isArray(settings[key]) ? "own" : settings[key];
      }
      sizes.D.show(settings.D);
      sizes.first.show(settings.hidden[0]);
      sizes.second.show(settings.hidden[1] ?? second);
      sizes.second.node.hidden = settings.hidden.length === 1;
      controls.layers.value = settings.hidden.length;
      controls.seed.disabled = settings.order !== "random" && settings.degrees !== "random";
      report(model, { ...settings, order: [...order], dependencies: seen.map((row) => row.map(Number)) });
    };

    const change = (update) => {
      update();
      draw();
    };
    const chips = orderChips(naming(settings.start), (next) => change(() => { settings.order = next; }));
    const size = (label, min, max, set) => slider(label, { min, max }, String, (n) => change(() => set(n)));
    const sizes = {
      D: size("Inputs", 2, 8, (D) => {
        settings.D = D;
        if (Array.isArray(settings.order)) settings.order = "natural";
      }),
      first: size("Units", 1, 12, (n) => { settings.hidden[0] = n; }),
      second: size("Units, layer 2", 1, 12, (n) => { settings.hidden[1] = n; }),
    };
    const choice = (options, set) => h("select", { onchange: (e) => change(() => set(e.target.value)) },
      Object.entries(options).map(([value, text]) => h("option", { value }, text)));
    const controls = {
      layers: choice({ 1: "one", 2: "two" }, (n) => {
        settings.hidden = n === "1" ? [settings.hidden[0]] : [settings.hidden[0], Number(sizes.second.input.value)];
      }),
      order: choice({ natural: "natural", reversed: "reversed", random: "random", own: "your own" }, (o) => {
        settings.order = o === "own" ? [...order] : o;
      }),
      degrees: choice({ even: "evenly spaced", random: "random", sequential: "1, 2, …, repeated" }, (d) => { settings.degrees = d; }),
      masks: choice({ made: "MADE", inclusive: "≥ at the output", article: "the article’s mask" }, (m) => { settings.masks = m; }),
      direct: h("input", { type: "checkbox", onchange: (e) => change(() => { settings.direct = e.target.checked; }) }),
      seed: h("input", { type: "number", min: 0, max: 9999, oninput: (e) => change(() => {
        settings.seed = clamp(Math.floor(Number(e.target.value) || 0), 0, 9999);
      }) }),
    };
    const key = (kind) => h("li", { class: kind }, sign(kind), CELLS[kind]);
    body.append(
      h("div", { class: "controls" },
        labelled("Masks", controls.masks), labelled("Order", controls.order), labelled("Degrees", controls.degrees),
        sizes.D.node, labelled("Hidden layers", controls.layers),
        sizes.first.node, sizes.second.node,
        labelled("Direct connections", controls.direct), labelled("Seed", controls.seed)),
      h("div", { class: "order" }, h("span", { class: "label" }, "Generated first to last"), chips.box),
      summary,
      h("div", { class: "panels" }, drawing, sentence,
        h("div", { class: "side" }, matrix, h("ul", { class: "keys" }, ["sees", "leaks", "missing"].map(key)))),
    );

    // Arrow keys walk from unit to unit; the number of a unit's neighbour is kept in proportion between layers.
    drawing.addEventListener("keydown", (event) => {
      const way = ARROWS[event.key];
      const [layer, unit] = event.target.dataset?.unit?.split(":").map(Number) ?? [];
      if (!way || unit === undefined) return;
      event.preventDefault();
      const to = clamp(layer + way[0], 0, net.layers.length);
      const [from, units] = [net.degrees[layer].length, net.degrees[to].length];
      const near = to === layer ? unit + way[1] : Math.round(((unit + 0.5) * units) / from - 0.5);
      drawing.querySelector(`[data-unit="${to}:${clamp(near, 0, units - 1)}"]`).focus();
    });

    const resized = new ResizeObserver(([entry]) => {
      const now = Math.round(Math.min(entry.contentRect.width, 620));
      if (now === width || now < 100) return;
      width = now;
      draw();
    });
    resized.observe(drawing);
    return () => {
      resized.disconnect();
      stop();
    };
  },
};

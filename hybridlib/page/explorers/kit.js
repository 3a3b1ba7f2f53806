// What all explorers share: element makers, the frame, the watch on the page's colours, random numbers, weights.
// widgets.py puts this file, and a line `const CSS = "..."`, in front of each explorer, so that every explorer is one ES module.

const SVG = "http://www.w3.org/2000/svg";

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "html") node.innerHTML = value; // only strings that widgets.markup has cleaned
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

function h(tag, attributes, ...children) {
  return build(document.createElement(tag), attributes, children);
}

function svg(tag, attributes, ...children) {
  return build(document.createElementNS(SVG, tag), attributes, children);
}

// The page decides the colours: light letters mean a dark page, in every front end and theme.
function watchColours(host) {
  const update = () => {
    const { color } = getComputedStyle(host); // rgb(0..255), or color(srgb 0..1) where the page mixes colours
    const [r, g, b] = color.match(/[\d.]+/g).map((v) => v * (color.startsWith("color(") ? 255 : 1));
    const dark = 0.299 * r + 0.587 * g + 0.114 * b > 140;
    host.toggleAttribute("dark", dark);
    let behind = host; // the colour behind the explorer, for what must cover a line
    while (behind && /, 0\)$|transparent/.test(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
    host.style.setProperty("--page", behind ? getComputedStyle(behind).backgroundColor : dark ? "#1e1e1e" : "#fff");
  };
  const observer = new MutationObserver(update);
  for (const node of [document.documentElement, document.body]) observer.observe(node, { attributes: true });
  const media = matchMedia("(prefers-color-scheme: dark)");
  media.addEventListener("change", update);
  update();
  return () => {
    observer.disconnect();
    media.removeEventListener("change", update);
  };
}

// The frame lives in a shadow root: no style of the page leaks in, none leaks out, and ids are local.
function frame(el, label) {
  const host = h("div", { class: "hybridlib-explorer" });
  el.append(host);
  const body = h("section", { class: "explorer", "aria-label": label });
  host.attachShadow({ mode: "open" }).append(h("style", {}, CSS), body);
  return { body, stop: watchColours(host) };
}

const range = (n, start = 0) => Array.from({ length: n }, (_, i) => i + start);

function list(words) {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;
}

// A small generator that any language can repeat: seed -> function that returns numbers in [0, 1).
function generator(seed) {
  let state = Math.imul(seed + 1, 2654435761) >>> 0;
  return () => {
    state = (Math.imul(1664525, state) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

// One number from the standard normal distribution, from two uniform ones.
const gaussian = (random) => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

const LOG_ROOT = 0.5 * Math.log(2 * Math.PI);

// Distribution function of the standard normal: a series near zero, a continued fraction in the tails.
function normalCdf(x) {
  const a = Math.abs(x);
  if (a > 38) return x > 0 ? 1 : 0;
  const phi = Math.exp(-0.5 * a * a - LOG_ROOT);
  let tail;
  if (a < 4) {
    let [term, total] = [a, a];
    for (let n = 3; term > 1e-17 * total; n += 2) total += term *= (a * a) / n;
    tail = 0.5 - phi * total;
  } else {
    let fraction = a;
    for (let n = 60; n > 0; n--) fraction = a + n / fraction;
    tail = phi / fraction;
  }
  return x > 0 ? 1 - tail : tail;
}

// What widgets.py has packed: a vector of float32, or a matrix of integers with one float32 step a row -> its rows.
function unpack({ shape, bits, values, steps }) {
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
  if (shape.length === 1) return new Float32Array(bytes(values));
  const integers = new (bits === 8 ? Int8Array : Int16Array)(bytes(values));
  const n = shape[shape.length - 1];
  return Array.from(new Float32Array(bytes(steps)), (step, row) =>
    Float32Array.from(integers.subarray(row * n, (row + 1) * n), (integer) => integer * step));
}

// x -> W x + b, as torch.nn.Linear: `rows` are the rows of W.
function linear(rows, bias, x) {
  return Float64Array.from(rows, (row, i) => {
    let total = bias[i];
    for (let j = 0; j < row.length; j++) total += row[j] * x[j];
    return total;
  });
}

function logSoftmax(values) {
  const top = Math.max(...values);
  const log = top + Math.log(values.reduce((total, v) => total + Math.exp(v - top), 0));
  return Array.from(values, (v) => v - log);
}

// x -> normalized x * weight + bias, as torch.nn.LayerNorm.
function layerNorm(weight, bias, x) {
  const mean = x.reduce((a, b) => a + b, 0) / x.length;
  const scale = 1 / Math.sqrt(x.reduce((total, v) => total + (v - mean) ** 2, 0) / x.length + 1e-5);
  return x.map((v, i) => (v - mean) * scale * weight[i] + bias[i]);
}

// A number in text: a real minus sign, and no minus before zero.
function number(v, digits = 2) {
  const text = v.toFixed(digits);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

// For plots: pairs of places as the points of a line, an axis, lettering.
const pointList = (pairs) => pairs.map(([x, y]) => `${x.toFixed(2)},${y.toFixed(2)}`).join(" ");
const axis = (x1, y1, x2, y2) => svg("line", { class: "axis", x1, y1, x2, y2 });
const lettering = (text, x, y, anchor = "middle") => svg("text", { class: "head", x, y, "text-anchor": anchor }, text);

// A slider with its name before it and its number behind it: `set` is called with a new value, `show` writes one.
function slider(name, [min, max], step, digits, set) {
  const output = h("output", {});
  const input = h("input", { type: "range", min, max, step, oninput: () => set(Number(input.value)) });
  const show = (v) => {
    input.value = v;
    output.textContent = number(v, digits);
    input.setAttribute("aria-valuetext", number(v, digits));
  };
  return { node: h("label", {}, h("span", {}, name), h("span", { class: "control" }, input, output)), show };
}

// For molecules: the lines of a bond, one a unit of its order, and the viewBox around atoms, no smaller than `least`.
function bondLines([xs, ys], i, j, order, kind) {
  const [dx, dy] = [xs[j] - xs[i], ys[j] - ys[i]];
  return range(order).map((k) => {
    const shift = ((k - (order - 1) / 2) * 7) / (Math.hypot(dx, dy) || 1);
    return svg("line", {
      class: `bond ${kind}`, x1: (xs[i] - dy * shift).toFixed(1), y1: (ys[i] + dx * shift).toFixed(1),
      x2: (xs[j] - dy * shift).toFixed(1), y2: (ys[j] + dx * shift).toFixed(1),
    });
  });
}

function viewBox([xs, ys], margin, least) {
  const [[left, width], [top, height]] = [xs, ys].map((v, k) => {
    const [low, high] = [Math.min(...v) - margin, Math.max(...v) + margin];
    const size = Math.max(high - low, least[k]);
    return [(low + high - size) / 2, size];
  });
  return [left, top, width, height].map((v) => v.toFixed(1)).join(" ");
}

// A row of a table of numbers; its cell is kept in `cells` under `key`.
function numberRow(cells, key, name, note) {
  cells[key] = h("td", {});
  return h("tr", { class: key }, h("th", { scope: "row" }, h("span", { class: "term" }, name), note && h("span", { class: "note" }, ` ${note}`)), cells[key]);
}

// Bonds on the shortest way between every two atoms of a matrix of bond orders, Infinity where there is none.
function bondDistances(bonds) {
  const far = bonds.map((row, i) => row.map((order, j) => (i === j ? 0 : order ? 1 : Infinity)));
  for (const k of range(far.length)) for (const row of far) far[k].forEach((d, j) => { row[j] = Math.min(row[j], row[k] + d); });
  return far;
}

// The smallest ring through each bond, its atoms in order; bonds that close no ring give none.
function rings(bonds) {
  return bonds.flatMap((row, i) => row.flatMap((order, j) => {
    if (!order || j > i) return [];
    const far = bondDistances(bonds.map((r, a) => r.map((v, b) => ((a === i && b === j) || (a === j && b === i) ? 0 : v))));
    if (far[i][j] === Infinity) return [];
    const ring = [j];
    while (ring[0] !== i) ring.unshift(range(bonds.length).find((k) => bonds[ring[0]][k] && far[i][k] === far[i][ring[0]] - 1 && far[i][k] + far[k][j] === far[i][j]));
    return [ring];
  }));
}

const BOND = 60; // length of a bond in drawings, as widgets._places has it

// How far apart atoms would like to be drawn: as corners of a regular ring, else as along a zigzag.
function wishes(bonds) {
  const wish = bondDistances(bonds).map((row) => row.map((d) => BOND * Math.hypot(Math.sqrt(0.75) * d, d % 2 ? 0.5 : 0)));
  for (const ring of rings(bonds)) {
    const n = ring.length;
    ring.forEach((a, s) => ring.forEach((b, t) => {
      wish[a][b] = Math.min(wish[a][b], (BOND * Math.sin((Math.PI * Math.abs(s - t)) / n)) / Math.sin(Math.PI / n));
    }));
  }
  return wish;
}

// Squared misfit of atom i to its wishes against the atoms `others`, far ones counting less.
const misfit = (place, i, others, places, wish) => others.reduce((total, j) =>
  total + (Math.hypot(place[0] - places[j][0], place[1] - places[j][1]) / wish[i][j] - 1) ** 2, 0);

// The best of 24 places, a bond away from atom `near`, for atom i.
function seat(i, near, others, places, wish) {
  const around = range(24).map((k) => (2 * Math.PI * (k + 0.3)) / 24)
    .map((angle) => [places[near][0] + BOND * Math.cos(angle), places[near][1] + BOND * Math.sin(angle)]);
  const costs = around.map((place) => misfit(place, i, others, places, wish));
  return around[costs.indexOf(Math.min(...costs))];
}

// Stress majorization (Gansner et al., 2004), atom after atom: each moves to where its wishes, on average, put it.
function settle(places, placed, wish, rounds) {
  for (const i of range(rounds).flatMap(() => placed)) {
    const [sum, others] = [[0, 0], placed.filter((j) => j !== i)];
    for (const j of others) {
      const away = [places[i][0] - places[j][0], places[i][1] - places[j][1]];
      const pull = wish[i][j] / (Math.hypot(...away) || 1);
      for (const k of [0, 1]) sum[k] += (places[j][k] + pull * away[k]) / wish[i][j] ** 2;
    }
    const weights = others.reduce((total, j) => total + wish[i][j] ** -2, 0);
    if (weights) places[i] = sum.map((v) => v / weights);
  }
}

// Turned so that the longest extent lies flat.
function flat(places) {
  const [x, y] = [0, 1].map((k) => places.reduce((total, place) => total + place[k], 0) / places.length);
  const moment = (f) => places.reduce((total, place) => total + f(place[0] - x, place[1] - y), 0);
  const angle = Math.atan2(moment((a, b) => 2 * a * b), moment((a, b) => a * a - b * b)) / 2;
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  return places.map((place) => [c * place[0] + s * place[1], c * place[1] - s * place[0]]);
}

// Places [x, y] for the atoms of a connected molecule, from its matrix of bond orders. Where `before` has places (of
// some atoms), the layout starts there and stays as near as the new bonds let it. The same input gives the same layout.
function layout(bonds, before = []) {
  const wish = wishes(bonds);
  const places = bonds.map((_, i) => (before[i] ? [...before[i]] : null));
  if (places.length && !places.some(Boolean)) places[0] = [0, 0];
  const placed = range(places.length).filter((i) => places[i]);
  for (const near of placed) { // `placed` grows while it is read: breadth-first
    for (const i of range(places.length).filter((k) => bonds[near][k] && !places[k])) {
      places[i] = seat(i, near, placed, places, wish);
      placed.push(i);
      settle(places, placed, wish, 20);
    }
  }
  settle(places, placed, wish, 100);
  return before.length ? places : flat(places);
}

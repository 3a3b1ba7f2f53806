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

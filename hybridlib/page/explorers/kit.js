// What all explorers share: makers of elements, the frame, the watch on the page's colours, controls, parts of plots.
// Each explorer is one ES module in a page: explorer.module_source puts what it imports, and `const STYLES`, in front.

const SVG = "http://www.w3.org/2000/svg";

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "html") node.innerHTML = value; // only strings that explorer.markup has cleaned
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

export function h(tag, attributes, ...children) {
  return build(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes, ...children) {
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
export function frame(el, title) {
  const host = h("div", { class: "hybridlib-explorer" });
  el.append(host);
  const body = h("section", { class: "explorer", "aria-label": title }, h("p", { class: "title" }, title));
  host.attachShadow({ mode: "open" }).append(h("style", {}, STYLES), body);
  return { body, stop: watchColours(host) };
}

export const range = (n, start = 0) => Array.from({ length: n }, (_, i) => i + start);

export function list(words) {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;
}

// Within low..high.
export const clamp = (v, low, high) => Math.max(low, Math.min(high, v));

// A control with its name before it; read aloud it has the name alone, without what stands behind it.
export function labelled(name, control, ...rest) {
  control.setAttribute("aria-label", name);
  return h("label", {}, h("span", {}, name), h("span", { class: "control" }, control, ...rest));
}

// A slider with its value behind it: `set` is called with a new value, `show` shows one, in the words of `write`.
export function slider(name, { min, max, step = 1 }, write, set) {
  const output = h("output", {});
  const input = h("input", { type: "range", min, max, step, oninput: () => set(Number(input.value)) });
  const show = (v) => {
    input.value = v;
    output.textContent = write(v);
    input.setAttribute("aria-valuetext", write(v));
  };
  return { node: labelled(name, input, output), input, output, show };
}

export const button = (text, press) => h("button", { type: "button", onclick: press }, text);

export const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }; // right, down

// `follow` is called with the events of a pointer from where it is pressed on a node to where it is let go.
export function drag(node, follow) {
  node.addEventListener("pointerdown", (event) => {
    node.setPointerCapture(event.pointerId);
    follow(event);
  });
  node.addEventListener("pointermove", (event) => { if (node.hasPointerCapture(event.pointerId)) follow(event); });
}

// What the reader has chosen, told to Python where a kernel is live.
export function report(model, state) {
  model.set("state", state);
  model.save_changes();
}

// A number in text: a real minus sign, and no minus before zero.
export function number(v, digits = 2) {
  const text = v.toFixed(digits);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

// Lettering in a drawing.
export const lettering = (text, x, y, anchor = "middle") => svg("text", { class: "head", x, y, "text-anchor": anchor }, text);

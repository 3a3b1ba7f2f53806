// What all explorers share: element makers, the frame with its style sheet, and the watch on the page's colours.
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

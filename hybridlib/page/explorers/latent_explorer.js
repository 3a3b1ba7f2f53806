// A latent space of two dimensions: move z, see the picture that the decoder makes of it.

import { ARROWS, button, clamp, drag, frame, h, lettering, number, range, report, svg } from "./kit.js";
import { gaussian, generator } from "./chance.js";
import { layersOf } from "./network.js";

const ACTIVATIONS = {
  ReLU: (x) => Math.max(0, x),
  Tanh: Math.tanh,
  SiLU: (x) => x / (1 + Math.exp(-x)),
  Softplus: (x) => (x > 20 ? x : Math.log1p(Math.exp(x))), // as in torch
};

// z -> the probabilities of the pixels.
function decoder({ layers, activation, weights }) {
  const { apply } = layersOf(weights);
  return (z) => {
    const logits = range(layers).reduce((x, l) => {
      const y = apply(2 * l, x);
      return l < layers - 1 ? y.map(ACTIVATIONS[activation]) : y;
    }, z);
    return Array.from(logits, (v) => 1 / (1 + Math.exp(-v)));
  };
}

export const rules = { network: decoder };

const SIZE = 300; // of the map, in its own units
const MARGIN = 18;
const TOP = 14; // empty, cut off
const SECONDS = 4; // that a walk takes
const STEPS = 8; // of a walk where the reader wants no motion

export default {
  render({ model, el }) {
    const data = model.get("data");
    const { title, shape, reach, points, labels, kinds } = data;
    const { body, stop } = frame(el, title);
    const decode = decoder(data);
    const random = generator(0);
    const [height, width] = shape;
    let z = [...data.start];
    let walk = null; // from, to, how far, and the next frame's number

    const within = (v) => clamp(v, -reach, reach);
    const place = ([a, b]) => [SIZE / 2 + (a / reach) * (SIZE / 2 - MARGIN), SIZE / 2 - (b / reach) * (SIZE / 2 - MARGIN)];
    const radius = (r) => (r / reach) * (SIZE / 2 - MARGIN);
    const prior = () => [within(gaussian(random)), within(gaussian(random))];

    // The map.
    const [left, bottom] = place([-reach, -reach]);
    const box = { x: left, y: SIZE - bottom, width: bottom - left, height: bottom - left };
    const rings = range(2, 1).filter((r) => r <= reach).map((r) => svg("circle", { class: "ring", cx: SIZE / 2, cy: SIZE / 2, r: radius(r) }));
    const inside = points.map((point, i) => [point, labels[i]]).filter(([point]) => point.every((v) => Math.abs(v) <= reach));
    const codes = inside.map(([point, kind]) => {
      const [x, y] = place(point);
      return kind === undefined ? svg("circle", { class: "code", cx: x, cy: y, r: 1.8 })
        : svg("text", { class: `code kind${kind}`, x, y, dy: ".35em", "text-anchor": "middle" }, kinds[kind]);
    });
    const path = svg("line", { class: "path" });
    const cursor = svg("g", { class: "cursor" }, svg("circle", { class: "halo", r: 10 }), svg("circle", { r: 7.5 }), svg("circle", { class: "centre", r: 1.5 }));
    const map = svg("svg", {
      class: "latent", viewBox: `0 ${TOP} ${SIZE} ${SIZE - TOP}`, role: "slider", tabindex: "0",
      "aria-label": "latent point z; arrow keys move it, with Shift in bigger steps", "aria-valuemin": -reach, "aria-valuemax": reach,
    },
    svg("rect", { class: "edge", ...box }), ...codes, ...rings, path, cursor,
    lettering(`−${reach}`, left, SIZE - 4), lettering("z₁", SIZE / 2, SIZE - 4), lettering(reach, bottom, SIZE - 4), lettering("z₂", 8, SIZE / 2));

    // The picture.
    const canvas = h("canvas", { class: "decoded", width, height, role: "img" });
    const pen = canvas.getContext("2d");
    const image = pen.createImageData(width, height);
    const where = h("p", { class: "where" });
    const words = h("p", { class: "hidden", "aria-live": "polite" });

    const draw = () => {
      const p = decode(z);
      p.forEach((v, i) => image.data.set([255 * v, 255 * v, 255 * v, 255], 4 * i));
      pen.putImageData(image, 0, 0);
      const [x, y] = place(z);
      cursor.setAttribute("transform", `translate(${x} ${y})`);
      path.toggleAttribute("hidden", !walk);
      if (walk) [["x1", "y1"], ["x2", "y2"]].forEach((names, i) => place([walk.from, walk.to][i]).forEach((v, j) => path.setAttribute(names[j], v)));
      const said = `z₁ = ${number(z[0])}, z₂ = ${number(z[1])}`;
      where.textContent = said;
      map.setAttribute("aria-valuenow", z[0].toFixed(2));
      map.setAttribute("aria-valuetext", said);
      const light = p.filter((v) => v > 0.5).length;
      canvas.setAttribute("aria-label", `decoded picture at ${said}: ${light} of ${p.length} pixels are rather white`);
      report(model, { z: [...z], probabilities: p, walking: Boolean(walk) });
    };
    const go = (next) => {
      halt();
      z = next.map(within);
      draw();
    };

    // A walk to a random point of the prior.
    const still = matchMedia("(prefers-reduced-motion: reduce)");
    const walker = button("", () => {
      if (walk && !still.matches) go(z);
      else {
        walk ??= { from: z, to: prior(), done: 0 };
        if (still.matches) advance(walk.done + 1 / STEPS);
        else walk.frame = requestAnimationFrame(tick);
      }
      rename();
    });
    const rename = () => { walker.textContent = still.matches ? "Walk, one step" : walk ? "Stop" : "Walk"; };
    const halt = () => {
      if (walk) cancelAnimationFrame(walk.frame);
      walk = null;
      rename();
    };
    const advance = (done) => {
      walk.done = Math.min(1, done);
      z = walk.from.map((v, i) => v + (walk.to[i] - v) * walk.done);
      if (walk.done > 1 - 1e-9) halt();
      draw();
    };
    const tick = (now) => {
      walk.last ??= now;
      const step = Math.min(100, now - walk.last) / (1000 * SECONDS);
      walk.last = now;
      walk.frame = requestAnimationFrame(tick);
      advance(walk.done + step);
    };
    still.addEventListener("change", halt);

    map.addEventListener("keydown", (event) => {
      const way = ARROWS[event.key];
      if (!way) return;
      event.preventDefault();
      const step = (event.shiftKey ? 10 : 1) * (reach / 60);
      go([z[0] + step * way[0], z[1] - step * way[1]]);
    });
    const follow = (event) => {
      const { left: x, bottom: y, width: size } = map.getBoundingClientRect();
      const at = [event.clientX - x, y - event.clientY].map((v) => ((v / size) * SIZE - SIZE / 2) / radius(1));
      go(at);
    };
    drag(map, follow);

    const key = [["", "Ring: radius 1 of the prior", "Rings: radius 1 and 2 of the prior"][rings.length]].filter(Boolean);
    if (points.length) key.push(`${kinds.length ? "characters" : "dots"}: codes of ${inside.length} examples`);
    if (inside.length < points.length) key.push(`${points.length - inside.length} more lie outside`);
    body.append(
      h("div", { class: "latents" },
        h("div", {}, map, h("p", { class: "note" }, key.length ? `${key.join("; ")}.` : "")),
        h("div", { class: "result" }, canvas, where, h("div", { class: "presets" },
          button("At random from the prior", () => {
            go(prior());
            words.textContent = `Drawn from the prior: ${where.textContent}.`;
          }), walker))),
      words,
    );
    rename();
    draw();
    return () => {
      halt();
      still.removeEventListener("change", halt);
      stop();
    };
  },
};

// Change of variables in one dimension: two sliders bend the map z = f(x), and the density p(x) with it; its area stays one.

import { clamp, drag, frame, h, labelled, lettering, number, range, report, slider, svg } from "./kit.js";
import { axis, numberRow, pointList } from "./plot.js";
import { logNormal } from "./chance.js";

const REACH = 5; // the picture shows -REACH..REACH of x
const HIGH = 4; // and -HIGH..HIGH of z
const HALF = 0.25; // half of the small interval around x
const FAR = 24; // |f(FAR)| > 13 at every setting of the sliders: what lies beyond has no area
const LIMITS = { scale: [0.6, 2], bend: [-0.9, 1.5], x: [-3, 3] };

// z = f(x) = scale (x + bend tanh x) rises everywhere, since bend > -1.
const forward = ({ scale, bend }, x) => scale * (x + bend * Math.tanh(x));
const slope = ({ scale, bend }, x) => scale * (1 + bend / Math.cosh(x) ** 2);
const normal = (z) => Math.exp(logNormal(z));
const density = (map, x, forget) => normal(forward(map, x)) * (forget ? 1 : slope(map, x));

// Simpson's rule with n (even) steps.
function integral(f, from, to, n) {
  const step = (to - from) / n;
  let total = f(from) + f(to);
  for (let i = 1; i < n; i++) total += (i % 2 ? 4 : 2) * f(from + i * step);
  return (total * step) / 3;
}

// x from z, by halving: f rises.
function inverse(map, z) {
  let [low, high] = [-1000, 1000];
  for (let i = 0; i < 80; i++) {
    const middle = (low + high) / 2;
    if (forward(map, middle) < z) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

// All numbers at one x; `forget` leaves the log-determinant out.
function changeAt(map, x, forget) {
  const z = forward(map, x);
  const logBase = logNormal(z);
  const logDet = Math.log(slope(map, x));
  return {
    z, logBase, logDet, logDensity: logBase + (forget ? 0 : logDet),
    above: integral(normal, forward(map, x - HALF), forward(map, x + HALF), 200),
    below: integral((v) => density(map, v, forget), x - HALF, x + HALF, 200),
    area: integral((v) => density(map, v, forget), -FAR, FAR, 4800),
  };
}

export const rules = { forward, slope, density, inverse, measure: changeAt };

// Places in the picture, in its own units.
const WIDTH = 360;
const LEFT = 84; // axis of the base density, left edge of the map
const RIGHT = 350;
const MAP = [22, 212]; // top and bottom
const LOWER = [236, 356];
const HEIGHT = 392;

export default {
  render({ model, el }) {
    const { title, start } = model.get("data");
    const { body, stop } = frame(el, title);
    const now = { ...start, forget: false };

    const change = (key, name) => slider(name, { min: LIMITS[key][0], max: LIMITS[key][1], step: 0.05 }, number, (v) => {
      now[key] = v;
      draw();
    });
    const sliders = { scale: change("scale", "scale a"), bend: change("bend", "bend b"), x: change("x", "point x") };
    const forget = h("input", { type: "checkbox", onchange: () => {
      now.forget = forget.checked;
      draw();
    } });

    // The picture.
    const X = (x) => LEFT + ((x + REACH) / (2 * REACH)) * (RIGHT - LEFT);
    const Z = (z) => MAP[1] - ((z + HIGH) / (2 * HIGH)) * (MAP[1] - MAP[0]);
    const B = (p) => LEFT - (p / 0.42) * 56;
    const between = (from, to, n) => range(n + 1).map((i) => from + (i * (to - from)) / n);
    const zs = between(-HIGH, HIGH, 120);
    const base = pointList(zs.map((z) => [B(normal(z)), Z(z)]));
    const parts = {
      baseGrey: svg("polygon", { class: "grey" }), grey: svg("polygon", { class: "grey" }), fill: svg("polygon", { class: "area" }),
      guide1: svg("polyline", { class: "guide" }), guide2: svg("polyline", { class: "guide" }),
      curve: svg("polyline", { class: "curve" }), dot: svg("circle", { class: "dot", r: 4.5 }),
      right: svg("polyline", { class: "curve faint" }), lower: svg("polyline", { class: "curve" }), top: lettering("", LEFT - 6, LOWER[0] + 4, "end"),
    };
    const picture = svg("svg", { class: "plot flowing", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" },
      ...[-4, -2, 0, 2, 4].flatMap((x) => [axis(X(x), MAP[1], X(x), MAP[1] + 4), axis(X(x), LOWER[1], X(x), LOWER[1] + 4), lettering(number(x, 0), X(x), LOWER[1] + 17)]),
      ...[-2, 0, 2].flatMap((z) => [axis(LEFT, Z(z), LEFT - 4, Z(z)), lettering(number(z, 0), 14, Z(z) + 4)]),
      axis(LEFT, LOWER[0], LEFT - 4, LOWER[0]), parts.top, lettering("0", LEFT - 6, LOWER[1] + 4, "end"),
      svg("polygon", { class: "area", points: `${LEFT},${Z(-HIGH)} ${base} ${LEFT},${Z(HIGH)}` }), parts.baseGrey,
      parts.fill, parts.grey, parts.guide1, parts.guide2,
      axis(LEFT, MAP[0], LEFT, MAP[1]), axis(LEFT, MAP[1], RIGHT, MAP[1]), axis(LEFT, LOWER[0], LEFT, LOWER[1]), axis(LEFT, LOWER[1], RIGHT, LOWER[1]),
      svg("polyline", { class: "curve", points: base }), parts.curve, parts.right, parts.lower, parts.dot,
      lettering("φ(z)", 50, MAP[0] - 8), lettering("z = f(x)", LEFT + 4, MAP[0] - 8, "start"), lettering("z", 14, MAP[0] - 8), lettering("x", (LEFT + RIGHT) / 2, HEIGHT - 4),
      lettering("p(x)", LEFT + 4, LOWER[0] - 8, "start"));
    const follow = (event) => {
      const box = picture.getBoundingClientRect();
      const place = ((event.clientX - box.left) / box.width) * WIDTH;
      const x = ((place - LEFT) / (RIGHT - LEFT)) * 2 * REACH - REACH;
      now.x = Math.round(20 * clamp(x, ...LIMITS.x)) / 20;
      draw();
    };
    drag(picture, follow);

    // The numbers.
    const cells = {};
    const row = (...args) => numberRow(cells, ...args);
    const table = h("table", { class: "sums" },
      h("caption", { class: "hidden" }, "Density at the point x, and areas"),
      h("tbody", {}, row("z", "z = f(x)"), row("logBase", "log φ(z)"), row("logDet", "+ log |dz/dx|"), row("logDensity", "= log p(x)"),
        row("above", "grey area", "under φ"), row("below", "grey area", "under p"), row("area", "whole area", "under p")));
    const verdict = h("p", { class: "verdict", "aria-live": "polite" });

    const draw = () => {
      const { scale, bend, x } = now;
      const found = changeAt(now, x, now.forget);
      for (const [key, { show }] of Object.entries(sliders)) show(now[key]);
      for (const [key, cell] of Object.entries(cells)) cell.textContent = number(found[key], 3);
      cells.logDet.textContent = now.forget ? "left out" : number(found.logDet, 3);

      const seen = [Math.max(-REACH, inverse(now, -HIGH)), Math.min(REACH, inverse(now, HIGH))];
      parts.curve.setAttribute("points", pointList(between(...seen, 160).map((v) => [X(v), Z(forward(now, v))])));
      const all = between(-REACH, REACH, 500);
      const most = Math.max(...all.map((v) => Math.max(density(now, v), density(now, v, now.forget))));
      const top = [0.5, 1, 2, 4].find((v) => v >= most);
      const Y = (p) => LOWER[1] - (p / top) * (LOWER[1] - LOWER[0]);
      const line = (values, wrong) => pointList(values.map((v) => [X(v), Y(density(now, v, wrong))]));
      const under = (values, wrong) => `${X(values[0])},${Y(0)} ${line(values, wrong)} ${X(values[values.length - 1])},${Y(0)}`;
      parts.top.textContent = String(top);
      parts.lower.setAttribute("points", line(all, now.forget));
      parts.right.setAttribute("points", now.forget ? line(all, false) : "");
      parts.fill.setAttribute("points", under(all, now.forget));
      parts.grey.setAttribute("points", under(between(x - HALF, x + HALF, 20), now.forget));
      const within = (z) => clamp(z, -HIGH, HIGH);
      const ends = [x - HALF, x + HALF];
      const strip = between(...ends.map((v) => within(forward(now, v))), 30);
      parts.baseGrey.setAttribute("points", `${LEFT},${Z(strip[0])} ${pointList(strip.map((z) => [B(normal(z)), Z(z)]))} ${LEFT},${Z(strip[30])}`);
      ends.forEach((v, i) => {
        const z = within(forward(now, v));
        const corners = [[X(v), LOWER[1]], [X(v), Z(z)], [LEFT, Z(z)]];
        parts[`guide${i + 1}`].setAttribute("points", pointList(Math.abs(forward(now, v)) <= HIGH ? corners : corners.slice(0, 2)));
      });
      parts.dot.setAttribute("cx", X(x));
      parts.dot.setAttribute("cy", Z(within(found.z)));
      parts.dot.toggleAttribute("hidden", Math.abs(found.z) > HIGH);
      for (const part of [parts.lower, parts.fill]) part.classList.toggle("bad", now.forget);
      for (const key of ["logDensity", "below", "area"]) cells[key].classList.toggle("bad", now.forget);

      const area = number(found.area, 3);
      const off = Math.abs(found.area - 1) > 5e-4;
      verdict.textContent = !now.forget
        ? `Area under p: ${area}. The grey areas are equal: ${number(found.above, 3)}.`
        : off ? `Without log |dz/dx| the area is ${area}: not a density.`
          : bend === 0 ? "Area 1.000, but only because dz/dx = 1 everywhere: nothing is stretched here."
            : "Area 1.000 by chance: the grey areas still differ, so this is the wrong density.";
      verdict.classList.toggle("wrong", now.forget && off);
      picture.setAttribute("aria-label", `Map from x to z with a = ${number(scale)}, b = ${number(bend)}; left the base density of z, below the density of x. At x = ${number(x)}, z = ${number(found.z)}.`);
      report(model, { ...now, ...found });
    };
    body.append(
      h("p", { class: "note advice" }, "z = f(x) = a (x + b tanh x), z is standard normal. Drag in the picture or use the sliders."),
      h("div", { class: "controls sliders" }, ...Object.values(sliders).map(({ node }) => node),
        labelled("forget the log-det term", forget)),
      h("div", { class: "plots" }, picture, h("div", {}, table, verdict)),
    );
    draw();
    return stop;
  },
};

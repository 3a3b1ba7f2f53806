// A flow of two variables, layer by layer: points, a grid and a patch move from the data to the noise, and log p(x) adds up.

import { ARROWS, button, clamp, drag, frame, h, labelled, lettering, number, range, report, slider, svg } from "./kit.js";
import { gaussian, generator, logNormal, sum } from "./chance.js";
import { layersOf } from "./network.js";
import { numberRow, pointList } from "./plot.js";

const BOUND = 7; // of a log-scale, as outputs.bounded has it

// Affine coupling layers: each lets one variable pass, which decides how the other is shifted and stretched.
function couplings({ passing, depth, weights }) {
  const { apply } = layersOf(weights);
  const theta = (layer, seen) => {
    const [shift, scale] = range(depth).reduce((x, i) => {
      const y = apply(`transforms.${layer}.network.${2 * i}`, x);
      return i < depth - 1 ? y.map((v) => Math.max(0, v)) : y;
    }, [seen]);
    return [shift, BOUND * Math.tanh(scale / BOUND)];
  };
  const pair = (kept, passes, moved) => (passes === 0 ? [kept, moved] : [moved, kept]);
  return passing.map((passes, layer) => ({
    forward(x) { // -> z and log |det dz/dx|
      const [shift, logScale] = theta(layer, x[passes]);
      return [pair(x[passes], passes, (x[1 - passes] - shift) * Math.exp(-logScale)), -logScale];
    },
    inverse(z) {
      const [shift, logScale] = theta(layer, z[passes]);
      return pair(z[passes], passes, shift + z[1 - passes] * Math.exp(logScale));
    },
  }));
}

// A point that lies at `place` once `after` layers have moved it: its places, from data to noise, and the log-determinants.
function journey(layers, place, after) {
  const places = [place];
  for (const layer of layers.slice(0, after).reverse()) places.unshift(layer.inverse(places[0]));
  const logDets = layers.map((layer, l) => {
    const [z, logDet] = layer.forward(places[l]);
    if (l >= after) places.push(z);
    return logDet;
  });
  const z = places[layers.length];
  const logBase = logNormal(z[0]) + logNormal(z[1]);
  return { places, logDets, logBase, logDensity: logBase + sum(logDets) };
}

export const rules = { network: (data, points, after) => points.map((point) => journey(couplings(data), point, after)) };

const SIZE = 300; // of the picture, in its own units
const MARGIN = 18;
const LINES = range(11).map((i) => i / 2 - 2.5); // of the grid, straight in the noise
const FINE = range(41).map((i) => i / 8 - 2.5);
const PATCH = 0.1; // half of its side, among the data
const THIRD = 0.43; // a third of the noise lies within, a third on either side
const SHAPES = ["M-2,-2h4v4h-4z", "M-2.3,0a2.3,2.3 0 1,0 4.6,0a2.3,2.3 0 1,0 -4.6,0z", "M0,-2.7l2.6,4.6h-5.2z"];

export default {
  render({ model, el }) {
    const data = model.get("data");
    const { title, reach, points } = data;
    const { body, stop } = frame(el, title);
    const layers = couplings(data);
    const L = layers.length;
    const random = generator(0);
    const now = { after: 0, x: [...data.start] };

    const scale = (SIZE / 2 - MARGIN) / reach;
    const place = ([a, b]) => [SIZE / 2 + a * scale, SIZE / 2 - b * scale];
    const line = (corners) => `M${pointList(corners.map(place)).replaceAll(" ", "L")}`;

    // What moves: where it is after each number of layers is computed once.
    const grid = LINES.flatMap((v) => [FINE.map((t) => [v, t]), FINE.map((t) => [t, v])])
      .map((corners) => ({ node: svg("path", { class: "wire" }), journeys: corners.map((z) => journey(layers, z, L)) }));
    const cloud = svg("g", {});
    let dots = [];
    const sow = (places, after) => {
      dots = places.map((point) => {
        const { places: path } = journey(layers, point, after);
        const third = (path[L][0] > -THIRD) + (path[L][0] > THIRD);
        return { path, node: svg("path", { class: `mote third${third}`, d: SHAPES[third] }) };
      });
      cloud.replaceChildren(...dots.map(({ node }) => node));
    };
    const fresh = () => points.map(() => [gaussian(random), gaussian(random)]);

    const [left, bottom] = place([-reach, -reach]);
    const side = bottom - left;
    const patch = svg("path", { class: "patch" });
    const cursor = svg("circle", { class: "dot", r: 3.5 });
    const inner = svg("svg", { x: left, y: left, width: side, height: side, viewBox: `${left} ${left} ${side} ${side}` },
      ...grid.map(({ node }) => node), cloud, patch, cursor);
    const names = [lettering("", SIZE / 2, SIZE - 2), lettering("", 8, SIZE / 2)];
    const picture = svg("svg", {
      class: "warp", viewBox: `0 0 ${SIZE} ${SIZE}`, role: "slider", tabindex: "0", "aria-valuemin": -reach, "aria-valuemax": reach,
      "aria-label": "a point; arrow keys move it, with Shift in bigger steps",
    },
    svg("rect", { class: "edge", x: left, y: left, width: side, height: side }), inner, ...names,
    lettering(`−${reach}`, left + 6, SIZE - 4), lettering(String(reach), bottom - 4, SIZE - 4));

    // The controls.
    const layer = slider("layers passed", { min: 0, max: L }, (v) => `${v} of ${L}`, (v) => {
      now.after = v;
      draw();
    });
    const kinds = h("select", { onchange: () => {
      sow(...(kinds.value === "data" ? [points, 0] : [fresh(), L]));
      draw();
    } }, h("option", { value: "data" }, `${points.length} data points`), h("option", { value: "noise" }, `${points.length} draws of noise`));
    const step = (by) => () => {
      now.after = clamp(now.after + by, 0, L);
      draw();
    };

    // The sum.
    const cells = {};
    const rows = range(L).map((l) => numberRow(cells, `layer${l}`, `+ layer ${l + 1}`, `moves ${data.passing[l] ? "first" : "second"}`));
    const table = h("table", { class: "sums" }, h("caption", { class: "hidden" }, "The log-density at the point, term by term"),
      h("tbody", {}, numberRow(cells, "logBase", "log φ(z)"), ...rows, numberRow(cells, "logDensity", "= log p(x)")));
    const verdict = h("p", { class: "verdict", "aria-live": "polite" });

    const draw = () => {
      const { after } = now;
      const found = journey(layers, now.x, 0);
      const here = found.places[after];
      const kind = after === L ? "z" : after ? "h" : "x";
      for (const { node, journeys } of grid) node.setAttribute("d", line(journeys.map(({ places }) => places[after])));
      for (const { node, path } of dots) {
        const [x, y] = place(path[after]);
        node.style.transform = `translate(${x.toFixed(2)}px, ${y.toFixed(2)}px)`;
      }
      const ways = range(5).map((i) => (i / 2 - 1) * PATCH);
      const rim = [...ways.map((t) => [t, -PATCH]), ...ways.map((t) => [PATCH, t]), ...ways.map((t) => [-t, PATCH]), ...ways.map((t) => [-PATCH, -t])];
      patch.setAttribute("d", `${line(rim.map(([a, b]) => journey(layers, [now.x[0] + a, now.x[1] + b], 0).places[after]))}Z`);
      const [cx, cy] = place(here);
      cursor.setAttribute("cx", cx);
      cursor.setAttribute("cy", cy);
      names[0].textContent = `${kind}₁`;
      names[1].textContent = `${kind}₂`;
      layer.show(after);
      cells.logBase.textContent = number(found.logBase);
      cells.logDensity.textContent = number(found.logDensity);
      found.logDets.forEach((v, l) => {
        cells[`layer${l}`].textContent = number(v);
        cells[`layer${l}`].parentNode.classList.toggle("passed", l < after);
      });
      const total = sum(found.logDets.slice(0, after));
      const said = `${kind}₁ = ${number(here[0])}, ${kind}₂ = ${number(here[1])}`;
      picture.setAttribute("aria-valuenow", here[0].toFixed(2));
      picture.setAttribute("aria-valuetext", said);
      verdict.textContent = `${after ? `${after} of ${L} layers passed` : "Among the data"}: ${said}. ` + (after
        ? `At the point, areas are ${number(Math.exp(total))} times what they were: the log-determinants so far sum to ${number(total)}.`
        : `The density there is ${number(Math.exp(found.logDensity), 3)}.`);
      report(model, { ...now, points: kinds.value, ...found });
    };
    const go = (to) => {
      now.x = journey(layers, to.map((v) => clamp(v, -reach, reach)), now.after).places[0];
      draw();
    };
    picture.addEventListener("keydown", (event) => {
      const way = ARROWS[event.key];
      if (!way) return;
      event.preventDefault();
      const far = (event.shiftKey ? 10 : 1) * (reach / 60);
      const [a, b] = journey(layers, now.x, 0).places[now.after];
      go([a + far * way[0], b - far * way[1]]);
    });
    drag(picture, (event) => {
      const { left: x, top: y, width } = picture.getBoundingClientRect();
      const [a, b] = [event.clientX - x, event.clientY - y].map((v) => ((v / width) * SIZE - SIZE / 2) / scale);
      go([a, -b]);
    });

    sow(points, 0);
    body.append(
      h("div", { class: "controls sliders" }, layer.node, labelled("points", kinds)),
      h("div", { class: "presets" }, button("Back one layer", step(-1)), button("On one layer", step(1))),
      h("div", { class: "plots" },
        h("div", {}, picture, h("p", { class: "note" }, "Colours and shapes: left, middle and right third of the noise. The grid is straight in the noise. Drag the point, or move it by arrow keys.")),
        h("div", {}, table, verdict)),
    );
    draw();
    return stop;
  },
};

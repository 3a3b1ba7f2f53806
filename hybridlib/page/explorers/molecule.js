// Molecules: their bonds as a matrix, where atoms are drawn, the lines of bonds.

import { range, svg } from "./kit.js";
import { sum } from "./chance.js";

// The matrix of bond orders of n atoms, from triples [i, j, order].
export function bondMatrix(n, bonds) {
  const rows = range(n).map(() => Array(n).fill(0));
  for (const [i, j, order] of bonds) rows[i][j] = rows[j][i] = order;
  return rows;
}

// The lines of a bond, one a unit of its order, between atoms at places xs, ys.
export function bondLines([xs, ys], i, j, order, kind) {
  const [dx, dy] = [xs[j] - xs[i], ys[j] - ys[i]];
  return range(order).map((k) => {
    const shift = ((k - (order - 1) / 2) * 7) / (Math.hypot(dx, dy) || 1);
    return svg("line", {
      class: `bond ${kind}`, x1: (xs[i] - dy * shift).toFixed(1), y1: (ys[i] + dx * shift).toFixed(1),
      x2: (xs[j] - dy * shift).toFixed(1), y2: (ys[j] + dx * shift).toFixed(1),
    });
  });
}

// The viewBox around atoms, no smaller than `least`.
export function viewBox([xs, ys], margin, least) {
  const [[left, width], [top, height]] = [xs, ys].map((v, k) => {
    const [low, high] = [Math.min(...v) - margin, Math.max(...v) + margin];
    const size = Math.max(high - low, least[k]);
    return [(low + high - size) / 2, size];
  });
  return [left, top, width, height].map((v) => v.toFixed(1)).join(" ");
}

// Bonds on the shortest way between every two atoms of a matrix of bond orders, Infinity where there is none.
export function bondDistances(bonds) {
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
export function wishes(bonds) {
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
const misfit = (place, i, others, places, wish) => sum(others.map((j) =>
  (Math.hypot(place[0] - places[j][0], place[1] - places[j][1]) / wish[i][j] - 1) ** 2));

// The best of 24 places, a bond away from atom `near`, for atom i.
export function seat(i, near, others, places, wish) {
  const around = range(24).map((k) => (2 * Math.PI * (k + 0.3)) / 24)
    .map((angle) => [places[near][0] + BOND * Math.cos(angle), places[near][1] + BOND * Math.sin(angle)]);
  const costs = around.map((place) => misfit(place, i, others, places, wish));
  return around[costs.indexOf(Math.min(...costs))];
}

// Stress majorization (Gansner et al., 2004), atom after atom: each moves to where its wishes, on average, put it.
function settle(places, placed, wish, rounds) {
  for (const i of range(rounds).flatMap(() => placed)) {
    const [pulled, others] = [[0, 0], placed.filter((j) => j !== i)];
    for (const j of others) {
      const away = [places[i][0] - places[j][0], places[i][1] - places[j][1]];
      const pull = wish[i][j] / (Math.hypot(...away) || 1);
      for (const k of [0, 1]) pulled[k] += (places[j][k] + pull * away[k]) / wish[i][j] ** 2;
    }
    const weight = sum(others.map((j) => wish[i][j] ** -2));
    if (weight) places[i] = pulled.map((v) => v / weight);
  }
}

// Turned so that the longest extent lies flat.
function flat(places) {
  const [x, y] = [0, 1].map((k) => sum(places.map((place) => place[k])) / places.length);
  const moment = (f) => sum(places.map((place) => f(place[0] - x, place[1] - y)));
  const angle = Math.atan2(moment((a, b) => 2 * a * b), moment((a, b) => a * a - b * b)) / 2;
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  return places.map((place) => [c * place[0] + s * place[1], c * place[1] - s * place[0]]);
}

// Places [x, y] for the atoms of a connected molecule, from its matrix of bond orders. Where `before` has places (of
// some atoms), the layout starts there and stays as near as the new bonds let it. The same input gives the same layout.
export function layout(bonds, before = []) {
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

// Plots, and the tables of numbers beside them.

import { h, svg } from "./kit.js";

// Pairs of places as the points of a line.
export const pointList = (pairs) => pairs.map(([x, y]) => `${x.toFixed(2)},${y.toFixed(2)}`).join(" ");

export const axis = (x1, y1, x2, y2) => svg("line", { class: "axis", x1, y1, x2, y2 });

// A row of a table of numbers; its cell is kept in `cells` under `key`.
export function numberRow(cells, key, name, note) {
  cells[key] = h("td", {});
  return h("tr", { class: key }, h("th", { scope: "row" }, h("span", { class: "term" }, name), note && h("span", { class: "note" }, ` ${note}`)), cells[key]);
}

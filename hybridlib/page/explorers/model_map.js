// Map of the models: boxes at fixed places, lines from parents to children, and a text for the box that is selected.

import { ARROWS, frame, h, report, svg } from "./kit.js";

const FAMILIES = { ar: "autoregressive", ae: "autoencoder", hybrid: "hybrid", flow: "flow", other: "other" };

export default {
  render({ model, el }) {
    const { title, nodes, edges } = model.get("data");
    const { body, stop } = frame(el, title);
    const byId = Object.fromEntries(nodes.map((node) => [node.id, node]));
    const onSite = "content_root" in document.documentElement.dataset; // chapters' pages can be linked on the site only
    const lines = svg("svg", { "aria-hidden": "true" });
    const map = h("div", { class: "map", role: "group", "aria-label": "models; arrow keys move between them" }, lines);
    const text = h("div", { class: "reading", "aria-live": "polite" });
    let chosen = (nodes.find((node) => node.family === "hybrid") ?? nodes[0]).id;

    const boxes = Object.fromEntries(nodes.map((node) => [node.id, h("button", {
      type: "button", class: `box ${node.family ?? "other"}`, style: `left: ${node.x}%; top: ${node.y}%`,
      onclick: () => choose(node.id), onfocus: () => choose(node.id),
      onpointerenter: (event) => event.pointerType === "mouse" && light(node.id),
      onpointerleave: (event) => event.pointerType === "mouse" && light(chosen),
    }, node.label)]));
    map.append(...Object.values(boxes));

    const light = (id) => {
      const near = new Set([id]);
      for (const { source, target } of edges) {
        if (source === id) near.add(target);
        if (target === id) near.add(source);
      }
      for (const [key, box] of Object.entries(boxes)) {
        box.classList.toggle("here", key === id);
        box.classList.toggle("far", !near.has(key));
      }
      for (const path of lines.querySelectorAll("path")) {
        path.classList.toggle("up", path.dataset.target === id);
        path.classList.toggle("down", path.dataset.source === id);
      }
    };

    const choose = (id) => {
      chosen = id;
      const node = byId[id];
      for (const [key, box] of Object.entries(boxes)) {
        box.setAttribute("aria-pressed", String(key === id));
        box.tabIndex = key === id ? 0 : -1;
      }
      const relation = (other, way, words) => h("li", {},
        h("button", { type: "button", class: "jump", onclick: () => boxes[other].focus() }, way, byId[other].label), " ", h("span", { html: words }));
      const parents = edges.filter((edge) => edge.target === id);
      const children = edges.filter((edge) => edge.source === id);
      const place = node.chapter ?? "its chapter";
      text.replaceChildren(
        h("p", { class: "name" }, node.label, h("span", { class: "note" }, ` ${FAMILIES[node.family ?? "other"]}`)),
        h("p", { html: node.text }),
        ...(parents.length ? [h("ul", {}, parents.map((edge) => relation(edge.source, "from ", edge.text)))] : []),
        ...(children.length ? [h("ul", {}, children.map((edge) => relation(edge.target, "to ", edge.text)))] : []),
        node.href && onSite ? h("p", {}, h("a", { href: node.href }, `Read ${place}`)) : node.chapter ? h("p", { class: "note" }, node.chapter) : "",
      );
      light(id);
      report(model, { chosen });
    };

    // Arrow keys go to the nearest box in that direction.
    map.addEventListener("keydown", (event) => {
      const way = ARROWS[event.key];
      if (!way) return;
      event.preventDefault();
      const here = byId[chosen];
      const cost = (node) => {
        const [dx, dy] = [node.x - here.x, node.y - here.y];
        const along = dx * way[0] + dy * way[1];
        return along > 1 ? along + 2 * Math.abs(dx * way[1] + dy * way[0]) : Infinity;
      };
      const next = nodes.reduce((best, node) => (cost(node) < cost(best) ? node : best), here);
      boxes[next.id].focus();
    });

    const legend = h("ul", { class: "families" }, [...new Set(nodes.map((node) => node.family ?? "other"))].map((family) =>
      h("li", {}, h("span", { class: `box swatch ${family}`, "aria-hidden": "true" }), FAMILIES[family])));
    body.append(legend, map, text);

    const place = () => {
      const { width, height } = map.getBoundingClientRect();
      lines.setAttribute("viewBox", `0 0 ${width} ${height}`);
      const at = (id) => [(byId[id].x * width) / 100, (byId[id].y * height) / 100];
      lines.replaceChildren(...edges.map(({ source, target }) => {
        const [[x0, y0], [x1, y1]] = [at(source), at(target)];
        const middle = (y0 + y1) / 2;
        return svg("path", { "data-source": source, "data-target": target, d: `M${x0} ${y0} C${x0} ${middle} ${x1} ${middle} ${x1} ${y1}` });
      }));
      light(chosen);
    };
    const sizes = new ResizeObserver(place);
    sizes.observe(map);
    choose(chosen);
    return () => {
      sizes.disconnect();
      stop();
    };
  },
};

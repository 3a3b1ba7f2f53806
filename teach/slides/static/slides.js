// Light or dark, and which keys belong to the slides. Loaded before reveal.js starts; the list of decks uses it, too.

const root = document.documentElement;
const wishes = matchMedia("(prefers-color-scheme: dark)");
const follow = () => { root.dataset.theme = wishes.matches ? "dark" : "light"; };
wishes.addEventListener("change", follow);
follow();

const EXPLORER = ".hybridlib-explorer";
const LOWEST = 668; // of 720 pixels; below it stand the source and the number of the slide

// Inside an explorer the keys are the explorer's, but for those of a presenter's remote control.
globalThis.keyIsForSlides = (event) => {
  if (event.key === "PageDown" || event.key === "PageUp") return true;
  const pressed = event.key === " " || event.key === "Enter";
  return !event.target.closest(pressed ? `${EXPLORER}, a` : EXPLORER);
};

addEventListener("keydown", (event) => {
  if (event.key === "Escape" && event.target.closest?.(EXPLORER)) document.activeElement.blur();
});

// reveal.js counts fragments when it starts; a cell cannot stand inside a fragment, so it becomes one.
for (const cell of document.querySelectorAll(".cell.tag_after")) cell.classList.add("fragment");

// Explorers as large as their slide has room for, tables and figures no larger. `now` is the size of one that has grown.
function fit(slide, now) {
  const scale = globalThis.Reveal.getScale();
  const { top } = slide.getBoundingClientRect();
  const parts = [...slide.children].filter((part) => !part.matches("aside"));
  const over = () => Math.max(...parts.map((part) => part.getBoundingClientRect().bottom - top)) / scale - LOWEST;
  if (now && over() <= 0) return;
  // in a narrow frame the drawings of an explorer are low, so that its letters can be large
  const shrink = (part, largest, widths) => {
    for (let zoom = largest; zoom > 0.5; zoom -= 0.05) {
      for (const width of widths) {
        Object.assign(part.style, { zoom, width });
        if (over() <= 0) return;
      }
    }
  };
  for (const explorer of slide.querySelectorAll(EXPLORER)) shrink(explorer, now ?? 1.8, ["100%", "900px", "700px"]);
  const drawings = slide.querySelectorAll("figure > svg");
  const heights = [...drawings].map((drawing) => drawing.getBoundingClientRect().height / scale - over());
  if (over() > 0) drawings.forEach((drawing, i) => { drawing.style.maxHeight = `${heights[i]}px`; });
  const widths = ["100%", "900px", "800px", "700px", "600px"];
  for (const formulas of slide.querySelectorAll("figure > [role=list]")) shrink(formulas, 1, widths);
  for (const table of slide.querySelectorAll("table")) shrink(table, 1, [""]);
}

// An answer of a quiz, or a larger network, makes an explorer grow: it still stays on its slide.
for (const kind of ["click", "change"]) {
  addEventListener(kind, ({ target }) => {
    const explorer = target.closest?.(EXPLORER);
    if (explorer) requestAnimationFrame(() => fit(explorer.closest("section"), Number(explorer.style.zoom)));
  });
}

addEventListener("DOMContentLoaded", () => {
  globalThis.Reveal?.addKeyBinding({ keyCode: 68, key: "D", description: "Light or dark" }, () => {
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  });
});

// Measured once formulas and explorers are there.
addEventListener("load", async () => {
  await globalThis.MathJax?.startup?.promise;
  globalThis.Reveal?.getSlides().forEach((slide) => fit(slide));
  root.dataset.fitted = true;
});

// Paper is white: a page read in the dark scheme is printed in the light one.
let reading;
addEventListener("beforeprint", () => {
  reading = document.documentElement.dataset.theme;
  document.documentElement.dataset.theme = "light";
});
addEventListener("afterprint", () => {
  document.documentElement.dataset.theme = reading;
});

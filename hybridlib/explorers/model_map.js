export default {
  render({ model, el }) {
    const { body, stop } = frame(el, model.get("data").title);
    body.append(h("p", { class: "title" }, model.get("data").title));
    return stop;
  },
};

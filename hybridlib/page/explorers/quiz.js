// Self-check: each option is a button; pressing it explains why it is right or wrong. They are shuffled every time.

import { frame, h, report } from "./kit.js";

function fieldset({ question, options }, answered) {
  const why = h("div", { class: "why", "aria-live": "polite" });
  const buttons = options.map((option) => {
    const mark = h("span", { class: "mark", "aria-hidden": "true" }, "○");
    const press = () => {
      for (const other of buttons) {
        other.classList.remove("right", "wrong");
        other.setAttribute("aria-pressed", "false");
        other.querySelector(".mark").textContent = "○";
      }
      const verdict = option.correct ? "right" : "wrong";
      button.classList.add(verdict);
      button.setAttribute("aria-pressed", "true");
      mark.textContent = option.correct ? "✓" : "✕";
      button.after(why);
      const said = option.correct && /^(Right|Yes)\b/.test(option.why); // by the explanation itself
      why.replaceChildren(
        h("strong", { class: verdict }, said ? "" : option.correct ? "Right. " : "Not this one. "),
        h("span", { html: option.why }),
      );
      answered(option.correct);
    };
    const button = h("button", { type: "button", class: "option", "aria-pressed": "false", onclick: press },
      mark, h("span", { html: option.text }));
    return button;
  });
  const dealt = new Map(buttons.map((button) => [button, Math.random()]));
  const shuffled = [...buttons].sort((a, b) => dealt.get(a) - dealt.get(b));
  return h("fieldset", {}, h("legend", { html: question }), h("div", {}, shuffled, why));
}

export default {
  render({ model, el }) {
    const { title, questions } = model.get("data");
    const { body, stop } = frame(el, title);
    const first = questions.map(() => null); // what each question's first answer was
    const score = h("p", { class: "score", role: "status" });
    const count = () => {
      const done = first.filter((answer) => answer !== null).length;
      const right = first.filter((answer) => answer).length;
      score.textContent = done ? `${done} of ${questions.length} answered, ${right} right at the first try.` : "";
      report(model, { first: [...first] });
    };
    body.append(
      ...questions.map((item, i) => fieldset(item, (correct) => {
        first[i] ??= correct;
        count();
      })),
      score,
    );
    return stop;
  },
};

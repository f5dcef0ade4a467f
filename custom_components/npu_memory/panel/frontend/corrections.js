// The corrections that the memory server has noticed by itself, each with what can be done about it.

import { button, element } from "./elements.js";
import { memoryText, origin } from "./memory.js";

/** Return a correction; `settle` is given it, whether it is to be so, and what to say when it is. */
export function correctionCard(correction, words, settle) {
  const { old: before, new: after, state, reason, confidence } = correction;
  const half = (label, memory) =>
    element("div", { class: "half" }, element("h3", {}, label), memoryText(memory, words), origin(memory, words));
  const offer = (key, accept) => button(words.say(`corrections.${key}`), () => settle(correction, accept));
  const offers = {
    proposed: () => [offer("refuse", false), offer("accept", true)],
    closed: () => [offer("revert", false)],
    reverted: () => [offer("again", true)],
  };
  return element(
    "li",
    { class: "card" },
    element(
      "div",
      { class: "content" },
      element(
        "div",
        { class: "pair" },
        half(words.say("corrections.before"), before),
        half(words.say("corrections.after"), after),
      ),
      element(
        "ul",
        { class: "labels" },
        element("li", { class: "label" }, words.say(`corrections.state_${state}`)),
        element("li", { class: "label" }, words.say(`corrections.reason_${reason}`)),
        element("li", { class: "label" }, words.say("corrections.confidence", { percent: Math.round(100 * confidence) })),
      ),
      element("div", { class: "actions" }, offers[state]()),
    ),
  );
}

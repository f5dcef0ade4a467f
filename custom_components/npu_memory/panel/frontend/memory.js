// One memory as it is shown in lists and dialogs.

import { button, element } from "./elements.js";

const LONG = 600;

/** Return a memory's text; one with a secret in it is shown on request, a long one in part. */
export function memoryText(memory, words) {
  const text = element("p", { class: "text", dir: "auto", lang: memory.language }, memory.text);
  if (memory.flags.includes("secret")) {
    const shown = element("p", { class: "text covered" }, words.say("memory.secret"), " ");
    shown.append(button(words.say("memory.show"), () => shown.replaceWith(text), "link"));
    return shown;
  }
  if (memory.text.length <= LONG) return text;
  text.classList.add("cut");
  const whole = button(words.say("memory.show_all"), () => {
    text.classList.remove("cut");
    whole.remove();
  }, "link");
  return element("div", {}, text, whole);
}

/** Return who said it, when, and where it came from. */
export function origin(memory, words) {
  const parts = [memory.speaker, words.moment(memory.created_at), memory.source && words.source(memory.source)];
  return element("p", { class: "origin" }, parts.filter(Boolean).join(" · "));
}

function labels(memory, words) {
  const some = [
    [words.say(`kind.${memory.kind}`), "label"],
    [words.whose(memory.scope), memory.scope === "household" ? "label" : "label private"],
    ...memory.tags.map((tag) => [tag, "label tag"]),
  ];
  if (memory.valid_to) {
    some.unshift([words.say("memory.corrected", { date: words.moment(memory.valid_to) }), "label past"]);
  }
  if (memory.expires_at) some.push([words.say("memory.expires", { date: words.moment(memory.expires_at) }), "label"]);
  if (memory.flags.includes("instruction")) some.push([words.say("memory.instruction"), "label warning"]);
  if (memory.derived_from.length) some.push([words.say("memory.derived"), "label"]);
  return element("ul", { class: "labels" }, some.map(([text, kind]) => element("li", { class: kind }, text)));
}

function relevance(memory, words) {
  if (memory.score === null || memory.score === undefined) return undefined;
  const percent = Math.round(100 * memory.score);
  return element(
    "div",
    { class: "relevance" },
    element("meter", { min: 0, max: 100, value: percent, "aria-hidden": "true" }),
    words.say("memory.relevance", { percent }),
  );
}

/** Return a memory in the list; `does` has what its buttons do, each given the memory. */
export function memoryCard(memory, words, does, isSelected) {
  const id = `text-${memory.id}`;
  const text = memoryText(memory, words);
  text.id = id;
  const box = element("input", {
    type: "checkbox",
    ".checked": isSelected,
    "aria-label": words.say("memory.select"),
    "aria-describedby": id,
    onchange: () => does.select(memory, box.checked),
  });
  const about = { "aria-describedby": id };
  const alike = memory.why?.repeats ?? [];
  return element(
    "li",
    { class: memory.valid_to ? "card past" : "card", "data-id": memory.id },
    box,
    element(
      "div",
      { class: "content" },
      text,
      origin(memory, words),
      labels(memory, words),
      relevance(memory, words),
      element(
        "div",
        { class: "actions" },
        memory.valid_to ? undefined : button(words.say("memory.correct"), () => does.correct(memory), "plain", about),
        button(words.say("memory.history"), () => does.history(memory), "plain", about),
        alike.length && !memory.valid_to
          ? button(words.count("memory.alike", alike.length), () => does.merge(memory, alike), "plain", about)
          : undefined,
        button(words.say("memory.forget"), () => does.forget([memory]), "danger", about),
      ),
    ),
  );
}

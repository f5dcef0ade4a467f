// What is asked before something is changed. Each dialog stays open while its change fails, and says why.

import { button, element } from "./elements.js";
import { memoryText, origin } from "./memory.js";

const NAMED = 5; // of many that are to be forgotten

/** Show a dialog within `host`. `confirm` has `text`, `kind`, `isReady` and `run`; without it there is nothing to do. */
function show(host, words, { title, body, confirm, focus }) {
  const failure = element("p", { class: "failure", role: "alert" });
  const close = button(words.say(confirm ? "general.cancel" : "general.close"), () => dialog.close());
  const act = confirm && button(confirm.text, () => run(), confirm.kind);
  const dialog = element(
    "dialog",
    { "aria-labelledby": "dialog-title", onclose: () => dialog.remove() },
    element("h2", { id: "dialog-title" }, title),
    element("div", { class: "body" }, body),
    failure,
    element("div", { class: "actions" }, close, act),
  );
  const ready = () => act && (act.disabled = confirm.isReady ? !confirm.isReady() : false);
  const run = async () => {
    act.disabled = true;
    failure.textContent = "";
    try {
      await confirm.run();
      dialog.close();
    } catch (error) {
      failure.textContent = words.error(error);
      ready();
    }
  };
  dialog.addEventListener("input", ready);
  ready();
  host.append(dialog);
  dialog.showModal();
  (focus ?? close).focus();
  return dialog;
}

/** Ask for what is true now; `run` is given the text. */
export function askForCorrection(host, words, memory, run) {
  const field = element("textarea", { rows: 5, maxlength: 8192, dir: "auto", ".value": memory.text });
  show(host, words, {
    title: words.say("correct.title"),
    body: [
      element("label", { class: "field" }, element("span", {}, words.say("correct.text")), field),
      element("p", { class: "hint" }, words.say("correct.explained")),
    ],
    confirm: {
      text: words.say("correct.do"),
      kind: "primary",
      isReady: () => field.value.trim() !== "" && field.value.trim() !== memory.text,
      run: () => run(field.value.trim()),
    },
    focus: field,
  });
}

/** Ask whether memories are to be forgotten, naming how many. */
export function askToForget(host, words, memories, run) {
  const others = memories.length - NAMED;
  show(host, words, {
    title: words.count("forget.title", memories.length),
    body: [
      listOf(memories.slice(0, NAMED), words),
      others > 0 ? element("p", {}, words.count("forget.others", others)) : undefined,
      element("p", { class: "hint" }, words.say("forget.explained")),
    ],
    confirm: { text: words.count("forget.do", memories.length), kind: "danger primary", run },
  });
}

/** Ask which of several memories is to be kept, and what becomes of the others; `run` is given both. */
export function askToMerge(host, words, memories, run) {
  const holding = memories.filter((memory) => !memory.valid_to);
  let kept = holding[0];
  let forget = false;
  const radio = (name, isChosen, onchange) => element("input", { type: "radio", name, ".checked": isChosen, onchange });
  const candidates = holding.map((memory) =>
    element(
      "label",
      { class: "candidate" },
      radio("kept", memory === kept, () => (kept = memory)),
      element("div", {}, memoryText(memory, words), origin(memory, words)),
    ),
  );
  const ways = [false, true].map((way) =>
    element(
      "label",
      { class: "candidate" },
      radio("others", way === forget, () => (forget = way)),
      words.say(way ? "merge.forget" : "merge.link"),
    ),
  );
  const group = (label, some) => element("fieldset", {}, element("legend", {}, label), some);
  show(host, words, {
    title: words.count("merge.title", memories.length),
    body: [group(words.say("merge.keep"), candidates), group(words.say("merge.others"), ways)],
    confirm: {
      text: words.say("merge.do"),
      kind: "primary",
      run: () => run(kept, memories.filter((memory) => memory !== kept), forget),
    },
  });
}

/** Show what a memory was and what it has become. */
export function showHistory(host, words, memories) {
  show(host, words, { title: words.say("history.title"), body: listOf(memories, words, true) });
}

function listOf(memories, words, withValidity = false) {
  const until = (memory) =>
    memory.valid_to ? words.say("memory.corrected", { date: words.moment(memory.valid_to) }) : words.say("history.now");
  return element(
    "ol",
    { class: "listed" },
    memories.map((memory) =>
      element(
        "li",
        {},
        withValidity ? element("p", { class: memory.valid_to ? "until" : "until now" }, until(memory)) : undefined,
        memoryText(memory, words),
        origin(memory, words),
      ),
    ),
  );
}

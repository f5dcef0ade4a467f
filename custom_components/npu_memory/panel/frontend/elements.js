// Building what is shown. Memories are texts of anybody: they reach the page as text nodes and plain attributes alone.

/** Return an element with attributes, listeners (`onclick`), properties (`.value`), and children: nodes or texts. */
export function element(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name.startsWith(".")) made[name.slice(1)] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return made;
}

/** Return a button; `kind` is one of the classes of the style sheet. */
export function button(text, onclick, kind = "plain", given = {}) {
  return element("button", { type: "button", class: kind, onclick, ...given }, text);
}

/** Return an icon of 24 by 24 that no screen reader speaks of. */
export function icon(path) {
  const name = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(name, "svg");
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(name, "path");
  line.setAttribute("d", path);
  drawing.append(line);
  return drawing;
}

/** Return a labelled choice; `choices` are pairs of a value and its text. */
export function choice(label, choices, chosen, onchoose) {
  const options = choices.map(([value, text]) => element("option", { value, selected: value === chosen }, text));
  const select = element("select", { onchange: () => onchoose(select.value) }, options);
  return element("label", { class: "choice" }, element("span", {}, label), select);
}

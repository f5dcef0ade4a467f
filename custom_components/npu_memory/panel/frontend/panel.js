// The panel: what is shown of a memory server, and what is asked of it. Home Assistant makes the element and gives it
// `hass`, which is new whenever anything in the house changes, and `narrow`.

import { correctionCard } from "./corrections.js";
import { askForCorrection, askToForget, askToMerge, showHistory } from "./dialogs.js";
import { button, choice, element, icon } from "./elements.js";
import { memoryCard } from "./memory.js";
import { STYLE } from "./style.js";
import { Words } from "./words.js";

const MENU = "M3 6h18v2H3V6m0 5h18v2H3v-2m0 5h18v2H3v-2Z";
const RELOAD =
  "M17.65 6.35A7.96 7.96 0 0 0 12 4a8 8 0 0 0-8 8 8 8 0 0 0 8 8c3.73 0 6.84-2.55 7.73-6h-2.08A5.99 5.99 0 0 1 12 18a6 6 0 0 1-6-6 6 6 0 0 1 6-6c1.66 0 3.14.69 4.22 1.78L13 11h7V4l-2.35 2.35Z";
const SEARCH_MS = 400;
const MOST_MEMORIES = 200; // of a page
const MOST_CORRECTIONS = 40;
const KINDS = ["turn", "fact", "note", "document"];
const STATES = ["proposed", "closed", "reverted"];
const EVERYTHING = "";

class NpuMemoryPanel extends HTMLElement {
  constructor() {
    super();
    this._server = undefined;
    this._view = "memories";
    this._filters = { text: "", scope: EVERYTHING, speaker: EVERYTHING, kind: EVERYTHING, past: false };
    this._state = STATES[0];
    this._choices = { scopes: [], speakers: [] };
    this._isOffered = false; // what there is to choose from is asked for once: it costs a look at every memory
    this._shown = [];
    this._selected = new Map();
    this._asked = 0; // answers to older questions come too late
  }

  set hass(hass) {
    const before = this._hass;
    this._hass = hass;
    if (this._words) this._words.hass = hass;
    this.style.colorScheme = hass.themes?.darkMode ? "dark" : "light";
    if (before?.language !== hass.language) this._begin();
    else if (before?.dockedSidebar !== hass.dockedSidebar) this._showMenu();
  }

  set narrow(narrow) {
    this._narrow = narrow;
    this.toggleAttribute("narrow", Boolean(narrow));
    this._showMenu();
  }

  async _begin() {
    const hass = this._hass;
    const texts = ["exceptions", "config_panel"].map((part) => hass.loadBackendTranslation(part, "npu_memory"));
    const localize = await Promise.all(texts).then((loaded) => loaded.at(-1), () => hass.localize);
    this._words = new Words(this._hass, localize);
    if (!this.shadowRoot) this.attachShadow({ mode: "open" });
    this._build();
    await this._loadServers();
  }

  _ask(command, given = {}) {
    return this._hass.callWS({ type: `npu_memory/${command}`, entry_id: this._server, ...given });
  }

  _build() {
    const say = (key) => this._words.say(key);
    const iconButton = (path, label, onclick) =>
      element("button", { type: "button", class: "icon", "aria-label": label, title: label, onclick }, icon(path));
    this._menu = iconButton(MENU, say("general.menu"), () =>
      this.dispatchEvent(new CustomEvent("hass-toggle-menu", { bubbles: true, composed: true })),
    );
    this._servers = element("div", { class: "servers" });
    this._views = element("div", { class: "views", role: "group", "aria-label": say("general.title") });
    this._tools = element("div", { class: "tools" });
    this._selection = element("div", { class: "selection", role: "region", "aria-label": say("browse.selection") });
    this._status = element("p", { class: "status", role: "status", tabindex: -1 });
    this._list = element("ul", { class: "memories" });
    this._end = element("div", { class: "end" });
    this.shadowRoot.replaceChildren(
      element("style", {}, STYLE),
      element(
        "header",
        {},
        this._menu,
        element("h1", {}, "NPU Memory"),
        this._servers,
        iconButton(RELOAD, say("general.reload"), () => this._loadServers()),
      ),
      element("main", {}, this._views, this._tools, this._status, this._list, this._end, this._selection),
    );
    this._showMenu();
  }

  _showMenu() {
    if (this._menu) this._menu.hidden = !this._narrow && this._hass.dockedSidebar !== "always_hidden";
  }

  async _loadServers() {
    const asked = ++this._asked;
    this._isOffered = false;
    this._wait();
    try {
      const { servers } = await this._hass.callWS({ type: "npu_memory/servers" });
      if (asked !== this._asked) return;
      const known = servers.some((server) => server.entry_id === this._server);
      if (!known) this._server = servers[0]?.entry_id;
      const named = servers.map((server) => [server.entry_id, server.title]);
      this._servers.replaceChildren(
        ...(servers.length > 1
          ? [choice(this._words.say("general.server"), named, this._server, (id) => this._changeServer(id))]
          : []),
      );
    } catch (error) {
      if (asked === this._asked) this._fail(error);
      return;
    }
    if (!this._server) {
      this._say(this._words.say("general.no_server"));
      return;
    }
    this._showViews();
    this._showTools();
    await this._load();
  }

  _changeServer(id) {
    this._server = id;
    Object.assign(this._filters, { scope: EVERYTHING, speaker: EVERYTHING });
    this._choices = { scopes: [], speakers: [] };
    this._isOffered = false;
    this._showTools();
    this._load();
  }

  _showViews() {
    const views = ["memories", "corrections"].map((view) =>
      button(this._words.say(`general.${view}`), () => this._changeView(view), "view", {
        "aria-pressed": String(view === this._view),
      }),
    );
    this._views.replaceChildren(...views);
  }

  _changeView(view) {
    this._view = view;
    this._showViews();
    this._showTools();
    this._load();
  }

  _showTools() {
    this._tools.replaceChildren(...(this._view === "memories" ? this._memoryTools() : this._correctionTools()));
  }

  _memoryTools() {
    const say = (key) => this._words.say(key);
    const filters = this._filters;
    const change = (name) => (value) => {
      filters[name] = value;
      this._load();
    };
    const search = element("input", {
      type: "search",
      maxlength: 1000,
      "aria-label": say("browse.search"),
      placeholder: say("browse.search"),
      ".value": filters.text,
      oninput: () => {
        clearTimeout(this._typing);
        this._typing = setTimeout(() => change("text")(search.value.trim()), SEARCH_MS);
      },
    });
    const past = element("input", {
      type: "checkbox",
      ".checked": filters.past,
      onchange: () => change("past")(past.checked),
    });
    const all = (key) => [EVERYTHING, say(key)];
    const { scopes, speakers } = this._choices;
    return [
      element("form", { role: "search", onsubmit: (event) => event.preventDefault() }, search),
      choice(
        say("browse.whose"),
        [all("browse.everybodys"), ...scopes.map((scope) => [scope, this._words.whose(scope)])],
        filters.scope,
        change("scope"),
      ),
      choice(
        say("browse.said_by"),
        [all("browse.anybody"), ...speakers.map((name) => [name, name])],
        filters.speaker,
        change("speaker"),
      ),
      choice(
        say("browse.kind"),
        [all("browse.any_kind"), ...KINDS.map((kind) => [kind, say(`kind.${kind}`)])],
        filters.kind,
        change("kind"),
      ),
      element("label", { class: "check" }, past, say("browse.past")),
    ];
  }

  _correctionTools() {
    const states = STATES.map((state) => [state, this._words.say(`corrections.state_${state}`)]);
    return [
      element("p", { class: "hint" }, this._words.say("corrections.explained")),
      choice(this._words.say("corrections.which"), states, this._state, (state) => {
        this._state = state;
        this._load();
      }),
    ];
  }

  /** Load the first page of what the filters want. */
  async _load() {
    clearTimeout(this._typing);
    this._clear();
    await this._loadPage();
  }

  /** Load what is shown again, at most as much as a page may have, and leave the one who looks at the same place. */
  async _loadAgain(place) {
    const most = this._view === "memories" ? MOST_MEMORIES : MOST_CORRECTIONS;
    const limit = Math.min(this._shown.length, most);
    await this._loadPage({ ...(limit > 20 && { limit }), isAgain: true });
    const card = this._list.children[Math.min(place, this._list.children.length - 1)];
    (card?.querySelector("button") ?? this._status).focus();
  }

  _clear() {
    this._selected.clear();
    this._showSelection();
    this._list.replaceChildren();
    this._shown = [];
  }

  async _loadPage({ cursor, limit, isAgain } = {}) {
    const asked = ++this._asked;
    this._wait();
    const part = { ...(cursor && { cursor }), ...(limit && { limit }) };
    try {
      const page = this._view === "memories" ? await this._memoryPage(part) : await this._correctionPage(part);
      if (asked !== this._asked) return;
      if (isAgain) this._clear();
      this._showPage(page);
    } catch (error) {
      if (asked === this._asked) this._fail(error, () => this._loadPage({ cursor, limit, isAgain }));
    }
  }

  async _memoryPage(part) {
    const { text, scope, speaker, kind, past } = this._filters;
    const filters = {
      include_past: past,
      ...(scope && { scopes: [scope] }),
      ...(speaker && { speaker }),
      ...(kind && { kind }),
    };
    if (text) return this._ask("memories/search", { ...filters, text });
    const page = await this._ask("memories/list", { ...filters, overview: !this._isOffered, ...part });
    if (page.scopes) this._offer(page.scopes, page.speakers);
    return page;
  }

  _correctionPage(part) {
    return this._ask("corrections/list", { state: this._state, ...part });
  }

  /** Offer the filters that there are memories for; not while somebody is at the filters. */
  _offer(scopes, speakers) {
    if (this._tools.contains(this.shadowRoot.activeElement)) return;
    this._isOffered = true;
    this._choices = { scopes, speakers };
    this._showTools();
  }

  _showPage(page) {
    const more = page.memories ?? page.corrections;
    this._shown.push(...more);
    this._list.append(...more.map((one) => this._card(one)));
    this._say(this._sentence(page));
    this._end.replaceChildren();
    if (!page.next_cursor) return;
    this._end.append(
      button(this._words.say("general.more"), async () => {
        const place = this._shown.length;
        await this._loadPage({ cursor: page.next_cursor });
        this._list.children[place]?.querySelector("input, button").focus();
      }),
    );
  }

  _sentence(page) {
    const count = this._shown.length;
    if (this._view === "corrections") {
      return count ? this._words.count("corrections.count", page.total) : this._words.say("corrections.nothing");
    }
    const { text, scope, speaker, kind } = this._filters;
    if (!count) return this._words.say(text || scope || speaker || kind ? "browse.nothing_found" : "browse.nothing_yet");
    return this._words.count(text ? "browse.found" : "browse.count", text ? count : page.total);
  }

  _card(one) {
    if (this._view === "corrections") {
      return correctionCard(one, this._words, (correction, accept) => this._settle(correction, accept));
    }
    const does = {
      select: (memory, isSelected) => this._select(memory, isSelected),
      correct: (memory) => this._correct(memory),
      history: (memory) => this._history(memory),
      merge: (memory, ids) => this._merge([memory, ...this._shown.filter((other) => ids.includes(other.id))]),
      forget: (memories) => this._forget(memories),
    };
    return memoryCard(one, this._words, does, this._selected.has(one.id));
  }

  _select(memory, isSelected) {
    if (isSelected) this._selected.set(memory.id, memory);
    else this._selected.delete(memory.id);
    this._showSelection();
  }

  _showSelection() {
    const some = [...this._selected.values()];
    this._selection.hidden = !some.length;
    if (!some.length) return;
    const clear = () => {
      this._selected.clear();
      for (const box of this._list.querySelectorAll("input[type=checkbox]")) box.checked = false;
      this._showSelection();
    };
    this._selection.replaceChildren(
      element("span", { role: "status" }, this._words.count("browse.selected", some.length)),
      button(this._words.say("browse.deselect"), clear),
      button(this._words.say("browse.merge"), () => this._merge(some), "plain", {
        disabled: some.length < 2 || some.every((memory) => memory.valid_to),
      }),
      button(this._words.say("memory.forget"), () => this._forget(some), "danger"),
    );
  }

  _correct(memory) {
    askForCorrection(this.shadowRoot, this._words, memory, async (text) => {
      await this._ask("memories/correct", { memory_id: memory.id, text });
      this._done(this._words.say("correct.done"), memory);
    });
  }

  async _history(memory) {
    try {
      const { memories } = await this._ask("memories/history", { memory_id: memory.id });
      showHistory(this.shadowRoot, this._words, memories);
    } catch (error) {
      this._tell(this._words.error(error));
    }
  }

  _merge(memories) {
    askToMerge(this.shadowRoot, this._words, memories, async (kept, others, forget) => {
      await this._ask("memories/merge", { kept: kept.id, others: others.map((one) => one.id), forget });
      this._done(this._words.say("merge.done"), kept);
    });
  }

  _forget(memories) {
    askToForget(this.shadowRoot, this._words, memories, async () => {
      const { memory_ids: gone } = await this._ask("memories/forget", { memory_ids: memories.map((one) => one.id) });
      this._done(this._words.count("forget.done", gone.length), memories[0]);
    });
  }

  async _settle(correction, accept) {
    try {
      await this._ask("corrections/settle", { old_id: correction.old.id, new_id: correction.new.id, accept });
      this._done(this._words.say("corrections.done"), correction);
    } catch (error) {
      this._tell(this._words.error(error));
    }
  }

  /** Say that something was changed, and show how it is now. */
  _done(sentence, changed) {
    this._tell(sentence);
    this._loadAgain(this._shown.indexOf(changed));
  }

  _tell(message) {
    this.dispatchEvent(new CustomEvent("hass-notification", { detail: { message }, bubbles: true, composed: true }));
  }

  _say(sentence) {
    this._status.classList.remove("failed");
    this._status.textContent = sentence;
    this._list.removeAttribute("aria-busy");
  }

  _wait() {
    this._say(this._words.say("general.loading"));
    this._list.setAttribute("aria-busy", "true");
    this._end.replaceChildren();
  }

  _fail(error, again = () => this._loadServers()) {
    this._say(this._words.error(error));
    this._status.classList.add("failed");
    this._end.replaceChildren(button(this._words.say("general.retry"), again, "primary"));
  }
}

customElements.define("npu-memory-panel", NpuMemoryPanel);

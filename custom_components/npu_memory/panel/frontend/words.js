// How a person reads what is stored: moments, whose a memory is, where it came from.

const TEXTS = "component.npu_memory.config_panel.";
const SOURCES = ["action", "assist", "import", "panel", "tool"];

/** The texts of the panel and the names of a household, in the language of whoever looks. */
export class Words {
  constructor(hass, localize) {
    this.hass = hass;
    this._localize = localize;
    this.language = hass.language;
    const language = hass.locale?.language ?? hass.language;
    const timeZone = hass.locale?.time_zone === "server" ? hass.config.time_zone : undefined;
    this._moments = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short", timeZone });
    this._numbers = new Intl.NumberFormat(language);
  }

  /** Return a text of the panel, as `browse.search`. */
  say(key, given = {}) {
    return this._localize(TEXTS + key, given) || key;
  }

  /** Return the text for one or for many. */
  count(key, count) {
    return this.say(count === 1 ? `${key}_one` : `${key}_many`, { count: this._numbers.format(count) });
  }

  /** Return the sentence for what a command has failed with. */
  error(error) {
    const { translation_domain: domain, translation_key: key, translation_placeholders: given } = error;
    const sentence = key && this._localize(`component.${domain}.exceptions.${key}.message`, given ?? {});
    return sentence || (error.code ? error.message : this.say("general.lost"));
  }

  moment(iso) {
    return this._moments.format(new Date(iso));
  }

  /** Return whose a memory is, given its scope. */
  whose(scope) {
    const at = scope.indexOf(":");
    const kind = at < 0 ? scope : scope.slice(0, at);
    const id = scope.slice(at + 1);
    if (kind === "household") return this.say("whose.household");
    if (kind === "person") return this.say("whose.person", { name: this._person(id) });
    if (kind === "area") return this.say("whose.area", { name: this.hass.areas?.[id]?.name ?? id });
    const device = this.hass.devices?.[id];
    return this.say("whose.device", { name: device?.name_by_user ?? device?.name ?? id });
  }

  _person(id) {
    const person = Object.values(this.hass.states).find(
      (state) => state.entity_id.startsWith("person.") && [state.attributes.id, state.attributes.user_id].includes(id),
    );
    return person?.attributes.friendly_name ?? (this.hass.user?.id === id ? this.hass.user.name : id);
  }

  /** Return where a memory came from: a way of adding it, a satellite, or what whoever added it has written. */
  source(source) {
    if (SOURCES.includes(source)) return this.say(`source.${source}`);
    const device = this.hass.devices?.[source];
    return this.hass.states[source]?.attributes.friendly_name ?? device?.name_by_user ?? device?.name ?? source;
  }
}

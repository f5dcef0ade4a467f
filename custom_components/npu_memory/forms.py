"""The forms: what is asked, with which defaults, and how a form with sections is kept."""

from collections.abc import Iterable, Mapping
from typing import Any

from homeassistant.components import conversation
from homeassistant.const import CONF_HOST, CONF_NAME, CONF_PORT, CONF_TOKEN, UnitOfTime
from homeassistant.data_entry_flow import section
from homeassistant.helpers.selector import (
    BooleanSelector,
    DeviceSelector,
    DeviceSelectorConfig,
    EntityFilterSelectorConfig,
    EntitySelector,
    EntitySelectorConfig,
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    ObjectSelector,
    ObjectSelectorConfig,
    ObjectSelectorField,
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TextSelector,
    TextSelectorConfig,
    TextSelectorType,
)
import probatio

from .const import (
    CONF_AGENT,
    CONF_ALLOW_SECRETS,
    CONF_BUDGET_MS,
    CONF_CAPTURE,
    CONF_DEVICE,
    CONF_DISTILLED,
    CONF_DISTILLER,
    CONF_FALLBACK,
    CONF_INJECTION,
    CONF_MAX_TOKENS,
    CONF_MIN_RELEVANCE,
    CONF_PERSON,
    CONF_PIPELINES,
    CONF_PRIVATE,
    CONF_RERANKER,
    CONF_SENTENCES,
    CONF_SPEAKERS,
    CONF_STRATEGY,
    CONF_TOP_K,
    CONF_WHOSE,
    DEFAULT_ASSISTANT_NAME,
    DEFAULT_BUDGET_MS,
    DEFAULT_MAX_TOKENS,
    DEFAULT_TOP_K,
    MAX_BUDGET_MS,
    MIN_BUDGET_MS,
    SECTION_DISTILLING,
    SECTION_OVERHEARD,
    SECTION_PRIVACY,
    SECTION_PROMPT,
    SECTION_RECALL,
    SERVER_DECIDES,
    Capture,
    Distilled,
    Fallback,
    Injection,
    Whose,
)
from .speaking import PERSON
from .wire import (
    DEFAULT_PORT,
    MAX_CONTEXT_TOKENS,
    MAX_TOP_K,
    MIN_CONTEXT_TOKENS,
    Reranker,
    Strategy,
)

AI_TASK = "ai_task"

TOKEN_SELECTOR = TextSelector(TextSelectorConfig(type=TextSelectorType.PASSWORD, autocomplete="current-password"))

SERVER_SCHEMA = probatio.Schema(
    {
        probatio.Required(CONF_HOST): TextSelector(),
        probatio.Required(CONF_PORT, default=DEFAULT_PORT): probatio.All(
            NumberSelector(NumberSelectorConfig(min=1, max=65535, mode=NumberSelectorMode.BOX)), probatio.Coerce(int)
        ),
        probatio.Required(CONF_TOKEN): TOKEN_SELECTOR,
    }
)
TOKEN_SCHEMA = probatio.Schema({probatio.Required(CONF_TOKEN): TOKEN_SELECTOR})


def _choice(key: str, choices: Iterable[str], mode: SelectSelectorMode) -> SelectSelector:
    return SelectSelector(SelectSelectorConfig(options=list(choices), translation_key=key, mode=mode))


def _whole_number(low: int, high: int, unit: str | None = None) -> probatio.All[int]:
    config = NumberSelectorConfig(min=low, max=high, mode=NumberSelectorMode.BOX)
    if unit:
        config["unit_of_measurement"] = unit
    return probatio.All(NumberSelector(config), probatio.Coerce(int))


SECTIONS = {
    SECTION_RECALL: probatio.Schema(
        {
            probatio.Required(CONF_STRATEGY, default=Strategy.HYBRID.value): _choice(
                CONF_STRATEGY, Strategy, SelectSelectorMode.DROPDOWN
            ),
            probatio.Required(CONF_TOP_K, default=DEFAULT_TOP_K): _whole_number(1, MAX_TOP_K),
            probatio.Required(CONF_RERANKER, default=SERVER_DECIDES): _choice(
                CONF_RERANKER, (SERVER_DECIDES, *Reranker), SelectSelectorMode.DROPDOWN
            ),
            probatio.Optional(CONF_MIN_RELEVANCE): NumberSelector(
                NumberSelectorConfig(min=0, max=1, step=0.01, mode=NumberSelectorMode.BOX)
            ),
            probatio.Required(CONF_BUDGET_MS, default=DEFAULT_BUDGET_MS): _whole_number(
                MIN_BUDGET_MS, MAX_BUDGET_MS, UnitOfTime.MILLISECONDS
            ),
        }
    ),
    SECTION_PROMPT: probatio.Schema(
        {
            probatio.Required(CONF_INJECTION, default=Injection.SYSTEM_PROMPT.value): _choice(
                CONF_INJECTION, Injection, SelectSelectorMode.LIST
            ),
            probatio.Required(CONF_MAX_TOKENS, default=DEFAULT_MAX_TOKENS): _whole_number(
                MIN_CONTEXT_TOKENS, MAX_CONTEXT_TOKENS
            ),
            probatio.Required(CONF_FALLBACK, default=Fallback.NO_CONTEXT.value): _choice(
                CONF_FALLBACK, Fallback, SelectSelectorMode.LIST
            ),
        }
    ),
    SECTION_PRIVACY: probatio.Schema(
        {
            probatio.Required(CONF_WHOSE, default=Whose.PLACE.value): _choice(
                CONF_WHOSE, Whose, SelectSelectorMode.LIST
            ),
            probatio.Required(CONF_PRIVATE, default=False): BooleanSelector(),
            probatio.Required(CONF_ALLOW_SECRETS, default=False): BooleanSelector(),
        }
    ),
}
"""What most leave as it is."""

ASSISTANT_SCHEMA = probatio.Schema(
    {
        probatio.Optional(CONF_AGENT): EntitySelector(EntitySelectorConfig(domain=conversation.DOMAIN)),
        probatio.Required(CONF_CAPTURE, default=Capture.BOTH.value): _choice(
            CONF_CAPTURE, Capture, SelectSelectorMode.LIST
        ),
        **{probatio.Required(name): section(schema, {"collapsed": True}) for name, schema in SECTIONS.items()},
    }
)
NEW_ASSISTANT_SCHEMA = probatio.Schema({probatio.Required(CONF_NAME, default=DEFAULT_ASSISTANT_NAME): str}).extend(
    ASSISTANT_SCHEMA.schema
)

SPEAKERS = ObjectSelector(
    ObjectSelectorConfig(
        multiple=True,
        translation_key=CONF_SPEAKERS,
        label_field=CONF_DEVICE,
        description_field=CONF_PERSON,
        fields={
            CONF_DEVICE: ObjectSelectorField(
                required=True,
                selector=DeviceSelector(
                    DeviceSelectorConfig(entity=[EntityFilterSelectorConfig(domain="assist_satellite")])
                ),
            ),
            CONF_PERSON: ObjectSelectorField(selector=EntitySelector(EntitySelectorConfig(domain=PERSON))),
        },
    )
)


def options_schema(pipelines: Mapping[str, str]) -> probatio.Schema:
    """Return the form of what holds for all assistants; `pipelines` are those of the home, by id, with their names."""
    choices = [SelectOptionDict(value=pipeline_id, label=name) for pipeline_id, name in pipelines.items()]
    overheard = probatio.Schema(
        {
            probatio.Required(CONF_PIPELINES, default=list): SelectSelector(
                SelectSelectorConfig(options=choices, multiple=True, mode=SelectSelectorMode.LIST)
            ),
            probatio.Required(CONF_CAPTURE, default=Capture.USER.value): _choice(
                CONF_CAPTURE, (Capture.USER, Capture.BOTH), SelectSelectorMode.LIST
            ),
            probatio.Required(CONF_PRIVATE, default=False): BooleanSelector(),
        }
    )
    distilling = probatio.Schema(
        {
            probatio.Optional(CONF_DISTILLER): EntitySelector(EntitySelectorConfig(domain=AI_TASK)),
            probatio.Required(CONF_DISTILLED, default=Distilled.PROPOSED.value): _choice(
                CONF_DISTILLED, Distilled, SelectSelectorMode.LIST
            ),
        }
    )
    return probatio.Schema(
        {
            probatio.Optional(CONF_SPEAKERS): SPEAKERS,
            probatio.Required(CONF_SENTENCES, default=False): BooleanSelector(),
            probatio.Required(SECTION_OVERHEARD): section(overheard),
            probatio.Required(SECTION_DISTILLING): section(distilling),
        }
    )


def flat(data: Mapping[str, Any], schema: probatio.Schema) -> dict[str, Any]:
    """Return what a form with sections says without the sections: as it is kept."""
    sections = _sections(schema)
    kept = {key: value for key, value in data.items() if key not in sections}
    for name in sections:
        kept |= data[name]
    return kept


def in_sections(data: Mapping[str, Any], schema: probatio.Schema) -> dict[str, Any]:
    """Return what is kept as a form with sections wants it."""
    sections = _sections(schema)
    form = {key: value for key, value in data.items() if all(key not in keys for keys in sections.values())}
    return form | {name: {key: data[key] for key in keys if key in data} for name, keys in sections.items()}


def _sections(schema: probatio.Schema) -> dict[str, set[str]]:
    """Return the sections of a form by name, and the fields of each."""
    fields = schema.schema.items()
    return {str(name): {str(key) for key in one.schema.schema} for name, one in fields if isinstance(one, section)}

"""Config flow: an entry is a memory server, a subentry an assistant with memory."""

from collections.abc import Mapping
import logging
from typing import Any, override

from homeassistant.components import conversation
from homeassistant.config_entries import (
    SOURCE_USER,
    ConfigEntry,
    ConfigEntryState,
    ConfigFlow,
    ConfigFlowResult,
    ConfigSubentryFlow,
    OptionsFlow,
    SubentryFlowResult,
)
from homeassistant.const import CONF_HOST, CONF_NAME, CONF_PORT, CONF_TOKEN
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.service_info.hassio import HassioServiceInfo
import probatio

from .client import probe
from .connection import MemoryClientError, NotAMemoryServer, WrongToken, WrongVersion
from .const import (
    CONF_AGENT,
    CONF_DEVICE,
    CONF_PIPELINES,
    CONF_SPEAKERS,
    DOMAIN,
    NAME,
    SUBENTRY_CONVERSATION,
)
from .entity import is_ours
from .errors import placeholders, translation_key
from .forms import (
    ASSISTANT_SCHEMA,
    NEW_ASSISTANT_SCHEMA,
    SERVER_SCHEMA,
    TOKEN_SCHEMA,
    flat,
    in_sections,
    options_schema,
)
from .wire import Greeting

ASSIST_PIPELINE = "assist_pipeline"

_LOGGER = logging.getLogger(__name__)


class NpuMemoryConfigFlow(ConfigFlow, domain=DOMAIN):
    """Add a memory server, move it, and give it another token."""

    VERSION = 1
    MINOR_VERSION = 1

    def __init__(self) -> None:
        """Start without errors."""
        self._errors: dict[str, str] = {}
        self._placeholders: dict[str, str] = {}
        self._discovered: dict[str, Any] = {}

    @override
    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the server and test it before an entry is made."""
        if user_input is not None and (greeting := await self._probe(user_input)):
            await self.async_set_unique_id(greeting.instance)
            self._abort_if_unique_id_configured()
            return self.async_create_entry(title=NAME, data=_cleaned(user_input))
        return self._form("user", SERVER_SCHEMA, user_input)

    @override
    async def async_step_hassio(self, discovery_info: HassioServiceInfo) -> ConfigFlowResult:
        """The app has announced itself: offer it, or follow it to another address and token."""
        try:
            data = SERVER_SCHEMA({key: discovery_info.config.get(key) for key in (CONF_HOST, CONF_PORT, CONF_TOKEN)})
        except probatio.Invalid:
            return self.async_abort(reason="not_memory_server")
        greeting = await self._probe(data)
        if greeting is None:
            (reason,) = self._errors.values()
            return self.async_abort(reason=reason, description_placeholders=self._placeholders)
        entry = await self.async_set_unique_id(greeting.instance)
        if (
            entry is not None
            and entry.state
            is ConfigEntryState.SETUP_ERROR  # has waited for another token, and is not loaded again below
            and self.hass.config_entries.async_update_entry(entry, data=data)
        ):
            self.hass.config_entries.async_schedule_reload(entry.entry_id)
        self._abort_if_unique_id_configured(updates=data)
        self._discovered = data
        self._placeholders = {"app": discovery_info.name}
        return await self.async_step_hassio_confirm()

    async def async_step_hassio_confirm(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask whether the app's server is to be added."""
        if user_input is not None:
            return self.async_create_entry(title=NAME, data=self._discovered)
        self._set_confirm_only()
        return self.async_show_form(step_id="hassio_confirm", description_placeholders=self._placeholders)

    async def async_step_reauth(self, entry_data: Mapping[str, Any]) -> ConfigFlowResult:
        """The server knows another token than the entry."""
        return await self.async_step_reauth_confirm()

    async def async_step_reauth_confirm(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the token that the server knows now."""
        entry = self._get_reauth_entry()
        if user_input is not None:
            data = {**entry.data, **user_input}
            if greeting := await self._probe(data):
                return await self._update(entry, greeting, data)
        return self._form("reauth_confirm", TOKEN_SCHEMA, user_input, {CONF_HOST: entry.data[CONF_HOST]})

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Follow a server to another address."""
        entry = self._get_reconfigure_entry()
        if user_input is not None and (greeting := await self._probe(user_input)):
            return await self._update(entry, greeting, user_input)
        return self._form("reconfigure", SERVER_SCHEMA, user_input or entry.data)

    @staticmethod
    @callback
    @override
    def async_get_options_flow(config_entry: ConfigEntry) -> ServerOptionsFlow:
        """Return the form of what holds for all assistants."""
        return ServerOptionsFlow()

    @classmethod
    @callback
    @override
    def async_get_supported_subentry_types(cls, config_entry: ConfigEntry) -> dict[str, type[ConfigSubentryFlow]]:
        """Return what can be added to a server."""
        return {SUBENTRY_CONVERSATION: AssistantFlow}

    async def _probe(self, data: Mapping[str, Any]) -> Greeting | None:
        """Return what the server says of itself, or None and what to tell the user."""
        cleaned = _cleaned(data)
        self._errors, self._placeholders = {}, {}
        try:
            return await probe(cleaned[CONF_HOST], cleaned[CONF_PORT], cleaned[CONF_TOKEN])
        except WrongToken:
            self._errors[CONF_TOKEN] = "invalid_auth"
        except (WrongVersion, NotAMemoryServer) as error:
            self._errors["base"] = translation_key(error)
            self._placeholders = placeholders(error)
        except MemoryClientError:
            self._errors["base"] = "cannot_connect"
        except Exception:
            _LOGGER.exception("Unexpected error while testing the memory server")
            self._errors["base"] = "unknown"
        return None

    async def _update(self, entry: ConfigEntry, greeting: Greeting, data: Mapping[str, Any]) -> ConfigFlowResult:
        """Save what works now and have the entry loaded again, also if nothing changed: it had failed."""
        await self.async_set_unique_id(greeting.instance)
        self._abort_if_unique_id_mismatch(reason="another_server")
        cleaned = _cleaned(data)
        reloads_itself = bool(entry.update_listeners) and entry.data != cleaned
        result = self.async_update_and_abort(entry, data=cleaned)
        if not reloads_itself:
            self.hass.config_entries.async_schedule_reload(entry.entry_id)
        return result

    def _form(
        self,
        step_id: str,
        schema: probatio.Schema,
        suggested: Mapping[str, Any] | None,
        described: Mapping[str, str] | None = None,
    ) -> ConfigFlowResult:
        return self.async_show_form(
            step_id=step_id,
            data_schema=self.add_suggested_values_to_schema(schema, suggested),
            errors=self._errors,
            description_placeholders={**self._placeholders, **(described or {})},
        )


class ServerOptionsFlow(OptionsFlow):
    """Say who speaks where, and what else is remembered."""

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for everything on one page; the entry loads again by itself."""
        errors: dict[str, str] = {}
        pipelines = _pipelines(self.hass)
        schema = options_schema(pipelines)
        options = dict(self.config_entry.options)
        options[CONF_PIPELINES] = [one for one in options.get(CONF_PIPELINES, ()) if one in pipelines]
        if user_input is not None:
            options = flat(user_input, schema)
            devices = [row[CONF_DEVICE] for row in options.get(CONF_SPEAKERS, ())]
            if len(devices) == len(set(devices)):
                return self.async_create_entry(data=options)
            errors[CONF_SPEAKERS] = "device_twice"
        return self.async_show_form(
            step_id="init",
            data_schema=self.add_suggested_values_to_schema(schema, in_sections(options, schema)),
            errors=errors,
        )


class AssistantFlow(ConfigSubentryFlow):
    """Add an assistant with memory, or change one."""

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Add an assistant."""
        return self._step("user", NEW_ASSISTANT_SCHEMA, user_input, {})

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Change an assistant."""
        return self._step("reconfigure", ASSISTANT_SCHEMA, user_input, self._get_reconfigure_subentry().data)

    def _step(
        self, step_id: str, schema: probatio.Schema, user_input: dict[str, Any] | None, before: Mapping[str, Any]
    ) -> SubentryFlowResult:
        errors: dict[str, str] = {}
        if user_input is not None:
            before = data = flat(user_input, ASSISTANT_SCHEMA)
            if agent := data.pop(CONF_AGENT, None):
                data[CONF_AGENT], error = _checked_agent(self.hass, agent)
                if error:
                    errors[CONF_AGENT] = error
            if not errors:
                return self._save(data)
        return self.async_show_form(
            step_id=step_id,
            data_schema=self.add_suggested_values_to_schema(schema, in_sections(before, ASSISTANT_SCHEMA)),
            errors=errors,
        )

    def _save(self, data: dict[str, Any]) -> SubentryFlowResult:
        if self.source == SOURCE_USER:
            return self.async_create_entry(title=data.pop(CONF_NAME), data=data)
        return self.async_update_and_abort(self._get_entry(), self._get_reconfigure_subentry(), data=data)


def _cleaned(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of an entry without the blanks that copying leaves."""
    return {**data, CONF_HOST: data[CONF_HOST].strip(), CONF_TOKEN: data[CONF_TOKEN].strip()}


@callback
def _checked_agent(hass: HomeAssistant, agent: str) -> tuple[str, str | None]:
    """Return the entity id of an agent, and why it cannot be put behind an assistant with memory."""
    registry = er.async_get(hass)
    entity_id = er.async_resolve_entity_id(registry, agent) or agent
    if is_ours(hass, entity_id):
        return entity_id, "own_agent"
    if registry.async_get(entity_id) is None and conversation.async_get_agent_info(hass, entity_id) is None:
        return entity_id, "agent_not_found"
    return entity_id, None


@callback
def _pipelines(hass: HomeAssistant) -> dict[str, str]:
    """Return the names of the voice assistants by id; there are none without the component that has them."""
    if ASSIST_PIPELINE not in hass.config.components:
        return {}
    from homeassistant.components import assist_pipeline  # noqa: PLC0415 - its requirements may be missing

    return {pipeline.id: pipeline.name for pipeline in assist_pipeline.async_get_pipelines(hass)}

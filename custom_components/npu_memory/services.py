"""The actions: ask memory, add to it, have it forget, and carry memories in and out."""

from enum import StrEnum

from homeassistant.core import HomeAssistant, SupportsResponse, callback
from homeassistant.helpers.service import async_register_admin_service
import probatio

from .actions.asking import CONTEXT_SCHEMA, RECALL_SCHEMA, get_context, recall
from .actions.exporting import EXPORT_SCHEMA, export_memories
from .actions.forgetting import FORGET_CHECK, forget
from .actions.importing import IMPORT_CHECK, import_memories
from .actions.keeping import CORRECT_SCHEMA, REMEMBER_SCHEMA, correct, remember
from .const import DOMAIN


class Action(StrEnum):
    """Names of the actions."""

    CORRECT = "correct"
    EXPORT_MEMORIES = "export_memories"
    FORGET = "forget"
    GET_CONTEXT = "get_context"
    IMPORT_MEMORIES = "import_memories"
    RECALL = "recall"
    REMEMBER = "remember"


@callback
def async_setup_services(hass: HomeAssistant) -> None:
    """Register the actions; what can take memories away from others, or show them, is for administrators."""
    for action, function, schema, response in (
        (Action.GET_CONTEXT, get_context, CONTEXT_SCHEMA, SupportsResponse.ONLY),
        (Action.RECALL, recall, RECALL_SCHEMA, SupportsResponse.ONLY),
        (Action.REMEMBER, remember, REMEMBER_SCHEMA, SupportsResponse.OPTIONAL),
        (Action.CORRECT, correct, CORRECT_SCHEMA, SupportsResponse.OPTIONAL),
    ):
        hass.services.async_register(DOMAIN, action, function, schema, response)
    for restricted, for_administrators, check in (
        (Action.FORGET, forget, FORGET_CHECK),
        (Action.IMPORT_MEMORIES, import_memories, IMPORT_CHECK),
        (Action.EXPORT_MEMORIES, export_memories, probatio.All(EXPORT_SCHEMA)),
    ):
        async_register_admin_service(hass, DOMAIN, restricted, for_administrators, check, SupportsResponse.OPTIONAL)

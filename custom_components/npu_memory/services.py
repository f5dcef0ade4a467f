"""The actions: ask memory, add to it, have it forget, and carry memories in and out."""

from enum import StrEnum

from homeassistant.core import HomeAssistant, SupportsResponse, callback
from homeassistant.helpers.service import async_register_admin_service

from .actions.asking import CONTEXT_SCHEMA, RECALL_SCHEMA, get_context, recall
from .actions.forgetting import FORGET_CHECK, forget
from .actions.keeping import CORRECT_SCHEMA, REMEMBER_SCHEMA, correct, remember
from .const import DOMAIN


class Action(StrEnum):
    """Names of the actions."""

    CORRECT = "correct"
    FORGET = "forget"
    GET_CONTEXT = "get_context"
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
    async_register_admin_service(hass, DOMAIN, Action.FORGET, forget, FORGET_CHECK, SupportsResponse.OPTIONAL)

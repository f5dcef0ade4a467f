"""The client's errors as Home Assistant's exceptions, translated."""

from homeassistant.exceptions import (
    ConfigEntryAuthFailed,
    ConfigEntryError,
    ConfigEntryNotReady,
    HomeAssistantError,
    IntegrationError,
    ServiceValidationError,
)

from .connection import MemoryClientError, NotAMemoryServer, RequestFailed, TooLate, WrongToken, WrongVersion
from .const import DOMAIN
from .wire import PROTOCOL_VERSION, ErrorCode

CALLERS_FAULTS = (ErrorCode.INVALID_REQUEST, ErrorCode.NOT_FOUND, ErrorCode.CONFLICT)


def setup_error(error: MemoryClientError) -> IntegrationError:
    """Return what setting up an entry raises: it decides between asking for a token, giving up and trying again."""
    if isinstance(error, WrongToken):
        return translated(ConfigEntryAuthFailed, error)
    if isinstance(error, WrongVersion):
        return translated(ConfigEntryError, error)
    return translated(ConfigEntryNotReady, error)


def action_error(error: MemoryClientError) -> HomeAssistantError:
    """Return what an action raises: a mistake of its caller, or a failure."""
    if isinstance(error, RequestFailed) and error.code in CALLERS_FAULTS:
        return translated(ServiceValidationError, error)
    return translated(HomeAssistantError, error)


def translated[ErrorT: HomeAssistantError](kind: type[ErrorT], error: MemoryClientError) -> ErrorT:
    """Return `error` as an exception of this kind that Home Assistant can show in the user's language."""
    return kind(
        translation_domain=DOMAIN,
        translation_key=translation_key(error),
        translation_placeholders=placeholders(error),
    )


def translation_key(error: MemoryClientError) -> str:
    """Return the key below `exceptions` in the translations."""
    match error:
        case RequestFailed():
            return error.code.value
        case WrongVersion():
            return "server_too_old" if error.server_is_older else "server_too_new"
        case WrongToken():
            return "wrong_token"
        case NotAMemoryServer():
            return "not_memory_server"
        case TooLate():
            return "too_late"
    return "cannot_connect"


def placeholders(error: MemoryClientError) -> dict[str, str]:
    """Return what the translation of an error says beside its text."""
    match error:
        case RequestFailed(code=ErrorCode.INVALID_REQUEST):
            return {"reason": error.sentence}
        case WrongVersion():
            return {
                "server_protocol": str(error.server_protocol),
                "server_version": error.server_version,
                "protocol": str(PROTOCOL_VERSION),
            }
    return {}

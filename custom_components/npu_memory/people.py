"""Who somebody is, and what is theirs alone."""

from homeassistant.core import HomeAssistant

from .wire import MAX_NAME_CHARACTERS

PERSON = "person"
USER_ID = "user_id"


async def name_of(hass: HomeAssistant, user_id: str | None) -> str | None:
    """Return the name of the person who belongs to a user, or the user's own name."""
    if user_id is None:
        return None
    for person in hass.states.async_all(PERSON):
        if person.attributes.get(USER_ID) == user_id:
            return person.name[:MAX_NAME_CHARACTERS]
    user = await hass.auth.async_get_user(user_id)
    return user.name[:MAX_NAME_CHARACTERS] if user and user.name and not user.system_generated else None

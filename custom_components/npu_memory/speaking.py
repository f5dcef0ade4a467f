"""Who speaks, and where: what decides which memories may be looked through, and whose a new one is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from homeassistant.core import HomeAssistant, State, callback
from homeassistant.helpers import area_registry as ar, device_registry as dr, entity_registry as er

from .const import Whose
from .wire import HOUSEHOLD, MAX_NAME_CHARACTERS

PERSON = "person"
PERSON_ID = "id"
USER_ID = "user_id"

NARROWNESS = (PERSON, "device", "area", HOUSEHOLD)
"""The kinds of scopes, the narrowest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """Whoever speaks, as far as that is known: the name, and the id under which private memories are kept."""

    name: str | None = None
    person_id: str | None = None

    @property
    def private_scope(self) -> str | None:
        """Return the scope of what is this speaker's alone."""
        return self.person_id and f"person:{self.person_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something is said; `area` is the name of the room, `area_id` its id."""

    device_id: str | None = None
    area_id: str | None = None
    area: str | None = None

    @classmethod
    def of_device(cls, hass: HomeAssistant, device_id: str | None) -> Self:
        """Look up the room of a device; nothing is known of a device that is not registered."""
        device = dr.async_get(hass).async_get(device_id) if device_id else None
        area = ar.async_get(hass).async_get_area(device.area_id) if device and device.area_id else None
        return cls(
            device_id=device.id if device else None,
            area_id=area.id if area else None,
            area=area.name[:MAX_NAME_CHARACTERS] if area else None,
        )


NOBODY = Speaker()


@callback
def device_of(hass: HomeAssistant, device_id: str | None, satellite_id: str | None) -> str | None:
    """Return the id of the device that somebody speaks to."""
    if device_id is not None or satellite_id is None:
        return device_id
    satellite = er.async_get(hass).async_get(satellite_id)
    return satellite.device_id if satellite else None


async def who_speaks(
    hass: HomeAssistant,
    user_id: str | None,
    device_id: str | None,
    satellite_id: str | None,
    speakers: Mapping[str, str | None],
) -> Speaker:
    """Return who speaks: the user of the app, or the person to whom the user has said that this device belongs.

    A satellite never has a user of its own: one that comes along has started the conversation from elsewhere, and
    anybody may answer. A device that everybody uses is everybody's, whoever has logged in there.
    """
    if device_id is not None and device_id in speakers and (satellite_id or user_id is None or not speakers[device_id]):
        person = hass.states.get(speakers[device_id] or "")
        return _speaker(person) if person else NOBODY
    if user_id is None or satellite_id is not None:
        return NOBODY
    for person in hass.states.async_all(PERSON):
        if person.attributes.get(USER_ID) == user_id:
            return _speaker(person)
    user = await hass.auth.async_get_user(user_id)
    if user is None or not user.name or user.system_generated:
        return NOBODY
    return Speaker(name=user.name[:MAX_NAME_CHARACTERS], person_id=user.id)


def visible_scopes(whose: Whose, speaker: Speaker, place: Place) -> tuple[str, ...]:
    """Return the scopes of the memories that may be looked through."""
    scopes = [HOUSEHOLD]
    if whose is not Whose.HOUSEHOLD and speaker.private_scope:
        scopes.append(speaker.private_scope)
    if whose is Whose.PLACE:
        scopes += [f"area:{place.area_id}"] if place.area_id else []
        scopes += [f"device:{place.device_id}"] if place.device_id else []
    return tuple(scopes)


def narrowest(*scopes: str) -> str:
    """Return the scope that the fewest people see."""
    return min(scopes, key=lambda scope: NARROWNESS.index(scope.partition(":")[0]))


def _speaker(person: State) -> Speaker:
    person_id = person.attributes.get(PERSON_ID) or person.object_id
    return Speaker(name=person.name[:MAX_NAME_CHARACTERS], person_id=str(person_id))

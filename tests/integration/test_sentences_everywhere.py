"""Memory's sentences where no assistant with memory listens: at Home Assistant's own agent."""

from collections.abc import Awaitable, Callable
from typing import Any

from homeassistant.components import conversation
from homeassistant.core import Context, HomeAssistant
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser

from custom_components.npu_memory import wire
from custom_components.npu_memory.client import MemoryClient
from custom_components.npu_memory.const import CONF_SENTENCES
from tests.integration.memory_server import MemoryServer

BOILER = "the boiler was serviced on the third of March"

type Say = Callable[..., Awaitable[str]]


@pytest.fixture
def say(home: HomeAssistant) -> Say:
    """Return a function that speaks to Home Assistant's own agent."""

    async def say(said: str, language: str = "en", **where: Any) -> str:
        where = {"context": Context(), **where}
        result = await conversation.async_converse(
            home, said, None, agent_id=conversation.HOME_ASSISTANT_AGENT, language=language, **where
        )
        return str(result.response.speech["plain"]["speech"])

    return say


async def add(home: HomeAssistant, server: MemoryServer, *, sentences: bool) -> MockConfigEntry:
    entry = MockConfigEntry(
        domain="npu_memory", data=server.entry_data, unique_id="one", options={CONF_SENTENCES: sentences}
    )
    entry.add_to_hass(home)
    assert await home.config_entries.async_setup(entry.entry_id)
    await home.async_block_till_done()
    return entry


async def texts(memory: MemoryClient) -> list[str]:
    return [item.text for item in (await memory.list(wire.ListRequest(), 10)).memories]


async def test_they_are_understood_if_the_user_wants_that(
    home: HomeAssistant, memory_server: MemoryServer, memory: MemoryClient, say: Say
) -> None:
    entry = await add(home, memory_server, sentences=True)
    person = {"device_id": "kitchen"}
    assert await say(f"Remember that {BOILER}, not the 4.", **person) == f"Remembered: {BOILER}, not the 4."
    assert BOILER in await say("What do you know about the boiler?", **person)
    assert (await say("Yes, forget it.", **person)).startswith("There is nothing that I have asked you about")
    question = await say("Forget that the boiler was serviced", **person)
    assert BOILER in question
    assert question.endswith("Then say: yes, forget it.")
    assert len(await texts(memory)) == 1
    assert await say("Yes, forget it.", **person) == "It is forgotten."
    assert await texts(memory) == []
    await home.config_entries.async_unload(entry.entry_id)
    await say(f"Remember that {BOILER}", **person)
    assert await texts(memory) == []


@pytest.mark.parametrize(
    ("language", "said", "answer"),
    [
        ("de", "Merk dir, dass es geregnet hat.", "Gemerkt: es geregnet hat."),
        ("fr", "Souviens-toi qu'il a plu.", "C'est retenu : il a plu."),
        ("es", "Recuerda que ha llovido.", "Recordado: ha llovido."),
        ("nl", "Onthoud dat het heeft geregend.", "Onthouden: het heeft geregend."),
    ],
)
async def test_they_are_understood_in_every_language(
    language: str,
    said: str,
    answer: str,
    home: HomeAssistant,
    memory_server: MemoryServer,
    memory: MemoryClient,
    say: Say,
) -> None:
    entry = await add(home, memory_server, sentences=True)
    assert await say(said, language) == answer
    assert len(await texts(memory)) == 1
    await home.config_entries.async_unload(entry.entry_id)


async def test_a_sentence_in_another_language_than_the_turns_does_nothing(
    home: HomeAssistant, memory_server: MemoryServer, memory: MemoryClient, say: Say
) -> None:
    entry = await add(home, memory_server, sentences=True)
    assert "Es wurde nichts vergessen" in await say("Forget that it rained.", "de")
    await home.config_entries.async_unload(entry.entry_id)


async def test_whoever_speaks_keeps_what_is_theirs(
    home: HomeAssistant, memory_server: MemoryServer, memory: MemoryClient, say: Say
) -> None:
    entry = await add(home, memory_server, sentences=True)
    user = MockUser(name="anna").add_to_hass(home)
    home.states.async_set("person.anna", "home", {"user_id": user.id, "friendly_name": "Anna", "id": "anna"})
    await say("Remember just for me that the present is in the attic", context=Context(user_id=user.id))
    assert "attic" not in await say("What do you know about the present?")
    assert "attic" in await say("What do you know about the present?", context=Context(user_id=user.id))
    await home.config_entries.async_unload(entry.entry_id)


async def test_they_are_not_understood_unless_the_user_wants_that(
    home: HomeAssistant, memory_server: MemoryServer, memory: MemoryClient, say: Say
) -> None:
    entry = await add(home, memory_server, sentences=False)
    await say(f"Remember that {BOILER}")
    assert await texts(memory) == []
    await home.config_entries.async_unload(entry.entry_id)

"""Who is speaking, and whose memories may be used and made there."""

from homeassistant.core import Context, HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser

from custom_components.npu_memory import wire
from custom_components.npu_memory.client import MemoryClient
from custom_components.npu_memory.const import CONF_AGENT
from custom_components.npu_memory.speaking import NOBODY, Speaker, device_of, who_speaks
from tests.integration.agent import AGENT, RecordingAgent
from tests.integration.conftest import ASSISTANT, AddEntry
from tests.integration.memory_server import MemoryServer
from tests.integration.test_conversation import remembered, say

KITCHEN, BEDROOM = "assist_satellite.kitchen", "assist_satellite.bedroom"
SECRET = "Ben gets a telescope for his birthday."
QUESTION = "What does Ben get for his birthday?"


@pytest.fixture
def anna(home: HomeAssistant) -> MockUser:
    """Return the user of a person."""
    user = MockUser(name="anna72").add_to_hass(home)
    home.states.async_set("person.anna", "home", {"id": "anna", "user_id": user.id, "friendly_name": "Anna"})
    home.states.async_set("person.ben", "home", {"id": "ben", "user_id": "another user", "friendly_name": "Ben"})
    return user


@pytest.fixture
def tablet(home: HomeAssistant) -> str:
    """Return the id of a device."""
    entry = MockConfigEntry(domain="test")
    entry.add_to_hass(home)
    device = dr.async_get(home).async_get_or_create(config_entry_id=entry.entry_id, identifiers={("test", "tablet")})
    return device.id


class TestWhoItIs:
    async def test_the_user_of_the_app(self, home: HomeAssistant, anna: MockUser) -> None:
        assert await who_speaks(home, anna.id, None, None, {}) == Speaker(name="Anna", person_id="anna")

    async def test_a_user_without_a_person(self, home: HomeAssistant) -> None:
        user = MockUser(name="Guest").add_to_hass(home)
        assert await who_speaks(home, user.id, None, None, {}) == Speaker(name="Guest", person_id=user.id)

    async def test_nobody_if_it_is_an_automation_or_the_system(self, home: HomeAssistant) -> None:
        system = MockUser(name="Supervisor", system_generated=True).add_to_hass(home)
        assert await who_speaks(home, None, None, None, {}) == NOBODY
        assert await who_speaks(home, system.id, None, None, {}) == NOBODY
        assert await who_speaks(home, "no user", None, None, {}) == NOBODY

    async def test_the_person_of_a_satellite(self, home: HomeAssistant, anna: MockUser, tablet: str) -> None:
        speakers = {tablet: "person.ben"}
        assert (await who_speaks(home, None, tablet, BEDROOM, speakers)).name == "Ben"

    async def test_not_whoever_had_a_satellite_ask_something(
        self, home: HomeAssistant, anna: MockUser, tablet: str
    ) -> None:
        assert await who_speaks(home, anna.id, tablet, KITCHEN, {}) == NOBODY
        assert (await who_speaks(home, anna.id, tablet, KITCHEN, {tablet: "person.ben"})).name == "Ben"

    async def test_the_user_of_the_app_on_somebody_elses_device(
        self, home: HomeAssistant, anna: MockUser, tablet: str
    ) -> None:
        assert (await who_speaks(home, anna.id, tablet, None, {tablet: "person.ben"})).name == "Anna"

    async def test_nobody_on_a_shared_device_whoever_is_logged_in(
        self, home: HomeAssistant, anna: MockUser, tablet: str
    ) -> None:
        assert await who_speaks(home, anna.id, tablet, None, {tablet: None}) == NOBODY

    async def test_nobody_if_the_person_of_a_satellite_is_gone(self, home: HomeAssistant, tablet: str) -> None:
        assert await who_speaks(home, None, tablet, KITCHEN, {tablet: "person.left"}) == NOBODY

    async def test_a_satellite_without_a_device_id_is_looked_up(
        self, home: HomeAssistant, tablet: str, entity_registry: er.EntityRegistry
    ) -> None:
        satellite = entity_registry.async_get_or_create("assist_satellite", "test", "1", device_id=tablet)
        assert device_of(home, None, satellite.entity_id) == tablet
        assert device_of(home, None, "assist_satellite.unknown") is None
        assert device_of(home, None, None) is None


class TestWhoseMemoriesAreUsed:
    @pytest.mark.parametrize(("whose", "used"), [("household", False), ("person", True), ("place", True)])
    async def test_private_memories_are_their_persons_if_the_assistant_may_use_them(
        self,
        whose: str,
        used: bool,
        home: HomeAssistant,
        memory_server: MemoryServer,
        agent: RecordingAgent,
        add_entry: AddEntry,
        memory: MemoryClient,
        anna: MockUser,
    ) -> None:
        await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT, "budget_ms": 2000, "whose": whose})
        await memory.remember(wire.RememberRequest(text=SECRET, scope="person:anna"), 10)
        await say(home, QUESTION, context=Context(user_id=anna.id))
        await say(home, QUESTION, context=Context(user_id="another user"))
        await say(home, QUESTION)
        assert ["telescope" in turn.system for turn in agent.turns] == [used, False, False]

    async def test_on_a_shared_speaker_private_memories_are_not_spoken(
        self,
        home: HomeAssistant,
        memory_server: MemoryServer,
        agent: RecordingAgent,
        add_entry: AddEntry,
        memory: MemoryClient,
        anna: MockUser,
        tablet: str,
    ) -> None:
        await add_entry(
            memory_server.entry_data,
            {CONF_AGENT: AGENT, "budget_ms": 2000},
            options={"speakers": [{"device": tablet, "person": "person.anna"}]},
        )
        await memory.remember(wire.RememberRequest(text=SECRET, scope="person:anna"), 10)
        await say(home, QUESTION, device_id=tablet, satellite_id=BEDROOM)
        (entry,) = home.config_entries.async_entries("npu_memory")
        home.config_entries.async_update_entry(entry, options={"speakers": [{"device": tablet}]})
        await home.async_block_till_done()
        await say(home, QUESTION, device_id=tablet, satellite_id=BEDROOM, context=Context(user_id=anna.id))
        assert ["telescope" in turn.system for turn in agent.turns] == [True, False]


class TestWhoseMemoriesAreMade:
    async def test_what_a_known_person_says_is_private_if_the_user_wants_that(
        self,
        home: HomeAssistant,
        memory_server: MemoryServer,
        agent: RecordingAgent,
        add_entry: AddEntry,
        memory: MemoryClient,
        anna: MockUser,
    ) -> None:
        await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT, "private": True})
        await say(home, "I hide the presents in the attic.", context=Context(user_id=anna.id))
        await remembered(memory, 2)
        await say(home, "The bins are emptied on Tuesday.")
        assert [m.scope for m in await remembered(memory, 4)] == ["person:anna"] * 2 + ["household"] * 2

    async def test_an_answer_that_may_repeat_a_private_memory_is_as_private(
        self,
        home: HomeAssistant,
        assistant: MockConfigEntry,
        agent: RecordingAgent,
        memory: MemoryClient,
        anna: MockUser,
    ) -> None:
        await memory.remember(wire.RememberRequest(text=SECRET, scope="person:anna"), 10)
        agent.answer = ("A telescope.",)
        first = await say(home, QUESTION, context=Context(user_id=anna.id))
        await remembered(memory, 3)
        agent.answer = ("As I said, a telescope.",)
        await say(home, "Who won the world cup?", first.conversation_id, context=Context(user_id=anna.id))
        await remembered(memory, 5)
        agent.answer = ("I do not know.",)
        await say(home, "Does Ben get anything for his birthday?")
        found = await remembered(memory, 7)
        assert "telescope" not in agent.turns[-1].system
        assert [m.scope for m in found if m.text.endswith("elescope.")] == ["person:anna"] * 2
        assert {m.scope for m in found if "?" in m.text or "know" in m.text} == {"household"}

    async def test_an_answer_that_may_repeat_what_belongs_to_a_room_stays_there(
        self, home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent, memory: MemoryClient, tablet: str
    ) -> None:
        await memory.remember(wire.RememberRequest(text="The safe is behind the mirror.", scope=f"device:{tablet}"), 10)
        agent.answer = ("Behind the mirror.",)
        await say(home, "Where is the safe?", device_id=tablet)
        assert [m.scope for m in await remembered(memory, 3)] == [f"device:{tablet}", "household", f"device:{tablet}"]


async def test_the_model_is_told_who_said_my(
    home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent, anna: MockUser, memory: MemoryClient
) -> None:
    assert home.states.get(ASSISTANT) is not None
    await memory.remember(wire.RememberRequest(text="My shoe size is 38.", speaker="Anna"), 10)
    await say(home, "What is my shoe size?", context=Context(user_id=anna.id))
    assert 'Anna: "My shoe size is 38."' in agent.turns[0].system

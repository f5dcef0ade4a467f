"""What users of other memories for Assist complain about, each as a test of this one.

Facts that were invented (7) are in test_distilling.py, facts that contradict each other (6) with the server's tests.
"""

import asyncio
from datetime import timedelta
from typing import Any

from homeassistant.core import Context, HomeAssistant
from homeassistant.helpers import area_registry as ar, chat_session, device_registry as dr
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    MockUser,
    async_fire_time_changed,
    async_mock_service,
)

from custom_components.npu_memory import overheard
from custom_components.npu_memory.client import MemoryClient
from custom_components.npu_memory.const import CONF_AGENT
from tests.integration.agent import AGENT, ASSISTANT, RecordingAgent, add_agent
from tests.integration.conftest import AddEntry
from tests.integration.memory_server import MemoryServer
from tests.integration.speaker import Speaker
from tests.integration.test_conversation import back, remembered, say
from tests.integration.test_delivery import Deaf
from tests.integration.test_overheard import settled
from tests.integration.test_voice import Person

TOLD = "The boiler was serviced on the third of March."
ASKED = "When was the boiler serviced?"
OPTIONS = {CONF_AGENT: AGENT, "budget_ms": 2000}


@pytest.fixture
def puck(home: HomeAssistant, assistant: MockConfigEntry) -> dict[str, Any]:
    """Return where somebody speaks who speaks to the voice satellite in the kitchen."""
    kitchen = ar.async_get(home).async_create("Kitchen")
    registry = dr.async_get(home)
    device = registry.async_get_or_create(config_entry_id=assistant.entry_id, identifiers={("test", "puck")})
    registry.async_update_device(device.id, area_id=kitchen.id)
    return {"device_id": device.id, "satellite_id": "assist_satellite.puck"}


async def test_1_assist_does_not_start_from_zero_after_five_minutes(
    home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent, memory: MemoryClient
) -> None:
    first = await say(home, TOLD)
    await remembered(memory, 2)
    home.data[chat_session.DATA_CHAT_SESSION][str(first.conversation_id)].last_updated -= timedelta(hours=1)
    async_fire_time_changed(home, dt_util.utcnow() + chat_session.CONVERSATION_TIMEOUT + timedelta(seconds=2))
    await home.async_block_till_done()
    second = await say(home, ASKED, first.conversation_id)
    assert second.conversation_id != first.conversation_id
    assert TOLD in agent.turns[-1].system


async def test_2_the_puck_and_the_app_have_one_memory(
    home: HomeAssistant,
    assistant: MockConfigEntry,
    agent: RecordingAgent,
    memory: MemoryClient,
    puck: dict[str, Any],
    hass_admin_user: MockUser,
) -> None:
    app = {"context": Context(user_id=hass_admin_user.id)}
    await say(home, TOLD, **puck)
    await remembered(memory, 2)
    await say(home, ASKED, **app)
    assert TOLD in agent.turns[-1].system
    await remembered(memory, 4)
    await say(home, "The spare key is with Joost.", **app)
    await remembered(memory, 6)
    await say(home, "Who has the spare key?", **puck)
    assert "The spare key is with Joost." in agent.turns[-1].system


async def test_3_memory_that_is_found_and_never_reaches_the_model_does_not_go_unnoticed(
    home: HomeAssistant, memory_server: MemoryServer, add_entry: AddEntry, memory: MemoryClient
) -> None:
    await add_agent(home, Deaf())
    entry = await add_entry(memory_server.entry_data, OPTIONS)
    await say(home, TOLD)
    await remembered(memory, 2)
    await say(home, ASKED)
    (report,) = entry.runtime_data.turns.values()
    assert report.returned
    assert (report.outcome, report.given) == ("not_taken", 0)


@pytest.mark.parametrize(
    "asked",
    [
        ASKED,
        " when was the boiler serviced",
        " One was the boiler last serviced",
        "Remind me when somebody serviced our boiler.",
        "boiler service date?",
    ],
)
async def test_4_what_was_stored_is_recalled_also_without_punctuation_and_misheard(
    asked: str, home: HomeAssistant, assistant: MockConfigEntry, agent: RecordingAgent, memory: MemoryClient
) -> None:
    await say(home, f" {TOLD.casefold().rstrip('.')}", language="en")
    said, _ = await remembered(memory, 2)
    assert said.text == TOLD.casefold().rstrip(".")
    assert said.language == "en"
    await say(home, asked, language="en")
    assert said.text in agent.turns[-1].system


async def test_5_it_forgets_and_corrects_by_voice_what_was_meant_and_nothing_else(
    home: HomeAssistant, memory_server: MemoryServer, agent: RecordingAgent, add_entry: AddEntry, memory: MemoryClient
) -> None:
    await add_entry(memory_server.entry_data, OPTIONS | {"capture": "explicit"})
    somebody, guest = Person(home), Person(home, device_id="hall")
    for said in (TOLD, "The bins go out on Monday.", "The spare key is with Joost."):
        await somebody.hears(f"Remember that {said}")
    await somebody.hears("No, it is with Anna.")
    key = next(m for m in await remembered(memory, 4) if "Joost" in m.text)
    assert key.superseded_by
    asked = await somebody.hears("Forget that the boiler was serviced.")
    assert TOLD in asked
    await guest.hears("Yes.")
    assert TOLD in {m.text for m in await remembered(memory, 4)}
    await somebody.hears("Yes.")
    left = {m.text for m in await remembered(memory, 3)}
    assert TOLD not in left
    assert "The bins go out on Monday." in left
    await somebody.hears("When was the boiler serviced?")
    assert TOLD not in agent.turns[-1].system


async def test_9_who_is_speaking_decides_what_my_means(
    home: HomeAssistant, memory_server: MemoryServer, agent: RecordingAgent, add_entry: AddEntry, memory: MemoryClient
) -> None:
    await add_entry(memory_server.entry_data, OPTIONS | {"private": True})
    people = {name: MockUser(name=name).add_to_hass(home) for name in ("Anna", "Ben")}
    for number, user in enumerate(people.values()):
        await say(home, f"My locker has the number 47{number}1.", context=Context(user_id=user.id))
        await remembered(memory, 2 * number + 2)
    for own, other, user in (("4701", "4711", people["Anna"]), ("4711", "4701", people["Ben"])):
        await say(home, "Which number does my locker have?", context=Context(user_id=user.id))
        assert own in agent.turns[-1].system
        assert other not in agent.turns[-1].system


async def test_8_single_memories_are_shown_corrected_and_deleted(
    home: HomeAssistant, assistant: MockConfigEntry, memory: MemoryClient
) -> None:
    async def act(action: str, **data: Any) -> Any:
        return await home.services.async_call("npu_memory", action, data, blocking=True, return_response=True)

    await say(home, TOLD)
    await say(home, "The spare key is with Joost.")
    await remembered(memory, 4)
    shown = (await act("recall", text=ASKED, top_k=10))["memories"]
    boiler = next(one for one in shown if one["text"] == TOLD)
    assert boiler["created_at"]
    await act("correct", memory_id=boiler["id"], text="The boiler was serviced on the fourth of March.")
    shown = (await act("recall", text=ASKED, top_k=10))["memories"]
    assert shown[0]["text"] == "The boiler was serviced on the fourth of March."
    assert next(one for one in shown if one["id"] == boiler["id"])["valid_to"]
    await act("forget", memory_ids=[boiler["id"]])
    shown = (await act("recall", text=ASKED, top_k=10))["memories"]
    assert boiler["id"] not in {one["id"] for one in shown}
    assert any("Joost" in one["text"] for one in shown)


async def test_10_servers_assistants_and_rooms_do_not_mix_what_belongs_to_one(
    home: HomeAssistant, memory_server: MemoryServer, agent: RecordingAgent, add_entry: AddEntry, memory: MemoryClient
) -> None:
    await add_entry(memory_server.entry_data, OPTIONS, OPTIONS | {"whose": "household", "capture": "nothing"})
    kitchen = ar.async_get(home).async_create("Kitchen")
    registry = dr.async_get(home)
    (entry,) = home.config_entries.async_entries("npu_memory")
    device = registry.async_get_or_create(config_entry_id=entry.entry_id, identifiers={("test", "puck")})
    registry.async_update_device(device.id, area_id=kitchen.id)
    await home.services.async_call(
        "npu_memory", "remember", {"text": TOLD, "scope": f"area:{kitchen.id}"}, blocking=True, return_response=True
    )
    for agent_id, device_id, knows in (
        (ASSISTANT, device.id, True),
        (ASSISTANT, None, False),
        ("conversation.memory_2", device.id, False),
    ):
        await say(home, ASKED, agent_id=agent_id, device_id=device_id)
        assert (TOLD in agent.turns[-1].system) is knows


async def test_11_what_home_assistant_handles_itself_is_not_missing(
    home: HomeAssistant,
    memory_server: MemoryServer,
    agent: RecordingAgent,
    add_entry: AddEntry,
    memory: MemoryClient,
    speaker: Speaker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(overheard, "LOOK_SECONDS", 0.05)
    home.states.async_set("light.office", "off", {"friendly_name": "Office light"})
    turned_on = async_mock_service(home, "light", "turn_on")
    pipeline = await speaker.pipeline(prefer_local_intents=True)
    entry = await add_entry(memory_server.entry_data, OPTIONS, options={"pipelines": [pipeline], "capture": "user"})
    await speaker.say(pipeline, "turn on the office light")
    assert turned_on
    assert not agent.turns
    await speaker.say(pipeline, TOLD)
    await settled(entry)
    assert [m.text for m in await remembered(memory, 2)] == [TOLD, "Of course."]
    await speaker.say(pipeline, ASKED)
    assert TOLD in agent.turns[-1].system


async def test_12_it_says_remembered_when_it_is_and_at_no_other_time(
    home: HomeAssistant,
    assistant: MockConfigEntry,
    agent: RecordingAgent,
    memory_server: MemoryServer,
    memory: MemoryClient,
) -> None:
    somebody = Person(home)
    assert (await somebody.hears(f"Remember that {TOLD}")).startswith("Remembered")
    memory_server.kill()
    assert "could not remember" in await somebody.hears("Remember that the bins go out on Monday.")
    await asyncio.to_thread(memory_server.start)
    await back(assistant)
    somebody.conversation_id = None
    await somebody.hears(ASKED)
    assert TOLD in agent.turns[-1].system
    await somebody.hears("On which day do the bins go out?")
    assert "Monday" not in agent.turns[-1].system

"""No private memory in another's context: two people and a guest, four satellites, random turns, the real server."""

from collections import Counter
from collections.abc import Iterator
import re

from homeassistant.components import conversation
from homeassistant.core import Context, HomeAssistant
from homeassistant.helpers import device_registry as dr, intent
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser

from custom_components.npu_memory import wire
from custom_components.npu_memory.const import CONF_AGENT
from tests.integration.agent import AGENT, RecordingAgent, add_agent
from tests.integration.conftest import AddEntry
from tests.integration.memory_server import MemoryServer
from tests.integration.waiting import until

HISTORIES = 10
TURNS = 50
SECRET = re.compile(r"(anna|ben|guest)qx\d+")
"""A word that only its owner may hear."""

PEOPLE = ("anna", "ben", "guest")
SATELLITES = {"bedroom": "anna", "study": "ben", "kitchen": None, "hall": None}
"""Whose they are: two people's, one that everybody uses, and one of which nothing was said."""
ASSISTANTS = (
    {"whose": "place", "private": True},
    {"whose": "person", "private": True, "injection": "user_message"},
    {"whose": "place", "private": False},
    {"whose": "household", "private": False},
)

places = st.sampled_from([*PEOPLE, *SATELLITES])
numbers = st.integers(0, 40)
turns = st.tuples(
    st.sampled_from(["tell", "ask", "ask", "ask about", "note"]),
    places,
    st.sampled_from(range(len(ASSISTANTS))),
    st.none() | st.sampled_from(PEOPLE),
    numbers,
    st.booleans(),
)


class Gossip(RecordingAgent):
    """Tells whoever asks every secret that it finds in its prompt."""

    async def _async_handle_message(
        self, user_input: conversation.ConversationInput, chat_log: conversation.ChatLog
    ) -> conversation.ConversationResult:
        given = " ".join(
            [user_input.extra_system_prompt or "", *(str(getattr(c, "content", "")) for c in chat_log.content)]
        )
        words = sorted({found[0] for found in SECRET.finditer(given)})
        self.answer = (f"The words are {' and '.join(words)}." if words else "I know of none.",)
        return await super()._async_handle_message(user_input, chat_log)

    def heard_since(self, turns: int) -> Counter[str]:
        """Return whose secrets have reached the model since it had answered so many `turns`."""
        given = [
            text or "" for turn in self.turns[turns:] for text in (turn.system, *(said for _, said in turn.messages))
        ]
        return Counter(found[1] for found in SECRET.finditer(" ".join(given)))


class House:
    """The people, their satellites, and the assistants that they speak to."""

    def __init__(
        self, home: HomeAssistant, entry: MockConfigEntry, agent: Gossip, users: dict[str, str], devices: dict[str, str]
    ) -> None:
        self.home = home
        self.entry = entry
        self.agent = agent
        self.users = users
        self.devices = devices
        self.conversations: dict[tuple[str, int], str | None] = {}
        self.told = 0
        self.heard_own = 0

    async def say(self, text: str, place: str, assistant: int, started_by: str | None, *, continues: bool) -> None:
        """Say something, and see to it that only the speaker's own secrets are in the model's context."""
        on_satellite = place in SATELLITES
        speaker = SATELLITES[place] if on_satellite else place
        user = started_by if on_satellite else place
        key = (place, assistant)
        turns = len(self.agent.turns)
        result = await conversation.async_converse(
            self.home,
            text,
            self.conversations.get(key) if continues else None,
            Context(user_id=self.users[user] if user else None),
            language="en",
            agent_id="conversation.memory" if assistant == 0 else f"conversation.memory_{assistant + 1}",
            device_id=self.devices.get(place),
            satellite_id=f"assist_satellite.{place}" if on_satellite else None,
        )
        if continues and result.response.response_type is intent.IntentResponseType.ERROR:
            # From 2026.11 on nobody goes on with a conversation that another user has begun.
            assert len(self.agent.turns) == turns
            await self.say(text, place, assistant, started_by, continues=False)
            return
        self.conversations[key] = result.conversation_id
        assert len(self.agent.turns) == turns + 1
        heard = self.agent.heard_since(turns)
        assert set(heard) <= {speaker}, f"{place} hears {heard}"
        self.heard_own += heard[speaker or ""]
        await until(lambda: not self.entry.runtime_data.captured.unsent)

    async def nothing_is_where_others_look(self) -> None:
        """Look at everything that is stored."""
        scopes = {f"person:{person}": person for person in ("anna", "ben")} | {f"person:{self.users['guest']}": "guest"}
        cursor = None
        while True:
            page = await self.entry.runtime_data.client.list(wire.ListRequest(limit=wire.MAX_PAGE, cursor=cursor), 30)
            for memory in page.memories:
                owners = {found[1] for found in SECRET.finditer(memory.text)}
                assert owners <= {scopes.get(memory.scope, "")}, memory.scope
            if (cursor := page.next_cursor) is None:
                return


@pytest.fixture
async def house(home: HomeAssistant, memory_server: MemoryServer, add_entry: AddEntry) -> House:
    """Return a house in which everybody has a user, and two have satellites of their own."""
    agent = Gossip()
    await add_agent(home, agent)
    users = {name: MockUser(name=name).add_to_hass(home).id for name in PEOPLE}
    for name in ("anna", "ben"):
        home.states.async_set(f"person.{name}", "home", {"id": name, "user_id": users[name], "friendly_name": name})
    owner = MockConfigEntry(domain="test")
    owner.add_to_hass(home)
    registry = dr.async_get(home)
    devices = {
        name: registry.async_get_or_create(config_entry_id=owner.entry_id, identifiers={("test", name)}).id
        for name in SATELLITES
    }
    speakers = [
        {"device": devices["bedroom"], "person": "person.anna"},
        {"device": devices["study"], "person": "person.ben"},
        {"device": devices["kitchen"]},
    ]
    common = {CONF_AGENT: AGENT, "budget_ms": 2000, "top_k": 20, "max_tokens": 2000, "min_relevance": 0.0}
    assistants = [common | assistant for assistant in ASSISTANTS]
    entry = await add_entry(memory_server.entry_data, *assistants, options={"speakers": speakers})
    return House(home, entry, agent, users, devices)


@pytest.fixture(autouse=True)
def something_was_heard(house: House) -> Iterator[None]:
    """See to it that the property is not true because nobody ever heard anything."""
    yield
    assert house.told > HISTORIES
    assert house.heard_own > HISTORIES


@settings(
    max_examples=HISTORIES,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),  # what is stored stays, so that a shorter history shows something else
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(turns, min_size=TURNS, max_size=TURNS))
async def test_private_memories_of_one_person_never_reach_anothers_context(
    house: House, history: list[tuple[str, str, int, str | None, int, bool]]
) -> None:
    for kind, place, assistant, started_by, number, continues in history:
        speaker = SATELLITES.get(place, place)
        if kind == "tell" and speaker is not None and ASSISTANTS[assistant]["private"]:
            house.told += 1
            text = f"My secret word number {number} is {speaker}qx{number}."
        elif kind == "note" and speaker in ("anna", "ben"):
            house.told += 1
            note = wire.RememberRequest(text=f"The secret word is {speaker}qx{number}.", scope=f"person:{speaker}")
            await house.entry.runtime_data.client.remember(note, 30)
            text = "What did I note about the secret word?"
        elif kind == "ask about":
            text = f"What is the secret word number {number}?"
        else:
            text = f"Which secret words do you know, of all {number} people?"
        await house.say(text, place, assistant, started_by, continues=continues)
    await house.nothing_is_where_others_look()

"""Memory by voice: what is said to it, what it does, and that it never says more than it did."""

from datetime import timedelta
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components import conversation
from homeassistant.core import Context, HomeAssistant
from homeassistant.helpers import device_registry as dr
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser

from custom_components.npu_memory import wire
from custom_components.npu_memory.client import MemoryClient
from custom_components.npu_memory.const import CONF_AGENT, CONF_CAPTURE
from custom_components.npu_memory.voice import answering
from tests.integration import faults
from tests.integration.agent import AGENT, RecordingAgent
from tests.integration.conftest import ASSISTANT, AddEntry
from tests.integration.memory_server import MemoryServer
from tests.integration.waiting import until

BOILER = "the boiler was serviced on the third of March."
QUIET = {CONF_CAPTURE: "explicit", "budget_ms": 2000}


class Person:
    """Somebody who speaks somewhere, in one conversation."""

    def __init__(self, hass: HomeAssistant, **where: Any) -> None:
        self.hass = hass
        self.where = where
        self.conversation_id: str | None = None

    async def hears(self, said: str, language: str = "en") -> str:
        result = await self.asks(said, language)
        return str(result.response.speech["plain"]["speech"])

    async def asks(self, said: str, language: str = "en") -> conversation.ConversationResult:
        where = {"context": Context(), **self.where}
        result = await conversation.async_converse(
            self.hass, said, self.conversation_id, agent_id=ASSISTANT, language=language, **where
        )
        self.conversation_id = result.conversation_id
        return result


@pytest.fixture
async def entry(memory_server: MemoryServer, add_entry: AddEntry) -> MockConfigEntry:
    return await add_entry(memory_server.entry_data, QUIET)


@pytest.fixture
def somebody(home: HomeAssistant, entry: MockConfigEntry) -> Person:
    return Person(home)


@pytest.fixture
def anna(home: HomeAssistant) -> MockUser:
    user = MockUser(name="anna").add_to_hass(home)
    home.states.async_set("person.anna", "home", {"user_id": user.id, "friendly_name": "Anna", "id": "anna"})
    return user


async def texts(memory: MemoryClient) -> list[str]:
    return [item.text for item in reversed((await memory.list(wire.ListRequest(), 10)).memories)]


class TestRemembering:
    async def test_what_somebody_asks_for_is_kept_as_it_was_said(
        self, home: HomeAssistant, somebody: Person, memory: MemoryClient, anna: MockUser
    ) -> None:
        somebody.where = {"context": Context(user_id=anna.id)}
        assert await somebody.hears(f" Remember that {BOILER}") == f"Remembered: {BOILER}"
        (kept,) = (await memory.list(wire.ListRequest(), 10)).memories
        assert (kept.text, kept.kind, kept.speaker, kept.scope) == (BOILER, "fact", "Anna", "household")
        assert kept.language == "en"

    async def test_saved_is_said_after_the_commit_and_never_when_nothing_was_saved(
        self,
        somebody: Person,
        memory_server: MemoryServer,
        memory: MemoryClient,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(answering, "CHANGE_SECONDS", 0.3)
        memory_server.freeze()
        answer = await somebody.hears(f"Remember that {BOILER}")
        memory_server.thaw()
        assert answer.startswith("I could not remember that")
        memory_server.kill()
        assert (await somebody.hears("Remember that it rained.")).startswith("I could not remember that")

    async def test_what_is_for_somebody_alone_is_theirs_and_nobodys_if_it_is_not_known_whose(
        self, somebody: Person, memory: MemoryClient, anna: MockUser
    ) -> None:
        present = "Remember just for me that the present is in the attic."
        assert "not remembered it" in await somebody.hears(present)
        assert await texts(memory) == []
        annas = Person(somebody.hass, context=Context(user_id=anna.id))
        assert (await annas.hears(present)).startswith("Remembered, for you alone")
        (kept,) = (await memory.list(wire.ListRequest(), 10)).memories
        assert kept.scope == "person:anna"

    async def test_nothing_is_kept_where_nothing_is_to_be_remembered(
        self,
        home: HomeAssistant,
        memory_server: MemoryServer,
        agent: RecordingAgent,
        add_entry: AddEntry,
        memory: MemoryClient,
    ) -> None:
        await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT, CONF_CAPTURE: "nothing"})
        assert await Person(home).hears(f"Remember that {BOILER}") == "Of course."
        assert await texts(memory) == []

    async def test_what_is_said_to_memory_is_no_turn_of_the_conversation(
        self,
        home: HomeAssistant,
        memory_server: MemoryServer,
        agent: RecordingAgent,
        add_entry: AddEntry,
        memory: MemoryClient,
    ) -> None:
        entry = await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT, CONF_CAPTURE: "both", "budget_ms": 2000})
        await Person(home).hears(f"Remember that {BOILER}")
        assert entry.runtime_data.captured.unsent == 0
        assert await texts(memory) == [BOILER]
        assert agent.turns == []


class TestForgetting:
    async def test_it_reads_back_the_exact_memory_and_forgets_it_after_a_yes(
        self, somebody: Person, memory: MemoryClient
    ) -> None:
        await somebody.hears(f"Remember that {BOILER}")
        await somebody.hears("Remember that Pickle is the cat.")
        asked = await somebody.asks("Forget that the boiler was serviced.")
        question = asked.response.speech["plain"]["speech"]
        assert BOILER in question
        assert question.endswith("Shall I forget that?")
        assert asked.continue_conversation
        assert len(await texts(memory)) == 2
        assert await somebody.hears("Yes.") == "It is forgotten."
        assert await texts(memory) == ["Pickle is the cat."]

    async def test_a_no_keeps_it(self, somebody: Person, memory: MemoryClient) -> None:
        await somebody.hears(f"Remember that {BOILER}")
        await somebody.hears("Forget about the boiler")
        assert await somebody.hears("No, thanks.") == "All right, I keep it."
        assert (
            await somebody.hears("Yes, forget it.")
            == "There is nothing that I have asked you about. Nothing was forgotten."
        )
        assert await texts(memory) == [BOILER]

    async def test_a_yes_after_more_than_a_minute_forgets_nothing(
        self, somebody: Person, memory: MemoryClient, freezer: FrozenDateTimeFactory
    ) -> None:
        await somebody.hears(f"Remember that {BOILER}")
        await somebody.hears("Forget about the boiler")
        freezer.tick(timedelta(seconds=61))
        assert "Nothing was forgotten" in await somebody.hears("Yes, forget it")
        assert await texts(memory) == [BOILER]

    async def test_a_yes_to_something_else_forgets_nothing(self, somebody: Person, memory: MemoryClient) -> None:
        await somebody.hears(f"Remember that {BOILER}")
        await somebody.hears("Forget about the boiler")
        await somebody.hears("Who is Pickle?")
        await somebody.hears("Yes.")
        assert await texts(memory) == [BOILER]

    async def test_somebody_elses_yes_forgets_nothing(
        self, home: HomeAssistant, somebody: Person, memory: MemoryClient, anna: MockUser
    ) -> None:
        await somebody.hears(f"Remember that {BOILER}")
        somebody.where = {"device_id": "kitchen"}
        await somebody.hears("Forget about the boiler")
        for other in (
            Person(home),
            Person(home, context=Context(user_id=anna.id)),
        ):
            other.conversation_id = None
            assert "Nothing was forgotten" in await other.hears("Yes, forget it")
        assert await texts(memory) == [BOILER]

    async def test_what_says_the_same_goes_with_it(self, somebody: Person, memory: MemoryClient) -> None:
        for said in (BOILER, BOILER.upper(), "The boiler is from 2019."):
            await somebody.hears(f"Remember that {said}")
        await somebody.hears("Forget that the boiler was serviced on the third of March")
        await somebody.hears("Yes")
        assert await texts(memory) == ["The boiler is from 2019."]

    async def test_the_last_thing_that_somebody_said_is_forgotten(
        self, home: HomeAssistant, somebody: Person, memory: MemoryClient, anna: MockUser
    ) -> None:
        await somebody.hears("Remember that Pickle is the cat.")
        user = Person(home, context=Context(user_id=anna.id))
        await user.hears(f"Remember that {BOILER}")
        await memory.remember(wire.RememberRequest(text="Ben's.", speaker="Ben", source="elsewhere"), 10)
        await memory.remember(wire.RememberRequest(text="Noted.", speaker="assistant", source="assist"), 10)
        assert "Pickle is the cat." in await somebody.hears("Forget the last thing")
        assert BOILER in await user.hears("Forget that.")
        assert await user.hears("Yes, please.") == "It is forgotten."
        assert BOILER not in await texts(memory)
        assert await user.hears("Forget the last thing.") == "There is nothing of yours that I could forget."

    async def test_what_is_not_there_cannot_be_forgotten(self, somebody: Person, memory: MemoryClient) -> None:
        assert "nothing was forgotten" in await somebody.hears("Forget that zebras have stripes.")

    async def test_what_is_gone_in_between_is_gone(self, somebody: Person, memory: MemoryClient) -> None:
        await somebody.hears(f"Remember that {BOILER}")
        await somebody.hears("Forget about the boiler")
        (kept,) = (await memory.list(wire.ListRequest(), 10)).memories
        await memory.forget(wire.ForgetRequest(memory_ids=(kept.id,)), 10)
        assert await somebody.hears("Yes") == "That was gone already."

    async def test_forgotten_is_not_said_if_it_is_not(self, somebody: Person, memory_server: MemoryServer) -> None:
        await somebody.hears(f"Remember that {BOILER}")
        await somebody.hears("Forget about the boiler")
        memory_server.kill()
        assert (await somebody.hears("Yes")).startswith("I could not forget it")
        for said in ("Forget about the boiler", "Forget the last thing"):
            assert await somebody.hears(said) == "I cannot look into my memory right now."

    async def test_forgotten_is_not_learned_again_from_the_next_sentence(
        self,
        home: HomeAssistant,
        memory_server: MemoryServer,
        agent: RecordingAgent,
        add_entry: AddEntry,
        memory: MemoryClient,
    ) -> None:
        entry = await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT, CONF_CAPTURE: "user", "budget_ms": 2000})
        person = Person(home)
        await person.hears("The gate code is 1234 since Monday.")
        await until(lambda: not entry.runtime_data.captured.unsent)
        await person.hears("Forget that the gate code is 1234 since Monday.")
        assert await person.hears("Yes") == "It is forgotten."
        await person.hears("The gate code is 1234 since Monday.")
        await until(lambda: not entry.runtime_data.captured.unsent)
        assert await texts(memory) == []


class TestPrivacy:
    async def test_private_memories_are_neither_told_nor_forgotten_by_another(
        self,
        home: HomeAssistant,
        memory_server: MemoryServer,
        add_entry: AddEntry,
        memory: MemoryClient,
        anna: MockUser,
        device_registry: dr.DeviceRegistry,
    ) -> None:
        entry = await add_entry(memory_server.entry_data, QUIET)
        speaker = device_registry.async_get_or_create(config_entry_id=entry.entry_id, identifiers={("test", "kitchen")})
        secret = "the present for Ben is in the attic."
        annas = Person(home, context=Context(user_id=anna.id))
        await annas.hears(f"Remember just for me that {secret}")
        ben = MockUser(name="ben").add_to_hass(home)
        others = (
            Person(home),
            Person(home, device_id=speaker.id),
            Person(home, context=Context(user_id=ben.id)),
            Person(
                home, device_id=speaker.id, satellite_id="assist_satellite.kitchen", context=Context(user_id=anna.id)
            ),
        )
        for other in others:
            for said in (
                "What do you know about the present?",
                "When did I hide the present?",
                "Forget about the present in the attic.",
                "Forget the last thing.",
                "Why do you think that?",
                "No, it is in the cellar.",
            ):
                assert "attic" not in (await other.hears(said)).replace(said, ""), said
            await other.hears("Yes")
        assert await texts(memory) == [secret]
        assert secret in await annas.hears("What do you know about the present?")

    async def test_what_a_model_may_repeat_of_them_stays_as_private(
        self,
        home: HomeAssistant,
        memory_server: MemoryServer,
        agent: RecordingAgent,
        add_entry: AddEntry,
        memory: MemoryClient,
        anna: MockUser,
    ) -> None:
        entry = await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT, CONF_CAPTURE: "both", "budget_ms": 2000})
        annas = Person(home, context=Context(user_id=anna.id))
        await annas.hears("Remember just for me that the present is in the attic.")
        await annas.hears("And what did I just tell you there?")
        await until(lambda: not entry.runtime_data.captured.unsent)
        answers = [item for item in (await memory.list(wire.ListRequest(), 10)).memories if item.text == "Of course."]
        assert [item.scope for item in answers] == ["person:anna"]


class TestAsking:
    async def test_what_it_knows_is_quoted_with_who_and_when(
        self, somebody: Person, memory: MemoryClient, anna: MockUser
    ) -> None:
        somebody.where = {"context": Context(user_id=anna.id)}
        await memory.remember(
            wire.RememberRequest(text=f"T{BOILER[1:]}", speaker="Anna", created_at="2025-03-04T18:30:00+00:00"), 10
        )
        answer = "On March 4, 2025, Anna said: The boiler was serviced on the third of March."
        assert await somebody.hears("What do you know about the boiler?") == answer
        assert await somebody.hears("When did we have the boiler serviced?") == answer

    async def test_why_do_you_think_that_names_the_source(
        self,
        home: HomeAssistant,
        somebody: Person,
        entry: MockConfigEntry,
        memory: MemoryClient,
        freezer: FrozenDateTimeFactory,
    ) -> None:
        assert await somebody.hears("Why do you think that?") == "My last answer came without my memory."
        said = wire.RememberRequest(
            text="The vet is on Monday.", speaker="Anna", area="Kitchen", created_at="2025-03-04T18:30:00+00:00"
        )
        await memory.remember(said, 10)
        await somebody.hears("When is the vet?")
        because = "Because of this: On March 4, 2025, Anna said (Kitchen): The vet is on Monday."
        assert await somebody.hears("Why do you think that?") == because
        assert await Person(home).hears("Why do you think that?") == "My last answer came without my memory."
        freezer.tick(timedelta(minutes=6))
        assert await somebody.hears("Why do you think that?") == "My last answer came without my memory."

    async def test_a_model_behind_it_answers_what_memory_is_not_sure_about(
        self,
        home: HomeAssistant,
        memory_server: MemoryServer,
        agent: RecordingAgent,
        add_entry: AddEntry,
        memory: MemoryClient,
    ) -> None:
        await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT, **QUIET})
        person = Person(home)
        for said in (
            "What do you know about penguins?",
            "When did I last see a penguin?",
            "Why do you think that?",
            "Yes",
            "No, it is blue",
        ):
            await person.hears(said)
        await person.hears(f"Remember that {BOILER}")
        assert BOILER in await person.hears("What do you know about the boiler?")
        assert len(agent.turns) == 4

    async def test_why_works_for_what_a_model_has_answered(
        self,
        home: HomeAssistant,
        memory_server: MemoryServer,
        agent: RecordingAgent,
        add_entry: AddEntry,
        memory: MemoryClient,
    ) -> None:
        await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT, **QUIET})
        person = Person(home)
        await memory.remember(wire.RememberRequest(text="The vet is on Monday.", speaker="Anna"), 10)
        assert await person.hears("Is the vet on Monday?") == "Of course."
        assert "Anna said: The vet is on Monday." in await person.hears("Why do you think that?")
        assert await person.hears("No, it is on Tuesday.") == "Of course."

    async def test_without_the_server_it_says_so_or_the_model_answers(
        self,
        home: HomeAssistant,
        memory_server: MemoryServer,
        agent: RecordingAgent,
        add_entry: AddEntry,
        somebody: Person,
    ) -> None:
        memory_server.kill()
        assert await somebody.hears("What do you know about the boiler?") == "I cannot look into my memory right now."

    async def test_the_model_answers_when_the_server_does_not(
        self, home: HomeAssistant, memory_server: MemoryServer, agent: RecordingAgent, add_entry: AddEntry
    ) -> None:
        await add_entry(memory_server.entry_data, {CONF_AGENT: AGENT, **QUIET})
        memory_server.kill()
        assert await Person(home).hears("What do you know about the boiler?") == "Of course."


class TestCorrecting:
    async def test_no_it_is_corrects_what_was_just_said(self, somebody: Person, memory: MemoryClient) -> None:
        await somebody.hears("Remember that swim practice is on Saturday.")
        answer = await somebody.hears("No, it is on Sunday.")
        assert answer == "Corrected: No, it is on Sunday. (instead of: swim practice is on Saturday.)"
        newest, oldest = (await memory.list(wire.ListRequest(), 10)).memories
        if newest.superseded_by:
            newest, oldest = oldest, newest
        assert (oldest.text, oldest.superseded_by) == ("swim practice is on Saturday.", newest.id)
        assert newest.text.startswith("No, it is on Sunday.")

    async def test_what_was_quoted_can_be_corrected_by_whoever_heard_it(
        self, home: HomeAssistant, somebody: Person, memory: MemoryClient
    ) -> None:
        await memory.remember(wire.RememberRequest(text="The vet is on Monday.", memory_id="vet"), 10)
        await somebody.hears("What do you know about the vet?")
        await Person(home).hears("No, it is on Friday.")
        assert (await somebody.hears("No, it is on Tuesday.")).startswith("Corrected: No, it is on Tuesday.")
        by_id = {item.id: item for item in (await memory.list(wire.ListRequest(), 10)).memories}
        assert (
            by_id[by_id["vet"].superseded_by or ""].text == "No, it is on Tuesday. (instead of: The vet is on Monday.)"
        )

    @pytest.mark.parametrize(
        ("code", "answer"),
        [
            ("conflict", "That was corrected already."),
            ("not_found", "That was gone already."),
            ("storage", "I could not remember that"),
        ],
    )
    async def test_what_cannot_be_corrected_is_said(
        self, code: str, answer: str, home: HomeAssistant, add_entry: AddEntry
    ) -> None:
        """A server that keeps one memory, and then no more."""

        async def answers(request: wire.Frame) -> list[wire.Message]:
            if request.type == wire.StatusRequest.event_type:
                return [faults.status(request)]
            if request.type == wire.ForgetRequest.event_type or request.data.get("corrects"):
                return [wire.Failure(id=request.data["id"], text="Because.", code=code)]
            if request.type == wire.RecallRequest.event_type:
                item = wire.MemoryItem(id="x", text="It is so.", created_at="2026-01-01T00:00:00+00:00", score=1.0)
                return [
                    wire.Context(
                        id=request.data["id"], context="", memories=(item,), timings=wire.Timings(), backend="cpu"
                    )
                ]
            return [wire.Stored(id=request.data["id"], memory_id="x", outcome=wire.Outcome.STORED)]

        async with faults.listening(faults.memory_server(answers)) as port:
            entry = await add_entry({"host": "127.0.0.1", "port": port, "token": faults.TOKEN}, QUIET)
            person = Person(home)
            assert await person.hears("Remember that it is so.") == "Remembered: it is so."
            assert (await person.hears("No, it is not.")).startswith(answer)
            await person.hears("Forget that it is so.")
            expected = "That was gone already." if code == "not_found" else "I could not forget it"
            assert (await person.hears("Yes")).startswith(expected)
            await home.config_entries.async_unload(entry.entry_id)

    async def test_a_correction_without_a_server_is_not_said_to_be_done(
        self, somebody: Person, memory_server: MemoryServer
    ) -> None:
        await somebody.hears("Remember that swim practice is on Saturday.")
        memory_server.kill()
        assert (await somebody.hears("No, it is on Sunday.")).startswith("I could not remember that")


CONVERSATIONS = [
    (
        "de",
        "Merk dir, dass der Kessel am dritten März gewartet wurde.",
        "Gemerkt: der Kessel am dritten März gewartet wurde.",
        "Was weißt du über den Kessel?",
        "Vergiss, dass der Kessel gewartet wurde.",
        "Soll ich das vergessen?",
        "Ja, bitte.",
        "Es ist vergessen.",
    ),
    (
        "fr-FR",
        "Souviens-toi que la chaudière a été révisée le trois mars.",
        "C'est retenu : la chaudière a été révisée le trois mars.",
        "Que sais-tu de la chaudière ?",
        "Oublie que la chaudière a été révisée.",
        "Dois-je l'oublier ?",
        "Oui.",
        "C'est oublié.",
    ),
    (
        "es",
        "Recuerda que la caldera se revisó el tres de marzo.",
        "Recordado: la caldera se revisó el tres de marzo.",
        "¿Qué sabes de la caldera?",
        "Olvida que la caldera se revisó.",
        "¿Debo olvidarlo?",
        "Sí.",
        "Está olvidado.",
    ),
    (
        "nl",
        "Onthoud dat de ketel op drie maart is nagekeken.",
        "Onthouden: de ketel op drie maart is nagekeken.",
        "Wat weet je over de ketel?",
        "Vergeet dat de ketel is nagekeken.",
        "Zal ik dat vergeten?",
        "Ja, graag.",
        "Het is vergeten.",
    ),
]


@pytest.mark.parametrize(
    ("language", "remember", "remembered", "about", "forget", "question", "yes", "forgotten"), CONVERSATIONS
)
async def test_it_speaks_the_language_of_the_turn(
    language: str,
    remember: str,
    remembered: str,
    about: str,
    forget: str,
    question: str,
    yes: str,
    forgotten: str,
    somebody: Person,
    memory: MemoryClient,
) -> None:
    kept = remembered.partition(": ")[2]
    assert await somebody.hears(remember, language) == remembered
    assert kept in await somebody.hears(about, language)
    asked = await somebody.hears(forget, language)
    assert kept in asked
    assert asked.endswith(question)
    assert await somebody.hears(yes, language) == forgotten
    assert await texts(memory) == []


async def test_a_language_without_sentences_is_left_to_the_agent_and_answered_in_english(somebody: Person) -> None:
    assert await somebody.hears("Remember that it rained.", "it") == "I have found nothing about that in my memory."

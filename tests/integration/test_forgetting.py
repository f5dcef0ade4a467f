"""Forgetting by an action: what is chosen, what is shown before, and what is gone afterwards."""

from datetime import timedelta
from typing import Any

from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import ServiceValidationError, Unauthorized
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser

from custom_components.npu_memory import wire
from custom_components.npu_memory.actions import forgetting
from custom_components.npu_memory.client import MemoryClient
from custom_components.npu_memory.const import DOMAIN
from tests.integration.conftest import AddEntry
from tests.integration.memory_server import MemoryServer


@pytest.fixture
async def entry(memory_server: MemoryServer, add_entry: AddEntry) -> MockConfigEntry:
    return await add_entry(memory_server.entry_data)


async def act(hass: HomeAssistant, action: str, context: Context | None = None, **data: Any) -> Any:
    return await hass.services.async_call(DOMAIN, action, data, blocking=True, return_response=True, context=context)


async def texts(memory: MemoryClient) -> set[str]:
    return {item.text for item in (await memory.list(wire.ListRequest(), 10)).memories}


async def test_what_a_query_would_forget_is_shown_first_and_gone_only_when_told(
    home: HomeAssistant, entry: MockConfigEntry, memory: MemoryClient
) -> None:
    for text in ("The boiler is a Vaillant.", "Oma Ilse likes quince jam."):
        await act(home, "remember", text=text)
    shown = await act(home, "forget", text="Which jam does Oma Ilse like?", min_relevance=0.05, top_k=1)
    assert (shown["dry_run"], shown["count"]) == (True, 1)
    assert [found["text"] for found in shown["memories"]] == ["Oma Ilse likes quince jam."]
    assert len(await texts(memory)) == 2
    gone = await act(home, "forget", text="Which jam does Oma Ilse like?", min_relevance=0.05, top_k=1, dry_run=False)
    assert gone == {"dry_run": False, "count": 1, "memory_ids": [shown["memories"][0]["id"]]}
    assert await texts(memory) == {"The boiler is a Vaillant."}


async def test_what_is_old_is_forgotten_by_its_age(
    home: HomeAssistant, entry: MockConfigEntry, memory: MemoryClient
) -> None:
    for days in (1, 40, 400):
        moment = dt_util.now() - timedelta(days=days)
        await act(home, "remember", text=f"Said {days} days ago.", created_at=moment.isoformat())
    assert (await act(home, "forget", older_than={"days": 30}))["count"] == 2
    assert (await act(home, "forget", older_than={"days": 30}, dry_run=False))["count"] == 2
    assert await texts(memory) == {"Said 1 days ago."}


async def test_what_a_person_said_or_owns_is_forgotten_and_nothing_else(
    home: HomeAssistant, entry: MockConfigEntry, memory: MemoryClient
) -> None:
    await act(home, "remember", text="I like tea.", speaker="Anna")
    await act(home, "remember", text="I like coffee.", speaker="Ben")
    await act(home, "remember", text="My diary is blue.", speaker="Ben", scope="person:Ben", kind="fact")
    assert (await act(home, "forget", speaker="Ben", kind="turn"))["count"] == 0
    assert (await act(home, "forget", scopes=["person:Ben"], dry_run=False))["count"] == 1
    assert await texts(memory) == {"I like tea.", "I like coffee."}
    assert (await act(home, "forget", speaker="Ben", dry_run=False))["count"] == 1
    assert await texts(memory) == {"I like tea."}


async def test_all_given_choices_must_hold(home: HomeAssistant, entry: MockConfigEntry, memory: MemoryClient) -> None:
    old = (dt_util.now() - timedelta(days=9)).isoformat()
    await act(home, "remember", text="The tea is in the left cupboard.", speaker="Anna", created_at=old)
    await act(home, "remember", text="The tea is in the right cupboard.", speaker="Ben", created_at=old)
    await act(home, "remember", text="The tea is in the middle cupboard.", speaker="Anna")
    shown = await act(
        home, "forget", text="Where is the tea?", min_relevance=0, speaker="Anna", older_than={"days": 1}, top_k=50
    )
    assert [found["text"] for found in shown["memories"]] == ["The tea is in the left cupboard."]


async def test_ids_can_be_looked_at_before_they_go(
    home: HomeAssistant, entry: MockConfigEntry, memory: MemoryClient
) -> None:
    kept = await act(home, "remember", text="The key is with Mrs. Park.")
    shown = await act(home, "forget", memory_ids=[kept["memory_id"]], dry_run=True)
    assert [found["text"] for found in shown["memories"]] == ["The key is with Mrs. Park."]
    assert len(await texts(memory)) == 1


async def test_more_than_one_request_holds_is_forgotten_in_several(
    home: HomeAssistant, entry: MockConfigEntry, memory: MemoryClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "MAX_FORGOTTEN", 2)
    for number in range(5):
        await act(home, "remember", text=f"Number {number}.", speaker="Test")
    assert (await act(home, "forget", speaker="Test", dry_run=False))["count"] == 5
    assert await texts(memory) == set()


async def test_forgotten_is_not_learned_again_from_the_next_turn(
    home: HomeAssistant, entry: MockConfigEntry, memory: MemoryClient
) -> None:
    kept = await act(home, "remember", text="The gate code is 1234.", kind="turn")
    await act(home, "forget", memory_ids=[kept["memory_id"]])
    again = await act(home, "remember", text="the gate code is 1234.", kind="turn")
    assert again["outcome"] == "forgotten"
    assert await texts(memory) == set()


async def test_a_correction_keeps_what_was_true_and_until_when(
    home: HomeAssistant, entry: MockConfigEntry, memory: MemoryClient
) -> None:
    old = await act(home, "remember", text="Swim practice is on Saturday.")
    new = await act(home, "correct", memory_id=old["memory_id"], text="Swim practice is on Sunday.")
    assert (new["outcome"], new["corrected"]) == ("stored", old["memory_id"])
    by_id = {m.id: m for m in (await memory.list(wire.ListRequest(), 10)).memories}
    assert by_id[old["memory_id"]].superseded_by == new["memory_id"]
    assert by_id[old["memory_id"]].valid_to is not None
    with pytest.raises(ServiceValidationError) as caught:
        await act(home, "correct", memory_id=old["memory_id"], text="Swim practice is on Monday.")
    assert caught.value.translation_key == "conflict"
    with pytest.raises(ServiceValidationError) as caught:
        await act(home, "correct", memory_id="unknown", text="Swim practice is on Monday.")
    assert caught.value.translation_key == "not_found"


async def test_only_an_administrator_has_others_memories_forgotten(
    home: HomeAssistant, entry: MockConfigEntry, hass_read_only_user: MockUser
) -> None:
    with pytest.raises(Unauthorized):
        await act(home, "forget", Context(user_id=hass_read_only_user.id), speaker="Ben", dry_run=False)


async def test_nobody_reads_or_writes_another_persons_memories(
    home: HomeAssistant, entry: MockConfigEntry, hass_read_only_user: MockUser, hass_admin_user: MockUser
) -> None:
    """Whoever is asked for an action is a user; an automation is the house itself."""
    home.states.async_set(
        "person.anna", "home", {"id": "anna", "user_id": hass_read_only_user.id, "friendly_name": "Anna"}
    )
    anna, admin = Context(user_id=hass_read_only_user.id), Context(user_id=hass_admin_user.id)
    for scope in ("person:anna", "person:ben"):
        await act(home, "remember", text=f"The secret of {scope}.", scope=scope)
    for action, data in (
        ("recall", {"scopes": ["household", "person:ben"]}),
        ("get_context", {"scopes": ["person:ben"]}),
        ("remember", {"scope": "person:ben"}),
    ):
        with pytest.raises(ServiceValidationError) as caught:
            await act(home, action, anna, text="The secret.", **data)
        assert caught.value.translation_key == "not_your_memories"
    own = await act(home, "recall", anna, text="The secret.", scopes=["household", "person:anna"], budget_ms=5000)
    assert [found["scope"] for found in own["memories"]] == ["person:anna"]
    for context in (admin, None):
        found = await act(home, "recall", context, text="The secret.", scopes=["person:ben"], budget_ms=5000)
        assert [one["scope"] for one in found["memories"]] == ["person:ben"]


async def test_secrets_come_masked_unless_they_are_asked_for(home: HomeAssistant, entry: MockConfigEntry) -> None:
    await act(home, "remember", text="The PIN of the alarm is 4711.")
    asked = {"text": "What is the PIN of the alarm?", "budget_ms": 5000}
    (masked,) = (await act(home, "recall", **asked))["memories"]
    (plain,) = (await act(home, "recall", **asked, allow_secrets=True))["memories"]
    assert ("4711" in masked["text"], "4711" in plain["text"]) == (False, True)
    context = await act(home, "get_context", **asked, max_tokens=200, reranker="none", speaker="Anna", language="en")
    assert "4711" not in context["context"]

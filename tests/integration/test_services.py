"""The actions, as automations and the developer tools call them."""

from datetime import datetime
from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.setup import async_setup_component
import probatio
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.npu_memory import wire
from custom_components.npu_memory.client import MemoryClient
from custom_components.npu_memory.const import DOMAIN
from custom_components.npu_memory.wire import ErrorCode
from tests.integration import faults
from tests.integration.conftest import AddEntry
from tests.integration.memory_server import MemoryServer

HEATING = "The heating was serviced in March."


@pytest.fixture
async def entry(memory_server: MemoryServer, add_entry: AddEntry) -> MockConfigEntry:
    return await add_entry(memory_server.entry_data)


async def act(hass: HomeAssistant, action: str, **data: Any) -> Any:
    return await hass.services.async_call(DOMAIN, action, data, blocking=True, return_response=True)


async def test_what_is_remembered_can_be_recalled(home: HomeAssistant, entry: MockConfigEntry) -> None:
    stored = await act(
        home,
        "remember",
        text=f" {HEATING} ",
        speaker="Anna",
        kind="fact",
        tags=["heating", "service"],
        created_at="2026-03-03 18:30:00",
    )
    assert stored["outcome"] == "stored"
    (found,) = (await act(home, "recall", text="When was the heating serviced?", budget_ms=5000))["memories"]
    assert found["id"] == stored["memory_id"]
    assert (found["text"], found["speaker"], found["kind"]) == (HEATING, "Anna", "fact")
    assert (found["tags"], found["source"], found["scope"]) == (["heating", "service"], "action", "household")
    assert datetime.fromisoformat(found["created_at"]) == datetime.fromisoformat("2026-03-03T18:30:00-08:00")


async def test_the_context_comes_with_where_the_time_went(home: HomeAssistant, entry: MockConfigEntry) -> None:
    await act(home, "remember", text=HEATING, created_at="2026-03-03T18:30:00+01:00")
    answer = await act(
        home, "get_context", text="heating", top_k=1, strategy="lexical", min_relevance=0.1, budget_ms=5000
    )
    assert HEATING in answer["context"]
    assert [memory["text"] for memory in answer["memories"]] == [HEATING]
    assert answer["timings"]["total"] > 0
    assert answer["backend"]
    assert answer["degraded"] == ""
    nothing = await act(home, "get_context", text="zebra", strategy="lexical", budget_ms=5000)
    assert nothing["memories"] == []


async def test_every_memory_says_why_it_was_chosen_where_that_is_asked(
    home: HomeAssistant, entry: MockConfigEntry
) -> None:
    await act(home, "remember", text=HEATING)
    question = {"text": "When was the heating serviced?", "budget_ms": 5000}
    (found,) = (await act(home, "get_context", **question))["memories"]
    assert 0 < found["why"]["lexical"] <= 1
    assert found["why"]["place"] == 1
    assert found["why"]["repeats"] == []
    assert all(isinstance(value, float) for value in found["why"]["contributions"].values())
    assert "why" not in (await act(home, "recall", **question))["memories"][0]
    assert "why" in (await act(home, "recall", **question, explain=True))["memories"][0]


async def test_a_correction_replaces_what_was_true_before(
    home: HomeAssistant, entry: MockConfigEntry, memory: MemoryClient
) -> None:
    old = await act(home, "remember", text="The code of the locker is 4711.")
    new = await act(home, "remember", text="The code of the locker is 1234.", corrects=old["memory_id"])
    by_id = {m.id: m for m in (await memory.list(wire.ListRequest(), 10)).memories}
    assert by_id[old["memory_id"]].superseded_by == new["memory_id"]


async def test_memories_are_forgotten_all_or_none(
    home: HomeAssistant, entry: MockConfigEntry, memory: MemoryClient
) -> None:
    ids = [(await act(home, "remember", text=f"Number {number}."))["memory_id"] for number in range(3)]
    with pytest.raises(ServiceValidationError) as caught:
        await act(home, "forget", memory_ids=[ids[0], "unknown"])
    assert caught.value.translation_key == "not_found"
    assert (await memory.status(10)).memories == 3
    assert await act(home, "forget", memory_ids=ids[:2]) == {"dry_run": False, "count": 2, "memory_ids": ids[:2]}
    assert (await memory.status(10)).memories == 1


async def test_changes_need_no_response_and_questions_do(home: HomeAssistant, entry: MockConfigEntry) -> None:
    await home.services.async_call(DOMAIN, "remember", {"text": HEATING}, blocking=True)
    for action in ("recall", "get_context"):
        with pytest.raises(ServiceValidationError):
            await home.services.async_call(DOMAIN, action, {"text": "heating"}, blocking=True)


@pytest.mark.parametrize(
    ("action", "data"),
    [
        ("recall", {}),
        ("recall", {"text": "  "}),
        ("recall", {"text": "x" * (wire.MAX_TEXT_CHARACTERS + 1)}),
        ("recall", {"text": "x", "top_k": 0}),
        ("recall", {"text": "x", "top_k": wire.MAX_TOP_K + 1}),
        ("recall", {"text": "x", "strategy": "guessing"}),
        ("recall", {"text": "x", "min_relevance": 2}),
        ("recall", {"text": "x", "budget_ms": 0}),
        ("remember", {"text": "x", "kind": "rumor"}),
        ("remember", {"text": "x", "scope": "everybody"}),
        ("remember", {"text": "x", "scope": "household\n"}),
        ("remember", {"text": "x", "created_at": "yesterday"}),
        ("remember", {"text": "x", "corrects": "not an id"}),
        ("recall", {"text": "x", "scopes": ["everybody"]}),
        ("recall", {"text": "x", "scopes": []}),
        ("recall", {"text": "x", "reranker": "guessing"}),
        ("get_context", {"text": "x", "max_tokens": 1}),
        ("remember", {"text": "x", "expires_at": "soon"}),
        ("correct", {"text": "x"}),
        ("correct", {"memory_id": "x"}),
        ("forget", {}),
        ("forget", {"dry_run": True}),
        ("forget", {"kind": "note"}),
        ("forget", {"memory_ids": ["x"], "text": "x"}),
        ("forget", {"older_than": "-1:00:00"}),
        ("forget", {"memory_ids": []}),
        ("forget", {"memory_ids": ["not an id"]}),
    ],
)
async def test_what_makes_no_sense_is_refused_before_it_is_sent(
    action: str, data: dict[str, Any], home: HomeAssistant, entry: MockConfigEntry
) -> None:
    with pytest.raises(probatio.Invalid):
        await act(home, action, **data)


async def test_what_only_the_server_can_refuse_is_told(home: HomeAssistant, entry: MockConfigEntry) -> None:
    with pytest.raises(ServiceValidationError) as caught:
        await act(home, "remember", text="zero\0")
    assert caught.value.translation_key == "invalid_request"
    assert "text" in str(caught.value)


async def test_the_entry_is_named_where_there_are_several(
    home: HomeAssistant, entry: MockConfigEntry, memory_server: MemoryServer, add_entry: AddEntry
) -> None:
    second = await add_entry(memory_server.entry_data, unique_id="second")
    with pytest.raises(ServiceValidationError):
        await act(home, "recall", text="heating")
    assert await act(home, "recall", text="heating", config_entry_id=second.entry_id) == {"memories": []}
    await home.config_entries.async_unload(second.entry_id)
    with pytest.raises(ServiceValidationError):
        await act(home, "recall", text="heating", config_entry_id=second.entry_id)


@pytest.mark.parametrize("action", ["remember", "forget", "recall"])
async def test_a_server_that_is_gone_is_told(
    action: str, home: HomeAssistant, entry: MockConfigEntry, memory_server: MemoryServer
) -> None:
    memory_server.kill()
    data = {"memory_ids": ["x"]} if action == "forget" else {"text": "x"}
    with pytest.raises(HomeAssistantError) as caught:
        await act(home, action, **data)
    assert caught.value.translation_key == "cannot_connect"
    assert "cannot be reached" in str(caught.value)


@pytest.mark.parametrize("code", list(ErrorCode))
async def test_every_error_of_the_server_has_its_own_sentence(
    code: ErrorCode, home: HomeAssistant, add_entry: AddEntry
) -> None:
    async def answers(request: wire.Frame) -> list[wire.Message]:
        if request.type == wire.StatusRequest.event_type:
            return [faults.status(request)]
        return [wire.Failure(id=request.data["id"], text="Because.", code=code)]

    async with faults.listening(faults.memory_server(answers)) as port:
        entry = await add_entry({"host": "127.0.0.1", "port": port, "token": faults.TOKEN})
        with pytest.raises(HomeAssistantError) as caught:
            await act(home, "recall", text="heating")
        await home.config_entries.async_unload(entry.entry_id)
    assert caught.value.translation_key == code
    assert len(str(caught.value).split()) > 4
    assert isinstance(caught.value, ServiceValidationError) is (code in ("invalid_request", "not_found", "conflict"))


async def test_the_actions_are_there_before_any_entry(home: HomeAssistant) -> None:
    assert await async_setup_component(home, DOMAIN, {})
    with pytest.raises(ServiceValidationError):
        await act(home, "recall", text="heating")

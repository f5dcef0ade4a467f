"""The panel: an administrator looks through memories, corrects, merges and forgets them; nobody else does."""

import asyncio
from datetime import datetime
from typing import Any

from homeassistant.components.frontend import async_panel_exists
from homeassistant.config_entries import ConfigEntryDisabler
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator, WebSocketGenerator

from custom_components.npu_memory import wire
from custom_components.npu_memory.client import MemoryClient
from custom_components.npu_memory.const import DOMAIN
from custom_components.npu_memory.panel.sidebar import FILES, PANEL
from tests.integration.conftest import AddEntry
from tests.integration.memory_server import MemoryServer
from tests.integration.waiting import LIMIT_SECONDS

KEY = "The spare key is under the blue flowerpot."
COMMANDS: list[tuple[str, dict[str, Any]]] = [
    ("servers", {}),
    ("memories/list", {}),
    ("memories/search", {"text": "key"}),
    ("memories/history", {"memory_id": "x"}),
    ("memories/correct", {"memory_id": "x", "text": "y"}),
    ("memories/forget", {"memory_ids": ["x"]}),
    ("memories/merge", {"kept": "x", "others": ["y"], "forget": True}),
    ("corrections/list", {}),
    ("corrections/settle", {"old_id": "x", "new_id": "y", "accept": True}),
]
HOSTILE: list[tuple[str, dict[str, Any]]] = [
    ("memories/list", {"limit": 0}),
    ("memories/list", {"limit": wire.MAX_PAGE + 1}),
    ("memories/list", {"cursor": "x" * 65}),
    ("memories/list", {"scopes": ["everybody"]}),
    ("memories/list", {"scopes": [f"area:{number}" for number in range(17)]}),
    ("memories/list", {"kind": "rumor"}),
    ("memories/list", {"speaker": "x" * 257}),
    ("memories/list", {"speaker": {"or": 1}}),
    ("memories/history", {"memory_id": "../../secrets"}),
    ("memories/history", {"memory_id": "x\n"}),
    ("memories/forget", {"memory_ids": []}),
    ("memories/forget", {"memory_ids": ["x", "x"]}),
    ("memories/forget", {"memory_ids": [str(number) for number in range(201)]}),
    ("memories/forget", {"memory_ids": [["x"]]}),
    ("memories/merge", {"kept": "' OR 1=1 --", "others": ["y"], "forget": True}),
    ("memories/merge", {"kept": "x", "others": ["y"], "forget": "maybe"}),
    ("corrections/list", {"state": "guessed"}),
    ("corrections/settle", {"old_id": "x", "new_id": "y"}),
    ("memories/search", {}),
]


class Panel:
    """Asks as the panel does, over one websocket connection, about one server."""

    def __init__(self, websocket: Any, entry_id: str) -> None:
        self.websocket = websocket
        self.entry_id = entry_id

    async def answer(self, command: str, **data: Any) -> dict[str, Any]:
        server = {} if command == "servers" else {"entry_id": self.entry_id}
        await self.websocket.send_json_auto_id({"type": f"npu_memory/{command}", **server, **data})
        return dict(await self.websocket.receive_json())

    async def ask(self, command: str, **data: Any) -> dict[str, Any]:
        answer = await self.answer(command, **data)
        assert answer["success"], answer
        return dict(answer["result"])

    async def error(self, command: str, **data: Any) -> dict[str, Any]:
        answer = await self.answer(command, **data)
        assert not answer["success"], answer
        return dict(answer["error"])

    async def texts(self, command: str = "memories/list", **data: Any) -> list[str]:
        return [memory["text"] for memory in (await self.ask(command, **data))["memories"]]


@pytest.fixture
async def frontend(home: HomeAssistant) -> None:
    assert await async_setup_component(home, "frontend", {})


@pytest.fixture
async def entry(frontend: None, memory_server: MemoryServer, add_entry: AddEntry) -> MockConfigEntry:
    return await add_entry(memory_server.entry_data)


@pytest.fixture
async def panel(home: HomeAssistant, entry: MockConfigEntry, hass_ws_client: WebSocketGenerator) -> Panel:
    return Panel(await hass_ws_client(home), entry.entry_id)


async def tell(memory: MemoryClient, text: str, **fields: Any) -> str:
    return (await memory.remember(wire.RememberRequest(text=text, **fields), 10)).memory_id


# In the sidebar


async def test_the_panel_is_there_while_a_server_is_set_up_however_many_there_are(
    home: HomeAssistant, entry: MockConfigEntry, memory_server: MemoryServer, add_entry: AddEntry
) -> None:
    second = await add_entry(memory_server.entry_data, unique_id="second")
    assert async_panel_exists(home, PANEL)
    await home.config_entries.async_remove(entry.entry_id)
    assert async_panel_exists(home, PANEL)
    await home.config_entries.async_set_disabled_by(second.entry_id, ConfigEntryDisabler.USER)
    await home.async_block_till_done()
    assert not async_panel_exists(home, PANEL)
    await home.config_entries.async_set_disabled_by(second.entry_id, None)
    await home.async_block_till_done()
    assert async_panel_exists(home, PANEL)
    await home.config_entries.async_remove(second.entry_id)
    await home.async_block_till_done()
    assert not async_panel_exists(home, PANEL)


async def test_the_panel_and_its_files_are_for_administrators_and_come_from_this_house(
    home: HomeAssistant, panel: Panel, hass_client: ClientSessionGenerator
) -> None:
    await panel.websocket.send_json_auto_id({"type": "get_panels"})
    found = (await panel.websocket.receive_json())["result"][PANEL]
    assert (found["require_admin"], found["title"], found["component_name"]) == (True, "NPU Memory", "custom")
    assert found["config"]["_panel_custom"]["name"] == "npu-memory-panel"
    address = found["config"]["_panel_custom"]["module_url"]
    browser = await hass_client()
    for file in FILES.iterdir():
        response = await browser.get(address.replace("panel.js", file.name))
        assert response.status == 200
        assert "javascript" in response.headers["Content-Type"]
        assert await response.text() == file.read_text()
    assert (await browser.get(address.replace("panel.js", "../sidebar.py"))).status == 404


async def test_a_house_without_a_frontend_has_no_panel_and_misses_nothing(
    home: HomeAssistant, memory_server: MemoryServer, add_entry: AddEntry
) -> None:
    await add_entry(memory_server.entry_data)
    assert not async_panel_exists(home, PANEL)
    assert home.services.has_service(DOMAIN, "recall")


async def test_nobody_but_an_administrator_gets_an_answer(
    home: HomeAssistant,
    entry: MockConfigEntry,
    memory: MemoryClient,
    hass_ws_client: WebSocketGenerator,
    hass_read_only_access_token: str,
) -> None:
    await tell(memory, KEY)
    guest = Panel(await hass_ws_client(home, hass_read_only_access_token), entry.entry_id)
    for command, data in COMMANDS:
        assert (await guest.error(command, **data))["code"] == "unauthorized"
    assert (await memory.status(10)).memories == 1
    await guest.websocket.send_json_auto_id({"type": "get_panels"})
    assert PANEL not in (await guest.websocket.receive_json())["result"]


# Looking


async def test_an_administrator_sees_everybodys_memories_with_all_that_is_known_of_them(
    panel: Panel, memory: MemoryClient
) -> None:
    await tell(memory, KEY, speaker="Nora", source="kitchen", created_at="2026-01-01T10:00:00+01:00")
    await tell(memory, "I am allergic to nuts.", scope="person:anna", expires_at="2036-01-01T00:00:00+01:00")
    assert (await panel.ask("servers"))["servers"] == [{"entry_id": panel.entry_id, "title": "NPU Memory"}]
    page = await panel.ask("memories/list", overview=True)
    assert (page["total"], page["next_cursor"]) == (2, None)
    assert (page["scopes"], page["speakers"]) == (["household", "person:anna"], ["Nora"])
    nuts, key = page["memories"]
    assert (key["text"], key["speaker"], key["source"]) == (KEY, "Nora", "kitchen")
    assert (nuts["scope"], nuts["valid_to"]) == ("person:anna", None)
    assert datetime.fromisoformat(nuts["expires_at"]) == datetime.fromisoformat("2036-01-01T00:00:00+01:00")
    assert "scopes" not in await panel.ask("memories/list")


async def test_many_memories_come_page_after_page_each_of_them_once(panel: Panel, memory: MemoryClient) -> None:
    for number in range(25):
        await tell(memory, f"Number {number}.", created_at=f"2026-01-01T10:00:{number:02}+01:00")
    texts: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await panel.ask("memories/list", limit=10, include_past=True, **cursor)
        assert page["total"] == 25
        texts += [one["text"] for one in page["memories"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert texts == [f"Number {number}." for number in reversed(range(25))]


async def test_memories_are_filtered_in_the_list_and_in_the_search(panel: Panel, memory: MemoryClient) -> None:
    await tell(memory, "The key of the shed hangs in the hall.", speaker="Nora", kind=wire.Kind.FACT)
    await tell(memory, "The key of my diary is mine.", speaker="Anna", scope="person:anna", kind=wire.Kind.NOTE)
    old = await tell(memory, "The key of the car is on the shelf.", speaker="Nora")
    await tell(memory, "The key of the car is in the drawer.", speaker="Nora", corrects=old)
    for command, given in (("memories/list", {}), ("memories/search", {"text": "where is the key"})):
        assert len(await panel.texts(command, **given)) == 3
        assert len(await panel.texts(command, include_past=True, **given)) == 4
        assert await panel.texts(command, scopes=["person:anna"], **given) == ["The key of my diary is mine."]
        assert await panel.texts(command, speaker="Anna", **given) == ["The key of my diary is mine."]
        assert await panel.texts(command, kind="fact", **given) == ["The key of the shed hangs in the hall."]
        assert await panel.texts(command, speaker="Nobody", **given) == []


async def test_a_search_finds_the_best_first_among_more_scopes_than_one_question_takes(
    panel: Panel, memory: MemoryClient
) -> None:
    for number in range(20):
        await tell(memory, f"The lamp of room {number} is broken.", scope=f"area:room_{number:02}")
    await tell(memory, KEY, scope="area:zoo")
    found = (await panel.ask("memories/search", text="Where is the spare key?"))["memories"]
    assert found[0]["text"] == KEY
    assert 0 < found[0]["score"] <= 1
    assert "repeats" in found[0]["why"]
    scores = [one["score"] for one in found]
    assert scores == sorted(scores, reverse=True)


async def test_whoever_looks_for_what_to_forget_sees_secrets_and_repetitions(
    panel: Panel, memory: MemoryClient
) -> None:
    first = await tell(memory, "The PIN of the alarm is 4711.")
    second = await tell(memory, "the pin of the alarm is 4711")
    found = (await panel.ask("memories/search", text="PIN of the alarm"))["memories"]
    assert {one["id"] for one in found} == {first, second}
    assert all("4711" in one["text"] and "secret" in one["flags"] for one in found)
    assert {tuple(one["why"]["repeats"]) for one in found} == {(first,), (second,)}


# Changing


async def test_a_correction_keeps_the_earlier_text_and_whose_it_is(panel: Panel, memory: MemoryClient) -> None:
    old = await tell(
        memory, KEY, kind=wire.Kind.TURN, speaker="Anna", scope="person:anna", session="s", tags=("key",), language="en"
    )
    answer = await panel.ask("memories/correct", memory_id=old, text="The spare key is with Annelies.")
    new, before = answer["memories"]
    assert (new["id"], before["id"]) == (answer["memory_id"], old)
    assert (before["superseded_by"], before["text"]) == (new["id"], KEY)
    assert before["valid_to"] is not None
    assert (new["text"], new["speaker"], new["scope"]) == ("The spare key is with Annelies.", "Anna", "person:anna")
    assert (new["kind"], new["source"], new["session"], new["tags"]) == ("note", "panel", None, ["key"])
    assert await panel.texts() == ["The spare key is with Annelies."]
    assert (await panel.ask("memories/history", memory_id=old))["memories"] == answer["memories"]
    assert (await panel.error("memories/correct", memory_id=old, text="Again."))["translation_key"] == "conflict"


async def test_what_was_forgotten_is_gone_with_all_that_was_made_of_it_or_nothing_is(
    panel: Panel, memory: MemoryClient
) -> None:
    source = await tell(memory, "I take two sugars in my coffee.")
    derived = await memory.derive(wire.DeriveRequest(text="Two sugars in coffee.", derived_from=(source,)), 10)
    other = await tell(memory, KEY)
    assert (await panel.error("memories/forget", memory_ids=[source, "gone"]))["translation_key"] == "not_found"
    assert (await memory.status(10)).memories == 3
    gone = (await panel.ask("memories/forget", memory_ids=[source]))["memory_ids"]
    assert gone == [source, derived.memory_id]
    assert [one["id"] for one in (await panel.ask("memories/list"))["memories"]] == [other]


@pytest.mark.parametrize("kept", [0, 1])
async def test_of_memories_that_say_the_same_one_is_kept_and_the_others_are_its_history(
    kept: int, panel: Panel, memory: MemoryClient
) -> None:
    ids = [await tell(memory, KEY), await tell(memory, KEY.lower())]
    merged = {"kept": ids[kept], "others": [ids[1 - kept]], "forget": False}
    assert (await panel.ask("memories/merge", **merged))["memory_ids"] == []
    (left,) = (await panel.ask("memories/list"))["memories"]
    assert left["id"] == ids[kept]
    assert {one["id"] for one in (await panel.ask("memories/history", memory_id=ids[1 - kept]))["memories"]} == {*ids}
    made = (await panel.ask("corrections/list", state="closed"))["corrections"]
    assert [(one["old"]["id"], one["new"]["id"]) for one in made] == [(ids[1 - kept], ids[kept])]
    await panel.ask("corrections/settle", old_id=ids[1 - kept], new_id=ids[kept], accept=False)
    assert len(await panel.texts()) == 2


async def test_what_a_forgotten_repetition_had_corrected_does_not_hold_again(
    panel: Panel, memory: MemoryClient
) -> None:
    outdated = await tell(memory, "The spare key is with Joost.")
    repetition = await tell(memory, KEY, corrects=outdated)
    kept = await tell(memory, KEY.lower())
    merged = {"kept": kept, "others": [repetition, outdated], "forget": False}
    await panel.ask("memories/merge", **merged)
    assert await panel.texts() == [KEY.lower()]
    gone = await panel.ask("memories/merge", **{**merged, "others": [repetition], "forget": True})
    assert gone["memory_ids"] == [repetition]
    assert await panel.texts() == [KEY.lower()]
    (_, before) = (await panel.ask("memories/history", memory_id=kept))["memories"]
    assert (before["id"], before["superseded_by"]) == (outdated, kept)


async def test_a_memory_is_not_merged_with_itself_with_what_is_gone_or_into_what_holds_no_longer(
    panel: Panel, memory: MemoryClient
) -> None:
    old = await tell(memory, "The spare key is with Joost.")
    new = await tell(memory, KEY, corrects=old)
    for kept, other, key in ((new, new, "conflict"), (old, new, "conflict"), (new, "gone", "not_found")):
        error = await panel.error("memories/merge", kept=kept, others=[other], forget=True)
        assert error["translation_key"] == key
    assert (await panel.error("memories/merge", kept="gone", others=[new], forget=True))["translation_key"] == (
        "not_found"
    )
    assert (await memory.status(10)).memories == 2


async def test_a_correction_that_was_noticed_is_accepted_refused_and_taken_back(
    panel: Panel, memory: MemoryClient
) -> None:
    await tell(memory, "trash pickup is on tuesday", memory_id="tuesday", created_at="2026-02-01T12:00:00Z")
    await tell(memory, "trash pickup is on friday now not on tuesday", memory_id="friday")
    async with asyncio.timeout(LIMIT_SECONDS):
        while not (found := (await panel.ask("corrections/list"))["corrections"]):  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.05)
    (one,) = found
    assert (one["old"]["id"], one["new"]["id"], one["state"]) == ("tuesday", "friday", "closed")
    assert 0 < one["confidence"] <= 1
    pair = {"old_id": "tuesday", "new_id": "friday"}
    assert await panel.ask("corrections/settle", accept=False, **pair) == {"state": "reverted"}
    assert len(await panel.texts()) == 2
    assert (await panel.ask("corrections/list", state="proposed"))["total"] == 0
    assert await panel.ask("corrections/settle", accept=True, **pair) == {"state": "closed"}
    assert await panel.texts() == ["trash pickup is on friday now not on tuesday"]


# What goes wrong


async def test_what_no_panel_would_ask_is_refused_before_it_is_sent(panel: Panel) -> None:
    for command, data in HOSTILE:
        assert (await panel.error(command, **data))["code"] == "invalid_format", (command, data)


async def test_a_text_that_is_none_is_refused_and_never_in_the_log(
    panel: Panel, memory: MemoryClient, caplog: pytest.LogCaptureFixture
) -> None:
    old = await tell(memory, KEY)
    for text in ("", "  ", "x" * (wire.MAX_TEXT_CHARACTERS + 1), "private\0", ["private"], 5, None):
        for command, memory_id in (("memories/search", {}), ("memories/correct", {"memory_id": old})):
            error = await panel.error(command, text=text, **memory_id)
            assert error["translation_key"] == "invalid_request"
            assert "text" in error["message"]
    assert await panel.texts() == [KEY]
    assert "private" not in caplog.text
    assert "xxxx" not in caplog.text


async def test_a_cursor_of_another_list_is_told(panel: Panel) -> None:
    for command in ("memories/list", "corrections/list"):
        assert (await panel.error(command, cursor="elsewhere"))["translation_key"] == "invalid_request"


async def test_a_server_that_is_gone_is_told_in_a_sentence_and_answers_again_when_it_is_back(
    panel: Panel, memory: MemoryClient, memory_server: MemoryServer
) -> None:
    await tell(memory, KEY)
    memory_server.kill()
    for command, data in COMMANDS[1:]:
        error = await panel.error(command, **data)
        assert (error["translation_domain"], error["translation_key"]) == (DOMAIN, "cannot_connect")
        assert "cannot be reached" in error["message"]
    assert (await panel.ask("servers"))["servers"]
    memory_server.start()
    async with asyncio.timeout(LIMIT_SECONDS):
        while not (answer := await panel.answer("memories/list"))["success"]:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.05)
    assert [one["text"] for one in answer["result"]["memories"]] == [KEY]


async def test_a_server_that_was_gone_when_the_house_started_is_told_as_well(
    home: HomeAssistant,
    frontend: None,
    memory_server: MemoryServer,
    add_entry: AddEntry,
    hass_ws_client: WebSocketGenerator,
) -> None:
    data = memory_server.entry_data
    memory_server.kill()
    entry = await add_entry(data)
    assert async_panel_exists(home, PANEL)
    panel = Panel(await hass_ws_client(home), entry.entry_id)
    assert (await panel.error("memories/list"))["translation_key"] == "cannot_connect"
    memory_server.start()
    await home.config_entries.async_reload(entry.entry_id)
    assert await panel.texts() == []


async def test_servers_that_are_none_of_ours_are_told_apart(panel: Panel, home: HomeAssistant) -> None:
    foreign = MockConfigEntry(domain="other")
    foreign.add_to_hass(home)
    for entry_id, key in (
        ("unknown", "service_config_entry_not_found"),
        (foreign.entry_id, "service_config_entry_wrong_domain"),
    ):
        panel.entry_id = entry_id
        assert (await panel.error("memories/list"))["translation_key"] == key

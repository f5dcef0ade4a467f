"""Memories that people bring from elsewhere, and take with them again."""

from datetime import UTC, datetime
import gzip
import json
import os
from pathlib import Path
import pickle
import sqlite3
from typing import Any

from homeassistant.components import persistent_notification
from homeassistant.core import Context, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError, Unauthorized
from homeassistant.setup import async_setup_component
import numpy as np
import probatio
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser

from custom_components.npu_memory import listing, wire
from custom_components.npu_memory.actions import importing
from custom_components.npu_memory.client import MemoryClient
from custom_components.npu_memory.const import DOMAIN
from custom_components.npu_memory.importing import drafts, files, pickled
from tests.integration import faults
from tests.integration.conftest import AddEntry
from tests.integration.memory_server import MemoryServer

HA_MEMORY = """---
name: oma_birthday
description: When Oma Ilse has her birthday
type: user
---

Oma Ilse's birthday is on April 4.
"""
NOTES = """# House

Some notes:

## Keys

- The spare key is with Mrs. Park,
  at number twelve.
- [x] The garage code is on the fridge.

***

The boiler is a Vaillant.
It is from 2019.

# Pets
1. Pickle is the cat.

```
# not a heading
```
"""


@pytest.fixture
async def entry(memory_server: MemoryServer, add_entry: AddEntry) -> MockConfigEntry:
    return await add_entry(memory_server.entry_data)


@pytest.fixture
def folder(home: HomeAssistant, tmp_path: Path) -> Path:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    home.config.allowlist_external_dirs = {str(allowed)}
    return allowed


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def act(hass: HomeAssistant, action: str, context: Context | None = None, **data: Any) -> Any:
    return await hass.services.async_call(DOMAIN, action, data, blocking=True, return_response=True, context=context)


async def bring(hass: HomeAssistant, path: Path, **data: Any) -> Any:
    return await act(hass, "import_memories", path=str(path), **data)


async def kept(memory: MemoryClient) -> list[wire.MemoryItem]:
    return sorted((await memory.list(wire.ListRequest(limit=200), 10)).memories, key=lambda item: item.text)


async def test_json_lines_are_kept_with_their_ids_dates_and_speakers(
    home: HomeAssistant, entry: MockConfigEntry, memory: MemoryClient, folder: Path
) -> None:
    file = folder / "memories.jsonl"
    lines = [
        {
            "id": "a-1",
            "text": "The heating was serviced.",
            "speaker": "Anna",
            "created_at": "2026-03-03T18:30:00+01:00",
        },
        {"text": "The tea is in the left cupboard.", "tags": ["kitchen"]},
    ]
    file.write_text("\n\n".join(json.dumps(line) for line in lines))
    report = await bring(home, file, tags=["imported"], speaker="Ben")
    assert report == {
        "format": "jsonl",
        "stored": 2,
        "there_already": 0,
        "forgotten_before": 0,
        "faulty": 0,
        "faults": [],
    }
    first, second = await kept(memory)
    assert (first.id, first.speaker, first.tags) == ("a-1", "Anna", ("imported",))
    assert datetime.fromisoformat(first.created_at) == datetime(2026, 3, 3, 17, 30, tzinfo=UTC)
    assert (second.speaker, second.tags, second.source) == ("Ben", ("kitchen",), "import")


async def test_what_is_imported_twice_is_stored_once_and_what_was_forgotten_stays_forgotten(
    home: HomeAssistant, entry: MockConfigEntry, memory: MemoryClient, folder: Path
) -> None:
    file = folder / "notes.txt"
    file.write_text("Pickle is the cat.\nThe gate code is 1234.\n\nPickle is the cat.\n")
    assert (await bring(home, file))["stored"] == 2
    os.utime(file, (0, 0))
    assert (await bring(home, file))["there_already"] == 3
    (secret,) = [item for item in await kept(memory) if "gate" in item.text]
    await act(home, "forget", memory_ids=[secret.id])
    report = await bring(home, file)
    assert (report["stored"], report["forgotten_before"]) == (0, 1)
    assert [item.text for item in await kept(memory)] == ["Pickle is the cat."]


async def test_an_import_that_takes_a_while_shows_how_far_it_is(
    home: HomeAssistant,
    entry: MockConfigEntry,
    memory_server: MemoryServer,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importing, "REPORT_SECONDS", 0.05)
    (folder / "notes.txt").write_text("One.\nTwo.\n")
    shown: list[str] = []

    @callback
    def changed(kind: persistent_notification.UpdateType, notifications: dict[str, Any]) -> None:
        shown.append(kind)
        if kind is persistent_notification.UpdateType.ADDED:
            assert notifications[importing.NOTIFICATION]["message"] == "0 of 2 memories."
            memory_server.thaw()

    persistent_notification.async_register_callback(home, changed)
    memory_server.freeze()
    assert (await bring(home, folder / "notes.txt"))["stored"] == 2
    assert shown[0] == "added"
    assert shown[-1] == "removed"


async def test_faulty_lines_are_named_and_the_others_are_kept(
    home: HomeAssistant, entry: MockConfigEntry, memory: MemoryClient, folder: Path
) -> None:
    file = folder / "memories.jsonl"
    taken = {"id": "a-1", "text": "Something else."}
    rows = ['{"text": "One."}', "{no", "[1]", '{"text": 5}', '{"text": ""}', '{"text": "x", "scope": "all"}']
    file.write_text("\n".join([*rows, json.dumps(taken), json.dumps({**taken, "text": "Two."})]))
    report = await bring(home, file)
    assert (report["stored"], report["faulty"]) == (2, 6)
    places = [fault["place"] for fault in report["faults"]]
    assert places == ["line 2", "line 3", "line 4", "line 5", "line 6", "line 8"]
    assert "no" not in report["faults"][0]["reason"].split()
    assert all(fault["reason"] for fault in report["faults"])


async def test_list_items_and_paragraphs_of_markdown_are_memories(
    home: HomeAssistant, entry: MockConfigEntry, memory: MemoryClient, folder: Path
) -> None:
    file = folder / "house.md"
    file.write_text(NOTES)
    os.utime(file, (1_772_000_000, 1_772_000_000))
    assert (await bring(home, file))["format"] == "markdown"
    assert {item.text: item.tags for item in await kept(memory)} == {
        "Some notes:": ("House",),
        "The spare key is with Mrs. Park, at number twelve.": ("House", "Keys"),
        "The garage code is on the fridge.": ("House", "Keys"),
        "The boiler is a Vaillant. It is from 2019.": ("House", "Keys"),
        "Pickle is the cat.": ("Pets",),
        "# not a heading": ("Pets",),
    }
    assert {datetime.fromisoformat(item.created_at).timestamp() for item in await kept(memory)} == {1_772_000_000}


async def test_the_files_of_ha_memory_are_memories_and_its_index_is_not(
    home: HomeAssistant, entry: MockConfigEntry, memory: MemoryClient, folder: Path, tmp_path: Path
) -> None:
    (folder / "oma_birthday.md").write_text(HA_MEMORY)
    (folder / "bare.md").write_text("Bare, without a head.")
    (folder / "described.md").write_text("---\nname: described\ndescription: Only described.\n---\n")
    (folder / "MEMORY.md").write_text("- [oma_birthday](oma_birthday.md) - When Oma Ilse has her birthday")
    (folder / "bytes.md").write_bytes(b"\xff\xfe")
    (tmp_path / "outside.md").write_text("The secret outside.")
    (folder / "link.md").symlink_to(tmp_path / "outside.md")
    report = await bring(home, folder)
    assert (report["format"], report["stored"], report["faulty"]) == ("ha_memory", 3, 2)
    assert {item.text: item.tags for item in await kept(memory)} == {
        "Bare, without a head.": ("bare",),
        "Oma Ilse's birthday is on April 4.": ("user", "oma_birthday"),
        "Only described.": ("described",),
    }
    assert (await bring(home, folder / "oma_birthday.md"))["there_already"] == 1


def ai_memory(path: Path, *, palace: bool) -> None:
    more = ", summary TEXT, wing TEXT, room TEXT" if palace else ", metadata TEXT"
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE memories (id TEXT PRIMARY KEY, content TEXT, embedding TEXT, scope TEXT, agent_id TEXT, "
            f"created_at TEXT{more})"
        )
        columns = "id, content, scope, created_at" + (", wing, room" if palace else "")
        rows: list[tuple[str | None, ...]] = [
            ("1", " Oma Ilse likes quince jam. ", "common", "2026-03-03T18:30:00.123456", "family", "oma")
        ]
        rows += [("2", "The alarm is quiet.", "private", "never", None, None), ("3", None, "common", "", None, None)]
        for row in rows:
            values = row if palace else row[:4]
            connection.execute(f"INSERT INTO memories ({columns}) VALUES ({', '.join('?' * len(values))})", values)
        connection.execute("INSERT INTO memories (id, content) VALUES ('4', CAST(X'ff' AS TEXT))")
    connection.close()


@pytest.mark.parametrize("palace", [False, True])
async def test_the_database_of_ai_memory_is_read_and_left_as_it_is(
    palace: bool, home: HomeAssistant, entry: MockConfigEntry, memory: MemoryClient, folder: Path
) -> None:
    file = folder / "ai_memory.db"
    ai_memory(file, palace=palace)
    before = file.read_bytes()
    report = await bring(home, file)
    assert (report["format"], report["stored"], report["faulty"]) == ("ai_memory", 2, 1)
    jam = next(item for item in await kept(memory) if "jam" in item.text)
    assert jam.text == "Oma Ilse likes quince jam."
    assert jam.tags == (("family", "oma") if palace else ())
    assert datetime.fromisoformat(jam.created_at).isoformat() == "2026-03-03T18:30:00.123000-08:00"
    assert (file.read_bytes(), names(folder)) == (before, ["ai_memory.db"])


async def test_what_ai_memory_has_not_written_into_its_file_yet_is_read_too(
    home: HomeAssistant, entry: MockConfigEntry, memory: MemoryClient, folder: Path
) -> None:
    connection = sqlite3.connect(folder / "ai_memory.db")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE memories (content TEXT)")
    connection.execute("INSERT INTO memories VALUES ('Only in the log.')")
    connection.commit()
    assert (await bring(home, folder / "ai_memory.db"))["stored"] == 1
    connection.close()


@pytest.mark.parametrize("packed", [True, False])
async def test_the_earlier_systems_memories_come_with_their_times_and_sides(
    packed: bool, home: HomeAssistant, entry: MockConfigEntry, memory: MemoryClient, folder: Path
) -> None:
    """What was heard and what was said is text alone: no ids, no numbers, no flags."""
    documents: list[Any] = [
        {"text": "The boiler was serviced.", "lang": "en", "confidence": 0.93, "ts": 1795287844.64, "is_final": True},
        {"text": "Noted.", "voice": "piper", "stt_ts": 1795287845.0, "message_id": "ec86b4e4"},
        {"user_input": "Who is Pickle?", "bot_response": "The cat.", "timestamp": 1795287000},
        "A bare line.",
        {"ts": "never", "text": "Without a time."},
        {"message_id": "empty"},
        7,
    ]
    database = {"vectors": np.ones((7, 384), dtype=np.float32), "documents": documents}
    content = pickle.dumps(database)
    file = folder / "memory.pickle.gz"
    file.write_bytes(gzip.compress(content) if packed else content)
    report = await bring(home, file)
    assert (report["format"], report["stored"], report["faulty"]) == ("py_tars", 6, 2)
    by_text = {item.text: item for item in await kept(memory)}
    assert by_text["The boiler was serviced."].language == "en"
    assert datetime.fromisoformat(by_text["The boiler was serviced."].created_at).timestamp() == 1795287844.64
    assert {text: item.speaker for text, item in by_text.items() if item.speaker} == {
        "Noted.": "assistant",
        "The cat.": "assistant",
    }
    assert {item.kind for item in by_text.values()} == {wire.Kind.TURN}


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


async def test_a_foreign_pickle_runs_nothing(
    home: HomeAssistant, entry: MockConfigEntry, memory: MemoryClient, folder: Path
) -> None:
    file = folder / "memory.pickle.gz"
    trap = folder / "trap"
    file.write_bytes(gzip.compress(pickle.dumps({"documents": [Evil(trap)]})))
    with pytest.raises(ServiceValidationError) as caught:
        await bring(home, file)
    assert caught.value.translation_key == "import_not_py_tars"
    assert not trap.exists()
    assert await kept(memory) == []


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(b"\x80\x04N."),
        gzip.compress(pickle.dumps({"documents": ["One."]}))[:-12],
        gzip.compress(b"\x80\x04Nr\xff\xff\xff\x3f."),
        gzip.compress(b"\x80\x05\x96" + (2**40).to_bytes(8, "little") + b"abc."),
        gzip.compress(b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"abc."),
        gzip.compress(b"\x80\x04" + b"(" * 100_000 + b"."),
        b"\x1f\x8bnot gzip",
        gzip.compress(pickle.dumps({"documents": {}})),
    ],
)
async def test_a_damaged_or_hostile_pickle_is_refused_at_once(
    content: bytes, home: HomeAssistant, entry: MockConfigEntry, folder: Path
) -> None:
    file = folder / "memory.pickle.gz"
    file.write_bytes(content)
    with pytest.raises(ServiceValidationError) as caught:
        await bring(home, file)
    assert caught.value.translation_key == "import_not_py_tars"


async def test_a_file_that_unpacks_to_too_much_is_refused(
    home: HomeAssistant, entry: MockConfigEntry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pickled, "MAX_UNPACKED_BYTES", 1000)
    file = folder / "memory.pickle.gz"
    file.write_bytes(gzip.compress(pickle.dumps({"documents": ["x" * 2000]})))
    with pytest.raises(ServiceValidationError) as caught:
        await bring(home, file)
    assert caught.value.translation_key == "import_too_large"


async def test_the_open_items_of_a_to_do_list_are_memories(
    home: HomeAssistant, entry: MockConfigEntry, memory: MemoryClient, tmp_path: Path
) -> None:
    home.config.config_dir = str(tmp_path)
    shopping = MockConfigEntry(domain="shopping_list")
    shopping.add_to_hass(home)
    assert await home.config_entries.async_setup(shopping.entry_id)
    await home.async_block_till_done()
    for item in ("The filter size is 40x50", "The guests' network is Tamarack", "Done with"):
        await home.services.async_call("shopping_list", "add_item", {"name": item}, blocking=True)
    await home.services.async_call("shopping_list", "complete_item", {"name": "Done with"}, blocking=True)
    report = await act(home, "import_memories", entity_id="todo.shopping_list", scope="person:anna")
    assert (report["format"], report["stored"]) == ("todo", 2)
    assert [(item.text, item.scope, item.kind) for item in await kept(memory)] == [
        ("The filter size is 40x50", "person:anna", "fact"),
        ("The guests' network is Tamarack", "person:anna", "fact"),
    ]


async def test_a_to_do_list_that_is_not_there_is_told(home: HomeAssistant, entry: MockConfigEntry) -> None:
    assert await async_setup_component(home, "todo", {})
    with pytest.raises(ServiceValidationError) as caught:
        await act(home, "import_memories", entity_id="todo.nowhere")
    assert caught.value.translation_key == "no_to_do_list"


async def test_only_paths_that_are_allowed_are_read_and_written(
    home: HomeAssistant, entry: MockConfigEntry, folder: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("A secret.")
    (folder / "link.txt").symlink_to(outside)
    for path in (outside, folder / ".." / "outside.txt", folder / "link.txt", Path("secrets.yaml"), Path("a\0b")):
        for action in ("import_memories", "export_memories"):
            with pytest.raises(ServiceValidationError) as caught:
                await act(home, action, path=str(path))
            assert caught.value.translation_key == "path_not_allowed"


async def test_what_cannot_be_imported_is_told_with_its_reason(
    home: HomeAssistant, entry: MockConfigEntry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "bytes.txt").write_bytes(b"\xff\xfe\xfd")
    (folder / "empty.db").write_bytes(files.SQLITE + b"nonsense")
    sqlite3.connect(folder / "other.db").execute("CREATE TABLE notes (content TEXT)").connection.close()
    sqlite3.connect(folder / "view.db").executescript(
        "CREATE TABLE notes (content TEXT); CREATE VIEW memories AS SELECT content FROM notes"
    ).connection.close()
    os.mkfifo(folder / "pipe")
    for name, kind, key in (
        ("nothing.txt", None, "import_not_found"),
        ("bytes.txt", None, "import_not_text"),
        ("empty.db", None, "import_not_ai_memory"),
        ("other.db", None, "import_not_ai_memory"),
        ("view.db", None, "import_not_ai_memory"),
        ("bytes.txt", "py_tars", "import_not_py_tars"),
        ("pipe", None, "import_not_a_file"),
        (".", "jsonl", "import_is_folder"),
    ):
        with pytest.raises(ServiceValidationError) as caught:
            await bring(home, folder / name, **({"format": kind} if kind else {}))
        assert caught.value.translation_key == key, name
        assert len(str(caught.value).split()) > 4
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 2)
    for path in (folder / "bytes.txt", folder):
        (folder / "note.md").write_text("A note.")
        with pytest.raises(ServiceValidationError) as caught:
            await bring(home, path)
        assert caught.value.translation_key == "import_too_large"


async def test_too_many_memories_at_once_are_refused_before_any_is_stored(
    home: HomeAssistant, entry: MockConfigEntry, memory: MemoryClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_MEMORIES", 2)
    (folder / "notes.txt").write_text("One.\nTwo.\nThree.\n")
    with pytest.raises(ServiceValidationError) as caught:
        await bring(home, folder / "notes.txt")
    assert caught.value.translation_key == "import_too_large"
    assert await kept(memory) == []


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that root cannot read either."""

    def fails(*_: Any) -> Any:
        raise OSError(5, "Input/output error")

    monkeypatch.setitem(files.READERS, files.Format.TEXT, fails)


async def test_a_disk_that_fails_is_told(
    unreadable: None, home: HomeAssistant, entry: MockConfigEntry, folder: Path
) -> None:
    (folder / "notes.txt").write_text("One.")
    with pytest.raises(ServiceValidationError, match="Input/output error"):
        await bring(home, folder / "notes.txt")


async def test_a_long_text_becomes_pieces_that_fit() -> None:
    words = " ".join(["heating"] * 3000)
    parts = drafts.pieces(words)
    assert len(parts) > 1
    assert max(len(part) for part in parts) <= wire.MAX_TEXT_CHARACTERS
    assert " ".join(parts) == words
    assert drafts.pieces("  ") == []


async def test_a_server_that_goes_away_during_an_import_is_told_and_nothing_is_stored_twice_afterwards(
    home: HomeAssistant,
    entry: MockConfigEntry,
    memory: MemoryClient,
    memory_server: MemoryServer,
    folder: Path,
) -> None:
    (folder / "notes.txt").write_text("\n".join(f"Number {number}." for number in range(50)))
    memory_server.kill()
    with pytest.raises(HomeAssistantError) as caught:
        await bring(home, folder / "notes.txt")
    assert caught.value.translation_key == "cannot_connect"


async def test_an_import_that_the_server_cannot_take_any_more_says_so(
    home: HomeAssistant, add_entry: AddEntry, folder: Path
) -> None:
    async def answers(request: wire.Frame) -> list[wire.Message]:
        if request.type == wire.StatusRequest.event_type:
            return [faults.status(request)]
        return [wire.Failure(id=request.data["id"], text="The disk is full.", code=wire.ErrorCode.STORAGE)]

    (folder / "notes.txt").write_text("One.")
    async with faults.listening(faults.memory_server(answers)) as port:
        entry = await add_entry({"host": "127.0.0.1", "port": port, "token": faults.TOKEN})
        with pytest.raises(HomeAssistantError) as caught:
            await bring(home, folder / "notes.txt")
        await home.config_entries.async_unload(entry.entry_id)
    assert caught.value.translation_key == "storage"


async def test_export_and_import_carry_everything_over(
    home: HomeAssistant, entry: MockConfigEntry, memory: MemoryClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MAX_PAGE", 2)
    await act(home, "remember", text="The PIN is 4711.", speaker="Anna", tags=["pin"], scope="person:anna")
    old = await act(home, "remember", text="Swim practice is on Saturday.")
    await act(home, "correct", memory_id=old["memory_id"], text="Swim practice is on Sunday.")
    before = await kept(memory)
    file = folder / "export.jsonl"
    assert await act(home, "export_memories", path=str(file)) == {"path": str(file), "exported": 3}
    assert file.stat().st_mode & 0o777 == 0o600
    assert (await bring(home, file))["there_already"] == 3
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert {line["text"]: line["id"] for line in lines} == {item.text: item.id for item in before}
    assert any(line.get("superseded_by") for line in lines)
    part = folder / "anna.jsonl"
    assert (await act(home, "export_memories", path=str(part), scopes=["person:anna"]))["exported"] == 1
    with pytest.raises(ServiceValidationError) as caught:
        await act(home, "export_memories", path=str(file))
    assert caught.value.translation_key == "export_exists"


async def test_an_export_that_cannot_be_written_leaves_no_file(
    home: HomeAssistant, entry: MockConfigEntry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await act(home, "remember", text="One.")
    with pytest.raises(HomeAssistantError) as caught:
        await act(home, "export_memories", path=str(folder))
    assert caught.value.translation_key == "export_exists"

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HomeAssistantError, match="No space left"):
        await act(home, "export_memories", path=str(folder / "full.jsonl"))
    assert names(folder) == []


async def test_an_export_without_a_server_says_so(
    home: HomeAssistant, entry: MockConfigEntry, memory_server: MemoryServer, folder: Path
) -> None:
    memory_server.kill()
    with pytest.raises(HomeAssistantError) as caught:
        await act(home, "export_memories", path=str(folder / "export.jsonl"))
    assert caught.value.translation_key == "cannot_connect"
    assert names(folder) == []


async def test_carrying_memories_in_and_out_is_for_administrators(
    home: HomeAssistant, entry: MockConfigEntry, folder: Path, hass_read_only_user: MockUser
) -> None:
    for action in ("import_memories", "export_memories"):
        with pytest.raises(Unauthorized):
            await act(home, action, Context(user_id=hass_read_only_user.id), path=str(folder / "x.jsonl"))


@pytest.mark.parametrize(
    "data", [{}, {"path": "x", "entity_id": "todo.x"}, {"entity_id": "light.x"}, {"path": "x", "format": "docx"}]
)
async def test_an_import_has_one_source(data: dict[str, Any], home: HomeAssistant, entry: MockConfigEntry) -> None:
    with pytest.raises(probatio.Invalid):
        await act(home, "import_memories", **data)

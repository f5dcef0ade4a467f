"""The examples of the documentation, run as they stand there."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
import re
from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from homeassistant.util.yaml import parse_yaml
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.npu_memory import wire
from custom_components.npu_memory.client import MemoryClient
from tests.integration.agent import RecordingAgent
from tests.integration.conftest import AddEntry
from tests.integration.memory_server import MemoryServer

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^## (?P<heading>[^\n]+)\n|^```yaml\n(?P<yaml>.*?)^```$", re.MULTILINE | re.DOTALL)
SWIM = "01JZ3V6T1V7H5E8Q2J4M6N8P0R"


def blocks(page: str) -> dict[str, list[Any]]:
    """Return the YAML of a page by the headings above it."""
    found: dict[str, list[Any]] = {}
    heading = ""
    for match in BLOCK.finditer((DOCS / page).read_text()):
        if match["heading"]:
            heading = match["heading"]
        else:
            found.setdefault(heading, []).append(parse_yaml(match["yaml"]))
    return found


EXAMPLES = blocks("automations.md")


@pytest.fixture
async def entry(memory_server: MemoryServer, add_entry: AddEntry) -> MockConfigEntry:
    return await add_entry(memory_server.entry_data)


@pytest.fixture
def notified(home: HomeAssistant) -> list[str]:
    messages: list[str] = []
    home.services.async_register(
        "persistent_notification", "create", lambda call: messages.append(call.data["message"])
    )
    return messages


type Run = Callable[..., Any]


@pytest.fixture
async def run(home: HomeAssistant, entry: MockConfigEntry) -> AsyncIterator[Run]:
    """Return a function that sets up an example as a user would, and runs it: an automation by its own trigger."""

    async def run(heading: str, trigger: Callable[[], Any] | None = None, **variables: Any) -> Any:
        (example,) = EXAMPLES[heading]
        if "sequence" in example:
            assert await async_setup_component(home, "script", {"script": {"example": example}})
            return await home.services.async_call("script", "example", variables, blocking=True, return_response=True)
        assert await async_setup_component(home, "automation", {"automation": [{"id": "example", **example}]})
        await home.async_block_till_done()
        if trigger:
            trigger()
        else:
            (automation,) = home.states.async_entity_ids("automation")
            data = {"entity_id": automation, "skip_condition": True}
            await home.services.async_call("automation", "trigger", data, blocking=True)
        await home.async_block_till_done()
        return None

    yield run
    if automations := home.states.async_entity_ids("automation"):
        await home.services.async_call("automation", "turn_off", {"entity_id": automations}, blocking=True)


async def texts(memory: MemoryClient) -> list[str]:
    return sorted(item.text for item in (await memory.list(wire.ListRequest(), 10)).memories)


async def test_remember_what_happens_in_the_house(home: HomeAssistant, run: Run, memory: MemoryClient) -> None:
    home.states.async_set("input_button.filter_changed", "unknown")
    await run(
        "Remember what happens in the house",
        lambda: home.states.async_set("input_button.filter_changed", dt_util.utcnow().isoformat()),
    )
    (kept,) = (await memory.list(wire.ListRequest(), 10)).memories
    assert (kept.text, kept.kind, kept.tags) == ("The filter of the ventilation was changed.", "fact", ("ventilation",))


async def test_answer_a_question(run: Run, memory: MemoryClient) -> None:
    assert await run("Answer a question", question="Who is Pickle?") == {"answer": "I do not know."}


async def test_answer_a_question_from_memory(run: Run, memory: MemoryClient) -> None:
    await memory.remember(wire.RememberRequest(text="Pickle is the cat."), 10)
    assert await run("Answer a question", question="Who is Pickle?") == {"answer": "Pickle is the cat."}


async def test_give_an_agent_what_it_should_know(run: Run, memory: MemoryClient, agent: RecordingAgent) -> None:
    await memory.remember(wire.RememberRequest(text=f"On {dt_util.now():%A} Maya is planned to swim."), 10)
    await run("Give an agent what it should know")
    (turn,) = agent.turns
    assert "Maya is planned to swim." in str(turn.messages)


@pytest.mark.parametrize("known", [True, False])
async def test_correct_what_is_out_of_date(known: bool, run: Run, memory: MemoryClient) -> None:
    if known:
        await memory.remember(wire.RememberRequest(text="The bins go out on Friday."), 10)
    await run("Correct what is out of date", day="Monday")
    by_text = {item.text: item for item in (await memory.list(wire.ListRequest(), 10)).memories}
    assert by_text["The bins go out on Monday."].superseded_by is None
    if known:
        assert by_text["The bins go out on Friday."].superseded_by == by_text["The bins go out on Monday."].id


async def test_forget_what_guests_have_said(run: Run, memory: MemoryClient, notified: list[str]) -> None:
    long_ago = (dt_util.now() - timedelta(days=40)).isoformat()
    for text, speaker, moment in (("Old.", "Guest", long_ago), ("New.", "Guest", None), ("Ours.", "Nora", long_ago)):
        await memory.remember(wire.RememberRequest(text=text, speaker=speaker, created_at=moment), 10)
    await run("Forget what guests have said")
    assert await texts(memory) == ["New.", "Ours."]
    assert notified == ["1 memories of guests were forgotten."]


async def test_take_a_to_do_list_over(
    home: HomeAssistant, run: Run, memory: MemoryClient, notified: list[str], tmp_path: Path
) -> None:
    # The list is kept in a file of the configuration, which the tests share.
    home.config.config_dir = str(tmp_path)
    shopping = MockConfigEntry(domain="shopping_list")
    shopping.add_to_hass(home)
    assert await home.config_entries.async_setup(shopping.entry_id)
    await home.services.async_call("shopping_list", "add_item", {"name": "The filter is 40x50"}, blocking=True)
    await run("Take a to-do list over")
    assert await texts(memory) == ["The filter is 40x50"]
    assert notified == ["1 remembered, 0 were there already."]


async def test_keep_a_copy_every_week(home: HomeAssistant, run: Run, memory: MemoryClient, tmp_path: Path) -> None:
    (example,) = EXAMPLES["Keep a copy every week"]
    example["actions"][0]["data"]["path"] = example["actions"][0]["data"]["path"].replace(
        "/config/memories", str(tmp_path)
    )
    home.config.allowlist_external_dirs = {str(tmp_path)}
    await memory.remember(wire.RememberRequest(text="Pickle is the cat."), 10)
    await run("Keep a copy every week")
    assert "Pickle is the cat." in (tmp_path / f"{dt_util.now().date()}.jsonl").read_text()


async def test_the_actions_in_the_text_run_one_after_the_other(
    home: HomeAssistant, entry: MockConfigEntry, memory: MemoryClient, tmp_path: Path
) -> None:
    await memory.remember(wire.RememberRequest(text="Swim practice is on Saturday.", memory_id=SWIM), 10)
    (tmp_path / "memories.jsonl").write_text('{"text": "Pickle is the cat."}')
    home.config.config_dir = str(tmp_path)
    home.config.allowlist_external_dirs = {str(tmp_path)}
    actions = [block for found in blocks("how-to.md").values() for block in found if "action" in block]
    done = [action["action"] for action in actions]
    assert set(done) == {
        f"npu_memory.{name}" for name in ("remember", "recall", "correct", "forget", "import_memories")
    }
    assert await async_setup_component(home, "script", {"script": {"all": {"sequence": actions}}})
    await home.services.async_call("script", "all", {}, blocking=True)
    assert await texts(memory) == [
        "Pickle is the cat.",
        "Swim practice is on Sunday at ten.",
        "The boiler was serviced by Mr. Odum.",
    ]


def test_every_example_is_run() -> None:
    source = Path(__file__).read_text()
    assert [heading for heading in EXAMPLES if f'"{heading}"' not in source] == []
    assert all(len(found) == 1 for found in EXAMPLES.values())

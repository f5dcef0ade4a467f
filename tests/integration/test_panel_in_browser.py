"""The panel as a person has it before them: the real module in a real Chromium, on a real house and memory server."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
import hashlib
import json

import aiohttp
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.npu_memory import wire
from custom_components.npu_memory.client import MemoryClient
from tests.integration.browser import Tab, find_chromium, running
from tests.integration.conftest import AddEntry
from tests.integration.memory_server import MemoryServer

KEY = "The spare key is under the blue flowerpot."
HOSTILE = (
    "<img src=x onerror=\"document.title='taken over'\"><script>document.title='taken over'</script><b>{count}</b>"
)
ENTER, ESCAPE, TAB = ("Enter", 13), ("Escape", 27), ("Tab", 9)
HOUSE = """
window.house = async (token, language) => {
  const socket = new WebSocket(`ws://${location.host}/api/websocket`);
  const waiting = new Map(), texts = {};
  let number = 0;
  await new Promise((ready) => (socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === "auth_required") socket.send(JSON.stringify({ type: "auth", access_token: token }));
    else if (message.type === "auth_ok") ready();
    else if (message.success) waiting.get(message.id).resolve(message.result);
    else waiting.get(message.id).reject(message.error);
  }));
  const callWS = (command) => new Promise((resolve, reject) => {
    waiting.set(++number, { resolve, reject });
    socket.send(JSON.stringify({ ...command, id: number }));
  });
  const localize = (key, given = {}) => (texts[key] ?? "").replace(/{(\\w+)}/g, (_, name) => given[name]);
  const loadBackendTranslation = async (category, integration) => {
    const command = { type: "frontend/get_translations", language, category, integration };
    Object.assign(texts, (await callWS(command)).resources);
    return localize;
  };
  const areas = { attic: { name: "Attic" } };
  return { callWS, localize, loadBackendTranslation, language, areas, devices: {}, states: {}, config: {} };
};
"""

type ShowPanel = Callable[[str], Awaitable[Tab]]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    found = find_chromium()
    if found is None:
        pytest.skip("there is no Chromium on this machine")
    profile = tmp_path_factory.mktemp("chromium") / "profile"
    profile.mkdir()
    with running(found, profile) as port:
        yield port


@pytest.fixture
async def show_panel(
    chromium: int,
    home: HomeAssistant,
    memory_server: MemoryServer,
    add_entry: AddEntry,
    hass_client: ClientSessionGenerator,
    hass_access_token: str,
) -> AsyncIterator[ShowPanel]:
    """Return a function that shows the panel in a language, in a new tab."""
    assert await async_setup_component(home, "frontend", {})
    await add_entry(memory_server.entry_data)
    server = (await hass_client()).server
    panels = home.data["frontend_panels"]
    module = panels["npu-memory"].config["_panel_custom"]["module_url"]
    tabs: list[Tab] = []
    async with aiohttp.ClientSession() as session:

        async def show(language: str = "en") -> Tab:
            tab = Tab(session, chromium)
            tabs.append(tab)
            await tab.open(str(server.make_url(module)))
            await tab.run(HOUSE)
            await tab.run(
                f"""(async () => {{
                  document.title = "house";
                  await import({json.dumps(module)});
                  const panel = document.createElement("npu-memory-panel");
                  panel.hass = await house({json.dumps(hass_access_token)}, {json.dumps(language)});
                  panel.narrow = true;
                  document.body.replaceChildren(panel);
                  await until(() => panel.shadowRoot);
                  window.root = panel.shadowRoot;
                  window.all = (selector) => [...root.querySelectorAll(selector)];
                  window.press = (text, within = root) => until(() =>
                    [...within.querySelectorAll("button")].find((one) => one.textContent === text && !one.disabled)
                  ).then((one) => one.click());
                  window.told = [];
                  document.addEventListener("hass-notification", (event) => told.push(event.detail.message));
                }})()"""
            )
            return tab

        yield show
        for tab in tabs:
            await tab.close()


async def tell(memory: MemoryClient, text: str, **fields: object) -> str:
    return (await memory.remember(wire.from_data(wire.RememberRequest, {"text": text, **fields}), 10)).memory_id


def unlike(number: int) -> str:
    """Return a text that shares no word with another one, so that it is taken for no correction of that."""
    return hashlib.sha256(str(number).encode()).hexdigest()


async def status(tab: Tab, sentence: str) -> None:
    await tab.run(f"until(() => root.querySelector('.status').textContent === {json.dumps(sentence)})")


async def current(memory: MemoryClient) -> list[str]:
    return [one.text for one in (await memory.list(wire.ListRequest(include_past=False), 10)).memories]


async def test_a_hostile_memory_is_read_and_does_nothing(show_panel: ShowPanel, memory: MemoryClient) -> None:
    await tell(memory, HOSTILE, speaker=HOSTILE, source=HOSTILE, tags=[HOSTILE[:64]])
    tab = await show_panel("en")
    await status(tab, "1 memory, newest first")
    assert await tab.run("root.querySelector('.card .text').textContent") == HOSTILE
    assert await tab.run("all('.card .origin')[0].textContent.split('·').length") == 3
    assert await tab.run("all('img, script, b').length") == 0
    await tab.run("press('Forget')")
    assert await tab.run("until(() => all('dialog .text')[0]).then((text) => text.textContent)") == HOSTILE
    assert await tab.run("all('img, script, b').length") == 0
    assert await tab.run("document.title") == "house"


async def test_a_person_looks_for_a_memory_and_corrects_it_with_the_keyboard_alone(
    show_panel: ShowPanel, memory: MemoryClient
) -> None:
    await tell(memory, KEY, speaker="Nora")
    await tell(memory, "The boiler was serviced on Tuesday.")
    tab = await show_panel("en")
    await status(tab, "2 memories, newest first")
    await tab.run("root.querySelector('input[type=search]').focus()")
    await tab.write("where is the spare key")
    await tab.run("until(() => all('meter').length && all('.card .text')[0])")
    assert await tab.run("all('.card .text')[0].textContent") == KEY
    await tab.run("all('.card input')[0].focus()")
    await tab.press(*TAB)
    assert await tab.run("root.activeElement.textContent") == "Correct"
    await tab.press(*ENTER)
    assert await tab.run("until(() => root.activeElement.localName === 'textarea')")
    await tab.run("root.activeElement.select()")
    await tab.write("The spare key is with Annelies.")
    for stop in ("Cancel", "Correct"):
        await tab.press(*TAB)
        assert await tab.run("root.activeElement.textContent") == stop
    await tab.press(*ENTER)
    assert await tab.run("until(() => told[0])") == "The memory was corrected."
    await tab.run("until(() => !all('dialog').length && root.activeElement?.closest('.card'))")
    assert "The spare key is with Annelies." in await current(memory)
    assert KEY not in await current(memory)


async def test_whoever_changes_their_mind_forgets_nothing_and_then_as_many_as_was_said(
    show_panel: ShowPanel, memory: MemoryClient
) -> None:
    for number in range(3):
        await tell(memory, unlike(number), created_at=f"2026-01-0{number + 1}T10:00:00Z")
    tab = await show_panel("en")
    await status(tab, "3 memories, newest first")
    await tab.run("all('.card input').slice(0, 2).forEach((box) => box.click())")
    assert await tab.run("root.querySelector('.selection span').textContent") == "2 selected"
    await tab.run("press('Forget', root.querySelector('.selection'))")
    assert await tab.run("until(() => root.querySelector('dialog h2')).then((title) => title.textContent)") == (
        "Forget 2 memories?"
    )
    assert await tab.run("root.activeElement.textContent") == "Cancel"
    await tab.press(*ESCAPE)
    await tab.run("until(() => !all('dialog').length)")
    assert len(await current(memory)) == 3
    await tab.run("press('Forget', root.querySelector('.selection'))")
    await tab.run("press('Forget 2')")
    assert await tab.run("until(() => told[0])") == "2 memories were forgotten."
    await status(tab, "1 memory, newest first")
    assert await current(memory) == [unlike(0)]
    assert await tab.run("root.querySelector('.selection').hidden")


async def test_what_says_the_same_is_found_with_a_search_and_becomes_the_history_of_one(
    show_panel: ShowPanel, memory: MemoryClient
) -> None:
    await tell(memory, KEY, created_at="2026-01-01T10:00:00Z")
    await tell(memory, KEY.lower(), created_at="2026-02-01T10:00:00Z")
    tab = await show_panel("en")
    await status(tab, "2 memories, newest first")
    await tab.run("root.querySelector('input[type=search]').focus()")
    await tab.write("spare key")
    await tab.run("press('Merge with 1 that says the same')")
    await tab.run("until(() => root.querySelector('dialog')).then((dialog) => press('Merge', dialog))")
    assert await tab.run("until(() => told[0])") == "The memories were merged."
    await tab.run("until(() => !all('dialog').length && all('.card').length === 1)")
    await tab.run("press('History')")
    await tab.run("until(() => all('dialog .until').length === 2)")
    assert await tab.run("all('dialog .until.now').length") == 1
    assert len(await current(memory)) == 1


async def test_many_memories_are_shown_a_page_at_a_time(show_panel: ShowPanel, memory: MemoryClient) -> None:
    for number in range(60):
        await tell(memory, unlike(number), created_at=f"2026-01-01T10:00:{number:02}Z")
    tab = await show_panel("en")
    await status(tab, "60 memories, newest first")
    assert await tab.run("all('.card').length") == 50
    await tab.run("press('Show more')")
    await tab.run("until(() => all('.card').length === 60)")
    assert (
        await tab.run("until(() => root.activeElement?.closest('.card')).then((card) => all('.card').indexOf(card))")
        == 50
    )
    assert await tab.run("new Set(all('.card .text').map((text) => text.textContent)).size") == 60
    assert await tab.run("all('.end button').length") == 0


@pytest.mark.parametrize(
    ("language", "nothing", "gone", "again"),
    [
        ("en", "Nothing is remembered yet.", "The memory server cannot be reached.", "Try again"),
        ("de", "Es ist noch nichts gemerkt.", "Der Speicherserver ist nicht erreichbar.", "Erneut versuchen"),
        ("fr", "Rien n\u2019est encore mémorisé.", "Le serveur de mémoire est injoignable.", "Réessayer"),
        ("es", "Aún no se recuerda nada.", "No se puede acceder al servidor de memoria.", "Reintentar"),
        ("nl", "Er is nog niets onthouden.", "De geheugenserver is niet bereikbaar.", "Opnieuw proberen"),
    ],
)
async def test_an_empty_memory_and_a_server_that_is_gone_are_told_in_the_persons_language(
    language: str, nothing: str, gone: str, again: str, show_panel: ShowPanel, memory_server: MemoryServer
) -> None:
    tab = await show_panel(language)
    begins = "until(() => root.querySelector('.status').textContent.startsWith({}))"
    await tab.run(begins.format(json.dumps(nothing)))
    memory_server.kill()
    await tab.run("root.querySelector('header button:last-child').click()")
    await tab.run(begins.format(json.dumps(gone)))
    memory_server.start()
    await tab.run(f"""until(() => {{
      all(".end button").filter((one) => one.textContent === {json.dumps(again)}).forEach((one) => one.click());
      return root.querySelector(".status").textContent.startsWith({json.dumps(nothing)});
    }})""")


async def test_a_correction_that_was_noticed_is_taken_back(show_panel: ShowPanel, memory: MemoryClient) -> None:
    tuesday = await tell(memory, "trash pickup is on tuesday", created_at="2026-02-01T12:00:00Z")
    friday = await tell(memory, "trash pickup is on friday, that is when it is")
    stated = wire.AcceptCorrectionRequest(old_id=tuesday, new_id=friday, stated=True)
    await memory.accept_correction(stated, 10)
    tab = await show_panel("en")
    await status(tab, "1 memory, newest first")
    await tab.run("press('Corrections')")
    await tab.run(
        "until(() => { const which = root.querySelector('.tools select'); if (!which || all('select').length > 1)"
        " return; which.value = 'closed'; which.dispatchEvent(new Event('change')); return true; })"
    )
    await tab.run("press('Take it back')")
    assert await tab.run("until(() => told[0])") == "Done."
    await status(tab, "There is none.")
    await tab.run("press('Memories')")
    await status(tab, "2 memories, newest first")


async def test_a_secret_is_covered_until_somebody_asks_and_a_room_has_its_name(
    show_panel: ShowPanel, memory: MemoryClient
) -> None:
    await tell(memory, "The PIN of the alarm is 4711.", scope="area:attic")
    tab = await show_panel("en")
    await status(tab, "1 memory, newest first")
    assert "4711" not in await tab.run("root.querySelector('main').textContent")
    assert await tab.run("all('.label').some((one) => one.textContent === 'Room: Attic')")
    await tab.run("press('Show')")
    assert await tab.run("root.querySelector('.card .text').textContent") == "The PIN of the alarm is 4711."

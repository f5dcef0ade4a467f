"""What a household does with its voice, done once, and written down for the tests to read.

Something is told, asked for in a new conversation, and more is said while the memory server is away.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
import subprocess
from typing import Any

import aiohttp

from script.demonstration import setup
from script.demonstration.home_assistant import HomeAssistant
from script.demonstration.house import House, house
from script.demonstration.memory_server import Command
from script.demonstration.processes import DemonstrationError
from tests.voice.llm_proxy import Asked, Recorded, recording_proxy
from tests.voice.parts import VOICE, Ports, voice_parts
from tests.voice.spoken import RATE, Ear, SpokenTurn, take_turn

CONFIGURATION = """\
homeassistant:
  name: NPU Memory
  country: US
  time_zone: America/New_York
config:
conversation:
assist_pipeline:
ffmpeg:
logger:
  default: warning
"""
TOLD = "Remember that the boiler was serviced on the third of March."
ASKED = "When was the boiler serviced?"
ASIDE = ("Good morning.", "What a day.", "Tell me something nice.", "How are you?", "What would you cook?")
"""Said when the memory server is away, to the agent alone and to the assistant."""
BUDGET_MS = 2000
"""Longer than most would wait, so that what is found does not depend on how busy the machine is."""
MODEL_OPTIONS = {
    "prompt": "You are the voice of a house. Answer in one short sentence.",
    "llm_hass_api": [],
    "recommended": False,
    "max_tokens": 32,
    "temperature": 0,
    "top_p": 1,
}


@dataclass
class Pair:
    """The same said to the agent alone and to the assistant in front of it; `asked_ms` is when the model was asked."""

    alone: SpokenTurn
    remembering: SpokenTurn
    alone_asked_ms: float
    remembering_asked_ms: float
    memory: dict[str, Any]


@dataclass
class Story:
    """What happened."""

    version: str = ""
    told: SpokenTurn = field(default_factory=SpokenTurn)
    stored: list[str] = field(default_factory=list)
    asked: SpokenTurn = field(default_factory=SpokenTurn)
    model_was_asked: Asked | None = None
    memory_of_asked: dict[str, Any] = field(default_factory=dict)
    answer_heard_again: str = ""
    with_server: list[Pair] = field(default_factory=list)
    without_server: list[Pair] = field(default_factory=list)
    without_server_by_voice: list[Pair] = field(default_factory=list)


@dataclass(frozen=True)
class Pipelines:
    """The voice assistants of the house."""

    remembering: str
    alone: str
    assistant: str
    tts: str


def happened(folder: Path, lab: Path, version: str, command: Command, *, in_full: bool) -> Story:
    """Let it happen in a Home Assistant of `version`; takes a minute or more. Logs are in `folder`.

    Without `in_full` nothing is said while the memory server is away.
    """
    return asyncio.run(_happening(folder, lab, version, command, in_full=in_full))


async def _happening(folder: Path, lab: Path, version: str, command: Command, *, in_full: bool) -> Story:
    story = Story(version=version)
    python = lab / f"ha-{version}" / "bin" / "python"
    async with voice_parts(lab, folder) as ports, aiohttp.ClientSession() as session:
        with recording_proxy(ports.model) as model:
            async with house(folder, command, python, CONFIGURATION) as place:
                pipelines = await furnish(place, ports, model)
                ear = Ear(session, place.url)
                await tell_and_ask(story, place, pipelines, ear, model)
                if in_full:
                    await take_pairs(story.with_server, place, pipelines, ear, model, ASIDE)
                    place.stop_server()
                    await take_pairs(story.without_server, place, pipelines, ear, model, ASIDE * 2)
                    spoken = [await ear.hear(place.home, pipelines.tts, VOICE, text) for text in ASIDE[:2]]
                    await take_pairs(story.without_server_by_voice, place, pipelines, ear, model, spoken)
    return story


async def furnish(place: House, ports: Ports, model: Recorded) -> Pipelines:
    """Add Whisper, Piper, the language model and the two assistants as a user does, through the config flows."""
    home = place.home
    flows = "config/config_entries/flow"
    for port in (ports.whisper, ports.piper):
        await home.flow(flows, {"handler": "wyoming"}, {"host": "127.0.0.1", "port": port})
    form = await home.post(flows, handler="llama_cpp")
    form = await home.post(f"{flows}/{form['flow_id']}", base_url=f"http://127.0.0.1:{model.port}/v1")
    name = form["data_schema"][0]["description"]["suggested_value"]
    entry = (await home.post(f"{flows}/{form['flow_id']}", chat_model=name))["result"]["entry_id"]
    (subentry,) = await home.command("config_entries/subentries/list", entry_id=entry)
    start = {"handler": [entry, "conversation"], "subentry_id": subentry["subentry_id"]}
    await fill_in(home, "config/config_entries/subentries/flow", start, {"chat_model": name, **MODEL_OPTIONS})
    agent = await setup.entity_of(home, subentry["subentry_id"])
    assistant = await place.add_assistant("With memory", agent=agent, recall={"budget_ms": BUDGET_MS})
    states = [state["entity_id"] for state in await home.command("get_states")]
    stt = next(entity for entity in states if entity.startswith("stt."))
    tts = next(entity for entity in states if entity.startswith("tts.") and "piper" in entity)
    voice = {
        "stt_engine": stt,
        "stt_language": "en",
        "tts_engine": tts,
        "tts_language": "en_US",
        "tts_voice": VOICE,
    }
    return Pipelines(
        alone=await setup.add_pipeline(home, agent, "Alone", **voice),
        remembering=await setup.add_pipeline(home, assistant, "With memory", **voice),
        assistant=assistant,
        tts=tts,
    )


async def fill_in(home: HomeAssistant, path: str, start: dict[str, Any], answers: dict[str, Any]) -> None:
    """Walk through a flow whose form asks for everything at once in one release and for some of it later in another."""
    form = await home.post(path, **start)
    while form["type"] == "form":
        names = {part["name"] for part in form["data_schema"]}
        if form.get("errors") or not names & answers.keys():
            raise DemonstrationError(f"The form '{form['step_id']}' was refused: {form['errors']}.")
        step = {name: answers[name] for name in names & answers.keys()}
        form = await home.post(f"{path}/{form['flow_id']}", **step)


async def tell_and_ask(story: Story, place: House, pipelines: Pipelines, ear: Ear, model: Recorded) -> None:
    """Tell the house something, and ask for it in a new conversation, over a connection of its own."""
    home = place.home
    said = await ear.hear(home, pipelines.tts, VOICE, TOLD)
    story.told = await take_turn(home, pipelines.remembering, said, ear)
    answer = await home.command(
        "call_service",
        domain=setup.DOMAIN,
        service="recall",
        service_data={"text": "boiler"},
        return_response=True,
    )
    story.stored = [memory["text"] for memory in answer["response"]["memories"]]
    async with aiohttp.ClientSession() as session, HomeAssistant(session, place.url, place.token) as another:
        said = await ear.hear(another, pipelines.tts, VOICE, ASKED)
        before = len(model.completions)
        story.asked = await take_turn(another, pipelines.remembering, said, Ear(session, place.url))
        (story.model_was_asked,) = model.completions[before:]
    story.memory_of_asked = await place.last_turn(pipelines.assistant)
    if story.asked.audio:
        again = await take_turn(
            home, pipelines.remembering, await asyncio.to_thread(decoded, story.asked.audio), until="stt"
        )
        story.answer_heard_again = again.heard


async def take_pairs(
    pairs: list[Pair],
    place: House,
    pipelines: Pipelines,
    ear: Ear,
    model: Recorded,
    sayings: Sequence[str | bytes],
) -> None:
    """Say everything in a new conversation to both, each being the first every other time."""
    for number, said in enumerate(sayings):
        turns: dict[str, SpokenTurn] = {}
        asked_ms: dict[str, float] = {}
        both = (pipelines.alone, pipelines.remembering)
        for pipeline in both if number % 2 else reversed(both):
            before = len(model.completions)
            turn = turns[pipeline] = await take_turn(place.home, pipeline, said, ear)
            asked_ms[pipeline] = (model.completions[before].arrived - turn.began) * 1000
        memory = await place.last_turn(pipelines.assistant)
        alone, remembering = both
        pairs.append(Pair(turns[alone], turns[remembering], asked_ms[alone], asked_ms[remembering], memory))


def decoded(audio: bytes) -> bytes:
    """Return the samples of what Home Assistant has spoken, by the decoder that it uses itself."""
    command = ("ffmpeg", "-i", "pipe:0", "-f", "s16le", "-ar", str(RATE), "-ac", "1", "pipe:1")
    return subprocess.run(command, input=audio, capture_output=True, check=True).stdout

"""What a user does in Home Assistant to get an assistant with memory; each step is left out where it has been done."""

import asyncio
import time
from typing import Any

from .home_assistant import POLL_SECONDS, HomeAssistant
from .processes import DemonstrationError

DOMAIN = "npu_memory"
ASSISTANT_NAME = "Household memory"
PIPELINE_NAME = "NPU Memory"
UNWANTED = {"google_translate", "met", "radio_browser"}
"""Onboarding adds these; they need the internet."""
ENTITY_SECONDS = 30.0

type Json = dict[str, Any]


async def remove_unwanted(home: HomeAssistant) -> None:
    """Remove what onboarding has added."""
    for entry in await home.get("config/config_entries/entry"):
        if entry["domain"] in UNWANTED:
            await home.delete(f"config/config_entries/entry/{entry['entry_id']}")


async def add_server(home: HomeAssistant, server: Json, *, moved: bool) -> str:
    """Add the memory server through the config flow, or tell its entry where it is now; return the entry's id."""
    flow = "config/config_entries/flow"
    entry_id = next(
        (e["entry_id"] for e in await home.get("config/config_entries/entry") if e["domain"] == DOMAIN), None
    )
    if entry_id is None:
        result = await home.flow(flow, {"handler": DOMAIN}, server)
        if result["type"] != "create_entry":
            raise DemonstrationError(f"The config flow ended with '{result.get('reason')}'.")
        return str(result["result"]["entry_id"])
    if moved:
        await home.flow(flow, {"handler": DOMAIN, "entry_id": entry_id}, server)
    return str(entry_id)


async def add_assistant(home: HomeAssistant, entry_id: str, name: str = ASSISTANT_NAME, **answers: Any) -> str:
    """Add an assistant that answers from memory itself, unless `answers` to its form name an agent.

    Returns the entity id of its conversation agent.
    """
    subentry_id = await _subentry(home, entry_id, name)
    if subentry_id is None:
        form = {"name": name, "recall": {}, "prompt": {}, "privacy": {}, **answers}
        await home.flow("config/config_entries/subentries/flow", {"handler": [entry_id, "conversation"]}, form)
        subentry_id = await _subentry(home, entry_id, name)
    return await entity_of(home, subentry_id)


async def add_pipeline(home: HomeAssistant, agent: str, name: str = PIPELINE_NAME, **voice: Any) -> str:
    """Make the Assist pipeline with this agent, and make it the preferred one; return its id.

    `voice` are its settings of speech to text and text to speech; by default it has neither.
    """
    settings = {
        "name": name,
        "language": "en",
        "conversation_engine": agent,
        "conversation_language": "en",
        "stt_engine": None,
        "stt_language": None,
        "tts_engine": None,
        "tts_language": None,
        "tts_voice": None,
        "wake_word_entity": None,
        "wake_word_id": None,
        **voice,
    }
    pipelines = (await home.command("assist_pipeline/pipeline/list"))["pipelines"]
    pipeline = next((p for p in pipelines if p["name"] == name), None)
    if pipeline is None:
        pipeline = await home.command("assist_pipeline/pipeline/create", **settings)
    elif pipeline["conversation_engine"] != agent:
        await home.command("assist_pipeline/pipeline/update", pipeline_id=pipeline["id"], **settings)
    await home.command("assist_pipeline/pipeline/set_preferred", pipeline_id=pipeline["id"])
    return str(pipeline["id"])


async def _subentry(home: HomeAssistant, entry_id: str, name: str) -> str | None:
    subentries = await home.command("config_entries/subentries/list", entry_id=entry_id)
    return next(
        (s["subentry_id"] for s in subentries if s["subentry_type"] == "conversation" and s["title"] == name), None
    )


async def entity_of(home: HomeAssistant, subentry_id: str | None) -> str:
    """Wait for the conversation entity of a subentry to be available; return its id."""
    deadline = time.monotonic() + ENTITY_SECONDS
    while time.monotonic() < deadline:
        for entity in await home.command("config/entity_registry/list"):
            if entity["config_subentry_id"] == subentry_id and entity["entity_id"].startswith("conversation."):
                states = {state["entity_id"]: state["state"] for state in await home.command("get_states")}
                if states.get(entity["entity_id"], "unavailable") != "unavailable":
                    return str(entity["entity_id"])
        await asyncio.sleep(POLL_SECONDS)
    raise DemonstrationError(f"The assistant was not available after {ENTITY_SECONDS:.0f} s.")

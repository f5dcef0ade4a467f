"""What a story told by voice came to, in figures: for a script, for a person, and as a picture."""

from collections.abc import Sequence
import json
from pathlib import Path
import statistics
from typing import Any

from tests.voice.picture import svg
from tests.voice.story import Pair, Story

EVENTS = (
    "run-start",
    "stt-start",
    "stt-vad-start",
    "stt-end",
    "intent-start",
    "first-words",
    "intent-end",
    "tts-start",
    "tts-end",
    "run-end",
    "first-audio",
    "last-audio",
)


def write(story: Story, folder: Path) -> None:
    """Write the report of a story into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    found = figures(story)
    (folder / f"voice-{story.version}.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    (folder / f"voice-{story.version}.txt").write_text(text(found), encoding="utf-8")
    (folder / f"voice-{story.version}.svg").write_text(svg(found), encoding="utf-8")


def figures(story: Story) -> dict[str, Any]:
    """Return what was said and heard, and when: ms since the end of what was said."""
    model = story.model_was_asked
    began = story.asked.began
    moments = (model.arrived, model.first_piece, model.ended) if model else ()
    asked, first, ended = ((moment - began) * 1000 for moment in moments)
    memory = story.memory_of_asked
    found = {
        "home_assistant": story.version,
        "told": {
            "heard": story.told.heard.strip(),
            "answer": story.told.answer,
            "events_ms": _events(story.told.events),
        },
        "asked": {
            "heard": story.asked.heard.strip(),
            "answer": story.asked.answer,
            "answer_heard_again": story.answer_heard_again.strip(),
            "events_ms": _events(story.asked.events),
            "model_ms": {"asked": asked, "first_words": first, "end": ended},
            "memory_ms": {"waited": memory["waited_ms"], "in_the_server": memory["total_ms"]},
            "memory": {key: memory[key] for key in ("event_type", "returned", "given", "tokens", "backend")},
        },
    }
    for name, pairs in (
        ("with_server", story.with_server),
        ("server_stopped", story.without_server),
        ("server_stopped_by_voice", story.without_server_by_voice),
    ):
        if pairs:
            found[name] = _compared(pairs)
    return found


def text(found: dict[str, Any]) -> str:
    """Return the figures for a person to read."""
    asked = found["asked"]
    lines = [
        f"Home Assistant {found['home_assistant']}",
        "",
        f"heard: {found['told']['heard']}",
        f"spoken: {found['told']['answer']}",
        "",
        f"heard in a new conversation: {asked['heard']}",
        f"spoken: {asked['answer']}",
        f"heard of that by Whisper: {asked['answer_heard_again']}",
        "",
        f"{'ms after the end of what was said':40}{'told':>10}{'asked':>10}",
    ]
    for event in EVENTS:
        told, later = (found[turn]["events_ms"].get(event) for turn in ("told", "asked"))
        lines.append(f"{event:40}{_cell(told)}{_cell(later)}")
    lines += [f"{'model: ' + name.replace('_', ' '):50}{_cell(ms)}" for name, ms in asked["model_ms"].items()]
    lines += [f"{'memory: ' + name.replace('_', ' '):50}{_cell(ms)}" for name, ms in asked["memory_ms"].items()]
    for name, label in (
        ("with_server", "With the memory server"),
        ("server_stopped", "With the memory server stopped"),
        ("server_stopped_by_voice", "The same by voice"),
    ):
        if part := found.get(name):
            lines += [
                "",
                f"{label}: {part['pairs']} turns of the agent alone and of the assistant in front of it, p50",
            ]
            lines.append(f"{'ms':40}{'alone':>10}{'assistant':>10}{'more':>10}")
            for what, row in part["moments_ms"].items():
                lines.append(f"{what:40}{_cell(row['alone'])}{_cell(row['assistant'])}{_cell(row['more'])}")
            lines.append(f"waited for memory, at most: {part['waited_ms_max']:.1f} ms; {part['outcomes']}")
    return "\n".join(lines) + "\n"


def _events(events: dict[str, float]) -> dict[str, float]:
    return {name: round(events[name], 1) for name in EVENTS if name in events}


def _compared(pairs: Sequence[Pair]) -> dict[str, Any]:
    moments = {"the model is asked": [(pair.alone_asked_ms, pair.remembering_asked_ms) for pair in pairs]}
    for name, event in (("first words", "first-words"), ("first sound", "first-audio"), ("last sound", "last-audio")):
        moments[name] = [(pair.alone.events[event], pair.remembering.events[event]) for pair in pairs]
    outcomes = [pair.memory["event_type"] for pair in pairs]
    return {
        "pairs": len(pairs),
        "moments_ms": {
            name: {
                "alone": statistics.median(alone for alone, _ in both),
                "assistant": statistics.median(assistant for _, assistant in both),
                "more": statistics.median(assistant - alone for alone, assistant in both),
            }
            for name, both in moments.items()
        },
        "waited_ms_max": max(pair.memory["waited_ms"] for pair in pairs),
        "outcomes": {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))},
    }


def _cell(ms: float | None) -> str:
    return f"{'':>10}" if ms is None else f"{ms:10.1f}"

"""Turns of the Assist pipeline as a satellite takes them: audio in, audio out."""

import asyncio
from dataclasses import dataclass, field
import io
import time
from typing import Any
import wave

import aiohttp

from script.demonstration.home_assistant import HomeAssistant

RATE = 16000
CHUNK_BYTES = 2048
SILENCE = bytes(2 * RATE)
"""1 s: what Home Assistant needs to hear that a sentence has ended."""
AUDIO = {
    "preferred_format": "wav",
    "preferred_sample_rate": RATE,
    "preferred_sample_channels": 1,
    "preferred_sample_bytes": 2,
}


class PipelineFailed(Exception):
    """The pipeline has said that something went wrong."""


@dataclass
class SpokenTurn:
    """A turn, with the ms at which the first event of each kind came.

    They count from the end of what was said: `began`, by the wall clock, in s. Besides the pipeline's events there are
    `first-words`, `first-audio` and `last-audio` of the answer.
    """

    events: dict[str, float] = field(default_factory=dict)
    heard: str = ""
    answer: str = ""
    pieces: int = 0
    audio: bytes = b""
    audio_type: str = ""
    conversation_id: str = ""
    began: float = 0.0


@dataclass(frozen=True)
class Ear:
    """What fetches the audio of Home Assistant at `url`."""

    session: aiohttp.ClientSession
    url: str

    async def hear(self, home: HomeAssistant, engine: str, voice: str, text: str) -> bytes:
        """Return a sentence spoken by an engine, as a satellite would send it: 16 kHz, 16 bit, mono."""
        got = await home.post(
            "tts_get_url",
            engine_id=engine,
            message=text,
            language="en_US",
            cache=False,
            options={"voice": voice, **AUDIO},
        )
        async with self.session.get(f"{self.url}{got['path']}") as response:
            response.raise_for_status()
            return samples(await response.read())


def samples(file: bytes) -> bytes:
    """Return the samples of a WAV file of the rate that a pipeline wants."""
    with wave.open(io.BytesIO(file)) as audio:
        shape = (audio.getframerate(), audio.getsampwidth(), audio.getnchannels())
        if shape != (RATE, 2, 1):
            raise PipelineFailed(f"The audio is of another kind than asked for: {shape}")
        return audio.readframes(audio.getnframes())


async def take_turn(
    home: HomeAssistant,
    pipeline: str,
    said: bytes | str,
    ear: Ear | None = None,
    *,
    until: str = "tts",
    conversation_id: str | None = None,
) -> SpokenTurn:
    """Take a turn by audio or by text until a stage has ended; an `ear` hears the answer. Raises `PipelineFailed`."""
    turn = SpokenTurn()
    tasks: list[asyncio.Task[None]] = []
    moments: list[tuple[str, float]] = []
    turn.began, started = time.time(), time.perf_counter()

    async def feed(handler: int, audio: bytes) -> None:
        nonlocal started
        for start in range(0, len(audio), CHUNK_BYTES):
            await home.send_audio(handler, audio[start : start + CHUNK_BYTES])
        turn.began, started = time.time(), time.perf_counter()
        await home.send_audio(handler, SILENCE)
        await home.send_audio(handler, b"")

    async def listen(path: str) -> None:
        assert ear is not None
        async with ear.session.get(f"{ear.url}{path}") as response:
            turn.audio_type = response.content_type
            async for piece in response.content.iter_any():
                if not turn.audio:
                    moments.append(("first-audio", time.perf_counter()))
                turn.audio += piece
        moments.append(("last-audio", time.perf_counter()))

    def seen(event: dict[str, Any]) -> bool:
        kind, data = event["type"], event["data"] or {}
        moments.append((kind, time.perf_counter()))
        match kind:
            case "run-start":
                if isinstance(said, bytes):
                    tasks.append(asyncio.create_task(feed(data["runner_data"]["stt_binary_handler_id"], said)))
                if ear and (output := data.get("tts_output")):
                    tasks.append(asyncio.create_task(listen(output["url"])))
            case "stt-end":
                turn.heard = data["stt_output"]["text"]
            case "intent-progress" if (data.get("chat_log_delta") or {}).get("content"):
                turn.pieces += 1
                if turn.pieces == 1:
                    moments.append(("first-words", time.perf_counter()))
            case "intent-end":
                output = data["intent_output"]
                turn.answer = output["response"]["speech"].get("plain", {}).get("speech", "")
                turn.conversation_id = output["conversation_id"]
            case "error":
                raise PipelineFailed(f"{data['code']}: {data['message']}")
        return bool(kind == "run-end")

    by_audio = isinstance(said, bytes)
    try:
        await home.events(
            "assist_pipeline/run",
            seen,
            start_stage="stt" if by_audio else "intent",
            end_stage=until,
            pipeline=pipeline,
            conversation_id=conversation_id,
            input={"sample_rate": RATE} if by_audio else {"text": said},
        )
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    for kind, moment in moments:
        turn.events.setdefault(kind, (moment - started) * 1000)
    return turn

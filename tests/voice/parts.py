"""The other parts of a voice pipeline as programs: Whisper, Piper and a language model, real ones."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
import socket
import time

from script.demonstration.processes import Program, Programs, free_port

START_SECONDS = 300.0
FIRST_PORT = 18300
VOICE = "en_US-joe-medium"
MODEL = "gemma-3-270m"
POLL_SECONDS = 0.2
CHAT = Path(__file__).with_name("plain_chat.jinja")
"""Questions and answers: the model has not been taught any form of chat."""


@dataclass(frozen=True)
class Ports:
    """Where they listen."""

    whisper: int
    piper: int
    model: int


@asynccontextmanager
async def voice_parts(lab: Path, folder: Path) -> AsyncIterator[Ports]:
    """Run what the folder `lab` has, with logs in `folder`, until the block ends."""
    programs = Programs(folder)
    whisper = free_port(FIRST_PORT)
    ports = Ports(whisper, free_port(whisper + 1), free_port(whisper + 2))
    python, data = str(lab / "voice-venv" / "bin" / "python"), lab / "voice"
    hears = [python, "-m", "wyoming_faster_whisper", "--uri", f"tcp://127.0.0.1:{ports.whisper}", "--language", "en"]
    hears += ["--model", str(data / "whisper-base"), "--data-dir", str(data / "whisper-data"), "--local-files-only"]
    hears += ["--stt-library", "faster-whisper", "--compute-type", "int8", "--cpu-threads", "2", "--beam-size", "1"]
    speaks = [python, "-m", "wyoming_piper", "--uri", f"tcp://127.0.0.1:{ports.piper}", "--voice", VOICE]
    speaks += ["--data-dir", str(data / "piper"), "--local-files-only"]
    thinks = [str(lab / "llama" / "usr" / "bin" / "llama-server"), "--host", "127.0.0.1", "--port", str(ports.model)]
    thinks += ["-m", str(next((data / "llm").glob("*.gguf"))), "-c", "4096", "-t", "1", "--poll", "0"]
    thinks += ["--alias", MODEL, "--jinja", "--chat-template-file", str(CHAT)]
    try:
        for name, command, port in (
            ("Whisper", hears, ports.whisper),
            ("Piper", speaks, ports.piper),
            ("llama-server", thinks, ports.model),
        ):
            program = programs.start(name, command, {}, folder / f"{name.lower()}.log")
            await _listening(program, port)
        yield ports
    finally:
        programs.stop_all()


async def _listening(program: Program, port: int) -> None:
    limit = time.monotonic() + START_SECONDS
    while True:
        program.check()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > limit:
                raise
            await asyncio.sleep(POLL_SECONDS)
        else:
            return

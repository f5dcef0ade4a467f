"""`npu-memory serve`: the server, until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys

from ..data_directory import DataDirectory, ServerAddress, read_token
from ..memory import Memory
from ..settings import ServeSettings, Settings
from ..transport.requests import Serving
from ..transport.server import listening
from .opening import load_embedder

LOGGER = logging.getLogger(__name__)

SWITCH_SECONDS = 0.0002
"""How long a thread may keep another waiting for the interpreter: Python's 5 ms are more than a whole recall takes."""


async def serve(settings: Settings, serve_settings: ServeSettings) -> int:
    """Serve the data directory until SIGTERM or SIGINT; returns the exit code. Raises `NpuMemoryError`."""
    sys.setswitchinterval(SWITCH_SECONDS)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with DataDirectory(settings.data_directory) as directory:
        embedder = await asyncio.to_thread(load_embedder, settings)
        memory = await Memory.open(settings.data_directory, embedder, settings.recall)
        try:
            serving = Serving(memory, read_token(settings.data_directory), serve_settings.handle_transcripts)
            async with listening(serving, serve_settings.host, serve_settings.port) as (host, port):
                directory.announce(ServerAddress(host, port, os.getpid()))
                status = await memory.status()
                LOGGER.info("%s memories, embedding on %s", status.memories, status.backend)
                LOGGER.info("The token for Home Assistant is in %s", settings.data_directory / "token")
                # What was loaded stays: no collection has to walk through it while somebody waits for an answer.
                gc.collect()
                gc.freeze()
                await stop.wait()
                LOGGER.info("Stopping")
        finally:
            await memory.close()
    return 0

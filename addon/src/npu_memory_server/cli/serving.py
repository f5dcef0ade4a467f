"""`npu-memory serve`: the server, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

from ..data_directory import DataDirectory, ServerAddress, read_token
from ..errors import ModelError
from ..memory import Memory
from ..native.library import kernels
from ..npu.faults import NpuRequiredError
from ..reranking.registry import is_cross_encoder
from ..reranking.shelf import Shelf
from ..settings import ServeSettings, Settings
from ..supervisor import announced
from ..tidying import tidied
from ..transport.requests import Serving
from ..transport.server import listening
from ..wire import Reranker
from .opening import open_embedder, open_shelf

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
        async with open_embedder(settings) as embedder:
            shelf = open_shelf(settings)
            if is_cross_encoder(settings.recall.reranker):
                await _load_reranker(shelf, settings.recall.reranker)
            memory = await Memory.open(settings.data_directory, embedder, settings.recall, shelf)
            try:
                # For the first question: the pages of a million memories take a third of a second to wake.
                await memory.prepare()
                token = read_token(settings.data_directory)
                serving = Serving(memory, token, serve_settings.handle_transcripts)
                async with listening(serving, serve_settings.host, serve_settings.port) as (host, port):
                    directory.announce(ServerAddress(host, port, os.getpid()))
                    status = await memory.status()
                    LOGGER.info("%s memories, embedding on %s", status.memories, status.backend)
                    LOGGER.log(logging.INFO if kernels().functions else logging.WARNING, "Kernels: %s", kernels().seen)
                    LOGGER.info("The token for Home Assistant is in %s", settings.data_directory / "token")
                    async with tidied(memory.right_of_way), announced(serve_settings.supervisor, port, token):
                        await stop.wait()
                    LOGGER.info("Stopping")
            finally:
                await memory.close()
    return 0


async def _load_reranker(shelf: Shelf, reranker: Reranker) -> None:
    """Load the default reranker; without it the server still serves, and each answer says so.

    Raises `NpuRequiredError` if the settings demand an NPU for it that cannot be used.
    """
    try:
        await asyncio.to_thread(shelf.load, reranker)
    except NpuRequiredError:
        raise
    except ModelError as error:
        LOGGER.warning("Questions are answered with MaxSim instead: %s", error)

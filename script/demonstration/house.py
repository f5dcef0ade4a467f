"""A house for as long as it is needed: a memory server and a real Home Assistant that has it, on ports of their own."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
import secrets
from typing import Any

import aiohttp

from . import home_assistant, memory_server, setup
from .home_assistant import HomeAssistant
from .memory_server import Command
from .processes import Program, Programs, free_port

FIRST_HOME_PORT = 18123
FIRST_SERVER_PORT = 18750


@dataclass
class House:
    """What runs in it; the memory server keeps its port when it is stopped and started again."""

    home: HomeAssistant
    url: str
    password: str
    token: str
    entry_id: str
    command: Command
    server_port: int
    programs: Programs
    _server: Program
    _log: Path

    def stop_server(self) -> None:
        """End the memory server."""
        self.programs.stop(self._server)

    async def start_server(self) -> None:
        """Start the memory server again."""
        self._server = await memory_server.start(self.command, self.programs, self.server_port, self._log)

    async def add_assistant(self, name: str, **answers: Any) -> str:
        """Add an assistant with memory; return its entity id."""
        return await setup.add_assistant(self.home, self.entry_id, name, **answers)

    async def last_turn(self, assistant: str) -> dict[str, Any]:
        """Return what memory did for the last turn of an assistant, as its event entity says it."""
        registry = {entity["entity_id"]: entity for entity in await self.home.command("config/entity_registry/list")}
        subentry = registry[assistant]["config_subentry_id"]
        event = next(
            entity_id
            for entity_id, entity in registry.items()
            if entity_id.startswith("event.") and entity["config_subentry_id"] == subentry
        )
        state = await self.home.get(f"states/{event}")
        return dict(state["attributes"])


@asynccontextmanager
async def house(
    folder: Path, command: Command, python: Path, configuration: str, integrations: Iterable[Path] = ()
) -> AsyncIterator[House]:
    """Give a house in an empty `folder`, of the Home Assistant of `python` and the memories that `command` has.

    `integrations` are put into it besides that of the checkout. All that runs in it is ended with the block.
    """
    programs = Programs(folder)
    config, log = folder / "home-assistant", folder / "home-assistant.log"
    server_log = folder / "memory-server.log"
    home_port = free_port(FIRST_HOME_PORT)
    server_port = free_port(FIRST_SERVER_PORT, forbidden=home_port)
    try:
        home_assistant.configure(
            config, configuration, [command.checkout / "custom_components" / setup.DOMAIN, *integrations]
        )
        program = home_assistant.start(programs, python, config, home_port, log)
        server = await memory_server.start(command, programs, server_port, server_log)
        url, password = f"http://127.0.0.1:{home_port}", secrets.token_urlsafe(9)
        async with aiohttp.ClientSession() as session:
            await home_assistant.wait_until_up(session, url, program)
            token = await home_assistant.onboard(session, url, password)
            async with HomeAssistant(session, url, token) as home:
                await home_assistant.wait_until_running(home, program)
                await setup.remove_unwanted(home)
                address = {"host": "127.0.0.1", "port": server_port, "token": command.token}
                entry_id = await setup.add_server(home, address, moved=False)
                yield House(home, url, password, token, entry_id, command, server_port, programs, server, server_log)
    finally:
        programs.stop_all()

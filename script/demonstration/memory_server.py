"""The memory server of the demonstration, driven by its own command."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
import json
from pathlib import Path
import time

from .processes import DemonstrationError, Program, Programs

START_SECONDS = 60.0
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Command:
    """`npu-memory` with the data directory of the demonstration."""

    checkout: Path
    python: Path
    model_directory: Path
    data_directory: Path

    def words(self, *arguments: str) -> list[str]:
        """Return the command line."""
        command, *rest = arguments
        return [str(self.python), "-m", "npu_memory_server", command, "--data-dir", str(self.data_directory), *rest]

    def environment(self) -> Mapping[str, str]:
        """Return what the command finds its code and its model by."""
        return {
            "PYTHONPATH": str(self.checkout / "addon" / "src"),
            "NPU_MEMORY_MODEL_DIR": str(self.model_directory),
        }

    @property
    def token(self) -> str:
        """What Home Assistant is given to speak to the server."""
        return (self.data_directory / "token").read_text().strip()


async def start(command: Command, programs: Programs, port: int, log: Path) -> Program:
    """Start the server and wait until it listens."""
    announcement = command.data_directory / "server.json"
    announcement.unlink(missing_ok=True)
    words = command.words("serve", "--host", "127.0.0.1", "--port", str(port))
    program = programs.start("The memory server", words, command.environment(), log)
    deadline = time.monotonic() + START_SECONDS
    while not _announced(announcement, program.pid):
        program.check()
        if time.monotonic() > deadline:
            raise DemonstrationError(f"The memory server was not ready after {START_SECONDS:.0f} s.", log)
        await asyncio.sleep(POLL_SECONDS)
    return program


async def import_memories(command: Command, file: Path) -> str:
    """Import a file with the user watching the progress bar; return what the command reports."""
    process = await asyncio.create_subprocess_exec(
        *command.words("import", str(file)), env=dict(command.environment()), stdout=asyncio.subprocess.PIPE
    )
    try:
        report, _ = await process.communicate()
    except asyncio.CancelledError:
        process.terminate()
        raise
    if process.returncode:
        raise DemonstrationError(f"The import of {file} failed.")
    return report.decode().strip()


def _announced(announcement: Path, pid: int) -> bool:
    try:
        return bool(json.loads(announcement.read_text())["pid"] == pid)
    except OSError, ValueError:
        return False

"""Programs that go on running after the demonstration has ended, and are found again by the next one."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
import json
import os
from pathlib import Path
import signal
import socket
import subprocess
import sys
import time

STOP_SECONDS = 20.0
"""Home Assistant writes its storage when it stops."""
POLL_SECONDS = 0.1
LOG_LINES = 20


class DemonstrationError(Exception):
    """Something did not work; `log` is the file that may say why."""

    def __init__(self, sentence: str, log: Path | None = None) -> None:
        """`sentence` says what, and what to do."""
        super().__init__(sentence)
        self.log = log

    def explanation(self) -> str:
        """Return the sentence and the end of the log."""
        if self.log is None or not self.log.exists():
            return str(self)
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        return "\n".join([str(self), f"The end of {self.log}:", *(f"  {line}" for line in lines)])


@dataclass(frozen=True)
class Program:
    """A started program; `started` is the kernel's start time, since process ids are used again."""

    name: str
    pid: int
    started: str
    log: str

    def is_running(self) -> bool:
        """Tell whether this very program still runs."""
        return _start_time(self.pid) == self.started

    def check(self) -> None:
        """Raise `DemonstrationError` if it has ended."""
        if not self.is_running():
            raise DemonstrationError(f"{self.name} has ended by itself.", Path(self.log))


class Programs:
    """The programs of one folder, written down in a file of it."""

    def __init__(self, folder: Path) -> None:
        """Read what an earlier demonstration has started."""
        self._file = folder / "programs.json"
        self._running: list[Program] = []
        if self._file.exists():
            self._running = [Program(**program) for program in json.loads(self._file.read_text())]

    def start(self, name: str, command: list[str], environment: Mapping[str, str], log: Path) -> Program:
        """Start a command in a session of its own, out of reach of this terminal's Ctrl-C."""
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        program = Program(name, process.pid, _start_time(process.pid), str(log))
        self._running.append(program)
        self._save()
        return program

    def stop_all(self) -> list[str]:
        """End what runs, the latest first; return the names of what did."""
        running = [program for program in reversed(self._running) if program.is_running()]
        _stop(running)
        self._running = []
        if running:
            self._save()
        return [program.name for program in running]

    def stop(self, program: Program) -> None:
        """End one of them."""
        _stop([program])
        self._running.remove(program)
        self._save()

    def _save(self) -> None:
        self._file.write_text(json.dumps([asdict(program) for program in self._running], indent=2) + "\n")


def free_port(preferred: int, forbidden: int | None = None) -> int:
    """Return `preferred` or the next TCP port on which nothing listens."""
    for port in range(preferred, preferred + 200):
        if port == forbidden:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise DemonstrationError(f"No TCP port from {preferred} on is free.")


def _stop(programs: list[Program]) -> None:
    for program in programs:
        os.kill(program.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline and any(program.is_running() for program in programs):
        time.sleep(POLL_SECONDS)
    for program in programs:
        if program.is_running():
            os.killpg(program.pid, signal.SIGKILL)


def _start_time(pid: int) -> str:
    """Return when a process was started, in the kernel's ticks, or "" if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


if __name__ == "__main__":
    ended = Programs(Path(sys.argv[1])).stop_all()
    print(f"Ended: {', '.join(ended)}." if ended else "Nothing is running.")

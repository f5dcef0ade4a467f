"""The command and the server as real processes."""

from collections.abc import Mapping
import contextlib
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

from npu_memory_server.data_directory import read_token, server_address

SOURCES = Path(__file__).parents[2] / "addon" / "src"
LONGEST_SECONDS = 60.0


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what a command is started with: the tests' own environment, without the user's settings."""
    kept = {name: value for name, value in os.environ.items() if name not in ("RAG_STRATEGY", "TOP_K", "RERANK_MODEL")}
    return kept | {"PYTHONPATH": str(SOURCES)} | dict(extra or {})


def command_line(*arguments: str | Path) -> list[str]:
    """Return the words that start `npu-memory` with the tests' own Python."""
    return [sys.executable, "-m", "npu_memory_server", *map(str, arguments)]


def run_command(
    *arguments: str | Path, data: Path | None = None, stdin: str = "", extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one `npu-memory` command to its end."""
    where: list[str | Path] = ["--data-dir", data] if data else []
    return subprocess.run(
        command_line(*arguments, *where),
        env=environment(extra),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )


class ServerProcess:
    """`npu-memory serve` on a data directory, with its log beside it."""

    def __init__(self, data: Path, *options: str) -> None:
        """Name the folder; `start` begins."""
        self.data = data
        self.log = data.parent / "server.log"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it listens."""
        command = command_line("serve", "--data-dir", self.data, "--host", "127.0.0.1", "--port", "0", *self._options)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, env=environment(), stdout=log, stderr=log)
        limit = time.monotonic() + LONGEST_SECONDS
        while (address := server_address(self.data)) is None or address.pid != self._process.pid:
            if self._process.poll() is not None or time.monotonic() > limit:
                raise RuntimeError(self.log.read_text())
            time.sleep(0.02)
        self.port = address.port

    @property
    def token(self) -> str:
        """The token of the data directory."""
        return read_token(self.data)

    @property
    def resident_kilobytes(self) -> int:
        """How much memory the process has, as the kernel counts it."""
        status = Path(f"/proc/{self._running.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))

    @property
    def pid(self) -> int:
        """Its number among the processes."""
        return self._running.pid

    @property
    def open_files(self) -> int:
        """How many files and sockets the process has open."""
        return len(list(Path(f"/proc/{self._running.pid}/fd").iterdir()))

    def stop(self) -> int | None:
        """Ask it to end and return its exit code; None if it was not running."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Take the power away."""
        self._end(signal.SIGKILL)

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def _end(self, number: signal.Signals) -> int | None:
        if self._process is None:
            return None
        process, self._process = self._process, None
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        try:
            return process.wait(LONGEST_SECONDS / 2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

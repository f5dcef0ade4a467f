"""The real memory server as a process of its own, which tests may stop, kill and start again."""

from dataclasses import dataclass
import json
import os
from pathlib import Path
import signal
import subprocess
import time

from homeassistant.const import CONF_HOST, CONF_PORT, CONF_TOKEN

SOURCES = Path(__file__).parents[2] / "addon" / "src"
START_SECONDS = 60.0


@dataclass
class MemoryServer:
    """A server on a data directory; it keeps its port when it is started again."""

    python: str
    models: str
    directory: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        address = self.directory / "server.json"
        address.unlink(missing_ok=True)
        command = [self.python, "-m", "npu_memory_server", "serve", "--data-dir", str(self.directory)]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        with (self.directory.parent / "server.log").open("ab") as log:
            environment = os.environ | {"PYTHONPATH": str(SOURCES), "NPU_MEMORY_MODEL_DIR": self.models}
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        limit = time.monotonic() + START_SECONDS
        while not address.exists():
            if self.process.poll() is not None or time.monotonic() > limit:
                raise RuntimeError((self.directory.parent / "server.log").read_text())
            time.sleep(0.05)
        self.port = json.loads(address.read_text())["port"]

    @property
    def token(self) -> str:
        return (self.directory / "token").read_text().strip()

    @token.setter
    def token(self, token: str) -> None:
        (self.directory / "token").write_text(f"{token}\n")

    @property
    def entry_data(self) -> dict[str, str | int]:
        return {CONF_HOST: "127.0.0.1", CONF_PORT: self.port, CONF_TOKEN: self.token}

    def kill(self) -> None:
        """End it as a power cut would, frozen or not."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(START_SECONDS)
            self.process = None

    def freeze(self) -> None:
        """Leave the connections open and answer nothing: what a board does when it swaps or its storage hangs."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

"""Start the memory server's image as its users do, ask it questions over the wire, and look at what it left behind.

Twice on the same data: as Home Assistant's Supervisor starts it (root, a file of options, a Supervisor to announce
itself to), and as the compose files do (no root, read-only root file system). Prints one line for each thing that was
seen; ends with 1 at the first that is not so.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
import os
from pathlib import Path
import queue
import re
import signal
import socket
import subprocess
import sys
import tempfile
from threading import Thread
import time
from typing import Any, Self

from npu_memory_server.errors import NpuMemoryError
from npu_memory_server.transport.client import RemoteMemory, connected
from npu_memory_server.wire import RecallRequest, RememberRequest

USER_ID = 10750
START_SECONDS = 300
STOP_SECONDS = 60
INSIDE_ATTEMPTS = 3
"""On a busy machine buildah can lose what a short command printed."""
MEGABYTES = {"amd64": 450}
UNITS = {"B": 1e-6, "KB": 1e-3, "MB": 1.0, "GB": 1e3}
SUPERVISOR_TOKEN = "token of a Supervisor that stands in"
KEY = "The spare key is with the neighbors at number twelve."
OTHERS = ("The boiler was serviced by Mr. Odum.", "Swim practice is on Sunday at ten.")
QUESTION = "Who has the spare key?"
KERNELS = "from npu_memory_server.native.library import kernels; print(kernels().seen)"
AS_COMPOSE = ("--user", f"{USER_ID}:{USER_ID}", "--cap-drop", "ALL")
AS_COMPOSE_ENGINE = ("--read-only", "--tmpfs", "/tmp", "--security-opt", "no-new-privileges")  # noqa: S108


class NotSo(Exception):
    """Something that should have been seen was not."""


def saw(what: str, *, holds: bool = True) -> None:
    """Print what was seen, or raise `NotSo`."""
    if not holds:
        raise NotSo(what)
    print(f"  seen: {what}", flush=True)


class Data:
    """What is kept of the containers while the `with` lasts: a volume of the engine, or with buildah a folder."""

    def __init__(self, engine: str, image: str, folder: Path) -> None:
        """Name the engine, what runs in it, and an empty folder."""
        self._engine = engine
        self._image = image
        self.source = str(folder) if engine == "buildah" else f"npu-memory-check-{os.getpid()}"

    def __enter__(self) -> Self:
        """Make it."""
        if self._engine != "buildah":
            output(self._engine, "volume", "create", self.source)
        return self

    def __exit__(self, *error: object) -> None:
        """Remove it."""
        if self._engine != "buildah":
            output(self._engine, "volume", "rm", self.source)

    def choose(self, options: dict[str, Any]) -> None:
        """Write the app's options, as the Supervisor does."""
        content = json.dumps(options)
        if self._engine == "buildah":
            (Path(self.source) / "options.json").write_text(content)
            return
        run = [self._engine, "run", "--rm", "--interactive", "--user", "root", "--volume", f"{self.source}:/data"]
        run += ["--entrypoint", "sh", self._image, "-c", "cat >/data/options.json"]
        subprocess.run(run, input=content.encode(), check=True)


class Container:
    """A container of the image that runs while the `with` lasts; it shares this machine's network."""

    def __init__(self, engine: str, image: str, data: Data, environment: dict[str, str], how: Sequence[str]) -> None:
        """Say what is to be run; `how` are arguments of the engine's `run`."""
        self.port = free_port()
        self._engine = engine
        self._name = f"npu-memory-check-{os.getpid()}-{self.port}"
        self._data = data
        self._variables = [f"{name}={value}" for name, value in environment.items()]
        command = ["npu-memory-container", "start", "--host", "127.0.0.1", "--port", str(self.port)]
        if engine == "buildah":
            output(engine, "from", "--name", self._name, image)
            output(engine, "config", "--volume", "/data-", self._name)  # it would hide the folder of the same name
            run = [*self._inside_buildah(how), "env", *self._variables, *command]
        else:
            variables = [part for variable in self._variables for part in ("--env", variable)]
            run = [engine, "run", "--rm", "--init", "--network", "host", "--name", self._name, *variables, *how]
            run += ["--volume", f"{data.source}:/data", image, *command[1:]]
        self._run = run
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        """Start it."""
        self._process = subprocess.Popen(self._run, stdout=sys.stderr, stderr=sys.stderr)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Stop it as the engine does, and wait for its end."""
        if self._engine == "buildah":
            for server in descendants(self._process.pid)[:1]:
                os.kill(server, signal.SIGTERM)
        else:
            subprocess.run([self._engine, "stop", self._name], check=False, capture_output=True)
        try:
            code = self._process.wait(STOP_SECONDS)
        finally:
            self._process.kill()
            if self._engine == "buildah":
                output("buildah", "rm", self._name)
        if kind is None:
            saw("it stops when it is told to", holds=code == 0)

    @property
    def ended(self) -> bool:
        """Say whether it has ended by itself."""
        return self._process.poll() is not None

    def inside(self, *command: str) -> str:
        """Run a command in the container, as its user; returns what it printed.

        Raises `CalledProcessError` and `NotSo`.
        """
        for _ in range(INSIDE_ATTEMPTS):
            if printed := output(*self._inside(command)):
                return printed
        raise NotSo(f"{command[0]} prints something")

    def succeeds(self, *command: str) -> bool:
        """Run a command in the container, as its user; returns whether it ended with 0."""
        return subprocess.run(self._inside(command), check=False, capture_output=True).returncode == 0

    def _inside(self, command: Sequence[str]) -> list[str]:
        if self._engine == "buildah":
            return [*self._inside_buildah(()), *command]
        return [self._engine, "exec", self._name, *command]

    def _inside_buildah(self, how: Sequence[str]) -> list[str]:
        return ["buildah", "run", "--network", "host", "--volume", f"{self._data.source}:/data", *how, self._name, "--"]


def output(*command: str) -> str:
    """Run a command; returns what it printed."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL).stdout


def descendants(process: int) -> list[int]:
    """Return the ids of the processes below a process, the innermost first."""
    below: list[int] = []
    for state in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(state.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == process:
            child = int(state.parent.name)
            below += [*descendants(child), child]
    return below


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def supervisor(heard: queue.Queue[tuple[str, str | None, Any]]) -> Iterator[str]:
    """Stand in for the Supervisor's API; gives its host:port, and puts (path, authorization, message) into `heard`."""

    class Api(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            heard.put((self.path, self.headers["Authorization"], message))
            answer = json.dumps({"result": "ok", "data": {"uuid": "0" * 32}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def wait_until_healthy(container: Container) -> None:
    """Wait for the image's own health check to pass. Raises `NotSo`."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and not container.ended:
        if container.succeeds("npu-memory-container", "healthy"):
            saw("the health check passes")
            return
        time.sleep(1)
    raise NotSo(f"the health check passes within {START_SECONDS} s")


async def asked(port: int, token: str, remember: Sequence[str] = ()) -> list[str]:
    """Remember texts, then ask; returns the texts of the memories that come back."""
    async with connected("127.0.0.1", port, token) as memory:
        await _remembered(memory, remember)
        found = await memory.recall(RecallRequest(text=QUESTION, budget_ms=30_000))
    saw(f"memories of '{found.backend}' come back over the wire", holds=bool(found.memories))
    return [item.text for item in found.memories]


async def _remembered(memory: RemoteMemory, texts: Sequence[str]) -> None:
    for text in texts:
        await memory.remember(RememberRequest(text=text, speaker="Nora"))


def check_as_app(engine: str, image: str, data: Data) -> None:
    """Start it as the Supervisor does and ask it."""
    data.choose({"top_k": 1, "log_level": "info", "rerank_model": "maxsim"})
    heard: queue.Queue[tuple[str, str | None, Any]] = queue.Queue()
    with supervisor(heard) as address:
        environment = {"SUPERVISOR": address, "SUPERVISOR_TOKEN": SUPERVISOR_TOKEN}
        with Container(engine, image, data, environment, ()) as container:
            wait_until_healthy(container)
            token = container.inside("cat", "/data/token").strip()
            path, authorization, message = heard.get(timeout=30)
            config = {"host": socket.gethostname(), "port": container.port, "token": token}
            saw("it announces itself to the Supervisor", holds=path == "/discovery")
            saw("with its own token", holds=authorization == f"Bearer {SUPERVISOR_TOKEN}")
            expected = {"service": "npu_memory", "config": {**config, "host": message["config"]["host"]}}
            saw("naming address and token", holds=message == expected)
            texts = asyncio.run(asked(container.port, token, (*OTHERS, KEY)))
            saw(f"the right one first, and as many as the options say ({len(texts)})", holds=texts == [KEY])
            printed = container.inside("npu-memory", "recall", QUESTION, "--json")
            saw("the command finds it too, inside the container", holds=KEY in printed)
            printed = container.inside("/opt/npu-memory/bin/python", "-c", KERNELS).strip()
            saw(f"its kernels are {printed}", holds=printed.startswith("in C"))
            owners = set(container.inside("stat", "-c", "%u", "/data/memories.sqlite3", "/data/token").split())
            saw(f"the server is not root: its files belong to user {USER_ID}", holds=owners == {str(USER_ID)})
            backup = [
                container.succeeds("npu-memory-container", moment) for moment in ("before-backup", "after-backup")
            ]
            saw("the Supervisor's backup may begin and end", holds=all(backup))


def check_as_compose(engine: str, image: str, data: Data) -> None:
    """Start it as the compose files do, on what the app has left, and ask it."""
    data.choose({})
    how = AS_COMPOSE if engine == "buildah" else (*AS_COMPOSE, *AS_COMPOSE_ENGINE)
    with Container(engine, image, data, {"TOP_K": "2"}, how) as container:
        wait_until_healthy(container)
        token = container.inside("cat", "/data/token").strip()
        texts = asyncio.run(asked(container.port, token))
        saw("after a restart, without root, what was remembered is there", holds=texts[0] == KEY)
        saw("as many as the environment says", holds=len(texts) == 2)


def check_size(engine: str, image: str, arch: str) -> None:
    """Compare the size of the image with what is allowed."""
    if engine == "buildah":
        printed = output("buildah", "images", "--format", "{{.Size}}", image).strip()
        number, unit = re.fullmatch(r"([\d.]+) ?([KMG]?B)", printed).groups()  # type: ignore[union-attr]
        megabytes = float(number) * UNITS[unit]
    else:
        megabytes = int(output(engine, "image", "inspect", "--format", "{{.Size}}", image)) / 1e6
    limit = MEGABYTES.get(arch)
    saw(
        f"{megabytes:.0f} MB of image" + (f", less than {limit}" if limit else ""), holds=not limit or megabytes < limit
    )


def main() -> int:
    """Check an image; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image")
    parser.add_argument("--engine", choices=["docker", "podman", "buildah"], required=True)
    parser.add_argument("--arch", choices=["amd64", "arm64"], required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="npu-memory-container-") as folder:
        try:
            with Data(options.engine, options.image, Path(folder)) as data:
                check_size(options.engine, options.image, options.arch)
                check_as_app(options.engine, options.image, data)
                check_as_compose(options.engine, options.image, data)
        except (NotSo, NpuMemoryError, subprocess.CalledProcessError, queue.Empty) as error:
            print(f"  NOT seen: {error}" if isinstance(error, NotSo) else f"  failed: {error!r}", flush=True)
            return 1
    print("The image works")
    return 0


if __name__ == "__main__":
    sys.exit(main())

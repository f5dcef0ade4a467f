"""Have compose start its file for any machine with an image of the memory server, ask it, and take it away again.

Prints one line for each thing that was seen; ends with 1 at the first that is not so.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
import json
import os
from pathlib import Path
import subprocess
import sys
import tempfile
import time
from typing import Self

from npu_memory_server.errors import NpuMemoryError
from script.checks.container import KEY, OTHERS, START_SECONDS, STOP_SECONDS, NotSo, asked, free_port, saw

FILE = Path(__file__).parents[2] / "addon" / "compose.yaml"
SERVICE = "memory"
API_SECONDS = 30


class Composed:
    """What compose has started, while the `with` lasts; its data go with it."""

    def __init__(self, compose: Sequence[str], override: Path, environment: Mapping[str, str]) -> None:
        """Say which compose, with what over its file, and by which variables it finds the engine."""
        self.port = free_port()
        project = f"npu-memory-check-{os.getpid()}"
        self._compose = [*compose, "--project-name", project, "--file", str(FILE), "--file", str(override)]
        self._environment = {**os.environ, **environment, "NPU_MEMORY_PORT": str(self.port), "TOP_K": "1"}

    def __enter__(self) -> Self:
        """Start it."""
        try:
            self.run("up", "--detach", "--no-build")
        except subprocess.CalledProcessError:
            self.run("down", "--volumes")
            raise
        return self

    def __exit__(self, *error: object) -> None:
        """Stop it and take everything away."""
        self.run("down", "--volumes")

    def run(self, *command: str) -> str:
        """Have compose do something; returns what it printed. Raises `CalledProcessError`."""
        done = subprocess.run(
            [*self._compose, *command], env=self._environment, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout

    def inside(self, *command: str) -> str:
        """Run a command in the container, as its user; returns what it printed. Raises `CalledProcessError`."""
        return self.run("exec", "-T", SERVICE, *command)

    def wait_until_healthy(self) -> None:
        """Wait for the image's own health check to pass. Raises `NotSo`."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            try:
                self.inside("npu-memory-container", "healthy")
            except subprocess.CalledProcessError:
                time.sleep(1)
            else:
                saw("the health check passes")
                return
        raise NotSo(f"the health check passes within {START_SECONDS} s")


@contextmanager
def engine_for_compose(engine: str, folder: Path) -> Iterator[dict[str, str]]:
    """Yield the variables by which compose finds the engine: podman answers it at a socket, if it is told to."""
    if engine == "docker":
        yield {}
        return
    socket = folder / "podman.sock"
    service = subprocess.Popen(
        ["podman", "system", "service", "--time", "0", f"unix://{socket}"], stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + API_SECONDS
        while not socket.exists():
            if time.monotonic() > until:
                raise NotSo(f"podman answers compose within {API_SECONDS} s")
            time.sleep(0.1)
        yield {"DOCKER_HOST": f"unix://{socket}"}
    finally:
        service.terminate()
        service.wait(STOP_SECONDS)


def check(composed: Composed) -> None:
    """Ask what compose has started, before and after a restart, and look at what it may do."""
    composed.wait_until_healthy()
    token = composed.inside("cat", "/data/token").strip()
    texts = asyncio.run(asked(composed.port, token, (*OTHERS, KEY)))
    saw("compose: the right one first, and as many as the environment says", holds=texts == [KEY])
    status = composed.inside("cat", "/proc/1/status", "/proc/self/status")
    powers = {line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")}
    saw("compose: nobody in the container has any capability", holds=powers == {"0" * 16})
    composed.run("restart")
    composed.wait_until_healthy()
    saw("compose: after a restart it is there", holds=asyncio.run(asked(composed.port, token)) == [KEY])


def main() -> int:
    """Check an image; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image")
    parser.add_argument("--engine", choices=["docker", "podman"], required=True)
    parser.add_argument("--compose", required=True, help="the command, such as 'docker compose'")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="npu-memory-compose-") as name:
        folder = Path(name)
        override = folder / "image.yaml"
        override.write_text(json.dumps({"services": {SERVICE: {"image": options.image}}}), encoding="utf-8")
        try:
            with (
                engine_for_compose(options.engine, folder) as variables,
                Composed(options.compose.split(), override, variables) as composed,
            ):
                check(composed)
        except (NotSo, NpuMemoryError, subprocess.CalledProcessError) as error:
            print(f"  NOT seen: {error}" if isinstance(error, NotSo) else f"  failed: {error!r}", flush=True)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

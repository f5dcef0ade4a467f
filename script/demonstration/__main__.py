"""Run the demonstration; `script/demo` calls this with what it has set up."""

import argparse
import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
import fcntl
import json
from pathlib import Path
import secrets
import shutil
import signal
import socket
import sys
import time

import aiohttp

from . import home_assistant, memory_server, report, setup
from .home_assistant import USER_NAME, HomeAssistant, SignInRefused
from .memory_server import Command
from .processes import DemonstrationError, Programs, free_port
from .question import ask_pipeline, find_context

QUESTION = "How many cloves go in the red cabbage?"
FIRST_HOME_PORT = 8123
FIRST_SERVER_PORT = 10750
CONFIGURATION = """\
homeassistant:
  name: NPU Memory demonstration
  country: US
  time_zone: America/New_York # the sample household's
frontend:
config:
conversation:
assist_pipeline:
logger:
  default: warning
  logs:
    custom_components.npu_memory: debug
"""
HTTP_SETTINGS = ".storage/http"
"""What Home Assistant keeps the port in that it was given at its first start."""


@dataclass
class State:
    """What the next demonstration has to know; `told` is the server's port that Home Assistant was told."""

    home_port: int = FIRST_HOME_PORT
    server_port: int = FIRST_SERVER_PORT
    password: str = ""
    token: str = ""
    told: int = 0


class Stopwatch:
    """Seconds by step, printed as they pass."""

    def __init__(self, environments: float) -> None:
        """`environments` are the seconds that passed before."""
        self.seconds: dict[str, float] = {"environments and model": environments}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure what is done in the block."""
        print(f"  {name} ...", flush=True)
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started


def parse_arguments() -> argparse.Namespace:
    """Return the command line; errors in it end the program."""
    parser = argparse.ArgumentParser(prog="script/demo", add_help=False)
    parser.add_argument("--question", default=QUESTION)
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--stop-command", required=True)
    parser.add_argument("--checkout", type=Path, required=True)
    parser.add_argument("--server-python", type=Path, required=True)
    parser.add_argument("--model-directory", type=Path, required=True)
    parser.add_argument("--seconds-of-environments", type=float, required=True)
    return parser.parse_args()


class Demonstration:
    """One run in one folder."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        """Read what an earlier run has left."""
        self._folder = folder
        self._question: str = arguments.question
        self._once: bool = arguments.once
        self._stop_command: str = arguments.stop_command
        self._checkout: Path = arguments.checkout
        self._command = Command(arguments.checkout, arguments.server_python, arguments.model_directory, folder / "data")
        self._state_file = folder / "state.json"
        self._state = State()
        if self._state_file.exists():
            self._state = State(**json.loads(self._state_file.read_text()))
        self._watch = Stopwatch(arguments.seconds_of_environments)
        self.programs = Programs(folder)

    async def run(self) -> None:
        """Set everything up, ask, and print."""
        print(f"Setting up in {self._folder}")
        if ended := self.programs.stop_all():
            print(f"  ended from an earlier demonstration: {', '.join(ended)}")
        self._choose_ports()
        try:
            await self._attempt()
        except SignInRefused:
            print("  Home Assistant does not know this demonstration any more: starting over with an empty one")
            self.programs.stop_all()
            shutil.rmtree(self._config)
            self._state.token = ""
            await self._attempt()

    @property
    def _config(self) -> Path:
        return self._folder / "home-assistant"

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self._state.home_port}"

    async def _attempt(self) -> None:
        home_log = self._folder / "home-assistant.log"
        home_assistant.configure(self._config, CONFIGURATION, [self._checkout / "custom_components" / setup.DOMAIN])
        program = home_assistant.start(
            self.programs, Path(sys.executable), self._config, self._state.home_port, home_log
        )
        with self._watch.step("start of the memory server"):
            await memory_server.start(
                self._command, self.programs, self._state.server_port, self._folder / "memory-server.log"
            )
        with self._watch.step("import of the household's memories"):
            household = self._checkout / "samples" / "household" / "memories.jsonl"
            print(f"    {await memory_server.import_memories(self._command, household)}")
        try:
            async with aiohttp.ClientSession() as session:
                with self._watch.step("start of Home Assistant, beside the above"):
                    is_new = await home_assistant.wait_until_up(session, self._url, program)
                if is_new:
                    with self._watch.step("onboarding"):
                        self._state.password = secrets.token_urlsafe(9)
                        self._state.token = await home_assistant.onboard(session, self._url, self._state.password)
                        self._save_state()
                async with HomeAssistant(session, self._url, self._state.token) as home:
                    await home_assistant.wait_until_running(home, program)
                    removal = asyncio.create_task(setup.remove_unwanted(home))  # slow where there is no internet
                    try:
                        with self._watch.step("integration, assistant and pipeline"):
                            pipeline = await self._set_up(home)
                        await self._ask(home, pipeline)
                        if not self._once:
                            await removal
                    finally:
                        removal.cancel()
        except aiohttp.ClientError as error:
            raise DemonstrationError(f"Home Assistant could not be spoken to: {error}.", home_log) from error
        except DemonstrationError as error:
            error.log = error.log or home_log
            raise

    async def _set_up(self, home: HomeAssistant) -> str:
        server = {"host": "127.0.0.1", "port": self._state.server_port, "token": self._command.token}
        entry_id = await setup.add_server(home, server, moved=self._state.told != self._state.server_port)
        self._state.told = self._state.server_port
        self._save_state()
        nothing = "nothing"  # is captured, so that a second demonstration finds the same memories
        return await setup.add_pipeline(home, await setup.add_assistant(home, entry_id, capture=nothing))

    async def _ask(self, home: HomeAssistant, pipeline: str) -> None:
        found = await find_context(home, self._question)
        answered = await ask_pipeline(home, pipeline, self._question)
        print(report.section("Question", self._question))
        print(report.section(f"Context ({found.memories} memories, found on {found.backend})", found.context))
        print(report.section("Answer of the Assist pipeline", answered.speech))
        print(report.table("Timings", "ms", report.timing_rows(found, answered), 2))
        print(report.table("Set-up", "s", self._watch.seconds, 1))

    def where_to_look(self) -> str:
        """Return what the user needs to go on."""
        lines = [
            f"Home Assistant: {self._url}, or http://{socket.gethostname()}:{self._state.home_port} from elsewhere",
            f"                user {USER_NAME}, password {self._state.password}",
            f"Memory server:  127.0.0.1:{self._state.server_port}, data in {self._command.data_directory}",
            f"Logs:           {self._folder}/*.log",
            f"Both go on running. To end them: {self._stop_command}",
        ]
        return report.section("Where to look", "\n".join(lines))

    def _choose_ports(self) -> None:
        before = self._state.home_port
        self._state.home_port = free_port(before)
        if self._state.home_port != before:
            (self._config / HTTP_SETTINGS).unlink(missing_ok=True)
        self._state.server_port = free_port(self._state.server_port, forbidden=self._state.home_port)

    def _save_state(self) -> None:
        self._state_file.touch(mode=0o600)
        self._state_file.write_text(json.dumps(asdict(self._state), indent=2) + "\n")


def main() -> int:
    """Return the exit code."""
    arguments = parse_arguments()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have had it ignored
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Another script/demo is being set up in {folder}: wait for it, or use --folder.", file=sys.stderr)
            return 1
        demonstration = Demonstration(arguments, folder)
        keep_running = False
        try:
            asyncio.run(demonstration.run())
            keep_running = not arguments.once
        except DemonstrationError as error:
            print(f"\n{error.explanation()}", file=sys.stderr)
            print(f"To start over, remove {folder} and run this again.", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nInterrupted: everything is ended.", file=sys.stderr)
            return 130
        finally:
            if not keep_running:
                demonstration.programs.stop_all()
        if keep_running:
            print(demonstration.where_to_look())
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A client of Home Assistant: REST and websocket as its frontend uses them."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
import time
from typing import Any, Self

import aiohttp

from .processes import DemonstrationError, Program, Programs

CLIENT_NAME = "NPU Memory demonstration"
USER_NAME = "demo"
START_SECONDS = 180.0
"""The first start compiles all that is imported."""
ANSWER_SECONDS = 60.0
POLL_SECONDS = 0.2
PORT_VARIABLE = "SETUP_PORT"
"""Home Assistant takes its port from here at the first start."""


class SignInRefused(DemonstrationError):
    """Home Assistant does not know the access token (any more)."""


class HomeAssistant:
    """One signed-in connection."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        """Take what `sign_in` or `onboard` found out."""
        self._session = session
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._token = token
        self._socket: aiohttp.ClientWebSocketResponse
        self._command = 0

    async def __aenter__(self) -> Self:
        """Open the websocket. Raises `SignInRefused`."""
        self._socket = await self._session.ws_connect(f"{self._url}/api/websocket", max_msg_size=0)
        await self._receive()
        await self._socket.send_json({"type": "auth", "access_token": self._token})
        if (await self._receive())["type"] != "auth_ok":
            raise SignInRefused("Home Assistant does not accept the access token of the demonstration.")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the websocket."""
        await self._socket.close()

    async def get(self, path: str) -> Any:
        """Return the JSON at `/api/PATH`."""
        return await self._request("GET", path)

    async def post(self, path: str, **body: Any) -> Any:
        """Post JSON to `/api/PATH` and return the answer."""
        return await self._request("POST", path, body)

    async def delete(self, path: str) -> None:
        """Delete what is at `/api/PATH`."""
        await self._request("DELETE", path)

    async def command(self, kind: str, **data: Any) -> Any:
        """Send a websocket command and return its result."""
        number = await self._send(kind, **data)
        while True:
            message = await self._receive()
            if message.get("id") == number and message["type"] == "result":
                return _result(kind, message)

    async def events(self, kind: str, seen: Callable[[dict[str, Any]], bool], **data: Any) -> None:
        """Send a websocket command that answers with events; hand each to `seen` until it returns True."""
        number = await self._send(kind, **data)
        while True:
            message = await self._receive()
            if message.get("id") != number:
                continue
            if message["type"] == "result":
                _result(kind, message)
            elif message["type"] == "event" and seen(message["event"]):
                return

    async def send_audio(self, handler: int, samples: bytes) -> None:
        """Send audio to the pipeline that has said it listens as `handler`; none at all is the end of it."""
        await self._socket.send_bytes(bytes([handler]) + samples)

    async def flow(self, path: str, start: dict[str, Any], answers: dict[str, Any]) -> dict[str, Any]:
        """Walk through a flow of one form; return its result. `path` is that of the flow manager."""
        form = await self.post(path, **start)
        result: dict[str, Any] = await self.post(f"{path}/{form['flow_id']}", **answers)
        if result["type"] == "form":
            raise DemonstrationError(f"The form '{result['step_id']}' was refused: {result['errors']}.")
        return result

    async def _send(self, kind: str, **data: Any) -> int:
        self._command += 1
        await self._socket.send_json({"id": self._command, "type": kind, **data})
        return self._command

    async def _receive(self) -> dict[str, Any]:
        try:
            message: dict[str, Any] = await self._socket.receive_json(timeout=ANSWER_SECONDS)
        except TimeoutError as error:
            raise DemonstrationError(f"Home Assistant said nothing for {ANSWER_SECONDS:.0f} s.") from error
        except TypeError as error:  # aiohttp's way of saying that the connection was closed
            raise DemonstrationError("Home Assistant closed the connection.") from error
        return message

    async def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        async with self._session.request(
            method, f"{self._url}/api/{path}", json=body, headers=self._headers
        ) as response:
            if response.status >= 400:
                raise DemonstrationError(
                    f"{method} /api/{path} was answered {response.status}: {await response.text()}"
                )
            return await response.json()


def configure(folder: Path, configuration: str, integrations: Iterable[Path]) -> None:
    """Write the configuration of a Home Assistant, with integrations of one's own linked into it."""
    components = folder / "custom_components"
    components.mkdir(parents=True, exist_ok=True)
    for integration in integrations:
        link = components / integration.name
        link.unlink(missing_ok=True)
        link.symlink_to(integration)
    (folder / "configuration.yaml").write_text(configuration)


def start(programs: Programs, python: Path, folder: Path, port: int, log: Path) -> Program:
    """Start Home Assistant on the configuration in a folder."""
    safe_path = "-P"  # or integrations are looked for where this was started
    command = [str(python), safe_path, "-m", "homeassistant", "--config", str(folder), "--skip-pip"]
    return programs.start("Home Assistant", command, {"PYTHONPATH": "", PORT_VARIABLE: str(port)}, log)


async def wait_until_up(session: aiohttp.ClientSession, url: str, program: Program) -> bool:
    """Wait until Home Assistant answers; return whether it has yet to be given its first user."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        program.check()
        try:
            async with session.get(f"{url}/api/onboarding") as response:
                if response.status == 404:  # once onboarding is over
                    return False
                if response.status == 200:
                    return not any(step["step"] == "user" and step["done"] for step in await response.json())
        except aiohttp.ClientConnectionError:
            pass
        if time.monotonic() > deadline:
            raise DemonstrationError(f"Home Assistant was not up after {START_SECONDS:.0f} s.")
        await asyncio.sleep(POLL_SECONDS)


async def wait_until_running(home: HomeAssistant, program: Program) -> None:
    """Wait until everything that Home Assistant starts has been started."""
    while (await home.command("get_config"))["state"] != "RUNNING":
        program.check()
        await asyncio.sleep(POLL_SECONDS)


async def onboard(session: aiohttp.ClientSession, url: str, password: str) -> str:
    """Create the owner and walk through onboarding; return a long-lived access token."""
    client = f"{url}/"
    owner = {"client_id": client, "name": "Demo", "username": USER_NAME, "password": password, "language": "en"}
    async with session.post(f"{url}/api/onboarding/users", json=owner) as response:
        response.raise_for_status()
        code = (await response.json())["auth_code"]
    grant = {"grant_type": "authorization_code", "code": code, "client_id": client}
    async with session.post(f"{url}/auth/token", data=grant) as response:
        response.raise_for_status()
        access_token = (await response.json())["access_token"]
    async with HomeAssistant(session, url, access_token) as home:
        await home.post("onboarding/core_config")
        await home.post("onboarding/analytics")
        await home.post("onboarding/integration", client_id=client, redirect_uri=f"{client}?auth_callback=1")
        token: str = await home.command("auth/long_lived_access_token", client_name=CLIENT_NAME, lifespan=3650)
    return token


def _result(kind: str, message: dict[str, Any]) -> Any:
    if not message["success"]:
        raise DemonstrationError(f"Home Assistant refused '{kind}': {message['error'].get('message')}")
    return message["result"]

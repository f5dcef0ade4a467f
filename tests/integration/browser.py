"""A real Chromium, if there is one, spoken to through its debugging protocol: no tool beside it is needed."""

from collections.abc import Iterator
from contextlib import contextmanager
import json
from pathlib import Path
import shutil
import subprocess
import time
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
START_SECONDS = 60.0
ANSWER_SECONDS = 60.0
HELPERS = """
window.until = async (happened) => {
  for (const limit = performance.now() + 30000; performance.now() < limit; ) {
    const found = happened();
    if (found) return found;
    await new Promise((again) => setTimeout(again, 20));
  }
  throw new Error(`This did not happen: ${happened}`);
};
"""


def find_chromium() -> str | None:
    """Return the path of a Chromium on this machine."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def running(chromium: str, profile: Path) -> Iterator[int]:
    """Run a Chromium without a window in the block; yields the port on which it listens for commands."""
    command = [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += ["--no-first-run", "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
    with (
        (profile.parent / "chromium.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            told = profile / "DevToolsActivePort"
            limit = time.monotonic() + START_SECONDS
            while not (told.exists() and told.read_text().count("\n")):
                if process.poll() is not None or time.monotonic() > limit:
                    raise RuntimeError((profile.parent / "chromium.log").read_text())
                time.sleep(0.05)
            yield int(told.read_text().splitlines()[0])
        finally:
            process.kill()


class Tab:
    """One page that is open."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session = session
        self._browser = f"http://127.0.0.1:{port}/json"
        self._socket: aiohttp.ClientWebSocketResponse
        self._name = ""
        self._number = 0

    async def open(self, address: str) -> None:
        async with self._session.put(f"{self._browser}/new") as response:
            page = await response.json()
        self._name = page["id"]
        self._socket = await self._session.ws_connect(page["webSocketDebuggerUrl"])
        await self._command("Page.enable")
        await self._command("Page.navigate", url=address)
        while (await self._receive()).get("method") != "Page.loadEventFired":
            pass
        await self.run(HELPERS)

    async def run(self, script: str) -> Any:
        """Return what an expression or a promise comes to. Raises `AssertionError` with what a script throws."""
        expression = {"expression": script, "awaitPromise": True, "returnByValue": True}
        answer = await self._command("Runtime.evaluate", **expression)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]["exception"].get("description")
        return answer["result"].get("value")

    async def press(self, key: str, code: int) -> None:
        """Press a key as a person does; `code` is its number."""
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            await self._command("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **text)

    async def write(self, text: str) -> None:
        """Write into what has the focus."""
        await self._command("Input.insertText", text=text)

    async def close(self) -> None:
        """Close the page, and with it its connections."""
        async with self._session.get(f"{self._browser}/close/{self._name}"):
            await self._socket.close()

    async def _command(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_str(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while (message := await self._receive()).get("id") != self._number:
            pass
        return dict(message["result"])

    async def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = await self._socket.receive_json(timeout=ANSWER_SECONDS)
        return message

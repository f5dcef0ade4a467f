"""Telling Home Assistant's Supervisor where the server is and what its token is, so that nobody has to type it.

https://developers.home-assistant.io/docs/api/supervisor/endpoints/#discovery
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
import contextlib
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
import json
import logging
import socket
from typing import Any

LOGGER = logging.getLogger(__name__)

SERVICE = "npu_memory"
"""The domain of the integration, which Home Assistant starts a config flow of."""
ANSWER_SECONDS = 5.0
MAX_ANSWER_BYTES = 64 * 1024
FIRST_RETRY_SECONDS = 1.0
LAST_RETRY_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervisor:
    """Where the Supervisor is and what it knows this app by."""

    host: str
    token: str


class RefusedError(Exception):
    """The Supervisor has understood and does not want to."""


@asynccontextmanager
async def announced(supervisor: Supervisor | None, port: int, token: str) -> AsyncIterator[None]:
    """Announce the server behind the back of the `async with`; without a Supervisor nobody is told."""
    if supervisor is None:
        yield
        return
    task = asyncio.create_task(_announce(supervisor, port, token), name="npu-memory-discovery")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _announce(supervisor: Supervisor, port: int, token: str) -> None:
    """Tell the Supervisor, as often as it takes; one line in the log about each reason why not."""
    message = {"service": SERVICE, "config": {"host": socket.gethostname(), "port": port, "token": token}}
    delay, known = FIRST_RETRY_SECONDS, ""
    while True:
        try:
            await asyncio.to_thread(_post, supervisor, message)
        except RefusedError as error:
            LOGGER.error("The Supervisor does not take the announcement: %s. Add the integration by hand", error)  # noqa: TRY400
            return
        except (OSError, HTTPException) as error:
            reason = str(error) or type(error).__name__
            if reason != known:
                LOGGER.warning("The Supervisor could not be told where the server is, and will be: %s", reason)
            known = reason
        else:
            LOGGER.info("Home Assistant was told where the server is")
            return
        await asyncio.sleep(delay)
        delay = min(2 * delay, LAST_RETRY_SECONDS)


def _post(supervisor: Supervisor, message: dict[str, Any]) -> None:
    """Post to the Supervisor's API. Raises `RefusedError`, `OSError` and `HTTPException`."""
    connection = HTTPConnection(supervisor.host, timeout=ANSWER_SECONDS)
    headers = {"Authorization": f"Bearer {supervisor.token}", "Content-Type": "application/json"}
    try:
        connection.request("POST", "/discovery", json.dumps(message), headers)
        answer = connection.getresponse()
        content = answer.read(MAX_ANSWER_BYTES)
    finally:
        connection.close()
    if 400 <= answer.status < 500:
        raise RefusedError(f"{answer.status} {_said(content)}".strip())
    if answer.status != 200:
        raise HTTPException(f"it answered with status {answer.status}")


def _said(content: bytes) -> str:
    """Return the sentence in an answer of the Supervisor, or nothing."""
    try:
        said = json.loads(content)["message"]
    except (ValueError, KeyError, TypeError):
        return ""
    return said[:200] if isinstance(said, str) and said.isprintable() else ""

"""The way to the memory server: a connection that is kept, and opened again after a loss.

Nothing of Home Assistant is in here. A request never waits for a connection: without one it fails at once, so that a
voice turn goes on without memory instead of waiting for a server that may be gone.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
import random

from . import wire
from .connection import (
    KEEPALIVE_SECONDS,
    CannotConnect,
    Connection,
    MemoryClientError,
    WrongToken,
    open_connection,
)

FIRST_RETRY_SECONDS = 0.5
LAST_RETRY_SECONDS = 60.0


class MemoryClient:
    """A client that keeps one connection to the server at `host:port` and reconnects by itself.

    `on_change` is called with None when the server can be used and with the reason when it cannot (again).
    """

    def __init__(
        self, host: str, port: int, token: str, on_change: Callable[[MemoryClientError | None], None] = lambda _: None
    ) -> None:
        """Prepare a client; nothing is opened yet."""
        self._host = host
        self._port = port
        self._token = token
        self._on_change = on_change
        self._connection: Connection | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Say whether a request would be sent now."""
        return self._connection is not None

    async def connect(self) -> wire.Greeting:
        """Make one attempt to connect; if it works, keep the connection from then on. Raises `MemoryClientError`."""
        self._connection = await open_connection(self._host, self._port, self._token)
        self._keeper = asyncio.create_task(self._keep(self._connection), name="npu_memory connection")
        return self._connection.greeting

    def connect_later(self) -> None:
        """Go on trying to connect behind the caller's back."""
        self._keeper = asyncio.create_task(self._keep(None), name="npu_memory connection")

    async def close(self) -> None:
        """End the connection and everything that belongs to it."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        self._connection = None

    async def recall(self, request: wire.RecallRequest, within: float) -> wire.Context:
        """Ask for memories; `within` in s. Raises `MemoryClientError`."""
        return await self._request(request, wire.Context, within)

    async def remember(self, request: wire.RememberRequest, within: float) -> wire.Stored:
        """Have something remembered; it is on disk when this returns. `within` in s. Raises `MemoryClientError`."""
        return await self._request(request, wire.Stored, within)

    async def forget(self, request: wire.ForgetRequest, within: float) -> wire.Forgotten:
        """Have memories forgotten; `within` in s. Raises `MemoryClientError`."""
        return await self._request(request, wire.Forgotten, within)

    async def list(self, request: wire.ListRequest, within: float) -> wire.Page:
        """Ask for a page of memories; `within` in s. Raises `MemoryClientError`."""
        return await self._request(request, wire.Page, within)

    async def corrections(self, request: wire.CorrectionsRequest, within: float) -> wire.CorrectionPage:
        """Ask for a page of corrections that were found; `within` in s. Raises `MemoryClientError`."""
        return await self._request(request, wire.CorrectionPage, within)

    async def accept_correction(self, request: wire.AcceptCorrectionRequest, within: float) -> wire.CorrectionSettled:
        """Have a proposed correction made; `within` in s. Raises `MemoryClientError`."""
        return await self._request(request, wire.CorrectionSettled, within)

    async def revert_correction(self, request: wire.RevertCorrectionRequest, within: float) -> wire.CorrectionSettled:
        """Have a correction taken back; `within` in s. Raises `MemoryClientError`."""
        return await self._request(request, wire.CorrectionSettled, within)

    async def derive(self, request: wire.DeriveRequest, within: float) -> wire.Derived:
        """Have a fact checked, and stored or proposed; `within` in s. Raises `MemoryClientError`."""
        return await self._request(request, wire.Derived, within)

    async def proposals(self, request: wire.ProposalsRequest, within: float) -> wire.ProposalPage:
        """Ask for a page of facts that wait for a yes; `within` in s. Raises `MemoryClientError`."""
        return await self._request(request, wire.ProposalPage, within)

    async def settle_proposal(self, request: wire.SettleProposalRequest, within: float) -> wire.ProposalSettled:
        """Have a proposed fact remembered or declined; `within` in s. Raises `MemoryClientError`."""
        return await self._request(request, wire.ProposalSettled, within)

    async def prepare(self, within: float) -> wire.Prepared:
        """Say that somebody is about to speak; `within` in s. Raises `MemoryClientError`, from an older server too."""
        return await self._request(wire.PrepareRequest(), wire.Prepared, within)

    async def status(self, within: float) -> wire.Status:
        """Ask how the server is; `within` in s. Raises `MemoryClientError`."""
        return await self._request(wire.StatusRequest(), wire.Status, within)

    async def _request[AnswerT: wire.Message](
        self, request: wire.Message, answer: type[AnswerT], within: float
    ) -> AnswerT:
        if self._connection is None:
            raise CannotConnect("There is no connection to the memory server")
        return await self._connection.request(request, answer, within)

    async def _keep(self, connection: Connection | None) -> None:
        loop = asyncio.get_running_loop()
        delay = FIRST_RETRY_SECONDS
        try:
            while True:
                while connection is None:
                    await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - spreads the load
                    delay = min(2 * delay, LAST_RETRY_SECONDS)
                    try:
                        connection = self._connection = await open_connection(self._host, self._port, self._token)
                    except WrongToken as error:
                        self._on_change(error)
                        return
                    except MemoryClientError as error:
                        self._on_change(error)
                    else:
                        self._on_change(None)
                since = loop.time()
                reason = await connection.serve()
                connection = self._connection = None
                if loop.time() - since > KEEPALIVE_SECONDS:
                    delay = FIRST_RETRY_SECONDS
                self._on_change(reason)
        finally:
            if self._connection is not None:
                self._connection.close(CannotConnect("The connection was closed"))
                self._connection = None


async def probe(host: str, port: int, token: str) -> wire.Greeting:
    """Return what the memory server at `host:port` says of itself once both sides have shown that they know `token`.

    Raises `CannotConnect`, `WrongToken`, `WrongVersion` and `NotAMemoryServer`.
    """
    connection = await open_connection(host, port, token)
    connection.close(CannotConnect("The connection was closed"))
    return connection.greeting

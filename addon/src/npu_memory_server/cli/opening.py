"""Getting at the memories of a data directory: through the server that has it, or by opening it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from ..data_directory import DataDirectory, read_token, server_address
from ..embedding.base import Embedder
from ..embedding.choosing import embedder
from ..errors import BusyError
from ..memory import Memory
from ..reranking.registry import is_cross_encoder
from ..reranking.shelf import Places, Shelf
from ..settings import EMBEDDER, Settings
from ..transport.client import connected
from ..wire import (
    AcceptCorrectionRequest,
    Context,
    CorrectionPage,
    CorrectionSettled,
    CorrectionsRequest,
    ForgetRequest,
    Forgotten,
    ListRequest,
    Page,
    ProposalPage,
    ProposalSettled,
    ProposalsRequest,
    RecallRequest,
    RememberRequest,
    RevertCorrectionRequest,
    SettleProposalRequest,
    Status,
    Stored,
)


class Memories(Protocol):
    """What the commands use: `Memory` itself, or a connection to a server that has one."""

    async def remember(self, request: RememberRequest) -> Stored:
        """Keep something."""

    async def recall(self, request: RecallRequest) -> Context:
        """Answer a question."""

    async def forget(self, request: ForgetRequest) -> Forgotten:
        """Remove memories."""

    async def list(self, request: ListRequest) -> Page:
        """Return a page of memories."""

    async def corrections(self, request: CorrectionsRequest) -> CorrectionPage:
        """Return a page of corrections."""

    async def accept_correction(self, request: AcceptCorrectionRequest) -> CorrectionSettled:
        """Make a correction."""

    async def revert_correction(self, request: RevertCorrectionRequest) -> CorrectionSettled:
        """Take a correction back."""

    async def proposals(self, request: ProposalsRequest) -> ProposalPage:
        """Return a page of proposed facts."""

    async def settle_proposal(self, request: SettleProposalRequest) -> ProposalSettled:
        """Remember a proposed fact, or decline it."""

    async def status(self) -> Status:
        """Return the state in numbers."""


@asynccontextmanager
async def open_embedder(settings: Settings) -> AsyncIterator[Embedder]:
    """Load the embedder that suits this machine. Raises `ModelError`."""
    choice = embedder(
        settings.model_directory,
        EMBEDDER,
        precision=settings.precision,
        threads=settings.threads,
        npu=settings.npu,
    )
    chosen = await asyncio.to_thread(choice.__enter__)
    try:
        yield chosen
    finally:
        await asyncio.to_thread(choice.__exit__, None, None, None)


def open_shelf(settings: Settings) -> Shelf:
    """Return where the cross-encoders are taken from."""
    places = Places(settings.model_directory, settings.reranker_directory)
    return Shelf(places, threads=settings.threads, npu=settings.npu)


@asynccontextmanager
async def open_memory(settings: Settings) -> AsyncIterator[Memory]:
    """Open the data directory in this process, with the reranker that was asked for.

    Raises `BusyError` if another process has the directory, and `NpuMemoryError`.
    """
    with DataDirectory(settings.data_directory):
        async with open_embedder(settings) as chosen:
            shelf = open_shelf(settings)
            if is_cross_encoder(settings.recall.reranker):
                await asyncio.to_thread(shelf.load, settings.recall.reranker)
            memory = await Memory.open(settings.data_directory, chosen, settings.recall, shelf)
            try:
                yield memory
            finally:
                await memory.close()


@asynccontextmanager
async def reach_memories(settings: Settings) -> AsyncIterator[Memories]:
    """Speak to the server that has the data directory, or open it if none has. Raises `NpuMemoryError`."""
    try:
        directory = DataDirectory(settings.data_directory)
        directory.__enter__()
    except BusyError:
        address = server_address(settings.data_directory)
        if address is None:
            raise
        async with connected(address.host, address.port, read_token(settings.data_directory)) as remote:
            yield remote
        return
    directory.__exit__(None, None, None)
    async with open_memory(settings) as memory:
        yield memory

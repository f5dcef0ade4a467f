"""Our own server as one of the ways: asked over the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from benchmarks.peers.corpus import Corpus
from benchmarks.peers.figures import Figure, figure
from benchmarks.peers.line import disk_mib
from benchmarks.peers.ways.answering import FOUND, NEAREST
from benchmarks.scale import SCOPES, exact, resident_mib, server
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.transport.client import RemoteMemory
from npu_memory_server.wire import ForgetRequest, RecallRequest, RememberRequest, Reranker, Strategy

BUDGET_MS = 10_000.0


@dataclass(frozen=True, slots=True)
class Ours:
    """A running server."""

    memory: RemoteMemory
    data: Path
    embedder: OnnxEmbedder
    pid: int
    start_s: float

    async def ask(self, text: str, reranker: Reranker) -> float:
        """Ask a question; returns ms at the client."""
        request = RecallRequest(text=text, reranker=reranker, top_k=FOUND, budget_ms=BUDGET_MS)
        began = perf_counter()
        await self.memory.recall(request)
        return (perf_counter() - began) * 1000

    async def recall_of_vectors(self, corpus: Corpus) -> float | None:
        """Return the share of the nearest that the vector leg finds, by an exact search of the vectors that it has now.

        None at the sample household: its vectors are of other texts than the ways' (date and speaker stand before
        them), and it is searched exactly.
        """
        if corpus.vectors is None:
            return None
        found = 0
        asked = list(corpus.questions[: len(corpus.nearest)])
        for text, nearest in zip(asked, exact(self.data, self.embedder, asked), strict=True):
            request = RecallRequest(
                text=text,
                strategy=Strategy.VECTOR,
                reranker=Reranker.NONE,
                top_k=NEAREST,
                scopes=SCOPES,
                budget_ms=BUDGET_MS,
            )
            found += len(nearest & {one.id for one in (await self.memory.recall(request)).memories})
        return found / (NEAREST * len(corpus.nearest))

    async def write(self, texts: list[str]) -> tuple[Figure, Figure]:
        """Remember texts, one by one, and forget them; returns ms until "stored" is said, and until all is done."""
        answered, embedded, names = [], [], []
        for text in texts:
            began = perf_counter()
            names.append((await self.memory.remember(RememberRequest(text=text))).memory_id)
            answered.append((perf_counter() - began) * 1000)
            while (await self.memory.status()).pending_embeddings:  # noqa: ASYNC110 - in another process
                await asyncio.sleep(0.001)
            embedded.append((perf_counter() - began) * 1000)
        found = await self.memory.recall(RecallRequest(text=texts[-1], budget_ms=BUDGET_MS))
        await self.memory.forget(ForgetRequest(memory_ids=tuple(names)))
        if names[-1] not in {one.id for one in found.memories}:
            raise SystemExit("what was stored in the server was not found again")
        return figure(answered), figure(embedded)

    @property
    def resident_mib(self) -> float:
        """The resident memory of the server."""
        return resident_mib(self.pid)

    @property
    def disk_mib(self) -> float:
        """The size of its data directory."""
        return disk_mib(self.data)


@asynccontextmanager
async def ours(keep: Path, corpus: Corpus, embedder: OnnxEmbedder) -> AsyncIterator[Ours]:
    """Run the server on its memories of this size while the context lasts."""
    data = keep / "ours" / str(corpus.size)
    async with server(data, corpus.questions[0]) as (memory, pid, start_s):
        yield Ours(memory, data, embedder, pid, start_s)

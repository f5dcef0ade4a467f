"""This project's memory in its settings, through `Memory` itself as the server uses it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
import sys
import tempfile

from npu_memory_server.asking import RecallDefaults
from npu_memory_server.cli.evaluating import ask_all
from npu_memory_server.cli.importing import store
from npu_memory_server.embedding.base import Embedder
from npu_memory_server.errors import NpuMemoryError
from npu_memory_server.evaluation import Judged
from npu_memory_server.memory import Memory
from npu_memory_server.reranking.registry import MODEL_FILES, is_cross_encoder
from npu_memory_server.reranking.shelf import Places, Shelf
from npu_memory_server.wire import Reranker, Strategy

from .corpora import Corpus


def settings(models: Path | None = None) -> dict[str, tuple[Strategy, Reranker]]:
    """Return the settings to compare by name, the default first; with the cross-encoders that are among the models."""
    default = RecallDefaults().reranker
    fetched = [reranker for reranker in MODEL_FILES if models is not None and (models / reranker).is_dir()]
    others = [reranker for reranker in (Reranker.MAXSIM, Reranker.NONE, *fetched) if reranker is not default]
    return {
        f"hybrid, {default} (default)": (Strategy.HYBRID, default),
        **{f"hybrid, reranker {reranker}": (Strategy.HYBRID, reranker) for reranker in others},
        "vector alone": (Strategy.VECTOR, Reranker.NONE),
        "lexical alone": (Strategy.LEXICAL, Reranker.NONE),
    }


async def ask_in_every_setting(corpus: Corpus, embedder: Embedder, models: Path) -> dict[str, list[Judged]]:
    """Return what each setting finds for every question; one that cannot be had here is said and left out."""
    found: dict[str, list[Judged]] = {}
    ways = settings(models)
    shelf = Shelf(Places(models))
    for _, reranker in ways.values():
        if is_cross_encoder(reranker):
            shelf.load(reranker)
    async with filled(corpus, embedder, shelf) as memory:
        for name, (strategy, reranker) in ways.items():
            questions = [
                replace(question, request=replace(question.request, strategy=strategy, reranker=reranker))
                for question in corpus.questions
            ]
            try:
                asked = await ask_all(memory, questions, name)
            except NpuMemoryError as error:
                print(f"{name} is left out: {error}", file=sys.stderr)
                continue
            if asked.degraded:
                print(f"{name} is left out: {'; '.join(asked.degraded)}", file=sys.stderr)
                continue
            found[name] = list(asked.judged)
    return found


@asynccontextmanager
async def filled(corpus: Corpus, embedder: Embedder, shelf: Shelf | None = None) -> AsyncIterator[Memory]:
    """Open a memory that holds a corpus; it is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="npu-memory-quality-") as folder:
        memory = await Memory.open(Path(folder), embedder, shelf=shelf)
        try:
            await fill(memory, corpus)
            yield memory
        finally:
            await memory.close()


async def fill(memory: Memory, corpus: Corpus) -> None:
    """Store a corpus in a memory."""
    refused = await store(memory, list(enumerate(corpus.memories, 1)), len(corpus.memories), Counter())
    if refused:
        raise SystemExit(f"{corpus.name}: {'; '.join(refused)}")

"""What each part of the retrieval is worth: everything on, and each part off in turn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
import sys
import tempfile

from npu_memory_server.asking import RecallDefaults
from npu_memory_server.cli.evaluating import ask_all
from npu_memory_server.embedding.base import Embedder
from npu_memory_server.evaluation import Judged
from npu_memory_server.memory import Memory
from npu_memory_server.retrieval.weights import Weights
from npu_memory_server.wire import Reranker, Strategy

from .corpora import Corpus
from .memory import fill

NEUTRAL = {"past": 1.0}
"""The weights that are factors; the others are added, and off at 0."""
NO_PARTS = frozenset({"carried_from", "maxsim"})
"""The one belongs to other weights, and without the other there is no reranker, which has a setting of its own."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A way to ask: with these weights, by this strategy and reranker."""

    weights: Weights = field(default_factory=Weights)
    strategy: Strategy = Strategy.HYBRID
    reranker: Reranker = field(default_factory=lambda: RecallDefaults().reranker)


def settings() -> dict[str, Setting]:
    """Return everything on, and each part off, by its name."""
    parts = [one.name for one in fields(Weights) if one.name not in NO_PARTS]
    return {
        "nothing": Setting(),
        "the reranker": Setting(reranker=Reranker.NONE),
        "all but the words": Setting(strategy=Strategy.LEXICAL),
        "all but the vectors": Setting(strategy=Strategy.VECTOR),
        **{
            part.replace("_", " "): Setting(weights=replace(Weights(), **{part: NEUTRAL.get(part, 0.0)}))
            for part in parts
        },
    }


async def ask_with_each_part_off(corpora: Iterable[Corpus], embedder: Embedder) -> dict[str, list[Judged]]:
    """Return what is found for the questions of all corpora in each setting; the memories are embedded once."""
    found: dict[str, list[Judged]] = defaultdict(list)
    for corpus in corpora:
        print(corpus.name, file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="npu-memory-ablation-") as folder:
            memory = await Memory.open(Path(folder), embedder)
            try:
                await fill(memory, corpus)
            finally:
                await memory.close()
            for name, setting in settings().items():
                found[name] += await _ask(Path(folder), corpus, embedder, name, setting)
    return found


async def _ask(folder: Path, corpus: Corpus, embedder: Embedder, name: str, setting: Setting) -> list[Judged]:
    questions = [
        replace(question, request=replace(question.request, strategy=setting.strategy, reranker=setting.reranker))
        for question in corpus.questions
    ]
    memory = await Memory.open(folder, embedder, weights=setting.weights)
    try:
        asked = await ask_all(memory, questions, name)
    finally:
        await memory.close()
    if asked.degraded:
        raise SystemExit(f"{corpus.name}, without {name}: {'; '.join(asked.degraded)}")
    return list(asked.judged)

"""A large import: its words are there at once, its vectors come over minutes. Nobody should have to wait for them."""

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
import pytest

from npu_memory_server.embedding.projection import REDUCED, SCALE
from npu_memory_server.retrieval.question import Legs, Question
from npu_memory_server.retrieval.rereading import QuestionVectors
from npu_memory_server.retrieval.retriever import Indexed, Retriever
from npu_memory_server.wire import Reranker, Strategy

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DIMENSIONS = 8
ALIKE = np.array([0.8, *[0.6 / (DIMENSIONS - 1) ** 0.5] * (DIMENSIONS - 1)], np.float32)
"""The vector of what is about the same as the question, whose own is the first axis."""


def remember(retriever: Retriever, slot: int, text: str, *, has_vector: bool) -> None:
    """Index a memory of the household."""
    retriever.add(
        Indexed(
            slot=slot,
            text=text,
            said=text,
            language="en",
            scope="household",
            speaker=None,
            session=None,
            created_ms=slot,
            expires_ms=None,
            current=True,
        )
    )
    if has_vector:
        retriever.put_vector(slot, ALIKE)


@pytest.mark.parametrize("reranker", [Reranker.NONE, Reranker.MAXSIM])
def test_what_the_words_find_comes_first_however_many_others_have_their_vectors_already(reranker: Reranker) -> None:
    def fetch(slots: NDArray[np.int64]) -> tuple[NDArray[np.int8], NDArray[np.intp]]:
        counts = np.where(slots == 1, 0, 3)
        alike = np.where(np.arange(REDUCED) < DIMENSIONS, SCALE / DIMENSIONS**0.5, 0).astype(np.int8)
        return np.tile(alike, (counts.sum(), 1)), counts

    retriever = Retriever(DIMENSIONS, fetch)
    remember(retriever, 1, "The spare key of the shed hangs behind the freezer.", has_vector=False)
    for slot in range(2, 400):
        remember(retriever, slot, f"Somebody looked for something in drawer {slot}.", has_vector=True)
    text = "Where is the spare key of the shed?"
    axis, tokens = np.eye(DIMENSIONS, dtype=np.float32), np.eye(3, REDUCED, dtype=np.float32)
    found = retriever.find(
        Question(
            text=text,
            language="en",
            strategy=Strategy.HYBRID,
            reranker=reranker,
            scopes=("household",),
            now_ms=1_000_000,
            asked_at=NOW,
            top_k=5,
            min_relevance=0.02,
        ),
        Legs(
            retriever.lexical_scores(text, "en"),
            QuestionVectors(vector=axis[0], token_starts=np.array([0, 10, 20], np.int32), tokens=tokens),
        ),
    )
    assert found.slots[0] == 1
    assert len(found.slots) == 5

"""What a user would have instead: plain BM25, and the hybrid of the earlier system.

No memory is ranked that the asker may not see, so that scopes are nobody's advantage.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import bm25s
import numpy as np
from numpy.typing import NDArray
from rank_bm25 import BM25Okapi
import Stemmer
from tqdm import tqdm

from npu_memory_server.cli.reading import JudgedQuestion
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.evaluation import Judged

from .corpora import Corpus

RRF_K = 60
"""Cormack, Clarke and Büttcher, "Reciprocal rank fusion outperforms Condorcet", 2009; what the earlier system used."""

Scores = NDArray[np.float32]


def baselines(corpus: Corpus, embedder: OnnxEmbedder) -> dict[str, list[Judged]]:
    """Return what each of the other ways finds for every question of a corpus; `embedder` has the FP32 weights.

    The earlier system fused the first 2k of BM25 and of the vectors, both of the bare text, and gave k.
    """
    texts = [memory.text for memory in corpus.memories]
    plain = BM25Okapi([_words(text) for text in texts])
    stemmed = _stemmed(texts)
    vectors = np.stack([embedder.embed(text).vector for text in tqdm(texts, desc="FP32 vectors", disable=None)])
    found: dict[str, list[Judged]] = defaultdict(list)
    for question in tqdm(corpus.questions, desc="other ways", unit=" questions", disable=None):
        text = question.request.text
        seen = np.array([memory.scope in question.request.scopes for memory in corpus.memories])
        by_words = _ranked(np.asarray(plain.get_scores(_words(text)), np.float32), seen)
        lexical = _ranked(stemmed(text), seen)
        dense = _ranked(1 + vectors @ embedder.embed(text).vector, seen)
        ways: Mapping[str, Sequence[int]] = {
            "rank-bm25": by_words[:10],
            "earlier system, k 5": _fused(lexical, dense, 5),
            "earlier system, k 10": _fused(lexical, dense, 10),
        }
        for name, rows in ways.items():
            found[name].append(_judged(question, [corpus.memories[row].memory_id or "" for row in rows]))
    return found


def _words(text: str) -> list[str]:
    return text.lower().split()


def _stemmed(texts: Sequence[str]) -> Callable[[str], Scores]:
    """Return what scores every text for a question: BM25 over English stems, as bm25s has it by default."""
    stemmer = Stemmer.Stemmer("english")
    index = bm25s.BM25()
    index.index(bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False)

    def scores(text: str) -> Scores:
        words = bm25s.tokenize([text], stopwords="en", stemmer=stemmer, show_progress=False, return_ids=False)[0]
        known = [word for word in words if word in index.vocab_dict]
        return np.asarray(index.get_scores(known), np.float32) if known else np.zeros(len(texts), np.float32)

    return scores


def _ranked(scores: Scores, seen: NDArray[np.bool_]) -> list[int]:
    """Return the rows with a positive score that may be seen, best first."""
    order = np.argsort(-scores, kind="stable")
    rows: list[int] = order[(scores[order] > 0) & seen[order]].tolist()
    return rows


def _fused(lexical: Sequence[int], dense: Sequence[int], k: int) -> list[int]:
    """Return the best k rows by reciprocal rank fusion of the first 2k of each leg."""
    scores: dict[int, float] = defaultdict(float)
    for rows in (lexical, dense):
        for rank, row in enumerate(rows[: 2 * k], 1):
            scores[row] += 1 / (RRF_K + rank)
    return sorted(scores, key=lambda row: -scores[row])[:k]


def _judged(question: JudgedQuestion, found: Sequence[str]) -> Judged:
    return Judged(
        id=question.id,
        type=question.expected.type,
        found=tuple(found),
        is_empty=not found,
        answers=frozenset(question.expected.answers),
        outdated=frozenset(question.expected.outdated),
    )

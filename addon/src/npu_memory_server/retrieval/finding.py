"""A question to the indexes: what the legs find, what else speaks for it, and in which order."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..wire import Reranker, Strategy
from . import pool
from .analysis import fold
from .dense import VectorIndex
from .diversity import varied as in_variety
from .explaining import Trail
from .fusion import Scores, best, reciprocal_ranks
from .hits import Hits
from .moments import spans
from .parts import Parts
from .pool import Pool
from .question import Found, Legs, Question
from .relevance import FUSED, MAXSIM, relevance

Rows = NDArray[np.intp]
Signal = Scores | np.float32
"""Of each of some rows, float32 [len(rows)], or the same of all of them."""
NOTHING = np.float32(0)
Value = TypeVar("Value", np.bool_, np.float32)

CANDIDATES = 128
"""Memories that the signals look at; the evidence is among the first 100 for 92 % of the questions of LoCoMo."""


def find(parts: Parts, question: Question, legs: Legs) -> Found:
    """Return the best memories that the asker may see. The strategy says which legs count.

    The signals and the reranker belong to the hybrid strategy: with one leg alone that leg decides alone.
    """
    started = perf_counter()
    among = _pool(parts, question, legs) if question.strategy is not Strategy.RECENT else None
    searched = perf_counter()
    rerank_ms = 0.0
    trail = Trail() if question.explain else None
    if among is None:
        visible = parts.catalog.visible(question.scopes, question.now_ms)
        rows = _newest(parts, _outside(parts, question.without_session, visible), question.top_k)
        found: Scores = np.ones(len(rows), np.float32)
    else:
        # From here on `rows` are places in the pool.
        if trail is not None:
            trail.legs(among.lexical, among.cosine, among.priors, parts.weights.lexical)
        if question.strategy is Strategy.HYBRID:
            rows, found, rerank_ms = _hybrid(parts, question, legs, among, trail)
        else:
            is_rrf = question.strategy is Strategy.RRF
            scores = reciprocal_ranks(among.lexical, among.cosine, among.allowed) if is_rrf else among.scores
            rows = best(scores * among.allowed, question.top_k)
            found = scores[rows] * among.allowed[rows]
    enough = found >= question.min_relevance
    shown = rows[enough] if among is None else among.at(rows[enough])
    slots = tuple(parts.catalog.slots[shown].tolist())
    relevances = tuple([min(max(one, 0.0), 1.0) for one in found[enough].tolist()])
    done = perf_counter()
    return Found(
        slots,
        relevances,
        (searched - started) * 1000,
        (done - searched) * 1000 - rerank_ms,
        rerank_ms,
        trail.whys(rows[enough]) if trail is not None else (),
    )


def _hybrid(
    parts: Parts, question: Question, legs: Legs, among: Pool, trail: Trail | None
) -> tuple[Rows, Scores, float]:
    """Return the best places of the pool, how relevant they are, and the ms of the reranker."""
    lexical, cosine, allowed = among.lexical, among.cosine, among.allowed
    vectors = legs.vectors
    rerank_ms = 0.0
    rows = best(among.scores * allowed, max(CANDIDATES, question.top_k))
    signals = _signals(parts, question, among, rows)
    scored = among.scores[rows] + sum(signals.values())
    if trail is not None:
        trail.candidates(rows, scored, signals)
    largest = 1.0 if lexical is None or cosine is None else 1 + parts.weights.lexical
    calibration = FUSED
    if question.reranker is not Reranker.NONE and vectors is not None and len(vectors.tokens):
        reranking = perf_counter()
        first, scored, added = parts.reranker.rerank(
            (question.text, question.language), vectors, among.at(rows), scored, among.allowed_of, question.top_k
        )
        rows = rows[first]
        if trail is not None:
            trail.reranked(Reranker.MAXSIM, rows, added, parts.weights.maxsim)
        largest += parts.weights.maxsim
        calibration = MAXSIM
        rerank_ms = (perf_counter() - reranking) * 1000
    shares = scored * allowed[rows] / np.float32(largest)
    embedded = among.embedded[rows]
    by_words = lexical is not None and not embedded.all()
    if lexical is not None and by_words:
        # What was said a moment ago has no vector yet: its words alone say how relevant it is.
        shares = np.where(embedded, shares, lexical[rows] * allowed[rows])
    order = np.lexsort((-rows, -shares))[: question.top_k]
    shares = shares[order]
    found = relevance(shares, calibration)
    if by_words:
        found = np.where(embedded[order], found, np.maximum(found, shares))
    return rows[order], found, rerank_ms


def varied(parts: Parts, found: Found, diversity: float, count: int) -> Found:
    """Return `count` of what was found, in an order in which each one adds something to those before it."""
    vectors = np.zeros((len(found.slots), parts.dimensions), np.float32)
    for place, slot in enumerate(found.slots):
        row = parts.catalog.row(slot)
        vector = parts.vectors.of(row) if row is not None else None
        if vector is not None:
            vectors[place] = vector
    order = in_variety(found.scores, vectors, diversity, count)
    return replace(
        found,
        slots=tuple(found.slots[place] for place in order),
        scores=tuple(found.scores[place] for place in order),
        whys=tuple(found.whys[place] for place in order) if found.whys else (),
    )


def _pool(parts: Parts, question: Question, legs: Legs) -> Pool:
    query = legs.vectors.vector if legs.vectors is not None else None
    if isinstance(parts.vectors, VectorIndex):
        allowed = parts.catalog.weights(question.scopes, question.now_ms, parts.weights.past)
        allowed = _outside(parts, question.without_session, allowed)
        lexical = legs.lexical.all() if isinstance(legs.lexical, Hits) else legs.lexical
        return pool.everything(parts.catalog, parts.vectors, lexical, query, allowed, parts.weights)
    hits = Hits.of(legs.lexical) if isinstance(legs.lexical, np.ndarray) else legs.lexical
    return pool.candidates(
        parts.catalog, parts.vectors, hits, query, partial(_allowed_of, parts, question), parts.weights
    )


def _allowed_of(parts: Parts, question: Question, rows: Rows) -> Scores:
    allowed = parts.catalog.weights_of(rows, question.scopes, question.now_ms, parts.weights.past)
    return np.where(parts.sessions.has(question.without_session, rows), np.float32(0), allowed)


def _signals(parts: Parts, question: Question, among: Pool, places: Rows) -> dict[str, Signal]:
    """Return what else speaks for some places of the pool, by its name."""
    rows = among.at(places)
    speakers = parts.catalog.speakers_among([fold(word) for word in question.text.replace("'s", " ").split()])
    moments = spans(question.text, question.asked_at)
    weights = parts.weights
    return {
        "speaker": parts.catalog.said_by(speakers, rows) * np.float32(weights.speaker) if speakers else NOTHING,
        "time": parts.catalog.said_within(moments, rows) * np.float32(weights.time) if moments else NOTHING,
        **parts.sessions.gains(rows, among.scores[places], among.scores_of, weights),
    }


def _outside(parts: Parts, session: str | None, values: NDArray[Value]) -> NDArray[Value]:
    """Return `values`, one for each row, with nothing where a row belongs to the session."""
    inside = parts.sessions.rows_of(session)
    if not len(inside):
        return values
    outside = values.copy()
    outside[inside] = 0
    return outside


def _newest(parts: Parts, visible: NDArray[np.bool_], count: int) -> Rows:
    rows = np.flatnonzero(visible & parts.catalog.current)
    if len(rows) > count:
        least = np.partition(parts.catalog.created_ms[rows], len(rows) - count)[len(rows) - count]
        rows = rows[parts.catalog.created_ms[rows] >= least]
    return rows[np.lexsort((-rows, -parts.catalog.created_ms[rows]))][:count]

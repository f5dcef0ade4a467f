"""Every weight of the retrieval in one place; docs/decisions/0004 says which were chosen with what in view."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """All in the scale of a cosine: a vector that points the same way counts 1.

    "Worth" is what is lost without it: answers among five of the household, and recall@5 / recall@10 on LoCoMo, in
    points.
    """

    lexical: float = 0.8
    """A question all of whose words are found. Worth 0.4, and 6.9 / 6.2 where questions repeat the words."""
    question_malus: float = 0.1
    """Questions of others repeat the words of a question and answer nothing. Worth 0.4, and 0.3 / 0.1."""
    length_bonus: float = 0.05
    """Of a full-length statement; short turns ("really", "um in the bath") are close to everything. Worth -0.3, and
    0.3 / 0.1."""
    speaker: float = 0.1
    """The question names who said it ("what did Maya say about ..."). Worth 0.4, and 2.0 / 1.0."""
    time: float = 0.3
    """It was said in the time that the question names ("last week", "in March"). Worth 0.7 and 1.4 of the first, and
    0.8 / 1.0."""
    after_question: float = 0.8
    """What is said right after a question in the same session answers it: this share of what the question has over
    `carried_from` goes to it."""
    after_turn: float = 0.4
    """The same after any other turn: "and the food is where" asks without looking like it."""
    session: float = 0.2
    """A session that has several good memories is about the matter: the share of the mean of its best three."""
    carried_from: float = 0.2
    """What a memory must score before its neighbors or its session gain from it."""
    context_question: float = 0.9
    """Of a cosine for MaxSim, where not the memory has the token but the question right before it."""
    context_turn: float = 0.7
    """The same for any other of the two turns before it."""
    maxsim: float = 2.0
    """Every token of the question finds its like among the memory's tokens. Worth 4.6, and 2.1 / 2.2."""
    past: float = 0.95
    """The factor of a memory that was corrected: it stays answerable, behind the current one of like relevance. Worth
    0.4, and 0.4 / 0."""

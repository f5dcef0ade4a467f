"""Every weight of the retrieval in one place; chosen on the sample household, checked on LoCoMo, not learnt from it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """All in the scale of a cosine: a vector that points the same way counts 1.

    What each is worth is the loss without it: the answers among five of the household / recall@5 on LoCoMo, in points.
    """

    lexical: float = 1.0
    """A question all of whose words are found. Flat from 0.6 to 1.3; words matter most where questions repeat them."""
    question_malus: float = 0.05
    """Questions of others repeat the words of a question and answer nothing."""
    length_bonus: float = 0.05
    """Of a full-length statement; very short turns ("really", "um in the bath") are close to everything."""
    speaker: float = 0.05
    """The question names who said it ("what did Maya say about ...")."""
    after_question: float = 0.5
    """What is said right after a question in the same session answers it: this share of the question's score over
    `carried_from` goes to it."""
    next_turn: float = 0.05
    """The same for the turn before: what leads up to a good memory."""
    session: float = 0.1
    """A session that has several good memories is about the matter: the share of the mean of its best three."""
    carried_from: float = 0.25
    """What a memory must score before its neighbors or its session gain from it."""
    maxsim: float = 1.5
    """Every token of the question finds its like among the memory's tokens."""
    past: float = 0.9
    """The factor of a memory that was corrected: it stays answerable, behind the current one of like relevance."""

"""MaxSim in C: as `retrieval.maxsim.compare` does it, to the last bit, without copying a token vector."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
Rows = NDArray[np.int64]

REDUCED = 128
TURNS = 3
OUT_OF_MEMORY = -2
NO_ROWS = np.empty(0, np.int64)


class _Asked(ctypes.Structure):
    """`struct maxsim` of maxsim.c."""

    _fields_ = (
        ("kept", ctypes.c_void_p),
        ("spans", ctypes.c_void_p),
        ("tokens", ctypes.c_void_p),
        ("importance", ctypes.c_void_p),
        ("rows", ctypes.c_void_p),
        ("shares", ctypes.c_void_p),
        ("scores", ctypes.c_void_p),
        ("missing", ctypes.c_void_p),
        ("kept_tokens", ctypes.c_int64),
        ("known_rows", ctypes.c_int64),
        ("question_tokens", ctypes.c_int64),
        ("memories", ctypes.c_int64),
    )


class MaxSim:
    """Room for questions and their answers, whose addresses C knows. Not thread-safe: one thread uses it."""

    def __init__(self, functions: ctypes.CDLL) -> None:
        """Use the functions of the library."""
        self._call = functions.maxsim_scores
        self._call.argtypes, self._call.restype = (ctypes.c_void_p,), ctypes.c_int64
        self._asked = _Asked()
        self._address = ctypes.addressof(self._asked)
        self._kept: NDArray[np.int8] | None = None
        self._spans: NDArray[np.int32] | None = None
        self._make_room(64, 64)

    def __call__(
        self,
        kept: NDArray[np.int8],
        spans: NDArray[np.int32],
        question: NDArray[np.float32],
        importance: Scores,
        rows: NDArray[np.intp],
        shares: Scores,
    ) -> tuple[Scores, Rows]:
        """See `retrieval.maxsim.compare`; `kept` has 128 columns. Raises IndexError, MemoryError and ValueError."""
        memories, tokens = rows.shape[1], len(question)
        if memories > len(self._scores) or tokens > len(self._tokens):
            self._make_room(max(memories, len(self._scores)), max(tokens, len(self._tokens)))
        if kept is not self._kept or spans is not self._spans:
            self._take(kept, spans)
        self._asked.memories, self._asked.question_tokens = memories, tokens
        self._tokens[:tokens] = question
        self._importance[:tokens] = importance
        # One behind the other, however much room there is.
        self._rows[: TURNS * memories].reshape(TURNS, memories)[:] = rows
        self._shares[: (TURNS - 1) * memories].reshape(TURNS - 1, memories)[:] = shares
        missing = self._call(self._address)
        if missing > 0:
            return self._scores[:0], self._missing[:missing].copy()
        if missing == OUT_OF_MEMORY:
            raise MemoryError("there is no room left to compare token vectors")
        if missing < 0:
            raise IndexError("MaxSim was asked for token vectors that there are not")
        return self._scores[:memories].copy(), NO_ROWS

    def _take(self, kept: NDArray[np.int8], spans: NDArray[np.int32]) -> None:
        if len(kept) and (kept.shape[1] != REDUCED or kept.dtype != np.int8 or not kept.flags.c_contiguous):
            raise ValueError(f"token vectors have {REDUCED} dimensions of one byte")
        if spans.shape != (len(spans), 2) or spans.dtype != np.int32 or not spans.flags.c_contiguous:
            raise ValueError("spans are pairs")
        self._kept, self._spans = kept, spans
        self._asked.kept, self._asked.kept_tokens = kept.ctypes.data, len(kept)
        self._asked.spans, self._asked.known_rows = spans.ctypes.data, len(spans)

    def _make_room(self, memories: int, tokens: int) -> None:
        self._tokens = self._room("tokens", (tokens, REDUCED), np.float32)
        self._importance = self._room("importance", (tokens,), np.float32)
        self._rows: Rows = self._room("rows", (TURNS * memories,), np.int64)
        self._shares = self._room("shares", ((TURNS - 1) * memories,), np.float32)
        self._scores: Scores = self._room("scores", (memories,), np.float32)
        self._missing: Rows = self._room("missing", (TURNS * memories,), np.int64)

    def _room(self, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
        room = np.zeros(shape, dtype)
        setattr(self._asked, name, room.ctypes.data)
        return room

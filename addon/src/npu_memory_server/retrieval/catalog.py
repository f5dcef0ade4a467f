"""What has to be known of every memory to decide who may see it, as columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .analysis import fold
from .growing import GrowingArray
from .moments import Span

Columns = Mapping[str, NDArray[Any]]

COLUMNS = ("slots", "scopes", "created_ms", "expires_ms", "priors", "alive", "current", "speakers")
NEVER = np.iinfo(np.int64).max
MAX_KEPT_WEIGHTS = 32


class Catalog:
    """One row a memory, in the order in which they were added. Not thread-safe: one thread reads and writes."""

    def __init__(self) -> None:
        """Make an empty catalog."""
        self._slots: GrowingArray[np.int64] = GrowingArray(np.int64)
        self._scopes: GrowingArray[np.int32] = GrowingArray(np.int32)
        self._created_ms: GrowingArray[np.int64] = GrowingArray(np.int64)
        self._expires_ms: GrowingArray[np.int64] = GrowingArray(np.int64)
        self._priors: GrowingArray[np.float32] = GrowingArray(np.float32)
        self._alive: GrowingArray[np.bool_] = GrowingArray(np.bool_)
        self._current: GrowingArray[np.bool_] = GrowingArray(np.bool_)
        self._speakers: GrowingArray[np.int32] = GrowingArray(np.int32)
        self._scope_numbers: dict[str, int] = {}
        self._speaker_numbers: dict[str, int] = {}
        self._changes = 0
        self._kept_weights: dict[tuple[str, ...], tuple[int, int, NDArray[np.float32]]] = {}

    @classmethod
    def restored(cls, columns: Columns, scopes: Sequence[str], speakers: Sequence[str]) -> Catalog:
        """Return a catalog as it was saved: its columns, and the names behind the numbers in them."""
        catalog = cls()
        for name in COLUMNS:
            setattr(catalog, f"_{name}", GrowingArray.of(columns[name].copy()))
        catalog._scope_numbers = {name: number for number, name in enumerate(scopes)}
        catalog._speaker_numbers = {name: number for number, name in enumerate(speakers)}
        return catalog

    def columns(self) -> dict[str, GrowingArray[Any]]:
        """Return everything that is kept of the rows, by name."""
        return {name: getattr(self, f"_{name}") for name in COLUMNS}

    def names(self) -> tuple[list[str], list[str]]:
        """Return the scopes and the folded speakers by number; of those that no row has any more not the name."""
        return (
            _still_there(self._scope_numbers, self._scopes.values[self.alive]),
            _still_there(self._speaker_numbers, self._speakers.values[self.alive]),
        )

    def __len__(self) -> int:
        """Return the number of rows, those that were removed included."""
        return len(self._slots)

    @property
    def slots(self) -> NDArray[np.int64]:
        """The slot of each row, ascending."""
        return self._slots.values

    @property
    def created_ms(self) -> NDArray[np.int64]:
        """When each row was said, in ms since 1970."""
        return self._created_ms.values

    @property
    def priors(self) -> NDArray[np.float32]:
        """What speaks for each row before anybody has asked."""
        return self._priors.values

    @property
    def current(self) -> NDArray[np.bool_]:
        """Whether each row still holds: it has not been corrected."""
        return self._current.values

    @property
    def alive(self) -> NDArray[np.bool_]:
        """Whether each row is there at all: it has not been forgotten."""
        return self._alive.values

    def add(
        self,
        slot: int,
        *,
        scope: str,
        speaker: str | None,
        created_ms: int,
        expires_ms: int | None,
        current: bool,
        prior: float,
    ) -> int:
        """Add a memory and return its row. Slots must be added in ascending order."""
        self._changes += 1
        self._slots.append(slot)
        self._scopes.append(self._scope_numbers.setdefault(scope, len(self._scope_numbers)))
        self._speakers.append(self._speaker_numbers.setdefault(fold(speaker or ""), len(self._speaker_numbers)))
        self._created_ms.append(created_ms)
        self._expires_ms.append(NEVER if expires_ms is None else expires_ms)
        self._priors.append(prior)
        self._alive.append(True)
        self._current.append(current)
        return len(self._slots) - 1

    def speakers_among(self, words: Iterable[str]) -> list[int]:
        """Return the numbers of those who have spoken and whose names are among some folded words."""
        return [self._speaker_numbers[word] for word in words if word and word in self._speaker_numbers]

    def said_by(self, speakers: Sequence[int], rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return whether each of `rows` was said by one of the speakers with these numbers, bool [len(rows)]."""
        return np.isin(self._speakers.values[rows], speakers)

    def said_within(self, spans: Iterable[Span], rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return whether each of `rows` was said within one of the spans, bool [len(rows)]."""
        said = self._created_ms.values[rows]
        within = np.zeros(len(rows), np.bool_)
        for span in spans:
            within |= (said >= span.begin_ms) & (said < span.end_ms)
        return within

    def row(self, slot: int) -> int | None:
        """Return the row of a slot, or None if it is not here or was removed."""
        slots = self.slots
        row = int(slots.searchsorted(slot))
        return row if row < len(slots) and slots[row] == slot and self.alive[row] else None

    def set_current(self, row: int, *, current: bool) -> None:
        """Note that a memory was corrected, or that it holds again."""
        self._changes += 1
        self._current.values[row] = current

    def remove(self, row: int) -> None:
        """Note that a memory is gone."""
        self._changes += 1
        self._alive.values[row] = False

    def weights(self, scopes: tuple[str, ...], now_ms: int, past: float) -> NDArray[np.float32]:
        """Return what a relevance is to be multiplied by, float32 [n]: 1, `past` if it was corrected, 0 if not visible.

        It is kept until something changes or expires: this is most of what a small question would cost.
        """
        kept = self._kept_weights.get(scopes)
        if kept is not None and kept[0] == self._changes and kept[1] > now_ms:
            return kept[2]
        visible = self.visible(scopes, now_ms)
        weights = np.where(visible, np.where(self.current, np.float32(1), np.float32(past)), np.float32(0))
        coming = self._expires_ms.values[self._expires_ms.values > now_ms]
        if len(self._kept_weights) >= MAX_KEPT_WEIGHTS:
            self._kept_weights.clear()
        self._kept_weights[scopes] = (self._changes, int(coming.min(initial=NEVER)), weights)
        return weights

    def weights_of(
        self, rows: NDArray[np.intp], scopes: Iterable[str], now_ms: int, past: float
    ) -> NDArray[np.float32]:
        """Return what `weights` says of some rows, float32 [len(rows)]: for a memory that is too large for all."""
        visible = self.alive[rows] & (self._expires_ms.values[rows] > now_ms)
        visible &= self._allowed(scopes)[self._scopes.values[rows]]
        return np.where(visible, np.where(self.current[rows], np.float32(1), np.float32(past)), np.float32(0))

    def same_scope(self, rows: NDArray[np.intp], row: int) -> NDArray[np.bool_]:
        """Return whether each of `rows` has the scope of `row`, bool [len(rows)]."""
        same: NDArray[np.bool_] = self._scopes.values[rows] == self._scopes.values[row]
        return same

    def visible(self, scopes: Iterable[str], now_ms: int) -> NDArray[np.bool_]:
        """Return whether an asker with these scopes may see each row now, bool [n]."""
        return self.alive & (self._expires_ms.values > now_ms) & self._allowed(scopes)[self._scopes.values]

    def _allowed(self, scopes: Iterable[str]) -> NDArray[np.bool_]:
        allowed = np.zeros(max(len(self._scope_numbers), 1), np.bool_)
        allowed[[self._scope_numbers[scope] for scope in scopes if scope in self._scope_numbers]] = True
        return allowed


def _still_there(numbers: Mapping[str, int], used: NDArray[np.int32]) -> list[str]:
    there = np.zeros(len(numbers), np.bool_)
    there[used] = True
    # Each of the others gets a name that nobody can have, so that the numbers stay what they are.
    return [name if there[number] else f"\n{number}" for name, number in numbers.items()]

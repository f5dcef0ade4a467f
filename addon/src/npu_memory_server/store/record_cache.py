"""The memories that questions find, kept at hand: in a household it is the same few hundred again and again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import sqlite3

from ..records import Record
from .memories import by_slot

MAX_RECORDS = 4096
"""About 6 MB of spoken memories."""


class RecordCache:
    """Records by slot, read from the database when they are missing. Not thread-safe: one thread uses it."""

    def __init__(self, reader: sqlite3.Connection) -> None:
        """Begin empty."""
        self._reader = reader
        self._records: dict[int, Record] = {}

    def get(self, slots: Sequence[int]) -> dict[int, Record]:
        """Return the records of these slots; slots that are gone are left out. Raises `sqlite3.Error`."""
        missing = [slot for slot in slots if slot not in self._records]
        if missing:
            if len(self._records) + len(missing) > MAX_RECORDS:
                self._records.clear()
            self._records.update(by_slot(self._reader, missing))
        return {slot: self._records[slot] for slot in slots if slot in self._records}

    def discard(self, slots: Iterable[int]) -> None:
        """Let go of records that have changed or are gone."""
        for slot in slots:
            self._records.pop(slot, None)

"""One writer thread that commits whatever is waiting in one transaction: a sync for many writers, not one for each."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
import queue
import sqlite3
import threading
from typing import Any, TypeVar

from ..errors import StorageError
from .database import reason

Result = TypeVar("Result")

MAX_GROUP = 500
"""Bounds how long the first of a group waits for the last: 500 inserts take a few ms, like the sync they share."""


@dataclass(frozen=True, slots=True)
class _Write:
    operation: Callable[[sqlite3.Connection], Any]
    result: Future[Any]
    after_commit: Callable[[Any], None] | None = None
    alone: bool = False


class GroupCommit:
    """Runs write operations on `connection`, each all or nothing, and reports a result only when it is committed."""

    def __init__(self, connection: sqlite3.Connection, between: Callable[[], None]) -> None:
        """Start the thread; from here on nobody else may use `connection`.

        `between` is called on it between one operation of a group and the next.
        """
        self._connection = connection
        self._between = between
        self._waiting: queue.SimpleQueue[_Write] = queue.SimpleQueue()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="npu-memory-writer", daemon=True)
        self._thread.start()

    def submit(
        self,
        operation: Callable[[sqlite3.Connection], Result],
        after_commit: Callable[[Result], None] | None = None,
    ) -> Future[Result]:
        """Run `operation(connection)` in the next transaction; the result is set after the commit.

        `after_commit(result)` is called first, on this thread and in the order of the commits, whether or not anybody
        still waits for the result: that keeps the indexes in step with the database. What the operation raises is the
        result's exception, and nothing of that operation stays. When the commit itself fails, every operation of the
        group gets `StorageError`.
        """
        result = _uncancellable()
        self._waiting.put(_Write(operation, result, after_commit))
        return result

    def submit_alone(self, operation: Callable[[sqlite3.Connection], Result]) -> Future[Result]:
        """Run `operation(connection)` after what was submitted before it, and outside any transaction."""
        result = _uncancellable()
        self._waiting.put(_Write(operation, result, alone=True))
        return result

    def close(self) -> None:
        """Commit what is waiting, end the thread and close the connection."""
        self.submit_alone(self._stop)
        self._thread.join()
        self._connection.close()

    def _stop(self, _connection: sqlite3.Connection) -> None:
        self._stopped = True

    def _run(self) -> None:
        following: _Write | None = None
        while not self._stopped:
            first, following = following or self._waiting.get(), None
            if first.alone:
                self._run_alone(first)
                continue
            group = [first]
            while len(group) < MAX_GROUP and not self._waiting.empty():
                write = self._waiting.get()
                if write.alone:
                    following = write
                    break
                group.append(write)
            self._commit(group)

    def _run_alone(self, write: _Write) -> None:
        try:
            write.result.set_result(write.operation(self._connection))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever asked, not to the writer's thread
            write.result.set_exception(_as_storage_error(error))

    def _commit(self, group: list[_Write]) -> None:
        done: list[tuple[_Write, Any]] = []
        failed: list[tuple[_Write, Exception]] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for number, write in enumerate(group):
                if number:
                    self._between()
                self._connection.execute("SAVEPOINT one")
                try:
                    done.append((write, write.operation(self._connection)))
                except Exception as error:  # noqa: BLE001 - it belongs to whoever asked, not to the writer's thread
                    self._connection.execute("ROLLBACK TO one")
                    failed.append((write, _as_storage_error(error)))
                self._connection.execute("RELEASE one")
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            done, failed = [], [(write, _as_storage_error(error)) for write in group]
        for number, (write, value) in enumerate(done):
            if number:
                self._between()
            try:
                if write.after_commit is not None:
                    write.after_commit(value)
            except Exception as error:  # noqa: BLE001 - the thread has to outlive it
                write.result.set_exception(error)
            else:
                write.result.set_result(value)
        for write, exception in failed:
            write.result.set_exception(exception)


def _uncancellable() -> Future[Any]:
    """Return a future that its waiter cannot cancel: the thread would then fail to set its result, and end."""
    result: Future[Any] = Future()
    result.set_running_or_notify_cancel()
    return result


def _as_storage_error(error: Exception) -> Exception:
    if isinstance(error, sqlite3.Error | OSError):
        storage_error = StorageError(f"The database could not be written: {reason(error)}. Nothing was stored.")
        storage_error.__cause__ = error
        return storage_error
    return error

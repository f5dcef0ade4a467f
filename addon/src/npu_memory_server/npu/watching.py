"""Looking after the NPU in the background: a resting one is tried again, one in use is examined every hour."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import logging
import threading

from .accelerator import Accelerator
from .lane import Output

LOGGER = logging.getLogger(__name__)

LEAST_SECONDS = 1.0
MOST_SECONDS = 3600.0
JOIN_SECONDS = 2.0


@contextmanager
def watching(accelerator: Accelerator[Output]) -> Iterator[None]:
    """Look after it on a thread of its own."""
    closing = threading.Event()
    watcher = threading.Thread(target=_watch, args=(accelerator, closing), name="npu-memory-npu-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        closing.set()
        accelerator.changed.set()
        watcher.join(JOIN_SECONDS)


def _watch(accelerator: Accelerator[Output], closing: threading.Event) -> None:
    while not closing.is_set():
        accelerator.changed.wait(min(max(accelerator.idle_seconds, LEAST_SECONDS), MOST_SECONDS))
        accelerator.changed.clear()
        if not closing.is_set():
            try:
                accelerator.look_after()
            except Exception:  # this thread is the only one that does it
                LOGGER.exception("The NPU could not be looked after")

"""The end of the process, when everything is closed."""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End the process with an exit code, at once where a thread was left behind, such as one that hangs in a driver.

    Python ends such threads by unwinding them when they come back from a library, and one in C++, such as onnxruntime,
    aborts the whole process then.
    """
    if any(thread.daemon for thread in threading.enumerate()):
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)

"""The driver's end of the line: a process that is asked, watched, and ended if it goes too far."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
import json
import os
from pathlib import Path
import signal
from time import perf_counter
from typing import Any

LONGEST_ANSWER = 16 * 1024 * 1024
LOOK_SECONDS = 0.25
MEBIBYTE = 1024 * 1024


class WayError(Exception):
    """A way did not do what it was asked for; the message is a sentence for the report."""


class Line:
    """A running way. One request at a time."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, memory_mib: float) -> None:
        """Take over a process that has just been started; `line` is the way to get one."""
        if process.stdin is None or process.stdout is None:
            raise ValueError("a way needs pipes")
        self._process = process
        self._reader = process.stdout
        self._writer = process.stdin
        self._log = log
        self._memory_mib = memory_mib
        self.began = perf_counter()
        self.peak_mib = 0.0

    async def ask(self, request: Mapping[str, Any], seconds: float) -> tuple[dict[str, Any], float]:
        """Return the answer, and the ms that it took by the way's own clock.

        Raises WayError if the way fails, ends, or exceeds the seconds or its memory; in all cases but the first the
        process is gone afterwards.
        """
        with suppress(ConnectionError):
            self._writer.write(json.dumps(request).encode() + b"\n")
            await self._writer.drain()
        reading = asyncio.ensure_future(self._reader.readline())
        limit = perf_counter() + seconds
        try:
            while not reading.done():
                await asyncio.wait([reading], timeout=LOOK_SECONDS)
                self.peak_mib = max(self.peak_mib, self.resident_mib())
                if self.peak_mib > self._memory_mib:
                    raise WayError(f"took more than {self._memory_mib / 1024:.0f} GiB of memory to {request['do']}")
                if not reading.done() and perf_counter() > limit:
                    worked = f"{_length(self._cpu_seconds())} of them computing"
                    raise WayError(f"took more than {_length(seconds)} to {request['do']}, {worked}")
            answered = reading.result()
        except (ValueError, WayError) as error:
            await self.end()
            raise error if isinstance(error, WayError) else WayError("said more than a line can hold") from error
        finally:
            reading.cancel()
        if not answered.endswith(b"\n"):
            code = await self._process.wait()
            raise WayError(f"ended ({_ending(code)}) when it was asked to {request['do']}{self._last_words()}")
        return self._judged(answered)

    def _judged(self, answered: bytes) -> tuple[dict[str, Any], float]:
        try:
            said = json.loads(answered)
        except ValueError as error:
            raise WayError("said something that is not JSON") from error
        if "error" in said:
            raise WayError(said["error"])
        return said["ok"], said["ms"]

    def resident_mib(self) -> float:
        """Return the resident memory of the process, mapped files included; 0 when it has gone."""
        with suppress(OSError, StopIteration):
            lines = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8").splitlines()
            return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
        return 0.0

    def _cpu_seconds(self) -> float:
        """Return what the process has computed; it is niced, and others may have had the machine."""
        with suppress(OSError):
            # proc(5): the name in brackets may hold spaces; utime and stime are the 14th and 15th field.
            fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return 0.0

    async def end(self) -> None:
        """End the process and what it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    def _last_words(self) -> str:
        lines = [line for line in self._log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        return f": {lines[-1].strip()[:200]}" if lines else ""


def _length(seconds: float) -> str:
    return f"{seconds / 60:.3g} min" if seconds >= 120 else f"{seconds:.3g} s"


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


@asynccontextmanager
async def line(
    command: Sequence[str], environment: Mapping[str, str], log: Path, memory_mib: float
) -> AsyncIterator[Line]:
    """Run a way while the context lasts; what it prints besides its answers goes to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env=dict(environment),
            limit=LONGEST_ANSWER,
            start_new_session=True,
        )
    way = Line(process, log, memory_mib)
    try:
        yield way
    finally:
        await way.end()


def disk_mib(folder: Path) -> float:
    """Return what the files below a folder hold."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / MEBIBYTE

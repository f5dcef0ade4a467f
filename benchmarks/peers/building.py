"""Building: once for each way and size, kept for later runs; and what was left out for which reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
import json
import os
from pathlib import Path
import shutil
from time import perf_counter

from benchmarks.peers.catalog import Peer
from benchmarks.peers.corpus import Corpus
from benchmarks.peers.line import WayError, disk_mib, line
from benchmarks.peers.ways.answering import MODEL, THREADS

CHECKOUT = Path(__file__).resolve().parents[2]
PYTHON = "NPU_MEMORY_PEER_{}"
REASON = "NPU_MEMORY_PEER_{}_REASON"
"""Environment variables of script/benchmark: the interpreter of a way's environment, and why there is none."""

OPEN_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a way may take: seconds to build and for a question, MiB of memory for each of both."""

    build_seconds: float
    memory_mib: float
    question_seconds: float


@dataclass(frozen=True, slots=True)
class Built:
    """What building took, and what the way holds once it is open; or the sentence why it is left out."""

    left_out: str | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mib: float = 0.0
    resident_mib: float = 0.0
    disk_mib: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)


def folder_of(keep: Path, peer: Peer, size: int) -> Path:
    """Return where a way keeps what it has built."""
    return keep / peer.runs / str(size)


def command(peer: Peer, *, nice: bool = False) -> list[str]:
    """Return what starts a way. Raises WayError, with the reason, where its environment is missing."""
    python = os.environ.get(PYTHON.format(peer.runs))
    if not python:
        raise WayError(os.environ.get(REASON.format(peer.runs)) or "has no environment; run script/benchmark peers")
    return [*(["nice", "-n", "19"] if nice else []), python, "-m", f"benchmarks.peers.ways.{peer.runs}"]


def environment(peer: Peer) -> Mapping[str, str]:
    """Return what a way may know: where the model is, that nothing can be fetched, and nothing of the server."""
    threads = {} if peer.threads is None else {THREADS: str(peer.threads)}
    passed_on = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", MODEL) if name in os.environ}
    # LanceDB would write four warnings about its own future for each question.
    settings = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "LANCEDB_LOG": "error"}
    return passed_on | {"PYTHONPATH": str(CHECKOUT)} | settings | threads


def kept(keep: Path, peer: Peer, size: int) -> Built | None:
    """Return what was noted when a way was built or left out at a size; None if neither has happened yet."""
    note = _note(keep, peer, size)
    return Built(**json.loads(note.read_text(encoding="utf-8"))) if note.exists() else None


def _note(keep: Path, peer: Peer, size: int) -> Path:
    return folder_of(keep, peer, size).with_suffix(".json")


@dataclass(frozen=True, slots=True)
class Smaller:
    """The outcome at the size before."""

    memories: int
    built: Built

    def foretold(self, memories: int, limits: Limits) -> str | None:
        """Return why a way need not be tried with so many memories: it was left out, or would hold too much of them."""
        if self.built.left_out is not None:
            return self.built.left_out
        growth = memories / self.memories
        # What a way holds of no memories at all counts as if it grew; over more than a power of ten that misleads.
        if growth > 10 or self.built.resident_mib * growth <= limits.memory_mib:
            return None
        held = f"holds {self.built.resident_mib / 1024:.1f} GiB of memory with {self.memories:,} memories"
        return (
            f"{held}, and would need more than {limits.memory_mib / 1024:.0f} GiB with {memories:,}; it was not tried"
        )


async def built(keep: Path, peer: Peer, corpus: Corpus, limits: Limits, smaller: Smaller | None) -> Built:
    """Return what building a way took, building it unless it is there or its reason to be left out is."""
    known = kept(keep, peer, corpus.size)
    if known is not None:
        return known
    foretold = None if smaller is None else smaller.foretold(corpus.size, limits)
    if foretold is not None:
        outcome = Built(left_out=foretold)
    else:
        print(f"  {corpus.size}: building {peer.title}", flush=True)
        try:
            outcome = await _build(keep, peer, corpus, limits)
        except WayError as error:
            shutil.rmtree(folder_of(keep, peer, corpus.size), ignore_errors=True)
            outcome = Built(left_out=f"{error} (at {corpus.size:,} memories)".replace(str(keep), "…"))
        print(f"    {outcome.left_out or f'{outcome.seconds:.0f} s'}", flush=True)
    note = _note(keep, peer, corpus.size)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps(asdict(outcome), indent=2) + "\n", encoding="utf-8")
    return outcome


async def _build(keep: Path, peer: Peer, corpus: Corpus, limits: Limits) -> Built:
    """Build in one process, and look in another whether it can be opened and answers in time."""
    folder = folder_of(keep, peer, corpus.size)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log = folder.with_suffix(".log")
    request = {
        "do": "build",
        "folder": str(folder),
        "texts": str(corpus.texts),
        "vectors": corpus.vectors and str(corpus.vectors),
    }
    began = perf_counter()
    async with line(command(peer, nice=True), environment(peer), log, limits.memory_mib) as way:
        done, _ = await way.ask(request, limits.build_seconds)
        seconds = perf_counter() - began
        peak = way.peak_mib
    async with line(command(peer, nice=True), environment(peer), log, limits.memory_mib) as way:
        # How long a question takes is seen when the machine is quiet; here, only whether there is an answer.
        await way.ask({"do": "open", "folder": str(folder)}, OPEN_SECONDS)
        await way.ask({"do": "ask", "text": corpus.questions[0]}, OPEN_SECONDS)
        return Built(
            seconds=seconds,
            cpu_seconds=done["cpu_seconds"],
            peak_mib=max(peak, way.peak_mib),
            resident_mib=way.resident_mib(),
            disk_mib=disk_mib(folder),
            versions=done["versions"],
        )

"""How a way answers the driver: one JSON object a line in, one out, each with what it took.

    in   {"do": "open", "folder": "..."}        {"do": "ask", "text": "..."}
    out  {"ok": {...}, "ms": 12.3}              {"error": "..."}

What libraries print goes to standard error, so that nothing but answers is on the line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
import json
import os
from pathlib import Path
import resource
import sys
from time import perf_counter
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
Answer = dict[str, Any]

MODEL = "NPU_MEMORY_PEER_MODEL"
"""The environment variable with the folder of the model, as sentence-transformers has it."""

THREADS = "NPU_MEMORY_PEER_THREADS"
"""The environment variable with the number of threads to embed with; without it the runtime decides."""

FOUND = 5
"""How many memories a question is answered with."""

NEAREST = 10
"""How many the vector leg is judged by."""


@dataclass(frozen=True, slots=True, eq=False)
class Documents:
    """Names and texts, and their vectors, float32 [n, 384], L2-normalized; without them the way embeds the texts."""

    names: Sequence[str]
    texts: Sequence[str]
    vectors: Vector | None


class Way(Protocol):
    """One way to remember and to find again. `model` is the folder of the embedding model."""

    packages: Sequence[str]
    """Whose versions matter."""

    def __init__(self, model: Path) -> None: ...

    def build(self, folder: Path, documents: Documents) -> None:
        """Keep the documents in an empty folder."""

    def open(self, folder: Path) -> None:
        """Make ready what was built."""

    def embed(self, text: str) -> Vector:
        """Embed a question as `ask` does, and no more."""

    def ask(self, text: str) -> list[str]:
        """Return the names of the best `FOUND` documents for a question."""

    def nearest(self, vector: Vector) -> list[str]:
        """Return the `NEAREST` documents that the vector leg finds for a vector, by the settings of `ask`."""

    def add(self, name: str, text: str) -> None:
        """Keep one more document; afterwards `ask` finds it, and `open` after a restart."""

    def forget(self, names: Sequence[str]) -> None:
        """Remove documents that were added."""


def model_folder() -> Path:
    """Return the folder of the model that the driver named."""
    return Path(os.environ[MODEL])


def read_documents(texts: Path, vectors: Path | None) -> Documents:
    """Read a file with a JSON object with `id` and `text` a line, and a .npy file, which is mapped."""
    with texts.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return Documents(
        [row["id"] for row in rows],
        [row["text"] for row in rows],
        None if vectors is None else np.load(vectors, mmap_mode="r"),
    )


def answer(make: Callable[[Path], Way]) -> None:
    """Answer the driver until it closes the line."""
    line_out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    converse(make, sys.stdin, line_out)


def converse(make: Callable[[Path], Way], line_in: IO[str], line_out: IO[str]) -> None:
    """Answer each line of `line_in` with one in `line_out`; a request that fails is answered with its error."""
    way: Way | None = None
    for line in line_in:
        request = json.loads(line)
        began = perf_counter()
        try:
            if way is None:
                way = make(model_folder())
            done = _done(way, request)
        except Exception as error:  # noqa: BLE001 - whatever a library raises is the driver's to judge
            said: Answer = {"error": f"{type(error).__name__}: {error}"[:400]}
        else:
            said = {"ok": done, "ms": (perf_counter() - began) * 1000}
        line_out.write(json.dumps(said) + "\n")
        line_out.flush()


def _done(way: Way, request: Mapping[str, Any]) -> Answer:
    match request["do"]:
        case "build":
            vectors = request["vectors"]
            way.build(Path(request["folder"]), read_documents(Path(request["texts"]), vectors and Path(vectors)))
            used = resource.getrusage(resource.RUSAGE_SELF)
            return {"cpu_seconds": used.ru_utime + used.ru_stime, "versions": _versions(way.packages)}
        case "open":
            way.open(Path(request["folder"]))
            return {"versions": _versions(way.packages)}
        case "embed":
            way.embed(request["text"])
            return {}
        case "ask":
            return {"found": way.ask(request["text"])}
        case "nearest":
            return {"found": way.nearest(np.array(request["vector"], np.float32))}
        case "add":
            way.add(request["name"], request["text"])
            return {}
        case "forget":
            way.forget(request["names"])
            return {}
        case unknown:
            raise ValueError(f"nobody here knows how to {unknown}")


def _versions(packages: Sequence[str]) -> dict[str, str]:
    return {name: metadata.version(name) for name in packages}

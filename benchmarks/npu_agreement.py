"""Whether memory finds the same on the NPU as on the CPU.

    script/benchmark npu_agreement [--json FILE] [--vectors FILE]

Stores the sample household and asks its 300 questions: with the vectors of the FP16 model for the NPU, as Rockchip's
simulator computes them, with those of the 8-bit model that the CPU runs, and with the original's in FP32; then stores
with one of them and asks with another, as happens while an NPU is switched on or off, or fails. It compares the lists
of the first five memories, and counts the questions whose answer is among them.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
import json
import os
from pathlib import Path
import tempfile

import numpy as np

from npu_memory_conversion.convert_rknn import LENGTHS
from npu_memory_conversion.host import make_tables
from npu_memory_conversion.recipe import ALL_MINILM_L6_V2
from npu_memory_conversion.simulate import simulate
from npu_memory_conversion.source import open_source
from npu_memory_conversion.texts import Encoded as Text, TextReader
from npu_memory_conversion.toolkit import find_toolkit
from npu_memory_conversion.weights import read_weights
from npu_memory_server.backend import Backend
from npu_memory_server.cli.evaluating import ask_all
from npu_memory_server.cli.tables import markdown_table
from npu_memory_server.embedding.embedder import TextEmbedder
from npu_memory_server.embedding.encoding import Encoded, Encoder, OnnxEncoder
from npu_memory_server.embedding.manifest import (
    FileRole,
    ModelKind,
    ModelManifest,
    NpuPrecision,
    Precision,
    load_manifest,
)
from npu_memory_server.embedding.onnx_session import OnnxSession
from npu_memory_server.embedding.pooling import Vector
from npu_memory_server.embedding.tokenizing import TextTokenizer
from npu_memory_server.evaluation import Judged, ranking
from npu_memory_server.npu.tables import Ids
from npu_memory_server.settings import EMBEDDER
from npu_memory_server.wire import Reranker, Strategy

from .quality.corpora import Corpus, household
from .quality.memory import filled, settings

FIRST = 5
NPU, INT8, FP32 = "NPU, FP16 (simulator)", "CPU, 8 bits", "CPU, FP32"
MIXED = ((NPU, FP32), (FP32, NPU), (NPU, INT8), (INT8, NPU), (INT8, FP32))
"""With what is stored, and with what is asked then."""
HALF = f"half {INT8}, half {NPU}"
Found = Mapping[str, Sequence[Judged]]
"""What was found for each question, by the name of the setting."""


class RecordingEncoder(OnnxEncoder):
    """The CPU's encoder, which keeps every window that it has read."""

    def __init__(self, session: OnnxSession) -> None:
        """Use a loaded model."""
        super().__init__(session)
        self.windows: dict[bytes, Ids] = {}

    def encode(self, ids: Ids, *, bulk: bool) -> Encoded:
        """Encode one window, int64 [n]."""
        self.windows[ids.tobytes()] = ids
        return super().encode(ids, bulk=bulk)


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedEncoder:
    """What the simulator has answered, by window: the vector, float32 [d], and the token vectors, float32 [n, d]."""

    answers: Mapping[bytes, tuple[Vector, Vector]]
    backend: Backend = Backend.NPU
    lanes: int = 0

    def encode(self, ids: Ids, *, bulk: bool) -> Encoded:
        """Look one window up, int64 [n]."""
        vector, tokens = self.answers[ids.tobytes()]
        return Encoded(vector=vector, token_vectors=tokens, backend=Backend.NPU, inference=0.0, pooling=0.0)

    def confirm(self) -> bool:
        """Return True: nothing can have gone wrong since."""
        return True


@dataclass(frozen=True, slots=True)
class SplitEncoder:
    """What memories are embedded with, and what questions are."""

    memories: Encoder
    questions: Encoder
    backend: Backend = Backend.CPU
    lanes: int = 0

    def encode(self, ids: Ids, *, bulk: bool) -> Encoded:
        """Encode one window, int64 [n]."""
        return (self.memories if bulk else self.questions).encode(ids, bulk=bulk)

    def confirm(self) -> bool:
        """Return True: nothing can have gone wrong since."""
        return True


@dataclass(frozen=True, slots=True)
class HalfEncoder:
    """Every other text, whatever it is, with one encoder and the rest with another."""

    one: Encoder
    other: Encoder
    backend: Backend = Backend.CPU
    lanes: int = 0

    def encode(self, ids: Ids, *, bulk: bool) -> Encoded:
        """Encode one window, int64 [n]."""
        return (self.one if int(ids.sum()) % 2 else self.other).encode(ids, bulk=bulk)

    def confirm(self) -> bool:
        """Return True: nothing can have gone wrong since."""
        return True


@dataclass(frozen=True, slots=True)
class Agreement:
    """How the first five agree in a setting, over so many questions.

    same: share of questions whose five are the same, whatever the order. identical: in the same order as well. shared:
    share of the memories that are in both. first: share of questions with the same first memory. answered: share of
    answerable questions with an answer among the five of `one`.
    """

    setting: str
    one: str
    other: str
    questions: int
    same: float
    identical: float
    shared: float
    first: float
    answered: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, metavar="DIR", help="take the files of all-MiniLM-L6-v2 from here")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON too")
    parser.add_argument("--vectors", type=Path, metavar="FILE", help="write what the simulator answered as .npz too")
    arguments = parser.parse_args()
    figures = asyncio.run(measure(arguments.source, arguments.vectors))
    header = ["setting", "one", "other", "same five", "in the same order", "memories shared", "same first"]
    header.append("one answers")
    shares = [(made.same, made.identical, made.shared, made.first, made.answered) for made in figures]
    rows = [
        [made.setting, made.one, made.other, *(f"{value:.1%}" for value in values)]
        for made, values in zip(figures, shares, strict=True)
    ]
    print(markdown_table(header, rows))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(made) for made in figures], indent=1) + "\n", encoding="utf-8")


async def measure(source: Path | None, vectors: Path | None) -> list[Agreement]:
    """Ask everything in every way, and compare the ways two by two."""
    folder = Path(os.environ["NPU_MEMORY_MODEL_DIR"]) / EMBEDDER
    manifest = load_manifest(folder)
    corpus = household()
    recording = RecordingEncoder(_session(folder, manifest, Precision.INT8))
    found = {INT8: await ask(corpus, folder, manifest, recording, INT8)}
    answers = read_on_simulator(list(recording.windows.values()), source)
    if vectors:
        write_vectors(vectors, answers)
    encoders: dict[str, Encoder] = {
        NPU: SimulatedEncoder(answers),
        INT8: OnnxEncoder(_session(folder, manifest, Precision.INT8)),
        FP32: OnnxEncoder(_session(folder, manifest, Precision.FP32)),
    }
    pairs = [(NPU, FP32), (NPU, INT8), (FP32, INT8)]
    for name in (NPU, FP32):
        found[name] = await ask(corpus, folder, manifest, encoders[name], name)
    encoders[HALF] = HalfEncoder(encoders[INT8], encoders[NPU])
    for stored, asked in (*MIXED, (HALF, NPU)):
        name = f"{stored} stored, {asked} asked"
        encoder = SplitEncoder(encoders[stored], encoders[asked])
        found[name] = await ask(corpus, folder, manifest, encoder, name)
        pairs.append((name, NPU))
    return [
        compare(setting, one, other, found[one][setting], found[other][setting])
        for setting in found[NPU]
        for one, other in pairs
    ]


async def ask(corpus: Corpus, folder: Path, manifest: ModelManifest, encoder: Encoder, name: str) -> Found:
    """Store the memories with an encoder's vectors, and return what is found in each setting that uses vectors."""
    tokenizer = TextTokenizer(folder / manifest.file(FileRole.TOKENIZER).name, manifest.max_length)
    embedder = TextEmbedder(manifest, tokenizer, encoder, fingerprint=name)
    wanted = {
        "vector alone": (Strategy.VECTOR, Reranker.NONE),
        "hybrid, as set by default": next(iter(settings().values())),
    }
    found = {}
    async with filled(corpus, embedder) as memory:
        for setting, (strategy, reranker) in wanted.items():
            questions = [
                replace(asked, request=replace(asked.request, strategy=strategy, reranker=reranker))
                for asked in corpus.questions
            ]
            judged = (await ask_all(memory, questions, f"{name}, {setting}")).judged
            found[setting] = judged
    return found


def read_on_simulator(windows: Sequence[Ids], source: Path | None) -> dict[bytes, tuple[Vector, Vector]]:
    """Return the simulator's answers to windows, each in the shortest model that it fits in."""
    recipe, lengths = ALL_MINILM_L6_V2, LENGTHS[ModelKind.EMBEDDER]
    assert recipe.source is not None  # noqa: S101 - it is a known model
    plan: dict[int, list[Text]] = {}
    for ids in windows:
        length = next(length for length in lengths if len(ids) <= length)
        plan.setdefault(length, []).append(Text(ids, np.zeros_like(ids)))
    with open_source(recipe.source, source) as files, tempfile.TemporaryDirectory() as folder:
        weights = read_weights(files.weights, recipe)
        reader = TextReader(files.tokenizer, recipe)
        made = simulate(
            Path(folder), weights, recipe, reader, make_tables(weights), plan, NpuPrecision.FP16, find_toolkit()
        )
    return {
        text.ids.tobytes(): (vector, tokens[: len(text.ids)])
        for length, texts in plan.items()
        for text, vector, tokens in zip(
            texts, made[length].outputs["vector"], made[length].outputs["tokens"], strict=True
        )
    }


def write_vectors(path: Path, answers: Mapping[bytes, tuple[Vector, Vector]]) -> None:
    """Write `ids` int64 [n, 256], 0 where a window is shorter, `lengths` int64 [n] and `vectors` float32 [n, 384]."""
    windows = [np.frombuffer(key, np.int64) for key in answers]
    ids = np.zeros((len(windows), max(map(len, windows))), np.int64)
    for row, window in zip(ids, windows, strict=True):
        row[: len(window)] = window
    np.savez(
        path,
        ids=ids,
        lengths=np.array([len(window) for window in windows]),
        vectors=np.stack([vector for vector, _ in answers.values()]),
    )


def compare(setting: str, one: str, other: str, first: Sequence[Judged], second: Sequence[Judged]) -> Agreement:
    """Compare two ways over the same questions."""
    pairs = [(mine.found[:FIRST], theirs.found[:FIRST]) for mine, theirs in zip(first, second, strict=True)]
    good = ranking(first)
    return Agreement(
        setting=setting,
        one=one,
        other=other,
        questions=len(pairs),
        same=float(np.mean([set(mine) == set(theirs) for mine, theirs in pairs])),
        identical=float(np.mean([mine == theirs for mine, theirs in pairs])),
        shared=sum(len(set(mine) & set(theirs)) for mine, theirs in pairs)
        / max(1, sum(max(len(mine), len(theirs)) for mine, theirs in pairs)),
        first=float(np.mean([mine[:1] == theirs[:1] for mine, theirs in pairs])),
        answered=good.hit_5.value if good else 0.0,
    )


def _session(folder: Path, manifest: ModelManifest, precision: Precision) -> OnnxSession:
    return OnnxSession(folder / manifest.file(FileRole.ONNX, precision).name, threads=1, dimensions=manifest.dimensions)


if __name__ == "__main__":
    main()

"""A data directory with as many memories as one likes: real vectors of made sentences, and mixtures of them.

Some thousand sentences are made from lists of words and embedded as the server embeds what it stores. Each memory
is two of them joined by "and"; its vector is the mean of both, weighed by their tokens, as mean pooling would give,
plus the differences that were seen between such means and the real embeddings of 400 joined sentences (their cosine is
0.93); its token vectors are those of both. So words, vectors and token vectors of a memory belong together.

    script/benchmark household_of DIRECTORY --memories 100000
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
import hashlib
import os
from pathlib import Path
import random

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.household_words import SPEAKERS, question, statement
from npu_memory_server.data_directory import DataDirectory
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.embedding.projection import kept
from npu_memory_server.memory import Memory
from npu_memory_server.records import Record, index_prefix
from npu_memory_server.settings import EMBEDDER
from npu_memory_server.store import memories, vectors
from npu_memory_server.store.database import FILE_NAME, open_database
from npu_memory_server.wire import HOUSEHOLD, Kind

SENTENCES = 8_000
JOINED = 400
QUESTIONS = 300
AT_ONCE = 5_000
FIRST_DAY = datetime(2019, 1, 1, tzinfo=UTC)
DAYS = 2_500
OTHER_SCOPES = tuple(f"person:{name}" for name in SPEAKERS)

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Sentences:
    """Sentences with speaker and day, their vectors float32 [n, d], token vectors, and differences float32 [m, d]."""

    texts: list[str]
    speakers: list[str]
    days: list[datetime]
    vectors: Vectors
    tokens: list[NDArray[np.int8]]
    differences: Vectors

    def mixed(self, first: NDArray[np.intp], second: NDArray[np.intp]) -> Vectors:
        """Return the vectors of joined sentences, as far as mean pooling alone goes, float32 [n, d]."""
        return _mixed(self.vectors, np.array([len(one) for one in self.tokens], np.float32), first, second)


PREFIX_TOKENS = 8
"""Of date and speaker, which count for the first sentence."""


def _mixed(own: Vectors, lengths: Vectors, first: NDArray[np.intp], second: NDArray[np.intp]) -> Vectors:
    sums = own[first] * (lengths[first] + PREFIX_TOKENS)[:, None] + own[second] * lengths[second][:, None]
    return _unit(sums)


def _unit(some: Vectors) -> Vectors:
    unit: Vectors = (some / np.linalg.norm(some, axis=1, keepdims=True)).astype(np.float32)
    return unit


def sentences(embedder: OnnxEmbedder, count: int = SENTENCES) -> Sentences:
    """Make and embed `count` different sentences; the same ones every time."""
    chance = random.Random(1)  # noqa: S311 - nothing secret
    texts = list(dict.fromkeys(statement(chance) for _ in range(count * 2)))[:count]
    records = [
        Record(
            id="none",
            text=text,
            created_at=FIRST_DAY + timedelta(days=chance.randrange(DAYS)),
            speaker=chance.choice(SPEAKERS),
        )
        for text in texts
    ]
    made = [
        embedder.embed(record.text, index_prefix(record))
        for record in tqdm(records, desc="embedding", unit=" sentences", mininterval=5)
    ]
    own = np.array([one.vector for one in made])
    tokens = [kept(one.token_vectors) for one in made]
    pairs = [(chance.randrange(len(texts)), chance.randrange(len(texts))) for _ in range(JOINED)]
    real = np.array(
        [embedder.embed(joined(texts[one], texts[other]), index_prefix(records[one])).vector for one, other in pairs]
    )
    first, second = np.array(pairs).T
    means = _mixed(own, np.array([len(one) for one in tokens], np.float32), first, second)
    return Sentences(
        texts,
        [record.speaker or "" for record in records],
        [record.created_at for record in records],
        own,
        tokens,
        real - means,
    )


def kept_sentences(embedder: OnnxEmbedder, folder: Path) -> Sentences:
    """Return `sentences`, from a file in `folder` if they were made before with this model."""
    digest = hashlib.sha256(f"{embedder.fingerprint} {SENTENCES}".encode()).hexdigest()[:12]
    file = folder / f"sentences-{digest}.npz"
    if not file.exists():
        made = sentences(embedder)
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(
            file,
            texts=np.array(made.texts),
            speakers=np.array(made.speakers),
            days=np.array([(day - FIRST_DAY).days for day in made.days]),
            vectors=made.vectors,
            lengths=np.array([len(one) for one in made.tokens]),
            tokens=np.concatenate(made.tokens),
            differences=made.differences,
        )
    with np.load(file) as kept:
        return Sentences(
            kept["texts"].tolist(),
            kept["speakers"].tolist(),
            [FIRST_DAY + timedelta(days=day) for day in kept["days"].tolist()],
            kept["vectors"],
            np.split(kept["tokens"], np.cumsum(kept["lengths"])[:-1]),
            kept["differences"],
        )


def joined(one: str, other: str) -> str:
    """Return two sentences as one."""
    return f"{one}, and {other}"


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A memory with its vector, float32 [d], and those of its tokens, int8 [tokens, reduced]."""

    record: Record
    vector: Vectors
    tokens: NDArray[np.int8]


def household(source: Sentences, count: int, seed: int = 7) -> Iterator[Made]:
    """Yield `count` memories, the same ones for the same seed; a smaller household is the beginning of a larger one."""
    chance = np.random.default_rng(seed)
    number = 0
    session = ""
    while number < count:
        first = chance.integers(0, len(source.texts), AT_ONCE)
        second = chance.integers(0, len(source.texts), AT_ONCE)
        shares = chance.dirichlet((1, 1), AT_ONCE).astype(np.float32)
        shares /= np.linalg.norm(shares, axis=1, keepdims=True)
        noise = [source.differences[chance.integers(0, len(source.differences), AT_ONCE)] for _ in range(2)]
        made = _unit(source.mixed(first, second) + shares[:, :1] * noise[0] + shares[:, 1:] * noise[1])
        draws = chance.random((AT_ONCE, 4))
        for place in range(min(AT_ONCE, count - number)):
            one, other = int(first[place]), int(second[place])
            if draws[place, 0] < 1 / 6:
                session = f"session-{number}"
            record = Record(
                id=f"m-{number}",
                text=joined(source.texts[one], source.texts[other]),
                created_at=source.days[one] + timedelta(milliseconds=int(draws[place, 1] * 86_400_000)),
                kind=Kind.TURN if draws[place, 2] < 0.7 else Kind.NOTE,
                speaker=source.speakers[one],
                scope=HOUSEHOLD if draws[place, 3] < 0.9 else OTHER_SCOPES[one % len(OTHER_SCOPES)],
                session=session if draws[place, 2] < 0.7 else None,
                language="en",
            )
            yield Made(record, made[place], np.concatenate([source.tokens[one], source.tokens[other]]))
            number += 1


def questions(count: int = QUESTIONS) -> list[str]:
    """Return questions that a household might ask, the same ones every time."""
    chance = random.Random(2)  # noqa: S311 - nothing secret
    return list(dict.fromkeys(question(chance) for _ in range(count * 3)))[:count]


def fill(directory: Path, embedder: OnnxEmbedder, source: Sentences, count: int) -> None:
    """Write `count` memories with their vectors into a new data directory; takes minutes for a million."""
    with DataDirectory(directory):
        connection = open_database(directory / FILE_NAME)
        # What is made here can be made again.
        connection.execute("PRAGMA synchronous = OFF")
        number = vectors.embedder_number(connection, embedder.fingerprint)
        now = datetime.now(UTC)
        batch: list[vectors.StoredVector] = []
        connection.execute("BEGIN")
        for made in tqdm(household(source, count), total=count, desc="storing", unit=" memories", mininterval=5):
            added = memories.add(connection, made.record, now).added
            if added is not None:
                batch.append(vectors.StoredVector(added.slot, made.vector, made.tokens))
            if len(batch) >= AT_ONCE:
                vectors.put(connection, number, batch)
                batch.clear()
                connection.execute("DELETE FROM unexamined")
                connection.execute("COMMIT")
                connection.execute("BEGIN")
        vectors.put(connection, number, batch)
        connection.execute("DELETE FROM unexamined")
        connection.execute("COMMIT")
        connection.close()


async def index(directory: Path, embedder: OnnxEmbedder) -> None:
    """Have the indexes made and saved, if there are enough memories for that."""
    with DataDirectory(directory):
        memory = await Memory.open(directory, embedder)
        await memory.indexed()
        if memory.is_large:
            await memory.save_indexes()
        await memory.close()


def main() -> None:
    """Fill a directory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--memories", type=int, default=100_000, help="default: %(default)s")
    options = parser.parse_args()
    if (options.directory / FILE_NAME).exists():
        parser.error(f"there are memories in {options.directory} already")
    embedder = OnnxEmbedder.load(Path(os.environ["NPU_MEMORY_MODEL_DIR"]) / EMBEDDER)
    fill(options.directory, embedder, kept_sentences(embedder, options.directory.parent), options.memories)
    asyncio.run(index(options.directory, embedder))


if __name__ == "__main__":
    main()

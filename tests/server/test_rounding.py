"""Whichever hardware reads a question, in its last digits each its own way: the household finds the same memories."""

from dataclasses import replace
from pathlib import Path
import zlib

import numpy as np
from numpy.typing import NDArray

from npu_memory_server.embedding.base import Embedding
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.memory import Memory
from tests.server.faulty_embedders import CountingEmbedder
from tests.server.test_household import QUESTIONS, found_for

FP16 = 1.8e-3
"""How far the token vectors of the NPU's simulator are from the original's, as a part of their length."""


class RoundedEmbedder(CountingEmbedder):
    """Reads questions with the error of 16 bits, the same one each time."""

    def embed(self, text: str, prefix: str = "", **how: bool) -> Embedding:
        made = super().embed(text, prefix, **how)
        if how.get("bulk"):
            return made
        chance = np.random.default_rng(zlib.crc32(text.encode()))
        return replace(
            made, vector=moved(made.vector[None], chance)[0], token_vectors=moved(made.token_vectors, chance)
        )


def moved(vectors: NDArray[np.float32], chance: np.random.Generator) -> NDArray[np.float32]:
    """Return vectors of length 1, float32 [n, d], each turned a little."""
    error = chance.normal(size=vectors.shape)
    turned = vectors + error * (FP16 / np.linalg.norm(error, axis=1, keepdims=True))
    return (turned / np.linalg.norm(turned, axis=1, keepdims=True)).astype(np.float32)


async def test_a_question_that_was_read_in_16_bits_finds_the_same_five_memories(
    household_directory: Path, embedder: OnnxEmbedder
) -> None:
    found = []
    for reader in (embedder, RoundedEmbedder(embedder)):
        memory = await Memory.open(household_directory, reader)
        found.append([set(await found_for(memory, question)) for question in QUESTIONS])
        await memory.close()
    same = [one == other for one, other in zip(*found, strict=True)]
    assert sum(same) >= 0.99 * len(QUESTIONS)

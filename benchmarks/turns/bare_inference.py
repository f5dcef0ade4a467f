"""Bare inference on demand: a question a line comes in, the ms of its inference go out (tokens in, vectors out)."""

from __future__ import annotations

import os
from pathlib import Path
import sys

from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.settings import EMBEDDER

if __name__ == "__main__":
    embedder = OnnxEmbedder.load(Path(os.environ["NPU_MEMORY_MODEL_DIR"]) / EMBEDDER)
    for question in sys.stdin:
        print(embedder.embed(question.strip()).timings.inference, flush=True)

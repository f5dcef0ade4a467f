"""Cross-encoders for the tests, made here: none can be counted on to be fetched."""

import json
from pathlib import Path
import random
import shutil

import pytest

from npu_memory_server.reranking.cross_encoder import CrossEncoder
from npu_memory_server.reranking.files import find_files
from npu_memory_server.settings import EMBEDDER
from npu_memory_server.wire import Reranker
from tests.server.conftest import HOUSEHOLD
from tests.server.reranking.made import put, train

Pair = tuple[str, str]


@pytest.fixture(scope="session")
def tokenizer(model_directory: Path) -> Path:
    """Return the tokenizer of a BERT: that of the embedder."""
    return model_directory / EMBEDDER / "tokenizer.json"


@pytest.fixture(scope="session")
def judged_pairs() -> tuple[list[Pair], list[Pair]]:
    """Return questions of the sample household with a memory that answers them, and with one that does not."""
    texts = {line["id"]: line["text"] for line in _lines("memories.jsonl")}
    questions = [line for line in _lines("questions.jsonl") if line.get("type") == "direct"]
    chosen = random.Random(5)
    right = [(line["text"], texts[line["answers"][0]]) for line in questions]
    wrong = [(line["text"], texts[chosen.choice(sorted(texts.keys() - set(line["answers"])))]) for line in questions]
    return right, wrong


def _lines(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (HOUSEHOLD / name).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="session")
def trained(
    tokenizer: Path, judged_pairs: tuple[list[Pair], list[Pair]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a folder of models with a small cross-encoder, trained on every other pair. Not to be written to."""
    right, wrong = (pairs[::2] for pairs in judged_pairs)
    model = train(tokenizer, [*right, *wrong], [True] * len(right) + [False] * len(wrong))
    models = tmp_path_factory.mktemp("models")
    put(models, Reranker.TINYBERT_L2, model, tokenizer)
    return models


@pytest.fixture
def models(trained: Path, tmp_path: Path) -> Path:
    """Return the same in a folder of one's own."""
    return Path(shutil.copytree(trained, tmp_path / "models"))


@pytest.fixture(scope="session")
def cross_encoder(trained: Path) -> CrossEncoder:
    """Return the trained cross-encoder, loaded."""
    return CrossEncoder(find_files(trained / Reranker.TINYBERT_L2))

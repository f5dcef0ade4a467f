"""Cross-encoders for the tests, made here: none can be counted on to be fetched."""

from pathlib import Path
import shutil

import pytest

from npu_memory_server.reranking.cross_encoder import CrossEncoder
from npu_memory_server.reranking.files import find_files
from npu_memory_server.wire import Reranker
from tests.server.reranking.made import Pair, household_pairs


@pytest.fixture(scope="session")
def judged_pairs() -> tuple[list[Pair], list[Pair]]:
    """Return questions of the sample household with a memory that answers them, and with one that does not."""
    return household_pairs()


@pytest.fixture
def models(trained: Path, tmp_path: Path) -> Path:
    """Return the folder of models with the trained cross-encoder as one's own."""
    return Path(shutil.copytree(trained, tmp_path / "models"))


@pytest.fixture(scope="session")
def cross_encoder(trained: Path) -> CrossEncoder:
    """Return the trained cross-encoder, loaded."""
    return CrossEncoder(find_files(trained / Reranker.TINYBERT_L2))

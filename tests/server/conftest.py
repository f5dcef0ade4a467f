"""A household's memories, the embedder that everybody shares, and the server as a process of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
import shutil
from subprocess import CompletedProcess

import pytest

from npu_memory_server.embedding.base import Embedder
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.memory import Memory
from npu_memory_server.settings import EMBEDDER
from npu_memory_server.store.database import FILE_NAME
from npu_memory_server.wire import Reranker
from tests.server.process import ServerProcess, run_command
from tests.server.reranking.made import put_trained

HOUSEHOLD = Path(__file__).parents[2] / "samples" / "household"

OpenMemory = Callable[..., Awaitable[Memory]]


@pytest.fixture(scope="session")
def embedder(model_directory: Path) -> OnnxEmbedder:
    """Return the real embedder; tests run one after the other, so that one is enough."""
    return OnnxEmbedder.load(model_directory / EMBEDDER)


@pytest.fixture(scope="session")
def tokenizer(model_directory: Path) -> Path:
    """Return the tokenizer of a BERT: that of the embedder."""
    return model_directory / EMBEDDER / "tokenizer.json"


@pytest.fixture(scope="session")
def trained(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of models with a small cross-encoder that was trained on the spot. Not to be written to."""
    models = tmp_path_factory.mktemp("models")
    put_trained(models, Reranker.TINYBERT_L2, tokenizer)
    return models


@pytest.fixture
async def open_memory(embedder: OnnxEmbedder) -> AsyncIterator[OpenMemory]:
    """Return what opens the memories in a folder, as often as one likes; what is still open at the end is closed."""
    async with AsyncExitStack() as stack:

        async def open_folder(folder: Path, with_embedder: Embedder = embedder) -> Memory:
            memory = await Memory.open(folder, with_embedder)
            stack.push_async_callback(memory.close)
            return memory

        yield open_folder


@pytest.fixture
async def memory(tmp_path: Path, embedder: OnnxEmbedder) -> AsyncIterator[Memory]:
    """Return an empty memory."""
    folder = tmp_path / "memory"
    folder.mkdir()
    memory = await Memory.open(folder, embedder)
    yield memory
    await memory.close()


@pytest.fixture(scope="session")
def imported(model_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CompletedProcess[str]]:
    """Return a data directory with the sample household, not to be written to, and what the import said."""
    folder = tmp_path_factory.mktemp("household") / "data"
    return folder, run_command("import", HOUSEHOLD / "memories.jsonl", data=folder)


@pytest.fixture
def household_directory(imported: tuple[Path, CompletedProcess[str]], tmp_path: Path) -> Path:
    """Return a data directory of one's own with the sample household in it."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    shutil.copy(imported[0] / FILE_NAME, folder / FILE_NAME)
    return folder


@pytest.fixture
async def household(household_directory: Path, embedder: OnnxEmbedder) -> AsyncIterator[Memory]:
    """Return the sample household, open in this process."""
    memory = await Memory.open(household_directory, embedder)
    yield memory
    await memory.close()


@pytest.fixture
def start_server() -> Iterator[Callable[..., ServerProcess]]:
    """Return what starts a server on a data directory; those that are still running at the end are stopped."""
    started: list[ServerProcess] = []

    def start(data: Path, *options: str) -> ServerProcess:
        server = ServerProcess(data, *options)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()

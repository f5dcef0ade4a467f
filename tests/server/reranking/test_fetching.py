"""Getting a cross-encoder: from a server on this machine that behaves, or does not; the hub itself is never asked."""

from collections.abc import Iterator
from contextlib import contextmanager
import hashlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import io
import json
from pathlib import Path
from threading import Thread
from time import perf_counter
import zipfile

import pytest

from npu_memory_server.errors import ModelError
from npu_memory_server.reranking import fetching
from npu_memory_server.reranking.fetching import fetch
from npu_memory_server.reranking.files import SUMS, verify_files
from npu_memory_server.reranking.shelf import Places
from npu_memory_server.wire import Reranker
from tests.server.process import run_command

NAME = Reranker.TINYBERT_L2


def silent(_come: int, _size: int | None) -> None:
    pass


@contextmanager
def hub(
    content: bytes,
    *,
    digest: str | None = None,
    redirect: str | None = None,
    length: int | None = None,
    code: int = 200,
) -> Iterator[str]:
    """Serve `NAME.zip` as the hub does: a redirect with its checksum, and then the bytes, of which it may promise more.

    Gives the address. `redirect` sends elsewhere than to the bytes.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == f"/models/{NAME}.zip":
                self.send_response(302)
                self.send_header("Location", redirect or f"http://{self.headers['Host']}/bytes")
                if digest is not None:
                    self.send_header("X-Linked-ETag", f'"{digest}"')
                self.end_headers()
            elif self.path == "/bytes":
                self.send_response(code)
                self.send_header("Content-Length", str(len(content) if length is None else length))
                self.end_headers()
                self.wfile.write(content)
            else:
                self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that it has
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/models"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def packed(folder: Path, prefix: str = f"{NAME}/", **more: bytes) -> bytes:
    """Return the files of a folder as a ZIP file, all below one folder as the hub has them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, prefix + path.name)
        for name, content in more.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def archive(trained: Path) -> bytes:
    return packed(trained / NAME)


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_reranker_is_fetched_checked_and_there_from_then_on(archive: bytes, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    with hub(archive, digest=hashlib.sha256(archive).hexdigest()) as address:
        folder = fetch(NAME, tmp_path, address, lambda come, size: seen.append((come, size)))

    assert folder == tmp_path / NAME
    assert verify_files(folder)
    assert seen[-1] == (len(archive), len(archive))
    assert left_over(tmp_path) == [NAME]
    with Places(tmp_path).open(NAME) as reader:  # with the server gone
        assert reader.judge("Who?", ["Anna."], perf_counter() + 60).reached == 1


@pytest.mark.parametrize("prefix", ["", f"{NAME}/"])
def test_a_file_on_the_disk_serves_as_well(trained: Path, tmp_path: Path, prefix: str) -> None:
    path = tmp_path / "downloaded.zip"
    path.write_bytes(packed(trained / NAME, prefix))

    assert verify_files(fetch(NAME, tmp_path / "models", str(path), silent))


def test_one_that_is_there_is_replaced_as_a_whole(archive: bytes, models: Path) -> None:
    (models / NAME / "tokenizer.json").write_text("broken")
    (models / NAME / "left.onnx").write_text("from before")
    with hub(archive) as address:
        fetch(NAME, models, address, silent)

    assert "left.onnx" not in left_over(models / NAME)
    assert SUMS in left_over(models / NAME)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"digest": "0" * 64}, "another checksum"),
        ({"length": 10**9}, "bytes arrived"),
        ({"length": 10**12}, "larger than"),
        ({"code": 503}, "did not give it"),
        ({"redirect": "http://127.0.0.1:1/nobody"}, "did not give it"),
        ({"redirect": "ftp://127.0.0.1/model.zip"}, "without encryption"),
        ({"redirect": "file:///etc/passwd"}, "is not allowed"),
    ],
)
def test_what_does_not_arrive_whole_is_told_and_nothing_is_left_or_lost(
    archive: bytes, models: Path, changed: dict[str, object], sentence: str
) -> None:
    before = left_over(models / NAME)
    with hub(archive, **changed) as address, pytest.raises(ModelError, match=sentence) as failed:
        fetch(NAME, models, address, silent)

    assert str(failed.value).startswith(f"The reranker {NAME} was not fetched")
    assert left_over(models) == [NAME]
    assert left_over(models / NAME) == before


def test_an_endless_answer_is_cut_off(archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "MAX_ARCHIVE_BYTES", len(archive) - 1)
    with hub(archive) as address, pytest.raises(ModelError, match="larger than"):
        fetch(NAME, tmp_path, address, silent)


def test_files_that_unpack_to_more_than_any_model_are_not_unpacked(
    archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "MAX_UNPACKED_BYTES", 10_000)
    with hub(archive) as address, pytest.raises(ModelError, match="larger than those of a reranker"):
        fetch(NAME, tmp_path, address, silent)


def test_an_archive_writes_nothing_but_its_models_files_and_only_where_they_belong(
    trained: Path, tmp_path: Path
) -> None:
    hostile = {"../../outside.json": b"x", "../tokenizer.json": b"x", "/tmp/config.json": b"x", "run.sh": b"x"}
    with hub(packed(trained / NAME, **hostile)) as address:
        folder = fetch(NAME, tmp_path / "models", address, silent)

    assert left_over(tmp_path) == ["models"]
    assert left_over(folder) == sorted([*left_over(trained / NAME), SUMS])


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04" + b"\0" * 40])
def test_what_is_no_zip_file_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    with hub(content) as address, pytest.raises(ModelError, match="no ZIP file"):
        fetch(NAME, tmp_path, address, silent)

    assert left_over(tmp_path) == []


def test_an_archive_without_a_model_in_it_is_not_accepted(trained: Path, tmp_path: Path) -> None:
    with hub(packed(trained / NAME, prefix="another/")) as address, pytest.raises(ModelError, match=r"lacks .*onnx"):
        fetch(NAME, tmp_path, address, silent)

    assert left_over(tmp_path) == []


def test_a_model_that_does_not_run_is_not_accepted(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    for path in (trained / NAME).iterdir():
        (folder / path.name).write_bytes(b"no model" if path.suffix == ".onnx" else path.read_bytes())
    with hub(packed(folder)) as address, pytest.raises(ModelError, match="onnxruntime cannot load"):
        fetch(NAME, tmp_path / "models", address, silent)

    assert left_over(tmp_path / "models") == []


def test_the_command_fetches_lists_and_verifies(archive: bytes, tmp_path: Path) -> None:
    with hub(archive) as address:
        fetched = run_command("models", "fetch", NAME, "--from", address, "--model-dir", tmp_path)
    offline = run_command("models", "fetch", NAME, "--from", "http://127.0.0.1:1", "--model-dir", tmp_path)
    listed = run_command("models", "list", "--model-dir", tmp_path)
    verified = run_command("models", "verify", "--model-dir", tmp_path)
    (tmp_path / NAME / "tokenizer.json").write_text("{}")
    altered = run_command("models", "verify", "--model-dir", tmp_path)
    with hub(archive) as address:
        mended = run_command("models", "fetch", NAME, "--from", address, "--json", "--model-dir", tmp_path)

    assert (fetched.returncode, fetched.stdout) == (0, f"{NAME} is in {tmp_path / NAME}.\n")
    assert (offline.returncode, offline.stdout) == (0, fetched.stdout)
    assert json.loads(mended.stdout) == {"name": NAME, "folder": str(tmp_path / NAME)}
    assert verify_files(tmp_path / NAME)
    assert (listed.returncode, listed.stdout) == (0, f"{NAME}: there\n")
    assert (verified.returncode, verified.stdout) == (0, f"{NAME}: verified\n")
    assert altered.returncode == 1
    assert "is not the file that was fetched" in altered.stdout


def test_the_command_says_what_to_do_when_the_hub_is_out_of_reach(tmp_path: Path) -> None:
    failed = run_command("models", "fetch", NAME, "--from", "http://127.0.0.1:1", "--model-dir", tmp_path)
    unnamed = run_command("models", "fetch", "--model-dir", tmp_path)

    assert failed.returncode == 1
    assert f"Download http://127.0.0.1:1/{NAME}.zip elsewhere and name the file with --from." in failed.stderr
    assert unnamed.returncode == 2
    assert "Say which reranker to fetch" in unnamed.stderr

"""A household finds the same memories whichever backend reads a text, and while its NPU is switched on or off."""

from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
import shutil

from hypothesis import given, strategies as st
import pytest

from npu_memory_server.embedding.choosing import cpu_model, embedder as choose
from npu_memory_server.embedding.embedder import OnnxEmbedder, TextEmbedder
from npu_memory_server.embedding.fingerprints import fingerprint_of, space_of
from npu_memory_server.embedding.manifest import (
    MANIFEST_NAME,
    FileRole,
    ModelFile,
    ModelKind,
    ModelManifest,
    Pooling,
    Precision,
    dump_manifest,
    load_manifest,
)
from npu_memory_server.memory import Memory
from npu_memory_server.npu.board import Board
from npu_memory_server.npu.settings import NpuSettings
from npu_memory_server.settings import EMBEDDER
from npu_memory_server.wire import RecallRequest, RememberRequest, Strategy
from tests.server.faulty_embedders import HangingEmbedder
from tests.server.npu.stand_in import Faults, StandInNpu

pytestmark = pytest.mark.usefixtures("rknnlite")

SAID = (
    "The spare key is with the neighbors.",
    "The boiler shows E31 when the pressure is low.",
    "Grandmother takes two of the white tablets in the morning.",
    "The long ladder is in the garage.",
    "Mara's piano lesson is on Friday now.",
)
QUESTION = "Who can let me in when I am locked out?"


@pytest.fixture
def models(model_directory: Path, npu_package: Path, tmp_path: Path) -> Path:
    """Return a folder with the packages of both backends; that of the CPU has both precisions."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / EMBEDDER).symlink_to(model_directory / EMBEDDER)
    (folder / npu_package.name).symlink_to(npu_package)
    return folder


@pytest.fixture
def pc(tmp_path: Path) -> Board:
    """Return a machine that is no board."""
    return Board(tmp_path / "pc")


def without(folder: Path, precision: Precision) -> None:
    """Replace a package that is a link by one without the model of a precision, as the image's is."""
    original = folder.resolve()
    folder.unlink()
    manifest = load_manifest(original)
    left = tuple(file for file in manifest.files if file.precision is not precision)
    folder.mkdir()
    for file in left:
        shutil.copy(original / file.name, folder)
    (folder / MANIFEST_NAME).write_text(dump_manifest(replace(manifest, files=left)), encoding="utf-8")


def with_original(npu: Path, source: Path) -> None:
    """Give the NPU's package the FP32 model, as the conversion does."""
    original = npu.resolve()
    npu.unlink()
    shutil.copytree(original, npu)
    manifest = load_manifest(npu)
    file = load_manifest(source).file(FileRole.ONNX, Precision.FP32)
    shutil.copy(source / file.name, npu)
    (npu / MANIFEST_NAME).write_text(dump_manifest(replace(manifest, files=(*manifest.files, file))), encoding="utf-8")


def on(models: Path, board: Board, **settings: object) -> AbstractContextManager[TextEmbedder]:
    return choose(models, EMBEDDER, npu=NpuSettings(**settings), board=board)


class TestWhatTheCpuRuns:
    def test_on_a_pc_8_bits_even_if_a_package_for_an_npu_lies_there(self, models: Path, pc: Board) -> None:
        with on(models, pc) as chosen:
            assert "/int8-" in chosen.fingerprint

    def test_beside_an_npu_the_original_in_fp32(self, models: Path, board: Board, model_directory: Path) -> None:
        fp32 = OnnxEmbedder.load(model_directory / EMBEDDER, precision=Precision.FP32)
        with on(models, board, fallback=False) as chosen:
            assert (chosen.backend, chosen.fingerprint) == ("npu", fp32.fingerprint)

    def test_also_while_the_npu_fails_or_its_device_is_gone(
        self, models: Path, board: Board, npu: StandInNpu, caplog: pytest.LogCaptureFixture
    ) -> None:
        npu.faults = Faults(nan=True)
        with on(models, board) as chosen:
            assert (chosen.backend, "/fp32-" in chosen.fingerprint) == ("cpu", True)
        (board.root / "dev/dri/renderD129").unlink()
        with on(models, board) as chosen:
            assert (chosen.backend, "/fp32-" in chosen.fingerprint) == ("cpu", True)

    def test_8_bits_again_once_the_npu_is_switched_off(self, models: Path, board: Board) -> None:
        with on(models, board, enabled=False) as chosen:
            assert "/int8-" in chosen.fingerprint

    def test_what_the_user_says(self, models: Path, board: Board, pc: Board) -> None:
        for machine, precision in ((board, Precision.INT8), (pc, Precision.FP32)):
            with choose(models, EMBEDDER, precision=precision, board=machine) as chosen:
                assert f"/{precision}-" in chosen.fingerprint

    def test_the_original_comes_with_the_package_for_the_npu(
        self, models: Path, npu_package: Path, model_directory: Path, board: Board
    ) -> None:
        without(models / EMBEDDER, Precision.FP32)
        with_original(models / npu_package.name, model_directory / EMBEDDER)
        fp32 = OnnxEmbedder.load(model_directory / EMBEDDER, precision=Precision.FP32)
        with on(models, board) as chosen:
            assert chosen.fingerprint == fp32.fingerprint
            cosine = float(chosen.embed(QUESTION).vector @ fp32.embed(QUESTION).vector)
        assert cosine > 0.9999

    def test_without_the_original_8_bits_serve_and_the_log_says_what_to_do(
        self, models: Path, board: Board, caplog: pytest.LogCaptureFixture
    ) -> None:
        without(models / EMBEDDER, Precision.FP32)
        with on(models, board, fallback=False) as chosen:
            assert (chosen.backend, "/int8-" in chosen.fingerprint) == ("npu", True)
        assert "convert it again with --target rknn" in caplog.text

    def test_the_original_of_another_revision_is_not_taken(
        self, models: Path, npu_package: Path, model_directory: Path, board: Board
    ) -> None:
        without(models / EMBEDDER, Precision.FP32)
        with_original(models / npu_package.name, model_directory / EMBEDDER)
        path = models / npu_package.name / MANIFEST_NAME
        other = replace(load_manifest(path.parent), revision="another")
        path.write_text(dump_manifest(other), encoding="utf-8")
        assert cpu_model(models, EMBEDDER, None, NpuSettings(), board).precision is Precision.INT8

    def test_an_npu_that_is_demanded_on_a_machine_without_a_package_waits_with_fp32(
        self, models: Path, npu_package: Path, board: Board
    ) -> None:
        (models / npu_package.name).unlink()
        chosen = cpu_model(models, EMBEDDER, None, NpuSettings(enabled=True), board)
        assert (chosen.precision, chosen.advice) == (Precision.FP32, "")
        without(models / EMBEDDER, Precision.FP32)
        chosen = cpu_model(models, EMBEDDER, None, NpuSettings(enabled=True), board)
        assert (chosen.precision, chosen.advice) == (Precision.INT8, "")


class TestSwitching:
    """The vectors that are there serve until the others are made."""

    @pytest.fixture
    def precisions(self, model_directory: Path) -> dict[Precision, OnnxEmbedder]:
        folder = model_directory / EMBEDDER
        return {precision: OnnxEmbedder.load(folder, precision=precision) for precision in Precision}

    @pytest.mark.parametrize(("before", "after"), [(Precision.INT8, Precision.FP32), (Precision.FP32, Precision.INT8)])
    async def test_nothing_is_lost_from_sight_while_the_vectors_are_made_anew(
        self, tmp_path: Path, precisions: dict[Precision, OnnxEmbedder], before: Precision, after: Precision
    ) -> None:
        memory = await Memory.open(tmp_path, precisions[before])
        for text in SAID:
            await memory.remember(RememberRequest(text=text))
        await memory.embedded()
        first = await memory.recall(by_meaning())
        await memory.close()

        waiting = HangingEmbedder(precisions[after], hangs=lambda text: text in SAID)
        # Beside the questions, as on the lanes of an NPU, so that one can be asked meanwhile.
        waiting.lanes = 1  # type: ignore[attr-defined]
        memory = await Memory.open(tmp_path, waiting)
        meanwhile = await memory.recall(by_meaning())
        status = await memory.status()
        assert status.pending_embeddings == len(SAID)
        assert await memory.faults() == []
        waiting.released.set()
        await memory.embedded()
        at_last = await memory.recall(by_meaning())
        assert await memory.faults() == []
        await memory.close()

        assert meanwhile.degraded == ""
        assert meanwhile.memories[0].id == first.memories[0].id == at_last.memories[0].id
        (tmp_path / "anew").mkdir()
        exact = await Memory.open(tmp_path / "anew", precisions[after])
        for text in SAID:
            await exact.remember(RememberRequest(text=text))
        await exact.embedded()
        wanted = await exact.recall(by_meaning())
        await exact.close()
        assert [one.text for one in at_last.memories] == [one.text for one in wanted.memories]

    async def test_once_made_they_are_not_made_again(
        self, tmp_path: Path, precisions: dict[Precision, OnnxEmbedder]
    ) -> None:
        for precision in (Precision.INT8, Precision.FP32, Precision.FP32):
            memory = await Memory.open(tmp_path, precisions[precision])
            if precision is Precision.INT8:
                await memory.remember(RememberRequest(text=SAID[0]))
            pending = (await memory.status()).pending_embeddings
            await memory.embedded()
            await memory.close()
        assert pending == 0


def by_meaning() -> RecallRequest:
    return RecallRequest(text=QUESTION, strategy=Strategy.VECTOR, top_k=len(SAID), budget_ms=20_000)


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,20}", fullmatch=True)


def manifest_of(name: str, revision: str) -> ModelManifest:
    return ModelManifest(
        name=name,
        revision=revision,
        kind=ModelKind.EMBEDDER,
        dimensions=384,
        max_length=256,
        pooling=Pooling.MEAN,
        normalize=True,
        license="Apache-2.0",
        files=(),
    )


@given(name=names, revision=names, others=st.tuples(names, names))
def test_vectors_are_compared_across_precisions_and_never_across_models_or_tokenizers(
    name: str, revision: str, others: tuple[str, str]
) -> None:
    files = {
        precision: ModelFile(FileRole.ONNX, f"{precision}.onnx", digit * 64, 1, precision)
        for precision, digit in ((Precision.INT8, "1"), (Precision.FP32, "2"))
    }
    tokenizer = ModelFile(FileRole.TOKENIZER, "tokenizer.json", "3" * 64, 1)
    another = replace(tokenizer, sha256="4" * 64)
    one = fingerprint_of(manifest_of(name, revision), files[Precision.INT8], tokenizer)
    precise = fingerprint_of(manifest_of(name, revision), files[Precision.FP32], tokenizer)
    assert one != precise
    assert space_of(one) == space_of(precise)
    assert space_of(one) != space_of(fingerprint_of(manifest_of(name, revision), files[Precision.INT8], another))
    if others != (name, revision):
        assert space_of(one) != space_of(fingerprint_of(manifest_of(*others), files[Precision.INT8], tokenizer))


def test_a_fingerprint_of_another_form_stands_for_itself() -> None:
    assert space_of("somebody else's") == "somebody else's"

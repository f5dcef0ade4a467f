"""A manifest is believed only after it was checked."""

from collections.abc import Callable
from dataclasses import replace
import json
from pathlib import Path
from typing import Any

from hypothesis import given, strategies as st
import pytest

from npu_memory_server.embedding.manifest import (
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    POOLING,
    Agreement,
    FileRole,
    ModelFile,
    ModelKind,
    ModelManifest,
    NpuModel,
    NpuPrecision,
    Precision,
    dump_manifest,
    load_manifest,
    verify_file,
)
from npu_memory_server.errors import ModelError

Edit = Callable[[Callable[[dict[str, Any]], object]], None]

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,30}", fullmatch=True).filter(lambda name: name != MANIFEST_NAME)
sums = st.text("0123456789abcdef", min_size=64, max_size=64)
cosines = st.floats(0.9, 1.0)


@st.composite
def npu_models(draw: st.DrawFn) -> tuple[NpuModel, tuple[ModelFile, ...]]:
    lengths = {length: f"npu.{length}.rknn" for length in sorted(draw(st.sets(st.integers(1, 9999), min_size=1)))[:16]}
    tables = draw(
        st.sampled_from(
            [
                (None, None, None),
                ("npu.words.npy", "npu.positions.npy", None),
                ("npu.words.npy", "npu.positions.npy", "npu.types.npy"),
            ]
        )
    )
    pad = draw(st.integers(0, 30_000))
    files = [(FileRole.RKNN, name) for name in lengths.values()]
    files += [(FileRole.TABLE, name) for name in tables if name is not None]
    bias = draw(st.floats(-65_504, -1))
    npu = NpuModel("rk3588", "2.5.0", draw(st.sampled_from(NpuPrecision)), bias, lengths, *tables, pad)
    return npu, tuple(ModelFile(role, name, draw(sums), draw(st.integers(1, 10**9))) for role, name in files)


@st.composite
def manifests(draw: st.DrawFn) -> ModelManifest:
    models = draw(st.lists(st.sampled_from(Precision), unique=True))
    own_names = draw(st.lists(names, min_size=len(models) + 1, max_size=len(models) + 1, unique=True))
    files = [
        ModelFile(FileRole.ONNX, name, draw(sums), draw(st.integers(1, 10**9)), precision)
        for name, precision in zip(own_names, models, strict=False)
    ]
    tokenizer = ModelFile(FileRole.TOKENIZER, own_names[-1], draw(sums), draw(st.integers(1, 10**9)))
    npu, npu_files = draw(st.just((None, ())) | npu_models())
    kind = draw(st.sampled_from(ModelKind))
    return ModelManifest(
        name=draw(names),
        revision=draw(names),
        kind=kind,
        dimensions=draw(st.integers(1, 8192)),
        max_length=draw(st.integers(8, 8192)),
        pooling=POOLING[kind],
        normalize=kind is ModelKind.EMBEDDER,
        license=draw(names),
        files=(*files, tokenizer, *npu_files),
        tools=draw(st.dictionaries(names, names, max_size=5)),
        verification={precision: Agreement(draw(cosines), draw(cosines)) for precision in models},
        npu=npu,
    )


@given(manifests())
def test_what_the_converter_writes_is_what_the_server_reads(
    tmp_path_factory: pytest.TempPathFactory, manifest: ModelManifest
) -> None:
    folder = tmp_path_factory.mktemp("package")
    (folder / MANIFEST_NAME).write_text(dump_manifest(manifest), encoding="utf-8")
    assert load_manifest(folder) == manifest


def test_the_packages_own_manifest_names_the_model_and_both_precisions(package: Path) -> None:
    manifest = load_manifest(package)
    assert (manifest.name, manifest.dimensions, manifest.max_length) == ("all-MiniLM-L6-v2", 384, 256)
    assert manifest.file(FileRole.ONNX, Precision.INT8).bytes <= 25_000_000
    assert manifest.verification[Precision.FP32].cosine_min >= 0.99999
    assert manifest.verification[Precision.INT8].cosine_min >= 0.997


def test_a_missing_package_is_answered_with_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="npu-memory-convert all-MiniLM-L6-v2 --output DIR"):
        load_manifest(tmp_path / "nowhere")


def test_what_is_missing_for_an_npu_is_answered_with_the_command_for_that(
    package_copy: Path,
) -> None:
    manifest = load_manifest(package_copy)
    table = replace(manifest.file(FileRole.TOKENIZER), role=FileRole.TABLE, name="embeddings.npy")
    with pytest.raises(ModelError, match=r"`npu-memory-convert all-MiniLM-L6-v2 --target rknn --output DIR`"):
        verify_file(package_copy, table)
    reranker = replace(manifest, name="my-reranker", kind=ModelKind.CROSS_ENCODER)
    with pytest.raises(ModelError, match=r"`npu-memory-convert FOLDER-OF-my-reranker --output DIR`"):
        reranker.file(FileRole.RKNN)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"schema_version": 1',
        b'{"schema_version": 1}',
        b'{"schema_version": true}',
        b"[" * 60_000,
        b" " * (MAX_MANIFEST_BYTES + 1),
    ],
)
def test_something_that_is_no_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST_NAME).write_bytes(content)
    with pytest.raises(ModelError, match="cannot be used"):
        load_manifest(tmp_path)


def replace_with(key: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda raw: raw.__setitem__(key, value)


def replace_in_file(key: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda raw: raw["files"][-1].__setitem__(key, value)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (replace_with("schema_version", 2), "schema version 2, and this server reads 1"),
        (replace_with("name", "../../etc"), "`name`"),
        (replace_with("name", "a\nb"), "`name`"),
        (replace_with("revision", 7), "`revision`"),
        (replace_with("kind", "classifier"), "`kind` is none of: embedder, cross-encoder"),
        (replace_with("kind", "cross-encoder"), "`pooling` is not cls"),
        (replace_with("kind", ["embedder"]), "`kind`"),
        (replace_with("pooling", "cls"), "`pooling` is not mean"),
        (replace_with("pooling", "max"), "`pooling` is none of: mean, cls"),
        (replace_with("normalize", False), "`normalize`"),
        (replace_with("normalize", 1), "`normalize`"),
        (replace_with("dimensions", 0), "`dimensions`"),
        (replace_with("dimensions", 384.0), "`dimensions`"),
        (replace_with("dimensions", True), "`dimensions`"),
        (replace_with("max_length", 10**9), "`max_length`"),
        (replace_with("license", None), "`license`"),
        (replace_with("files", []), "`files`"),
        (replace_with("files", {"0": {}}), "`files`"),
        (replace_with("files", ["model.onnx"]), "`role` is missing"),
        (replace_with("tools", []), "`tools`"),
        (replace_with("tools", {"numpy": {}}), "`numpy`"),
        (replace_with("verification", []), "`verification`"),
        (replace_with("verification", {"fp64": {}}), "fp64"),
        (replace_with("verification", {"int8": {"cosine_mean": float("nan"), "cosine_min": 1.0}}), "`cosine_mean`"),
        (replace_in_file("name", "../tokenizer.json"), "`name`"),
        (replace_in_file("name", "/etc/passwd"), "`name`"),
        (replace_in_file("name", "a\\b"), "`name`"),
        (replace_in_file("name", ".."), "`name`"),
        (replace_in_file("name", "manifest.json"), "manifest.json itself"),
        (replace_in_file("name", "model.int8.onnx"), "two files have the same name"),
        (replace_in_file("role", "onnx"), "`precision`"),
        (replace_in_file("role", "weights"), "`role` is none of"),
        (replace_in_file("sha256", "0" * 63), "`sha256`"),
        (replace_in_file("sha256", "G" * 64), "`sha256`"),
        (replace_in_file("bytes", -1), "`bytes`"),
        (replace_in_file("bytes", 2**40), "`bytes`"),
        (lambda raw: raw["files"].append(raw["files"][-1] | {"name": "other.json"}), "two files have the same role"),
        (lambda raw: raw.pop("dimensions"), "`dimensions` is missing"),
    ],
)
def test_a_manifest_with_a_lie_in_it_is_refused_by_name(
    package_copy: Path, edit_manifest: Edit, change: Callable[[dict[str, Any]], object], complaint: str
) -> None:
    edit_manifest(change)
    with pytest.raises(ModelError) as refused:
        load_manifest(package_copy)
    assert complaint in str(refused.value)
    assert "npu-memory-convert" in str(refused.value)


NPU = {
    "target": "rk3588",
    "toolkit": "2.5.0",
    "precision": "fp16",
    "mask_bias": -10000.0,
    "lengths": {"32": "npu.32.rknn", "64": "npu.64.rknn"},
    "embedding_table": "words.npy",
    "position_table": "positions.npy",
}
NPU_FILES = [
    {"role": role, "name": name, "sha256": "0" * 64, "bytes": 1}
    for role, name in (
        ("rknn", "npu.32.rknn"),
        ("rknn", "npu.64.rknn"),
        ("table", "words.npy"),
        ("table", "positions.npy"),
    )
]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"target": "../rk3588"}, "`target`"),
        ({"toolkit": "latest"}, "`toolkit`"),
        ({"precision": "int8"}, "`precision` is none of: fp16, hybrid-int8"),
        ({"mask_bias": -3.4e38}, "`mask_bias`"),
        ({"mask_bias": float("nan")}, "`mask_bias`"),
        ({"lengths": {}}, "`lengths`"),
        ({"lengths": {"0": "npu.32.rknn"}}, "`lengths`"),
        ({"lengths": {"32": "npu.128.rknn"}}, "no rknn npu.128.rknn"),
        ({"lengths": {"32": "words.npy"}}, "no rknn words.npy"),
        ({"embedding_table": "npu.32.rknn"}, "no table npu.32.rknn"),
        ({"position_table": 7}, "`position_table`"),
        ({"type_table": "types.npy"}, "no table types.npy"),
        ({"pad_id": -1}, "`pad_id`"),
        ({"lengths": {"032": "npu.32.rknn"}}, "`lengths`"),
        ({"lengths": {"٣٢": "npu.32.rknn"}}, "`lengths`"),
    ],
)
def test_a_lie_about_the_npu_is_refused_by_name(
    package_copy: Path, edit_manifest: Edit, change: dict[str, object], complaint: str
) -> None:
    edit_manifest(lambda raw: raw.update(npu=NPU, files=raw["files"] + NPU_FILES))
    npu = load_manifest(package_copy).npu
    assert npu is not None
    assert dict(npu.lengths) == {32: "npu.32.rknn", 64: "npu.64.rknn"}

    edit_manifest(replace_with("npu", NPU | change))

    with pytest.raises(ModelError) as refused:
        load_manifest(package_copy)
    assert complaint in str(refused.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=8), values, max_size=3),
    max_leaves=6,
)
KEYS = ("schema_version", "name", "kind", "dimensions", "max_length", "pooling", "normalize", "files", "tools", "npu")


@given(st.sampled_from(KEYS), json_values)
def test_whatever_stands_in_a_field_the_answer_is_a_manifest_or_a_model_error(
    package: Path, tmp_path_factory: pytest.TempPathFactory, key: str, value: object
) -> None:
    raw = json.loads((package / MANIFEST_NAME).read_text(encoding="utf-8"))
    folder = tmp_path_factory.mktemp("package")
    (folder / MANIFEST_NAME).write_text(json.dumps(raw | {key: value}), encoding="utf-8")
    try:
        loaded = load_manifest(folder)
    except ModelError:
        return
    assert isinstance(loaded, ModelManifest)


def test_fields_of_a_later_version_are_skipped(package_copy: Path, edit_manifest: Edit) -> None:
    before = load_manifest(package_copy)
    edit_manifest(replace_with("languages", ["en"]))
    assert load_manifest(package_copy) == before


def test_a_file_is_known_by_size_and_sum(package_copy: Path) -> None:
    file = load_manifest(package_copy).file(FileRole.TOKENIZER)
    path = package_copy / file.name
    verify_file(package_copy, file)
    content = path.read_bytes()

    path.write_bytes(content[:-1])
    with pytest.raises(ModelError, match=f"has {file.bytes - 1} bytes instead of {file.bytes}"):
        verify_file(package_copy, file)

    path.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
    with pytest.raises(ModelError, match=f"instead of {file.sha256}"):
        verify_file(package_copy, file)

    path.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        verify_file(package_copy, file)

    path.mkdir()
    with pytest.raises(ModelError, match="npu-memory-convert"):
        verify_file(package_copy, file)

"""Model packages for the stand-in NPU, made of real models: real tables, and RKNN files whose graph is two numbers."""

from __future__ import annotations

from dataclasses import replace
import json
from pathlib import Path
import shutil
import struct

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
from onnx.utils import Extractor

from npu_memory_server.embedding.manifest import (
    MANIFEST_NAME,
    FileRole,
    ModelFile,
    ModelKind,
    ModelManifest,
    NpuModel,
    NpuPrecision,
    Pooling,
    Precision,
    dump_manifest,
    load_manifest,
    sha256_of,
)

INPUT = "embeddings_sum"
"""The tensor of the FP32 model behind both tables: what the NPU is given."""
OUTPUT = "token_vectors"
PAIR_INPUT = "summed"
WORDS = "words.table"
POSITIONS = "positions.table"
LENGTHS = (32, 64, 128, 256)
PAIR_LENGTHS = (64, 96, 128)
EMBEDDER, CROSS_ENCODER = 0, 1
"""Which of the stand-in's models a file is."""
TOOLKIT = "2.5.0"
TARGET = "rk3588"

_MARK = b"STAND-IN"


def rknn_file(length: int, *, model: int = EMBEDDER, target: str = TARGET, toolkit: str = TOOLKIT) -> bytes:
    """Return an RKNN file as rknn-toolkit2 lays it out, with the model's length and number for a graph."""
    graph = _MARK + struct.pack("<II", length, model)
    description = json.dumps({"target_platform": [target], "version": toolkit}).encode()
    header = struct.pack("<4sIQQ", b"RKNN", 0, 6, len(graph)).ljust(64, b"\0")
    return header + graph + struct.pack("<Q", len(description)) + description


def model_of(content: bytes) -> tuple[int, int] | None:
    """Return the length in such a file and the number of the model, or None if it is another."""
    if content[64 : 64 + len(_MARK)] != _MARK:
        return None
    length, model = struct.unpack_from("<II", content, 64 + len(_MARK))
    return int(length), int(model)


def make_package(source: Path, folder: Path) -> None:
    """Write the package for the NPU that belongs to a real package; it has no ONNX model."""
    folder.mkdir(parents=True)
    manifest = load_manifest(source)
    tokenizer = manifest.file(FileRole.TOKENIZER)
    shutil.copy(source / tokenizer.name, folder)
    names = {length: f"model.{length}.rknn" for length in LENGTHS}
    for length, name in names.items():
        (folder / name).write_bytes(rknn_file(length))
    model = onnx.load(source / manifest.file(FileRole.ONNX, Precision.FP32).name)
    tables = {one.name: one for one in model.graph.initializer}
    for name, table in (("embeddings.npy", WORDS), ("positions.npy", POSITIONS)):
        np.save(folder / name, onnx.numpy_helper.to_array(tables[table]).astype(np.float16))
    npu = NpuModel(
        TARGET,
        TOOLKIT,
        NpuPrecision.FP16,
        -10000.0,
        names,
        "embeddings.npy",
        "positions.npy",
        type_table=None,
        pad_id=0,
    )
    files = [(FileRole.RKNN, name) for name in names.values()]
    files += [(FileRole.TABLE, "embeddings.npy"), (FileRole.TABLE, "positions.npy")]
    listed = (tokenizer, *(file_entry(folder / name, role) for role, name in files))
    whole = replace(manifest, files=listed, npu=npu, verification={})
    (folder / MANIFEST_NAME).write_text(dump_manifest(whole), encoding="utf-8")


def file_entry(path: Path, role: FileRole) -> ModelFile:
    """Return what a manifest says of a file."""
    return ModelFile(role, path.name, sha256_of(path), path.stat().st_size)


def make_encoder(source: Path, path: Path) -> None:
    """Cut the part that runs on an NPU out of a real package's FP32 model."""
    model = onnx.load(source / load_manifest(source).file(FileRole.ONNX, Precision.FP32).name)
    hidden = load_manifest(source).dimensions
    model.graph.value_info.append(onnx.helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, ["n", hidden]))
    part = Extractor(model).extract_model([INPUT], [OUTPUT])
    onnx.save(part, path)


def make_pair_package(model: Path, tokenizer: Path, name: str, folder: Path) -> None:
    """Write the package for the NPU of a cross-encoder as `benchmarks.made_cross_encoder` makes them."""
    folder.mkdir(parents=True)
    shutil.copy(tokenizer, folder / "tokenizer.json")
    files = {length: f"model.{length}.rknn" for length in PAIR_LENGTHS}
    for length, file in files.items():
        (folder / file).write_bytes(rknn_file(length, model=CROSS_ENCODER))
    arrays = {one.name: onnx.numpy_helper.to_array(one) for one in onnx.load(model).graph.initializer}
    tables = {"embeddings.npy": "words", "positions.npy": "positions", "types.npy": "types"}
    for file, table in tables.items():
        np.save(folder / file, arrays[table].astype(np.float16))
    npu = NpuModel(TARGET, TOOLKIT, NpuPrecision.FP16, -10000.0, files, *list(tables))
    listed = [(FileRole.TOKENIZER, "tokenizer.json"), *((FileRole.RKNN, file) for file in files.values())]
    listed += [(FileRole.TABLE, file) for file in tables]
    manifest = ModelManifest(
        name=name,
        revision="1",
        kind=ModelKind.CROSS_ENCODER,
        dimensions=int(arrays["words"].shape[1]),
        max_length=max(PAIR_LENGTHS),
        pooling=Pooling.CLS,
        normalize=False,
        license="Apache-2.0",
        files=tuple(file_entry(folder / file, role) for role, file in listed),
        npu=npu,
    )
    (folder / MANIFEST_NAME).write_text(dump_manifest(manifest), encoding="utf-8")


def make_pair_encoder(source: Path, path: Path) -> None:
    """Cut the part that runs on an NPU out of such a cross-encoder; its inputs are `PAIR_INPUT` and the mask."""
    model = onnx.load(source)
    normalizing = next(node for node in model.graph.node if node.op_type == "LayerNormalization")
    summed = normalizing.input[0]
    hidden = next(one.dims[0] for one in model.graph.initializer if one.name == normalizing.input[1])
    shape = ["batch", "n", hidden]
    model.graph.value_info.append(onnx.helper.make_tensor_value_info(summed, onnx.TensorProto.FLOAT, shape))
    part = Extractor(model).extract_model([summed, "attention_mask"], ["logits"])
    part.graph.input[0].name = PAIR_INPUT
    for node in part.graph.node:
        for number, name in enumerate(node.input):
            if name == summed:
                node.input[number] = PAIR_INPUT
    onnx.save(part, path)

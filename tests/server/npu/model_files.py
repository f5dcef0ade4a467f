"""A model package for the stand-in NPU, made of the real one: real tables, and RKNN files whose graph is a number."""

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
    NpuModel,
    NpuPrecision,
    Precision,
    dump_manifest,
    load_manifest,
    sha256_of,
)

INPUT = "embeddings_sum"
"""The tensor of the FP32 model behind both tables: what the NPU is given."""
OUTPUT = "token_vectors"
WORDS = "words.table"
POSITIONS = "positions.table"
LENGTHS = (32, 64, 128, 256)
TOOLKIT = "2.5.0"
TARGET = "rk3588"

_MARK = b"STAND-IN"


def rknn_file(length: int, *, target: str = TARGET, toolkit: str = TOOLKIT) -> bytes:
    """Return an RKNN file as rknn-toolkit2 lays it out, with the length of the model in the place of its graph."""
    graph = _MARK + struct.pack("<I", length)
    description = json.dumps({"target_platform": [target], "version": toolkit}).encode()
    header = struct.pack("<4sIQQ", b"RKNN", 0, 6, len(graph)).ljust(64, b"\0")
    return header + graph + struct.pack("<Q", len(description)) + description


def length_of(model: bytes) -> int | None:
    """Return the length in such a file, or None if it is another."""
    if model[64 : 64 + len(_MARK)] != _MARK:
        return None
    return int(struct.unpack("<I", model[64 + len(_MARK) : 68 + len(_MARK)])[0])


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

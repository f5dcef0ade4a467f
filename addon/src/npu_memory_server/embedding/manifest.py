"""The manifest of a model package: what the model is, and the checksums of its files.

A package is a folder. Its manifest is written last, so a folder without one is not a package. The converter writes
what is defined here, and the server trusts none of it before it is checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
import hashlib
import json
from pathlib import Path
import re
from typing import Any

from ..errors import ModelError
from .manifest_fields import choice_of, integer_of, number_of, text_of, value_of

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION = 1
MAX_MANIFEST_BYTES = 64 * 1024
MAX_FILE_BYTES = 2 * 1024**3
"""Protocol Buffers, and so an ONNX file, end at 2 GiB."""
MAX_DIMENSIONS = 8192
COSINES = (-1.001, 1.001)
"""With what rounding adds."""
LARGEST_MASK_BIAS = -65504.0
"""The last number that 16 bits hold (IEEE 754 binary16)."""
MIN_MAX_LENGTH = 8
MAX_MAX_LENGTH = 8192
MAX_NPU_LENGTHS = 16
CONVERT = "npu-memory-convert"
DEFAULT_MODEL = "all-MiniLM-L6-v2"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_VERSION = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){1,3}")
_TABLES = ("embedding_table", "position_table", "type_table")


class ModelKind(StrEnum):
    """What the model does."""

    EMBEDDER = "embedder"
    CROSS_ENCODER = "cross-encoder"


class Pooling(StrEnum):
    """How the vector of a text comes from the vectors of its tokens; that of a cross-encoder is the first token's."""

    MEAN = "mean"
    CLS = "cls"


POOLING = {ModelKind.EMBEDDER: Pooling.MEAN, ModelKind.CROSS_ENCODER: Pooling.CLS}


class Precision(StrEnum):
    """What the weights are."""

    FP32 = "fp32"
    INT8 = "int8"


class FileRole(StrEnum):
    """What a file of the package is for."""

    ONNX = "onnx"
    TOKENIZER = "tokenizer"
    TOKENIZER_SETTINGS = "tokenizer-settings"
    """What other programs want to know of the tokenizer."""
    RKNN = "rknn"
    """What a Rockchip NPU runs, one file for each length."""
    TABLE = "table"
    """Rows that are looked up in front of the NPU, as a NumPy file."""
    REPORT = "report"
    """How the conversion went and what it was checked with."""


REPEATABLE = frozenset({FileRole.TOKENIZER_SETTINGS, FileRole.RKNN, FileRole.TABLE, FileRole.REPORT})


class NpuPrecision(StrEnum):
    """In what a Rockchip NPU computes."""

    FP16 = "fp16"
    HYBRID_INT8 = "hybrid-int8"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file: its role, its size in bytes, its checksum; only ONNX models have a precision."""

    role: FileRole
    name: str
    sha256: str
    bytes: int
    precision: Precision | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """Cosine between the vectors of a converted model and those of the original one over the known sentences."""

    cosine_mean: float
    cosine_min: float


@dataclass(frozen=True, slots=True)
class NpuModel:
    """The part of a package for a Rockchip NPU; what it computes is described in docs/npu.md.

    target: the SoC it was compiled for, such as `rk3588`. toolkit: the version of rknn-toolkit2 that compiled it.
    mask_bias: what is added to the attention of padding. lengths: tokens, special tokens and padding included, to the
    name of the RKNN file. embedding_table: float16 [vocabulary, hidden], the first token type added; None if the NPU
    looks the words up itself. position_table: float16 [longest length or more, hidden]. type_table: float16
    [2, hidden], for cross-encoders, whose embedding_table has no type added. pad_id: the token that fills up.
    """

    target: str
    toolkit: str
    precision: NpuPrecision
    mask_bias: float
    lengths: Mapping[int, str]
    embedding_table: str | None
    position_table: str | None
    type_table: str | None = None
    pad_id: int = 0


@dataclass(frozen=True, slots=True)
class ModelManifest:
    """All that is known about a converted model; max_length is in tokens, special tokens included."""

    name: str
    revision: str
    kind: ModelKind
    dimensions: int
    max_length: int
    pooling: Pooling
    normalize: bool
    license: str
    files: tuple[ModelFile, ...]
    tools: Mapping[str, str] = field(default_factory=dict)
    verification: Mapping[Precision, Agreement] = field(default_factory=dict)
    npu: NpuModel | None = None

    def file(self, role: FileRole, precision: Precision | None = None) -> ModelFile:
        """Return the file of that role and precision. Raises ModelError if the package has none."""
        for file in self.files:
            if file.role is role and file.precision is precision:
                return file
        wanted = f"{precision} {role}" if precision else role
        advice = how_to_get_one(self.name, self.kind, for_npu=self.npu is not None)
        raise ModelError(f"the package of {self.name} has no {wanted} file; {advice}")

    def named(self, name: str) -> ModelFile:
        """Return the file of that name, which the manifest's check has found to be there."""
        return next(file for file in self.files if file.name == name)


def how_to_get_one(name: str = DEFAULT_MODEL, kind: ModelKind = ModelKind.EMBEDDER, *, for_npu: bool = False) -> str:
    """Return the command that makes a package of this kind. A cross-encoder is made of a folder, not by its name."""
    model = name if kind is ModelKind.EMBEDDER else f"FOLDER-OF-{name}"
    target = " --target rknn" if for_npu else ""
    return f"run `{CONVERT} {model}{target} --output DIR` and point the server at DIR"


def load_manifest(directory: Path) -> ModelManifest:
    """Read and check the manifest of a model package. Raises ModelError with what to do about it."""
    path = directory / MANIFEST_NAME
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise ModelError(f"there is no model package in {directory} ({error.strerror}); {how_to_get_one()}") from error
    try:
        if len(content) > MAX_MANIFEST_BYTES:
            raise ValueError(f"it is larger than {MAX_MANIFEST_BYTES} bytes")
        raw = json.loads(content)
        version = integer_of(raw, "schema_version", 1, 2**31)
        if version != SCHEMA_VERSION:
            raise ValueError(f"it has schema version {version}, and this server reads {SCHEMA_VERSION}")
        return _manifest(raw)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be used: {error}; {how_to_get_one()}") from error


def dump_manifest(manifest: ModelManifest) -> str:
    """Return the manifest as the JSON text of a `manifest.json`."""
    return json.dumps({"schema_version": SCHEMA_VERSION, **asdict(manifest)}, indent=2, ensure_ascii=False) + "\n"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits. Raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def verify_file(directory: Path, file: ModelFile) -> None:
    """Compare a file of the package with its manifest. Raises ModelError if it is missing, truncated or altered."""
    path = directory / file.name
    advice = how_to_get_one(for_npu=file.role in {FileRole.RKNN, FileRole.TABLE})
    try:
        size = path.stat().st_size
        if size != file.bytes:
            raise ModelError(f"{path} has {size} bytes instead of {file.bytes}; {advice}")
        digest = sha256_of(path)
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}); {advice}") from error
    if digest != file.sha256:
        raise ModelError(f"{path} has the SHA-256 {digest} instead of {file.sha256}; {advice}")


def _manifest(raw: Any) -> ModelManifest:
    files = raw.get("files")
    if not isinstance(files, list) or not 1 <= len(files) <= 100:
        raise ValueError("`files` is not a list of 1 to 100 entries")
    kind = choice_of(raw, "kind", ModelKind)
    manifest = ModelManifest(
        name=text_of(raw, "name", _NAME),
        revision=text_of(raw, "revision", _NAME),
        kind=kind,
        dimensions=integer_of(raw, "dimensions", 1, MAX_DIMENSIONS),
        max_length=integer_of(raw, "max_length", MIN_MAX_LENGTH, MAX_MAX_LENGTH),
        pooling=_pooling(raw, kind),
        normalize=_normalized(raw, kind),
        license=text_of(raw, "license", _NAME),
        files=tuple(_file(entry) for entry in files),
        tools=_tools(raw.get("tools", {})),
        verification=_verification(raw.get("verification", {})),
        npu=_npu(raw["npu"]) if raw.get("npu") is not None else None,
    )
    for what, seen in (
        ("name", [file.name for file in manifest.files]),
        ("role", [(file.role, file.precision) for file in manifest.files if file.role not in REPEATABLE]),
    ):
        if len(set(seen)) != len(seen):
            raise ValueError(f"two files have the same {what}")
    if manifest.npu is not None:
        _check_npu_files(manifest, manifest.npu)
    return manifest


def _npu(raw: Any) -> NpuModel:
    lengths = value_of(raw, "lengths")
    if not isinstance(lengths, dict) or not 1 <= len(lengths) <= MAX_NPU_LENGTHS:
        raise ValueError(f"`lengths` is not an object of 1 to {MAX_NPU_LENGTHS} entries")
    if not all(re.fullmatch(r"[1-9][0-9]{0,3}", length) for length in lengths):
        raise ValueError("`lengths` has a key that is no number of tokens")
    tables = {key: text_of(raw, key, _NAME) if raw.get(key) is not None else None for key in _TABLES}
    return NpuModel(
        target=text_of(raw, "target", _NAME),
        toolkit=text_of(raw, "toolkit", _VERSION),
        precision=choice_of(raw, "precision", NpuPrecision),
        mask_bias=number_of(raw, "mask_bias", LARGEST_MASK_BIAS, 0.0),
        lengths={int(length): text_of(lengths, length, _NAME) for length in sorted(lengths, key=int)},
        embedding_table=tables["embedding_table"],
        position_table=tables["position_table"],
        type_table=tables["type_table"],
        pad_id=integer_of(raw, "pad_id", 0, 2**31) if "pad_id" in raw else 0,
    )


def _check_npu_files(manifest: ModelManifest, npu: NpuModel) -> None:
    """Raise ValueError if a file of the NPU is not listed, or as something else."""
    roles = {file.name: file.role for file in manifest.files}
    tables = (npu.embedding_table, npu.position_table, npu.type_table)
    wanted = [(name, FileRole.RKNN) for name in npu.lengths.values()]
    wanted += [(name, FileRole.TABLE) for name in tables if name is not None]
    for name, role in wanted:
        if roles.get(name) is not role:
            raise ValueError(f"`files` has no {role} {name}, which `npu` names")


def _pooling(raw: Any, kind: ModelKind) -> Pooling:
    pooling = choice_of(raw, "pooling", Pooling)
    if pooling is not POOLING[kind]:
        raise ValueError(f"`pooling` is not {POOLING[kind]}, as it is for the kind {kind}")
    return pooling


def _normalized(raw: Any, kind: ModelKind) -> bool:
    value = value_of(raw, "normalize")
    if kind is ModelKind.EMBEDDER and value is not True:
        raise ValueError("`normalize` is not true: vectors of another length than 1 cannot be searched")
    return value is True


def _file(raw: Any) -> ModelFile:
    role = choice_of(raw, "role", FileRole)
    name = text_of(raw, "name", _NAME)
    if name == MANIFEST_NAME:
        raise ValueError(f"`files` holds {MANIFEST_NAME} itself")
    precision = choice_of(raw, "precision", Precision) if role is FileRole.ONNX else None
    return ModelFile(
        role=role,
        name=name,
        sha256=text_of(raw, "sha256", _SHA256),
        bytes=integer_of(raw, "bytes", 1, MAX_FILE_BYTES),
        precision=precision,
    )


def _tools(raw: Any) -> dict[str, str]:
    if not isinstance(raw, dict):
        raise ValueError("`tools` is not an object")  # noqa: TRY004 - one kind of error for a manifest that cannot be used
    return {name: text_of(raw, name, _NAME) for name in raw}


def _verification(raw: Any) -> dict[Precision, Agreement]:
    if not isinstance(raw, dict):
        raise ValueError("`verification` is not an object")  # noqa: TRY004
    return {
        Precision(name): Agreement(number_of(entry, "cosine_mean", *COSINES), number_of(entry, "cosine_min", *COSINES))
        for name, entry in raw.items()
    }

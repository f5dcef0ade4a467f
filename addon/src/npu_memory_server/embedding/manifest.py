"""The manifest of a model package: what the model is, and the checksums of its files.

A package is a folder. Its manifest is written last, so a folder without one is not a package. The converter writes
what is defined here, and the server trusts none of it before it is checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum, StrEnum
import hashlib
import json
from pathlib import Path
import re
from typing import Any, TypeVar

from ..errors import ModelError

EnumT = TypeVar("EnumT", bound=Enum)

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION = 1
MAX_MANIFEST_BYTES = 64 * 1024
MAX_FILE_BYTES = 2 * 1024**3
"""Protocol Buffers, and so an ONNX file, end at 2 GiB."""
MAX_DIMENSIONS = 8192
MIN_MAX_LENGTH = 8
MAX_MAX_LENGTH = 8192
HOW_TO_GET_ONE = "run `npu-memory-convert all-MiniLM-L6-v2 --output DIR` and point the server at DIR"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ModelKind(StrEnum):
    """What the model does."""

    EMBEDDER = "embedder"


class Pooling(StrEnum):
    """How the vector of a text comes from the vectors of its tokens."""

    MEAN = "mean"


class Precision(StrEnum):
    """What the weights are."""

    FP32 = "fp32"
    INT8 = "int8"


class FileRole(StrEnum):
    """What a file of the package is for."""

    ONNX = "onnx"
    TOKENIZER = "tokenizer"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file: its role, its size in bytes, its checksum; only models have a precision."""

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

    def file(self, role: FileRole, precision: Precision | None = None) -> ModelFile:
        """Return the file of that role and precision. Raises ModelError if the package has none."""
        for file in self.files:
            if file.role is role and file.precision is precision:
                return file
        wanted = f"{precision} {role}" if precision else role
        raise ModelError(f"the package of {self.name} has no {wanted} file; {HOW_TO_GET_ONE}")


def load_manifest(directory: Path) -> ModelManifest:
    """Read and check the manifest of a model package. Raises ModelError with what to do about it."""
    path = directory / MANIFEST_NAME
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise ModelError(f"there is no model package in {directory} ({error.strerror}); {HOW_TO_GET_ONE}") from error
    try:
        if len(content) > MAX_MANIFEST_BYTES:
            raise ValueError(f"it is larger than {MAX_MANIFEST_BYTES} bytes")
        raw = json.loads(content)
        version = _integer(raw, "schema_version", 1, 2**31)
        if version != SCHEMA_VERSION:
            raise ValueError(f"it has schema version {version}, and this server reads {SCHEMA_VERSION}")
        return _manifest(raw)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be used: {error}; {HOW_TO_GET_ONE}") from error


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
    try:
        size = path.stat().st_size
        if size != file.bytes:
            raise ModelError(f"{path} has {size} bytes instead of {file.bytes}; {HOW_TO_GET_ONE}")
        digest = sha256_of(path)
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}); {HOW_TO_GET_ONE}") from error
    if digest != file.sha256:
        raise ModelError(f"{path} has the SHA-256 {digest} instead of {file.sha256}; {HOW_TO_GET_ONE}")


def _manifest(raw: Any) -> ModelManifest:
    files = raw.get("files")
    if not isinstance(files, list) or not 1 <= len(files) <= 100:
        raise ValueError("`files` is not a list of 1 to 100 entries")
    manifest = ModelManifest(
        name=_text(raw, "name", _NAME),
        revision=_text(raw, "revision", _NAME),
        kind=_choice(raw, "kind", ModelKind),
        dimensions=_integer(raw, "dimensions", 1, MAX_DIMENSIONS),
        max_length=_integer(raw, "max_length", MIN_MAX_LENGTH, MAX_MAX_LENGTH),
        pooling=_choice(raw, "pooling", Pooling),
        normalize=_true(raw, "normalize"),
        license=_text(raw, "license", _NAME),
        files=tuple(_file(entry) for entry in files),
        tools=_tools(raw.get("tools", {})),
        verification=_verification(raw.get("verification", {})),
    )
    for what, seen in (
        ("name", [file.name for file in manifest.files]),
        ("role", [(file.role, file.precision) for file in manifest.files]),
    ):
        if len(set(seen)) != len(seen):
            raise ValueError(f"two files have the same {what}")
    return manifest


def _file(raw: Any) -> ModelFile:
    role = _choice(raw, "role", FileRole)
    name = _text(raw, "name", _NAME)
    if name == MANIFEST_NAME:
        raise ValueError(f"`files` holds {MANIFEST_NAME} itself")
    precision = _choice(raw, "precision", Precision) if role is FileRole.ONNX else None
    return ModelFile(
        role=role,
        name=name,
        sha256=_text(raw, "sha256", _SHA256),
        bytes=_integer(raw, "bytes", 1, MAX_FILE_BYTES),
        precision=precision,
    )


def _tools(raw: Any) -> dict[str, str]:
    if not isinstance(raw, dict):
        raise ValueError("`tools` is not an object")  # noqa: TRY004 - one kind of error for a manifest that cannot be used
    return {name: _text(raw, name, _NAME) for name in raw}


def _verification(raw: Any) -> dict[Precision, Agreement]:
    if not isinstance(raw, dict):
        raise ValueError("`verification` is not an object")  # noqa: TRY004
    return {
        Precision(name): Agreement(_cosine(entry, "cosine_mean"), _cosine(entry, "cosine_min"))
        for name, entry in raw.items()
    }


def _value(raw: Any, key: str) -> Any:
    if not isinstance(raw, dict) or key not in raw:
        raise ValueError(f"`{key}` is missing")
    return raw[key]


def _text(raw: Any, key: str, pattern: re.Pattern[str]) -> str:
    value = _value(raw, key)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"`{key}` is not of the form {pattern.pattern}")
    return value


def _integer(raw: Any, key: str, lowest: int, highest: int) -> int:
    value = _value(raw, key)
    if type(value) is not int or not lowest <= value <= highest:
        raise ValueError(f"`{key}` is not a whole number from {lowest} to {highest}")
    return value


def _true(raw: Any, key: str) -> bool:
    if _value(raw, key) is not True:
        raise ValueError(f"`{key}` is not true: vectors of another length than 1 cannot be searched")
    return True


def _cosine(raw: Any, key: str) -> float:
    value = _value(raw, key)
    if not isinstance(value, float) or not -1.001 <= value <= 1.001:
        raise ValueError(f"`{key}` is not a cosine")
    return value


def _choice(raw: Any, key: str, choices: type[EnumT]) -> EnumT:
    value = _value(raw, key)
    try:
        return choices(value)
    except ValueError as error:
        known = ", ".join(str(choice) for choice in choices)
        raise ValueError(f"`{key}` is none of: {known}") from error

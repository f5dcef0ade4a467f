"""The files of a cross-encoder in a folder, as flashrank lays them out; none is trusted before it is checked."""

from __future__ import annotations

from dataclasses import dataclass
import json
from pathlib import Path
import re
from typing import Any

from ..embedding.manifest import MANIFEST_NAME, load_manifest, sha256_of, verify_file
from ..errors import ModelError

TOKENIZER, CONFIG, TOKENIZER_CONFIG, MARKS = (
    "tokenizer.json", "config.json", "tokenizer_config.json", "special_tokens_map.json",
)  # fmt: skip
SUMS = "SHA256SUMS"
"""Written beside the files when they were fetched, in the form that `sha256sum --check` reads."""
MAX_JSON_BYTES = 1024 * 1024
MAX_LENGTH = 512
"""Tokens; those that BERT has positions for."""
MIN_LENGTH = 16
MAX_HIDDEN = 8192

_SUM = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._-]{0,99})")


@dataclass(frozen=True, slots=True)
class CrossEncoderFiles:
    """A cross-encoder on the disk: what it reads at most (tokens), its width, and its marks, such as `[CLS]`."""

    model: Path
    tokenizer: Path
    max_length: int
    hidden: int
    marks: tuple[str, ...]


def find_files(folder: Path, model_name: str | None = None, *, verify: bool = True) -> CrossEncoderFiles:
    """Return the files in a folder: flashrank's, or those of the conversion, which has them in the same layout.

    The model is `model_name`, or the only ONNX file, or the only one that ends in `_Q`. The files are compared with
    their checksums, where there are any, unless not to be verified. Raises `ModelError` with what is missing or wrong.
    """
    if not folder.is_dir():
        raise ModelError(f"There is no folder {folder}.")
    model = _model(folder, model_name)
    missing = [name for name in (TOKENIZER, CONFIG) if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"{folder} lacks {' and '.join(missing)}.")
    if verify:
        verify_files(folder)
    config = _json(folder / CONFIG)
    tokenizing = _json(folder / TOKENIZER_CONFIG) if (folder / TOKENIZER_CONFIG).is_file() else {}
    marks = _json(folder / MARKS) if (folder / MARKS).is_file() else {}
    return CrossEncoderFiles(
        model=model,
        tokenizer=folder / TOKENIZER,
        max_length=_max_length(tokenizing.get("model_max_length"), config.get("max_position_embeddings")),
        hidden=_hidden(folder, config.get("hidden_size")),
        marks=tuple(mark for value in marks.values() if (mark := _mark(value))),
    )


def write_sums(folder: Path) -> None:
    """Write the checksums of a folder's files beside them. Raises OSError."""
    sums = [f"{sha256_of(path)}  {path.name}\n" for path in sorted(folder.iterdir()) if path.name != SUMS]
    (folder / SUMS).write_text("".join(sums), encoding="ascii")


def verify_files(folder: Path) -> bool:
    """Compare a folder's files with their checksums; False if there are none. Raises `ModelError` for a difference."""
    if (folder / MANIFEST_NAME).is_file():
        for file in load_manifest(folder).files:
            verify_file(folder, file)
        return True
    path = folder / SUMS
    if not path.is_file():
        return False
    try:
        lines = path.read_bytes()[:MAX_JSON_BYTES].decode("ascii").splitlines()
        sums = [found.groups() for line in lines if (found := _SUM.fullmatch(line))]
        if len(sums) != len(lines) or not sums:
            raise ModelError(f"{path} is not a list of checksums.")
        for digest, name in sums:
            if sha256_of(folder / name) != digest:
                raise ModelError(f"{folder / name} is not the file that was fetched: its checksum is another one.")
    except OSError as error:
        raise ModelError(f"{folder} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ModelError(f"{path} is not a list of checksums.") from error
    return True


def _model(folder: Path, name: str | None) -> Path:
    if name is not None and (folder / name).is_file():
        return folder / name
    models = sorted(folder.glob("*.onnx"))
    quantized = [path for path in models if path.stem.endswith("_Q")]
    chosen = quantized if len(quantized) == 1 else models
    if not chosen:
        raise ModelError(f"{folder} lacks {name or 'an ONNX file'}.")
    if len(chosen) > 1:
        raise ModelError(f"{folder} has {len(chosen)} ONNX files: leave one, or let one alone end in _Q.onnx.")
    return chosen[0]


def _json(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_JSON_BYTES + 1)
        value = json.loads(content) if len(content) <= MAX_JSON_BYTES else None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not JSON.") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} is not a JSON object of at most {MAX_JSON_BYTES} bytes.")
    return value


def _max_length(*limits: Any) -> int:
    """Return the least of the limits that are any; some files name an astronomical number for "no limit"."""
    known = [limit for limit in limits if type(limit) is int and limit >= MIN_LENGTH]
    return min(MAX_LENGTH, *known) if known else MAX_LENGTH


def _hidden(folder: Path, value: Any) -> int:
    if type(value) is not int or not 1 <= value <= MAX_HIDDEN:
        raise ModelError(f"{folder / CONFIG} has no hidden_size: it belongs to another kind of model.")
    return value


def _mark(value: Any) -> str | None:
    content = value.get("content") if isinstance(value, dict) else value
    return content if isinstance(content, str) and content else None

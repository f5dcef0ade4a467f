"""What an RKNN file says of itself, read without the library that runs it.

The layout was read off the files of rknn-toolkit2 2.5.0: `RKNN`, u32 0, u64 format version, u64 size of the graph,
zeros up to byte 64; the graph, a flatbuffer; u64 size of the description; the description as JSON. All numbers are
little endian.
"""

from __future__ import annotations

from dataclasses import dataclass
import json
import os
from pathlib import Path
import struct
from typing import BinaryIO

from ..errors import ModelError

MAGIC = b"RKNN"
FORMAT_VERSION = 6
HEADER_BYTES = 64
MAX_DESCRIPTION_BYTES = 4 * 1024 * 1024

_HEADER = struct.Struct("<4sIQQ")
_SIZE = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class RknnFile:
    """The SoCs that a file was compiled for, in small letters, and the version of the toolkit that did it."""

    targets: frozenset[str]
    toolkit: str


def read_rknn_file(path: Path) -> RknnFile:
    """Read and check header and description. Raises ModelError if it is no RKNN file, or not a whole one."""
    try:
        with path.open("rb") as stream:
            description = _description(stream, os.fstat(stream.fileno()).st_size)
        raw = json.loads(description)
        targets, toolkit = raw["target_platform"], raw["version"]
        names = [targets] if isinstance(targets, str) else targets
        if not isinstance(toolkit, str) or not all(isinstance(name, str) for name in names):
            raise ValueError("its description has fields of other types")
        return RknnFile(frozenset(name.lower() for name in names), toolkit)
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, RecursionError, struct.error) as error:
        raise ModelError(f"{path} is not a whole RKNN file ({error}): convert the model again") from error


def _description(stream: BinaryIO, size: int) -> bytes:
    magic, _, version, graph_bytes = _HEADER.unpack(stream.read(_HEADER.size))
    if magic != MAGIC:
        raise ValueError("it does not begin with RKNN")
    if version != FORMAT_VERSION:
        raise ValueError(f"it has the format version {version}, and {FORMAT_VERSION} is known")
    at = HEADER_BYTES + graph_bytes
    if at + _SIZE.size > size:
        raise ValueError("it ends within its graph")
    stream.seek(at)
    (length,) = _SIZE.unpack(stream.read(_SIZE.size))
    if not 0 < length <= MAX_DESCRIPTION_BYTES or at + _SIZE.size + length > size:
        raise ValueError("it ends within its description")
    return stream.read(length)

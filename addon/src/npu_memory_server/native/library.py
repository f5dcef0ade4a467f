"""The library of the kernels, loaded once. Without it the server does their work in numpy: the same, slower."""

from __future__ import annotations

from collections.abc import Mapping
import ctypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path
import struct
from typing import Any

PATH = Path(__file__).with_name("libkernels.so")
ABI = 3
"""To be raised, here and in kernels.h, whenever a function or a struct that both sides see changes."""
BEST = 99
"""More than any level of instructions has."""
_P, _N = ctypes.c_void_p, ctypes.c_int64
SIGNATURES: Mapping[str, tuple[Any, tuple[Any, ...]]] = {
    "kernels_instructions": (ctypes.c_char_p, ()),
    "kernels_use": (ctypes.c_int32, (ctypes.c_int32,)),
    "cells_look": (_N, (_P, _P, _P, _N)),
    "cells_nearest": (_N, (_P, _P, _P, _N, _N, _P, _P, _P, _P)),
    "cells_best": (_N, (_P, _P, _N, _P, _P)),
    "cells_cosines": (_N, (_P, _P, _P, _N, _P)),
}
"""What each function returns and takes."""
HEADER = struct.Struct("<4sB35xQ10xHH2x")
"""Of a 64-bit ELF file (ELF-64 Object File Format, version 1.5): magic, class, and where the table of sections is, the
size of an entry, and how many; it is what linkers write last."""


@dataclass(frozen=True, slots=True)
class Kernels:
    """The functions of the library, which let the interpreter run meanwhile; or None, and the reason."""

    functions: ctypes.CDLL | None
    instructions: str = ""
    reason: str = ""

    @property
    def seen(self) -> str:
        """What a user is told of it."""
        return f"in C, with {self.instructions}" if self.functions else f"in numpy, slower: {self.reason}"


@cache
def kernels() -> Kernels:
    """Return the kernels that lie beside this module."""
    return load(PATH)


def load(path: Path) -> Kernels:
    """Load a library. One that is missing, broken, of another processor or another version is none; nothing raises."""
    if not path.exists():
        return Kernels(None, reason=f"there is no {path.name}")
    try:
        if not _whole(path):
            return Kernels(None, reason=f"{path.name} is cut off, or no library")
        functions = ctypes.CDLL(str(path))
        abi = functions.kernels_abi()
        if abi != ABI:
            return Kernels(None, reason=f"{path.name} is of version {abi} instead of {ABI}")
        for name, (returned, taken) in SIGNATURES.items():
            function = getattr(functions, name)
            function.restype, function.argtypes = returned, taken
        functions.kernels_use(BEST)
        return Kernels(functions, functions.kernels_instructions().decode())
    except (OSError, AttributeError) as error:
        return Kernels(None, reason=f"{path.name} cannot be used: {type(error).__name__}")


def _whole(path: Path) -> bool:
    """Return whether a library has all its pages: the loader does not ask, and a missing one ends the process."""
    with path.open("rb") as file:
        start = file.read(HEADER.size)
        if len(start) < HEADER.size:
            return False
        magic, elf_class, sections, entry, count = HEADER.unpack(start)
        end: int = sections + entry * count
        return bool(magic == b"\x7fELF" and elf_class == 2 and 0 < end <= path.stat().st_size)

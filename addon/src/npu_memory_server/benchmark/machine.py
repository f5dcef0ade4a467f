"""What a figure was measured on: the hardware and the versions, and nothing that names a machine or its owner."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
import os
import platform
import re

from .. import __version__
from ..native.library import kernels
from ..npu.board import Board
from ..wire import NpuReport

LIBRARIES = ("numpy", "onnxruntime", "tokenizers", "rknn-toolkit-lite2")
_MODEL = re.compile(r"^(?:model name|Model)\s*:\s*(.+)$", re.MULTILINE)
_KERNEL = re.compile(r"[0-9]+(?:\.[0-9]+){1,2}")


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine; `cores` are those that this process may use, `memory_gib` is all there is."""

    cpu: str
    architecture: str
    cores: int
    memory_gib: float
    system: str
    kernel: str
    python: str
    versions: dict[str, str]


def this_machine(board: Board, npu: NpuReport) -> Machine:
    """Describe the machine that this runs on."""
    return Machine(
        cpu=_cpu(board),
        architecture=platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        system=_system(),
        kernel=found[0] if (found := _KERNEL.match(platform.release())) else "",
        python=platform.python_version(),
        versions={
            "npu-memory": __version__,
            "kernels": kernels().seen,
            **{name: version for name in LIBRARIES if (version := _version(name))},
            **({"librknnrt": npu.runtime} if npu.runtime else {}),
            **({"rknpu": npu.driver} if npu.driver else {}),
        },
    )


def _cpu(board: Board) -> str:
    """Return the CPU's name; boards with ARM have none but that of their device tree."""
    try:
        found = _MODEL.search(board.path("proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        found = None
    return (found[1].strip() if found else "") or next(iter(board.compatible), "") or platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""

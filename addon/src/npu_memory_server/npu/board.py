"""What the machine says of its NPU; read from files, below a root that tests replace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
import mmap
from pathlib import Path
import re

RENDER_NODE = "dev/dri/renderD129"
"""Where the driver of Rockchip's kernels puts the NPU; D128 is the GPU."""
DEVICE_NODES = (RENDER_NODE, "dev/rknpu")
DEVICE_TREE = "proc/device-tree/compatible"
RUNTIME = "usr/lib/librknnrt.so"
"""rknn-toolkit-lite2 looks here and nowhere else."""
CONTAINER_MARKS = (".dockerenv", "run/.containerenv")
"""Of docker and of podman; with the first, rknn-toolkit-lite2 itself insists on device, device tree and library."""
DRIVER_VERSIONS = ("sys/kernel/debug/rknpu/version", "proc/rknpu/version")

_SOC = re.compile(r"rockchip,(rk[0-9]{4}[a-z]?)")
_RUNTIME_VERSION = re.compile(rb"librknnrt version: ([0-9]+(?:\.[0-9]+){1,3})")
_DRIVER_VERSION = re.compile(r"v?([0-9]+\.[0-9]+\.[0-9]+)")


@dataclass(frozen=True, slots=True)
class Board:
    """A machine, as its file system shows it."""

    root: Path = Path("/")

    def path(self, relative: str) -> Path:
        """Return where something is."""
        return self.root / relative

    @property
    def has_device(self) -> bool:
        """Whether there is a node through which an NPU can be reached."""
        return any(self.path(node).exists() for node in DEVICE_NODES)

    @property
    def compatible(self) -> tuple[str, ...]:
        """What the device tree says the machine is, the most special first; empty if there is none."""
        try:
            content = self.path(DEVICE_TREE).read_bytes()[:4096]
        except OSError:
            return ()
        return tuple(name for name in content.decode("ascii", "replace").split("\0") if name)

    @property
    def soc(self) -> str | None:
        """The SoC, such as `rk3588` (the RK3588S has the same NPU and is called the same), or None."""
        for name in reversed(self.compatible):
            if found := _SOC.match(name):
                return found[1].rstrip("s")
        return None

    @property
    def has_runtime(self) -> bool:
        """Whether Rockchip's library is where rknn-toolkit-lite2 looks for it."""
        return self.path(RUNTIME).is_file()

    @property
    def runtime_version(self) -> str | None:
        """The version of Rockchip's library, which is written in it, or None."""
        try:
            with (
                self.path(RUNTIME).open("rb") as stream,
                mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view,
            ):
                found = _RUNTIME_VERSION.search(view)
                return found[1].decode() if found else None
        except (OSError, ValueError):
            return None

    @property
    def driver_version(self) -> str | None:
        """The version of the kernel's driver, where the kernel shows it, or None."""
        return next(self._driver_versions(), None)

    def _driver_versions(self) -> Iterator[str]:
        for name in DRIVER_VERSIONS:
            try:
                if found := _DRIVER_VERSION.search(self.path(name).read_text(encoding="ascii", errors="replace")):
                    yield found[1]
            except OSError:
                continue


def is_newer(version: str, than: str) -> bool:
    """Return whether a version such as `2.5.0` is newer than another; what is no version is not."""
    numbers = [[int(part) for part in re.findall(r"[0-9]+", one)[:3]] for one in (version, than)]
    return numbers[0] > numbers[1]

"""How the NPU is to be used."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path


class CoreMask(IntEnum):
    """The cores of an RK3588 that a context may use, as Rockchip's library numbers them."""

    AUTO = 0
    CORE_0 = 1
    CORE_1 = 2
    CORE_2 = 4
    CORE_0_1 = 3
    CORE_0_1_2 = 7

    @property
    def single_cores(self) -> tuple[CoreMask, ...]:
        """Each core of the mask by itself; all three if the choice is the driver's."""
        every = (CoreMask.CORE_0, CoreMask.CORE_1, CoreMask.CORE_2)
        return tuple(one for one in every if self is CoreMask.AUTO or self & one)


@dataclass(frozen=True, slots=True)
class NpuSettings:
    """How the NPU is to be used.

    enabled: None takes one where there is one. fallback: whether the CPU may do its work. package: the folder of the
    embedder's package, or a file in it; None looks for one among the model packages.
    """

    enabled: bool | None = None
    fallback: bool = True
    core_mask: CoreMask = CoreMask.AUTO
    package: Path | None = None

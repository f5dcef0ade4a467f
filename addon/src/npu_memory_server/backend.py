"""The hardware that a model runs on."""

from __future__ import annotations

from enum import StrEnum


class Backend(StrEnum):
    """The hardware that a model runs on."""

    CPU = "cpu"
    NPU = "npu"

"""From what stands on the command line, or in the environment, to values."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from ..npu.settings import CoreMask
from ..reranking.registry import MODEL_FILES, OTHER_ARCHITECTURES
from ..wire import (
    Reranker,
)

Choice = TypeVar("Choice", bound=StrEnum)


def choice(cls: type[Choice]) -> Callable[[str], Choice]:
    """Return what reads one of the values of an enum."""

    def convert(value: str) -> Choice:
        try:
            return cls(value)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{value}' is none of {', '.join(cls)}") from None

    return convert


def reranker(value: str) -> Reranker | Path:
    """Return a reranker by its name, or the folder of one."""
    if value in OTHER_ARCHITECTURES:
        raise argparse.ArgumentTypeError(
            f"'{value}' is {OTHER_ARCHITECTURES[value]}, which is not run here; there are {', '.join(MODEL_FILES)}"
        )
    if value in set(Reranker) - {Reranker.LOCAL}:
        return Reranker(value)
    if Path(value).is_dir():
        return Path(value)
    names = ", ".join(name for name in Reranker if name is not Reranker.LOCAL)
    raise argparse.ArgumentTypeError(f"'{value}' is none of {names}, and no folder")


SWITCHES = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def switch(value: str) -> bool:
    """Return whether something is on. Raises `argparse.ArgumentTypeError`."""
    try:
        return SWITCHES[value.lower()]
    except KeyError:
        raise argparse.ArgumentTypeError(f"'{value}' is neither 1 nor 0") from None


def switch_or_auto(value: str) -> bool | None:
    """Return whether something is on, or None where it is to be found out."""
    return None if value.lower() == "auto" else switch(value)


def core_mask(value: str) -> CoreMask:
    """Return the cores of the NPU to use. Raises `argparse.ArgumentTypeError`."""
    try:
        return CoreMask(int(value))
    except ValueError:
        known = ", ".join(str(int(mask)) for mask in CoreMask)
        raise argparse.ArgumentTypeError(f"'{value}' is none of {known}") from None


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return what reads a whole number within bounds, both included."""

    def convert(value: str) -> int:
        try:
            number = int(value)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{value}' is no whole number") from None
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"{number} is not from {low} to {high}")
        return number

    return convert

"""Reads the fields of a JSON object that nobody vouches for."""

from __future__ import annotations

from enum import Enum
import re
from typing import Any, TypeVar

EnumT = TypeVar("EnumT", bound=Enum)


def value_of(raw: Any, key: str) -> Any:
    """Return what is there, whatever it is. Raises ValueError if nothing is."""
    if not isinstance(raw, dict) or key not in raw:
        raise ValueError(f"`{key}` is missing")
    return raw[key]


def text_of(raw: Any, key: str, pattern: re.Pattern[str]) -> str:
    """Return a text of that form. Raises ValueError."""
    value = value_of(raw, key)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"`{key}` is not of the form {pattern.pattern}")
    return value


def integer_of(raw: Any, key: str, lowest: int, highest: int) -> int:
    """Return a whole number in that range. Raises ValueError."""
    value = value_of(raw, key)
    if type(value) is not int or not lowest <= value <= highest:
        raise ValueError(f"`{key}` is not a whole number from {lowest} to {highest}")
    return value


def number_of(raw: Any, key: str, lowest: float, highest: float) -> float:
    """Return a number in that range. Raises ValueError."""
    value = value_of(raw, key)
    if type(value) not in {int, float} or not lowest <= value <= highest:
        raise ValueError(f"`{key}` is not a number from {lowest} to {highest}")
    return float(value)


def choice_of(raw: Any, key: str, choices: type[EnumT]) -> EnumT:
    """Return one of the choices. Raises ValueError."""
    value = value_of(raw, key)
    try:
        return choices(value)
    except ValueError as error:
        known = ", ".join(str(choice) for choice in choices)
        raise ValueError(f"`{key}` is none of: {known}") from error

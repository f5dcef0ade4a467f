"""How near a moment is, for whoever speaks of it."""

from datetime import datetime
from enum import Enum, auto

A_WEEK = 7


class Nearness(Enum):
    """How a date is best called."""

    TODAY = auto()
    YESTERDAY = auto()
    THIS_WEEK = auto()
    """By the day of the week."""
    THIS_YEAR = auto()
    LONG_AGO = auto()


def nearness(moment: datetime, now: datetime) -> Nearness:
    """Return how a date is best called; both moments are in the time zone of whoever listens."""
    days = (now.date() - moment.date()).days
    if days == 0:
        return Nearness.TODAY
    if days == 1:
        return Nearness.YESTERDAY
    if 1 < days < A_WEEK:
        return Nearness.THIS_WEEK
    return Nearness.THIS_YEAR if moment.year == now.year else Nearness.LONG_AGO

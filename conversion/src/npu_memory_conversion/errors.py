"""What can go wrong in a conversion."""

from __future__ import annotations


class ConversionError(Exception):
    """A conversion that cannot go on, with a sentence for the person who started it."""

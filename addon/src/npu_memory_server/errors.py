"""What can go wrong: a small hierarchy, each with the code that the protocol, the translations and the tests share."""

from __future__ import annotations

from typing import ClassVar

from .wire import ErrorCode


class NpuMemoryError(Exception):
    """An error with a code and a sentence for the person who has to do something about it.

    The sentence never holds the text of a memory.
    """

    code: ClassVar[ErrorCode] = ErrorCode.INTERNAL


class InvalidRequestError(NpuMemoryError):
    """Something was asked for that makes no sense."""

    code = ErrorCode.INVALID_REQUEST


class NotFoundError(NpuMemoryError):
    """There is no memory with that id."""

    code = ErrorCode.NOT_FOUND


class ConflictError(NpuMemoryError):
    """It contradicts what is stored: an id that is taken, a memory that was corrected already."""

    code = ErrorCode.CONFLICT


class BusyError(NpuMemoryError):
    """Too much at once, or the data directory is in somebody else's hands."""

    code = ErrorCode.BUSY


class StorageError(NpuMemoryError):
    """The database could not be read or written: nothing was changed."""

    code = ErrorCode.STORAGE


class ModelError(NpuMemoryError):
    """The embedding model is missing, damaged or not what it says."""

    code = ErrorCode.MODEL


ERRORS: dict[str, type[NpuMemoryError]] = {error.code: error for error in NpuMemoryError.__subclasses__()}
"""The error for each code, so that one that came over the wire is raised as what it was."""

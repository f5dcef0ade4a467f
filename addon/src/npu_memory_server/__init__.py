"""The memory server of NPU Memory."""

__version__ = "0.1.0"

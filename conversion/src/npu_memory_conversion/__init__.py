"""Converts a model into the package that the memory server runs, without PyTorch."""

__version__ = "0.1.0"

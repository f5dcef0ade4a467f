"""Converts a model into the package that the memory server runs, without PyTorch."""

import os

__version__ = "0.1.0"

# As in the server's package: onnxruntime reports to its maker over the network unless this is set before it is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

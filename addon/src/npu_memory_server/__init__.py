"""The memory server of NPU Memory."""

import os

__version__ = "0.1.0"

# Since 1.29 onnxruntime reports sessions and models to its maker over the network, and writes down a device id, unless
# this is set before it is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

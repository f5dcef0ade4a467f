"""The memory server in its container: what a container needs around `npu-memory serve`."""

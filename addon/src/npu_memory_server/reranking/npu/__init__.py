"""A cross-encoder on a Rockchip NPU."""

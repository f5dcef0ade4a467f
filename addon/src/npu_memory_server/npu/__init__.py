"""A Rockchip NPU, whatever it computes: its contexts, what is checked before it is believed, and who looks after it."""

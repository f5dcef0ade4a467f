"""The embedder on a Rockchip NPU: nothing that the NPU or its library says is believed before it is checked."""

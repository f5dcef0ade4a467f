"""The earlier system's published figures, in ms, by the names of the rows that they stand beside.

Measured by its authors on an Orange Pi 5 Max (RK3588) with 742 memories and one question, padded to 256 tokens, in
October 2025: "NPU Embedder Performance Report" (the stages, 176 and 65.3), "NPU Reranker Conversion" (the other times
with a reranker). Their sums are theirs as well: the stages on the CPU add up to more than the total.
"""

from __future__ import annotations

from collections.abc import Mapping

from .figures import Published

PUBLISHED: Mapping[str, Mapping[str, Published]] = {
    "embedding": {
        "tokenize": Published(10, 10),
        "inference": Published(140, 19),
        "pooling": Published(5, 5),
        "normalizing": Published(5, 5),
        "total": Published(150, 39),
    },
    "retrieval": {
        "vector": Published(15, 15),
        "lexical": Published(8, 8),
        "fusion": Published(3, 3),
        "vector, lexical and fusion": Published(26, 26),
    },
    "configurations": {
        "no reranker": Published(176, 65.3),
        "cross-encoder, 12 layers": Published(None, 514),
    },
    "reading": {"cross-encoder, 12 layers": Published(85, 185)},
    "five": {"cross-encoder, 12 layers": Published(None, 925)},
}
REMARK = """\
"Theirs" are the earlier system's published figures (RK3588, 742 memories, one question, padded to 256 tokens); nothing
of that was measured here. Its 514 ms are those of its second report, with its embedder on the NPU and its reranker on
the CPU, five memories read (1 289 ms in its first report, 990 ms with both on the NPU); 85 ms a memory are the middle
of 80 to 90 (245 ms in its first report), and 925 ms what five took on its NPU, whatever their length. A cross-encoder
here reads up to 20 memories."""

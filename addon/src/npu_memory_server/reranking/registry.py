"""The cross-encoders that flashrank serves, by the names that its users know."""

from __future__ import annotations

from collections.abc import Mapping

from ..wire import Reranker

HUB = "https://huggingface.co/prithivida/flashrank/resolve/main"
"""Where flashrank gets its models: NAME.zip for each."""

MODEL_FILES: Mapping[Reranker, str] = {
    Reranker.TINYBERT_L2: "flashrank-TinyBERT-L-2-v2.onnx",
    Reranker.MINILM_L12: "flashrank-MiniLM-L-12-v2_Q.onnx",
    Reranker.MULTIBERT_L12: "flashrank-MultiBERT-L12_Q.onnx",
    Reranker.ESCI_MINILM_L12: "flashrank-ce-esci-MiniLM-L12-v2_Q.onnx",
    Reranker.ARABIC: "miniReranker_arabic_v1.onnx",
}
"""The model in each folder, as flashrank 0.2 names it. Those with _Q have int8 weights."""

OTHER_ARCHITECTURES: Mapping[str, str] = {
    "rank-T5-flan": "a T5 with an encoder and a decoder",
    "rank_zephyr_7b_v1_full": "a language model of seven billion weights",
}
"""What flashrank serves besides, and what that is."""


def is_cross_encoder(reranker: Reranker) -> bool:
    """Return whether a reranker is a model of its own."""
    return reranker in MODEL_FILES or reranker is Reranker.LOCAL

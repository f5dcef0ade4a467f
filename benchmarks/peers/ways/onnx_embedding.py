"""The original model on ONNX Runtime, FP32."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from .answering import THREADS, Vector

LONGEST = 256
"""Tokens, as sentence_bert_config.json says."""


class PaddedEmbedder:
    """Embeds one text at a time, padded to the longest that the model reads: a shape that an NPU's compiler needs."""

    def __init__(self, model: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get(THREADS, "0"))  # 0: one for each core
        self._session = onnxruntime.InferenceSession(str(model / "onnx" / "model.onnx"), options)
        self._tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        self._tokenizer.enable_truncation(LONGEST)
        self._tokenizer.enable_padding(length=LONGEST)

    def __call__(self, text: str) -> Vector:
        """Return float32 [384], L2-normalized."""
        encoded = self._tokenizer.encode(text)
        mask = np.array([encoded.attention_mask], np.int64)
        hidden = self._session.run(
            None,
            {
                "input_ids": np.array([encoded.ids], np.int64),
                "attention_mask": mask,
                "token_type_ids": np.array([encoded.type_ids], np.int64),
            },
        )[0]
        mean = (hidden * mask[:, :, None]).sum(axis=1)[0] / mask.sum()
        unit: Vector = (mean / np.linalg.norm(mean)).astype(np.float32)
        return unit

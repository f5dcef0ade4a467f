"""Model folders in the layout that people download, with random weights, and what they compute, written plainly."""

from collections.abc import Mapping
import json
import math
from pathlib import Path
import shutil
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

Array = npt.NDArray[np.float64]
HIDDEN, LAYERS, HEADS, INTERMEDIATE, POSITIONS = 64, 2, 4, 128, 160
VOCABULARY = 30_522


def write_model(folder: Path, tokenizer: Path, random: np.random.Generator, *, head: int | None) -> Path:
    """Write an embedder, or with `head` outputs a cross-encoder; the tokenizer is that of another model."""
    folder.mkdir()
    start = "" if head is None else "bert."

    def linear(name: str, inputs: int, outputs: int) -> dict[str, Array]:
        weight = random.normal(0, 1 / math.sqrt(inputs), (outputs, inputs))
        return {f"{name}.weight": weight, f"{name}.bias": random.normal(0, 0.1, outputs)}

    def norm(name: str) -> dict[str, Array]:
        return {f"{name}.weight": random.normal(1, 0.1, HIDDEN), f"{name}.bias": random.normal(0, 0.1, HIDDEN)}

    tensors: dict[str, Any] = {
        f"{start}embeddings.{kind}_embeddings.weight": random.normal(0, 0.05, (rows, HIDDEN))
        for kind, rows in (("word", VOCABULARY), ("position", POSITIONS), ("token_type", 2))
    }
    tensors |= norm(f"{start}embeddings.LayerNorm")
    for index in range(LAYERS):
        layer = f"{start}encoder.layer.{index}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            tensors |= linear(f"{layer}.attention.{part}", HIDDEN, HIDDEN)
        tensors |= norm(f"{layer}.attention.output.LayerNorm")
        tensors |= linear(f"{layer}.intermediate.dense", HIDDEN, INTERMEDIATE)
        tensors |= linear(f"{layer}.output.dense", INTERMEDIATE, HIDDEN) | norm(f"{layer}.output.LayerNorm")
    tensors |= linear(f"{start}pooler.dense", HIDDEN, HIDDEN)
    if head is not None:
        tensors |= linear("classifier", HIDDEN, head)
    save_file({name: value.astype(np.float32) for name, value in tensors.items()}, folder / "model.safetensors")
    config = {
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": INTERMEDIATE,
        "max_position_embeddings": POSITIONS,
        "vocab_size": VOCABULARY,
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
    }
    (folder / "config.json").write_text(json.dumps(config))
    shutil.copyfile(tokenizer / "tokenizer.json", folder / "tokenizer.json")
    return folder


def token_vectors(folder: Path, ids: npt.NDArray[np.int64], types: npt.NDArray[np.int64]) -> Array:
    """Compute one text's or pair's token vectors in 64 bits, from the file itself: [n, HIDDEN]."""
    tensors = {name.removeprefix("bert."): value.astype(np.float64) for name, value in _load(folder).items()}

    def linear(name: str, x: Array) -> Array:
        return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]

    def norm(name: str, x: Array) -> Array:
        centered = x - x.mean(axis=-1, keepdims=True)
        scaled = centered / np.sqrt((centered**2).mean(axis=-1, keepdims=True) + 1e-12)
        return scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    def by_head(x: Array) -> Array:
        return x.reshape(len(x), HEADS, -1).transpose(1, 0, 2)

    x: Array = (
        tensors["embeddings.word_embeddings.weight"][ids] + tensors["embeddings.token_type_embeddings.weight"][types]
    )
    x = norm("embeddings.LayerNorm", x + tensors["embeddings.position_embeddings.weight"][: len(ids)])
    for index in range(LAYERS):
        layer = f"encoder.layer.{index}"
        query, key, value = (by_head(linear(f"{layer}.attention.self.{part}", x)) for part in ("query", "key", "value"))
        scores = np.exp(query @ key.transpose(0, 2, 1) / math.sqrt(HIDDEN // HEADS))
        context = (scores / scores.sum(axis=-1, keepdims=True) @ value).transpose(1, 0, 2).reshape(len(x), HIDDEN)
        attended = linear(f"{layer}.attention.output.dense", context)
        x = norm(f"{layer}.attention.output.LayerNorm", x + attended)
        hidden = linear(f"{layer}.intermediate.dense", x)
        active = hidden * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2))) / 2
        x = norm(f"{layer}.output.LayerNorm", x + linear(f"{layer}.output.dense", active))
    return x


def text_vector(tokens: Array) -> Array:
    mean: Array = tokens.mean(axis=0)
    return mean / np.linalg.norm(mean)


def logit(folder: Path, tokens: Array) -> float:
    tensors = _load(folder)
    pooled = np.tanh(tokens[0] @ tensors["bert.pooler.dense.weight"].T + tensors["bert.pooler.dense.bias"])
    return float((pooled @ tensors["classifier.weight"].T + tensors["classifier.bias"])[0])


def _load(folder: Path) -> Mapping[str, npt.NDArray[np.float32]]:
    tensors: Mapping[str, npt.NDArray[np.float32]] = load_file(folder / "model.safetensors")
    return tensors

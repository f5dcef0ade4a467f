"""Make cross-encoders to convert for the NPU, since none can be had everywhere.

    script/benchmark npu_cross_encoders FOLDER

Folders in the usual layout, in the shapes of the cross-encoders that people use. Those of 6 and 12 layers are the
encoder of all-MiniLM-L6-v2, once and twice, with classifiers that are trained on the spot to tell the memories that
answer the sample household's questions from others. The one of 2 layers, 128 wide, has random weights. Their scores
spread as scores do; how well they rank says nothing about anything.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
import onnx
import onnxruntime as ort
from safetensors.numpy import load_file, save_file
from tqdm import tqdm

from npu_memory_conversion.export_cross_encoder import export_cross_encoder
from npu_memory_conversion.export_onnx import Fp32Arithmetic
from npu_memory_conversion.local import read_folder
from npu_memory_conversion.original import feed
from npu_memory_conversion.recipe import ALL_MINILM_L6_V2, ModelRecipe
from npu_memory_conversion.source import SourceFiles, open_source
from npu_memory_conversion.texts import TextReader
from npu_memory_conversion.weights import read_weights

from .quality.corpora import household

Array = NDArray[np.float32]
LAYERS = {6: tuple(range(6)), 12: tuple(range(6)) * 2}
TINY = replace(ALL_MINILM_L6_V2, layers=2, hidden=128, heads=2, intermediate=512)
OTHERS = 3
"""Memories that do not answer, for each that does."""
STEPS = 400
DECAY = 0.01


def main() -> None:
    """Write the folders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where to put them: L2, L6 and L12")
    parser.add_argument("--source", type=Path, metavar="DIR", help="take the files of all-MiniLM-L6-v2 from here")
    arguments = parser.parse_args()
    assert ALL_MINILM_L6_V2.source is not None  # noqa: S101 - it is a known model
    with open_source(ALL_MINILM_L6_V2.source, arguments.source) as files:
        for layers in (2, *LAYERS):
            folder = arguments.folder / f"L{layers}"
            if layers == TINY.layers:
                save(folder, TINY, random_weights(TINY), files)
            else:
                write(folder, layers, files)
            print(folder)


def write(folder: Path, layers: int, files: SourceFiles) -> None:
    """Write a cross-encoder of so many layers, first with a classifier of zeros and then with a trained one."""
    recipe = ALL_MINILM_L6_V2
    tensors = {f"bert.{name}": value for name, value in load_file(files.weights).items() if "layer." not in name}
    tensors.pop("bert.embeddings.position_ids", None)
    for index, origin in enumerate(LAYERS[layers]):
        for name, value in load_file(files.weights).items():
            if name.startswith(f"encoder.layer.{origin}."):
                tensors[f"bert.{name.replace(f'.{origin}.', f'.{index}.', 1)}"] = value.copy()
    tensors |= {
        "classifier.weight": np.zeros((1, recipe.hidden), np.float32),
        "classifier.bias": np.zeros(1, np.float32),
    }
    shape = replace(recipe, layers=layers)
    save(folder, shape, tensors, files)
    weight, bias = train(*pooled_pairs(folder))
    tensors |= {"classifier.weight": weight[np.newaxis], "classifier.bias": np.array([bias], np.float32)}
    save(folder, shape, tensors, files)


def save(folder: Path, recipe: ModelRecipe, tensors: Mapping[str, Array], files: SourceFiles) -> None:
    """Write a folder as people have them; the tokenizer is that of all-MiniLM-L6-v2."""
    config = {
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": recipe.hidden,
        "num_hidden_layers": recipe.layers,
        "num_attention_heads": recipe.heads,
        "intermediate_size": recipe.intermediate,
        "max_position_embeddings": recipe.positions,
        "vocab_size": recipe.vocabulary,
        "layer_norm_eps": recipe.layer_norm_epsilon,
        "pad_token_id": recipe.pad_id,
        "num_labels": 1,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    (folder / "tokenizer.json").write_bytes(files.tokenizer.read_bytes())
    save_file(dict(tensors), folder / "model.safetensors")


def random_weights(recipe: ModelRecipe) -> dict[str, Array]:
    """Return seeded weights that keep the size of what goes through them: deviations of 1 / sqrt(inputs)."""
    random = np.random.default_rng(7)
    hidden, wide = recipe.hidden, recipe.intermediate
    tables = (("word", recipe.vocabulary), ("position", recipe.positions), ("token_type", 2))
    linears = {"bert.pooler.dense": (hidden, hidden), "classifier": (1, hidden)}
    norms = ["bert.embeddings.LayerNorm"]
    for index in range(recipe.layers):
        layer = f"bert.encoder.layer.{index}"
        parts = ("self.query", "self.key", "self.value", "output.dense")
        linears |= {f"{layer}.attention.{part}": (hidden, hidden) for part in parts}
        linears |= {f"{layer}.intermediate.dense": (wide, hidden), f"{layer}.output.dense": (hidden, wide)}
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    weights = {f"bert.embeddings.{name}_embeddings.weight": random.normal(0, 0.05, (n, hidden)) for name, n in tables}
    for name, (outputs, inputs) in linears.items():
        weights[f"{name}.weight"] = random.normal(0, inputs**-0.5, (outputs, inputs))
        weights[f"{name}.bias"] = random.normal(0, 0.1, outputs)
    for name in norms:
        weights |= {f"{name}.weight": np.ones(hidden), f"{name}.bias": np.zeros(hidden)}
    return {name: value.astype(np.float32) for name, value in weights.items()}


def pooled_pairs(folder: Path) -> tuple[Array, Array]:
    """Return what the pooler makes of questions with memories, float32 [n, hidden], and which answer, 1 or 0."""
    recipe = read_folder(folder)
    model = export_cross_encoder(read_weights(folder / "model.safetensors", recipe), recipe, Fp32Arithmetic())
    model.graph.output.append(onnx.helper.make_tensor_value_info("pooled", onnx.TensorProto.FLOAT, None))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    reader = TextReader(folder / "tokenizer.json", recipe)
    corpus, random = household(), np.random.default_rng(7)
    texts = {memory.memory_id: memory.text for memory in corpus.memories}
    rows, labels = [], []
    for question in tqdm(corpus.questions, desc=folder.name, unit="question", leave=False, disable=None):
        answers = [texts[name] for name in question.expected.answers][:1]
        others = random.choice(list(texts.values()), OTHERS)
        for text, label in [(text, 1.0) for text in answers] + [(str(text), 0.0) for text in others]:
            pair = reader.read(question.request.text, text, length=128)
            rows.append(session.run(["pooled"], dict(feed(pair)))[0][0])
            labels.append(label)
    return np.stack(rows), np.array(labels, np.float32)


def train(rows: Array, labels: Array) -> tuple[Array, float]:
    """Fit a logistic regression by gradient descent with weight decay; returns weights float32 [hidden] and a bias."""
    mean = rows.mean(axis=0)
    spread = rows.std(axis=0).mean()
    scaled = (rows - mean) / spread
    weight, bias = np.zeros(rows.shape[1], np.float32), np.float32(0)
    for _ in range(STEPS):
        wrong = 1 / (1 + np.exp(-(scaled @ weight + bias))) - labels
        weight -= 0.1 * (scaled.T @ wrong / len(rows) + DECAY * weight)
        bias -= 0.1 * wrong.mean()
    return (weight / spread).astype(np.float32), float(bias - mean @ weight / spread)


if __name__ == "__main__":
    main()

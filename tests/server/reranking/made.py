"""A small cross-encoder that knows its business: made by hand, with a head that is trained on the spot.

Its first layer lets each token look for its like and notes in which of the two texts that stands; its second one lets
`[CLS]` see how much is in both. What that says about relevance is learned: a logistic regression on what `[CLS]` sees.
It is no measure for the cross-encoders that one can fetch.
"""

from collections.abc import Sequence
import json
from pathlib import Path
import random
from typing import Any

import numpy as np
from numpy.typing import NDArray
import onnx
import onnxruntime as ort
from tokenizers import Tokenizer

from benchmarks.made_cross_encoder import Shape, cross_encoder, random_weights, write_model
from npu_memory_server.reranking.registry import MODEL_FILES
from npu_memory_server.wire import Reranker

HOUSEHOLD = Path(__file__).parents[3] / "samples" / "household"
SMALL = Shape(layers=2, hidden=64, heads=1)
SEGMENT, SIDE, ONE_SIDED, SEEN, WORD = 0, 1, 2, 3, 4
Array = NDArray[Any]
Pair = tuple[str, str]


def household_pairs() -> tuple[list[Pair], list[Pair]]:
    """Return questions of the sample household with a memory that answers them, and with one that does not."""
    texts = {line["id"]: line["text"] for line in _lines("memories.jsonl")}
    questions = [line for line in _lines("questions.jsonl") if line.get("type") == "direct"]
    chosen = random.Random(5)
    right = [(line["text"], texts[line["answers"][0]]) for line in questions]
    wrong = [(line["text"], texts[chosen.choice(sorted(texts.keys() - set(line["answers"])))]) for line in questions]
    return right, wrong


def _lines(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (HOUSEHOLD / name).read_text(encoding="utf-8").splitlines()]


def put_trained(models: Path, reranker: Reranker, tokenizer: Path, shape: Shape = SMALL) -> Path:
    """Put a cross-encoder, trained on every other pair, into a folder of models, and return its own folder."""
    model = train(tokenizer, *training_pairs(), shape)
    return put(models, reranker, model, tokenizer, shape)


def training_pairs() -> tuple[list[Pair], list[bool]]:
    """Return every other pair, and which of them belong together."""
    right, wrong = (pairs[::2] for pairs in household_pairs())
    return [*right, *wrong], [True] * len(right) + [False] * len(wrong)


def matching_weights(shape: Shape) -> dict[str, Array]:
    """Return the weights of everything but the head; from the third layer on they do nothing, and take their time."""
    weights = {name: np.zeros_like(array) for name, array in random_weights(shape).items()}
    random = np.random.default_rng(11)
    weights["words"][:, WORD:] = random.normal(0, 1, (shape.vocabulary, shape.hidden - WORD))
    weights["types"][:, SEGMENT] = 2.0, -2.0
    word = np.diag((np.arange(shape.hidden) >= WORD).astype(np.float32))
    weights["0.query"], weights["0.key"] = 2 * word, 2 * word
    weights["0.value"][SEGMENT, SIDE] = 1.0
    weights["0.attended"] = np.eye(shape.hidden, dtype=np.float32)
    weights["0.inner"][SIDE, :2] = 4.0, -4.0
    weights["0.outer"][:2, ONE_SIDED] = 1.0
    weights["1.value"][ONE_SIDED, SEEN] = 4.0
    weights["1.attended"] = np.eye(shape.hidden, dtype=np.float32)
    weights["pooler"] = 0.3 * np.eye(shape.hidden, dtype=np.float32)
    return weights


def train(tokenizer: Path, pairs: Sequence[Pair], belongs: Sequence[bool], shape: Shape = SMALL) -> onnx.ModelProto:
    """Return a model whose head has learned from pairs of texts which belong together."""
    weights = matching_weights(shape)
    seeing = {**weights, "classifier": np.eye(shape.hidden), "classifier.bias": np.zeros(shape.hidden)}
    body = cross_encoder(shape, {name: array.astype(np.float32) for name, array in seeing.items()})
    session = ort.InferenceSession(body.SerializeToString(), providers=["CPUExecutionProvider"])
    features = np.stack([run(session, tokenizer, *pair)[0] for pair in pairs])
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-3
    inputs, wanted = (features - mean) / scale, np.array(belongs, np.float64)
    weight, bias = np.zeros(shape.hidden), 0.0
    for _ in range(500):
        error = 1 / (1 + np.exp(-(inputs @ weight + bias))) - wanted
        weight -= 0.5 * (inputs.T @ error / len(wanted) + 0.01 * weight)
        bias -= 0.5 * error.mean()
    weights["classifier"] = (weight / scale)[:, np.newaxis]
    weights["classifier.bias"] = np.array([bias - weight @ (mean / scale)])
    return cross_encoder(shape, {name: array.astype(np.float32) for name, array in weights.items()})


def run(
    session: ort.InferenceSession, tokenizer: Path, question: str, text: str, padded_to: int | None = None
) -> NDArray[np.float32]:
    """Return the logits of a pair by the plain way, float32 [1, n]; padded, if wanted."""
    reading = Tokenizer.from_file(str(tokenizer))
    reading.no_padding()
    reading.enable_truncation(512)
    if padded_to is not None:
        reading.enable_padding(length=padded_to)
    encoding = reading.encode(question, text)
    given = {
        "input_ids": encoding.ids, "attention_mask": encoding.attention_mask, "token_type_ids": encoding.type_ids
    }  # fmt: skip
    (logits,) = session.run(["logits"], {name: np.array([ids], np.int64) for name, ids in given.items()})
    return np.asarray(logits, np.float32)


def put(models: Path, reranker: Reranker, model: onnx.ModelProto, tokenizer: Path, shape: Shape = SMALL) -> Path:
    """Put a model into a folder of models under a name of flashrank's, and return its own folder."""
    write_model(models / reranker, MODEL_FILES[reranker], model, tokenizer, shape)
    return models / reranker

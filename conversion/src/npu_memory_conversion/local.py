"""Reads what a model folder says about itself, so that a model nobody registered can be converted."""

from __future__ import annotations

from collections.abc import Mapping
import json
from pathlib import Path
import re
from typing import Any

import onnx
from safetensors import SafetensorError, safe_open

from npu_memory_server.embedding.manifest import POOLING, ModelKind, sha256_of

from .errors import ConversionError
from .recipe import INT8_CHOICES, MODELS, ModelRecipe
from .source import SourceFiles

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
CLASSIFIER = "classifier.weight"
WORDS = "embeddings.word_embeddings.weight"
LONGEST = 512
DYNAMIC = frozenset({"DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "MatMulInteger"})
LAYOUT = f"a model folder has {WEIGHTS}, {CONFIG} and {TOKENIZER}"


def find_recipe(model: str) -> tuple[ModelRecipe, Path | None]:
    """Return the recipe of a registered name, or that of a folder and the folder. Raises ConversionError."""
    if model in MODELS:
        return MODELS[model], None
    path = Path(model).expanduser()
    if path.is_dir():
        return read_folder(path.absolute()), path.absolute()
    if path.is_file():
        raise ConversionError(_why_no_file(path))
    raise ConversionError(f"{model} is neither a known model ({', '.join(MODELS)}) nor a folder; {LAYOUT}")


def local_files(folder: Path) -> SourceFiles:
    """Return the files of a model folder of the user's, whose checksums nobody knows."""
    return SourceFiles(weights=folder / WEIGHTS, tokenizer=folder / TOKENIZER)


def read_folder(folder: Path) -> ModelRecipe:
    """Return the recipe of a BERT-like embedder or cross-encoder in the usual layout. Raises ConversionError."""
    if not (folder / WEIGHTS).is_file():
        for path in sorted(folder.glob("**/*.onnx")):
            raise ConversionError(_why_no_file(path))
    config = _read_json(folder / CONFIG)
    if not (folder / TOKENIZER).is_file():
        raise ConversionError(f"{folder} has no {TOKENIZER}; {LAYOUT}")
    _check_family(config)
    names, outputs = _read_names(folder / WEIGHTS)
    prefixes = [name.removesuffix(WORDS) for name in names if name.endswith(WORDS)]
    if len(prefixes) != 1:
        raise ConversionError(f"{folder / WEIGHTS} has no `{WORDS}`: it is no BERT-like encoder")
    kind = ModelKind.EMBEDDER if outputs is None else ModelKind.CROSS_ENCODER
    if outputs not in {None, 1}:
        raise ConversionError(f"the classifier has {outputs} outputs; a cross-encoder that ranks has one")
    if kind is ModelKind.EMBEDDER:
        _check_modules(folder)
    positions = _whole(config, "max_position_embeddings")
    return ModelRecipe(
        name=re.sub(r"[^A-Za-z0-9._+-]+", "-", folder.resolve().name).strip("-._+")[:100] or "model",
        revision=sha256_of(folder / WEIGHTS)[:12],
        kind=kind,
        license=_license(folder),
        source=None,
        vocabulary=_whole(config, "vocab_size"),
        positions=positions,
        layers=_whole(config, "num_hidden_layers"),
        heads=_whole(config, "num_attention_heads"),
        hidden=_whole(config, "hidden_size"),
        intermediate=_whole(config, "intermediate_size"),
        layer_norm_epsilon=float(config.get("layer_norm_eps", 1e-12)),
        max_length=min(_max_length(folder), positions),
        pooling=POOLING[kind],
        int8=INT8_CHOICES,
        prefix=prefixes[0],
        pad_id=int(config.get("pad_token_id") or 0),
    )


def _why_no_file(path: Path) -> str:
    if path.suffix != ".onnx":
        return f"{path} is a file; {LAYOUT}"
    try:
        operators = {node.op_type for node in onnx.load(path, load_external_data=False).graph.node}
    except Exception as error:  # noqa: BLE001 - what protobuf raises has no common base
        return f"{path} cannot be read as ONNX ({type(error).__name__}); {LAYOUT}"
    instead = (
        f"Convert the original instead, a folder with {WEIGHTS}: `npu-memory-convert FOLDER --target rknn`, with"
        " `--precision hybrid-int8` for 8 bits"
    )
    if found := sorted(operators & DYNAMIC):
        return (
            f"{path} is dynamically quantized ({', '.join(found)}): its ranges are found anew for each text, and an NPU"
            f" needs them fixed when the model is compiled. {instead}"
        )
    return f"{path} is converted already, and says too little about its origin to be checked. {instead}"


def _check_family(config: Mapping[str, Any]) -> None:
    for key, wanted, default in (
        ("model_type", "bert", None),
        ("hidden_act", "gelu", "gelu"),
        ("position_embedding_type", "absolute", "absolute"),
    ):
        if config.get(key, default) != wanted:
            raise ConversionError(f"{CONFIG} has `{key}` {config.get(key)!r}; what can be converted has {wanted!r}")


def _read_names(path: Path) -> tuple[list[str], int | None]:
    """Return the names of all tensors, and how many outputs the classifier has, if there is one."""
    try:
        with safe_open(path, framework="numpy") as tensors:
            names = list(tensors.keys())
            return names, tensors.get_slice(CLASSIFIER).get_shape()[0] if CLASSIFIER in names else None
    except (OSError, SafetensorError) as error:
        raise ConversionError(f"{path} cannot be read as safetensors ({error}); {LAYOUT}") from error


def _check_modules(folder: Path) -> None:
    """Refuse an embedder that does anything else behind its encoder than average and normalize."""
    if not (folder / "modules.json").is_file():
        return
    known = {"Transformer", "Pooling", "Normalize"}
    for module in _read_json(folder / "modules.json", list):
        name = str(module.get("type", "")).rpartition(".")[2]
        if name not in known:
            raise ConversionError(f"modules.json has a {name}; what can be converted has {', '.join(sorted(known))}")
        if name == "Pooling":
            pooling = _read_json(folder / str(module.get("path", "")) / CONFIG)
            modes = {key for key, value in pooling.items() if key.startswith("pooling_mode") and value is True}
            if modes - {"pooling_mode_mean_tokens"}:
                raise ConversionError(f"the model pools by {', '.join(sorted(modes))}; the server averages")


def _max_length(folder: Path) -> int:
    """Return how many tokens the model reads at once, as far as the folder says."""
    for name, key in (("sentence_bert_config.json", "max_seq_length"), ("tokenizer_config.json", "model_max_length")):
        if (folder / name).is_file():
            value = _read_json(folder / name).get(key)
            if type(value) is int and 8 <= value <= LONGEST:
                return value
    return LONGEST


def _license(folder: Path) -> str:
    """Return the license that the head of the model card names."""
    try:
        text = (folder / "README.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "unknown"
    found = re.search(r"^license: *([A-Za-z0-9][A-Za-z0-9.+-]*) *$", text[:4000], re.MULTILINE)
    return found[1] if found else "unknown"


def _whole(config: Mapping[str, Any], key: str) -> int:
    value = config.get(key)
    if type(value) is not int or not 1 <= value <= 10_000_000:
        raise ConversionError(f"{CONFIG} has no usable `{key}`: {value!r}")
    return value


def _read_json(path: Path, kind: type = dict) -> Any:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ConversionError(f"{path} cannot be read ({error}); {LAYOUT}") from error
    if not isinstance(found, kind):
        raise ConversionError(f"{path} holds no {kind.__name__}")
    return found

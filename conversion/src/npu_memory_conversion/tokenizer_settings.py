"""The small files beside `tokenizer.json` that other programs, flashrank among them, expect of a cross-encoder."""

from __future__ import annotations

from collections.abc import Mapping
import json
from pathlib import Path
import shutil
from typing import Any

from .recipe import ModelRecipe

SPECIAL = {
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
    "pad_token": "[PAD]",
    "sep_token": "[SEP]",
    "unk_token": "[UNK]",
}


def write_settings(recipe: ModelRecipe, source: Path | None, folder: Path) -> list[str]:
    """Copy the files that the source has, write what is missing of them, and return their names. Raises OSError."""
    made: Mapping[str, Mapping[str, Any]] = {
        "config.json": {"model_type": "bert", "num_labels": 1, "pad_token_id": recipe.pad_id},
        "special_tokens_map.json": SPECIAL,
        "tokenizer_config.json": {**SPECIAL, "model_max_length": recipe.max_length, "tokenizer_class": "BertTokenizer"},
    }
    for name, content in made.items():
        if source is not None and (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
        else:
            (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return list(made)

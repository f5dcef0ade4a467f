"""What an embedder is known by in a database, and whose vectors may be compared with its own."""

from __future__ import annotations

from .manifest import ModelFile, ModelManifest

PREFIX_POOLING = "own-tokens"
"""What stands before a text is read but not pooled. Pooled with it, 0.7 points of the household's answers among five
are lost (docs/decisions/0004): every memory has a date, and a question has none."""
PRECISION_PART = 1
PARTS = 5


def fingerprint_of(manifest: ModelManifest, model: ModelFile, tokenizer: ModelFile) -> str:
    """Return what names everything that shapes a vector; where it is the same, vectors are the same."""
    return (
        f"{manifest.name}@{manifest.revision}/{model.precision}-{model.sha256[:12]}"
        f"/{tokenizer.sha256[:12]}/{manifest.pooling}-{manifest.max_length}/{PREFIX_POOLING}"
    )


def space_of(fingerprint: str) -> str:
    """Return a fingerprint without the model's precision and file.

    Vectors of one space may be compared: 8 bits stay within 0.997 (cosine) of the original. They find the same answers,
    but not the same memories down to the last place (docs/decisions/0007).
    """
    parts = fingerprint.split("/")
    if len(parts) != PARTS:
        return fingerprint
    return "/".join([*parts[:PRECISION_PART], *parts[PRECISION_PART + 1 :]])

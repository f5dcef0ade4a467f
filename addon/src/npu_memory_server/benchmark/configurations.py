"""The ways of answering that are compared: without a second look at what was found, and with each kind of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelError
from ..reranking.shelf import Places, Shelf
from ..wire import Reranker

SIX_LAYERS = "ms-marco-MiniLM-L-6-v2"
"""flashrank serves none of six layers; one that is put into the folder of the models under this name is taken."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """A way of answering; `model` is the name of its cross-encoder in the folder of the models, "" if it has none."""

    name: str
    reranker: Reranker
    model: str = ""

    @property
    def is_slow(self) -> bool:
        """Whether a model reads every candidate."""
        return bool(self.model)

    @property
    def how_to_get(self) -> str:
        """What to do where the model is missing."""
        if self.reranker is Reranker.LOCAL:
            return (
                "flashrank serves none of six layers; one in flashrank's layout, or as npu-memory-convert makes it, is "
                f"taken from {self.model} in the folder of the models"
            )
        return f"npu-memory models fetch {self.model}"


CONFIGURATIONS = (
    Configuration("no reranker", Reranker.NONE),
    Configuration("maxsim", Reranker.MAXSIM),
    Configuration("cross-encoder, 2 layers", Reranker.TINYBERT_L2, Reranker.TINYBERT_L2.value),
    Configuration("cross-encoder, 6 layers", Reranker.LOCAL, SIX_LAYERS),
    Configuration("cross-encoder, 12 layers", Reranker.MINILM_L12, Reranker.MINILM_L12.value),
)


def make_shelf(models: Path, *, threads: int) -> Shelf:
    """Return where the cross-encoders of the configurations are taken from."""
    return Shelf(Places(models, models / SIX_LAYERS), threads=threads)


def load_available(shelf: Shelf, models: Path) -> tuple[Sequence[Configuration], dict[str, str]]:
    """Load every cross-encoder that is there; returns what can be measured, and for the others by name why not."""
    available, missing = [], {}
    for one in CONFIGURATIONS:
        if not one.model:
            available.append(one)
        elif not (models / one.model).is_dir():
            missing[one.name] = f"not there: {one.how_to_get}"
        else:
            try:
                shelf.load(one.reranker)
            except ModelError:
                missing[one.name] = f"it cannot be loaded; to get it anew: {one.how_to_get}"
            else:
                available.append(one)
    return available, missing

"""The ways of answering that are compared: without a second look at what was found, and with each kind of it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import ModelError
from ..npu.settings import NpuSettings
from ..reranking.shelf import Places, Shelf
from ..wire import Reranker
from .switching import SwitchedReader

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


def load_available(
    stack: ExitStack, shelf: Shelf, models: Path, *, threads: int, npu: NpuSettings
) -> tuple[Mapping[Configuration, SwitchedReader | None], dict[str, str]]:
    """Put every cross-encoder that is there on the shelf, on both backends where there is an NPU that reads with it.

    Returns what can be measured, each with its cross-encoder if it has one, and for the others by name why not. The
    hardware is released by the `stack`.
    """
    available: dict[Configuration, SwitchedReader | None] = {}
    missing = {}
    places = Places(models, models / SIX_LAYERS)
    on_cpu = replace(npu, enabled=False)
    for one in CONFIGURATIONS:
        if not one.model:
            available[one] = None
        elif not (models / one.model).is_dir():
            missing[one.name] = f"not there: {one.how_to_get}"
        else:
            try:
                cpu = stack.enter_context(places.open(one.reranker, threads=threads, npu=on_cpu))
                on_npu = stack.enter_context(places.open(one.reranker, threads=threads, npu=npu))
            except ModelError:
                missing[one.name] = f"it cannot be loaded; to get it anew: {one.how_to_get}"
            else:
                available[one] = reader = SwitchedReader(cpu, on_npu)
                shelf.put(one.reranker, reader)
    return available, missing


def make_shelf(models: Path) -> Shelf:
    """Return where the cross-encoders of the configurations are put."""
    return Shelf(Places(models, models / SIX_LAYERS))

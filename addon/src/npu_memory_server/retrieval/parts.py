"""The indexes of a memory, row by row the same."""

from __future__ import annotations

from dataclasses import dataclass

from .catalog import Catalog
from .cells import CellIndex
from .dense import VectorIndex
from .lexical import LexicalIndex
from .misheard import Soundalikes
from .rereading import TokenReranker
from .sessions import Sessions
from .weights import Weights


@dataclass(slots=True)
class Parts:
    """What a question is put to. `vectors` are exchanged when the indexes have been saved."""

    catalog: Catalog
    sessions: Sessions
    lexical: LexicalIndex
    soundalikes: Soundalikes
    vectors: VectorIndex | CellIndex
    reranker: TokenReranker
    weights: Weights
    dimensions: int

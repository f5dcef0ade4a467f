"""Where things are and what holds by default: read once from command line or environment, and never changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .asking import RecallDefaults
from .embedding.manifest import Precision
from .npu.settings import NpuSettings
from .supervisor import Supervisor
from .wire import DEFAULT_PORT

EMBEDDER = "all-MiniLM-L6-v2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What every command that opens memories needs; `model_directory` is the folder of the model packages.

    Without a `precision` the machine decides (`cpu_model`). `reranker_directory` is the folder of a cross-encoder of
    the user's own, the one that is called `local`.
    """

    data_directory: Path
    model_directory: Path
    precision: Precision | None = None
    threads: int = 1
    npu: NpuSettings = field(default_factory=NpuSettings)
    recall: RecallDefaults
    reranker_directory: Path | None = None


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """What `serve` needs besides; port 0 takes a free one."""

    host: str = "0.0.0.0"
    port: int = DEFAULT_PORT
    handle_transcripts: bool = False
    supervisor: Supervisor | None = None

"""The real model package, and copies of it that may be damaged."""

from collections.abc import Callable
import json
from pathlib import Path
import shutil
from typing import Any

import pytest

from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.embedding.manifest import MANIFEST_NAME, Precision
from npu_memory_server.settings import EMBEDDER


@pytest.fixture(scope="session")
def package(model_directory: Path) -> Path:
    return model_directory / EMBEDDER


@pytest.fixture(scope="session")
def int8(package: Path) -> OnnxEmbedder:
    return OnnxEmbedder.load(package, precision=Precision.INT8)


@pytest.fixture(scope="session")
def fp32(package: Path) -> OnnxEmbedder:
    return OnnxEmbedder.load(package, precision=Precision.FP32)


@pytest.fixture
def package_copy(package: Path, tmp_path: Path) -> Path:
    """Return a package of one's own without the large FP32 model."""
    copy = tmp_path / "package"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("*.fp32.onnx"))
    return copy


@pytest.fixture
def edit_manifest(package_copy: Path) -> Callable[[Callable[[dict[str, Any]], object]], None]:
    """Return what changes the manifest of the copy, as somebody with an editor could."""

    def edit(change: Callable[[dict[str, Any]], object]) -> None:
        path = package_copy / MANIFEST_NAME
        raw = json.loads(path.read_text(encoding="utf-8"))
        change(raw)
        path.write_text(json.dumps(raw), encoding="utf-8")

    return edit

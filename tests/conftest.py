"""What the tests of all parts share."""

import os
from pathlib import Path

from hypothesis import settings
import pytest

settings.register_profile("shared machines", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("shared machines")


@pytest.fixture(scope="session")
def model_directory() -> Path:
    """Return the folder with the model packages; `script/test` makes it and names it in NPU_MEMORY_MODEL_DIR."""
    named = os.environ.get("NPU_MEMORY_MODEL_DIR")
    if not named:
        pytest.skip("NPU_MEMORY_MODEL_DIR is not set; script/test sets it")
    folder = Path(named)
    if not folder.is_dir():
        pytest.fail(f"NPU_MEMORY_MODEL_DIR names no folder: {folder}")
    return folder

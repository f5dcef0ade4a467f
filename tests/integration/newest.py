"""`pytest -p tests.integration.newest`: the plugin that was made for the release before finds what has moved since."""

# First of all: from 2026.11 on this puts httpx2 in the place of httpx, which the plugin's mocks would import otherwise.
import homeassistant  # noqa: F401  # isort: skip
from homeassistant.components import logger
from homeassistant.components.logger import helpers

MOVED = "_clear_logger_overwrites"
"""What the plugin calls after each test; 2026.11 has it in another module."""

if not hasattr(logger, MOVED):
    setattr(logger, MOVED, getattr(helpers, MOVED))

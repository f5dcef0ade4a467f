"""Home Assistant copies the integration, a container holds the server: each has its own copy of the protocol."""

from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def test_the_integration_and_the_server_speak_from_the_same_file() -> None:
    original = CHECKOUT / "addon/src/npu_memory_server/wire.py"
    copy = CHECKOUT / "custom_components/npu_memory/wire.py"

    assert copy.read_bytes() == original.read_bytes(), f"cp {original} {copy}"

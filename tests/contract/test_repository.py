"""What those who install from this repository read of it."""

import json
from pathlib import Path
import re

CHECKOUT = Path(__file__).parents[2]
IGNORED = {".git", "rootfs"}


def test_the_supervisor_takes_nothing_but_the_app_for_an_app() -> None:
    found = {
        path.relative_to(CHECKOUT)
        for name in ("config.yaml", "config.yml", "config.json")
        for path in CHECKOUT.rglob(name)
        if not IGNORED & set(path.parts)
    }

    assert found <= {Path("addon/config.yaml")}


def test_the_marketplace_finds_one_integration() -> None:
    manifests = list((CHECKOUT / "custom_components").glob("*/manifest.json"))

    assert [path.parent.name for path in manifests] == ["npu_memory"]
    assert json.loads((CHECKOUT / "hacs.json").read_text())["name"] == "NPU Memory"


def test_all_parts_have_the_same_version() -> None:
    sources = ("addon/src/npu_memory_server/__init__.py", "conversion/src/npu_memory_conversion/__init__.py")
    versions = {
        source: re.findall(r'^__version__ = "(.+)"$', (CHECKOUT / source).read_text(), re.MULTILINE)
        for source in sources
    }
    integration = json.loads((CHECKOUT / "custom_components/npu_memory/manifest.json").read_text())["version"]

    assert versions == {source: [integration] for source in sources}
    assert f"\n## {integration} " in (CHECKOUT / "CHANGELOG.md").read_text()

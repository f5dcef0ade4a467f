"""The check of the integration: what we ship has no fault, and everything that hassfest or HACS would refuse is one."""

from collections.abc import Callable
import importlib.util
import json
from pathlib import Path
import shutil
import subprocess
import sys
from typing import Any

import pytest

CHECKOUT = Path(__file__).parents[2]
PROGRAM = CHECKOUT / "script/checks/integration.py"
INTEGRATION = Path("custom_components/npu_memory")

specification = importlib.util.spec_from_file_location("integration_check", PROGRAM)
assert specification is not None
assert specification.loader is not None
check = importlib.util.module_from_spec(specification)
specification.loader.exec_module(check)

Tree = dict[str, Any]
Change = Callable[[Tree], object]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("hacs.json", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, tmp_path)
    shutil.copytree(CHECKOUT / INTEGRATION, tmp_path / INTEGRATION, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def found(checkout: Path) -> list[str]:
    return [*check.faults(checkout)]


def test_what_we_ship_has_no_fault() -> None:
    result = subprocess.run([sys.executable, PROGRAM], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "0 faults\n")


def put(path: str, value: object) -> Change:
    """Return what sets a value at a path of keys."""
    *above, last = path.split("/")

    def change(tree: Tree) -> None:
        for key in above:
            tree = tree.setdefault(key, {})
        tree[last] = value

    return change


def drop(path: str) -> Change:
    *above, last = path.split("/")

    def change(tree: Tree) -> None:
        for key in above:
            tree = tree[key]
        del tree[last]

    return change


USER_STEP = "config/step/user"
REMEMBER = "services/remember"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (drop("version"), "manifest: version is missing"),
        (drop("issue_tracker"), "manifest: issue_tracker is missing"),
        (put("version", "first"), "manifest: first is no version"),
        (put("categories", []), "manifest: categories is unknown"),
        (put("aaa", 1), "manifest: the keys are to be domain, name"),
        (put("domain", "memory"), "manifest: the domain is memory, the folder npu_memory"),
        (put("iot_class", "local"), "manifest: local is no IoT class"),
        (put("integration_type", "thing"), "manifest: thing is no type of integration"),
        (put("quality_scale", "diamond"), "manifest: diamond is on no quality scale"),
        (put("documentation", "http://example.org"), "manifest: documentation is no https address"),
        (put("documentation", "https://www.home-assistant.io/integrations/x"), "is that of an integration"),
        (put("codeowners", ["somebody"]), "manifest: somebody is nobody's account"),
        (put("requirements", ["numpy>=2"]), "manifest: numpy>=2 is not pinned"),
        (put("zeroconf", ["_memory.local"]), "manifest: _memory.local is no zeroconf service"),
        (put("config_flow", False), "config_flow and config_flow.py do not go together"),
        (put("after_dependencies", []), "imports assist_pipeline, which is no dependency"),
    ],
)  # fmt: skip
def test_a_fault_of_the_manifest_is_found(change: Change, said: str, checkout: Path) -> None:
    assert_found("manifest.json", change, said, checkout)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put(f"{USER_STEP}/title", "See https://example.org"), f"{USER_STEP}/title has a URL in it"),
        (put(f"{USER_STEP}/title", "<b>Bold</b>"), f"{USER_STEP}/title has HTML in it"),
        (put(f"{USER_STEP}/title", "The '{host}'"), f"{USER_STEP}/title quotes a placeholder"),
        (put(f"{USER_STEP}/title", "[%key:common::x%]"), f"{USER_STEP}/title refers to another text"),
        (put(f"{USER_STEP}/title", "Blank "), f"{USER_STEP}/title begins or ends with a blank"),
        (put(f"{USER_STEP}/title", ""), f"{USER_STEP}/title is empty"),
        (put(f"{USER_STEP}/title", 7), f"{USER_STEP}/title is no text"),
        (put(f"{USER_STEP}/title", "{host"), f"{USER_STEP}/title has half a placeholder"),
        (put(f"{USER_STEP}/data_description/moon", "Full"), "config.user: moon is described but no field"),
        (drop(f"{USER_STEP}/data_description/host"), "config.user: host is not described"),
        (drop("config_subentries/conversation/entry_type"), "config_subentries.conversation needs entry_type"),
        (put("weather", {"rain": "Rain"}), "en.json: weather is no section"),
        (put("exceptions/Not found", {"message": "?"}), "Not found is no key"),
        (put("exceptions/busy", {"text": "Busy"}), "exceptions.busy has no message"),
        (drop(REMEMBER), "remember is in one of services.yaml and en.json alone"),
        (drop(f"{REMEMBER}/description"), "the action remember needs a name and a description"),
        (drop(f"{REMEMBER}/fields/speaker"), "remember.speaker is in one of services.yaml and en.json alone"),
        (put(f"{REMEMBER}/fields/speaker/name", ""), "remember.speaker needs a name and a description"),
        (drop("selector/kind/options/note"), "selector.kind of en.json has no text for note"),
    ],
)  # fmt: skip
def test_a_fault_of_the_texts_is_found(change: Change, said: str, checkout: Path) -> None:
    assert_found("translations/en.json", change, said.replace("/", "."), checkout)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("services/remember/service", "hass:brain"), "hass:brain is no icon of mdi"),
        (drop("services/remember"), "the action remember has none"),
        (put("services/dream", {"service": "mdi:sleep"}), "there is no action dream"),
        (put("entity/sensor/backend", {"state": {"cpu": "mdi:chip"}}), "sensor.backend has no default"),
        (put("entity/sensor/backend/state", {"cpu": "mdi:chip"}), "sensor.backend: cpu has the default's icon"),
        (put("entity/sensor/moon", {"default": "mdi:moon-full"}), "there is no sensor moon in en.json"),
        (put("rooms", {}), "icons.json: rooms is no section"),
    ],
)
def test_a_fault_of_the_icons_is_found(change: Change, said: str, checkout: Path) -> None:
    assert_found("icons.json", change, said, checkout)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (drop("name"), "hacs.json: there is no name"),
        (put("icon", "brain"), "hacs.json: icon is unknown"),
        (put("zip_release", True), "cannot install a zip_release"),
        (put("homeassistant", "newest"), "hacs.json: newest is no version"),
    ],
)
def test_a_fault_of_hacs_json_is_found(change: Change, said: str, checkout: Path) -> None:
    assert_found("../../hacs.json", change, said, checkout)


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("services.yaml", "      selector:\n        text:", "      selector:\n        txt:", "the selector is none"),
        ("services.yaml", "      required: true", "      needed: true", "needed is unknown"),
        ("quality_scale.yaml", "action-setup: done", "action-setup: perhaps", "action-setup: perhaps is none of"),
        ("quality_scale.yaml", "action-setup: done", "action-setup: exempt", "action-setup is exempt without a reason"),
        (
            "__init__.py",
            "import asyncio",
            "import homeassistant.components.mqtt",
            "imports mqtt, which is no dependency",
        ),
    ],
)
def test_a_fault_of_another_file_is_found(name: str, old: str, new: str, said: str, checkout: Path) -> None:
    file = checkout / INTEGRATION / name
    text = file.read_text()
    file.write_text(text.replace(old, new, 1) if old in text else f"{new}\n{text}")
    assert any(said in fault for fault in found(checkout)), found(checkout)


@pytest.mark.parametrize(
    "name", ["translations/en.json", "services.yaml", "icons.json", "quality_scale.yaml", "brand/icon.png"]
)
def test_a_missing_file_is_found(name: str, checkout: Path) -> None:
    (checkout / INTEGRATION / name).unlink()
    assert f"{name} is missing" in found(checkout)


@pytest.mark.parametrize("name", ["README.md", "LICENSE"])
def test_what_hacs_wants_beside_it_is_missed(name: str, checkout: Path) -> None:
    (checkout / name).unlink()
    assert f"{name} is missing" in found(checkout)


def test_a_second_integration_and_cores_texts_are_found(checkout: Path) -> None:
    (checkout / INTEGRATION / "strings.json").touch()
    assert any("strings.json is of core's integrations alone" in fault for fault in found(checkout))
    (checkout / "custom_components/other").mkdir()
    (checkout / "custom_components/other/manifest.json").write_text("{}")
    assert found(checkout) == ["there are 2 integrations instead of one"]


def test_a_translation_of_what_is_gone_is_found(checkout: Path) -> None:
    (checkout / INTEGRATION / "translations/de.json").write_text(json.dumps({"title": "Speicher"}))
    assert "de.json: title is not in en.json" in found(checkout)


def assert_found(name: str, change: Change, said: str, checkout: Path) -> None:
    file = checkout / INTEGRATION / name
    tree = json.loads(file.read_text())
    change(tree)
    file.write_text(json.dumps(tree))
    assert any(said in fault for fault in found(checkout)), found(checkout)

"""The files that Home Assistant and its checks read: manifest, texts, actions, icons, quality scale, pictures."""

from collections.abc import Iterator
import json
from pathlib import Path
import re
from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import section
from homeassistant.helpers.selector import validate_selector
from homeassistant.loader import async_get_integration
from homeassistant.util.yaml import load_yaml_dict
from PIL import Image
import pytest

from custom_components.npu_memory import config_flow, forms
from custom_components.npu_memory.actions.asking import CONTEXT_SCHEMA, RECALL_SCHEMA
from custom_components.npu_memory.actions.exporting import EXPORT_SCHEMA
from custom_components.npu_memory.actions.forgetting import FORGET_SCHEMA
from custom_components.npu_memory.actions.importing import IMPORT_SCHEMA
from custom_components.npu_memory.actions.keeping import CORRECT_SCHEMA, REMEMBER_SCHEMA
from custom_components.npu_memory.const import DOMAIN, SERVER_DECIDES, Capture, Fallback, Injection, Whose
from custom_components.npu_memory.importing.files import Format
from custom_components.npu_memory.panel.sidebar import FILES
from custom_components.npu_memory.wire import ErrorCode, Kind, Reranker, Strategy

FOLDER = Path(config_flow.__file__).parent
QUALITY_RULES = [
    "action-setup",
    "appropriate-polling",
    "brands",
    "common-modules",
    "config-flow-test-coverage",
    "config-flow",
    "dependency-transparency",
    "docs-actions",
    "docs-triggers",
    "docs-conditions",
    "docs-high-level-description",
    "docs-installation-instructions",
    "docs-removal-instructions",
    "entity-event-setup",
    "entity-unique-id",
    "has-entity-name",
    "runtime-data",
    "test-before-configure",
    "test-before-setup",
    "unique-config-entry",
    "action-exceptions",
    "config-entry-unloading",
    "docs-configuration-parameters",
    "docs-installation-parameters",
    "entity-unavailable",
    "integration-owner",
    "log-when-unavailable",
    "parallel-updates",
    "reauthentication-flow",
    "test-coverage",
    "devices",
    "diagnostics",
    "discovery-update-info",
    "discovery",
    "docs-data-update",
    "docs-examples",
    "docs-known-limitations",
    "docs-supported-devices",
    "docs-supported-functions",
    "docs-troubleshooting",
    "docs-use-cases",
    "dynamic-devices",
    "entity-category",
    "entity-device-class",
    "entity-disabled-by-default",
    "entity-translations",
    "exception-translations",
    "icon-translations",
    "reconfiguration-flow",
    "repair-issues",
    "stale-devices",
    "async-dependency",
    "inject-websession",
    "strict-typing",
]


@pytest.fixture
def texts() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "translations" / "en.json").read_text())
    return found


def leaves(tree: dict[str, Any] | str) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
        return
    for branch in tree.values():
        yield from leaves(branch)


def places(tree: dict[str, Any] | str, place: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(tree, str):
        yield place, tree
        return
    for key, branch in tree.items():
        yield from places(branch, f"{place}.{key}".lstrip("."))


async def test_home_assistant_can_read_the_manifest(hass: HomeAssistant) -> None:
    integration = await async_get_integration(hass, DOMAIN)
    assert integration.version is not None
    assert integration.config_flow
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    assert list(manifest) == ["domain", "name", *sorted(key for key in manifest if key not in ("domain", "name"))]


def test_the_texts_are_texts(texts: dict[str, Any]) -> None:
    for text in leaves(texts):
        assert text == text.strip()
        assert not re.search(r"https?://|<[a-z/]|'\{|\[%key", text), text


def test_every_field_of_a_form_has_a_name_and_a_description(texts: dict[str, Any]) -> None:
    steps = texts["config"]["step"]
    assistant = texts["config_subentries"]["conversation"]["step"]
    for step, schema in (
        (steps["user"], forms.SERVER_SCHEMA),
        (steps["reconfigure"], forms.SERVER_SCHEMA),
        (steps["reauth_confirm"], forms.TOKEN_SCHEMA),
        (assistant["user"], forms.NEW_ASSISTANT_SCHEMA),
        (assistant["reconfigure"], forms.ASSISTANT_SCHEMA),
        (texts["options"]["step"]["init"], forms.options_schema({})),
    ):
        fields = {str(key): field for key, field in schema.schema.items()}
        sections = {name: field.schema for name, field in fields.items() if isinstance(field, section)}
        assert set(step["data"]) == set(step["data_description"]) == fields.keys() - sections.keys()
        assert set(step.get("sections", {})) == set(sections)
        for name, inner in sections.items():
            described = step["sections"][name]
            assert described["name"]
            assert set(described["data"]) == set(described["data_description"]) == {str(key) for key in inner.schema}


def test_every_choice_has_a_text(texts: dict[str, Any]) -> None:
    for key, choices in (
        ("strategy", Strategy),
        ("fallback", Fallback),
        ("capture", Capture),
        ("injection", Injection),
        ("whose", Whose),
        ("kind", Kind),
        ("reranker", (SERVER_DECIDES, *(one for one in Reranker if one.isalpha()))),  # the others are names of models
        ("format", Format),
    ):
        assert set(texts["selector"][key]["options"]) == {str(choice) for choice in choices}


def test_every_error_of_the_protocol_has_a_sentence(texts: dict[str, Any]) -> None:
    assert {code.value for code in ErrorCode} <= set(texts["exceptions"])


@pytest.mark.parametrize("language", ["de", "es", "fr", "nl"])
def test_the_panel_and_its_errors_speak_five_languages(language: str, texts: dict[str, Any]) -> None:
    translated = json.loads((FOLDER / "translations" / f"{language}.json").read_text())
    english = dict(places({"config_panel": texts["config_panel"]}))
    said = dict(places({"config_panel": translated["config_panel"]}))
    assert said.keys() == english.keys()
    assert {code.value for code in ErrorCode} <= set(translated["exceptions"])
    for place, text in (english | dict(places({"exceptions": translated["exceptions"]})) | said).items():
        assert not re.search(r"https?://|<[a-z/]|'", text), place  # an apostrophe quotes in the frontend's texts
    for place, text in said.items():
        assert sorted(re.findall(r"{\w+}", text)) == sorted(re.findall(r"{\w+}", english[place])), place


def test_the_panel_says_nothing_that_has_no_text_and_no_text_is_left_over(texts: dict[str, Any]) -> None:
    source = "".join(file.read_text() for file in FILES.iterdir())
    there = {place.removeprefix("config_panel.") for place, _ in places({"config_panel": texts["config_panel"]})}
    written = set(re.findall(r'"([a-z]+\.[a-z_]+)"', source))
    begun = tuple(re.findall(r"`([a-z]+\.[a-z_]*)\$", source))
    assert {key for key in written if key not in there and f"{key}_one" not in there} <= {"person."}
    assert {
        key
        for key in there
        if key not in written and re.sub("_(one|many)$", "", key) not in written and not key.startswith(begun)
    } == set()


def test_the_panel_takes_no_memory_for_markup() -> None:
    for file in FILES.iterdir():
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|https?://(?!www\.w3\.org/2000/svg)",
            file.read_text(),
        ), file.name


def test_the_forms_of_the_actions_fit_what_the_actions_take(texts: dict[str, Any]) -> None:
    described = load_yaml_dict(str(FOLDER / "services.yaml"))
    schemas = {
        "get_context": CONTEXT_SCHEMA,
        "import_memories": IMPORT_SCHEMA,
        "export_memories": EXPORT_SCHEMA,
        "recall": RECALL_SCHEMA,
        "remember": REMEMBER_SCHEMA,
        "correct": CORRECT_SCHEMA,
        "forget": FORGET_SCHEMA,
    }
    icons = json.loads((FOLDER / "icons.json").read_text())
    assert set(described) == set(schemas) == set(texts["services"]) == set(icons["services"])
    for action, schema in schemas.items():
        fields = described[action]["fields"]
        assert set(fields) == set(texts["services"][action]["fields"]) == {str(key) for key in schema.schema}
        for field in fields.values():
            validate_selector(field["selector"])


def test_the_quality_scale_answers_every_rule() -> None:
    rules = load_yaml_dict(str(FOLDER / "quality_scale.yaml"))["rules"]
    assert set(rules) == set(QUALITY_RULES)
    for rule, status in rules.items():
        if not isinstance(status, str):
            assert status["comment"], rule
            status = status["status"]  # noqa: PLW2901
        assert status in ("done", "todo", "exempt")


@pytest.mark.parametrize(("name", "size"), [("icon.png", 256), ("icon@2x.png", 512)])
def test_the_icon_has_the_size_that_the_frontend_wants(name: str, size: int) -> None:
    with Image.open(FOLDER / "brand" / name) as picture:
        assert (picture.size, picture.format) == ((size, size), "PNG")


def test_the_logo_is_a_picture() -> None:
    with Image.open(FOLDER / "brand" / "logo.png") as picture:
        assert 128 <= min(picture.size) <= 256

"""Check the integration as hassfest and the validation of HACS do, which cannot be run outside of their own containers.

Of hassfest: manifest, dependencies, translations, actions (services), icons, config flow, quality scale
(https://github.com/home-assistant/core/tree/dev/script/hassfest). Of HACS: hacs.json, manifest, brand, license, README
(https://hacs.xyz/docs/publish/action). Selectors and platforms are those of the Home Assistant that it runs with.
Prints a line for each fault; ends with 1 if there is any.
"""

import ast
from collections.abc import Iterator, Mapping
import json
from pathlib import Path
import re
import sys
from typing import Any

from awesomeversion import AwesomeVersion, AwesomeVersionException, AwesomeVersionStrategy
from homeassistant.const import Platform
from homeassistant.helpers.selector import validate_selector
from homeassistant.util.yaml import load_yaml_dict
import probatio

CHECKOUT = Path(__file__).parents[2]

MANIFEST_REQUIRED = ("domain", "name", "codeowners", "documentation", "iot_class", "issue_tracker", "version")
MANIFEST_KNOWN = {
    *MANIFEST_REQUIRED,
    "after_dependencies", "bluetooth", "config_flow", "dependencies", "dhcp", "disabled", "homekit", "import_executor",
    "integration_type", "loggers", "mqtt", "quality_scale", "requirements", "single_config_entry", "ssdp", "usb",
    "zeroconf",
}  # fmt: skip
INTEGRATION_TYPES = {"device", "entity", "hardware", "helper", "hub", "service", "system"}
IOT_CLASSES = {"assumed_state", "calculated", "cloud_polling", "cloud_push", "local_polling", "local_push"}
SCALES = {"bronze", "silver", "gold", "platinum", "custom"}
VERSIONS = [
    AwesomeVersionStrategy.CALVER, AwesomeVersionStrategy.SEMVER, AwesomeVersionStrategy.SIMPLEVER,
    AwesomeVersionStrategy.BUILDVER, AwesomeVersionStrategy.PEP440,
]  # fmt: skip
WITHOUT_DEPENDENCY = {
    *map(str, Platform), "automation", "backup", "diagnostics", "frontend", "hassio", "homeassistant", "input_boolean",
    "input_text", "persistent_notification", "person", "repairs", "script", "sun", "system_health", "system_log",
    "webhook", "websocket_api", "zone",
}  # fmt: skip
"""What may be imported of Home Assistant though the manifest does not name it: platforms, and what is always there."""
SECTIONS = {
    "common", "config", "config_panel", "config_subentries", "conversation", "device_automation", "entity",
    "entity_component", "exceptions", "issues", "options", "selector", "services", "system_health", "title", "triggers",
    "conditions",
}  # fmt: skip
STATUSES = {"done", "todo", "exempt"}
HACS_KNOWN = {
    "content_in_root", "country", "filename", "hacs", "hide_default_branch", "homeassistant", "name",
    "persistent_directory", "render_readme", "zip_release",
}  # fmt: skip
KEY = re.compile(r"(?!.*[_-]{2})(?![_-])[a-z0-9_-]+(?<![_-])")
"""What a text can be kept under; a choice of another form, such as the name of a model, is shown as it is."""
NOT_A_TEXT = {
    "has a URL in it: give it as a placeholder": re.compile(r"https?://|www\."),
    "has HTML in it": re.compile(r"</?[a-zA-Z]+[^>]*>"),
    "quotes a placeholder": re.compile(r"'\{\w+\}'"),
    "refers to another text, which only core's own can": re.compile(r"\[%key:"),
    "begins or ends with a blank": re.compile(r"^\s|\s$"),
    "is empty": re.compile(r"^$"),
}


def faults(checkout: Path) -> Iterator[str]:
    """Return what is wrong with the integration in a checkout, a sentence each."""
    folders = [path.parent for path in sorted((checkout / "custom_components").glob("*/manifest.json"))]
    if len(folders) != 1:
        yield f"there are {len(folders)} integrations instead of one"
        return
    folder = folders[0]
    missing = [
        name
        for name in ("translations/en.json", "services.yaml", "icons.json", "quality_scale.yaml")
        if not (folder / name).exists()
    ]
    if missing:
        yield from (f"{name} is missing" for name in missing)
        return
    manifest, texts = _json(folder / "manifest.json"), _json(folder / "translations" / "en.json")
    services = load_yaml_dict(str(folder / "services.yaml"))
    yield from _manifest_faults(manifest, folder)
    yield from _dependency_faults(manifest, folder)
    yield from _text_faults(texts, folder)
    yield from _form_faults(texts)
    yield from _service_faults(services, texts, folder)
    yield from _icon_faults(_json(folder / "icons.json"), services, texts)
    yield from _scale_faults(load_yaml_dict(str(folder / "quality_scale.yaml")), manifest)
    yield from _hacs_faults(checkout, folder)


def _json(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def _manifest_faults(manifest: Mapping[str, Any], folder: Path) -> Iterator[str]:
    yield from (f"manifest: {key} is missing" for key in MANIFEST_REQUIRED if not manifest.get(key))
    yield from (f"manifest: {key} is unknown" for key in sorted(manifest.keys() - MANIFEST_KNOWN))
    order = ["domain", "name", *sorted(manifest.keys() - {"domain", "name"})]
    if list(manifest) != order:
        yield "manifest: the keys are to be domain, name, and the others by the alphabet"
    if manifest.get("domain") != folder.name:
        yield f"manifest: the domain is {manifest.get('domain')}, the folder {folder.name}"
    try:
        AwesomeVersion(str(manifest.get("version")), ensure_strategy=VERSIONS)
    except AwesomeVersionException:
        yield f"manifest: {manifest.get('version')} is no version that Home Assistant loads"
    yield from _reference_faults(manifest)
    if bool(manifest.get("config_flow")) != (folder / "config_flow.py").exists():
        yield "manifest: config_flow and config_flow.py do not go together"


def _reference_faults(manifest: Mapping[str, Any]) -> Iterator[str]:
    for key in ("documentation", "issue_tracker"):
        if not str(manifest.get(key)).startswith("https://"):
            yield f"manifest: {key} is no https address"
    if "home-assistant.io/integrations" in str(manifest.get("documentation")):
        yield "manifest: documentation is that of an integration of core"
    if manifest.get("iot_class") not in IOT_CLASSES:
        yield f"manifest: {manifest.get('iot_class')} is no IoT class"
    if manifest.get("integration_type", "hub") not in INTEGRATION_TYPES:
        yield f"manifest: {manifest.get('integration_type')} is no type of integration"
    if manifest.get("quality_scale", "custom") not in SCALES:
        yield f"manifest: {manifest.get('quality_scale')} is on no quality scale"
    for owner in manifest.get("codeowners", []):
        if not owner.startswith("@"):
            yield f"manifest: {owner} is nobody's account"
    for requirement in manifest.get("requirements", []):
        if not re.fullmatch(r"[\w.-]+(\[[\w,-]+\])?==[\w.]+", requirement):
            yield f"manifest: {requirement} is not pinned"
    for service in manifest.get("zeroconf", []):
        kind = service if isinstance(service, str) else service.get("type", "")
        if not re.fullmatch(r"_[a-z0-9-]{1,15}\._(tcp|udp)\.local\.", kind):
            yield f"manifest: {kind} is no zeroconf service"


def _dependency_faults(manifest: Mapping[str, Any], folder: Path) -> Iterator[str]:
    named = {*manifest.get("dependencies", []), *manifest.get("after_dependencies", []), manifest.get("domain")}
    for file in sorted(folder.rglob("*.py")):
        for component in sorted(_components(ast.parse(file.read_text())) - named - WITHOUT_DEPENDENCY):
            yield f"{file.relative_to(folder)} imports {component}, which is no dependency in the manifest"


def _components(tree: ast.Module) -> set[str]:
    """Return the components of Home Assistant that a module imports when it runs, not for types alone."""
    for_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test).endswith("TYPE_CHECKING")
        for node in ast.walk(block)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.ImportFrom) and node.module == "homeassistant.components":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("homeassistant.components."):
            found.add(str(node.module).split(".")[2])
        elif isinstance(node, ast.Import):
            found |= {
                name.name.split(".")[2] for name in node.names if name.name.startswith("homeassistant.components.")
            }
    return found


def _text_faults(texts: Mapping[str, Any], folder: Path) -> Iterator[str]:
    if (folder / "strings.json").exists():
        yield "strings.json is of core's integrations alone: translations/en.json has the texts"
    yield from (f"en.json: {key} is no section" for key in sorted(texts.keys() - SECTIONS))
    for place, text in _leaves(texts):
        if not isinstance(text, str):
            yield f"en.json: {place} is no text"
            continue
        yield from (f"en.json: {place} {fault}" for fault, pattern in NOT_A_TEXT.items() if pattern.search(text))
        yield from (f"en.json: {place}: {key} is no key" for key in place.split(".") if not KEY.fullmatch(key))
        if text.count("{") != text.count("}"):
            yield f"en.json: {place} has half a placeholder"
    for section in ("exceptions", "issues"):
        for key, entry in texts.get(section, {}).items():
            if not isinstance(entry, dict) or not (
                entry.get("message") if section == "exceptions" else entry.get("title")
            ):
                yield f"en.json: {section}.{key} has no {'message' if section == 'exceptions' else 'title'}"
    for language in sorted((folder / "translations").glob("*.json")):
        places = {place for place, _ in _leaves(_json(language))}
        strange = sorted(places - {place for place, _ in _leaves(texts)})
        yield from (f"{language.name}: {place} is not in en.json" for place in strange)


def _leaves(tree: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict):
        for key, branch in tree.items():
            yield from _leaves(branch, f"{place}.{key}".lstrip("."))
    else:
        yield place, tree


def _form_faults(texts: Mapping[str, Any]) -> Iterator[str]:
    flows = {"config": texts.get("config", {}), "options": texts.get("options", {})}
    for kind, flow in texts.get("config_subentries", {}).items():
        flows[f"config_subentries.{kind}"] = flow
        if not flow.get("entry_type") or not flow.get("initiate_flow", {}).get("user"):
            yield f"en.json: config_subentries.{kind} needs entry_type and initiate_flow.user"
    for place, flow in flows.items():
        for name, step in flow.get("step", {}).items():
            for inside, form in (
                (name, step),
                *((f"{name}.{key}", part) for key, part in step.get("sections", {}).items()),
            ):
                fields, described = form.get("data", {}), form.get("data_description", {})
                yield from (
                    f"en.json: {place}.{inside}: {key} is described but no field"
                    for key in sorted(described.keys() - fields.keys())
                )
                yield from (
                    f"en.json: {place}.{inside}: {key} is not described"
                    for key in sorted(fields.keys() - described.keys())
                )


def _service_faults(services: Mapping[str, Any], texts: Mapping[str, Any], folder: Path) -> Iterator[str]:
    registers = any("services.async_register" in file.read_text() for file in folder.rglob("*.py"))
    if registers and not services:
        yield "the integration registers actions, and services.yaml describes none"
    described = texts.get("services", {})
    yield from (
        f"{name} is in one of services.yaml and en.json alone" for name in sorted(services.keys() ^ described.keys())
    )
    for name in sorted(services.keys() & described.keys()):
        action, text = services[name] or {}, described[name]
        if not text.get("name") or not text.get("description"):
            yield f"en.json: the action {name} needs a name and a description"
        fields, field_texts = dict(_fields(action.get("fields", {}))), text.get("fields", {})
        for field in sorted(fields.keys() ^ field_texts.keys()):
            yield f"{name}.{field} is in one of services.yaml and en.json alone"
        for field in sorted(fields.keys() & field_texts.keys()):
            if not field_texts[field].get("name") or not field_texts[field].get("description"):
                yield f"en.json: {name}.{field} needs a name and a description"
        for field, definition in fields.items():
            yield from (f"services.yaml: {name}.{field}: {fault}" for fault in _field_faults(definition, texts))


def _fields(fields: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Return the fields of an action, those in sections too."""
    for name, field in fields.items():
        if "fields" in (field or {}):
            yield from _fields(field["fields"])
        else:
            yield name, field or {}


def _field_faults(field: Mapping[str, Any], texts: Mapping[str, Any]) -> Iterator[str]:
    unknown = field.keys() - {"default", "example", "required", "selector", "filter", "advanced"}
    yield from (f"{key} is unknown" for key in sorted(unknown))
    try:
        validate_selector(field.get("selector"))
    except probatio.Invalid as error:
        yield f"the selector is none: {error}"
        return
    (options,) = [option or {} for option in field["selector"].values()]
    key = options.get("translation_key")
    choices = {choice if isinstance(choice, str) else choice["value"] for choice in options.get("options", [])}
    written = set(texts.get("selector", {}).get(key, {}).get("options", {})) if key else set()
    if key and (untold := sorted(choice for choice in choices - written if KEY.fullmatch(choice))):
        yield f"selector.{key} of en.json has no text for {', '.join(untold)}"


def _icon_faults(icons: Mapping[str, Any], services: Mapping[str, Any], texts: Mapping[str, Any]) -> Iterator[str]:
    yield from (
        f"icons.json: {key} is no section"
        for key in sorted(icons.keys() - {"entity", "services", "triggers", "conditions"})
    )
    for place, icon in _leaves(icons):
        if not re.fullmatch(r"mdi:[a-z0-9-]+", str(icon)):
            yield f"icons.json: {place}: {icon} is no icon of mdi"
    yield from (
        f"icons.json: the action {name} has none" for name in sorted(services.keys() - icons.get("services", {}).keys())
    )
    yield from (
        f"icons.json: there is no action {name}" for name in sorted(icons.get("services", {}).keys() - services.keys())
    )
    for platform, entities in icons.get("entity", {}).items():
        for key, entity in entities.items():
            if "default" not in entity:
                yield f"icons.json: {platform}.{key} has no default"
            for state, icon in entity.get("state", {}).items():
                if icon == entity.get("default"):
                    yield f"icons.json: {platform}.{key}: {state} has the default's icon"
            if platform != "conversation" and key not in texts.get("entity", {}).get(platform, {}):
                yield f"icons.json: there is no {platform} {key} in en.json"


def _scale_faults(scale: Mapping[str, Any], manifest: Mapping[str, Any]) -> Iterator[str]:
    rules = scale.get("rules", {})
    if not rules or set(scale) != {"rules"}:
        yield "quality_scale.yaml is to hold rules, and nothing else"
    for rule, answer in rules.items():
        status = answer if isinstance(answer, str) else (answer or {}).get("status")
        if status not in STATUSES:
            yield f"quality_scale.yaml: {rule}: {status} is none of {', '.join(sorted(STATUSES))}"
        elif status == "exempt" and (isinstance(answer, str) or not answer.get("comment")):
            yield f"quality_scale.yaml: {rule} is exempt without a reason"
        elif status == "todo" and manifest.get("quality_scale") == "platinum":
            yield f"quality_scale.yaml: {rule} is to be done, and the manifest says platinum"


def _hacs_faults(checkout: Path, folder: Path) -> Iterator[str]:
    hacs = _json(checkout / "hacs.json") if (checkout / "hacs.json").exists() else {}
    if not hacs.get("name"):
        yield "hacs.json: there is no name"
    yield from (f"hacs.json: {key} is unknown" for key in sorted(hacs.keys() - HACS_KNOWN))
    if hacs.get("zip_release"):
        yield "hacs.json: the Marketplace cannot install a zip_release without an account"
    if "homeassistant" in hacs and not re.fullmatch(r"\d{4}\.\d{1,2}\.\d+", str(hacs["homeassistant"])):
        yield f"hacs.json: {hacs['homeassistant']} is no version of Home Assistant"
    for name in ("README.md", "LICENSE"):
        if not (checkout / name).exists():
            yield f"{name} is missing"
    if not (folder / "brand" / "icon.png").exists():
        yield "brand/icon.png is missing"


def main() -> int:
    """Check this checkout; returns the exit code."""
    found = [*faults(CHECKOUT)]
    for fault in found:
        print(fault)
    print(f"{len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

"""Check what Home Assistant's Supervisor reads of this repository: the app's configuration and the files beside it.

The rules are the Supervisor's (supervisor/apps/validate.py and options.py), those of the developers' documentation
(https://developers.home-assistant.io/docs/apps/configuration and .../presentation), and our own: least privilege, and
options that are the server's. Prints a line for each fault; ends with 1 if there is any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import json
from pathlib import Path
import re
import struct
import sys
from typing import Any

import yaml

from npu_memory_server import __version__
from npu_memory_server.cli.arguments import build_parser
from npu_memory_server.container.options import OPTIONS
from npu_memory_server.supervisor import SERVICE
from npu_memory_server.wire import DEFAULT_PORT, MAX_TOP_K, Reranker, Strategy

CHECKOUT = Path(__file__).parents[2]
FILES = (
    "Dockerfile", "apparmor.txt", "CHANGELOG.md", "DOCS.md", "README.md", "icon.png", "logo.png",
    "translations/en.yaml",
)  # fmt: skip
DEPRECATED_FILES = ("build.yaml", "build.yml", "build.json")

REQUIRED = {"name", "version", "slug", "description", "arch"}
KNOWN = REQUIRED | {
    "machine", "url", "startup", "boot", "init", "stage", "ports", "ports_description", "watchdog", "webui", "ingress",
    "ingress_port", "ingress_entry", "ingress_stream", "panel_icon", "panel_title", "panel_admin", "homeassistant",
    "host_network", "host_pid", "host_ipc", "host_uts", "host_dbus", "devices", "udev", "tmpfs", "map", "environment",
    "privileged", "apparmor", "full_access", "audio", "video", "gpio", "usb", "uart", "devicetree", "kernel_modules",
    "realtime", "hassio_api", "hassio_role", "homeassistant_api", "stdin", "docker_api", "auth_api", "services",
    "discovery", "backup_exclude", "backup_pre", "backup_post", "backup", "options", "schema", "image", "ulimits",
    "timeout", "journald", "breaking_versions",
}  # fmt: skip
CHOICES = {
    "arch": {"aarch64", "amd64"},
    "startup": {"initialize", "system", "services", "application", "once"},
    "boot": {"auto", "manual", "manual_only"},
    "stage": {"stable", "experimental", "deprecated"},
    "backup": {"hot", "cold"},
}
SWITCHES = {
    "init", "ingress", "ingress_stream", "panel_admin", "host_network", "host_pid", "host_ipc", "host_uts", "host_dbus",
    "udev", "tmpfs", "apparmor", "full_access", "audio", "video", "gpio", "usb", "uart", "devicetree", "kernel_modules",
    "realtime", "hassio_api", "homeassistant_api", "stdin", "docker_api", "auth_api", "journald",
}  # fmt: skip
TOO_MUCH = {
    "full_access", "docker_api", "host_network", "host_pid", "host_ipc", "host_uts", "privileged", "kernel_modules",
    "hassio_role",
}  # fmt: skip
"""What a memory has no use for; each of them lowers the app's security rating."""
PATTERNS = {
    "slug": r"[-_.A-Za-z0-9]+",
    "version": r"\d+\.\d+\.\d+",
    "homeassistant": r"\d{4}\.\d{1,2}\.\d+",
    "url": r"https://\S+",
    "watchdog": r"(?:https?|\[PROTO:\w+\]|tcp):\/\/\[HOST\]:(\[PORT:\d+\]|\d+).*",
}
SCHEMA_ELEMENT = (
    r"(?:bool|email|url|port|device(\(subsystem=[a-z]+\))?|(?:str|password)(\(\d*,\d*\))?|int(\(-?\d*,-?\d*\))?"
    r"|float(\(-?[\d.]*,-?[\d.]*\))?|match\(.*\)|list\(.+\))\??"
)
LEGACY_MAPS = {"config", "addon_config", "addons", "all_addon_configs"}
ICON_PIXELS = (128, 128)
LOGO_WIDTH_PIXELS = (250, 500)
PNG = b"\x89PNG\r\n\x1a\n"


def faults(checkout: Path) -> Iterator[str]:
    """Return what is wrong with the app in a checkout, a sentence each."""
    app = checkout / "addon"
    yield from _repository_faults(checkout)
    missing = [name for name in (*FILES, "config.yaml") if not (app / name).is_file()]
    if missing:
        yield from (f"addon/{name} is missing" for name in missing)
        return
    yield from (
        f"addon/{name} is deprecated: the Dockerfile says it all" for name in DEPRECATED_FILES if (app / name).exists()
    )
    config = _mapping(app / "config.yaml")
    translations = _mapping(app / "translations" / "en.yaml")
    yield from _key_faults(config)
    yield from _network_faults(config, translations)
    yield from _backup_faults(config, (app / "Dockerfile").read_text())
    yield from _option_faults(config, translations)
    yield from _image_faults((app / "Dockerfile").read_text(), config)
    yield from _apparmor_faults((app / "apparmor.txt").read_text(), str(config.get("slug")))
    yield from _picture_faults(app)
    yield from _pairing_faults(checkout, config)


def _mapping(file: Path) -> dict[str, Any]:
    content = yaml.safe_load(file.read_text())
    return content if isinstance(content, dict) else {}


def _repository_faults(checkout: Path) -> Iterator[str]:
    repository = _mapping(checkout / "repository.yaml") if (checkout / "repository.yaml").exists() else {}
    yield from (f"repository.yaml has no {key}" for key in ("name", "url", "maintainer") if not repository.get(key))
    for name in ("config.yaml", "config.yml", "config.json"):
        for file in sorted(checkout.rglob(name)):
            place = file.relative_to(checkout)
            hidden = any(part.startswith(".") or part == "rootfs" for part in place.parts[:-1])
            if not hidden and place != Path("addon/config.yaml"):
                yield f"{place} would be taken for an app: give it another name"


def _key_faults(config: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{key} is missing" for key in sorted(REQUIRED - config.keys()))
    yield from (f"{key} is no key that the Supervisor knows" for key in sorted(config.keys() - KNOWN))
    yield from (f"{key} is more than a memory needs" for key in sorted(TOO_MUCH & config.keys()) if config[key])
    yield from (
        f"{key} must be true or false" for key in sorted(SWITCHES & config.keys()) if config[key] not in (True, False)
    )
    for key, allowed in CHOICES.items():
        values = config.get(key, [])
        for value in values if isinstance(values, list) else [values]:
            if value not in allowed:
                yield f"{key}: {value} is none of {', '.join(sorted(allowed))}"
    for key, pattern in PATTERNS.items():
        if key in config and not re.fullmatch(pattern, str(config[key])):
            yield f"{key}: {config[key]} does not have the form {pattern}"
    if set(config.get("arch", [])) != CHOICES["arch"]:
        yield "arch: the image is for aarch64 and amd64"
    if config.get("apparmor", True) is not True:
        yield "apparmor must not be switched off"
    if config.get("init", True) is not True:
        yield "init must be true: there is no s6 in the image that would do its work"
    if not isinstance(config.get("timeout", 10), int) or not 10 <= config.get("timeout", 10) <= 300:
        yield "timeout must be from 10 to 300 s"
    for entry in config.get("map", []):
        kind = entry.get("type") if isinstance(entry, dict) else str(entry).partition(":")[0]
        if not isinstance(entry, dict) or kind in LEGACY_MAPS:
            yield f"map: {kind} is written in the old way"


def _network_faults(config: Mapping[str, Any], translations: Mapping[str, Any]) -> Iterator[str]:
    ports = config.get("ports", {})
    own = f"{DEFAULT_PORT}/tcp"
    if own not in ports:
        yield f"ports: the server listens on {own}"
    for port, outside in ports.items():
        if not re.fullmatch(r"\d+/(tcp|udp)", str(port)) or not (outside is None or isinstance(outside, int)):
            yield f"ports: {port}: {outside} is no port"
        elif outside is not None:
            yield f"ports: {port} is open to the whole network unless the user closes it"
    if set(config.get("ports_description", {})) != set(ports):
        yield "ports_description does not describe the ports that there are"
    if set(translations.get("network", {})) != set(ports):
        yield "translations/en.yaml: network does not name the ports that there are"
    if f"[PORT:{DEFAULT_PORT}]" not in str(config.get("watchdog")):
        yield f"watchdog does not look at port {DEFAULT_PORT}"
    if SERVICE not in config.get("discovery", []):
        yield f"discovery does not list {SERVICE}, which the server announces"


def _backup_faults(config: Mapping[str, Any], dockerfile: str) -> Iterator[str]:
    if config.get("backup") != "hot":
        yield "backup: memory is not to stop for a backup"
    for key, command in (("backup_pre", "before-backup"), ("backup_post", "after-backup")):
        program, _, argument = str(config.get(key)).partition(" ")
        if argument != command or f">/usr/local/bin/{program} " not in dockerfile:
            yield f"{key}: {config.get(key)} is no command of the image"
    for pattern in config.get("backup_exclude", []):
        kept = [
            name for name in ("memories.sqlite3", "memories.sqlite3-wal", "token") if Path("/data", name).match(pattern)
        ]
        if kept:
            yield f"backup_exclude: {pattern} leaves out {', '.join(kept)}"


def _option_faults(config: Mapping[str, Any], translations: Mapping[str, Any]) -> Iterator[str]:
    options, schema = config.get("options", {}), config.get("schema", {})
    texts = translations.get("configuration", {})
    if set(schema) != set(OPTIONS):
        yield f"schema and the server's options differ: {', '.join(sorted(set(schema) ^ set(OPTIONS)))}"
    for name in sorted(set(texts) ^ set(schema)):
        yield f"translations/en.yaml: {name} is in one of configuration and schema alone"
    for name, kind in schema.items():
        if not isinstance(kind, str) or not re.fullmatch(SCHEMA_ELEMENT, kind):
            yield f"schema: {name}: {kind} is no type"
            continue
        if name not in options and not kind.endswith("?"):
            yield f"options: {name} has no default"
        if name in options and not _fits(options[name], kind.removesuffix("?")):
            yield f"options: {name}: {options[name]} is not {kind}"
        text = texts.get(name)
        if isinstance(text, dict) and not (text.get("name") and text.get("description")):
            yield f"translations/en.yaml: {name} needs a name and a description"
    yield from (f"options: {name} is not in the schema" for name in sorted(set(options) - set(schema)))
    parsed = vars(build_parser({}).parse_args(["serve"]))
    expected = {
        "rag_strategy": f"list({'|'.join(Strategy)})",
        "rerank_model": f"list({'|'.join(name for name in Reranker if name is not Reranker.LOCAL)})",
        "top_k": f"int(1,{MAX_TOP_K})",
    }
    for name, kind in expected.items():
        if schema.get(name) != kind:
            yield f"schema: {name} should be {kind}, as the server has it"
    for name, attribute in (("rag_strategy", "strategy"), ("rerank_model", "reranker"), ("top_k", "top_k")):
        if str(options.get(name)) != str(parsed[attribute]):
            yield f"options: {name} should be {parsed[attribute]} by default, as for everybody else"


def _fits(value: Any, kind: str) -> bool:
    name, _, bounds = kind.rstrip(")").partition("(")
    match name:
        case "bool":
            return isinstance(value, bool)
        case "list":
            return str(value) in bounds.split("|")
        case "int" | "float":
            low, _, high = bounds.partition(",")
            number = isinstance(value, int | float) and not isinstance(value, bool)
            return number and float(low or "-inf") <= value <= float(high or "inf")
        case _:
            return isinstance(value, str)


def _image_faults(dockerfile: str, config: Mapping[str, Any]) -> Iterator[str]:
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", dockerfile, re.MULTILINE))
    if not arguments.get("BUILD_FROM"):
        yield "Dockerfile: BUILD_FROM needs a default, since the Supervisor gives none"
    if arguments.get("BUILD_VERSION") != str(config.get("version")):
        yield f"Dockerfile: BUILD_VERSION is {arguments.get('BUILD_VERSION')}, the app {config.get('version')}"
    for label in ('io.hass.type="app"', 'io.hass.version="${BUILD_VERSION}"', 'io.hass.arch="${BUILD_ARCH}"'):
        if label not in dockerfile:
            yield f"Dockerfile: the label {label} is missing"
    for word in ("HEALTHCHECK", "VOLUME /data", f"EXPOSE {DEFAULT_PORT}"):
        if word not in dockerfile:
            yield f"Dockerfile: {word} is missing"


def _apparmor_faults(profile: str, slug: str) -> Iterator[str]:
    rules = re.sub(r"^\s*#.*$", "", profile, flags=re.MULTILINE)
    if not re.search(rf"^profile {re.escape(slug)} ", rules, re.MULTILINE):
        yield f"apparmor.txt: the profile is not called {slug}"
    if rules.count("{") != rules.count("}"):
        yield "apparmor.txt: a brace is missing"
    if "complain" in rules:
        yield "apparmor.txt: the profile forbids nothing (complain)"
    if re.search(r"^\s*(file|capability|network)\s*,", rules, re.MULTILINE):
        yield "apparmor.txt: a rule allows everything"
    if not re.search(r"^\s*/data/\*\* \w*rw\w*,", rules, re.MULTILINE):
        yield "apparmor.txt: the data directory cannot be written to"


def _picture_faults(app: Path) -> Iterator[str]:
    sizes = {}
    for name in ("icon.png", "logo.png"):
        start = (app / name).read_bytes()[:24]
        if not start.startswith(PNG) or len(start) < 24:
            yield f"{name} is no PNG"
        else:
            sizes[name] = struct.unpack(">II", start[16:24])
    if "icon.png" in sizes and sizes["icon.png"] != ICON_PIXELS:
        yield f"icon.png must have {ICON_PIXELS[0]} times {ICON_PIXELS[1]} pixels"
    if "logo.png" in sizes and not LOGO_WIDTH_PIXELS[0] <= sizes["logo.png"][0] <= LOGO_WIDTH_PIXELS[1]:
        yield f"logo.png must be from {LOGO_WIDTH_PIXELS[0]} to {LOGO_WIDTH_PIXELS[1]} pixels wide"


def _pairing_faults(checkout: Path, config: Mapping[str, Any]) -> Iterator[str]:
    if str(config.get("version")) != __version__:
        yield f"version: the app is {config.get('version')}, the server {__version__}"
    hacs = json.loads((checkout / "hacs.json").read_text())
    if str(config.get("homeassistant")) != hacs.get("homeassistant"):
        yield f"homeassistant: the app wants {config.get('homeassistant')}, the integration {hacs.get('homeassistant')}"
    for file in sorted((checkout / "addon").glob("compose*.yaml")):
        yield from (f"{file.name}: {fault}" for fault in _compose_faults(_mapping(file), file.name == "compose.yaml"))


def _compose_faults(compose: Mapping[str, Any], whole: bool) -> Iterator[str]:
    for name, service in compose.get("services", {}).items():
        if service.get("privileged") or service.get("cap_add"):
            yield f"{name} must not be privileged"
        if service.get("network_mode") == "host" or service.get("pid") == "host":
            yield f"{name} must not share the host's network or processes"
        for volume in service.get("volumes", []):
            if str(volume).startswith(("/", "${")) and not str(volume).endswith(":ro"):
                yield f"{name}: {volume} must be read-only"
        if not whole:
            continue
        wanted = {"init": True, "read_only": True, "cap_drop": ["ALL"], "user": "10750:10750"}
        yield from (f"{name}: {key} must be {value}" for key, value in wanted.items() if service.get(key) != value)
        if "no-new-privileges:true" not in service.get("security_opt", []):
            yield f"{name}: security_opt must have no-new-privileges:true"
        if service.get("image") != f"npu-memory-server:{__version__}":
            yield f"{name}: the image should be npu-memory-server:{__version__}"


def main() -> int:
    """Check this checkout; returns the exit code."""
    found = [*faults(CHECKOUT)]
    for fault in found:
        print(fault)
    print(f"{len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

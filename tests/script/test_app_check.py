"""The check of the app: nothing in what we ship is a fault, and everything the Supervisor would stumble over is."""

from collections.abc import Callable
import importlib.util
from pathlib import Path
import re
import shutil
import subprocess
import sys

import pytest

CHECKOUT = Path(__file__).parents[2]
PROGRAM = CHECKOUT / "script/checks/app.py"

specification = importlib.util.spec_from_file_location("app_check", PROGRAM)
assert specification is not None
assert specification.loader is not None
app_check = importlib.util.module_from_spec(specification)
specification.loader.exec_module(app_check)

Change = Callable[[str], str]


def instead(old: str, new: str) -> Change:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


def without(line: str) -> Change:
    def change(text: str) -> str:
        changed = re.sub(rf"^{re.escape(line)}\n", "", text, count=1, flags=re.MULTILINE)
        assert changed != text
        return changed

    return change


def plus(more: str) -> Change:
    return lambda text: text + more


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("repository.yaml", "hacs.json", "CHANGELOG.md"):
        shutil.copy(CHECKOUT / name, tmp_path)
    shutil.copytree(CHECKOUT / "addon", tmp_path / "addon", ignore=shutil.ignore_patterns("src"), symlinks=True)
    return tmp_path


def test_what_we_ship_has_no_fault() -> None:
    result = subprocess.run(
        [sys.executable, PROGRAM],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(CHECKOUT / "addon/src")},
    )
    assert (result.returncode, result.stdout) == (0, "0 faults\n")


CONFIG, DOCKERFILE, PROFILE, TEXTS = "config.yaml", "Dockerfile", "apparmor.txt", "translations/en.yaml"
COMPOSE, RK3588 = "compose.yaml", "compose.rk3588.yaml"


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        (CONFIG, without("slug: npu_memory"), "slug is missing"),
        (CONFIG, plus("colour: blue\n"), "colour is no key that the Supervisor knows"),
        (CONFIG, plus("advanced: true\n"), "advanced is no key that the Supervisor knows"),
        (CONFIG, plus("full_access: true\n"), "full_access is more than a memory needs"),
        (CONFIG, plus("privileged: [SYS_ADMIN]\n"), "privileged is more than a memory needs"),
        (CONFIG, plus("host_network: true\n"), "host_network is more than a memory needs"),
        (CONFIG, plus("apparmor: false\n"), "apparmor must not be switched off"),
        (CONFIG, instead("tmpfs: true", "tmpfs: maybe"), "tmpfs must be true or false"),
        (CONFIG, instead("init: true", "init: false"), "init must be true"),
        (CONFIG, instead("startup: services", "startup: before"), "startup: before is none of"),
        (CONFIG, instead("stage: experimental", "stage: beta"), "stage: beta is none of"),
        (CONFIG, instead("  - amd64", "  - armv7"), "arch: armv7 is none of"),
        (CONFIG, instead("slug: npu_memory", "slug: npu memory"), "slug: npu memory does not have the form"),
        (CONFIG, instead("timeout: 30", "timeout: 5"), "timeout must be from 10 to 300 s"),
        (CONFIG, plus("map: ['addon_config:rw']\n"), "map: addon_config is written in the old way"),
        (CONFIG, instead("version: 0.1.0", "version: 9.9.9"), "version: the app is 9.9.9"),
        (CONFIG, instead("2026.10.0", "2020.1.0"), "homeassistant: the app wants 2020.1.0"),
        (CONFIG, instead("  10750/tcp: null", "  10751/tcp: null"), "ports: the server listens on 10750/tcp"),
        (CONFIG, instead("  10750/tcp: null", "  10750/tcp: 10750"), "ports: 10750/tcp is open to the whole network"),
        (CONFIG, instead("tcp://[HOST]:[PORT:10750]", "tcp://[HOST]:[PORT:80]"), "watchdog does not look at"),
        (CONFIG, instead("tcp://[HOST]", "ftp://[HOST]"), "watchdog: ftp://[HOST]:[PORT:10750] does not have the form"),
        (CONFIG, instead("discovery:\n  - npu_memory", "discovery:\n  - wyoming"), "discovery does not list"),
        (CONFIG, instead("backup: hot", "backup: cold"), "backup: memory is not to stop for a backup"),
        (CONFIG, without("backup_post: npu-memory-container after-backup"), "backup_post: None is no command"),
        (CONFIG, instead("npu-memory-container before", "npu-backup before"), "backup_pre: npu-backup before"),
        (CONFIG, instead('"*/lock"', '"*/memories.sqlite3*"'), "leaves out memories.sqlite3, memories"),
        (CONFIG, without("  top_k: 5"), "options: top_k has no default"),
        (CONFIG, instead("  top_k: 5", "  top_k: 51"), "options: top_k: 51 is not int(1,50)"),
        (CONFIG, instead("  top_k: 5", "  top_k: 6"), "options: top_k should be 5 by default"),
        (CONFIG, instead("  top_k: int(1,50)", "  top_k: integer"), "schema: top_k: integer is no type"),
        (CONFIG, instead("  top_k: int(1,50)", "  top_k: int(1,500)"), "schema: top_k should be int(1,50)"),
        (CONFIG, instead("|recent)", ")"), "schema: rag_strategy should be list(hybrid|vector|lexical|rrf|recent)"),
        (CONFIG, instead("  top_k: int(1,50)", "  k: int(1,50)"), "schema and the server's options differ: k, top_k"),
        (TEXTS, instead("  top_k:", "  count:"), "translations/en.yaml: top_k is in one of"),
        (TEXTS, instead("    description: At most", "    remark: At most"), "top_k needs a name and a description"),
        (TEXTS, instead("  10750/tcp:", "  80/tcp:"), "network does not name the ports"),
        (DOCKERFILE, instead("ARG BUILD_FROM=debian:bookworm-slim", "ARG BUILD_FROM"), "BUILD_FROM needs"),
        (DOCKERFILE, instead("ARG BUILD_VERSION=0.1.0", "ARG BUILD_VERSION=0.0.9"), "BUILD_VERSION is 0.0.9"),
        (DOCKERFILE, instead('io.hass.type="app"', 'io.hass.type="addon"'), 'io.hass.type="app" is missing'),
        (DOCKERFILE, instead("HEALTHCHECK", "# HEALTH"), "HEALTHCHECK is missing"),
        (PROFILE, instead("profile npu_memory ", "profile memory "), "the profile is not called npu_memory"),
        (PROFILE, instead("mediate_deleted)", "mediate_deleted,complain)"), "the profile forbids nothing"),
        (PROFILE, instead("  unix,", "  unix,\n  file,"), "a rule allows everything"),
        (PROFILE, instead("  /data/** rwkl,", "  /data/** r,"), "the data directory cannot be written to"),
        (PROFILE, plus("}\n"), "a brace is missing"),
        (COMPOSE, instead("    init: true", "    privileged: true"), "memory must not be privileged"),
        (COMPOSE, instead("    read_only: true\n", ""), "memory: read_only must be True"),
        (COMPOSE, instead("      - ALL", "      - NET_RAW"), "memory: cap_drop must be ['ALL']"),
        (COMPOSE, instead("no-new-privileges:true", "no-new-privileges:false"), "must have no-new-privileges"),
        (COMPOSE, instead('"10750:10750"\n    read', '"0:0"\n    read'), "memory: user must be 10750:10750"),
        (COMPOSE, instead("server:0.1.0", "server:latest"), "the image should be npu-memory-server:0.1.0"),
        (RK3588, instead("librknnrt.so:ro", "librknnrt.so"), "must be read-only"),
        (RK3588, instead("    group_add", "    pid: host\n    group_add"), "must not share the host's"),
        ("../repository.yaml", without("maintainer: The NPU Memory authors"), "repository.yaml has no maintainer"),
    ],
)  # fmt: skip
def test_every_fault_is_found(file: str, change: Change, said: str, checkout: Path) -> None:
    path = checkout / "addon" / file
    path.write_text(change(path.read_text()))
    assert any(said in fault for fault in app_check.faults(checkout)), [*app_check.faults(checkout)]


@pytest.mark.parametrize("name", [*app_check.FILES, "config.yaml"])
def test_a_missing_file_is_found(name: str, checkout: Path) -> None:
    (checkout / "addon" / name).unlink()
    assert f"addon/{name} is missing" in [*app_check.faults(checkout)]


def test_a_second_app_is_found(checkout: Path) -> None:
    (checkout / "docs").mkdir()
    (checkout / "docs/config.yml").touch()
    assert "docs/config.yml would be taken for an app: give it another name" in [*app_check.faults(checkout)]


def test_a_build_file_is_found(checkout: Path) -> None:
    (checkout / "addon/build.yaml").touch()
    assert "addon/build.yaml is deprecated: the Dockerfile says it all" in [*app_check.faults(checkout)]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("icon.png", b"GIF89a", "icon.png is no PNG"),
        ("icon.png", None, "icon.png must have 128 times 128 pixels"),
        ("logo.png", None, "logo.png must be from 250 to 500 pixels wide"),
    ],
)
def test_a_picture_of_another_kind_or_size_is_found(
    name: str, content: bytes | None, said: str, checkout: Path
) -> None:
    other = "logo.png" if name == "icon.png" else "icon.png"
    path = checkout / "addon" / name
    path.write_bytes(content if content is not None else (checkout / "addon" / other).read_bytes())
    assert said in [*app_check.faults(checkout)]
